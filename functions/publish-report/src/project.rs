//! Publishes the events of a project: the pages of its modules, its index, and the pages of its deployments.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use seedflow_core::error::Result;
use seedflow_core::ids::{AwsEnvironment, DeploymentId, ExecutionArn, Name};
use seedflow_core::pages::PageContext;
use seedflow_core::pages::execution_event::IndexKey;
use seedflow_core::pages::index::Index;

use crate::handler::{Drifts, Events, Handler};
use crate::queue::Answer;

impl Handler {
    /// Publishes the events of a project. An error concerns all of them; what concerns one is added to `failed`.
    pub(crate) async fn publish_project(
        &self,
        project: &Name,
        (states, drifts): (Events, Drifts),
        environment: &AwsEnvironment,
        now: Timestamp,
        failed: &mut Answer,
    ) -> Result<()> {
        let context = PageContext {
            environment,
            bucket: self.work.name(),
            now,
        };
        let read = self.index(project).await?;
        let mut reached = Events::new();
        for (id, state) in states {
            match self.module_page(&context, &read.0, state).await {
                Ok(state) => reached.push((id, state)),
                Err(error) => failed.add(id, &error),
            }
        }
        let mut found = Vec::new();
        for (id, module) in drifts {
            match self.drift_page(&context, &read.0, &module).await {
                Ok(record) => found.extend(record),
                Err(error) => failed.add(id, &error),
            }
        }
        let index = self
            .update_index(&context, project, read, (&reached, &found))
            .await?;
        for of in concerned(&index, &reached).into_values() {
            let page = self.deployment_page(&context, &of.deployment, &of.execution, index.clone());
            if let Err(error) = page.await {
                of.messages.into_iter().for_each(|id| failed.add(id, &error));
            }
        }
        Ok(())
    }
}

/// An execution of a deployment, and the messages with the events that change its page.
struct Concerned {
    deployment: DeploymentId,
    execution: ExecutionArn,
    messages: BTreeSet<String>,
}

/// The executions of deployments whose pages the events change, by their reports: those of a deployment's own events, and
/// of the events of its modules while it is in progress.
fn concerned(index: &Index, reached: &Events) -> BTreeMap<String, Concerned> {
    let mut found: BTreeMap<String, Concerned> = BTreeMap::new();
    for (message, state) in reached {
        let (deployment, execution) = match &state.key {
            IndexKey::Deployment(id) if state.has_report => (id.clone(), state.execution.clone()),
            IndexKey::Deployment(_) => continue,
            IndexKey::Module(id) => {
                let whole = DeploymentId {
                    project: id.project.clone(),
                    deployment: id.deployment.clone(),
                };
                let Some(part_of) = state.part_of.clone().filter(|of| index.is_open(&whole, of)) else {
                    continue;
                };
                (whole, part_of)
            }
        };
        let entry = found
            .entry(deployment.report_key(&execution))
            .or_insert_with(|| Concerned {
                deployment,
                execution,
                messages: BTreeSet::new(),
            });
        entry.messages.insert(message.clone());
    }
    found
}
