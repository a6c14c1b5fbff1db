//! The plan of a deployment: the action and its reasons for each module, and the waves of executions.
//!
//! The waves travel through the states of the deployment's execution. Inputs that are too long for that are stored
//! ([`spill_long_inputs`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::changed_values::ChangedValue;
use super::module_part::ModulePart;
use super::preview_builds::Previews;
use super::remote_source::FetchedSource;
use super::rollback::DeploymentRollback;
use crate::approval::ApprovalNeeded;
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::ids::DeploymentId;
use crate::ids::{ExecutionArn, ModuleId};
use crate::module::commit_info::CommitInfo;
use crate::module::definition::Definition;
use crate::module::metadata_reference::ModuleRef;
use crate::module::status;
use crate::module::stored_input::StoredInput;
use crate::policy::rego::RuleResult;
use crate::policy::{Change, Changes, Decision};
use crate::started_by::StartedBy;

/// The most of a plan's waves that may travel through the states. Payloads end at 256 KB, and the waves share one with
/// the results of the modules.
const MAX_INLINE_WAVES: usize = 150 * 1024;
/// The maximum size of all inputs if only their keys travel. A payload ends at 256 KB (Step Functions Developer Guide,
/// "Service quotas") and has more fields around them.
const MAX_KEYS: usize = 250 * 1024;
/// The longest list of modules in an answer. The rest of the payload is for everything else that it has.
const MAX_LISTED: usize = 150 * 1024;
/// The longest input that travels itself. An awaited execution returns its input with its output, and both have to fit
/// into one payload.
const MAX_INPUT: usize = 32 * 1024;

/// The planned action for a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlannedAction {
    /// Build it.
    Deploy,
    /// Do not build it, as far as is known now. The module gets an execution anyway if that may change
    /// ([`PlannedModule::redeploy_if_changed`]), or if its stored fingerprint has to name other upstream modules.
    Unchanged,
    /// Destroy it.
    Destroy,
    /// It cannot be executed.
    Blocked,
}

/// A module in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedModule {
    /// The module.
    #[serde(flatten)]
    pub module: ModuleRef,
    /// The planned action.
    pub action: PlannedAction,
    /// Whether it is in another account or region and is destroyed there first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moves: bool,
    /// The name under which it is deployed so far, if it is renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<ModuleRef>,
    /// The reasons.
    pub reasons: Vec<String>,
    /// The values that change, if it is a plan that is only shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangedValue>,
    /// What it is made of; only where rules or people read it, and never of a module that the manifest doesn't have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Box<Definition>>,
    /// The modules, as `{group}/{module}`, whose values may change before this one's execution and make it one to
    /// deploy.
    #[serde(rename = "unless", default, skip_serializing_if = "Vec::is_empty")]
    pub redeploy_if_changed: Vec<String>,
    /// The name of its execution; `None` if there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
}

/// A plan, in the order of its execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The deployment.
    #[serde(flatten)]
    pub deployment: DeploymentId,
    /// The commit that is deployed.
    #[serde(flatten)]
    pub commit_info: CommitInfo,
    /// Who started the execution, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<StartedBy>,
    /// Final state of the previous deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_state: Option<status::State>,
    /// The groups in the order in which this execution deploys them, with those that leave the manifest.
    pub groups: Vec<String>,
    /// Their order as long as the execution has not succeeded: that of the last success, with the new groups.
    #[serde(default)]
    pub attempted_groups: Vec<String>,
    /// All selected modules.
    pub modules: Vec<PlannedModule>,
    /// Whether the deployment is empty after a complete success.
    pub leaves_nothing: bool,
    /// Whether it covers the whole deployment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Of a rollback, to what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<DeploymentRollback>,
    /// The name of the execution to whose deployment it is rolled back if a module fails (`on_failure`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure_to: Option<String>,
    /// The remote sources of the manifest and their commits, as they are shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<FetchedSource>,
    /// Warnings for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the deployment's policy says of the plan; `None` if it has no policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Decision>,
    /// The SHA-256 of the deployment's rules in Rego, if it has some and the plan starts something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
    /// What the deployment's rules in Rego say of the plan; `None` before they are evaluated, and without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rego: Option<RuleResult>,
    /// The approval that the plan needs before it runs; `None` if it needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalNeeded>,
    /// The approval that the rules may ask for, without reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_for_rules: Option<ApprovalNeeded>,
    /// What the modules are deployed from; only for the planner itself.
    #[serde(skip)]
    pub parts: BTreeMap<ModuleRef, ModulePart>,
    /// The previews of modules, before they run; stored beside the plan.
    #[serde(skip)]
    pub previews: Previews,
}

/// Modules that are executed at the same time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wave {
    /// The maximum number at a time.
    pub concurrency: u32,
    /// The executions.
    pub items: Vec<Item>,
}

/// An execution of the module workflow.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    /// Its name. It is the same for every attempt of the same deployment, so a repeated start finds the first
    /// execution.
    pub name: String,
    /// Its input.
    pub input: Value,
}

/// An input that is stored instead of travelling: its key in the work bucket and its text.
pub type StoredItem = (String, String);

/// Prepares waves for the states of an execution. Inputs that do not fit are returned for storage, and their keys
/// travel instead.
///
/// # Errors
/// `Refused` if even the keys do not fit.
pub fn spill_long_inputs(
    mut waves: Vec<Wave>,
    execution: &ExecutionArn,
) -> Result<(Vec<Wave>, Vec<StoredItem>)> {
    let long = length(&waves) > MAX_INLINE_WAVES;
    let mut stored = Vec::new();
    for item in waves.iter_mut().flat_map(|wave| &mut wave.items) {
        if !long && length(&item.input) <= MAX_INPUT {
            continue;
        }
        // Every planned input names its module.
        let Ok(module) = serde_json::from_value::<ModuleId>(item.input.clone()) else {
            continue;
        };
        let key = execution.item_key(&item.name);
        let sent = StoredInput::sent(&module, &key);
        let input = std::mem::replace(&mut item.input, sent);
        stored.push((key, input.to_string()));
    }
    if length(&waves) > MAX_KEYS {
        let count: usize = waves.iter().map(|wave| wave.items.len()).sum();
        return Err(Error::new(
            ErrorName::Refused,
            format!(
                "the plan runs {count} modules, more than Step Functions passes on at once; deploy them in parts by \"only\""
            ),
        ));
    }
    Ok((waves, stored))
}

/// The length as JSON. Planned values have only text keys, so they always serialise.
fn length(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |text| text.len())
}

/// What planned modules are certain to start.
#[must_use]
pub fn changes_of(modules: &[PlannedModule]) -> Changes {
    let change = |planned: &PlannedModule| match planned.action {
        // A policy that protects a module protects it from a move, too.
        PlannedAction::Deploy if planned.moves => Some(Change::Destroy),
        PlannedAction::Deploy => Some(Change::Deploy),
        PlannedAction::Destroy => Some(Change::Destroy),
        PlannedAction::Unchanged | PlannedAction::Blocked => None,
    };
    let changes = modules.iter();
    changes
        .filter_map(|planned| Some((planned.module.clone(), change(planned)?)))
        .collect()
}

impl Plan {
    /// The names of the executions that it starts.
    pub fn executions(&self) -> impl Iterator<Item = &str> {
        self.modules
            .iter()
            .filter_map(|planned| planned.execution.as_deref())
    }

    /// The modules for an answer, and whether definitions and changed values are left out because the list is too long with
    /// them. `None` if it is too long even then. The stored plan has everything.
    #[must_use]
    pub fn listed(&self) -> (Option<Value>, bool) {
        let is_short = |modules: &Value| length(modules) < MAX_LISTED;
        let whole = json!(self.modules);
        if is_short(&whole) {
            return (Some(whole), false);
        }
        let mut modules = self.modules.clone();
        for module in &mut modules {
            module.changes.clear();
            module.definition = None;
        }
        (Some(json!(modules)).filter(is_short), true)
    }

    /// What the plan is certain to start.
    #[must_use]
    pub fn changes(&self) -> Changes {
        changes_of(&self.modules)
    }

    /// Whether the policy admitted this plan, and an execution of a module is part of it.
    #[must_use]
    pub fn admits(&self, execution: &ExecutionArn) -> bool {
        let name = Some(execution.name());
        self.refuse().is_ok()
            && self
                .modules
                .iter()
                .any(|planned| planned.execution.as_deref() == name)
    }

    /// Refuses a plan that may not start.
    ///
    /// # Errors
    /// `Blocked` with the modules and their obstacles, or `DeniedByPolicy` with what breaks the policy or the rules. Of a
    /// rollback that started by itself, also the failure before it.
    pub fn refuse(&self) -> Result<()> {
        let refused = self
            .refuse_blocked()
            .and_then(|()| self.policy.as_ref().map_or(Ok(()), Decision::refuse))
            .and_then(|()| self.rego.as_ref().map_or(Ok(()), RuleResult::refuse));
        let after = self
            .rollback
            .as_ref()
            .and_then(|rollback| rollback.after.as_ref());
        refused.map_err(|error| match after {
            Some(after) => after.then(error),
            None => error,
        })
    }

    /// Refuses a plan with a blocked module: no work begins that cannot be completed.
    ///
    /// # Errors
    /// `Blocked` with the modules and their obstacles.
    pub fn refuse_blocked(&self) -> Result<()> {
        let blocked: Vec<String> = self
            .modules
            .iter()
            .filter(|planned| planned.action == PlannedAction::Blocked)
            .map(|planned| format!("{}: {}", planned.module, planned.reasons.join("; ")))
            .collect();
        if blocked.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorName::Blocked,
            excerpt(&format!("nothing was started. {}", blocked.join(". ")), 4000),
        ))
    }

    /// Adds what the rules say: what they deny, and why they want an approval.
    pub fn judge(&mut self, result: RuleResult) {
        if let Some(asked) = &self.approval_for_rules {
            let needed = self.approval.take();
            self.approval = asked.because(needed, result.approvals());
        }
        self.rego = Some(result);
    }

    /// The number of modules for each action.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::from([("deploy", 0), ("unchanged", 0), ("destroy", 0), ("blocked", 0)]);
        for planned in &self.modules {
            let name = match planned.action {
                PlannedAction::Deploy => "deploy",
                PlannedAction::Unchanged => "unchanged",
                PlannedAction::Destroy => "destroy",
                PlannedAction::Blocked => "blocked",
            };
            *counts.entry(name).or_default() += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wave(items: usize, parameter: usize) -> Vec<Wave> {
        let item = |i: usize| {
            let (group, module) = ("g".repeat(64), format!("{}{i:04}", "m".repeat(60)));
            let mut input = json!(ModuleId::parse("p", "d", &group, &module).unwrap());
            input["parameters"] = json!({"p": "x".repeat(parameter)});
            Item {
                name: format!("{}{i:04}", "n".repeat(76)),
                input,
            }
        };
        vec![Wave {
            concurrency: 40,
            items: (0..items).map(item).collect(),
        }]
    }

    #[test]
    fn a_plan_admits_its_own_executions_unless_it_was_refused() {
        let plan = |policy: Value| -> Plan {
            serde_json::from_value(json!({
                "project": "p", "deployment": "d", "groups": ["g"], "leaves_nothing": false, "policy": policy,
                "modules": [{"group": "g", "module": "m", "action": "deploy", "reasons": [], "execution": "run-m"}],
            }))
            .unwrap()
        };
        let execution =
            |name: &str| ExecutionArn::new(format!("arn:aws:states:r:1:execution:deploy-module:{name}"));
        let policy =
            |broken: Value| json!({"document": "policies/p/d.json", "version": "1", "broken": broken});
        assert!(plan(Value::Null).admits(&execution("run-m")));
        assert!(plan(policy(json!([]))).admits(&execution("run-m")));
        assert!(!plan(policy(json!([]))).admits(&execution("by-hand")));
        assert!(!plan(policy(json!(["freeze[0]: no"]))).admits(&execution("run-m")));
    }

    #[test]
    fn a_long_list_of_modules_loses_its_changes_and_then_itself() {
        let plan = |modules: usize, change: usize| -> Plan {
            let module = |i: usize| {
                json!({
                    "group": "g", "module": format!("m{i}"), "action": "deploy", "reasons": ["r".repeat(100)],
                    "changes": [{"what": "x".repeat(change), "new": "1"}],
                })
            };
            let modules: Vec<Value> = (0..modules).map(module).collect();
            serde_json::from_value(json!({
                "project": "p", "deployment": "d", "groups": ["g"], "leaves_nothing": false, "modules": modules,
            }))
            .unwrap()
        };
        let (short, is_shortened) = plan(10, 10).listed();
        assert_eq!(
            (short.unwrap()[0]["changes"][0]["new"].as_str(), is_shortened),
            (Some("1"), false)
        );
        let (long, is_shortened) = plan(10, 20_000).listed();
        assert_eq!((long.unwrap()[0].get("changes"), is_shortened), (None, true));
        assert_eq!(plan(2000, 0).listed(), (None, true));
    }

    #[test]
    fn five_hundred_modules_fit_into_a_state() {
        let execution = ExecutionArn::new("arn:aws:states:r:1:execution:deploy:run");
        let (few, stored) = spill_long_inputs(wave(5, 1000), &execution).unwrap();
        assert_eq!((few, stored.len()), (wave(5, 1000), 0));
        let planned = wave(500, 1000);
        let (many, stored) = spill_long_inputs(planned.clone(), &execution).unwrap();
        assert_eq!(stored.len(), 500);
        // A payload ends at 256 KB; the names here have the maximum length.
        assert!(length(&many) < MAX_KEYS, "{}", length(&many));
        let error = spill_long_inputs(wave(1000, 10), &execution).unwrap_err();
        assert!(error.message.contains("the plan runs 1000 modules"), "{error}");
        let (key, text) = &stored[7];
        let sent = StoredInput::of(&many[0].items[7].input).unwrap().unwrap();
        assert_eq!(&sent.key, key);
        let input = serde_json::from_str(text).unwrap();
        assert_eq!(sent.check(input), Ok(planned[0].items[7].input.clone()));
    }

    #[test]
    fn a_long_input_is_stored_by_itself() {
        let execution = ExecutionArn::new("arn:aws:states:r:1:execution:deploy:run");
        let mut planned = wave(2, 10);
        planned.extend(wave(1, MAX_INPUT));
        let (encoded, stored) = spill_long_inputs(planned.clone(), &execution).unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!(encoded[0], planned[0]);
    }
}
