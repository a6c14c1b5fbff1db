//! `evaluate-policy`: what do the rules in Rego of a deployment say (decision 60)?
//!
//! Both workflows call it only where a deployment has rules: for the plan of a whole deployment, before anything runs, and
//! for each module that is about to be built or destroyed, by the rules as they are then. It is the only function that
//! has the engine, and it has no right but to read policies and to read and write plans.
//!
//! For a deployment it stores the plan again, with the verdict, always the same for the same rules and time. Every error of
//! it refuses what was about to start: rules that were not evaluated let nothing through.

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::object_reader::blocking;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::stores::{plans, policies};
use seedflow_core::approval::ApprovalNeeded;
use seedflow_core::deployment::plan::{PlannedAction, PlannedModule};
use seedflow_core::deployment::plan_json::{PlanJson, Scope};
use seedflow_core::error::{Error, ErrorName, Refused, Result};
use seedflow_core::ids::{AwsEnvironment, DeploymentId, ExecutionArn, ModuleId};
use seedflow_core::module::definition::{DefinedBuild, DefinedSource, Definition, Surroundings};
use seedflow_core::module::input::Action;
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::plan::{Plan, PlanHandle};
use seedflow_core::policy::rego::{Verdict, not_evaluated};
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_rego::Rules;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Event {
    execution: ExecutionArn,
    #[serde(flatten)]
    of: Of,
}

#[derive(Deserialize)]
#[serde(tag = "of", rename_all = "lowercase")]
enum Of {
    /// The plan that this execution has stored.
    Deployment {
        /// Whether the plan is only shown, so that nothing is refused.
        shown: bool,
        /// The hash of the plan that was approved, with which the planner has compared this one; null before an approval.
        approved: Option<String>,
    },
    /// A module that is about to be built or destroyed.
    Module {
        plan: PlanHandle,
        reasons: Vec<String>,
        /// The deployment's execution that says it started this one.
        part_of: Option<ExecutionArn>,
        /// Whether `check-md5` has found that it is part of a plan that was approved.
        approved: bool,
    },
}

/// The answer for a deployment, merged into that of the planner.
#[derive(Serialize)]
struct Evaluated {
    /// Nothing is left to evaluate.
    evaluate: bool,
    /// Null if the rules were removed meanwhile.
    rego: Option<Verdict>,
    /// The approval that the plan needs, with the reasons of the rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<ApprovalNeeded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

struct Handler {
    work: Bucket,
    /// The container of builds that ask for nothing else.
    build: DefinedBuild,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let function = Handler {
        work: Bucket::new(&aws, config::setting("WORK_BUCKET")?),
        build: config::default_build()?,
    };
    handler::run(async |invocation| function.evaluate(invocation, Timestamp::now()).await).await
}

impl Handler {
    async fn evaluate(
        &self,
        Invocation { event, environment }: Invocation<Event>,
        now: Timestamp,
    ) -> Result<Value> {
        let Event { execution, of } = event;
        match of {
            Of::Deployment { shown, approved } => {
                let asked = (shown, approved.is_some());
                Ok(json!(self.deployment(&execution, asked, now).await?))
            }
            Of::Module {
                plan,
                reasons,
                part_of,
                approved,
            } => {
                let plan = plans::load(&self.work, plan).await?;
                log::add_log_context(&LogContext::module(&execution, &plan.module));
                let planned = match &part_of {
                    Some(deployment) => self.planned(deployment, &execution, &plan).await?,
                    None => None,
                };
                let module = OfModule {
                    plan: &plan,
                    reasons: &reasons,
                    planned: planned.as_ref(),
                    approved,
                };
                let reasons = self.module(&module, &environment, now).await?;
                Ok(json!({"reasons": reasons}))
            }
        }
    }

    /// Evaluates the rules on the plan of a deployment, and stores the verdict with the plan.
    async fn deployment(
        &self,
        execution: &ExecutionArn,
        (shown, is_approved): (bool, bool),
        now: Timestamp,
    ) -> Result<Evaluated> {
        let mut plan = plans::deployment(&self.work, execution).await?;
        log::add_log_context(&LogContext::deployment(execution, &plan.deployment));
        let verdict = self.verdict(&plan.deployment, PlanJson::of(&plan), now).await?;
        if let Some(verdict) = verdict {
            plan.judge(verdict);
        }
        plans::store_deployment(&self.work, execution, &plan).await?;
        let refused = match shown {
            true => None,
            false => plan.refuse().err().map(Refused::from),
        };
        tracing::info!(verdict = ?plan.rego, "evaluated");
        Ok(Evaluated {
            evaluate: false,
            rego: plan.rego,
            approval: plan.approval.filter(|_| !is_approved),
            refused,
        })
    }

    /// Evaluates the rules on one module, and returns its reasons with the warnings.
    async fn module(
        &self,
        module: &OfModule<'_>,
        home: &AwsEnvironment,
        now: Timestamp,
    ) -> Result<Vec<String>> {
        let deployment = DeploymentId::from(&module.plan.module);
        let around = Surroundings {
            home,
            build: &self.build,
        };
        let mut reasons = module.reasons.to_vec();
        let Some(mut verdict) = self.verdict(&deployment, module.json(&around), now).await? else {
            return Ok(reasons);
        };
        if module.planned.is_some() {
            // Its plan has them.
            verdict.findings.warn.clear();
        }
        tracing::info!(?verdict, "evaluated");
        verdict.refuse()?;
        if !module.approved && !verdict.approvals().is_empty() {
            return Err(unapproved(&module.plan.module, &verdict));
        }
        let warnings = verdict.findings.warn.into_iter();
        reasons.extend(warnings.map(|warning| format!("policy warns: {warning}")));
        Ok(reasons)
    }

    /// What the rules of a deployment say; `None` without rules.
    async fn verdict(&self, of: &DeploymentId, plan: PlanJson, now: Timestamp) -> Result<Option<Verdict>> {
        let Some(text) = policies::rego(&self.work, of).await? else {
            return Ok(None);
        };
        let of = of.clone();
        blocking("policy", move || verdict(&of, &text, &plan, now).map(Some)).await
    }

    /// The module in the plan of the deployment that says it started this execution. Only functions write plans, so a
    /// module with this execution and these files is what was planned.
    async fn planned(
        &self,
        deployment: &ExecutionArn,
        execution: &ExecutionArn,
        plan: &Plan,
    ) -> Result<Option<PlannedModule>> {
        let found = plans::find_deployment(&self.work, deployment).await?;
        let Some(found) = found.filter(|found| found.deployment == DeploymentId::from(&plan.module)) else {
            return Ok(None);
        };
        let (of, name) = (ModuleRef::from(&plan.module), execution.name());
        let is_it = |planned: &PlannedModule| {
            let digest = planned
                .definition
                .as_ref()
                .map(|definition| definition.digest.as_str());
            let is_same = digest.is_none_or(|digest| digest == plan.fingerprint.bundle);
            planned.module == of && planned.execution.as_deref() == Some(name) && is_same
        };
        Ok(found.modules.into_iter().find(is_it))
    }
}

fn verdict(of: &DeploymentId, text: &[u8], plan: &PlanJson, now: Timestamp) -> Result<Verdict> {
    let failed = |why: String| not_evaluated(of, &why);
    let rules = std::str::from_utf8(text).map_err(|error| failed(error.to_string()))?;
    let rules = Rules::parse(&of.rego_key(), rules).map_err(failed)?;
    let findings = rules.evaluate(plan, now).map_err(failed)?;
    Ok(Verdict::of(of, text, findings))
}

fn unapproved(module: &ModuleId, verdict: &Verdict) -> Error {
    let message = format!(
        "{module}: the rules {} want an approval ({}), and this execution is not part of a plan of the deployment that was approved and still runs; start the whole deployment, with \"only\" for one module",
        verdict.document,
        verdict.approvals().join(". ")
    );
    Error::new(ErrorName::ApprovalRequired, message)
}

/// A module that is about to start.
struct OfModule<'a> {
    plan: &'a Plan,
    reasons: &'a [String],
    /// The same in the plan of its deployment, if it is part of one.
    planned: Option<&'a PlannedModule>,
    approved: bool,
}

impl OfModule<'_> {
    /// The plan of this module alone. Like in a deployment's plan, what is destroyed has no definition.
    fn json(&self, around: &Surroundings<'_>) -> PlanJson {
        let plan = self.plan;
        let (action, name) = match plan.action {
            Action::Deploy => (PlannedAction::Deploy, "deploy"),
            Action::Destroy => (PlannedAction::Destroy, "destroy"),
        };
        let definition = || {
            let digest = &plan.fingerprint.bundle;
            Box::new(Definition::of(self.source(), digest, &plan.options, around))
        };
        let module = PlannedModule {
            module: ModuleRef::from(&plan.module),
            action,
            renamed_from: self.planned.and_then(|planned| planned.renamed_from.clone()),
            moves: self.planned.is_some_and(|planned| planned.moves),
            reasons: self.reasons.to_vec(),
            changes: Vec::new(),
            definition: (plan.action == Action::Deploy).then(definition),
            unless: Vec::new(),
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
}
