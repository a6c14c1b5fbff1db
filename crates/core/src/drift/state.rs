//! Whether something has drifted.

use serde::{Deserialize, Serialize};

/// Whether a module or a stack has drifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DriftState {
    /// What can be compared is as it was deployed.
    InSync,
    /// Resources were changed or deleted.
    Drifted,
    /// Not all could be compared, and nothing of the rest differs.
    Unknown,
}

impl DriftState {
    /// The state as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InSync => "IN_SYNC",
            Self::Drifted => "DRIFTED",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The state for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::InSync => "in sync",
            Self::Drifted => "drifted",
            Self::Unknown => "not known",
        }
    }
}
