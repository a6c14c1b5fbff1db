//! The bill for the same work with other designs: plain arithmetic on the assumptions.

use super::assumptions::*;
use super::prices::Item::{self, *};

/// The memory of small functions, in MB.
const MEMORY: f64 = 256.0;

/// The items of invocations of this length, in seconds.
pub fn invocations(number: f64, memory_mb: f64, seconds: f64) -> [(Item, f64); 2] {
    let gb_seconds = number * memory_mb / 1024.0 * seconds;
    [(Invocation, number), (GbSecond, gb_seconds)]
}

/// The billed minutes of a build with commands of this length: each started one.
pub fn build_minutes(commands: f64) -> f64 {
    ((commands + PROVISIONING) / 60.0).ceil()
}

/// What the tooling adds to builds of any length, on average.
pub fn tooling() -> f64 {
    TOOLING / 60.0 * BuildMinute.dollars()
}

/// A CI job that deploys with seed-farmer's client and waits for builds with commands of this length.
pub fn job(commands: f64) -> f64 {
    let seconds = CHECKOUT + INSTALLATION + CLIENT + commands + PROVISIONING + TOOLING;
    (seconds / 60.0).ceil() * RunnerMinute.dollars()
}

/// A price in dollars, by the seconds of a build.
type Price = fn(f64) -> f64;

/// The ways to wait for a build's end, and the price of each for a build of this many seconds. The first is Seedflow's.
pub const WAYS: [(&str, Price); 5] = [
    ("event and task token (Seedflow)", event),
    ("Wait, function, Choice, every 5 s", |build| polling(build, 5.0)),
    ("every 10 s", |build| polling(build, 10.0)),
    ("every 30 s", |build| polling(build, 30.0)),
    ("Step Functions' `startBuild.sync`", |_| Transition.dollars()),
];

fn dollars(calls: [(Item, f64); 2], others: &[(Item, f64)]) -> f64 {
    let items = calls.iter().chain(others);
    items.map(|(item, amount)| item.dollars() * amount).sum()
}

/// check-status once a round, build-event once; the token is stored once a round, and read for the answer.
pub fn event(build: f64) -> f64 {
    let rounds = 1.0 + (build / LOOK).floor();
    let others = [(Transition, rounds), (S3Write, rounds), (S3Read, 1.0)];
    dollars(invocations(rounds + 1.0, MEMORY, INVOCATION), &others)
}

/// A loop of Wait, a function that checks the build, and Choice.
pub fn polling(build: f64, interval: f64) -> f64 {
    let polls = (build / interval).ceil();
    dollars(invocations(polls, MEMORY, POLL), &[(Transition, 3.0 * polls)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-9,
            "expected {expected}, found {found}"
        );
    }

    #[test]
    fn started_minutes_are_billed() {
        // CodeBuild's own 20 s make a second minute of a build of one minute.
        assert_eq!([0.0, 40.0, 60.0, 300.0].map(build_minutes), [1.0, 1.0, 2.0, 6.0]);
        // 27.4 + 16.1 + 31.2 + 300 s.
        same(job(300.0), 0.042);
    }

    #[test]
    fn each_way_of_waiting_is_billed_by_its_calls() {
        // 60 polls: 180 transitions, 60 invocations of a tenth of a second of a quarter GB.
        same(polling(300.0, 5.0), 0.0045 + 0.000_012 + 1.5 * 0.000_013_333_4);
        // Two rounds from ten minutes on: one transition, write and invocation more.
        let round = 0.000_025 + 0.000_005 + 0.000_000_2 + 0.125 * 0.000_013_333_4;
        same(event(599.0), event(60.0));
        same(event(600.0) - event(60.0), round);
    }
}
