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
pub enum Step {
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
    fn next(&mut self, reply: Reply) -> Step;
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

    fn registered(&mut self, tag: ETag) -> Step {
        self.tag = Some(tag);
        Step::Do(Command::ReadBuild)
    }
}

impl Party for Register {
    fn next(&mut self, reply: Reply) -> Step {
        match reply {
            Reply::Stored(tag) => self.registered(tag),
            // Another registration exists, or existed a moment ago: look it up.
            Reply::Conflict if !self.answered => Step::Do(Command::Find),
            Reply::Found(None) => Step::Do(Command::Create(self.mine.clone())),
            // Lambda ran us twice: the registration is already ours.
            Reply::Found(Some((found, tag))) if found.token == self.mine.token => self.registered(tag),
            Reply::Found(Some((found, _))) if found.is_newer_than(&self.mine) => Step::Done(End::Superseded),
            Reply::Found(Some((_, tag))) => Step::Do(Command::Replace(self.mine.clone(), tag)),
            Reply::Build(None) => Step::Done(End::Waiting),
            Reply::Build(Some(outcome)) => Step::Do(Command::Answer(self.mine.token.clone(), outcome)),
            Reply::Answered => {
                self.answered = true;
                self.tag
                    .take()
                    .map_or(Step::Done(End::Answered), |tag| Step::Do(Command::Delete(tag)))
            }
            // The newer registration's own attempt reads the ended build.
            Reply::Deleted | Reply::Conflict => Step::Done(End::Answered),
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
    fn next(&mut self, reply: Reply) -> Step {
        match reply {
            // If AwaitBuild registers again meanwhile, that attempt reads the ended build itself.
            Reply::Found(Some((found, _))) => {
                self.token = Some(found.token);
                Step::Do(Command::ReadBuild)
            }
            Reply::Found(None) => Step::Done(End::Dropped),
            Reply::Build(None) => Step::Done(End::Unconfirmed),
            Reply::Build(Some(outcome)) => self.token.take().map_or(Step::Done(End::Dropped), |token| {
                Step::Do(Command::Answer(token, outcome))
            }),
            Reply::Answered | Reply::Deleted | Reply::Conflict | Reply::Stored(_) => {
                Step::Done(End::Answered)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    //! Every interleaving of all possible events around one build, by depth-first search.
    //!
    //! The reference model is the world below: one S3 object with conditional writes, one build, and Step Functions,
    //! which holds one live token and takes one answer for it.

    use std::collections::HashSet;

    use super::*;
    use crate::ids::BuildId;
    use crate::workflow::build_outcome::BuildStatus;

    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    enum Actor {
        Register(Register),
        Deliver(Deliver),
    }

    /// Events that may still happen, besides the parties' own steps.
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct Chances {
        /// Copies of the build's event that are delivered after its end.
        events: u8,
        /// Optional time-outs of AwaitBuild.
        timeouts: u8,
        /// Function invocations that may crash between two steps; AWS starts them again.
        crashes: u8,
        /// Forged events that report an end while the build runs.
        forged: u8,
        /// Stale reads that still report a running build after its end and its event.
        stale: u8,
    }

    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct World {
        ended: bool,
        object: Option<(Registration, ETag)>,
        writes: u32,
        live: Option<Token>,
        attempts: u32,
        accepted: u32,
        forced_timeouts: u32,
        parties: Vec<(Actor, Command)>,
        chances: Chances,
    }

    fn outcome() -> BuildOutcome {
        BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded)
    }

    impl World {
        /// An execution that has just entered AwaitBuild, with `runs` starts of its Lambda function.
        fn new(runs: usize, chances: Chances) -> Self {
            let mut world = Self {
                ended: false,
                object: None,
                writes: 0,
                live: None,
                attempts: 0,
                accepted: 0,
                forced_timeouts: 0,
                parties: Vec::new(),
                chances,
            };
            (0..runs).for_each(|_| world.register(false));
            world
        }

        fn register(&mut self, again: bool) {
            if again || self.live.is_none() {
                self.attempts += 1;
                self.live = Some(Token::new(format!("t{}", self.attempts)));
            }
            let mine = Registration {
                token: self.live.clone().unwrap(),
                entered_at: format!("{}", self.attempts),
                attempt: 0,
            };
            let (register, command) = Register::start(mine);
            self.parties.push((Actor::Register(register), command));
        }

        fn deliver(&mut self) {
            let (deliver, command) = Deliver::start();
            self.parties.push((Actor::Deliver(deliver), command));
        }

        fn run(&mut self, command: Command) -> Reply {
            let matches = |object: &Option<(Registration, ETag)>, tag: &ETag| {
                object.as_ref().is_some_and(|(_, t)| t == tag)
            };
            match command {
                Command::Create(registration) if self.object.is_none() => self.store(registration),
                Command::Replace(registration, tag) if matches(&self.object, &tag) => {
                    self.store(registration)
                }
                Command::Create(_) | Command::Replace(..) => Reply::Conflict,
                Command::Find => Reply::Found(self.object.clone()),
                Command::ReadBuild => Reply::Build(self.ended.then(|| Box::new(outcome()))),
                Command::Answer(token, _) => {
                    assert!(self.ended, "answered for a build that runs: {self:?}");
                    if self.live.as_ref() == Some(&token) {
                        self.live = None;
                        self.accepted += 1;
                    }
                    Reply::Answered
                }
                Command::Delete(tag) if matches(&self.object, &tag) => {
                    self.object = None;
                    Reply::Deleted
                }
                Command::Delete(_) if self.object.is_none() => Reply::Deleted,
                Command::Delete(_) => Reply::Conflict,
            }
        }

        fn store(&mut self, registration: Registration) -> Reply {
            self.writes += 1;
            let tag = ETag(format!("e{}", self.writes));
            self.object = Some((registration, tag.clone()));
            Reply::Stored(tag)
        }

        fn step(mut self, index: usize) -> Self {
            let (party, command) = self.parties.remove(index);
            let reply = self.run(command);
            self.reply(index, party, reply)
        }

        /// A stale read: the build has ended, but the read reports that it is running.
        fn read_stale(mut self, index: usize) -> Option<Self> {
            let (_, command) = self.parties.get(index)?;
            if *command != Command::ReadBuild || !self.ended || self.chances.stale == 0 {
                return None;
            }
            self.chances.stale -= 1;
            let (party, _) = self.parties.remove(index);
            Some(self.reply(index, party, Reply::Build(None)))
        }

        fn reply(mut self, index: usize, mut party: Actor, reply: Reply) -> Self {
            let next = match &mut party {
                Actor::Register(register) => register.next(reply),
                Actor::Deliver(deliver) => deliver.next(reply),
            };
            match next {
                Step::Do(command) => self.parties.insert(index, (party, command)),
                // Lambda retries a failed event; a forged event is not repeated for ever.
                Step::Done(End::Unconfirmed) if self.ended => self.deliver(),
                Step::Done(_) => {}
            }
            self
        }

        fn crash(mut self, index: usize) -> Self {
            self.chances.crashes -= 1;
            match self.parties.remove(index).0 {
                // Step Functions retries the state with a new token. If no task waits any more, there is no retry.
                Actor::Register(_) => {
                    if self.live.is_some() {
                        self.register(true);
                    }
                }
                Actor::Deliver(_) => self.deliver(),
            }
            self
        }

        /// All possible next worlds.
        fn successors(&self) -> Vec<Self> {
            let mut next: Vec<Self> = (0..self.parties.len()).map(|i| self.clone().step(i)).collect();
            let with = |change: &dyn Fn(&mut Self)| {
                let mut world = self.clone();
                change(&mut world);
                world
            };
            if !self.ended {
                next.push(with(&|w| w.ended = true));
            }
            if self.ended && self.chances.events > 0 {
                next.push(with(&|w| {
                    w.chances.events -= 1;
                    w.deliver();
                }));
            }
            if !self.ended && self.chances.forged > 0 {
                next.push(with(&|w| {
                    w.chances.forged -= 1;
                    w.deliver();
                }));
            }
            next.extend((0..self.parties.len()).filter_map(|i| self.clone().read_stale(i)));
            if self.live.is_some() && self.chances.timeouts > 0 {
                next.push(with(&|w| {
                    w.chances.timeouts -= 1;
                    w.register(true);
                }));
            }
            if self.chances.crashes > 0 {
                next.extend((0..self.parties.len()).map(|i| self.clone().crash(i)));
            }
            // If nothing else can happen and a task still waits, AwaitBuild times out and begins again.
            let still = self.parties.is_empty() && self.ended && self.chances.events == 0;
            if still && self.live.is_some() {
                next.push(with(&|w| {
                    // Ten minutes after a build's end no read is stale any more.
                    w.chances.stale = 0;
                    w.forced_timeouts += 1;
                    w.register(true);
                }));
            }
            next
        }
    }

    /// Visits every reachable world and checks each world at rest. Returns the number of worlds.
    fn explore(start: World, check: impl Fn(&World)) -> usize {
        let mut seen = HashSet::from([start.clone()]);
        let mut open = vec![start];
        while let Some(world) = open.pop() {
            assert!(world.accepted <= 1, "answered twice: {world:?}");
            assert!(
                world.forced_timeouts <= 1,
                "one timeout must be enough: {world:?}"
            );
            let next = world.successors();
            if next.is_empty()
                || (world.parties.is_empty() && world.live.is_none() && world.chances.events == 0)
            {
                check(&world);
            }
            open.extend(next.into_iter().filter(|w| seen.insert(w.clone())));
        }
        seen.len()
    }

    fn ends_in_exactly_one_answer(world: &World) {
        assert_eq!(world.accepted, 1, "{world:?}");
        // The object that is left belongs to an answered token; end-execution removes it.
        let left = world.object.as_ref();
        assert!(
            left.is_none_or(|(left, _)| world.live.as_ref() != Some(&left.token)),
            "{world:?}"
        );
    }

    #[test]
    fn every_order_ends_in_exactly_one_answer() {
        let mut worlds = 0;
        for runs in 1..=2 {
            for events in 0..=2 {
                for timeouts in 0..=1 {
                    let chances = Chances {
                        events,
                        timeouts,
                        crashes: 0,
                        forged: 0,
                        stale: 0,
                    };
                    worlds += explore(World::new(runs, chances), ends_in_exactly_one_answer);
                }
            }
        }
        assert!(worlds > 1000, "the search has to reach more than {worlds} worlds");
    }

    #[test]
    fn no_event_answers_for_a_build_that_runs_and_none_is_lost_because_codebuild_is_behind() {
        for events in 0..=2 {
            for (forged, stale) in [(1, 0), (0, 1), (1, 1)] {
                let chances = Chances {
                    events,
                    timeouts: 0,
                    crashes: 0,
                    forged,
                    stale,
                };
                explore(World::new(1, chances), ends_in_exactly_one_answer);
            }
        }
    }

    #[test]
    fn every_order_with_a_crash_ends_in_exactly_one_answer() {
        for events in 0..=2 {
            for timeouts in 0..=1 {
                explore(
                    World::new(
                        1,
                        Chances {
                            events,
                            timeouts,
                            crashes: 1,
                            forged: 0,
                            stale: 0,
                        },
                    ),
                    ends_in_exactly_one_answer,
                );
            }
        }
    }

    #[test]
    fn with_an_event_nobody_has_to_wait_for_a_timeout() {
        for events in 1..=2 {
            for timeouts in 0..=1 {
                explore(
                    World::new(
                        2,
                        Chances {
                            events,
                            timeouts,
                            crashes: 0,
                            forged: 0,
                            stale: 0,
                        },
                    ),
                    |world| assert_eq!(world.forced_timeouts, 0, "{world:?}"),
                );
            }
        }
    }

    #[test]
    fn a_token_shows_itself_nowhere() {
        let registration = Registration {
            token: Token::new("secret"),
            entered_at: "1".into(),
            attempt: 0,
        };
        assert!(!format!("{registration:?} {:?}", Register::start(registration.clone())).contains("secret"));
    }
}
