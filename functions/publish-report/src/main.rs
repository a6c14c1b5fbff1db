//! `publish-report`: renders reports as pages, and maintains the index of each project (decision 30).
//!
//! Our own events about ends arrive by a queue, several at a time, at least once and in any order. First the function
//! writes the page of each event: it depends on the report only, so it may be written again. Then it updates the index,
//! once for all events of a project, by a conditional write: of two concurrent writes the second one reads the index again.
//! Failed messages go back to the queue. No deployment waits for pages, so pages can neither delay it nor make it fail.

mod index;
mod pages;
mod queue;

use std::collections::BTreeMap;

use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler};
use seedflow_aws::services::logs::LogGroup;
use seedflow_aws::services::s3::Bucket;
use seedflow_core::error::{Error, Result};
use seedflow_core::ids::Name;
use seedflow_core::pages::execution_event::ExecutionEnd;

use queue::{Answer, Batch, Message};

struct Handler {
    work: Bucket,
    build_log: LogGroup,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let function = Handler {
        work: Bucket::new(&aws, config::setting("WORK_BUCKET")?),
        build_log: LogGroup::new(&aws, config::setting("BUILD_LOG_GROUP")?),
    };
    handler::run(async |invocation| function.publish(invocation).await).await
}

impl Handler {
    async fn publish(&self, Invocation { event, environment }: Invocation<Batch>) -> Result<Answer> {
        let mut failed = Answer::default();
        let mut projects: BTreeMap<Name, Vec<(String, ExecutionEnd)>> = BTreeMap::new();
        for Message { id, body } in event.messages {
            match self.page_of(&body, &environment).await {
                Ok(Some(ended)) => projects
                    .entry(ended.project().clone())
                    .or_default()
                    .push((id, ended)),
                Ok(None) => {}
                Err(error) => failed.add(id, &error),
            }
        }
        for (project, ended) in projects {
            if let Err(error) = self.update_index(&project, &ended, &environment).await {
                ended.into_iter().for_each(|(id, _)| failed.add(id, &error));
            }
        }
        Ok(failed)
    }
}

/// Parses the event in a message that EventBridge put into the queue.
fn parse(body: &str) -> Result<Option<ExecutionEnd>> {
    let event = serde_json::from_str(body).map_err(|e| {
        let found = format!("no JSON ({e})");
        Error::field("the message's body", found, "an event of EventBridge")
    })?;
    ExecutionEnd::from_event(&event)
}
