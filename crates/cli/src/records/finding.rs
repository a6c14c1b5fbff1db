//! What a check of the account has found, and what to do about it.

use serde::Serialize;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing to do.
    Ok,
    /// It was not checked, because there is nothing to check.
    Note,
    /// It may be intended.
    Warn,
    /// Something does not work.
    Bad,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it ended.
    pub level: Level,
    /// What was looked at.
    pub check: &'static str,
    /// What was found.
    pub found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    /// Nothing to do.
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            check,
            found: found.into(),
            advice: None,
        }
    }

    /// It may be intended, with what to do.
    pub(super) fn warn(check: &'static str, found: impl Into<String>, advice: &str) -> Self {
        Self {
            level: Level::Warn,
            advice: Some(advice.to_owned()),
            ..Self::ok(check, found)
        }
    }

    /// Something does not work, with what to do.
    pub(super) fn bad(check: &'static str, found: impl Into<String>, advice: &str) -> Self {
        Self {
            level: Level::Bad,
            ..Self::warn(check, found, advice)
        }
    }

    /// It was not checked.
    pub(super) fn note(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            level: Level::Note,
            ..Self::ok(check, found)
        }
    }

    /// The finding where no stack can be reached; the error says what to do.
    #[must_use]
    pub fn without_stack(error: &str) -> Self {
        Self {
            level: Level::Bad,
            ..Self::ok("stack", error)
        }
    }
}
