//! One execution of a module at a time, and of a whole deployment.
//!
//! Every module has one lock, and so has every deployment: an object in S3 that is only ever changed on condition that it is still the one
//! that was read. It says who holds it ([`Lock::holder`]), under which fencing number, and who waits. An
//! execution that finds it held waits by its task token and is woken by the release; only the newest waits,
//! because an older one would deploy what is out of date by the time that its turn comes: it ends as superseded
//! and names the execution that replaced it.
//!
//! A lock is released when its execution has ended, however it ended, and as a rule by one party only, `end-execution`.
//! Before that it is marked `stopped` if the execution was ended from outside, and from then on no function
//! writes in its name: each asks [`Lock::check`] before it writes. Where `end-execution` could not release it for half an hour,
//! because AWS refuses it every time, the next claimant takes it over ([`Lock::is_overdue`]). What Step Functions answers
//! about a holder is eventually consistent; [`Lock::has_ended`] says what follows from it.
//!
//! [`decide`] is the whole protocol: what was found, and what is wanted, give the one conditional write to make and
//! the tokens to answer after it. A conflict means that something else was found: read and decide again. The test
//! below runs random schedules of it, with crashes at every step, against a model that knows only what has to hold.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorName, Result};
use crate::ids::{BuildFolder, DeploymentId, ExecutionArn, ModuleId};
use crate::workflow::callback::{Registration, Token};

/// How old a lock has to be before a holder that Step Functions doesn't know counts as ended and forgotten: an execution that
/// was started a moment ago may not be visible yet (API reference, DescribeExecution: "This operation is eventually
/// consistent").
pub const VISIBLE_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// How Step Functions describes an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It runs.
    Running,
    /// It has ended, and when, where that is known.
    Ended(Option<Timestamp>),
    /// Step Functions doesn't know it: it was forgotten, 90 days after its end, or isn't visible yet.
    Unknown,
}

/// What one execution at a time may work on.
pub trait Lockable: Clone + fmt::Display + Serialize {
    /// The key of its lock in the work bucket.
    fn lock_key(&self) -> String;
}

impl Lockable for ModuleId {
    fn lock_key(&self) -> String {
        self.lock_key()
    }
}

impl Lockable for DeploymentId {
    fn lock_key(&self) -> String {
        self.lock_key()
    }
}

/// An execution that wants to deploy, and since when: later ones replace earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimant {
    /// The execution.
    pub execution: ExecutionArn,
    /// When it was started, as its context says.
    pub started_at: Timestamp,
    /// The execution of a whole deployment that started it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<ExecutionArn>,
    /// It replaces nobody, whenever it was started: it does less than the others, which would be lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces_nobody: bool,
}

impl Claimant {
    /// Whether this one was started later, and so replaces the other; one that replaces nobody counts as older than all that
    /// do. Of two started in the same millisecond the names decide, so that all parties agree.
    fn is_newer_than(&self, other: &Self) -> bool {
        let rank = |one: &Self| {
            (
                !one.replaces_nobody,
                one.started_at,
                one.execution.as_str().to_owned(),
            )
        };
        rank(self) > rank(other)
    }
}

/// An execution that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiter {
    /// Who waits.
    #[serde(flatten)]
    pub contender: Claimant,
    /// The token to wake it with.
    #[serde(flatten)]
    pub registration: Registration,
}

/// To whom a lock was handed by its last holder: kept, so that the one who handed it over can answer the token
/// again when it died before the answer was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// The execution that had ended.
    pub by: ExecutionArn,
    /// The token of the new holder.
    pub token: Token,
}

/// The lock of a module as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Who deploys.
    pub holder: Claimant,
    /// Grows with every holder of the module, over deletions of the object too.
    pub fence: u64,
    /// The unguessable name of this deployment.
    pub run: BuildFolder,
    /// Since when the holder has it; unknown of a lock that an older version took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquired_at: Option<Timestamp>,
    /// The holder was ended from outside: nothing is written in its name any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Until when nobody takes it over: the holder has ended, and a build of its that could not be stopped runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_until: Option<Timestamp>,
    /// Who is next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiter: Option<Waiter>,
    /// How it came to this holder, if not by its own claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<HandOver>,
}

impl Lock {
    /// A lock for a new holder. The clock in milliseconds makes a fencing number that grows even where the last
    /// object was deleted; where there is a last number, it grows whatever the clock says.
    fn new(holder: Claimant, last_fence: u64, fresh: &NewLease) -> Self {
        let clock = u64::try_from(fresh.now.as_millisecond()).unwrap_or_default();
        Self {
            holder,
            fence: clock.max(last_fence + 1),
            run: fresh.run.clone(),
            acquired_at: Some(fresh.now),
            stopped: false,
            kept_until: None,
            waiter: None,
            handed_over: None,
        }
    }

    fn held_since(&self) -> Timestamp {
        self.acquired_at.unwrap_or(self.holder.started_at)
    }

    /// Since when an execution holds it or waits for it, as far as that is known; `None` where it does neither.
    #[must_use]
    pub fn names_since(&self, execution: &ExecutionArn) -> Option<Timestamp> {
        if self.holder.execution == *execution {
            return Some(self.held_since());
        }
        let waiter = self.waiter.as_ref()?;
        (waiter.contender.execution == *execution).then_some(waiter.contender.started_at)
    }

    /// Whether the holder has ended, by what Step Functions answers about it.
    #[must_use]
    pub fn has_ended(&self, seen: Seen, now: Timestamp) -> bool {
        match seen {
            Seen::Running => false,
            Seen::Unknown => now.duration_since(self.held_since()) >= VISIBLE_AFTER,
            Seen::Ended(_) => true,
        }
    }

    /// Whether the time is over that `end-execution` got to release the lock of a holder that has ended: the next claimant takes
    /// it over. The first claimant that finds such a holder gives that time, when it starts `end-execution`, and
    /// `end-execution` itself gives more for a build that can't be stopped ([`LockRequest::Keep`]).
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.kept_until.is_some_and(|until| now >= until)
    }

    /// What the holder is told.
    #[must_use]
    pub fn held<S: Lockable>(&self, of: &S) -> Lease<S> {
        Lease {
            of: of.clone(),
            fence: self.fence,
            run: self.run.clone(),
            started_at: Some(self.holder.started_at),
            acquired_at: self.acquired_at,
            part_of: self.holder.part_of.clone(),
        }
    }

    /// Refuses a writer that doesn't hold the lock any more; `found` is what is stored.
    ///
    /// # Errors
    /// `LockLost`, which names who holds it now.
    pub fn check<S: Lockable>(found: Option<&Self>, held: &Lease<S>, execution: &ExecutionArn) -> Result<()> {
        let now = match found {
            Some(lock) if lock.holder.execution != *execution || lock.fence != held.fence => {
                format!("held by {}", lock.holder.execution.as_str())
            }
            Some(lock) if lock.stopped => "marked as stopped, because the execution was ended".to_owned(),
            Some(_) => return Ok(()),
            None => "released, because the execution was ended".to_owned(),
        };
        Err(Error::new(
            ErrorName::LockLost,
            format!(
                "{}: found the lock {now}; {} may not write any more. Start a new execution if this one was redriven",
                held.of.lock_key(),
                execution.as_str()
            ),
        ))
    }
}

/// What travels with an execution that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease<S = ModuleId> {
    /// Whose lock it is.
    pub of: S,
    /// The fencing number to check before each write.
    pub fence: u64,
    /// The unguessable name of this deployment.
    pub run: BuildFolder,
    /// When the execution was started.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it got the lock.
    #[serde(default)]
    pub acquired_at: Option<Timestamp>,
    /// The execution of a whole deployment that started it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<ExecutionArn>,
}

/// What is new in a decision: the clock, and a name for the deployment that may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLease {
    /// The clock.
    pub now: Timestamp,
    /// Random.
    pub run: BuildFolder,
}

/// What somebody wants of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockRequest {
    /// To hold it.
    Claim(Claimant),
    /// To hold it, or else to be woken when it is free.
    Wait(Waiter),
    /// To hold it in the place of an execution that ended long ago.
    TakeOver(Claimant, ExecutionArn),
    /// That nothing is written in the name of this ended execution.
    Stop(ExecutionArn),
    /// That nobody takes it over from this ended execution before then.
    Keep(ExecutionArn, Timestamp),
    /// That this ended execution neither holds it nor waits.
    Release(ExecutionArn),
}

/// The one write of a decision, on condition that what was found is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockWrite {
    /// Store this.
    Put(Box<Lock>),
    /// Remove the object.
    Delete,
}

/// What an execution is told of its claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockOutcome {
    /// It holds the lock.
    Acquired(Lock),
    /// Another holds it.
    Held(Lock),
    /// A newer execution holds it or waits.
    Superseded(ExecutionArn),
}

/// A turn as the state machine hears it, from the function's answer or by the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LockResponse<S = ModuleId> {
    /// Go on.
    Acquired {
        /// To be shown with every write.
        lock: Lease<S>,
    },
    /// Wait by a token.
    Waiting,
    /// End.
    Superseded {
        /// The execution that deploys in its place.
        superseded_by: ExecutionArn,
    },
}

impl LockOutcome {
    /// As the state machine hears it.
    #[must_use]
    pub fn told<S: Lockable>(&self, of: &S) -> LockResponse<S> {
        match self {
            Self::Acquired(lock) => LockResponse::Acquired { lock: lock.held(of) },
            Self::Held(_) => LockResponse::Waiting,
            Self::Superseded(by) => LockResponse::Superseded {
                superseded_by: by.clone(),
            },
        }
    }
}

/// What follows from what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockDecision {
    /// First this; nothing else holds if its condition doesn't.
    pub write: Option<LockWrite>,
    /// Then these tokens are answered.
    pub answers: Vec<(Token, LockOutcome)>,
    /// How it stands then for who asked; `None` after a release, and for who was not the holder.
    pub turn: Option<LockOutcome>,
}

impl LockDecision {
    fn nothing(turn: Option<LockOutcome>) -> Self {
        Self {
            write: None,
            answers: Vec::new(),
            turn,
        }
    }

    fn put(lock: Lock, answers: Vec<(Token, LockOutcome)>, turn: Option<LockOutcome>) -> Self {
        Self {
            write: Some(LockWrite::Put(Box::new(lock))),
            answers,
            turn,
        }
    }
}

/// What to do about a lock that was found so.
#[must_use]
pub fn decide(want: &LockRequest, found: Option<&Lock>, fresh: &NewLease) -> LockDecision {
    match want {
        LockRequest::Claim(me) => claim(me, found, fresh),
        LockRequest::Wait(me) => wait(me, found, fresh),
        LockRequest::TakeOver(me, from) => take_over(me, from, found, fresh),
        LockRequest::Stop(ended) => stop(ended, found),
        LockRequest::Keep(ended, until) => keep(ended, *until, found),
        LockRequest::Release(ended) => release(ended, found, fresh),
    }
}

fn claim(me: &Claimant, found: Option<&Lock>, fresh: &NewLease) -> LockDecision {
    let Some(lock) = found else {
        let lock = Lock::new(me.clone(), 0, fresh);
        return LockDecision::put(lock.clone(), Vec::new(), Some(LockOutcome::Acquired(lock)));
    };
    let newer = |other: &Claimant| other.is_newer_than(me) && other.execution != me.execution;
    let waiter = lock.waiter.as_ref().map(|waiter| &waiter.contender);
    LockDecision::nothing(Some(if lock.holder.execution == me.execution {
        LockOutcome::Acquired(lock.clone())
    } else if newer(&lock.holder) {
        LockOutcome::Superseded(lock.holder.execution.clone())
    } else if let Some(waiter) = waiter.filter(|waiter| newer(waiter)) {
        LockOutcome::Superseded(waiter.execution.clone())
    } else {
        LockOutcome::Held(lock.clone())
    }))
}

/// A claim that becomes a registration where the lock is held. What is decided at once is answered by the token
/// as well: whoever waits by a token hears nothing else.
fn wait(me: &Waiter, found: Option<&Lock>, fresh: &NewLease) -> LockDecision {
    let claimed = claim(&me.contender, found, fresh);
    let Some(LockOutcome::Held(lock)) = &claimed.turn else {
        let turn = claimed.turn.clone();
        let answers = turn.map(|turn| (me.registration.token.clone(), turn));
        return LockDecision {
            answers: answers.into_iter().collect(),
            ..claimed
        };
    };
    let mine = Lock {
        waiter: Some(me.clone()),
        ..lock.clone()
    };
    let turn = Some(LockOutcome::Held(mine.clone()));
    match &lock.waiter {
        // Ours already: by an earlier try with the same token, or by a later try that overtook this one.
        Some(there)
            if there.contender.execution == me.contender.execution
                && !me.registration.is_newer_than(&there.registration) =>
        {
            LockDecision::nothing(turn)
        }
        Some(there) if there.contender.execution != me.contender.execution => {
            let replaced = LockOutcome::Superseded(me.contender.execution.clone());
            LockDecision::put(mine, vec![(there.registration.token.clone(), replaced)], turn)
        }
        _ => LockDecision::put(mine, Vec::new(), turn),
    }
}

/// A claim to which a holder counts for nothing, but a newer one that waits goes first: it takes over itself.
fn take_over(me: &Claimant, from: &ExecutionArn, found: Option<&Lock>, fresh: &NewLease) -> LockDecision {
    let Some(lock) = found.filter(|lock| lock.holder.execution == *from) else {
        return claim(me, found, fresh);
    };
    let other = lock
        .waiter
        .as_ref()
        .filter(|waiter| waiter.contender.execution != me.execution);
    if let Some(newer) = other.filter(|waiter| waiter.contender.is_newer_than(me)) {
        return LockDecision::nothing(Some(LockOutcome::Superseded(newer.contender.execution.clone())));
    }
    let mine = Lock::new(me.clone(), lock.fence, fresh);
    let replaced = |waiter: &Waiter| {
        (
            waiter.registration.token.clone(),
            LockOutcome::Superseded(me.execution.clone()),
        )
    };
    let answers = other.map(replaced).into_iter().collect();
    LockDecision::put(mine.clone(), answers, Some(LockOutcome::Acquired(mine)))
}

fn keep(ended: &ExecutionArn, until: Timestamp, found: Option<&Lock>) -> LockDecision {
    match found {
        Some(lock) if lock.holder.execution == *ended => {
            let kept = Lock {
                // Never less than it has already.
                kept_until: lock.kept_until.max(Some(until)),
                ..lock.clone()
            };
            LockDecision::put(kept.clone(), Vec::new(), Some(LockOutcome::Acquired(kept)))
        }
        _ => LockDecision::nothing(None),
    }
}

fn stop(ended: &ExecutionArn, found: Option<&Lock>) -> LockDecision {
    match found {
        Some(lock) if lock.holder.execution == *ended && !lock.stopped => {
            let stopped = Lock {
                stopped: true,
                ..lock.clone()
            };
            LockDecision::put(stopped.clone(), Vec::new(), Some(LockOutcome::Acquired(stopped)))
        }
        Some(lock) if lock.holder.execution == *ended => {
            LockDecision::nothing(Some(LockOutcome::Acquired(lock.clone())))
        }
        _ => LockDecision::nothing(None),
    }
}

fn release(ended: &ExecutionArn, found: Option<&Lock>, fresh: &NewLease) -> LockDecision {
    let Some(lock) = found else {
        return LockDecision::nothing(None);
    };
    if lock.holder.execution == *ended {
        return match &lock.waiter {
            None => LockDecision {
                write: Some(LockWrite::Delete),
                answers: Vec::new(),
                turn: None,
            },
            Some(next) => {
                let token = next.registration.token.clone();
                let handed = Lock {
                    handed_over: Some(HandOver {
                        by: ended.clone(),
                        token: token.clone(),
                    }),
                    ..Lock::new(next.contender.clone(), lock.fence, fresh)
                };
                LockDecision::put(handed.clone(), vec![(token, LockOutcome::Acquired(handed))], None)
            }
        };
    }
    if lock
        .waiter
        .as_ref()
        .is_some_and(|w| w.contender.execution == *ended)
    {
        let without = Lock {
            waiter: None,
            ..lock.clone()
        };
        return LockDecision::put(without, Vec::new(), None);
    }
    // We handed it over before, and may have died before the new holder heard of it.
    let answers = lock.handed_over.as_ref().filter(|over| over.by == *ended);
    let answers = answers.map(|over| (over.token.clone(), LockOutcome::Acquired(lock.clone())));
    LockDecision {
        answers: answers.into_iter().collect(),
        ..LockDecision::nothing(None)
    }
}

#[cfg(test)]
mod tests;
