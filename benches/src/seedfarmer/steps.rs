//! How long a deployment takes besides its build: the steps of one execution of the module workflow.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::run::{Build, between, timestamp};

/// Before the execution.
const STARTING: &str = "packing, upload, StartExecution";
/// After its last state.
const ENDING: &str = "the execution's own end";
/// The state that the build is in.
const AWAITING: &str = "AwaitBuild";

/// How long each state took, and what happened before and after them; of the state that waits for the build, only the time
/// after the build's end.
pub fn of(history: &[Value], builds: &[Build], begun: Timestamp, end: Timestamp) -> Vec<(String, Duration)> {
    let mut steps: Vec<(String, Duration)> = Vec::new();
    let (mut entered, mut last) = (begun, begun);
    for event in history {
        let Some(at) = timestamp(&event["timestamp"]) else {
            continue;
        };
        if event["stateEnteredEventDetails"]["name"].is_string() {
            if steps.is_empty() {
                steps.push((STARTING.to_owned(), between(begun, at)));
            }
            entered = at;
        } else if let Some(name) = event["stateExitedEventDetails"]["name"].as_str() {
            let from = match builds.first() {
                Some(build) if name == AWAITING => build.end.max(entered),
                _ => entered,
            };
            add(&mut steps, &step(name), between(from, at));
            last = at;
        }
    }
    add(&mut steps, ENDING, between(last, end));
    steps
}

fn step(state: &str) -> String {
    if state == AWAITING {
        format!("{state}, from the build's end")
    } else {
        state.to_owned()
    }
}

/// Choices and the like take no time of their own.
fn add(steps: &mut Vec<(String, Duration)>, name: &str, time: Duration) {
    match steps.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known += time,
        None => steps.push((name.to_owned(), time)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_build_is_not_part_of_the_steps() {
        let entered = |name, at| json!({"timestamp": at, "stateEnteredEventDetails": {"name": name}});
        let exited = |name, at| json!({"timestamp": at, "stateExitedEventDetails": {"name": name}});
        let history = [
            json!({"timestamp": 11.0, "type": "ExecutionStarted"}),
            entered("CheckMd5", 12.0),
            exited("CheckMd5", 13.0),
            entered(AWAITING, 14.0),
            exited(AWAITING, 22.0),
        ];
        let at = |second| Timestamp::from_second(second).unwrap();
        let build = Build {
            id: String::new(),
            start: at(13),
            end: at(20),
        };
        let steps = of(&history, &[build], at(10), at(23));
        let seconds: Vec<(&str, u64)> = steps
            .iter()
            .map(|(name, time)| (name.as_str(), time.as_secs()))
            .collect();
        assert_eq!(
            seconds,
            [
                (STARTING, 2),
                ("CheckMd5", 1),
                ("AwaitBuild, from the build's end", 2),
                (ENDING, 1)
            ]
        );
    }
}
