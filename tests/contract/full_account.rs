//! More builds than an account may run, and more than CodeBuild's queue takes: how StartBuild's retries get them all through.
//!
//! The waits are those of the definition. CodeBuild is that of its user guide ("Builds"): a number of builds runs, five times as many
//! wait, and further ones are refused. The clock is a number.

use std::collections::BTreeMap;

use seedflow_contract::{StateMachine, Template};
use serde_json::Value;

/// What a number of executions came to that all start their build at the same time.
#[derive(Debug)]
struct End {
    /// When the last build ended, in seconds.
    last: f64,
    /// The most refused tries of one execution.
    most_refused: u32,
    /// How many tries the rule allows.
    allowed: u32,
}

enum Step {
    Try { refused: u32 },
    Ended,
}

/// The retry of a state for an error.
fn rule(state: &str, error: &str) -> Value {
    let states = StateMachine::read("deploy-module").states;
    let rules = states[state]["Retry"].as_array().unwrap().clone();
    let of_error = |rule: &Value| rule["ErrorEquals"].as_array().unwrap().contains(&error.into());
    rules.into_iter().find(of_error).unwrap()
}

/// Runs builds of `minutes`: `at_once` run, and five times as many wait.
fn run(builds: u32, minutes: f64, at_once: u32) -> End {
    let rule = rule("StartBuild", "AccountLimitExceeded");
    let field = |name: &str| rule[name].as_f64().unwrap();
    let longest = |refused: u32| {
        let delay = field("IntervalSeconds") * field("BackoffRate").powi(refused.try_into().unwrap());
        delay.min(field("MaxDelaySeconds"))
    };
    // Full jitter, from a sequence that is the same in each run.
    let mut seed = 1_u64;
    let mut chance = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(seed >> 32).unwrap()) / f64::from(u32::MAX)
    };
    let mut end = End {
        last: 0.0,
        most_refused: 0,
        allowed: rule["MaxAttempts"].as_u64().unwrap().try_into().unwrap(),
    };
    // Steps by their time in milliseconds, and in their order.
    let mut steps: BTreeMap<(u64, u32), Step> = BTreeMap::new();
    let mut number = 0;
    let mut add = |steps: &mut BTreeMap<_, _>, at: f64, step: Step| {
        number += 1;
        steps.insert(((at * 1000.0) as u64, number), step);
    };
    for _ in 0..builds {
        add(&mut steps, 0.0, Step::Try { refused: 0 });
    }
    let (mut running, mut queued) = (0, 0);
    while let Some(((at, _), step)) = steps.pop_first() {
        let now = at as f64 / 1000.0;
        match step {
            Step::Try { .. } if running < at_once => {
                running += 1;
                add(&mut steps, now + minutes * 60.0, Step::Ended);
            }
            Step::Try { .. } if queued < 5 * at_once => queued += 1,
            Step::Try { refused } => {
                end.most_refused = end.most_refused.max(refused + 1);
                let wait = longest(refused) * chance();
                add(&mut steps, now + wait, Step::Try { refused: refused + 1 });
            }
            Step::Ended => {
                end.last = now;
                if queued > 0 {
                    queued -= 1;
                    add(&mut steps, now + minutes * 60.0, Step::Ended);
                } else {
                    running -= 1;
                }
            }
        }
    }
    end
}

#[test]
fn five_hundred_builds_of_five_minutes_get_through_at_twenty_at_once() {
    let end = run(500, 5.0, 20);
    // 125 minutes: CodeBuild's queue is never empty, so no place is free for long.
    assert!((7500.0..1.05 * 7500.0).contains(&end.last), "{end:?}");
    assert!((25..end.allowed / 10).contains(&end.most_refused), "{end:?}");
}

#[test]
fn an_account_that_runs_one_build_at_a_time_gets_through_a_wave() {
    // 40 builds of half an hour: 20 hours.
    let end = run(40, 30.0, 1);
    assert!((72_000.0..1.05 * 72_000.0).contains(&end.last), "{end:?}");
    assert!(end.most_refused < end.allowed, "{end:?}");
}

/// In a deployment nobody is refused: the Map state lets no more modules go than CodeBuild runs and queues.
#[test]
fn a_wave_is_never_refused_where_seven_builds_run_at_once() {
    let end = run(40, 5.0, 7);
    assert_eq!(end.most_refused, 0, "{end:?}");
    let template = Template::read("template.yaml").json();
    let most = &template["Parameters"]["MaxConcurrentModules"]["MaxValue"];
    assert_eq!(most, 40);
}
