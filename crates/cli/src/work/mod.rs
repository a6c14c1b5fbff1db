//! What a followed execution does, for people: its modules, and the phase of each.
//!
//! A [`Work`] is a model without I/O. Reads of AWS feed it ([`crate::follow`]), and each change that it returns is shown.
//! The phases describe the work ("building"), not the states of the state machine.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use seedflow_core::ids::{DeploymentId, ModuleId, Name};
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::status::State;
use serde_json::Value;

use crate::view::state::word;

/// What an execution deploys or destroys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One module.
    Module(ModuleId),
    /// A deployment. Its name is known once the execution has read its manifest.
    Deployment(Option<DeploymentId>),
}

impl Subject {
    /// Its project, if that is known.
    #[must_use]
    pub fn project(&self) -> Option<&Name> {
        match self {
            Self::Module(module) => Some(&module.project),
            Self::Deployment(deployment) => deployment.as_ref().map(|deployment| &deployment.project),
        }
    }
}

/// What a module's execution is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It was started.
    Starting,
    /// Another execution deploys the module.
    Waiting,
    /// Its files and parameters are compared with what is deployed.
    Checking,
    /// Its role is made, or its build is started.
    Preparing,
    /// Its commands run.
    Building,
    /// Its results are recorded.
    Recording,
}

impl Phase {
    /// The phase of a state of the module workflow (`statemachine/deploy-module.asl.json`).
    #[must_use]
    pub fn of_state(state: &str) -> Self {
        match state {
            "WaitForLock" => Self::Waiting,
            "CheckMd5" | "IsChanged" | "TouchTimestamp" | "EvaluatePolicy" => Self::Checking,
            "MarkInProgress" | "HasModuleStack" | "PrepareRole" | "IsRolePrepared" | "WaitForRole"
            | "StartBuild" => Self::Preparing,
            "AwaitBuild" | "BuildSucceeded" => Self::Building,
            "RecordSuccess"
            | "RecordFailure"
            | "RemoveRole"
            | "IsRoleRemoved"
            | "WaitForRemoval"
            | "ForgetModule"
            | "HasMoved"
            | "HasMovedWithoutBuild" => Self::Recording,
            _ => Self::Starting,
        }
    }

    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Waiting => "waiting for another execution",
            Self::Checking => "checking",
            Self::Preparing => "preparing",
            Self::Building => "building",
            Self::Recording => "recording",
        }
    }
}

/// How a module's execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The final state, such as `SUCCEEDED` or `FAILED`.
    pub state: String,
    /// Why it failed, or what replaced it.
    pub cause: Option<String>,
    /// How long it took, if that is known.
    pub took: Option<Duration>,
    /// Whether there is an earlier success to go back to; also if that isn't known.
    pub has_success: bool,
}

impl End {
    /// Whether what was planned was done.
    #[must_use]
    pub fn is_good(&self) -> bool {
        ["SUCCEEDED", "UNCHANGED", "DESTROYED"].contains(&self.state.as_str())
    }

    /// The word for people.
    #[must_use]
    pub fn word(&self) -> String {
        word(&self.state)
    }
}

/// How far a module is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Its execution has not started.
    Pending,
    /// It runs.
    Running(Phase),
    /// It has ended.
    Ended(End),
}

/// A module that is deployed or destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The group and the module.
    pub name: ModuleRef,
    /// The name of its execution.
    pub execution: String,
    /// How far it is.
    pub progress: Progress,
}

/// The modules of an execution, in the order in which they are started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    waves: Vec<Vec<Module>>,
    /// Number of modules that have no execution, because nothing of them has changed.
    left: usize,
}

impl Work {
    /// The work of one module's execution.
    #[must_use]
    pub fn of_module(name: ModuleRef, execution: &str) -> Self {
        Self {
            waves: vec![vec![pending(name, execution)]],
            left: 0,
        }
    }

    /// The work of a deployment, from the answer of its planner; `None` if that has no plan.
    #[must_use]
    pub fn of_plan(payload: &Value) -> Option<Self> {
        let waves = payload["waves"].as_array()?.iter();
        let waves: Vec<Vec<Module>> = waves
            .map(|wave| {
                wave["items"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(item)
                    .collect()
            })
            .collect();
        let counts = payload["counts"].as_object()?;
        let count = |action: &str| {
            let count = counts.get(action).and_then(Value::as_u64).unwrap_or(0);
            usize::try_from(count).unwrap_or(0)
        };
        let (certain, started) = (
            count("deploy") + count("destroy"),
            waves.iter().map(Vec::len).sum(),
        );
        // It was only planned, or refused.
        if certain > started || !payload["refused"].is_null() {
            return None;
        }
        // Some modules with an execution may turn out to be unchanged.
        let left = (certain + count("unchanged")).saturating_sub(started);
        Some(Self { waves, left })
    }

    /// All modules, in the order in which they are started.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.waves.iter().flatten()
    }

    /// The modules whose executions may have changed: those of the first wave that has not ended.
    #[must_use]
    pub fn current(&self) -> Vec<Module> {
        let has_ended = |module: &Module| matches!(module.progress, Progress::Ended(_));
        let current = self.waves.iter().find(|wave| !wave.iter().all(has_ended));
        current.map_or_else(Vec::new, |wave| {
            wave.iter().filter(|module| !has_ended(module)).cloned().collect()
        })
    }

    /// Whether any module has begun.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.modules().any(|module| module.progress != Progress::Pending)
    }

    /// Takes over how far an execution is, and returns its module if that is a change.
    pub fn update(&mut self, execution: &str, progress: Progress) -> Option<Module> {
        let mut modules = self.waves.iter_mut().flatten();
        let module = modules.find(|module| module.execution == execution)?;
        if module.progress == progress {
            return None;
        }
        module.progress = progress;
        Some(module.clone())
    }

    /// The number of modules by how they ended, of the whole plan; those that never started are `not started`.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        if self.left > 0 {
            counts.insert(word(State::Unchanged.as_str()), self.left);
        }
        for module in self.waves.iter().flatten() {
            let word = match &module.progress {
                Progress::Ended(end) => end.word(),
                Progress::Running(_) => "running".to_owned(),
                Progress::Pending => "not started".to_owned(),
            };
            *counts.entry(word).or_default() += 1;
        }
        counts
    }

    /// The modules that failed, with their ends.
    #[must_use]
    pub fn failed(&self) -> Vec<(&ModuleRef, &End)> {
        let modules = self.waves.iter().flatten();
        modules
            .filter_map(|module| match &module.progress {
                Progress::Ended(end) if !end.is_good() => Some((&module.name, end)),
                _ => None,
            })
            .collect()
    }
}

fn pending(name: ModuleRef, execution: &str) -> Module {
    Module {
        name,
        execution: execution.to_owned(),
        progress: Progress::Pending,
    }
}

/// An item of a wave; each has its module's names, however short its input is.
fn item(item: &Value) -> Option<Module> {
    let name = serde_json::from_value(item["input"].clone()).ok()?;
    Some(pending(name, item["name"].as_str()?))
}

/// The time between two moments, if the second is later.
#[must_use]
pub fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<Duration> {
    to?.duration_since(from?).try_into().ok()
}

/// A duration as people read it beside work: `0:42`, `12:05`, `1:02:03`.
#[must_use]
pub fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn work() -> Work {
        let item = |group: &str, module: &str| {
            json!({"name": format!("{group}-{module}-e"),
                "input": {"project": "p", "deployment": "d", "group": group, "module": module, "input_key": "k"}})
        };
        let counts = json!({"deploy": 3, "unchanged": 2, "destroy": 0, "blocked": 0});
        let waves = json!({"counts": counts, "waves": [
            {"concurrency": 2, "items": [item("network", "vpc"), item("network", "dns")]},
            {"concurrency": 1, "items": [item("data", "queue")]},
        ]});
        Work::of_plan(&waves).unwrap()
    }

    fn ended(state: &str, cause: Option<&str>) -> Progress {
        Progress::Ended(End {
            state: state.to_owned(),
            cause: cause.map(str::to_owned),
            took: None,
            has_success: true,
        })
    }

    fn names(modules: &[Module]) -> Vec<String> {
        modules.iter().map(|module| module.name.to_string()).collect()
    }

    #[test]
    fn a_wave_is_looked_at_once_the_one_before_has_ended() {
        let mut work = work();
        assert_eq!(names(&work.current()), ["network/vpc", "network/dns"]);
        assert!(work.update("network-vpc-e", ended("SUCCEEDED", None)).is_some());
        assert_eq!(names(&work.current()), ["network/dns"]);
        work.update("network-dns-e", ended("UNCHANGED", None));
        assert_eq!(names(&work.current()), ["data/queue"]);
        work.update("data-queue-e", ended("FAILED", Some("no right")));
        assert!(work.current().is_empty());
        let failed: Vec<String> = work
            .failed()
            .iter()
            .map(|(name, end)| format!("{name}: {:?}", end.cause))
            .collect();
        assert_eq!(failed, ["data/queue: Some(\"no right\")"]);
    }

    #[test]
    fn only_changes_are_shown() {
        let mut work = work();
        let building = Progress::Running(Phase::of_state("AwaitBuild"));
        assert!(work.update("network-vpc-e", building.clone()).is_some());
        assert!(work.update("network-vpc-e", building).is_none());
        assert!(work.update("unknown", Progress::Pending).is_none());
    }

    #[test]
    fn the_counts_add_up_to_the_plan() {
        let mut work = work();
        work.update("network-vpc-e", ended("UNCHANGED", None));
        work.update("network-dns-e", Progress::Running(Phase::Building));
        let counts = work.counts().into_iter().collect::<Vec<_>>();
        let counts: Vec<(&str, usize)> = counts
            .iter()
            .map(|(word, count)| (word.as_str(), *count))
            .collect();
        assert_eq!(counts, [("not started", 1), ("running", 1), ("unchanged", 3)]);
    }

    #[test]
    fn a_plan_without_executions_counts_what_is_unchanged_and_no_plan_is_no_work() {
        let counts = json!({"deploy": 0, "unchanged": 4, "destroy": 0, "blocked": 0});
        let unchanged = Work::of_plan(&json!({"waves": [], "counts": counts})).unwrap();
        assert_eq!(unchanged.counts()["unchanged"], 4);
        for (counts, refused) in [
            (json!({"deploy": 1, "unchanged": 4}), Value::Null),
            (json!({"blocked": 1, "unchanged": 4}), json!({"error": "Blocked"})),
            (Value::Null, json!({"error": "InvalidManifest"})),
        ] {
            let payload = json!({"waves": [], "counts": counts, "refused": refused});
            assert_eq!(Work::of_plan(&payload), None, "{payload}");
        }
        assert_eq!(Work::of_plan(&json!({"deployment": "x"})), None);
    }

    #[test]
    fn each_state_of_the_workflow_has_a_phase() {
        let text = include_str!("../../../../statemachine/deploy-module.asl.json");
        let definition: Value = serde_json::from_str(text).unwrap();
        for (name, state) in definition["States"].as_object().unwrap() {
            let is_work = state["Type"] == "Task" && name != "AcquireLock";
            assert!(
                !is_work || Phase::of_state(name) != Phase::Starting,
                "{name} has no phase"
            );
        }
    }

    #[test]
    fn durations_are_as_on_a_clock() {
        assert_eq!(clock(Duration::from_secs(42)), "0:42");
        assert_eq!(clock(Duration::from_secs(725)), "12:05");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
    }
}
