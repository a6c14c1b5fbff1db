//! Random schedules of everything that can happen around one lock, checked against a model that knows only the
//! invariants.
//!
//! The world is one S3 object with conditional writes, Step Functions with its tokens, and functions that read, write
//! and answer as [`decide`] says. A function makes one call at a time and may crash after any of them. The reference
//! model is short: at most one live execution holds the lock; fencing numbers grow; a superseded execution names a
//! newer one; the newest execution that was not ended from outside deploys; nothing is left at the end. Single decisions
//! are in `cases`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cases;

use jiff::SignedDuration;
use proptest::prelude::*;

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
    request: LockRequest,
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

fn claimant(index: usize) -> Claimant {
    let started_at = Timestamp::from_second(i64::try_from(index).unwrap()).unwrap();
    Claimant::new(arn(index), started_at)
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

    fn spawn(&mut self, of: usize, request: LockRequest) {
        self.functions.push(Function {
            of,
            request,
            step: Step::Read,
        });
    }

    fn start(&mut self) {
        let of = self.executions.len();
        self.executions.push(ExecutionState::Claiming);
        self.spawn(of, LockRequest::Claim(claimant(of)));
    }

    fn wait(&mut self, of: usize) {
        self.tokens += 1;
        let registration = Registration {
            token: Token::new(format!("t{}", self.tokens)),
            entered_at: format!("{:08}", self.tokens),
            attempt: 0,
        };
        self.executions[of] = ExecutionState::Waiting(registration.token.clone());
        let claimant = claimant(of);
        self.spawn(
            of,
            LockRequest::Wait(Waiter {
                claimant,
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
        let Function { of, request, step } = self.functions.remove(at);
        let next = match step {
            Step::Read => {
                let fresh = self.fresh();
                Some(Step::Write(
                    decide(&request, self.object.as_ref(), &fresh),
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
                self.finish(of, &request, decision.outcome);
                None
            }
        };
        if let Some(step) = next {
            self.functions.insert(at, Function { of, request, step });
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
                        self.spawn(of, LockRequest::TakeOver(claimant(of), arn(holder)));
                        return;
                    }
                    self.spawn(holder, LockRequest::Release(arn(holder)));
                }
                self.wait(of);
            }
        }
    }

    fn finish(&mut self, of: usize, request: &LockRequest, outcome: Option<LockOutcome>) {
        match (request, outcome) {
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
        let Function { of, request, .. } = self.functions.remove(at);
        match request {
            LockRequest::Stop(_) | LockRequest::Release(_) | LockRequest::Keep(..) => self.spawn(of, request),
            LockRequest::TakeOver(me, _) if self.executions[of] == ExecutionState::Claiming => {
                self.spawn(of, LockRequest::Claim(me))
            }
            LockRequest::Claim(_) if self.executions[of] == ExecutionState::Claiming => {
                self.spawn(of, request)
            }
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
                    f.request,
                    LockRequest::Claim(_) | LockRequest::Wait(_) | LockRequest::TakeOver(..)
                )
        };
        self.functions.iter().any(claims)
    }

    /// A function that can take its next step now.
    fn ready(&self) -> Vec<usize> {
        let waits_for_zombies = |f: &Function| {
            matches!((&f.request, &f.step), (LockRequest::Release(_), Step::Read)) && self.zombies(f.of)
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
        self.spawn(of, LockRequest::Claim(claimant(of)));
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
