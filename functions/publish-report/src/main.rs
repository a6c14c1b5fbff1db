//! `publish-report`: renders reports as pages, and maintains the index of each project (decisions 30 and 50).
//!
//! Our own events arrive by a queue, several at a time, at least once and in any order. For each project the function first
//! writes the pages of modules that ended: such a page depends on its report only, so it may be written again. Then it
//! updates the index, once for all events, by a conditional write: of two concurrent writes the second one reads the index
//! again. Last it writes the pages of the deployments that are concerned; those of deployments in progress are made of the
//! index. Failed messages go back to the queue. No deployment waits for pages, so pages can neither delay it nor make it
//! fail.

mod handler;
mod index;
mod pages;
mod project;
mod queue;

use std::collections::BTreeMap;

use jiff::Timestamp;
use seedflow_aws::runtime::config;
use seedflow_aws::runtime::handler as lambda;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::services::logs::LogGroup;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sts::Placed;
use seedflow_core::error::{Error, Result};
use seedflow_core::ids::{ModuleId, Name};
use seedflow_core::pages::drift_event::drifted_module;
use seedflow_core::pages::execution_event::ExecutionState;
use seedflow_core::target::TargetRole;

use crate::handler::{Drifts, Events, Handler};
use crate::queue::{Answer, Batch, Message};

/// What an event is about.
enum Reached {
    /// An execution has reached a state.
    State(Box<ExecutionState>),
    /// What was found of a module's drift is different.
    Drift(ModuleId),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let function = Handler {
        work: Bucket::new(&aws, config::setting("WORK_BUCKET")?),
        build_log: LogGroup::new(&aws, config::setting("BUILD_LOG_GROUP")?),
        places: Placed::new(&aws, TargetRole::Logs, Clone::clone)?,
    };
    lambda::run(async |invocation| function.handle(invocation, Timestamp::now()).await).await
}

impl Handler {
    async fn handle(
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
                    states.push((id, *state));
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
    let state = ExecutionState::from_event(&event)?;
    Ok(state.map(|state| Reached::State(Box::new(state))))
}
