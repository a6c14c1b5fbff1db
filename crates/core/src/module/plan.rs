//! The plan that the states of the state machine pass on (decision 7).
//!
//! `check-md5` makes a [`Plan`] of everything that later states need, pinned to what it read (the bundle's version, the
//! deployspec, the previous state). So later states do not read and decide again. The plan is opaque to the state
//! machine. A plan that is too long for a state's payload is stored in the work bucket, and the states pass on its key
//! ([`PlanHandle`]).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::ids::{ExecutionArn, ModuleId, in_target};
use crate::module::commit_info::CommitInfo;
use crate::module::deployspec::Deployspec;
use crate::module::fingerprint::Fingerprint;
use crate::module::former_names::FormerNames;
use crate::module::input::{ModuleAction, Options};
use crate::module::metadata_reference::ModuleRef;
use crate::module::network::Network;
use crate::module::refusal::Refusal;
use crate::module::role::{ModuleStack, RoleAndStackName};
use crate::module::source::Source;
use crate::module::status::{State, Status, rename_reason};
use crate::module::target_settings::TargetSettings;
use crate::module::workflow_metadata::Key;
use crate::target::Target;

/// Step Functions limits payloads to 256 KB (Step Functions Developer Guide, "Service quotas"). The plan has to leave
/// room for the fields around it, and a payload escapes the plan's text once more.
pub const MAX_INLINE_PLAN: usize = 180 * 1024;

/// How to deploy a changed module, or to destroy a deployed one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Whether to deploy or to destroy.
    #[serde(default)]
    pub action: ModuleAction,
    /// The module.
    pub module: ModuleId,
    /// The names that it had before it was renamed.
    #[serde(default, skip_serializing_if = "FormerNames::is_empty")]
    pub former_names: FormerNames,
    /// The bundle, with its version.
    pub source: Source,
    /// The size of the bundle's zip, if it was read for this plan.
    #[serde(default)]
    pub source_bytes: Option<u64>,
    /// The bundle's commit, from the object's metadata.
    #[serde(flatten)]
    pub commit_info: CommitInfo,
    /// Parameters and settings.
    pub options: Options,
    /// The network of the build, as it is now: the options may refer to Parameter Store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The settings of the target that the options name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_settings: Option<TargetSettings>,
    /// The module's commands.
    pub deployspec: Deployspec,
    /// The stack of the module's own role, if it has one.
    #[serde(default)]
    pub module_stack: Option<ModuleStack>,
    /// The fingerprint that is stored as `md5` after a successful deployment; for a destruction, the stored one.
    pub fingerprint: Fingerprint,
    /// Whether it contains more than the stored fingerprint: for an unchanged module it is then stored again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renews: bool,
    /// Whether the bundle is kept and recorded before the build: the module was never deployed, or it is destroyed by a
    /// newer source.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps: bool,
    /// The previous status.
    pub previous_status: Option<Status>,
    /// The metadata of the last success, for the build's `…_MODULE_METADATA`.
    pub previous_metadata: Option<Value>,
}

impl Plan {
    /// Where the module is deployed, or destroyed; `None` at home.
    #[must_use]
    pub const fn target(&self) -> Option<&Target> {
        self.options.target.as_ref()
    }

    /// The id by which the module's build, stacks and role are named: its first one.
    #[must_use]
    pub fn resources(&self) -> ModuleId {
        self.former_names.of_resources(&self.module)
    }

    /// The CodeBuild project of the build; `default` is that of builds at home that ask for nothing else.
    #[must_use]
    pub fn project(&self, default: &str) -> String {
        let of_target = self.target_settings.as_ref();
        let default = of_target.map_or(default, |settings| settings.project.as_str());
        let named = self.options.build.project_name.clone();
        let of_network = || self.network.as_ref().map(|network| network.project(default));
        named.or_else(of_network).unwrap_or_else(|| default.to_owned())
    }

    /// Whether to remove the module's role and stack after the build. The reason is that the module is destroyed, or
    /// that it has no template any more and may have had one. The metadata of a success show whether it had them; a
    /// module's own metadata about another role are ignored. An unsuccessful attempt leaves no such trace, so it may
    /// have had them. `prefix` begins the names of all modules' roles and stacks.
    #[must_use]
    pub fn removes_role(&self, prefix: &str) -> bool {
        // If the module's name is too long for a role's name, the role never existed.
        let Ok(own) = RoleAndStackName::new(prefix, &self.resources()) else {
            return false;
        };
        if self.module_stack.is_some() {
            return self.action == ModuleAction::Destroy;
        }
        let before = self.previous_metadata.as_ref();
        let named = before.and_then(|metadata| metadata[Key::Role.as_str()].as_str());
        let status = self.previous_status.as_ref();
        let attempted =
            status.is_some_and(|status| !matches!(status.state, State::Succeeded | State::Unchanged));
        attempted || named == Some(own.role.as_str())
    }
}

/// A plan in a payload: inline, or stored with its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PlanHandle {
    /// Its key in the work bucket.
    Stored {
        /// A key below `plans/`, which builds can neither read nor write.
        plan_key: String,
    },
    /// The plan itself.
    Inline(Box<Plan>),
}

impl PlanHandle {
    /// Prepares a plan for a payload. If it is too long, returns the text to store under its key as well.
    #[must_use]
    pub fn new(plan: Plan, execution: &ExecutionArn) -> (Self, Option<String>) {
        // A plan's types have only text keys, so they always serialise.
        let text = serde_json::to_string(&plan).unwrap_or_default();
        if text.len() <= MAX_INLINE_PLAN {
            return (Self::Inline(Box::new(plan)), None);
        }
        let plan_key = execution.plan_key();
        (Self::Stored { plan_key }, Some(text))
    }
}

/// The result of `check-md5`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Whether a build is needed.
    pub changed: bool,
    /// Whether to remove the stored state without a build: the module is to be destroyed and is not deployed.
    #[serde(rename = "forget")]
    pub purge: bool,
    /// The reasons.
    pub reasons: Vec<String>,
    /// The CodeBuild project of the build, with its target: `end-execution` searches it for a build that no execution waits
    /// for.
    pub build_project: String,
    /// Where the module's role is, if it is to be removed; `None` at home.
    pub target: Option<Target>,
    /// Whether the module is deployed elsewhere and destroyed there first. The state machine then checks again.
    pub moves: bool,
    /// The module from which it is renamed first. The state machine then checks again.
    pub renames: Option<ModuleRef>,
    /// The first of the names that the module had, after which its role and stack are named; `None` if it was never renamed.
    pub first_name: Option<ModuleRef>,
    /// Whether the build uses the module's own role, which has to exist first.
    pub module_stack: bool,
    /// Whether to remove the module's role and stack after the build: it is destroyed, or has no role of its own any
    /// more.
    pub remove_role: bool,
    /// Whether the deployment has rules in Rego that have to be evaluated before anything starts.
    #[serde(default)]
    pub evaluate: bool,
    /// Whether it is part of a plan that was approved; only where rules may ask for that.
    #[serde(default)]
    pub approved: bool,
    /// The plan; `None` if only the stored state is removed.
    pub plan: Option<PlanHandle>,
    /// Why the request is refused. Everything else is empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedBundle>,
}

/// A bundle that could be opened and is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusedBundle {
    /// The name of the error.
    pub error: String,
    /// Why.
    pub cause: String,
    /// The commit of the bundle's files.
    pub origin: CommitInfo,
}

impl CheckResult {
    /// The result for a plan, which the caller adds. `default_project` is the CodeBuild project if the plan names none,
    /// and `prefix` begins the names of all modules' roles and stacks.
    #[must_use]
    pub fn new(
        changed: bool,
        reasons: Vec<String>,
        plan: &Plan,
        default_project: &str,
        prefix: &str,
    ) -> Self {
        Self {
            changed,
            reasons,
            build_project: in_target(plan.target(), &plan.project(default_project)),
            target: plan.target().cloned(),
            module_stack: plan.module_stack.is_some(),
            remove_role: plan.removes_role(prefix),
            first_name: plan.former_names.iter().next().cloned(),
            ..Self::default()
        }
    }

    /// The result for a module that is renamed before anything else.
    #[must_use]
    pub fn renaming(from: ModuleRef, default_project: &str) -> Self {
        Self {
            reasons: vec![rename_reason(&from)],
            build_project: default_project.to_owned(),
            renames: Some(from),
            ..Self::default()
        }
    }

    /// The result for a bundle that an error refuses. Other errors are returned: they are about services, or about the state
    /// that is stored.
    ///
    /// # Errors
    /// The error, if it refuses no request.
    pub fn refuse(error: Error, origin: CommitInfo) -> Result<Self> {
        if !Refusal::is_by(error.name.as_str()) {
            return Err(error);
        }
        let refused = RefusedBundle {
            error: error.name.as_str().to_owned(),
            cause: error.message,
            origin,
        };
        Ok(Self {
            refused: Some(refused),
            ..Self::default()
        })
    }

    /// The result for a module that is to be destroyed and is not deployed.
    #[must_use]
    pub fn nothing_deployed(default_project: &str) -> Self {
        Self {
            purge: true,
            reasons: vec!["nothing is deployed".to_owned()],
            build_project: default_project.to_owned(),
            // A deployment that never succeeded may have created it.
            remove_role: true,
            ..Self::default()
        }
    }
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
            assert!(!plan.removes_role(&"p".repeat(100)));
            plan.removes_role("seedflow-module-")
        };
        use ModuleAction::{Deploy, Destroy};
        for state in [
            State::Succeeded,
            State::Unchanged,
            State::Failed,
            State::Aborted,
            State::InProgress,
        ] {
            let good = matches!(state, State::Succeeded | State::Unchanged);
            // The deployed version may have had a role or not; a later version with a role may have failed.
            assert!(after(Some(state), Some(&own.role), Deploy, false), "{state:?}");
            assert_eq!(after(Some(state), None, Deploy, false), !good, "{state:?}");
            assert_eq!(after(Some(state), None, Destroy, false), !good, "{state:?}");
            // A module with a template keeps its role until it is destroyed.
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

    #[test]
    fn a_check_names_the_project_in_which_a_build_is_searched() {
        let project = |manifest| {
            let result = CheckResult::new(
                true,
                Vec::new(),
                &plan(manifest, true),
                "seedflow",
                "seedflow-module-",
            );
            assert!(!result.purge && !result.module_stack && !result.remove_role);
            result.build_project
        };
        assert_eq!(project(json!({})), "seedflow");
        assert_eq!(
            project(json!({"build": {"project_name": "seedflow-arm"}})),
            "seedflow-arm"
        );
        let nothing = CheckResult::nothing_deployed("seedflow");
        assert!(nothing.purge && nothing.remove_role && !nothing.changed && nothing.plan.is_none());
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
        let (inline, stored) = PlanHandle::new(plan_of(MAX_INLINE_PLAN), &execution);
        assert!(matches!(inline, PlanHandle::Inline(_)) && stored.is_none());
        let (away, stored) = PlanHandle::new(plan_of(MAX_INLINE_PLAN + 1), &execution);
        assert_eq!(stored.unwrap().len(), MAX_INLINE_PLAN + 1);
        let text = serde_json::to_string(&away).unwrap();
        assert_eq!(text, "{\"plan_key\":\"plans/name/plan.json\"}");
        assert_eq!(serde_json::from_str::<PlanHandle>(&text).unwrap(), away);
        let text = serde_json::to_string(&inline).unwrap();
        assert_eq!(serde_json::from_str::<PlanHandle>(&text).unwrap(), inline);
    }
}
