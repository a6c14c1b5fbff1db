//! A module that is about to start, as the rules in Rego of its deployment see it (decision 60).
//!
//! The rules are evaluated on a plan of this module alone, which has the same fields as that of a deployment. Where the
//! module is part of a deployment, the deployment's plan knows more: the repository of its files, a move, a rename.

use serde_json::json;

use super::plan::{Plan, PlannedAction, PlannedModule};
use super::plan_json::{PlanJson, Scope};
use crate::error::{Error, ErrorName, Result};
use crate::ids::{DeploymentId, ExecutionArn};
use crate::module;
use crate::module::definition::{DefinedSource, Definition, StackDefaults};
use crate::module::input::ModuleAction;
use crate::module::metadata_reference::ModuleRef;
use crate::policy::rego::RuleResult;

/// A module that is about to be built or destroyed.
#[derive(Debug)]
pub struct StartingModule<'a> {
    /// Its plan.
    pub plan: &'a module::plan::Plan,
    /// Why it is deployed or destroyed.
    pub reasons: &'a [String],
    /// The same module in the plan of its deployment, if it is part of one.
    pub planned: Option<&'a PlannedModule>,
    /// Whether it is part of a plan that was approved.
    pub approved: bool,
}

impl StartingModule<'_> {
    /// The plan of this module alone. As in a deployment's plan, what is destroyed has no definition.
    #[must_use]
    pub fn json(&self, defaults: &StackDefaults<'_>) -> PlanJson {
        let plan = self.plan;
        let (action, name) = match plan.action {
            ModuleAction::Deploy => (PlannedAction::Deploy, "deploy"),
            ModuleAction::Destroy => (PlannedAction::Destroy, "destroy"),
        };
        let definition = || {
            let digest = &plan.fingerprint.bundle;
            Box::new(Definition::of(self.source(), digest, &plan.options, defaults))
        };
        let module = PlannedModule {
            module: ModuleRef::from(&plan.module),
            action,
            renamed_from: self.planned.and_then(|planned| planned.renamed_from.clone()),
            moves: self.planned.is_some_and(|planned| planned.moves),
            reasons: self.reasons.to_vec(),
            changes: Vec::new(),
            definition: (plan.action == ModuleAction::Deploy).then(definition),
            redeploy_if_changed: Vec::new(),
            execution: None,
        };
        PlanJson {
            scope: Scope::Module,
            deployment: DeploymentId::from(&plan.module),
            changes: true,
            counts: json!({name: 1}),
            origin: plan.commit_info.clone(),
            modules: vec![module],
            shortened: false,
            policy: None,
            rego: None,
            approval: None,
            previews: Vec::new(),
        }
    }

    /// Where the files are from: the deployment's plan knows the repository, and the module's own only the bundle.
    fn source(&self) -> DefinedSource {
        let planned = self.planned.and_then(|planned| planned.definition.as_ref());
        planned.map_or_else(
            || DefinedSource::of_bundle(&self.plan.source),
            |definition| definition.source.clone(),
        )
    }

    /// The reasons of the module after the rules were evaluated: a warning is one, unless the plan of its deployment has it.
    ///
    /// # Errors
    /// `DeniedByPolicy`; `ApprovalRequired` if the rules ask for an approval that the module's plan doesn't have.
    pub fn judge(&self, result: RuleResult) -> Result<Vec<String>> {
        result.refuse()?;
        if !self.approved && !result.approvals().is_empty() {
            return Err(self.unapproved(&result));
        }
        let mut reasons = self.reasons.to_vec();
        if self.planned.is_none() {
            let warnings = result.findings.warn.into_iter();
            reasons.extend(warnings.map(|warning| format!("policy warns: {warning}")));
        }
        Ok(reasons)
    }

    fn unapproved(&self, result: &RuleResult) -> Error {
        let message = format!(
            "{}: the rules {} want an approval ({}), but this execution belongs to no approved plan that still runs; start the whole deployment, with \"only\" for one module",
            self.plan.module,
            result.document,
            result.approvals().join(". ")
        );
        Error::new(ErrorName::ApprovalRequired, message)
    }
}

/// The module in the plan of the deployment that the execution names as its starter. Only functions write plans, so a module
/// with this execution and these files is what was planned.
#[must_use]
pub fn planned(
    deployment: Plan,
    execution: &ExecutionArn,
    plan: &module::plan::Plan,
) -> Option<PlannedModule> {
    if deployment.deployment != DeploymentId::from(&plan.module) {
        return None;
    }
    let of = ModuleRef::from(&plan.module);
    let is_it = |planned: &PlannedModule| {
        let digest = planned.definition.as_ref().map(|definition| &definition.digest);
        planned.module == of
            && planned.execution.as_deref() == Some(execution.name())
            && digest.is_none_or(|digest| *digest == plan.fingerprint.bundle)
    };
    deployment.modules.into_iter().find(is_it)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::AwsEnvironment;
    use crate::module::codebuild::request::tests::plan;
    use crate::module::definition::DefinedBuild;
    use crate::policy::rego::Findings;

    /// A plan of the deployment of a module.
    fn deployment(of: &module::plan::Plan, change: &serde_json::Value) -> Plan {
        let id = &of.module;
        let mut plan = json!({
            "project": id.project, "deployment": id.deployment, "groups": [], "leaves_nothing": false,
            "modules": [{
                "group": id.group, "module": id.module, "action": "deploy", "reasons": ["planned"], "moves": true,
                "execution": "e", "definition": {
                    "source": {"kind": "repository", "path": "modules/m"}, "digest": of.fingerprint.bundle,
                    "target": {"account": "1", "region": "r"}, "build": {"image": "i", "privileged": false},
                },
            }],
        });
        for (pointer, value) in change.as_object().unwrap() {
            *plan.pointer_mut(pointer).unwrap() = value.clone();
        }
        serde_json::from_value(plan).unwrap()
    }

    #[test]
    fn only_what_this_execution_deploys_counts_as_planned() {
        let (plan, me) = (plan(json!({}), true), ExecutionArn::new("e"));
        let find = |change: serde_json::Value| planned(deployment(&plan, &change), &me, &plan).is_some();
        assert!(find(json!({})));
        // What is destroyed has no definition.
        assert!(find(json!({"/modules/0/definition": null})));
        for change in [
            json!({"/modules/0/definition/digest": "other"}),
            json!({"/modules/0/execution": "other"}),
            json!({"/modules/0/module": "other"}),
            json!({"/deployment": "other"}),
        ] {
            assert!(!find(change.clone()), "{change}");
        }
    }

    #[test]
    fn rules_see_the_module_with_what_its_deployment_knows_of_it() {
        let mut plan = plan(json!({}), true);
        let found = planned(deployment(&plan, &json!({})), &ExecutionArn::new("e"), &plan);
        let home = AwsEnvironment::from_arn("arn:aws:states:r:1:x:y").unwrap();
        let build = DefinedBuild {
            image: "i".to_owned(),
            privileged: false,
        };
        let defaults = StackDefaults {
            home: &home,
            build: &build,
        };
        let see = |plan: &module::plan::Plan, planned: Option<&PlannedModule>| {
            let module = StartingModule {
                plan,
                reasons: &["changed".to_owned()],
                planned,
                approved: false,
            };
            json!(module.json(&defaults))
        };
        let part = see(&plan, found.as_ref());
        assert_eq!(
            (&part["scope"], &part["counts"]),
            (&json!("module"), &json!({"deploy": 1}))
        );
        let module = &part["modules"][0];
        assert_eq!(
            (&module["moves"], &module["reasons"]),
            (&json!(true), &json!(["changed"]))
        );
        assert_eq!(
            module["definition"]["source"],
            json!({"kind": "repository", "path": "modules/m"})
        );
        let alone = see(&plan, None);
        assert_eq!(alone["modules"][0]["definition"]["source"]["kind"], "bundle");
        plan.action = ModuleAction::Destroy;
        let destroyed = see(&plan, None);
        assert_eq!(destroyed["counts"], json!({"destroy": 1}));
        assert!(destroyed["modules"][0].get("definition").is_none(), "{destroyed}");
    }

    #[test]
    fn a_result_refuses_asks_for_an_approval_or_adds_its_warnings_once() {
        let plan = plan(json!({}), true);
        let found = planned(deployment(&plan, &json!({})), &ExecutionArn::new("e"), &plan);
        let judge = |(deny, ask): (bool, bool), planned, approved| {
            let some = |are: bool| are.then(|| "why".to_owned()).into_iter().collect();
            let findings = Findings {
                deny: some(deny),
                require_approval: some(ask),
                warn: vec!["late".to_owned()],
            };
            let module = StartingModule {
                plan: &plan,
                reasons: &["changed".to_owned()],
                planned,
                approved,
            };
            module.judge(RuleResult::of(
                &DeploymentId::from(&plan.module),
                b"rules",
                findings,
            ))
        };
        let warned = judge((false, false), None, false).unwrap();
        assert_eq!(warned, ["changed", "policy warns: late"]);
        assert_eq!(judge((false, false), found.as_ref(), false).unwrap(), ["changed"]);
        let unapproved = judge((false, true), None, false).unwrap_err();
        assert_eq!(unapproved.name, ErrorName::ApprovalRequired);
        assert!(unapproved.message.contains("(why)"), "{unapproved:?}");
        assert!(judge((false, true), None, true).is_ok());
        assert_eq!(
            judge((true, true), None, true).unwrap_err().name,
            ErrorName::DeniedByPolicy
        );
    }
}
