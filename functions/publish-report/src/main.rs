//! `publish-report`: renders reports as pages, and maintains the index of each project (decisions 30 and 50).
//!
//! Our own events arrive by a queue, several at a time, at least once and in any order. For each project the function first
//! writes the pages of modules that ended: such a page depends on its report only, so it may be written again. Then it
//! updates the index, once for all events, by a conditional write: of two concurrent writes the second one reads the index
//! again. Last it writes the pages of the deployments that are concerned; those of deployments in progress are made of the
//! index. Failed messages go back to the queue. No deployment waits for pages, so pages can neither delay it nor make it
//! fail.

mod index;
mod pages;
mod queue;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use seedflow_aws::runtime::config::SdkConfig;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler};
use seedflow_aws::services::logs::LogGroup;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sts::Placed;
use seedflow_core::error::{Error, Result};
use seedflow_core::ids::{AwsEnvironment, DeploymentId, ExecutionArn, ModuleId, Name};
use seedflow_core::pages::PageContext;
use seedflow_core::pages::drift_event::drifted_module;
use seedflow_core::pages::execution_event::{ExecutionState, IndexKey};
use seedflow_core::pages::index::Index;
use seedflow_core::target::TargetRole;

use queue::{Answer, Batch, Message};

/// What an event is about.
enum Reached {
    /// An execution has reached a state.
    State(ExecutionState),
    /// What was found of a module's drift is different.
    Drift(ModuleId),
}

struct Handler {
    work: Bucket,
    build_log: LogGroup,
    /// The configurations of clients in targets.
    places: Placed<SdkConfig>,
}

/// The events of a project, with the messages that they came in.
type Events = Vec<(String, ExecutionState)>;
/// The modules of a project whose drift is different, with the messages that said so.
type Drifts = Vec<(String, ModuleId)>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let function = Handler {
        work: Bucket::new(&aws, config::setting("WORK_BUCKET")?),
        build_log: LogGroup::new(&aws, config::setting("BUILD_LOG_GROUP")?),
        places: Placed::new(&aws, TargetRole::Logs, Clone::clone)?,
    };
    handler::run(async |invocation| function.publish(invocation, Timestamp::now()).await).await
}

impl Handler {
    async fn publish(
        &self,
        Invocation { event, environment }: Invocation<Batch>,
        now: Timestamp,
    ) -> Result<Answer> {
        let mut failed = Answer::default();
        let mut projects: BTreeMap<Name, (Events, Drifts)> = BTreeMap::new();
        for Message { id, body } in event.messages {
            match parse(&body) {
                Ok(Some(Reached::State(state))) => {
                    let (states, _) = projects.entry(state.project().clone()).or_default();
                    states.push((id, state));
                }
                Ok(Some(Reached::Drift(module))) => {
                    let (_, drifts) = projects.entry(module.project.clone()).or_default();
                    drifts.push((id, module));
                }
                Ok(None) => {}
                Err(error) => failed.add(id, &error),
            }
        }
        for (project, events) in projects {
            let (states, drifts) = &events;
            let ids = states
                .iter()
                .map(|(id, _)| id)
                .chain(drifts.iter().map(|(id, _)| id));
            let ids: Vec<String> = ids.cloned().collect();
            let published = self.publish_project(&project, events, &environment, now, &mut failed);
            if let Err(error) = published.await {
                ids.into_iter().for_each(|id| failed.add(id, &error));
            }
        }
        Ok(failed)
    }

    /// Publishes the events of a project. An error concerns all of them; what concerns one is added to `failed`.
    async fn publish_project(
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

/// Parses the event in a message that EventBridge put into the queue.
fn parse(body: &str) -> Result<Option<Reached>> {
    let event = serde_json::from_str(body).map_err(|e| {
        let found = format!("no JSON ({e})");
        Error::field("the message's body", found, "an event of EventBridge")
    })?;
    if let Some(module) = drifted_module(&event)? {
        return Ok(Some(Reached::Drift(module)));
    }
    Ok(ExecutionState::from_event(&event)?.map(Reached::State))
}
