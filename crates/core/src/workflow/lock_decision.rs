//! The protocol of the lock ([`crate::workflow::lock`]), as a pure function.
//!
//! [`decide`] maps the stored lock and a request to the one conditional write to make and the tokens to answer after it. A
//! conflict means that the stored lock has changed: read it and decide again.

use jiff::Timestamp;

use crate::ids::ExecutionArn;
use crate::workflow::callback::Token;
use crate::workflow::lock::{Claimant, HandOver, Lock, LockOutcome, LockRequest, NewLease, Waiter};

/// The one write of a decision, conditional on the stored lock being unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockWrite {
    /// Store this.
    Put(Box<Lock>),
    /// Remove the object.
    Delete,
}

/// The consequences of a stored lock and a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockDecision {
    /// The write comes first. If its condition fails, the rest of the decision is void.
    pub write: Option<LockWrite>,
    /// The tokens to answer after the write.
    pub answers: Vec<(Token, LockOutcome)>,
    /// The outcome for the requester. `None` after a release, and for a requester that was not the holder.
    pub outcome: Option<LockOutcome>,
}

impl LockDecision {
    fn nothing(outcome: Option<LockOutcome>) -> Self {
        Self {
            write: None,
            answers: Vec::new(),
            outcome,
        }
    }

    fn put(lock: Lock, answers: Vec<(Token, LockOutcome)>, outcome: Option<LockOutcome>) -> Self {
        Self {
            write: Some(LockWrite::Put(Box::new(lock))),
            answers,
            outcome,
        }
    }
}

/// Decides what to do about the stored lock.
#[must_use]
pub fn decide(request: &LockRequest, found: Option<&Lock>, fresh: &NewLease) -> LockDecision {
    match request {
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
    let waiter = lock.waiter.as_ref().map(|waiter| &waiter.claimant);
    LockDecision::nothing(Some(if lock.holder.execution == me.execution {
        LockOutcome::Acquired(lock.clone())
    } else if newer(&lock.holder) {
        LockOutcome::Superseded(Box::new(lock.holder.clone()))
    } else if let Some(waiter) = waiter.filter(|waiter| newer(waiter)) {
        LockOutcome::Superseded(Box::new(waiter.clone()))
    } else {
        LockOutcome::Held(lock.clone())
    }))
}

/// A claim that becomes a registration if the lock is held. An immediate outcome is answered by the token as well,
/// because an execution that waits by a token receives nothing else.
fn wait(me: &Waiter, found: Option<&Lock>, fresh: &NewLease) -> LockDecision {
    let claimed = claim(&me.claimant, found, fresh);
    let Some(LockOutcome::Held(lock)) = &claimed.outcome else {
        let outcome = claimed.outcome.clone();
        let answers = outcome.map(|outcome| (me.registration.token.clone(), outcome));
        return LockDecision {
            answers: answers.into_iter().collect(),
            ..claimed
        };
    };
    let mine = Lock {
        waiter: Some(me.clone()),
        ..lock.clone()
    };
    let outcome = Some(LockOutcome::Held(mine.clone()));
    match &lock.waiter {
        // The lease is ours already: by an earlier attempt with the same token, or by a later attempt that overtook
        // this one.
        Some(there)
            if there.claimant.execution == me.claimant.execution
                && !me.registration.is_newer_than(&there.registration) =>
        {
            LockDecision::nothing(outcome)
        }
        Some(there) if there.claimant.execution != me.claimant.execution => {
            let replaced = LockOutcome::Superseded(Box::new(me.claimant.clone()));
            LockDecision::put(mine, vec![(there.registration.token.clone(), replaced)], outcome)
        }
        _ => LockDecision::put(mine, Vec::new(), outcome),
    }
}

/// A claim that ignores the holder. A newer execution that waits goes first: it takes over itself.
fn take_over(me: &Claimant, from: &ExecutionArn, found: Option<&Lock>, fresh: &NewLease) -> LockDecision {
    let Some(lock) = found.filter(|lock| lock.holder.execution == *from) else {
        return claim(me, found, fresh);
    };
    let other = lock
        .waiter
        .as_ref()
        .filter(|waiter| waiter.claimant.execution != me.execution);
    if let Some(newer) = other.filter(|waiter| waiter.claimant.is_newer_than(me)) {
        return LockDecision::nothing(Some(LockOutcome::Superseded(Box::new(newer.claimant.clone()))));
    }
    let mine = Lock::new(me.clone(), lock.fence, fresh);
    let replaced = |waiter: &Waiter| {
        (
            waiter.registration.token.clone(),
            LockOutcome::Superseded(Box::new(me.clone())),
        )
    };
    let answers = other.map(replaced).into_iter().collect();
    LockDecision::put(mine.clone(), answers, Some(LockOutcome::Acquired(mine)))
}

fn keep(ended: &ExecutionArn, until: Timestamp, found: Option<&Lock>) -> LockDecision {
    match found {
        Some(lock) if lock.holder.execution == *ended => {
            let kept = Lock {
                // Never shortened.
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
                outcome: None,
            },
            Some(next) => {
                let token = next.registration.token.clone();
                let handed = Lock {
                    handed_over: Some(HandOver {
                        by: ended.clone(),
                        token: token.clone(),
                    }),
                    ..Lock::new(next.claimant.clone(), lock.fence, fresh)
                };
                LockDecision::put(handed.clone(), vec![(token, LockOutcome::Acquired(handed))], None)
            }
        };
    }
    if lock
        .waiter
        .as_ref()
        .is_some_and(|w| w.claimant.execution == *ended)
    {
        let without = Lock {
            waiter: None,
            ..lock.clone()
        };
        return LockDecision::put(without, Vec::new(), None);
    }
    // We handed the lock over before, and may have crashed before we answered the new holder's token.
    let answers = lock.handed_over.as_ref().filter(|over| over.by == *ended);
    let answers = answers.map(|over| (over.token.clone(), LockOutcome::Acquired(lock.clone())));
    LockDecision {
        answers: answers.into_iter().collect(),
        ..LockDecision::nothing(None)
    }
}

#[cfg(test)]
mod tests;
