//! `record-deployment`: writes the status of a whole deployment, in four actions of the state machine.
//!
//! `wait` when the plan waits for an approval, `start` before the first module is deployed, `end` with the results of all
//! modules, and `refuse` if nothing was started.
//! Each first checks that its execution still holds the deployment's lock, and each is idempotent. A status that was
//! written is also published as an event (decision 29). A refusal changes no state: it is recorded beside it. A check that
//! found the lock held leaves the status alone and has report, event and metric only (decision 51).

mod approving;
mod ending;
mod refusing;

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::runtime::{config, handler};
use seedflow_aws::services::eventbridge::Events;
use seedflow_aws::services::s3::Expect;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::{plans, stored_lock};
use seedflow_core::approval::ApprovalSummary;
use seedflow_core::deployment::outcome::EndedExecution;
use seedflow_core::deployment::plan::Plan;
use seedflow_core::deployment::report;
use seedflow_core::deployment::status::DeploymentStatus;
use seedflow_core::error::Result;
use seedflow_core::events::{DeploymentStateChange, ReportAt};
use seedflow_core::ids::{DeploymentId, ExecutionArn};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::status::State;
use seedflow_core::pages::report_view::Deployment;
use seedflow_core::started_by::StartedBy;
use seedflow_core::workflow::lock::Lease;
use serde::Deserialize;
use serde_json::{Value, json};

/// Maximum length of a report that is read. Outputs are the largest part of a module's.
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
    Refuse(Refusal),
}

/// What was refused, and why.
#[derive(Deserialize)]
struct Refusal {
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
                stored_lock::ensure_held(&self.modules.work, &lock, &execution).await?;
                self.wait(&execution, now).await
            }
            Action::Start { lock } => {
                stored_lock::ensure_held(&self.modules.work, &lock, &execution).await?;
                self.start(&execution, now).await
            }
            Action::End { lock, results } => {
                stored_lock::ensure_held(&self.modules.work, &lock, &execution).await?;
                self.end(&execution, &lock, &results, now).await
            }
            Action::Refuse(refusal) => {
                if let Some(lock) = &refusal.lock {
                    stored_lock::ensure_held(&self.modules.work, lock, &execution).await?;
                }
                self.record_refusal(&execution, refusal, now).await
            }
        }
    }

    async fn start(&self, execution: &ExecutionArn, now: Timestamp) -> Result<Value> {
        let plan = plans::deployment(&self.modules.work, execution).await?;
        let approval = match &plan.approval {
            Some(_) => self.approval(&plan.deployment, execution).await?,
            None => None,
        };
        let status = DeploymentStatus {
            started_at: Some(now),
            started_by: plan.started_by.clone(),
            approval: approval.map(|(request, verdict)| ApprovalSummary::of(request, verdict.as_ref())),
            previous_state: plan.previous_state,
            commit_info: plan.commit_info.clone(),
            groups: plan.attempted_groups.clone(),
            rollback: plan.rollback.clone(),
            ..DeploymentStatus::new(State::InProgress, execution, now)
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
    async fn first_report(&self, plan: &Plan, status: &DeploymentStatus) -> Result<String> {
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

    /// Publishes the event of a status that was written. A failed PutEvents does not fail the deployment.
    async fn publish(&self, deployment: &DeploymentId, status: &DeploymentStatus, report: Option<&str>) {
        let report = report.map(|key| ReportAt {
            bucket: self.modules.work.name().to_owned(),
            key: key.to_owned(),
        });
        let event = DeploymentStateChange::of(deployment, status, report);
        self.events.send(&event).await;
    }
}

/// Whether a report is that of a plan that waits.
fn waits(report: &[u8]) -> bool {
    serde_json::from_slice::<Deployment>(report).is_ok_and(|report| report.waits())
}
