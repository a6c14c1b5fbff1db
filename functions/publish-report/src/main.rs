//! `publish-report`: makes pages of reports, and keeps the index of a project.
//!
//! Our own events about ends come by a queue, several at a time, at least once and in any order. First each event's page:
//! it follows from the report alone, so it may be written again. Then, once for all events of a project, the index, by a
//! conditional write: of two that write at once, the second reads again. What failed goes back to the queue; nothing
//! waits for pages, so a deployment is neither slower nor worse for it.

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
use seedflow_core::pages::execution_event::Ended;

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
    async fn publish(&self, Invocation { event, place }: Invocation<Batch>) -> Result<Answer> {
        let mut failed = Answer::default();
        let mut projects: BTreeMap<Name, Vec<(String, Ended)>> = BTreeMap::new();
        for Message { id, body } in event.messages {
            match self.page_of(&body, &place).await {
                Ok(Some(ended)) => projects
                    .entry(ended.project().clone())
                    .or_default()
                    .push((id, ended)),
                Ok(None) => {}
                Err(error) => failed.add(id, &error),
            }
        }
        for (project, ended) in projects {
            if let Err(error) = self.update_index(&project, &ended, &place).await {
                ended.into_iter().for_each(|(id, _)| failed.add(id, &error));
            }
        }
        Ok(failed)
    }
}

/// An event in a message, as EventBridge puts it there.
fn parse(body: &str) -> Result<Option<Ended>> {
    let event = serde_json::from_str(body).map_err(|e| {
        let found = format!("no JSON ({e})");
        Error::field("the message's body", found, "an event of EventBridge")
    })?;
    Ended::from_event(&event)
}
