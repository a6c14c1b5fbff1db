//! The parameters that are written, for measurements of when something was stored.

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::broadcast;

use super::calls::Caller;

/// How many writes a reader may be behind.
const HELD: usize = 4096;

/// A parameter that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedParameterWrite {
    pub caller: Caller,
    pub name: String,
    pub value: String,
    /// When Parameter Store had answered.
    pub at: Timestamp,
}

impl ObservedParameterWrite {
    /// The write of a request that has just been answered; `None` unless it is a PutParameter.
    pub(super) fn of(caller: Caller, operation: &str, body: &[u8]) -> Option<Self> {
        if operation != "PutParameter" {
            return None;
        }
        let input: Value = serde_json::from_slice(body).ok()?;
        let text = |field: &str| input[field].as_str().map(str::to_owned);
        Some(Self {
            caller,
            name: text("Name")?,
            value: text("Value")?,
            at: Timestamp::now(),
        })
    }
}

/// Publishes writes to the current subscribers; nothing is kept for later ones.
pub(super) struct ParameterWrites(broadcast::Sender<ObservedParameterWrite>);

impl Default for ParameterWrites {
    fn default() -> Self {
        Self(broadcast::channel(HELD).0)
    }
}

impl ParameterWrites {
    pub fn subscribe(&self) -> broadcast::Receiver<ObservedParameterWrite> {
        self.0.subscribe()
    }

    pub fn has_subscribers(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub fn publish(&self, write: ObservedParameterWrite) {
        // An error means that the last subscriber has gone.
        let _ = self.0.send(write);
    }
}
