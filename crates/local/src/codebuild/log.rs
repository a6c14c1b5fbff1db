//! A build's log in CloudWatch Logs.
//!
//! Lines go through a bounded queue to one writer per build, which sends them
//! in batches within the limits of PutLogEvents. Values of secrets are masked before a line enters
//! the queue. A log that can't be written doesn't fail the build, as on AWS; standard error names the cause.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::time::log_date;
use crate::aws_api::{ApiError, AwsApi};

/// The writing end of a build's log.
pub struct Log {
    lines: Option<mpsc::Sender<Line>>,
    writer: Option<JoinHandle<()>>,
    masks: Vec<String>,
}

struct Line {
    time: i64,
    text: String,
}

/// Lines that may wait for the writer; then the build waits.
const QUEUE: usize = 4096;
/// How long the writer gathers lines before it sends them.
const GATHER: Duration = Duration::from_millis(100);
/// PutLogEvents takes 10,000 events and 1,048,576 bytes; each event counts 26 bytes more than its message.
const MOST_EVENTS: usize = 10_000;
const MOST_BYTES: usize = 1_048_576;
const EVENT_OVERHEAD: usize = 26;
/// A longer line is cut: an event holds 256 KB at most.
const LONGEST_LINE: usize = 200_000;
/// A shorter value would mask half of every line.
const SHORTEST_MASK: usize = 3;

impl Log {
    /// Opens a log stream; the group is made where it is missing.
    pub fn open(api: AwsApi, group: String, stream: String) -> Self {
        let (lines, receiver) = mpsc::channel(QUEUE);
        let writer = tokio::spawn(async move { Writer { api, group, stream }.run(receiver).await });
        Self {
            lines: Some(lines),
            writer: Some(writer),
            masks: Vec::new(),
        }
    }

    /// The log of a build whose logs are disabled.
    pub fn disabled() -> Self {
        Self {
            lines: None,
            writer: None,
            masks: Vec::new(),
        }
    }

    /// Hides a secret's value from now on, line by line.
    pub fn mask(&mut self, value: &str) {
        let lines = value
            .lines()
            .map(str::trim)
            .filter(|line| line.len() >= SHORTEST_MASK);
        self.masks.extend(lines.map(str::to_owned));
        // The longest first: one value may hold another.
        self.masks.sort_by_key(|mask| std::cmp::Reverse(mask.len()));
    }

    /// Writes a line of CodeBuild's own.
    pub async fn note(&self, text: impl AsRef<str>) {
        let date = log_date(Timestamp::now());
        self.line(&format!("[Container] {date} {}", text.as_ref())).await;
    }

    /// Writes a line of output.
    pub async fn line(&self, text: &str) {
        if let Some(lines) = &self.lines {
            let text = &text[..text.floor_char_boundary(LONGEST_LINE)];
            let mask = |text: String, mask: &String| text.replace(mask, "***");
            let text = self.masks.iter().fold(text.to_owned(), mask);
            // The writer only goes away with the log.
            let _ = lines
                .send(Line {
                    time: Timestamp::now().as_millisecond(),
                    text,
                })
                .await;
        }
    }

    /// Waits until everything is written.
    pub async fn close(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.await;
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(writer) = &self.writer {
            writer.abort();
        }
    }
}

struct Writer {
    api: AwsApi,
    group: String,
    stream: String,
}

impl Writer {
    async fn run(&self, mut lines: mpsc::Receiver<Line>) {
        let mut outcome = self.open().await;
        while let Some(first) = lines.recv().await {
            tokio::time::sleep(GATHER).await;
            let mut batch = Batch::default();
            let mut next = Some(first);
            while let Some(line) = next.take().or_else(|| lines.try_recv().ok()) {
                if let Err(line) = batch.push(line) {
                    self.put(&mut outcome, std::mem::take(&mut batch)).await;
                    next = Some(line);
                }
            }
            self.put(&mut outcome, batch).await;
        }
    }

    async fn open(&self) -> Result<(), ApiError> {
        let group = json!({"logGroupName": self.group});
        self.make("CreateLogGroup", &group).await?;
        let stream = json!({"logGroupName": self.group, "logStreamName": self.stream});
        self.make("CreateLogStream", &stream).await
    }

    async fn make(&self, operation: &str, input: &Value) -> Result<(), ApiError> {
        match self.call(operation, input).await {
            Err(error) if error.code != "ResourceAlreadyExistsException" => Err(self.report(error)),
            _ => Ok(()),
        }
    }

    /// Puts a batch; after a first failure the rest of the log is dropped rather than reordered.
    async fn put(&self, outcome: &mut Result<(), ApiError>, batch: Batch) {
        if outcome.is_ok() {
            let input = json!({
                "logGroupName": self.group,
                "logStreamName": self.stream,
                "logEvents": batch.events,
            });
            *outcome = self
                .call("PutLogEvents", &input)
                .await
                .map(drop)
                .map_err(|e| self.report(e));
        }
    }

    async fn call(&self, operation: &str, input: &Value) -> Result<Value, ApiError> {
        self.api
            .json("logs", &format!("Logs_20140328.{operation}"), input)
            .await
    }

    fn report(&self, error: ApiError) -> ApiError {
        eprintln!(
            "codebuild: the log {}/{} can't be written: {error}",
            self.group, self.stream
        );
        error
    }
}

#[derive(Default)]
struct Batch {
    events: Vec<Value>,
    bytes: usize,
}

impl Batch {
    /// Takes a line, or gives it back when the batch is full.
    fn push(&mut self, line: Line) -> Result<(), Line> {
        let size = line.text.len() + 1 + EVENT_OVERHEAD;
        if self.events.len() == MOST_EVENTS || self.bytes + size > MOST_BYTES {
            return Err(line);
        }
        self.bytes += size;
        // As in CodeBuild's logs, a line ends with a line feed, so that an empty one isn't an empty message.
        self.events
            .push(json!({"timestamp": line.time, "message": format!("{}\n", line.text)}));
        Ok(())
    }
}
