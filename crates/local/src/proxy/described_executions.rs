//! The executions that functions ask Step Functions about. `end-execution` asks about each one as soon as it has ended, so
//! a reader that waits for ends doesn't have to ask all the time.

use serde_json::Value;
use tokio::sync::broadcast;

use super::calls::Caller;
use super::classify::Call;

/// How many executions a reader may be behind.
const HELD: usize = 1024;

/// Publishes executions to the current subscribers; nothing is kept for later ones.
pub(super) struct DescribedExecutions(broadcast::Sender<String>);

impl Default for DescribedExecutions {
    fn default() -> Self {
        Self(broadcast::channel(HELD).0)
    }
}

impl DescribedExecutions {
    pub fn subscribe(&self) -> broadcast::Receiver<String> {
        self.0.subscribe()
    }

    /// Whether the body of a call is to be published.
    pub fn wants(&self, caller: Caller, call: &Call) -> bool {
        let is_description = caller == Caller::Functions && call.name() == "states:DescribeExecution";
        is_description && self.0.receiver_count() > 0
    }

    /// Publishes the execution in the body of a description.
    pub fn publish(&self, body: &[u8]) {
        let input: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(execution) = input["executionArn"].as_str() {
            // An error means that the last subscriber has gone.
            let _ = self.0.send(execution.to_owned());
        }
    }
}
