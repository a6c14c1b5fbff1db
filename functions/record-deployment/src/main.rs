//! `record-deployment`: writes the status of a whole deployment, in four actions of the state machine.
//!
//! `wait` when the plan waits for an approval, `start` before the first module is deployed, `end` with the results of all
//! modules, and `refuse` if nothing was started.
//! Each first checks that its execution still holds the deployment's lock, and each is idempotent. A status that was
//! written is also published as an event (decision 29). A refusal changes no state: it is recorded beside it. A check that
//! found the lock held leaves the status alone and has report, event and metric only (decision 51).

use std::collections::BTreeMap;

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::eventbridge::Events;
use seedflow_aws::services::s3::Expect;
use seedflow_aws::stores::approvals::Approval;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::{fence, plans};
use seedflow_core::approval::{ApprovalRequest, ApprovalSummary, Verdict};
use seedflow_core::deployment::outcome::{DeploymentOutcome, End, EndedExecution, Failed};
use seedflow_core::deployment::plan::Plan;
use seedflow_core::deployment::previews::Preview;
use seedflow_core::deployment::record;
use seedflow_core::deployment::record::DeploymentRecord;
use seedflow_core::deployment::report;
use seedflow_core::deployment::status::Status;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::events::{DeploymentStateChange, ReportAt};
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::explanation::Explained;
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::status::State;
use seedflow_core::pages::report_view::{Deployment, Module};
use seedflow_core::started_by::StartedBy;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::{Measurement, Metric};
use seedflow_core::workflow::lock::Lease;
use serde::Deserialize;
use serde_json::{Value, json};

/// Maximum number of failed modules with their cause.
const MAX_CAUSES: usize = 10;
/// Maximum length of a module's report that is read. Outputs are its largest part.
const MAX_REPORT: u64 = 8 * 1024 * 1024;

#[derive(Deserialize)]
struct Event {
    execution: ExecutionArn,
    #[serde(flatten)]
    action: Action,
}

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum Action {
    Wait {
        lock: Lease<DeploymentId>,
    },
    Start {
        lock: Lease<DeploymentId>,
    },
    End {
        lock: Lease<DeploymentId>,
        results: Vec<EndedExecution>,
    },
    Refuse {
        /// Null if another execution holds it.
        lock: Option<Lease<DeploymentId>>,
        deployment: DeploymentId,
        error: String,
        cause: String,
        /// The commit that was refused, if it could be read.
        origin: Option<Box<CommitInfo>>,
        /// Who started the execution, if known.
        #[serde(default)]
        started_by: Option<StartedBy>,
    },
}

struct Handler {
    modules: ModuleStore,
    events: Events,
    metrics: Metrics,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let metrics = Metrics::of_stack()?;
    let function = Handler {
        modules: ModuleStore::new(&aws, config::setting("WORK_BUCKET")?),
        events: Events::new(&aws, metrics.clone()),
        metrics,
    };
    handler::run(async |invocation| function.record(invocation, Timestamp::now()).await).await
}

impl Handler {
    async fn record(&self, Invocation { event, .. }: Invocation<Event>, now: Timestamp) -> Result<Value> {
        let Event { execution, action } = event;
        match action {
            Action::Wait { lock } => {
                fence::check(&self.modules.work, &lock, &execution).await?;
                self.wait(&execution, now).await
            }
            Action::Start { lock } => {
                fence::check(&self.modules.work, &lock, &execution).await?;
                self.start(&execution, now).await
            }
            Action::End { lock, results } => {
                fence::check(&self.modules.work, &lock, &execution).await?;
                self.end(&execution, &lock, &results, now).await
            }
            Action::Refuse {
                lock,
                deployment,
                error,
                cause,
                origin,
                started_by,
            } => {
                if let Some(lock) = &lock {
                    fence::check(&self.modules.work, lock, &execution).await?;
                }
                let before = self.modules.deployment_status(&deployment).await?;
                let why = (error.as_str(), cause.as_str());
                let origin = origin.unwrap_or_default();
                let status = Status::refuse(before.as_ref(), &execution, why, &origin, now);
                let approval = self.approval(&deployment, &execution).await?;
                let replaced = approval
                    .as_ref()
                    .and_then(|(_, verdict)| verdict.as_ref()?.superseded_by.clone());
                let approval =
                    approval.map(|(request, verdict)| ApprovalSummary::of_refused(request, verdict.as_ref()));
                let status = Status {
                    approval,
                    started_by,
                    ..status
                };
                self.refuse(&deployment, before.as_ref(), status, lock.is_some())
                    .await?;
                Ok(match replaced {
                    Some(by) => {
                        json!({"state": "SUPERSEDED", "superseded_by": by, "error": error, "cause": cause})
                    }
                    None => json!({"state": State::Refused, "error": error, "cause": cause}),
                })
            }
        }
    }

    /// Stores what is asked of an approver, and writes that the plan waits: the report, the wait beside the stored state, and
    /// the event.
    async fn wait(&self, execution: &ExecutionArn, now: Timestamp) -> Result<Value> {
        let plan = plans::deployment(&self.modules.work, execution).await?;
        let Some(needed) = &plan.approval else {
            let message = format!(
                "{}: expected a plan that needs an approval, found one that needs none",
                execution.deployment_key()
            );
            return Err(Error::new(ErrorName::Refused, message));
        };
        log::add_log_context(&LogContext::deployment(execution, &plan.deployment));
        let request = ApprovalRequest::new(
            &plan.deployment,
            execution,
            needed,
            plan.started_by.clone(),
            &plan.commit_info,
            now,
        );
        let request = self
            .approval_of(&plan.deployment, execution)
            .store_request(request)
            .await?;
        let seconds_left = request.seconds_left(now);
        let before = self.modules.deployment_status(&plan.deployment).await?;
        let status = Status::wait(before.as_ref(), ApprovalSummary::of(request, None), now);
        let report = self.first_report(&plan, &status).await?;
        let kept = status.clone().keeping(before.as_ref());
        self.modules
            .write_deployment_status(&plan.deployment, &kept)
            .await?;
        self.publish(&plan.deployment, &status, Some(&report)).await;
        tracing::info!(reasons = ?needed.reasons, seconds_left, "waits for an approval");
        Ok(json!({"seconds_left": seconds_left}))
    }

    fn approval_of<'a>(&'a self, deployment: &'a DeploymentId, execution: &'a ExecutionArn) -> Approval<'a> {
        Approval {
            bucket: &self.modules.work,
            deployment,
            execution,
        }
    }

    /// What was asked of an approver, and what was decided; `None` if the execution's plan needed no approval.
    async fn approval(
        &self,
        deployment: &DeploymentId,
        execution: &ExecutionArn,
    ) -> Result<Option<(ApprovalRequest, Option<Verdict>)>> {
        let approval = self.approval_of(deployment, execution);
        match approval.request().await? {
            Some(request) => Ok(Some((request, approval.verdict().await?))),
            None => Ok(None),
        }
    }

    /// The previews that an approver sees or saw. A plan that needs no approval has none.
    async fn previews(&self, plan: &Plan, execution: &ExecutionArn) -> Result<Vec<Preview>> {
        if plan.approval.is_none() {
            return Ok(Vec::new());
        }
        let previews = plans::find_previews(&self.modules.work, execution).await?;
        Ok(previews.map(|previews| previews.results()).unwrap_or_default())
    }

    async fn start(&self, execution: &ExecutionArn, now: Timestamp) -> Result<Value> {
        let plan = plans::deployment(&self.modules.work, execution).await?;
        let approval = match &plan.approval {
            Some(_) => self.approval(&plan.deployment, execution).await?,
            None => None,
        };
        let status = Status {
            started_at: Some(now),
            started_by: plan.started_by.clone(),
            approval: approval.map(|(request, verdict)| ApprovalSummary::of(request, verdict.as_ref())),
            previous_state: plan.previous_state,
            commit_info: plan.commit_info.clone(),
            groups: plan.attempted_groups.clone(),
            rollback: plan.rollback.clone(),
            ..Status::new(State::InProgress, execution, now)
        };
        let report = self.first_report(&plan, &status).await?;
        self.modules
            .write_deployment_status(&plan.deployment, &status)
            .await?;
        self.publish(&plan.deployment, &status, Some(&report)).await;
        Ok(json!({"state": status.state}))
    }

    /// Writes the report without results; the page of the work in progress is made from it. A repeated call leaves alone
    /// what is there: it may be the report of the end. The report of a plan that waited is replaced.
    async fn first_report(&self, plan: &Plan, status: &Status) -> Result<String> {
        let key = plan.deployment.report_key(&status.execution);
        let previews = self.previews(plan, &status.execution).await?;
        let text = report::report(plan, status, &[], &previews).to_string();
        let found = match plan.approval {
            Some(_) => self.modules.work.get(&key, MAX_REPORT).await?,
            None => None,
        };
        let expect = match found {
            Some((bytes, tag)) if waits(&bytes) && status.state != State::WaitingForApproval => {
                Expect::Tag(tag)
            }
            _ => Expect::Nothing,
        };
        self.modules.work.put_if(&key, text, expect).await?;
        Ok(key)
    }

    async fn end(
        &self,
        execution: &ExecutionArn,
        lock: &Lease<DeploymentId>,
        results: &[EndedExecution],
        now: Timestamp,
    ) -> Result<Value> {
        let plan = plans::deployment(&self.modules.work, execution).await?;
        log::add_log_context(&LogContext::deployment(execution, &plan.deployment));
        let outcome = DeploymentOutcome::of(&plan, results);
        let before = self.modules.deployment_status(&plan.deployment).await?;
        if plan.leaves_nothing && plan.modules.is_empty() && before.is_none() {
            // Nothing existed before and nothing exists now: no status is written. Nothing is reported either, since the
            // deployment may never have existed.
            return Ok(json!({"state": State::Unchanged, "deployment": plan.deployment, "modules": {}}));
        }
        let causes = self.causes(&plan, &outcome).await?;
        let status = outcome.status(
            &plan,
            before.as_ref(),
            execution,
            |module| causes.get(module).cloned(),
            now,
        );
        let next = outcome.next_rollback(&plan, &status, lock.started_at.unwrap_or(now));
        let status = match &next {
            Some(next) => status.followed_by(next),
            None => status,
        };
        if let Some(record) = DeploymentRecord::of(&plan, &outcome, execution, now) {
            self.write_record(&record).await?;
        }
        let is_gone = plan.leaves_nothing && outcome.is_good();
        let status = match is_gone {
            true => Status {
                state: State::Destroyed,
                ..status
            },
            false => status,
        };
        // The report before the status: a reader who sees the final state finds the report.
        let report = self.report(&plan, &outcome, &status).await?;
        if !is_gone {
            self.modules
                .write_deployment_status(&plan.deployment, &status)
                .await?;
        }
        self.publish(&plan.deployment, &status, Some(&report)).await;
        if is_gone {
            // After the event: a repeated call that finds no status sends no event.
            self.modules.delete_deployment_status(&plan.deployment).await?;
        }
        if !before.is_some_and(|before| before.is_final_of(execution)) {
            let skipped = outcome
                .ended(End::Unchanged)
                .filter(|result| result.execution.is_none());
            let took = lock.started_at.map(|started| now.duration_since(started));
            let measured = Measurement::end_of_deployment(status.state, took).and_count(
                Some(Metric::ModulesUnchanged),
                u32::try_from(skipped.count()).unwrap_or(u32::MAX),
            );
            self.metrics
                .write(&measured, &LogContext::deployment(execution, &plan.deployment));
        }
        tracing::info!(state = status.state.as_str(), modules = ?status.modules, "recorded");
        Ok(json!({
            "state": status.state, "deployment": plan.deployment, "origin": plan.commit_info, "modules": status.modules, "failed": status.failed,
            "error": status.why.error, "cause": status.why.reason, "report": report, "roll_back": next,
        }))
    }

    /// Writes the record by which the deployment can be rolled back to this execution. A repeated call leaves alone what it
    /// wrote before: each write counts as a success that is kept.
    async fn write_record(&self, record: &DeploymentRecord) -> Result<()> {
        let key = record.deployment.record_key();
        let stored = self.modules.work.get(&key, record::MAX_BYTES).await?;
        let found = stored.and_then(|(bytes, _)| serde_json::from_slice::<DeploymentRecord>(&bytes).ok());
        if found.is_some_and(|found| found.execution == record.execution) {
            return Ok(());
        }
        let text = serde_json::to_string(record).map_err(|e| Error::unwritable("the record", &e))?;
        self.modules.work.put(&key, text).await
    }

    /// Records a refusal: its report, the refusal beside the stored state unless another execution holds the lock, and the
    /// event.
    async fn refuse(
        &self,
        deployment: &DeploymentId,
        before: Option<&Status>,
        status: Status,
        is_locked: bool,
    ) -> Result<()> {
        let execution = &status.execution;
        let key = deployment.report_key(execution);
        let report = match &status.approval {
            // What an approver has seen.
            Some(_) => {
                let plan = plans::deployment(&self.modules.work, execution).await?;
                let previews = self.previews(&plan, execution).await?;
                report::report(&plan, &status, &[], &previews)
            }
            None => json!({
                "deployment": deployment, "execution": execution, "written_at": status.updated_at, "status": status,
                "plan": [], "results": [],
            }),
        };
        self.modules.work.put(&key, report.to_string()).await?;
        if !before.is_some_and(|before| before.has_refused(execution)) {
            if is_locked {
                let stays = status.clone().keeping(before);
                self.modules.write_deployment_status(deployment, &stays).await?;
            }
            let measured = Measurement::end_of_deployment(status.state, None);
            self.metrics
                .write(&measured, &LogContext::deployment(execution, deployment));
        }
        self.publish(deployment, &status, Some(&key)).await;
        Ok(())
    }

    /// Publishes the event of a status that was written. A failed PutEvents does not fail the deployment.
    async fn publish(&self, deployment: &DeploymentId, status: &Status, report: Option<&str>) {
        let report = report.map(|key| ReportAt {
            bucket: self.modules.work.name().to_owned(),
            key: key.to_owned(),
        });
        let event = DeploymentStateChange::of(deployment, status, report);
        self.events.send(&event).await;
    }

    /// Why modules failed, from the reports of their executions: a status may be that of a later one already.
    async fn causes(&self, plan: &Plan, outcome: &DeploymentOutcome) -> Result<BTreeMap<ModuleRef, Failed>> {
        let mut causes = BTreeMap::new();
        for result in outcome.ended(End::Failed).take(MAX_CAUSES) {
            let module = &result.module;
            let id = plan
                .deployment
                .module(module.group.clone(), module.module.clone());
            let Some(execution) = result.execution.as_deref() else {
                continue;
            };
            let key = id.report_key(&ExecutionArn::new(execution));
            if let Some((bytes, _)) = self.modules.work.get(&key, MAX_REPORT).await?
                && let Ok(report) = serde_json::from_slice::<Module>(&bytes)
                && let Some(failed) = report.failed()
            {
                causes.insert(module.clone(), failed);
            }
        }
        Ok(causes)
    }

    async fn report(&self, plan: &Plan, outcome: &DeploymentOutcome, status: &Status) -> Result<String> {
        let key = plan.deployment.report_key(&status.execution);
        let previews = self.previews(plan, &status.execution).await?;
        let report = report::report(plan, status, &outcome.results, &previews);
        self.modules.work.put(&key, report.to_string()).await?;
        Ok(key)
    }
}

/// Whether a report is that of a plan that waits.
fn waits(report: &[u8]) -> bool {
    serde_json::from_slice::<Deployment>(report).is_ok_and(|report| report.waits())
}
