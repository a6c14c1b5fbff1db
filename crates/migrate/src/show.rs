//! The output of a run: each module with its result and the reason, and each write under it.

use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::{AwsEnvironment, ModuleId, ParameterKind};
use seedflow_core::module::status::State;
use seedflow_core::target::Target;
use seedflow_terminal::{Tone, Ui};
use serde_json::Value;

use crate::account::Account;
use crate::takeover::TakeOver;

/// A module's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakeoverResult {
    /// It is taken over, and unchanged for the next deployment.
    Taken,
    /// It is taken over, and the next deployment deploys it.
    Changed,
    /// It was taken over before.
    Done {
        /// Whether the next deployment deploys it.
        changed: bool,
    },
    /// Seedflow has deployed it itself.
    Own(State),
    /// seed-farmer has not deployed it.
    NotThere,
    /// It can't be taken over.
    Refused(String),
}

impl TakeoverResult {
    /// How a module ends that is taken over.
    #[must_use]
    pub fn of(taken: &TakeOver) -> Self {
        match (taken.is_done(), taken.changes.is_empty()) {
            (true, unchanged) => Self::Done { changed: !unchanged },
            (false, true) => Self::Taken,
            (false, false) => Self::Changed,
        }
    }
}

/// The output, with its counts.
pub struct Show {
    ui: Ui,
    ended: Vec<TakeoverResult>,
    writes: usize,
}

impl Show {
    #[must_use]
    pub fn new() -> Self {
        Self {
            ui: Ui::for_stdout(),
            ended: Vec::new(),
            writes: 0,
        }
    }

    /// What it is about.
    pub fn heading(&self, deployment: &DeploymentId, environment: &AwsEnvironment, apply: bool) {
        let name = self.ui.paint(Tone::Bold, deployment.to_string());
        let mode = if apply {
            ""
        } else {
            " (dry run: nothing is written)"
        };
        let AwsEnvironment { account, region, .. } = environment;
        self.ui
            .say(format!("{name} in account {account}, region {region}{mode}"));
    }

    /// What is written of a module; `data_files` where it has some of the repository, which
    /// seed-farmer never looks at.
    pub fn take_over(&mut self, account: &Account, taken: &TakeOver, data_files: bool) {
        let mut lines = Vec::new();
        let id = &taken.id;
        let record = format!("s3://{}/{}", account.work_bucket(), id.record_key());
        if taken.removes_record {
            lines.push((
                format!("remove {}", id.parameter(ParameterKind::Md5)),
                "seed-farmer has deployed something else since".to_owned(),
            ));
            lines.push((format!("remove {record}"), "the same".to_owned()));
        }
        if let Some(record_to_write) = &taken.record {
            let bundle = format!("s3://{}/{}", account.bundles.name(), id.bundle_key());
            lines.push((
                bundle,
                format!(
                    "the files that are deployed, digest {}, also beside the record",
                    record_to_write.fingerprint.bundle
                ),
            ));
            lines.push((record, "what the module is destroyed by".to_owned()));
        }
        for write in &taken.writes {
            lines.push((
                id.parameter(write.kind),
                about(write.kind, write.encoded.parameter.as_str()),
            ));
        }
        self.ui.say(format!("\n{}", self.ui.paint(Tone::Bold, name(id))));
        for change in &taken.changes {
            self.ui.say(format!("  {change}"));
        }
        if data_files && taken.changes.is_empty() {
            self.ui.say("  has dataFiles, whose contents seed-farmer doesn't compare: if they changed since, deploy it with force_update");
        }
        for (what, about) in &lines {
            self.ui
                .say(format!("  {what}  {}", self.ui.paint(Tone::Quiet, about)));
        }
        self.writes += lines.len();
    }

    pub fn ended(&mut self, id: &ModuleId, ended: &TakeoverResult) {
        let ui = &self.ui;
        let heading = || ui.say(format!("\n{}", ui.paint(Tone::Bold, name(id))));
        match ended {
            TakeoverResult::Taken => ui.say(ui.paint(
                Tone::Good,
                "  unchanged since seed-farmer deployed it: taken over",
            )),
            TakeoverResult::Changed => {
                ui.say("  changed: taken over without md5, so the next deployment deploys it")
            }
            TakeoverResult::Done { changed: true } => {
                ui.say("  already there; the next deployment deploys it")
            }
            TakeoverResult::Done { changed: false } => ui.say(ui.paint(Tone::Good, "  already there")),
            TakeoverResult::Own(state) => {
                heading();
                ui.say(format!(
                    "  already there: Seedflow's own deployment ended as {}; left as it is",
                    state.as_str()
                ));
            }
            TakeoverResult::NotThere => {
                heading();
                ui.say("  not deployed by seed-farmer; the next deployment deploys it");
            }
            TakeoverResult::Refused(why) => {
                heading();
                ui.complain(&format!(
                    "{}: {}: {why}",
                    ui.paint(Tone::Bad, "not taken over"),
                    name(id)
                ));
            }
        }
        self.ended.push(ended.clone());
    }

    /// A module that is deployed and in no manifest.
    pub fn left_behind(&mut self, name: &str) {
        let why = "seed-farmer has deployed it, and the manifest doesn't have it; destroy it by `seedfarmer apply` with this manifest, or put it back";
        let refused = self.ui.paint(Tone::Bad, "not taken over");
        self.ui.complain(&format!("{refused}: {name}: {why}"));
        self.ended.push(TakeoverResult::Refused(why.to_owned()));
    }

    /// An account and region that the manifest maps, that no module goes to, and that can't be read.
    pub fn not_looked_at(&self, target: &Target, error: &anyhow::Error) {
        self.ui.complain(&format!(
            "{target}: no module goes there, and whether seed-farmer left some there is unknown: {error:#}"
        ));
    }

    /// Whether something could not be taken over.
    #[must_use]
    pub fn has_refused(&self) -> bool {
        self.ended
            .iter()
            .any(|ended| matches!(ended, TakeoverResult::Refused(_)))
    }

    /// The summary.
    pub fn sum(&self, apply: bool) {
        let count =
            |wanted: fn(&TakeoverResult) -> bool| self.ended.iter().filter(|ended| wanted(ended)).count();
        let counts = [
            (count(|ended| *ended == TakeoverResult::Taken), "unchanged"),
            (count(|ended| *ended == TakeoverResult::Changed), "changed"),
            (
                count(|ended| matches!(ended, TakeoverResult::Done { .. } | TakeoverResult::Own(_))),
                "already there",
            ),
            (count(|ended| *ended == TakeoverResult::NotThere), "not deployed"),
            (
                count(|ended| matches!(ended, TakeoverResult::Refused(_))),
                "not taken over",
            ),
        ];
        let shown: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let writes = match (apply, self.writes) {
            (_, 0) => "nothing to write".to_owned(),
            (true, writes) => format!("{writes} written"),
            (false, writes) => format!("{writes} to write; run it again with --apply to write them"),
        };
        self.ui.say(format!("\n{}: {writes}", shown.join(", ")));
    }
}

fn name(id: &ModuleId) -> String {
    format!("{}/{}", id.group, id.module)
}

/// A value in few words. Of metadata and outputs only the names: the values may be confidential.
fn about(kind: ParameterKind, text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let names = || {
        let names: Vec<&str> = value
            .as_object()
            .into_iter()
            .flat_map(|map| map.keys().map(String::as_str))
            .collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    match kind {
        ParameterKind::Md5 => format!("hash {}", value["hash"].as_str().unwrap_or_default()),
        ParameterKind::Status => format!(
            "{}, deployed at {}",
            value["state"].as_str().unwrap_or_default(),
            value["deployed_at"].as_str().unwrap_or_default()
        ),
        ParameterKind::Metadata | ParameterKind::Outputs | ParameterKind::Renamed => names(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_metadata_are_not_shown() {
        assert_eq!(
            about(ParameterKind::Metadata, r#"{"Password": "secret", "Arn": "a"}"#),
            "Password, Arn"
        );
        assert_eq!(about(ParameterKind::Outputs, "{}"), "none");
        assert_eq!(
            about(ParameterKind::Md5, r#"{"hash": "abc", "bundle": "x"}"#),
            "hash abc"
        );
    }
}
