//! The demo's checks: expected against actual results.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use seedflow_core::ids::ModuleId;
use serde_json::Value;

use crate::client::deployment::{self, Finished, Parameter};
use crate::stack::Stack;
use seedflow_terminal::{Tone, Ui};

/// The demo's checks, each shown when it passes or fails.
pub struct Checks<'a> {
    ui: &'a Ui,
    /// Whether a check that the line of its module shows has a line too.
    verbose: bool,
    met: usize,
    missed: Vec<String>,
}

impl<'a> Checks<'a> {
    pub fn new(verbose: bool, ui: &'a Ui) -> Self {
        Self {
            ui,
            verbose,
            met: 0,
            missed: Vec::new(),
        }
    }

    /// Something that has to be so.
    pub fn that(&mut self, what: &str, so: bool) {
        self.check(what, so, true);
    }

    /// The same of something that the line of the module shows as well.
    pub fn detail(&mut self, what: &str, so: bool) {
        self.check(what, so, self.verbose);
    }

    fn check(&mut self, what: &str, so: bool, shown: bool) {
        if so {
            self.met += 1;
            if shown {
                self.ui
                    .say(format!("  {} {what}", self.ui.paint(Tone::Good, "as expected:")));
            }
        } else {
            self.ui.say(format!(
                "  {} {what}",
                self.ui.paint(Tone::Bad, "NOT as expected:")
            ));
            self.missed.push(what.to_owned());
        }
    }

    /// A deployment has to end in this state.
    pub fn state(&mut self, what: &str, finished: &Finished, state: &str) {
        let seen = finished.state();
        let found = if seen == state {
            String::new()
        } else {
            format!(", not {seen}: {} {}", finished.error, finished.cause)
        };
        self.check(
            &format!("{what} ended {state}{found}"),
            seen == state,
            self.verbose,
        );
    }

    /// A deployment has to have this reason.
    pub fn reason(&mut self, finished: &Finished, reason: &str) {
        let so = finished.reasons.iter().any(|seen| seen == reason);
        let found = if so {
            String::new()
        } else {
            format!(", it was {:?}", finished.reasons)
        };
        self.detail(&format!("the reason is \"{reason}\"{found}"), so);
    }

    /// An error if anything was missed.
    pub fn verdict(self) -> Result<()> {
        if self.missed.is_empty() {
            self.ui.say(
                self.ui
                    .paint(Tone::Good, format!("All {} checks of the demo passed.", self.met)),
            );
            return Ok(());
        }
        bail!("checks that failed: {}", self.missed.join("; "))
    }
}

/// What Parameter Store holds of a module at one time.
pub struct Holds(BTreeMap<String, Parameter>);

impl Holds {
    pub async fn read(stack: &Stack, module: &ModuleId) -> Result<Self> {
        let path = module.parameter_path();
        let found = deployment::parameters(&stack.api(), &path).await?;
        Ok(Self(
            found
                .into_iter()
                .map(|one| (one.name[path.len() + 1..].to_owned(), one))
                .collect(),
        ))
    }

    /// A parameter as JSON; null where it doesn't exist.
    pub fn json(&self, name: &str) -> Value {
        self.0
            .get(name)
            .and_then(|one| serde_json::from_str(&one.value).ok())
            .unwrap_or_default()
    }

    pub fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.0.contains_key(*name))
    }

    /// Whether these exist, in the same version as then: a version grows even by the same value.
    pub fn same(&self, then: &Self, names: &[&str]) -> bool {
        self.has(names) && names.iter().all(|name| self.0.get(*name) == then.0.get(*name))
    }
}
