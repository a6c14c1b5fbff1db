//! Random schedules of everything that can happen around one lock, checked against a model that knows only the
//! invariants.
//!
//! The world is one S3 object with conditional writes, Step Functions with its tokens, and functions that read, write
//! and answer as [`decide`] says. A function makes one call at a time and may crash after any of them. The reference
//! model is short: at most one live execution holds the lock; fencing numbers grow; a superseded execution names a
//! newer one; the newest execution that was not ended from outside deploys; nothing is left at the end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use jiff::SignedDuration;

use super::*;
use crate::error::ErrorName;
use crate::ids::{BuildFolder, DeploymentId, ModuleId};
use crate::workflow::callback::Registration;
use crate::workflow::lock::*;

/// The state of an execution, as Step Functions sees it.
#[derive(Debug, Clone, PartialEq)]
enum ExecutionState {
    Claiming,
    Waiting(Token),
    Deploying(u64),
    Superseded(ExecutionArn),
    Deployed,
    Aborted,
}

impl ExecutionState {
    fn has_ended(&self) -> bool {
        matches!(self, Self::Superseded(_) | Self::Deployed | Self::Aborted)
    }
}

/// A running function: its request and its progress.
#[derive(Debug, Clone)]
struct Function {
    of: usize,
    want: LockRequest,
    step: Step,
}

#[derive(Debug, Clone)]
enum Step {
    Read,
    Write(LockDecision, u64),
    Answer(LockDecision),
}

#[derive(Debug, Default)]
struct World {
    executions: Vec<ExecutionState>,
    functions: Vec<Function>,
    object: Option<Lock>,
    version: u64,
    clock: i64,
    tokens: u32,
    fences: Vec<u64>,
}

fn arn(index: usize) -> ExecutionArn {
    ExecutionArn::new(format!("e{index}"))
}

fn contender(index: usize) -> Claimant {
    Claimant {
        commit: None,
        execution: arn(index),
        started_at: Timestamp::from_second(i64::try_from(index).unwrap()).unwrap(),
        part_of: None,
        started_by: None,
        replaces_nobody: false,
    }
}

fn index(execution: &ExecutionArn) -> usize {
    execution.as_str()[1..].parse().unwrap()
}

impl World {
    fn fresh(&mut self) -> NewLease {
        // Deleting a lock and creating a new one takes longer than the functions' clocks differ, and longer than the
        // few milliseconds by which hand-overs may have taken the number ahead of the clock.
        self.clock += if self.object.is_some() { 0 } else { 30 };
        let skew = [1, 0, -2, 5][usize::try_from(self.version % 4).unwrap()];
        NewLease {
            now: Timestamp::from_millisecond(1_000 + self.clock + skew).unwrap(),
            run: BuildFolder::from_random([u8::try_from(self.version % 251).unwrap(); 16]),
        }
    }

    fn spawn(&mut self, of: usize, want: LockRequest) {
        self.functions.push(Function {
            of,
            want,
            step: Step::Read,
        });
    }

    fn start(&mut self) {
        let of = self.executions.len();
        self.executions.push(ExecutionState::Claiming);
        self.spawn(of, LockRequest::Claim(contender(of)));
    }

    fn wait(&mut self, of: usize) {
        self.tokens += 1;
        let registration = Registration {
            token: Token::new(format!("t{}", self.tokens)),
            entered_at: format!("{:08}", self.tokens),
            attempt: 0,
        };
        self.executions[of] = ExecutionState::Waiting(registration.token.clone());
        let contender = contender(of);
        self.spawn(
            of,
            LockRequest::Wait(Waiter {
                contender,
                registration,
            }),
        );
    }

    fn end(&mut self, of: usize, as_: ExecutionState, event: bool) {
        let aborted = as_ == ExecutionState::Aborted;
        self.executions[of] = as_;
        if !event {
            return;
        }
        if aborted {
            self.spawn(of, LockRequest::Stop(arn(of)));
        } else {
            self.spawn(of, LockRequest::Release(arn(of)));
        }
    }

    /// One call of a function, and its consequences.
    fn step(&mut self, at: usize) {
        let Function { of, want, step } = self.functions.remove(at);
        let next = match step {
            Step::Read => {
                let fresh = self.fresh();
                Some(Step::Write(
                    decide(&want, self.object.as_ref(), &fresh),
                    self.version,
                ))
            }
            Step::Write(decision, read) => Some(self.write(decision, read)),
            Step::Answer(mut decision) if !decision.answers.is_empty() => {
                let (token, outcome) = decision.answers.remove(0);
                self.answer(&token, &outcome);
                Some(Step::Answer(decision))
            }
            Step::Answer(decision) => {
                self.finish(of, &want, decision.outcome);
                None
            }
        };
        if let Some(step) = next {
            self.functions.insert(at, Function { of, want, step });
        }
    }

    fn write(&mut self, decision: LockDecision, read: u64) -> Step {
        match &decision.write {
            Some(_) if self.version != read => return Step::Read,
            Some(LockWrite::Put(lock)) => self.object = Some(*lock.clone()),
            Some(LockWrite::Delete) => self.object = None,
            None => return Step::Answer(decision),
        }
        self.version += 1;
        Step::Answer(decision)
    }

    /// Step Functions takes an answer for a waiting task. If no task waits by the token and its execution has ended,
    /// the answering function releases the lock in its name.
    fn answer(&mut self, token: &Token, outcome: &LockOutcome) {
        let waits = ExecutionState::Waiting(token.clone());
        if let Some(of) = self.executions.iter().position(|execution| *execution == waits) {
            self.deliver(of, outcome.clone());
        } else if let LockOutcome::Acquired(lock) = outcome {
            let holder = lock.holder.execution.clone();
            if self.executions[index(&holder)].has_ended() {
                self.spawn(index(&holder), LockRequest::Release(holder));
            }
        }
    }

    fn deliver(&mut self, of: usize, outcome: LockOutcome) {
        match outcome {
            LockOutcome::Acquired(lock) => {
                // Answered twice: by the hand-over and by its own claim after a time-out.
                if self.fences.last() != Some(&lock.fence) {
                    let last = self.fences.last().copied().unwrap_or_default();
                    assert!(lock.fence > last, "{} after {last}", lock.fence);
                    self.fences.push(lock.fence);
                }
                self.executions[of] = ExecutionState::Deploying(lock.fence);
            }
            LockOutcome::Superseded(by) => {
                let by = by.execution;
                assert!(index(&by) > of, "{of} gives way to the older {by:?}");
                self.end(of, ExecutionState::Superseded(by), true);
            }
            LockOutcome::Held(lock) => {
                // acquire-lock checks whether the holder is alive, and starts the clean-up that a lost event would have
                // started. Sometimes the holder ended so long ago that none of its functions runs any more; then
                // acquire-lock takes the lock over.
                let holder = index(&lock.holder.execution);
                if self.executions[holder].has_ended() {
                    if self.executions[of] == ExecutionState::Claiming && self.is_long_over(holder) {
                        self.spawn(of, LockRequest::TakeOver(contender(of), arn(holder)));
                        return;
                    }
                    self.spawn(holder, LockRequest::Release(arn(holder)));
                }
                self.wait(of);
            }
        }
    }

    fn finish(&mut self, of: usize, want: &LockRequest, outcome: Option<LockOutcome>) {
        match (want, outcome) {
            (LockRequest::Claim(_) | LockRequest::TakeOver(..), Some(outcome))
                if self.executions[of] == ExecutionState::Claiming =>
            {
                self.deliver(of, outcome);
            }
            // Its functions have ended by now: see `zombies`.
            (LockRequest::Stop(_), _) => self.spawn(of, LockRequest::Release(arn(of))),
            _ => {}
        }
    }

    /// A function crashes. Step Functions starts it again if its execution still needs it.
    fn crash(&mut self, at: usize) {
        let Function { of, want, .. } = self.functions.remove(at);
        match want {
            LockRequest::Stop(_) | LockRequest::Release(_) | LockRequest::Keep(..) => self.spawn(of, want),
            LockRequest::TakeOver(me, _) if self.executions[of] == ExecutionState::Claiming => {
                self.spawn(of, LockRequest::Claim(me))
            }
            LockRequest::Claim(_) if self.executions[of] == ExecutionState::Claiming => self.spawn(of, want),
            LockRequest::Wait(me)
                if self.executions[of] == ExecutionState::Waiting(me.registration.token.clone()) =>
            {
                self.wait(of);
            }
            LockRequest::Claim(_) | LockRequest::Wait(_) | LockRequest::TakeOver(..) => {}
        }
    }

    /// Whether an execution ended long enough ago, with its lock unreleased for half an hour, to be taken over.
    fn is_long_over(&self, of: usize) -> bool {
        self.version.is_multiple_of(2) && !self.zombies(of)
    }

    fn check(&self) {
        let deploying: Vec<usize> = (0..self.executions.len())
            .filter(|i| matches!(self.executions[*i], ExecutionState::Deploying(_)))
            .collect();
        assert!(deploying.len() <= 1, "at once: {deploying:?}");
        if let [one] = deploying[..] {
            let lock = self.object.as_ref().expect("the lock of the deploying execution");
            assert_eq!(lock.holder.execution, arn(one));
            assert!(!lock.stopped);
        }
    }

    /// Whether a claim of an ended execution is still under way. `end-execution` reads the history and waits for these
    /// claims before it releases.
    fn zombies(&self, of: usize) -> bool {
        let claims = |f: &Function| {
            f.of == of
                && matches!(
                    f.want,
                    LockRequest::Claim(_) | LockRequest::Wait(_) | LockRequest::TakeOver(..)
                )
        };
        self.functions.iter().any(claims)
    }

    /// A function that can take its next step now.
    fn ready(&self) -> Vec<usize> {
        let waits_for_zombies = |f: &Function| {
            matches!((&f.want, &f.step), (LockRequest::Release(_), Step::Read)) && self.zombies(f.of)
        };
        (0..self.functions.len())
            .filter(|i| !waits_for_zombies(&self.functions[*i]))
            .collect()
    }

    /// Runs until nothing more can happen: functions and deployments end, and waits time out.
    fn come_to_rest(&mut self) {
        for _ in 0..10_000 {
            self.check();
            if let Some(at) = self.ready().first() {
                self.step(*at);
            } else if let Some(of) = self.find(|s| matches!(s, ExecutionState::Deploying(_))) {
                self.end(of, ExecutionState::Deployed, true);
            } else if let Some(of) = self.find(|s| matches!(s, ExecutionState::Waiting(_))) {
                self.time_out(of);
            } else {
                return;
            }
        }
        panic!("no rest: {self:?}");
    }

    fn time_out(&mut self, of: usize) {
        self.executions[of] = ExecutionState::Claiming;
        self.spawn(of, LockRequest::Claim(contender(of)));
    }

    fn find(&self, is: impl Fn(&ExecutionState) -> bool) -> Option<usize> {
        self.executions.iter().position(is)
    }

    /// One possible event, chosen by two numbers.
    fn happen(&mut self, what: u8, which: usize) {
        let pick = |n: usize| (n > 0).then(|| which % n);
        let one_of = |list: Vec<usize>| pick(list.len()).map(|i| list[i]);
        let executions = |world: &Self, is: &dyn Fn(&ExecutionState) -> bool| -> Vec<usize> {
            (0..world.executions.len())
                .filter(|i| is(&world.executions[*i]))
                .collect()
        };
        match what {
            0..=1 if self.executions.len() < 8 => self.start(),
            2 => {
                if let Some(of) = one_of(executions(self, &|s| matches!(s, ExecutionState::Deploying(_)))) {
                    self.end(of, ExecutionState::Deployed, !which.is_multiple_of(4));
                }
            }
            3 => {
                if let Some(of) = one_of(executions(self, &|s| !s.has_ended())) {
                    self.end(of, ExecutionState::Aborted, !which.is_multiple_of(4));
                }
            }
            4 => {
                if let Some(of) = one_of(executions(self, &|s| matches!(s, ExecutionState::Waiting(_)))) {
                    self.time_out(of);
                }
            }
            5 => {
                if let Some(at) = pick(self.functions.len()) {
                    self.crash(at);
                }
            }
            _ => {
                if let Some(at) = one_of(self.ready()) {
                    self.step(at);
                }
            }
        }
        self.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_schedule_ends_with_the_newest_deployed_and_nothing_left(
        schedule in prop::collection::vec((0u8..20, 0usize..1000), 0..200)
    ) {
        let mut world = World::default();
        for (what, which) in schedule {
            world.happen(what, which);
        }
        world.come_to_rest();
        // If the event of an end is lost, the next execution cleans up. This one is the newest.
        world.start();
        world.come_to_rest();
        prop_assert_eq!(world.executions.last(), Some(&ExecutionState::Deployed));
        prop_assert_eq!(&world.object, &None);
        for execution in &world.executions {
            prop_assert!(execution.has_ended(), "{execution:?}");
        }
    }

    #[test]
    fn a_burst_costs_two_deployments_at_most(order in prop::collection::vec(0usize..1000, 60)) {
        let mut world = World::default();
        (0..10).for_each(|_| world.start());
        // All have claimed or are waiting before the first deployment ends.
        for which in order {
            world.happen(10, which);
        }
        world.come_to_rest();
        let deployed = world.executions.iter().filter(|s| **s == ExecutionState::Deployed).count();
        prop_assert!((1..=2).contains(&deployed), "{deployed}: {:?}", world.executions);
        prop_assert_eq!(&world.executions[9], &ExecutionState::Deployed);
        prop_assert_eq!(&world.object, &None);
    }
}

fn lock_of(of: usize) -> Lock {
    let fresh = NewLease {
        now: Timestamp::from_millisecond(5).unwrap(),
        run: BuildFolder::from_random([7; 16]),
    };
    Lock::new(contender(of), 0, &fresh)
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
        contender: contender(2),
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
    assert_eq!((next.holder, next.kept_until), (contender(2), None));
}

#[test]
fn a_lock_is_taken_over_from_the_one_that_ended_and_from_no_other() {
    let fresh = NewLease {
        now: Timestamp::from_millisecond(5).unwrap(),
        run: BuildFolder::from_random([8; 16]),
    };
    let waits = |of: usize| Waiter {
        contender: contender(of),
        registration: Registration {
            token: Token::new(format!("t{of}")),
            entered_at: "1".into(),
            attempt: 0,
        },
    };
    let found = |waiter: Option<Waiter>| Lock { waiter, ..lock_of(1) };
    let decided = |found: &Lock| decide(&LockRequest::TakeOver(contender(3), arn(1)), Some(found), &fresh);
    let acquired = |decision: &LockDecision| match (&decision.write, &decision.outcome) {
        (Some(LockWrite::Put(lock)), Some(LockOutcome::Acquired(acquired))) => {
            **lock == *acquired && lock.holder == contender(3)
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
        [(Token::new("t2"), LockOutcome::Superseded(Box::new(contender(3))))]
    );
    let newer = decided(&found(Some(waits(4))));
    assert_eq!(
        (newer.write, newer.outcome),
        (None, Some(LockOutcome::Superseded(Box::new(contender(4)))))
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
        ..contender(9)
    };
    let fresh = NewLease {
        now: Timestamp::from_millisecond(5).unwrap(),
        run: BuildFolder::from_random([7; 16]),
    };
    let held = |holder: &Claimant| Lock::new(holder.clone(), 0, &fresh);
    let claimed =
        |me: &Claimant, lock: &Lock| decide(&LockRequest::Claim(me.clone()), Some(lock), &fresh).outcome;
    // Even a later start does not let a partial execution replace one that deploys everything.
    let whole = contender(1);
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
        contender: contender(2),
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
    let claim = || LockRequest::Claim(contender(2));
    let wait = || {
        LockRequest::Wait(Waiter {
            contender: contender(2),
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
    let taken = LockRequest::TakeOver(contender(2), ended);
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
        ..contender(2)
    };
    let fresh = NewLease {
        now: Timestamp::from_millisecond(5).unwrap(),
        run: BuildFolder::from_random([7; 16]),
    };
    let lock = Lock::new(newer, 0, &fresh);
    let found = decide(&LockRequest::Claim(contender(1)), Some(&lock), &fresh);
    let module = ModuleId::parse("p", "d", "g", "m").unwrap();
    let response = |outcome: LockOutcome| serde_json::to_value(outcome.response(&module)).unwrap();
    assert_eq!(
        response(found.outcome.unwrap()),
        serde_json::json!({"state": "SUPERSEDED", "superseded_by": "e2", "superseded_by_commit": "c0ffee"})
    );
    let unknown = LockOutcome::Superseded(Box::new(contender(3)));
    assert_eq!(
        response(unknown),
        serde_json::json!({"state": "SUPERSEDED", "superseded_by": "e3"})
    );
}
