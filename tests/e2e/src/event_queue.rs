//! Events of EventBridge or messages of a topic, received by a queue.

use serde_json::{Value, json};

use crate::stack::POLL;
use crate::stack::TestStack;

/// A queue that receives events from its creation on.
pub struct EventQueue<'a> {
    stack: &'a TestStack,
    url: String,
    received: Vec<Value>,
}

impl<'a> EventQueue<'a> {
    /// Receives Seedflow's own events of a project.
    pub async fn of_project(stack: &'a TestStack, project: &str) -> Self {
        let pattern = json!({"source": ["seedflow"], "detail": {"project": [project]}});
        Self::of_pattern(stack, &format!("events-{project}"), &pattern).await
    }

    /// Receives what matches a pattern, by a rule of this name.
    pub async fn of_pattern(stack: &'a TestStack, name: &str, pattern: &Value) -> Self {
        let (queue, arn) = Self::queue(stack).await;
        let rule = json!({"Name": name, "EventPattern": pattern.to_string()});
        stack.call("events", "AWSEvents.PutRule", rule).await;
        let targets = json!({"Rule": name, "Targets": [{"Id": "queue", "Arn": arn}]});
        let answer = stack.call("events", "AWSEvents.PutTargets", targets).await;
        assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
        queue
    }

    /// Receives the messages that a topic publishes.
    pub async fn of_topic(stack: &'a TestStack, topic: &str) -> Self {
        let (queue, arn) = Self::queue(stack).await;
        let fields = [
            ("Action", "Subscribe"),
            ("Version", "2010-03-31"),
            ("TopicArn", topic),
            ("Protocol", "sqs"),
            ("Endpoint", &arn),
        ];
        stack.client().form("sns", &fields).await.expect("a subscription");
        queue.let_in(&arn, "sns.amazonaws.com").await;
        queue
    }

    /// Lets a service put messages into the queue.
    async fn let_in(&self, arn: &str, service: &str) {
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": service}, "Action": "sqs:SendMessage", "Resource": arn,
        }]});
        let call = json!({"QueueUrl": self.url, "Attributes": {"Policy": policy.to_string()}});
        self.stack.call("sqs", "AmazonSQS.SetQueueAttributes", call).await;
    }

    async fn queue(stack: &'a TestStack) -> (Self, String) {
        let about = stack.about();
        let name = format!("events-{}", uuid::Uuid::new_v4());
        let made = stack
            .call("sqs", "AmazonSQS.CreateQueue", json!({"QueueName": name}))
            .await;
        let queue = Self {
            stack,
            url: made["QueueUrl"].as_str().expect("a URL").to_owned(),
            received: Vec::new(),
        };
        (
            queue,
            format!("arn:aws:sqs:{}:{}:{name}", about.region, about.account),
        )
    }

    /// All bodies of messages so far, in the order in which they were received.
    pub async fn so_far(&mut self) -> &[Value] {
        loop {
            let ask = json!({"QueueUrl": self.url, "MaxNumberOfMessages": 10});
            let answer = self.stack.call("sqs", "AmazonSQS.ReceiveMessage", ask).await;
            let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return &self.received;
            }
            for message in messages {
                let body = message["Body"].as_str().expect("a body");
                self.received
                    .push(serde_json::from_str(body).expect("a body is JSON"));
                let gone = json!({"QueueUrl": self.url, "ReceiptHandle": message["ReceiptHandle"]});
                self.stack.call("sqs", "AmazonSQS.DeleteMessage", gone).await;
            }
        }
    }

    /// Waits until this number of messages has arrived, and returns them.
    pub async fn count(&mut self, what: &str, count: usize) -> Vec<Value> {
        self.count_of(what, count, |_| true).await
    }

    /// Waits until this number of one kind has arrived, and returns those.
    pub async fn count_of(&mut self, what: &str, count: usize, kind: impl Fn(&Value) -> bool) -> Vec<Value> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let received = self.so_far().await;
            let found: Vec<Value> = received.iter().filter(|one| kind(one)).cloned().collect();
            if found.len() >= count {
                return found;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "{what}: {count} did not come: {received:#?}"
            );
            tokio::time::sleep(POLL).await;
        }
    }
}
