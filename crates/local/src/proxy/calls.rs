//! Counts of calls, by caller and operation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Who calls: each has a port of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    Functions,
    /// What runs in builds, and what CodeBuild does with a build's own role.
    Builds,
    /// The CodeBuild emulator for itself: projects and events.
    Codebuild,
    /// sam, the command line, tests.
    Clients,
}

impl Caller {
    pub const ALL: [Self; 4] = [Self::Functions, Self::Builds, Self::Codebuild, Self::Clients];
}

/// Numbers of calls by caller and by `service:Operation`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Calls(BTreeMap<Caller, BTreeMap<String, u64>>);

impl Calls {
    /// How often a caller called `service:Operation`.
    #[must_use]
    pub fn get(&self, caller: Caller, name: &str) -> u64 {
        self.0
            .get(&caller)
            .and_then(|calls| calls.get(name))
            .copied()
            .unwrap_or_default()
    }

    /// Everything that a caller called.
    pub fn of(&self, caller: Caller) -> impl Iterator<Item = (&str, u64)> {
        self.0
            .get(&caller)
            .into_iter()
            .flatten()
            .map(|(name, count)| (name.as_str(), *count))
    }

    /// How many calls a caller made.
    #[must_use]
    pub fn total(&self, caller: Caller) -> u64 {
        self.of(caller).map(|(_, count)| count).sum()
    }

    pub(super) fn count(&mut self, caller: Caller, name: &str) {
        *self
            .0
            .entry(caller)
            .or_default()
            .entry(name.to_owned())
            .or_default() += 1;
    }
}
