//! `evaluate-policy`: what do the rules in Rego of a deployment say (decision 60)?
//!
//! Both workflows call it only where a deployment has rules: for the plan of a whole deployment, before anything runs, and
//! for each module that is about to be built or destroyed, by the rules as they are then. It is the only function that
//! has the engine, and it has no right but to read policies and to read and write plans.
//!
//! For a deployment it stores the plan again, with the result, always the same for the same rules and time. Every error of
//! it refuses what was about to start: rules that were not evaluated let nothing through.

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::object_reader::blocking;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::stores::{plans, policies};
use seedflow_core::approval::ApprovalNeeded;
use seedflow_core::deployment::plan_json::PlanJson;
use seedflow_core::deployment::starting_module::{self, StartingModule};
use seedflow_core::error::{ErrorOutput, Result};
use seedflow_core::ids::{AwsEnvironment, DeploymentId, ExecutionArn};
use seedflow_core::module::definition::{DefinedBuild, StackDefaults};
use seedflow_core::module::plan::PlanHandle;
use seedflow_core::policy::rego::{RuleResult, not_evaluated};
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
    rego: Option<RuleResult>,
    /// The approval that the plan needs, with the reasons of the rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<ApprovalNeeded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<ErrorOutput>,
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
                    Some(deployment) => plans::find_deployment(&self.work, deployment).await?,
                    None => None,
                };
                let planned = planned.and_then(|found| starting_module::planned(found, &execution, &plan));
                let module = StartingModule {
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

    /// Evaluates the rules on the plan of a deployment, and stores the result with the plan.
    async fn deployment(
        &self,
        execution: &ExecutionArn,
        (shown, is_approved): (bool, bool),
        now: Timestamp,
    ) -> Result<Evaluated> {
        let mut plan = plans::deployment(&self.work, execution).await?;
        log::add_log_context(&LogContext::deployment(execution, &plan.deployment));
        let result = self.result(&plan.deployment, PlanJson::of(&plan), now).await?;
        if let Some(result) = result {
            plan.judge(result);
        }
        plans::store_deployment(&self.work, execution, &plan).await?;
        let refused = match shown {
            true => None,
            false => plan.refuse().err().map(ErrorOutput::from),
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
        module: &StartingModule<'_>,
        home: &AwsEnvironment,
        now: Timestamp,
    ) -> Result<Vec<String>> {
        let deployment = DeploymentId::from(&module.plan.module);
        let defaults = StackDefaults {
            home,
            build: &self.build,
        };
        let Some(result) = self.result(&deployment, module.json(&defaults), now).await? else {
            return Ok(module.reasons.to_vec());
        };
        tracing::info!(verdict = ?result, "evaluated");
        module.judge(result)
    }

    /// What the rules of a deployment say; `None` without rules.
    async fn result(&self, of: &DeploymentId, plan: PlanJson, now: Timestamp) -> Result<Option<RuleResult>> {
        let Some(text) = policies::rego(&self.work, of).await? else {
            return Ok(None);
        };
        let of = of.clone();
        blocking("policy", move || result(&of, &text, &plan, now).map(Some)).await
    }
}

fn result(of: &DeploymentId, text: &[u8], plan: &PlanJson, now: Timestamp) -> Result<RuleResult> {
    let failed = |why: String| not_evaluated(of, &why);
    let rules = std::str::from_utf8(text).map_err(|error| failed(error.to_string()))?;
    let rules = Rules::parse(&of.rego_key(), rules).map_err(failed)?;
    let findings = rules.evaluate(plan, now).map_err(failed)?;
    Ok(RuleResult::of(of, text, findings))
}
