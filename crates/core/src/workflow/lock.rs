//! One execution at a time for each module and for each deployment (decisions 21 and 37).
//!
//! Every module and every deployment has one lock: an object in S3 that changes only by conditional writes against the
//! version that was read. The object names the holder ([`Lock::holder`]), its fencing number, and the execution that
//! waits. An execution that finds the lock held waits by its task token, and the release wakes it. Only the newest
//! execution waits. An older one would deploy outdated input by the time its lock is granted, so it ends as superseded
//! and names the execution that replaced it.
//!
//! A lock is released when its execution has ended, however it ended. As a rule only `end-execution` releases it. If
//! the execution was ended from outside, the lock is first marked `stopped`. From then on no function writes in the
//! execution's name, because each calls [`Lock::check`] before it writes. If `end-execution` cannot release the lock
//! for half an hour, because AWS refuses every attempt, the next claimant takes it over ([`Lock::is_overdue`]). Step
//! Functions' answers about a holder are eventually consistent; [`Lock::has_ended`] takes this into account.
//!
//! This file has what is stored and what is asked for. [`crate::workflow::lock_decision`] is the protocol. Its test runs
//! random schedules with crashes at every step, against a model that knows only the invariants.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorName, Result};
use crate::ids::{BuildFolder, DeploymentId, ExecutionArn, ModuleId};
use crate::started_by::StartedBy;
use crate::workflow::callback::{Registration, Token};

/// The minimum age of a lock before a holder that Step Functions does not know counts as ended and deleted. An
/// execution that has just started may not be visible yet (API reference, DescribeExecution: "This operation is
/// eventually consistent").
pub const VISIBLE_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// The state of an execution according to Step Functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is running.
    Running,
    /// It has ended. The time is `None` if it is not known.
    Ended(Option<Timestamp>),
    /// Step Functions does not know it: it was deleted 90 days after its end, or is not visible yet.
    Unknown,
}

/// A resource that one execution at a time may work on.
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

/// An execution that wants to deploy, and its start time. Later executions replace earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimant {
    /// The execution.
    pub execution: ExecutionArn,
    /// Its start time, from its context.
    pub started_at: Timestamp,
    /// The execution of a whole deployment that started it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<ExecutionArn>,
    /// Who started it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<StartedBy>,
    /// It replaces no other execution, whenever it was started. It does less than the others, and their work would be
    /// lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces_nobody: bool,
    /// The commit that it deploys, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Claimant {
    /// An execution by its name and its start, for a caller that knows nothing else about it. It replaces older ones.
    #[must_use]
    pub const fn new(execution: ExecutionArn, started_at: Timestamp) -> Self {
        Self {
            execution,
            started_at,
            part_of: None,
            started_by: None,
            replaces_nobody: false,
            commit: None,
        }
    }

    /// Whether this execution started later and so replaces the other. One that replaces none counts as older than all
    /// that do. If two started in the same millisecond, their names decide, so that all parties agree.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
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

/// An execution that waits for the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiter {
    /// The execution that waits.
    #[serde(flatten)]
    pub claimant: Claimant,
    /// The token to wake it with.
    #[serde(flatten)]
    pub registration: Registration,
}

/// The hand-over of a lock by its last holder. It is kept so that the releasing function can answer the token again if
/// it crashed before it sent the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// The execution that ended.
    pub by: ExecutionArn,
    /// The token of the new holder.
    pub token: Token,
}

/// The lock of a module, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The execution that deploys.
    pub holder: Claimant,
    /// The fencing number. It grows with every holder, even if the object is deleted in between.
    pub fence: u64,
    /// The unguessable build folder of this deployment (decision 22).
    pub run: BuildFolder,
    /// When the holder acquired it. Unknown for a lock that an older version wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquired_at: Option<Timestamp>,
    /// The holder was ended from outside: nothing may be written in its name any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// No takeover before this time: the holder has ended, but a build of its own that could not be stopped is still
    /// running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_until: Option<Timestamp>,
    /// The execution that is next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiter: Option<Waiter>,
    /// How the holder got the lock, if not by its own claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<HandOver>,
}

impl Lock {
    /// A lock for a new holder. The clock in milliseconds gives a fencing number that grows even if the last object was
    /// deleted. If there is a last number, the new one is greater whatever the clock says.
    pub(super) fn new(holder: Claimant, last_fence: u64, fresh: &NewLease) -> Self {
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

    /// When an execution acquired the lock or began to wait for it, if known. `None` if it does neither.
    #[must_use]
    pub fn names_since(&self, execution: &ExecutionArn) -> Option<Timestamp> {
        if self.holder.execution == *execution {
            return Some(self.held_since());
        }
        let waiter = self.waiter.as_ref()?;
        (waiter.claimant.execution == *execution).then_some(waiter.claimant.started_at)
    }

    /// Whether an execution holds the lock and was not ended from outside.
    #[must_use]
    pub fn is_held_by(&self, execution: &ExecutionArn) -> bool {
        self.holder.execution == *execution && !self.stopped
    }

    /// Whether the holder has ended, according to Step Functions.
    #[must_use]
    pub fn has_ended(&self, seen: Seen, now: Timestamp) -> bool {
        match seen {
            Seen::Running => false,
            Seen::Unknown => now.duration_since(self.held_since()) >= VISIBLE_AFTER,
            Seen::Ended(_) => true,
        }
    }

    /// Whether `end-execution` has used up its time to release the lock of an ended holder. If so, the next claimant
    /// takes it over. The time begins with the first claimant that finds such a holder and starts `end-execution`.
    /// `end-execution` extends it for a build that cannot be stopped ([`LockRequest::Keep`]).
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.kept_until.is_some_and(|until| now >= until)
    }

    /// The request that follows when a claimant finds that the holder has ended. The first claimant gives
    /// `end-execution` the time `grace` to release the lock; a claimant after that time takes the lock over (decision
    /// 33).
    #[must_use]
    pub fn after_the_holder_ended(
        &self,
        request: LockRequest,
        now: Timestamp,
        grace: SignedDuration,
    ) -> Option<LockRequest> {
        let ended = self.holder.execution.clone();
        match request {
            LockRequest::Claim(me) if self.is_overdue(now) => Some(LockRequest::TakeOver(me, ended)),
            _ if self.kept_until.is_none() => Some(LockRequest::Keep(ended, now + grace)),
            _ => None,
        }
    }

    /// The lease of the holder.
    #[must_use]
    pub fn held<S: Lockable>(&self, of: &S) -> Lease<S> {
        Lease {
            of: of.clone(),
            fence: self.fence,
            run: self.run.clone(),
            started_at: Some(self.holder.started_at),
            acquired_at: self.acquired_at,
            part_of: self.holder.part_of.clone(),
            started_by: self.holder.started_by.clone(),
        }
    }

    /// Refuses a writer that no longer holds the lock; `found` is the stored lock.
    ///
    /// # Errors
    /// `LockLost`, with the execution that holds it now.
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

/// A held lock. It travels with the execution that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease<S = ModuleId> {
    /// The module or deployment that is locked.
    pub of: S,
    /// The fencing number to check before each write.
    pub fence: u64,
    /// The unguessable build folder of this deployment.
    pub run: BuildFolder,
    /// When the execution was started.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When the lock was granted.
    #[serde(default)]
    pub acquired_at: Option<Timestamp>,
    /// The execution of a whole deployment that started it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<ExecutionArn>,
    /// Who started the execution, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<StartedBy>,
}

/// Clock and random build folder for a lease that this decision may grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLease {
    /// The current time.
    pub now: Timestamp,
    /// A random build folder.
    pub run: BuildFolder,
}

/// A request to the lock protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockRequest {
    /// Acquire it.
    Claim(Claimant),
    /// Acquire it, or wait and be woken when it is free.
    Wait(Waiter),
    /// Acquire it from an execution that ended long ago.
    TakeOver(Claimant, ExecutionArn),
    /// Refuse further writes in the name of this ended execution.
    Stop(ExecutionArn),
    /// Refuse takeovers from this ended execution until the given time.
    Keep(ExecutionArn, Timestamp),
    /// Release it for this ended execution, and end its wait.
    Release(ExecutionArn),
}

impl LockRequest {
    /// The claim of an execution, which waits if it has a registration.
    #[must_use]
    pub fn of(claimant: Claimant, waiting: Option<Registration>) -> Self {
        match waiting {
            None => Self::Claim(claimant),
            Some(registration) => Self::Wait(Waiter {
                claimant,
                registration,
            }),
        }
    }
}

/// Whose lock keeps a claimant from deploying.
#[derive(Debug, PartialEq, Eq)]
pub enum Blocker<'a> {
    /// This lock.
    Lock(&'a Lock),
    /// The lock of this execution, which has to be read.
    Holder(&'a ExecutionArn),
}

/// The result of an execution's claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockOutcome {
    /// It holds the lock.
    Acquired(Lock),
    /// Another execution holds it.
    Held(Lock),
    /// A newer execution holds it or waits.
    Superseded(Box<Claimant>),
}

/// Lock outcome, as returned to the state machine by the function's answer or by the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LockResponse<S = ModuleId> {
    /// Continue.
    Acquired {
        /// The lease to present with every write.
        lock: Lease<S>,
    },
    /// Wait by a token.
    Waiting,
    /// End the execution.
    Superseded {
        /// The execution that deploys instead.
        superseded_by: ExecutionArn,
        /// The commit that it deploys, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        superseded_by_commit: Option<String>,
    },
}

impl LockOutcome {
    /// The outcome in log lines.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Acquired(_) => "acquired",
            Self::Held(_) => "held by another",
            Self::Superseded(_) => "superseded",
        }
    }

    /// The lock of another execution, if the claimant may be its next holder and so has to look whether that execution still
    /// runs. A superseded claimant is not next, except one that replaces nobody: every holder counts as newer than such a
    /// claimant.
    #[must_use]
    pub fn blocker(&self, request: &LockRequest) -> Option<Blocker<'_>> {
        match (self, request) {
            (Self::Held(lock), _) => Some(Blocker::Lock(lock)),
            (Self::Superseded(by), LockRequest::Claim(me)) if me.replaces_nobody => {
                Some(Blocker::Holder(&by.execution))
            }
            _ => None,
        }
    }

    /// Fails an execution that found the lock held and may not wait: the next whole deployment would replace it.
    ///
    /// # Errors
    /// `DeploymentBusy`, with the execution that deploys.
    pub fn refuse_to_wait(&self, deployment: &DeploymentId) -> Result<()> {
        let holder = match self {
            Self::Acquired(_) => return Ok(()),
            Self::Held(lock) => &lock.holder.execution,
            Self::Superseded(by) => &by.execution,
        };
        Err(Error::new(
            ErrorName::DeploymentBusy,
            format!(
                "{deployment}: {} is deploying it; start this again when that execution has ended. Only deployments without \"only\" wait for each other",
                holder.as_str()
            ),
        ))
    }

    /// The outcome in the form that the state machine reads.
    #[must_use]
    pub fn response<S: Lockable>(&self, of: &S) -> LockResponse<S> {
        match self {
            Self::Acquired(lock) => LockResponse::Acquired { lock: lock.held(of) },
            Self::Held(_) => LockResponse::Waiting,
            Self::Superseded(by) => LockResponse::Superseded {
                superseded_by: by.execution.clone(),
                superseded_by_commit: by.commit.clone(),
            },
        }
    }
}
