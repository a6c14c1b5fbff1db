//! What travels between the states of the state machine.
//!
//! `check-md5` makes a [`Plan`] of everything that later states need, pinned to what it read (the bundle's
//! version, the deployspec, the state before), so that no later state reads and judges again. The plan is
//! opaque to the state machine. One that is too long for a state's payload lies in the work bucket, and its key
//! travels ([`PlanHandle`]).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{ExecutionArn, ModuleId};
use crate::module::commit_info::CommitInfo;
use crate::module::deployspec::Deployspec;
use crate::module::fingerprint::Fingerprint;
use crate::module::input::{Action, Options, Source};
use crate::module::role::{ModuleStack, RoleAndStackName};
use crate::module::status::{State, Status};
use crate::module::workflow_metadata::Key;

/// Step Functions ends payloads at 256 KB (Step Functions Developer Guide, "Service quotas"). The plan has to leave room
/// for what is around it, and its text is escaped once more where a payload carries it.
pub const MAX_TRAVELLING: usize = 180 * 1024;

/// How a changed module is to be deployed, or a deployed one destroyed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Which of the two.
    #[serde(default)]
    pub action: Action,
    /// The module.
    pub module: ModuleId,
    /// The bundle, with its version.
    pub source: Source,
    /// The bundle's size as a zip, where it was read for this plan.
    #[serde(default)]
    pub source_bytes: Option<u64>,
    /// Where the bundle comes from, as far as the object's metadata says.
    #[serde(flatten)]
    pub origin: CommitInfo,
    /// Parameters and settings.
    pub options: Options,
    /// The module's commands.
    pub deployspec: Deployspec,
    /// The stack of the module's own role, where it has one.
    #[serde(default)]
    pub module_stack: Option<ModuleStack>,
    /// What is stored as `md5` after a deployment's success; of a module that is destroyed, what was.
    pub fingerprint: Fingerprint,
    /// Whether it knows more than the stored one: of an unchanged module it is stored anew then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renews: bool,
    /// The status before.
    pub previous_status: Option<Status>,
    /// The metadata of the last success, for the build's `…_MODULE_METADATA`.
    pub previous_metadata: Option<Value>,
}

impl Plan {
    /// Whether role and stack of the module, which have these names, go after the build: because the module goes, or
    /// because it brings none any more and may have had some. Its metadata say that a success had them; what a module
    /// writes there of another's role counts for nothing. Of an attempt that did not succeed nothing says it, so it may.
    #[must_use]
    pub fn removes_role(&self, own: &RoleAndStackName) -> bool {
        if self.module_stack.is_some() {
            return self.action == Action::Destroy;
        }
        let before = self.previous_metadata.as_ref();
        let named = before.and_then(|metadata| metadata[Key::Role.as_str()].as_str());
        let status = self.previous_status.as_ref();
        let attempted =
            status.is_some_and(|status| !matches!(status.state, State::Succeeded | State::Unchanged));
        attempted || named == Some(&own.role)
    }
}

/// A plan on its way between two states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PlanHandle {
    /// Its key in the work bucket.
    Stored {
        /// Below `plans/`, where no build can read or write.
        plan_key: String,
    },
    /// The plan itself.
    Here(Box<Plan>),
}

impl PlanHandle {
    /// Lays out a plan, and gives the text that has to be stored under the key where it is too long.
    #[must_use]
    pub fn new(plan: Plan, execution: &ExecutionArn) -> (Self, Option<String>) {
        // The types of a plan have text keys only, which always serialise.
        let text = serde_json::to_string(&plan).unwrap_or_default();
        if text.len() <= MAX_TRAVELLING {
            return (Self::Here(Box::new(plan)), None);
        }
        let plan_key = execution.plan_key();
        (Self::Stored { plan_key }, Some(text))
    }
}

/// The answer of `check-md5`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Whether a build has to run.
    pub changed: bool,
    /// Whether the module is to be forgotten without one: it is to be destroyed and isn't deployed.
    pub forget: bool,
    /// Why.
    pub reasons: Vec<String>,
    /// The CodeBuild project of the build: `end-execution` looks there for a build that nobody waits for.
    pub build_project: String,
    /// Whether the build runs with a role of the module's own, which has to be there before.
    pub module_stack: bool,
    /// Whether role and stack of the module go after the build: it is destroyed, or has none of its own any more.
    pub remove_role: bool,
    /// How; none where there is nothing to plan, because the module is to be forgotten.
    pub plan: Option<PlanHandle>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::module::codebuild::request::tests::plan;
    use jiff::Timestamp;
    use serde_json::json;

    #[test]
    fn a_role_goes_with_its_module_or_once_nothing_brings_it_any_more_also_after_an_attempt_that_failed() {
        let deployed = plan(json!({}), true);
        let own = RoleAndStackName::new("seedflow-module-", &deployed.module).unwrap();
        let stack = ModuleStack {
            names: own.clone(),
            template: String::new(),
            parameters: Vec::new(),
        };
        let execution = ExecutionArn::new("e");
        let mut status = Status::start(None, &deployed.module, &execution, &[], Timestamp::UNIX_EPOCH);
        let mut after = |state: Option<State>, role: Option<&str>, action, brings: bool| {
            let plan = Plan {
                action,
                module_stack: brings.then(|| stack.clone()),
                previous_status: state.map(|state| {
                    status.state = state;
                    status.clone()
                }),
                previous_metadata: role.map(|role| json!({Key::Role.as_str(): role})),
                ..deployed.clone()
            };
            plan.removes_role(&own)
        };
        use Action::{Deploy, Destroy};
        for state in [
            State::Succeeded,
            State::Unchanged,
            State::Failed,
            State::Aborted,
            State::InProgress,
        ] {
            let good = matches!(state, State::Succeeded | State::Unchanged);
            // What was deployed had one, or not; then a version that had one may have failed.
            assert!(after(Some(state), Some(&own.role), Deploy, false), "{state:?}");
            assert_eq!(after(Some(state), None, Deploy, false), !good, "{state:?}");
            assert_eq!(after(Some(state), None, Destroy, false), !good, "{state:?}");
            // What brings one keeps it until it is destroyed.
            assert!(!after(Some(state), Some(&own.role), Deploy, true), "{state:?}");
            assert!(after(Some(state), Some(&own.role), Destroy, true), "{state:?}");
        }
        assert!(!after(None, None, Deploy, false));
        assert!(!after(
            Some(State::Succeeded),
            Some("another-role"),
            Deploy,
            false
        ));
    }

    fn plan_of(length: usize) -> Plan {
        let base = plan(json!({"parameters": {"p": ""}}), true);
        let rest = serde_json::to_string(&base).unwrap().len();
        let mut long = base;
        long.source.key.push_str(&"x".repeat(length - rest));
        assert_eq!(serde_json::to_string(&long).unwrap().len(), length);
        long
    }

    #[test]
    fn a_plan_at_the_limit_travels_itself_and_one_over_by_its_key() {
        let execution = ExecutionArn::new("arn:aws:states:r:1:execution:machine:name");
        let (here, stored) = PlanHandle::new(plan_of(MAX_TRAVELLING), &execution);
        assert!(matches!(here, PlanHandle::Here(_)) && stored.is_none());
        let (away, stored) = PlanHandle::new(plan_of(MAX_TRAVELLING + 1), &execution);
        assert_eq!(stored.unwrap().len(), MAX_TRAVELLING + 1);
        let text = serde_json::to_string(&away).unwrap();
        assert_eq!(text, "{\"plan_key\":\"plans/name/plan.json\"}");
        assert_eq!(serde_json::from_str::<PlanHandle>(&text).unwrap(), away);
        let text = serde_json::to_string(&here).unwrap();
        assert_eq!(serde_json::from_str::<PlanHandle>(&text).unwrap(), here);
    }
}
