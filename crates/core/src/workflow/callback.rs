//! Reports a build's end to the execution that waits for it: exactly once, whatever the order of events.
//!
//! An execution waits in AwaitBuild with a task token. Two parties can answer it. `check-status` registers the token
//! under the build's id and *then* reads the build ([`Register`]). `build-event` is started by CodeBuild's event, looks
//! up the token and reads the build ([`Deliver`]). The order is token first, status second. An event that arrives
//! before the registration finds no token and is dropped; the read that follows the registration then sees the ended
//! build. An event that arrives later finds the token. Step Functions takes the first answer and refuses the second,
//! which counts as done.
//!
//! The answer is always CodeBuild's description of the build, never the content of the event (decision 9): anyone who
//! may change an EventBridge rule can have it deliver a forged event. An event for a build that still runs answers
//! nothing. CodeBuild's own answer may lag behind its event, so such an event is to be delivered again.
//!
//! A registration that `build-event` has answered stays until the execution has ended; then `end-execution` removes it.
//! A repeated event finds a token that is already answered, which changes nothing. `check-status` removes its own
//! answered registration itself, because a copy of the function may run long afterwards. The delete is conditional. A
//! newer registration (AwaitBuild timed out and began again) therefore stays, and its own read follows. An attempt that
//! is older than the registration it finds gives way to it.
//!
//! Both parties are state machines that take the reply to their last command and give the next. The test below runs
//! them through every interleaving; the functions run them against AWS.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::workflow::build_outcome::BuildOutcome;

/// A task token of Step Functions. Its owner can answer for the build, so it is never printed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Takes a token from the state machine's context.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token itself, for the answer.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The registration that is stored under a build's id while an execution waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Registration {
    /// The waiting task's token.
    pub token: Token,
    /// When AwaitBuild was entered (ISO 8601, so that text order is time order).
    pub entered_at: String,
    /// The state's retry count when the token was created.
    pub attempt: u32,
}

impl Registration {
    /// Whether this attempt began after the other.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (&self.entered_at, self.attempt) > (&other.entered_at, other.attempt)
    }
}

/// The identity of a stored registration; it changes with every write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

/// A party's next command.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// Store the registration unless one exists.
    Create(Registration),
    /// Store the registration in place of the one with this tag.
    Replace(Registration, ETag),
    /// Look up the registration.
    Find,
    /// Read the build's status.
    ReadBuild,
    /// Answer the token with the build's outcome.
    Answer(Token, Box<BuildOutcome>),
    /// Delete the registration with this tag.
    Delete(ETag),
}

/// The reply to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To Create and Replace: stored, with this tag.
    Stored(ETag),
    /// To Create, Replace and Delete: the stored registration does not meet the condition.
    Conflict,
    /// To Find.
    Found(Option<(Registration, ETag)>),
    /// To ReadBuild: the build's outcome, or `None` while it runs.
    Build(Option<Box<BuildOutcome>>),
    /// To Answer: taken, or refused because the task was answered or given up before. Both end the task.
    Answered,
    /// To Delete: removed, by us or by another party.
    Deleted,
}

/// The step after a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallbackStep {
    /// Execute this command.
    Do(Command),
    /// Finished, with this result.
    Done(End),
}

/// The result of a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The build is running; its event will answer.
    Waiting,
    /// The token is answered, by us or before us.
    Answered,
    /// A newer registration has replaced ours.
    Superseded,
    /// No registration was found.
    Dropped,
    /// The event reports an end, but CodeBuild reports that the build is running.
    Unconfirmed,
}

/// One of the two parties: it takes the reply to its last command and gives the next.
pub trait Party {
    /// The next step after a reply.
    fn next(&mut self, reply: Reply) -> CallbackStep;
}

/// The party of `check-status`: it registers, then reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Register {
    mine: Registration,
    tag: Option<ETag>,
    answered: bool,
}

impl Register {
    /// Begins with a registration.
    #[must_use]
    pub fn start(mine: Registration) -> (Self, Command) {
        (
            Self {
                mine: mine.clone(),
                tag: None,
                answered: false,
            },
            Command::Create(mine),
        )
    }

    fn registered(&mut self, tag: ETag) -> CallbackStep {
        self.tag = Some(tag);
        CallbackStep::Do(Command::ReadBuild)
    }
}

impl Party for Register {
    fn next(&mut self, reply: Reply) -> CallbackStep {
        match reply {
            Reply::Stored(tag) => self.registered(tag),
            // Another registration exists, or existed a moment ago: look it up.
            Reply::Conflict if !self.answered => CallbackStep::Do(Command::Find),
            Reply::Found(None) => CallbackStep::Do(Command::Create(self.mine.clone())),
            // Lambda ran us twice: the registration is already ours.
            Reply::Found(Some((found, tag))) if found.token == self.mine.token => self.registered(tag),
            Reply::Found(Some((found, _))) if found.is_newer_than(&self.mine) => {
                CallbackStep::Done(End::Superseded)
            }
            Reply::Found(Some((_, tag))) => CallbackStep::Do(Command::Replace(self.mine.clone(), tag)),
            Reply::Build(None) => CallbackStep::Done(End::Waiting),
            Reply::Build(Some(outcome)) => {
                CallbackStep::Do(Command::Answer(self.mine.token.clone(), outcome))
            }
            Reply::Answered => {
                self.answered = true;
                self.tag.take().map_or(CallbackStep::Done(End::Answered), |tag| {
                    CallbackStep::Do(Command::Delete(tag))
                })
            }
            // The newer registration's own attempt reads the ended build.
            Reply::Deleted | Reply::Conflict => CallbackStep::Done(End::Answered),
        }
    }
}

/// The party of `build-event`: it looks up, reads and answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Deliver {
    token: Option<Token>,
}

impl Deliver {
    /// Begins when an event reports the end of the build.
    #[must_use]
    pub fn start() -> (Self, Command) {
        (Self::default(), Command::Find)
    }
}

impl Party for Deliver {
    fn next(&mut self, reply: Reply) -> CallbackStep {
        match reply {
            // If AwaitBuild registers again meanwhile, that attempt reads the ended build itself.
            Reply::Found(Some((found, _))) => {
                self.token = Some(found.token);
                CallbackStep::Do(Command::ReadBuild)
            }
            Reply::Found(None) => CallbackStep::Done(End::Dropped),
            Reply::Build(None) => CallbackStep::Done(End::Unconfirmed),
            Reply::Build(Some(outcome)) => self
                .token
                .take()
                .map_or(CallbackStep::Done(End::Dropped), |token| {
                    CallbackStep::Do(Command::Answer(token, outcome))
                }),
            Reply::Answered | Reply::Deleted | Reply::Conflict | Reply::Stored(_) => {
                CallbackStep::Done(End::Answered)
            }
        }
    }
}

#[cfg(test)]
mod tests;
