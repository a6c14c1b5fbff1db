//! What all actions share: the clients, the first report with its previews, and the event of a status that was written.

use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::services::eventbridge::Events;
use seedflow_aws::services::s3::Expect;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::plans;
use seedflow_core::deployment::plan::Plan;
use seedflow_core::deployment::previews::Preview;
use seedflow_core::deployment::report;
use seedflow_core::deployment::status::DeploymentStatus;
use seedflow_core::error::Result;
use seedflow_core::events::{DeploymentStateChange, ReportAt};
use seedflow_core::ids::{DeploymentId, ExecutionArn};
use seedflow_core::module::status::State;
use seedflow_core::pages::report_view::Deployment;

/// Maximum length of a report that is read. Outputs are the largest part of a module's.
pub(crate) const MAX_REPORT: u64 = 8 * 1024 * 1024;

/// The clients.
pub(crate) struct Handler {
    pub(crate) modules: ModuleStore,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
}

impl Handler {
    /// Writes the report without results; the page of the work in progress is made from it. A repeated call leaves alone
    /// what is there: it may be the report of the end. The report of a plan that waited is replaced.
    pub(crate) async fn first_report(&self, plan: &Plan, status: &DeploymentStatus) -> Result<String> {
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

    /// The previews that an approver sees or saw. A plan that needs no approval has none.
    pub(crate) async fn previews(&self, plan: &Plan, execution: &ExecutionArn) -> Result<Vec<Preview>> {
        if plan.approval.is_none() {
            return Ok(Vec::new());
        }
        let previews = plans::find_previews(&self.modules.work, execution).await?;
        Ok(previews.map(|previews| previews.results()).unwrap_or_default())
    }

    /// Publishes the event of a status that was written. A failed PutEvents does not fail the deployment.
    pub(crate) async fn publish(
        &self,
        deployment: &DeploymentId,
        status: &DeploymentStatus,
        report: Option<&str>,
    ) {
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
