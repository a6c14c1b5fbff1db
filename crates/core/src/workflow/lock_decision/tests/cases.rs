//! Single decisions, one by one.

use super::*;

fn lock_of(of: usize) -> Lock {
    let fresh = NewLease {
        now: Timestamp::from_millisecond(5).unwrap(),
        run: BuildFolder::from_random([7; 16]),
    };
    Lock::new(claimant(of), 0, &fresh)
}

#[test]
fn a_holder_counts_as_ended_by_what_step_functions_says_and_the_clock() {
    use Seen::{Ended, Running, Unknown};
    let minute = |minute: i64| Timestamp::from_second(60 * minute).unwrap();
    let lock = Lock {
        acquired_at: Some(minute(100)),
        ..lock_of(1)
    };
    // A lock of an older version has no time of its own: the start of its holder counts.
    let undated = Lock {
        acquired_at: None,
        ..lock.clone()
    };
    for (lock, seen, now, expected) in [
        (&lock, Running, 10_000, false),
        // Not visible yet, or already deleted by Step Functions.
        (&lock, Unknown, 99, false),
        (&lock, Unknown, 109, false),
        (&lock, Unknown, 110, true),
        (&undated, Unknown, 5, false),
        (&undated, Unknown, 109, true),
        (&lock, Ended(Some(minute(300))), 300, true),
        (&lock, Ended(None), 101, true),
    ] {
        assert_eq!(
            lock.has_ended(seen, minute(now)),
            expected,
            "{seen:?} in minute {now}"
        );
    }
}

#[test]
fn a_lock_is_overdue_only_after_the_time_that_its_release_was_given() {
    let minute = |minute: i64| Timestamp::from_second(60 * minute).unwrap();
    let kept = |until: Option<i64>| Lock {
        kept_until: until.map(minute),
        ..lock_of(1)
    };
    // However long ago its holder ended: no clean-up has been tried yet.
    assert!(!kept(None).is_overdue(minute(10_000)));
    assert!(!kept(Some(30)).is_overdue(minute(29)));
    assert!(kept(Some(30)).is_overdue(minute(30)));
}

#[test]
fn a_lock_is_kept_for_its_holder_only_and_no_longer_than_it_holds_it() {
    let fresh = NewLease {
        now: Timestamp::from_millisecond(5).unwrap(),
        run: BuildFolder::from_random([8; 16]),
    };
    let until = Timestamp::from_second(9).unwrap();
    let keep = |of: usize| decide(&LockRequest::Keep(arn(of), until), Some(&lock_of(1)), &fresh);
    let kept = Lock {
        kept_until: Some(until),
        ..lock_of(1)
    };
    assert_eq!(keep(1).write, Some(LockWrite::Put(Box::new(kept.clone()))));
    assert_eq!((keep(2).write, keep(2).outcome), (None, None));
    let waiter = Waiter {
        claimant: claimant(2),
        registration: Registration {
            token: Token::new("t"),
            entered_at: "1".into(),
            attempt: 0,
        },
    };
    let awaited = Lock {
        waiter: Some(waiter),
        ..kept
    };
    let released = decide(&LockRequest::Release(arn(1)), Some(&awaited), &fresh);
    let Some(LockWrite::Put(next)) = released.write else {
        panic!("it is handed on")
    };
    assert_eq!((next.holder, next.kept_until), (claimant(2), None));
}

#[test]
fn a_lock_is_taken_over_from_the_one_that_ended_and_from_no_other() {
    let fresh = NewLease {
        now: Timestamp::from_millisecond(5).unwrap(),
        run: BuildFolder::from_random([8; 16]),
    };
    let waits = |of: usize| Waiter {
        claimant: claimant(of),
        registration: Registration {
            token: Token::new(format!("t{of}")),
            entered_at: "1".into(),
            attempt: 0,
        },
    };
    let found = |waiter: Option<Waiter>| Lock { waiter, ..lock_of(1) };
    let decided = |found: &Lock| decide(&LockRequest::TakeOver(claimant(3), arn(1)), Some(found), &fresh);
    let acquired = |decision: &LockDecision| match (&decision.write, &decision.outcome) {
        (Some(LockWrite::Put(lock)), Some(LockOutcome::Acquired(acquired))) => {
            **lock == *acquired && lock.holder == claimant(3)
        }
        _ => false,
    };
    let alone = decided(&found(None));
    assert!(acquired(&alone) && alone.answers.is_empty());
    // No other execution waits: the registration is its own, from before its wait timed out.
    assert!(acquired(&decided(&found(Some(waits(3))))));
    let older = decided(&found(Some(waits(2))));
    assert!(acquired(&older));
    assert_eq!(
        older.answers,
        [(Token::new("t2"), LockOutcome::Superseded(Box::new(claimant(3))))]
    );
    let newer = decided(&found(Some(waits(4))));
    assert_eq!(
        (newer.write, newer.outcome),
        (None, Some(LockOutcome::Superseded(Box::new(claimant(4)))))
    );
    // Another execution holds it by now.
    let other = decided(&lock_of(2));
    assert_eq!(
        (other.write, other.outcome),
        (None, Some(LockOutcome::Held(lock_of(2))))
    );
}

#[test]
fn an_execution_that_lost_the_lock_may_not_write_and_learns_the_holder() {
    let module = ModuleId::parse("p", "d", "g", "m").unwrap();
    let lock = lock_of(1);
    let held = lock.held(&module);
    assert_eq!(Lock::check(Some(&lock), &held, &arn(1)), Ok(()));
    let stopped = Lock {
        stopped: true,
        ..lock.clone()
    };
    let again = Lock {
        fence: lock.fence + 1,
        ..lock.clone()
    };
    for (found, word) in [
        (Some(lock_of(2)), "held by e2"),
        (Some(stopped), "marked as stopped"),
        (Some(again), "held by e1"),
        (None, "released"),
    ] {
        let error = Lock::check(found.as_ref(), &held, &arn(1)).unwrap_err();
        assert_eq!(error.name, ErrorName::LockLost);
        assert!(error.message.contains(word), "{error}");
        assert!(error.message.contains("locks/p/d/g/m.json"), "{error}");
    }
}

#[test]
fn an_execution_that_does_less_replaces_none_and_is_known_by_its_own_start() {
    let part = Claimant {
        replaces_nobody: true,
        ..claimant(9)
    };
    let fresh = NewLease {
        now: Timestamp::from_millisecond(5).unwrap(),
        run: BuildFolder::from_random([7; 16]),
    };
    let held = |holder: &Claimant| Lock::new(holder.clone(), 0, &fresh);
    let claimed =
        |me: &Claimant, lock: &Lock| decide(&LockRequest::Claim(me.clone()), Some(lock), &fresh).outcome;
    // Even a later start does not let a partial execution replace one that deploys everything.
    let whole = claimant(1);
    assert!(matches!(
        claimed(&whole, &held(&part)),
        Some(LockOutcome::Held(_))
    ));
    assert_eq!(
        claimed(&part, &held(&whole)),
        Some(LockOutcome::Superseded(Box::new(whole.clone())))
    );
    let module = ModuleId::parse("p", "d", "g", "m").unwrap();
    assert_eq!(held(&part).held(&module).started_at, Some(part.started_at));
}

#[test]
fn a_lock_reads_as_it_was_written_and_shows_no_token() {
    let waiter = Waiter {
        claimant: claimant(2),
        registration: Registration {
            token: Token::new("secret"),
            entered_at: "1".into(),
            attempt: 3,
        },
    };
    let lock = Lock {
        waiter: Some(waiter),
        handed_over: Some(HandOver {
            by: arn(0),
            token: Token::new("secret"),
        }),
        stopped: true,
        ..lock_of(1)
    };
    let text = serde_json::to_string(&lock).unwrap();
    assert_eq!(serde_json::from_str::<Lock>(&text).unwrap(), lock);
    assert!(!format!("{lock:?}").contains("secret"));
}

#[test]
fn a_holder_that_has_ended_gets_time_once_and_is_then_replaced_by_a_claimant() {
    let (grace, now) = (SignedDuration::from_secs(5), Timestamp::UNIX_EPOCH);
    let lock = lock_of(1);
    let ended = lock.holder.execution.clone();
    let kept = Lock {
        kept_until: Some(now + grace),
        ..lock.clone()
    };
    let claim = || LockRequest::Claim(claimant(2));
    let wait = || {
        LockRequest::Wait(Waiter {
            claimant: claimant(2),
            registration: Registration {
                token: Token::new("t"),
                entered_at: "1".into(),
                attempt: 0,
            },
        })
    };
    let keep = LockRequest::Keep(ended.clone(), now + grace);
    for request in [claim(), wait()] {
        assert_eq!(
            lock.after_the_holder_ended(request, now, grace),
            Some(keep.clone())
        );
    }
    let after = |request, now| kept.after_the_holder_ended(request, now, grace);
    assert_eq!(after(claim(), now), None);
    let taken = LockRequest::TakeOver(claimant(2), ended);
    assert_eq!(after(claim(), now + grace), Some(taken));
    // An execution that waits is woken by the release, or replaced by the next claimant.
    assert_eq!(after(wait(), now + grace), None);
}

#[test]
fn who_may_not_wait_fails_with_the_execution_that_deploys() {
    let name = |text: &str| crate::ids::Name::parse("name", text).unwrap();
    let deployment = DeploymentId {
        project: name("p"),
        deployment: name("d"),
    };
    let lock = lock_of(1);
    let holder = lock.holder.execution.as_str().to_owned();
    let refused = |outcome: LockOutcome| {
        outcome
            .refuse_to_wait(&deployment)
            .map_err(|e| (e.name, e.message))
    };
    assert_eq!(refused(LockOutcome::Acquired(lock.clone())), Ok(()));
    for outcome in [
        LockOutcome::Held(lock.clone()),
        LockOutcome::Superseded(Box::new(lock.holder.clone())),
    ] {
        let (name, message) = refused(outcome).unwrap_err();
        assert_eq!(name, ErrorName::DeploymentBusy);
        assert!(
            message.starts_with(&format!("p/d: {holder} is deploying it")),
            "{message}"
        );
    }
}

#[test]
fn a_superseded_execution_names_the_commit_that_replaced_it() {
    let newer = Claimant {
        commit: Some("c0ffee".to_owned()),
        ..claimant(2)
    };
    let fresh = NewLease {
        now: Timestamp::from_millisecond(5).unwrap(),
        run: BuildFolder::from_random([7; 16]),
    };
    let lock = Lock::new(newer, 0, &fresh);
    let found = decide(&LockRequest::Claim(claimant(1)), Some(&lock), &fresh);
    let module = ModuleId::parse("p", "d", "g", "m").unwrap();
    let response = |outcome: LockOutcome| serde_json::to_value(outcome.response(&module)).unwrap();
    assert_eq!(
        response(found.outcome.unwrap()),
        serde_json::json!({"state": "SUPERSEDED", "superseded_by": "e2", "superseded_by_commit": "c0ffee"})
    );
    let unknown = LockOutcome::Superseded(Box::new(claimant(3)));
    assert_eq!(
        response(unknown),
        serde_json::json!({"state": "SUPERSEDED", "superseded_by": "e3"})
    );
}

#[test]
fn a_claimant_looks_after_the_holder_that_it_may_follow() {
    let (me, small) = (
        claimant(2),
        Claimant {
            replaces_nobody: true,
            ..claimant(2)
        },
    );
    let lock = lock_of(1);
    let held = LockOutcome::Held(lock.clone());
    let superseded = LockOutcome::Superseded(Box::new(claimant(3)));
    let claim = |claimant: &Claimant| LockRequest::of(claimant.clone(), None);
    assert_eq!(held.blocker(&claim(&me)), Some(Blocker::Lock(&lock)));
    assert_eq!(superseded.blocker(&claim(&me)), None, "a newer one is next");
    assert_eq!(superseded.blocker(&claim(&small)), Some(Blocker::Holder(&arn(3))));
    assert_eq!(LockOutcome::Acquired(lock).blocker(&claim(&me)), None);
}
