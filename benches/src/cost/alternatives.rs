//! The bill for the same work with other designs. It is plain arithmetic on assumptions, which are all constants here;
//! the page lists them.

use super::counters::{ASSUMED_SECONDS, invocations};
use super::prices::{Item, Quantities};

/// The time that seed-farmer adds to each of its builds, in seconds. It is measured with cold caches, on the commands
/// that seed-farmer 8.0.9 puts into a build (installing itself 4.0, its commands 7.1).
pub const TOOLING: f64 = 11.2;
/// CodeBuild's own time in a build, in seconds, from its queue to its upload of artifacts. An assumption.
pub const PROVISIONING: f64 = 20.0;
/// The time of seed-farmer's client besides the build, in seconds, measured with a build of 3 s.
pub const CLIENT: f64 = 16.1;
/// Its time if nothing changed, in seconds, measured.
pub const CLIENT_UNCHANGED: f64 = 13.2;
/// The time of a CI job before the client runs, in seconds: a checkout (10, an assumption) and the installation of
/// seed-farmer with pip (17.4, measured).
pub const JOB: f64 = 27.4;
/// The longest run of a function, in seconds: https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html
const LONGEST_FUNCTION: f64 = 900.0;
/// The time that AwaitBuild waits for an event before it checks the build itself, in seconds.
const LOST_EVENT: f64 = 600.0;
/// The time of a poll in a warm function, in seconds. An assumption, in favour of polling.
const POLL: f64 = 0.1;
const MEMORY: u64 = 256;

/// The billed minutes of a build: each started one.
pub fn build_minutes(seconds: f64) -> f64 {
    (seconds / 60.0).ceil().max(1.0)
}

/// The average billed minutes that a few more seconds add to builds of any length.
pub fn extra_minutes(seconds: f64) -> f64 {
    seconds / 60.0
}

/// A build with commands of this length.
pub fn build(commands: f64) -> Quantities {
    Quantities::of(Item::BuildMinute, build_minutes(commands + PROVISIONING))
}

/// The cost that the check inside the container adds to a build of a changed module.
pub fn container_changed() -> Quantities {
    Quantities::of(Item::BuildMinute, extra_minutes(TOOLING))
}

/// The cost of the check inside the container for an unchanged module: a container, billed as this item.
pub fn container_unchanged(item: Item) -> Quantities {
    Quantities::of(item, build_minutes(PROVISIONING + TOOLING))
}

/// A way to wait for a build's end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Waiting {
    /// Seedflow's way: a task token, one check of the build, and an event.
    Event,
    /// A loop of Wait, a function that checks the build, and Choice.
    Polling(f64),
    /// The same loop, in which Step Functions checks the build itself.
    PollingWithoutFunction(f64),
    /// Step Functions' integration `codebuild:startBuild.sync`, which is a state.
    Integration,
    /// A function of 128 MB that sleeps and checks. It is called again if the build takes longer than a function may
    /// run.
    Sleeping,
}

/// The billed items of waiting for a build of this many seconds.
pub fn waiting(way: Waiting, build: f64) -> Quantities {
    match way {
        Waiting::Event => {
            let rounds = 1.0 + (build / LOST_EVENT).floor();
            // check-status once a round, build-event once; the token is stored once a round, and read for the answer.
            invocations(rounds + 1.0, MEMORY, ASSUMED_SECONDS)
                .and(Item::Transition, rounds)
                .and(Item::S3Write, rounds)
                .and(Item::S3Read, 1.0)
        }
        Waiting::Polling(interval) => {
            let polls = (build / interval).ceil();
            invocations(polls, MEMORY, POLL).and(Item::Transition, 3.0 * polls)
        }
        Waiting::PollingWithoutFunction(interval) => {
            Quantities::of(Item::Transition, 3.0 * (build / interval).ceil())
        }
        Waiting::Integration => Quantities::of(Item::Transition, 1.0),
        Waiting::Sleeping => {
            let calls = (build / LONGEST_FUNCTION).ceil().max(1.0);
            invocations(calls, 128, build / calls).and(Item::Transition, calls)
        }
    }
}

/// A CI job that deploys with seed-farmer's client and waits for builds of this many seconds, or for none. Started
/// minutes are billed.
pub fn job(builds: Option<f64>) -> Quantities {
    let client = builds.map_or(CLIENT_UNCHANGED, |seconds| CLIENT + seconds);
    Quantities::of(Item::RunnerMinute, ((JOB + client) / 60.0).ceil())
}

/// The share of unchanged modules from which one way is cheaper than another, by the prices of a changed and of an
/// unchanged module of each; `None` if it never is.
pub fn break_even(one: (f64, f64), other: (f64, f64)) -> Option<f64> {
    let (more_if_changed, less_if_unchanged) = (one.0 - other.0, other.1 - one.1);
    if more_if_changed <= 0.0 && less_if_unchanged >= 0.0 {
        return Some(0.0);
    }
    (less_if_unchanged > 0.0).then(|| more_if_changed / (more_if_changed + less_if_unchanged))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-9,
            "expected {expected}, found {found}"
        );
    }

    #[test]
    fn a_started_minute_of_a_build_is_billed() {
        let billed = [0.0, 1.0, 60.0, 60.1, 300.0].map(build_minutes);
        assert_eq!(billed, [1.0, 1.0, 1.0, 2.0, 5.0]);
        // CodeBuild's own 20 s make a second minute of a build of one minute.
        same(build(60.0).dollars(), 0.010);
        same(container_unchanged(Item::BuildMinute).dollars(), 0.005);
        same(container_unchanged(Item::ArmBuildMinute).dollars(), 0.0034);
        // Counted instead of reasoned: builds of 1 to 600 s, each with 12 s more.
        let lengths = (1..=600).map(f64::from);
        let more: f64 = lengths
            .map(|length| build_minutes(length + 12.0) - build_minutes(length))
            .sum();
        same(more / 600.0, extra_minutes(12.0));
    }

    #[test]
    fn polls_are_billed_by_their_number() {
        // 60 polls: 180 transitions (0.0045), 60 invocations (0.000012), 60 times a tenth of a second of a quarter GB.
        let polled = waiting(Waiting::Polling(5.0), 300.0);
        same(polled.dollars(), 0.0045 + 0.000_012 + 1.5 * 0.000_013_333_4);
        let polled = waiting(Waiting::PollingWithoutFunction(30.0), 61.0);
        same(polled.get(Item::Transition), 9.0);
    }

    #[test]
    fn waiting_for_an_event_grows_by_one_round_in_ten_minutes() {
        let rounds = |seconds| waiting(Waiting::Event, seconds).get(Item::Transition);
        assert_eq!([60.0, 599.0, 600.0, 1200.0].map(rounds), [1.0, 1.0, 2.0, 3.0]);
        same(waiting(Waiting::Event, 1200.0).get(Item::Invocation), 4.0);
        same(waiting(Waiting::Event, 1200.0).get(Item::S3Write), 3.0);
    }

    #[test]
    fn a_sleeping_function_is_called_again_after_fifteen_minutes() {
        let slept = waiting(Waiting::Sleeping, 1200.0);
        same(slept.get(Item::Invocation), 2.0);
        same(slept.get(Item::GbSecond), 150.0);
    }

    #[test]
    fn a_job_waits_for_its_builds() {
        // 27.4 + 13.2 s, and 27.4 + 16.1 + 300 s.
        same(job(None).get(Item::RunnerMinute), 1.0);
        same(job(Some(300.0)).get(Item::RunnerMinute), 6.0);
    }

    #[test]
    fn both_cost_the_same_at_the_break_even() {
        // 3 and 1 against 1 and 2: half of the modules unchanged cost 2 and 1.5; at two thirds, 5/3 each.
        let share = break_even((3.0, 1.0), (1.0, 2.0));
        same(share.unwrap_or(f64::NAN), 2.0 / 3.0);
        assert_eq!(break_even((1.0, 1.0), (1.0, 2.0)), Some(0.0));
        assert_eq!(break_even((2.0, 2.0), (1.0, 1.0)), None);
    }
}
