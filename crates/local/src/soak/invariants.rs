//! The invariants: what holds once nothing runs any more, whatever went wrong before.
//!
//! All of this is a pure function of what was observed ([`Module`]), so tests can make it fail. The last two invariants
//! are checked where the soak reads and deploys.

use serde_json::Value;

use super::observation::{Execution, Module};

/// What has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// Every execution has exactly one end state.
    OneEnd,
    /// Every SUPERSEDED names a newer execution of the same module.
    Superseded,
    /// Builds of one module never overlap in time.
    NoOverlap,
    /// No build runs on.
    NoOrphan,
    /// The status is final and describes the last execution that held the lock.
    Status,
    /// md5, metadata, outputs and status agree with each other and with the last build that was recorded.
    Agreement,
    /// No callback, lock or failed event is left.
    NothingLeft,
    /// Deployed once more without faults, each module ends as its stored state predicts.
    OnceMore,
}

impl Invariant {
    pub const ALL: [Self; 8] = [
        Self::OneEnd,
        Self::Superseded,
        Self::NoOverlap,
        Self::NoOrphan,
        Self::Status,
        Self::Agreement,
        Self::NothingLeft,
        Self::OnceMore,
    ];

    /// The text in the report.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::OneEnd => "every execution has exactly one end state",
            Self::Superseded => "every SUPERSEDED names a newer execution of its module",
            Self::NoOverlap => "builds of one module never overlap",
            Self::NoOrphan => "no build runs on",
            Self::Status => "each status is final and describes the last execution that deployed",
            Self::Agreement => "md5, metadata, outputs and status agree with the last recorded build",
            Self::NothingLeft => "no callback, no lock and no failed event is left",
            Self::OnceMore => "once more without faults, each module ends as its stored state predicts",
        }
    }
}

/// An invariant that doesn't hold, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub invariant: Invariant,
    pub found: String,
}

/// What doesn't hold of a module.
#[must_use]
pub fn check(module: &Module) -> Vec<Broken> {
    let checks: [(Invariant, Vec<String>); 6] = [
        (Invariant::OneEnd, one_end(module)),
        (Invariant::Superseded, superseded(module)),
        (Invariant::NoOverlap, overlaps(module)),
        (Invariant::NoOrphan, orphans(module)),
        (Invariant::Status, status(module)),
        (Invariant::Agreement, agreement(module)),
    ];
    checks
        .into_iter()
        .flat_map(|(invariant, found)| found.into_iter().map(move |found| Broken { invariant, found }))
        .collect()
}

fn one_end(module: &Module) -> Vec<String> {
    let wrong = |execution: &&Execution| {
        let known = match execution.status.as_str() {
            "SUCCEEDED" => ["SUCCEEDED", "UNCHANGED", "SUPERSEDED"].contains(&execution.state.as_str()),
            "FAILED" | "ABORTED" => true,
            _ => false,
        };
        !known || execution.ends.len() != 1
    };
    let described = |execution: &Execution| {
        let Execution {
            arn,
            status,
            state,
            ends,
            ..
        } = execution;
        format!("{arn} is {status} {state} after {ends:?}")
    };
    module.executions.iter().filter(wrong).map(described).collect()
}

fn superseded(module: &Module) -> Vec<String> {
    let is_newer = |execution: &Execution, by: &str| {
        let other = module.executions.iter().find(|other| other.arn == by);
        other.is_some_and(|other| other.arn != execution.arn && other.started >= execution.started)
    };
    let superseded = module.executions.iter().filter(|one| one.state == "SUPERSEDED");
    superseded
        .filter(|one| !one.superseded_by.as_deref().is_some_and(|by| is_newer(one, by)))
        .map(|one| format!("{} was superseded by {:?}", one.arn, one.superseded_by))
        .collect()
}

fn overlaps(module: &Module) -> Vec<String> {
    let mut builds: Vec<_> = module.builds.iter().collect();
    builds.sort_by(|one, other| one.start.total_cmp(&other.start));
    let pairs = builds.windows(2).map(|pair| (pair[0], pair[1]));
    pairs
        .filter(|(one, next)| one.end.is_none_or(|end| next.start < end))
        .map(|(one, next)| format!("{} began before {} had ended", next.id, one.id))
        .collect()
}

fn orphans(module: &Module) -> Vec<String> {
    let running = module.builds.iter().filter(|build| build.end.is_none());
    running
        .map(|build| format!("{} is {}", build.id, build.status))
        .collect()
}

/// The executions that held the lock, in the order in which they did. One that was stopped at the very moment
/// at which it took the lock doesn't know of it.
fn holders(module: &Module) -> Vec<&Execution> {
    let mut holders: Vec<_> = module
        .executions
        .iter()
        .filter(|one| one.fence.is_some())
        .collect();
    holders.sort_by_key(|one| one.fence);
    holders
}

fn status(module: &Module) -> Vec<String> {
    let status = &module.stored.status;
    let Some(last) = holders(module).pop() else {
        return Vec::new();
    };
    let Some(by) = module
        .executions
        .iter()
        .find(|one| status["execution"] == one.arn.as_str())
    else {
        return vec![format!("{status} names none of the module's executions")];
    };
    let took_lock_unknowingly = by.fence.is_none() && by.status != "SUCCEEDED" && by.started >= last.started;
    if by.arn != last.arn && !took_lock_unknowingly {
        return vec![format!("{status} is not of {}, which deployed last", last.arn)];
    }
    if possible_states(by).contains(&module.stored.state()) {
        Vec::new()
    } else {
        vec![format!("{status}, but {} is {} {}", by.arn, by.status, by.state)]
    }
}

/// The states that an execution may leave. One that was stopped or failed after it had written its result has
/// deployed nevertheless.
fn possible_states(execution: &Execution) -> Vec<&str> {
    match execution.status.as_str() {
        "SUCCEEDED" => vec![execution.state.as_str()],
        "FAILED" if execution.committing => vec!["FAILED", "SUCCEEDED"],
        "FAILED" => vec!["FAILED"],
        _ if execution.committing => vec!["ABORTED", "FAILED", "SUCCEEDED"],
        _ => vec!["ABORTED", "FAILED", "UNCHANGED"],
    }
}

/// The executions whose build may be the recorded one: the last that deployed, and later ones that ended while they
/// were recording.
fn candidates(module: &Module) -> Vec<&Execution> {
    let holders = holders(module);
    let last = holders.iter().rposition(|one| one.deployed()).unwrap_or_default();
    let since = holders.into_iter().skip(last);
    since.filter(|one| one.deployed() || one.committing).collect()
}

fn agreement(module: &Module) -> Vec<String> {
    let stored = &module.stored;
    let candidates = candidates(module);
    let certain = candidates.iter().any(|one| one.deployed());
    if stored.metadata.is_null() && !certain && !stored.is_good() {
        return Vec::new();
    }
    let build = &stored.metadata["CodeBuildBuildId"];
    let Some(recorded) = candidates.iter().find(|one| is(build, &one.build)) else {
        return vec![format!(
            "the metadata is of {build}, not of the last build that was recorded"
        )];
    };
    let mut wrong = Vec::new();
    let mut hold = |so: bool, found: String| {
        if !so {
            wrong.push(found)
        }
    };
    let tag = &stored.metadata["Tag"];
    hold(
        *tag == recorded.tag.as_str(),
        format!("the metadata's tag is {tag}, not {}", recorded.tag),
    );
    if stored.is_good() {
        let of_status = &stored.status["build_id"];
        hold(
            of_status == build,
            format!("the status is of {of_status}, the metadata of {build}"),
        );
        let hash = &stored.md5["hash"];
        hold(
            is(hash, &recorded.hash),
            format!("md5 is {hash}, deployed was {:?}", recorded.hash),
        );
        let output = &stored.outputs["Tag"];
        hold(
            output == tag,
            format!("the outputs' tag is {output}, the metadata's {tag}"),
        );
    } else {
        // md5 is written after metadata: it may be of the success before, never of anything else.
        let hash = &stored.md5["hash"];
        let known = hash.is_null() && !certain || candidates.iter().any(|one| is(hash, &one.hash));
        hold(known, format!("md5 is {hash}, which none of the last builds had"));
    }
    wrong
}

fn is(stored: &Value, expected: &Option<String>) -> bool {
    expected.as_deref().is_some_and(|expected| stored == expected)
}

/// The content with which a module is deployed once more: that of the execution whose build is recorded.
#[must_use]
pub fn recorded(module: &Module) -> Option<&Execution> {
    let build = &module.stored.metadata["CodeBuildBuildId"];
    candidates(module).into_iter().find(|one| is(build, &one.build))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::observation::{Build, Stored};
    use super::*;

    fn execution(number: u32, status: &str, state: &str) -> Execution {
        Execution {
            arn: format!("e{number}"),
            tag: format!("t{number}"),
            started: f64::from(number),
            status: status.to_owned(),
            state: state.to_owned(),
            ends: vec![format!("Execution{status}")],
            fence: (state != "SUPERSEDED").then_some(u64::from(number)),
            hash: Some(format!("h{number}")),
            build: Some(format!("b{number}")),
            committing: state == "SUCCEEDED",
            ..Execution::default()
        }
    }

    fn build(id: &str, start: f64, end: Option<f64>) -> Build {
        Build {
            id: id.to_owned(),
            start,
            end,
            status: "SUCCEEDED".to_owned(),
        }
    }

    /// Execution 1 deployed, 2 was superseded by 3, and 3 deployed.
    fn good() -> Module {
        let mut superseded = execution(2, "SUCCEEDED", "SUPERSEDED");
        superseded.superseded_by = Some("e3".to_owned());
        Module {
            executions: vec![
                execution(1, "SUCCEEDED", "SUCCEEDED"),
                superseded,
                execution(3, "SUCCEEDED", "SUCCEEDED"),
            ],
            builds: vec![build("b1", 1.0, Some(2.0)), build("b3", 2.0, Some(3.0))],
            stored: Stored {
                md5: json!({"hash": "h3"}),
                metadata: json!({"CodeBuildBuildId": "b3", "Tag": "t3"}),
                outputs: json!({"Tag": "t3"}),
                status: json!({"state": "SUCCEEDED", "execution": "e3", "build_id": "b3"}),
            },
        }
    }

    fn broken(change: impl FnOnce(&mut Module)) -> Vec<Invariant> {
        let mut module = good();
        change(&mut module);
        check(&module)
            .into_iter()
            .map(|broken| broken.invariant)
            .collect()
    }

    #[test]
    fn what_is_good_breaks_nothing() {
        assert_eq!(check(&good()), []);
        assert_eq!(recorded(&good()).map(|one| one.tag.as_str()), Some("t3"));
    }

    #[test]
    fn an_execution_without_one_end_is_seen() {
        assert_eq!(
            broken(|m| m.executions[0].status = "RUNNING".to_owned()),
            [Invariant::OneEnd]
        );
        assert_eq!(
            broken(|m| m.executions[0].ends.push("ExecutionFailed".to_owned())),
            [Invariant::OneEnd]
        );
    }

    #[test]
    fn a_superseded_execution_that_names_no_newer_one_is_seen() {
        for by in [
            None,
            Some("e1".to_owned()),
            Some("e2".to_owned()),
            Some("x".to_owned()),
        ] {
            assert_eq!(
                broken(|m| m.executions[1].superseded_by = by),
                [Invariant::Superseded]
            );
        }
    }

    #[test]
    fn builds_side_by_side_and_builds_without_end_are_seen() {
        assert_eq!(broken(|m| m.builds[1].start = 1.9), [Invariant::NoOverlap]);
        assert_eq!(broken(|m| m.builds[1].end = None), [Invariant::NoOrphan]);
    }

    #[test]
    fn a_status_of_another_execution_or_of_none_is_seen() {
        assert_eq!(
            broken(|m| m.stored.status["execution"] = json!("e1")),
            [Invariant::Status]
        );
        assert_eq!(
            broken(|m| m.stored.status["execution"] = json!("x")),
            [Invariant::Status]
        );
        let in_progress = broken(|m| m.stored.status["state"] = json!("IN_PROGRESS"));
        assert_eq!(in_progress, [Invariant::Status]);
    }

    #[test]
    fn parameters_of_different_builds_are_seen() {
        assert_eq!(
            broken(|m| m.stored.metadata["Tag"] = json!("t1")),
            [Invariant::Agreement; 2]
        );
        assert_eq!(
            broken(|m| m.stored.outputs["Tag"] = json!("t1")),
            [Invariant::Agreement]
        );
        assert_eq!(
            broken(|m| m.stored.md5["hash"] = json!("h1")),
            [Invariant::Agreement]
        );
        assert_eq!(
            broken(|m| m.stored.status["build_id"] = json!("b1")),
            [Invariant::Agreement]
        );
        assert_eq!(
            broken(|m| m.stored.metadata["CodeBuildBuildId"] = json!("b1")),
            [Invariant::Agreement]
        );
    }

    #[test]
    fn a_failure_keeps_what_the_last_success_recorded() {
        let fail = |m: &mut Module| {
            m.executions.push(execution(4, "FAILED", ""));
            m.stored.status = json!({"state": "FAILED", "execution": "e4"});
        };
        assert_eq!(broken(fail), []);
        let overwritten = broken(|m| {
            fail(m);
            m.stored.metadata = json!({"CodeBuildBuildId": "b4", "Tag": "t4"});
        });
        assert_eq!(overwritten, [Invariant::Agreement]);
        // It ended between the writes of its success: that is how far it came.
        let half = |m: &mut Module| {
            fail(m);
            m.executions[3].committing = true;
            m.stored.metadata = json!({"CodeBuildBuildId": "b4", "Tag": "t4"});
        };
        assert_eq!(broken(half), []);
        let of_neither = broken(|m| {
            half(m);
            m.stored.md5["hash"] = json!("h1");
        });
        assert_eq!(of_neither, [Invariant::Agreement]);
    }
}
