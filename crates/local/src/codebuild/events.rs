//! A build's events, in their order, to EventBridge.
//!
//! One sender per build takes the details from a queue. PutEvents answers 200 even when it took nothing, so
//! its failed entries are read, and such events are sent again a few times.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::aws_api::{ApiError, AwsApi};

/// The writing end of a build's events.
pub struct Events {
    queue: Option<mpsc::UnboundedSender<Event>>,
    sender: Option<JoinHandle<()>>,
}

struct Event {
    detail_type: &'static str,
    time: Timestamp,
    detail: Value,
}

/// PutEvents takes ten entries.
const MOST_ENTRIES: usize = 10;
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

impl Events {
    /// Starts the sender of the build with this ARN.
    pub fn open(api: AwsApi, source: String, build_arn: String) -> Self {
        let (queue, receiver) = mpsc::unbounded_channel();
        let sender = tokio::spawn(async move {
            Sender {
                api,
                source,
                build_arn,
            }
            .run(receiver)
            .await
        });
        Self {
            queue: Some(queue),
            sender: Some(sender),
        }
    }

    /// Queues a "CodeBuild Build State Change".
    pub fn state_change(&self, detail: Value) {
        self.queue("CodeBuild Build State Change", detail);
    }

    /// Queues a "CodeBuild Build Phase Change".
    pub fn phase_change(&self, detail: Value) {
        self.queue("CodeBuild Build Phase Change", detail);
    }

    fn queue(&self, detail_type: &'static str, detail: Value) {
        if let Some(queue) = &self.queue {
            // The sender only goes away with the queue.
            let _ = queue.send(Event {
                detail_type,
                time: Timestamp::now(),
                detail,
            });
        }
    }

    /// Waits until every event is sent or given up.
    pub async fn close(&mut self) {
        self.queue = None;
        if let Some(sender) = self.sender.take() {
            let _ = sender.await;
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(sender) = &self.sender {
            sender.abort();
        }
    }
}

struct Sender {
    api: AwsApi,
    source: String,
    build_arn: String,
}

impl Sender {
    async fn run(&self, mut queue: mpsc::UnboundedReceiver<Event>) {
        while let Some(first) = queue.recv().await {
            // What came while the last call was under way goes in one call.
            let mut entries = vec![self.entry(&first)];
            while entries.len() < MOST_ENTRIES
                && let Ok(event) = queue.try_recv()
            {
                entries.push(self.entry(&event));
            }
            if let Err(error) = self.deliver(entries).await {
                eprintln!(
                    "codebuild: events of {} were not delivered: {error}",
                    self.build_arn
                );
            }
        }
    }

    async fn deliver(&self, mut entries: Vec<Value>) -> Result<(), ApiError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            if self.put(&mut entries).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.put(&mut entries).await
    }

    /// Sends entries and keeps those that were not taken.
    async fn put(&self, entries: &mut Vec<Value>) -> Result<(), ApiError> {
        let answer = self
            .api
            .json("events", "AWSEvents.PutEvents", &json!({"Entries": entries}))
            .await?;
        let errors: Vec<Option<&str>> = (0..entries.len())
            .map(|index| answer["Entries"][index]["ErrorCode"].as_str())
            .collect();
        let first = errors.iter().flatten().next().map(|code| (*code).to_owned());
        let mut failed = errors.iter().map(Option::is_some);
        entries.retain(|_| failed.next().unwrap_or(true));
        first.map_or(Ok(()), |code| {
            Err(ApiError::server(&code, "PutEvents did not take every entry"))
        })
    }

    fn entry(&self, event: &Event) -> Value {
        json!({
            "Time": event.time.as_second(),
            "Source": self.source,
            "Resources": [self.build_arn],
            "DetailType": event.detail_type,
            "Detail": event.detail.to_string(),
        })
    }
}
