//! A report as text, and what differs between two.

use jiff::Timestamp;
use seedflow_core::pages::format::{duration, time};
use seedflow_core::pages::report_view::{Deployment, Module, Status};
use seedflow_terminal::{Tone, Ui};
use serde::Serialize;
use serde_json::{Map, Value};

use super::moment::short;
use super::state::{cell, tone, word};
use super::table::{Cell, Table};
use crate::records::published::text;
use crate::records::report::ParsedReport;

/// Prints a report.
pub fn show(of: &str, execution: &str, report: &ParsedReport, cause: Option<&str>, ui: &Ui) {
    let status = report.status();
    let state = report.shown_state();
    let state = ui.paint(tone(state).unwrap_or(Tone::Quiet), word(state));
    ui.say(format!("{} {state}", ui.paint(Tone::Bold, of)));
    for (label, value) in facts(execution, status, report.span(), cause) {
        let label = ui.paint(Tone::Quiet, format!("{label:10}"));
        ui.say(format!("  {label} {value}"));
    }
    match report {
        ParsedReport::Module(report) => show_module(report, ui),
        ParsedReport::Deployment(report) => show_deployment(report, ui),
    }
}

/// The lines with one value each.
fn facts(
    execution: &str,
    status: &Status,
    span: Option<(Timestamp, Timestamp)>,
    cause: Option<&str>,
) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(cause) = cause {
        facts.push(("cause", cause.to_owned()));
    }
    facts.push(("execution", execution.to_owned()));
    if let Some((from, to)) = span {
        let took = duration(seedflow_core::pages::format::between(from, to));
        facts.push(("started", time(from)));
        facts.push(("took", took));
    }
    if let Some(by) = &status.started_by {
        facts.push(("started by", by.to_string()));
    }
    if let Some(commit) = commit(status) {
        facts.push(("commit", commit));
    }
    if !status.reasons.is_empty() {
        facts.push(("because", status.reasons.join(", ")));
    }
    if let Some(error) = &status.error {
        let phase = status.phase.as_ref().map(|phase| format!(" in {phase}"));
        facts.push(("error", format!("{error}{}", phase.unwrap_or_default())));
    }
    if let Some(build) = &status.build_id {
        facts.push(("build", build.clone()));
    }
    if let Some(log) = &status.log_url {
        facts.push(("log", log.as_str().to_owned()));
    }
    facts
}

/// `c0ffee12 of main by Jane Doe`
fn commit(status: &Status) -> Option<String> {
    let commit = short(status.commit.as_deref());
    let branch = status.branch.as_ref().map(|branch| format!("of {branch}"));
    let author = status
        .author
        .as_ref()
        .map(|author| format!("by {}", without_address(author)));
    let parts: Vec<String> = [Some(commit).filter(|commit| !commit.is_empty()), branch, author]
        .into_iter()
        .flatten()
        .collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// The name of an author without the e-mail address.
#[must_use]
pub fn without_address(author: &str) -> &str {
    let name = author.split('<').next().unwrap_or_default().trim();
    if name.is_empty() { author } else { name }
}

fn show_module(report: &Module, ui: &Ui) {
    let phases = report.build.iter().flat_map(|build| &build.phases);
    let mut table = Table::new(["PHASE", "STATE", "TOOK"]);
    let mut some = false;
    for phase in phases {
        some = true;
        let state = phase.status.as_deref().unwrap_or_default();
        let took = phase.seconds.map(|seconds| duration((seconds * 1000.0) as i64));
        table.row([
            phase.r#type.as_str().into(),
            // A command of a phase succeeds; nothing is deployed by one.
            Cell::toned(state.to_lowercase().replace('_', " "), tone(state)),
            took.unwrap_or_default().into(),
        ]);
    }
    if some {
        ui.say("");
        table.show(ui);
    }
    if let Some(outputs) = report.outputs.as_ref().filter(|outputs| !outputs.is_empty()) {
        ui.say("");
        values(outputs, ["OUTPUT", "VALUE"]).show(ui);
    }
}

/// A table of values by name.
#[must_use]
pub fn values(values: &Map<String, Value>, heading: [&str; 2]) -> Table {
    let mut table = Table::new(heading);
    for (name, value) in values {
        table.row([name.as_str().into(), text(value).into()]);
    }
    table
}

fn show_deployment(report: &Deployment, ui: &Ui) {
    let mut table = Table::new(["MODULE", "STATE", "EXECUTION"]);
    for result in &report.results {
        table.row([
            format!("{}/{}", result.group, result.module).into(),
            cell(&result.state),
            result.execution.as_deref().unwrap_or_default().into(),
        ]);
    }
    // An execution that was stopped or refused, or that runs, has none.
    if !report.results.is_empty() {
        ui.say("");
        table.show(ui);
    }
    for warning in &report.warnings {
        ui.say(format!("warning: {warning}"));
    }
}

/// What differs between two executions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is about, such as `state`, `files`, `output VpcId` or a module of a deployment.
    pub what: String,
    /// The value of the earlier execution, if it has one that may be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The value of the later one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// Whether the values are states, for which people get words.
    #[serde(skip)]
    pub is_state: bool,
}

impl Difference {
    fn of(what: impl Into<String>, old: Option<&str>, new: Option<&str>) -> Option<Self> {
        (old != new).then(|| Self {
            what: what.into(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
            is_state: false,
        })
    }

    /// Something that differs and has no values to show.
    #[must_use]
    pub fn named(what: String) -> Self {
        Self {
            what,
            ..Self::default()
        }
    }

    fn of_states(what: impl Into<String>, old: Option<&str>, new: Option<&str>) -> Option<Self> {
        let of = Self::of(what, old, new)?;
        Some(Self { is_state: true, ..of })
    }

    /// Its line, for people.
    #[must_use]
    pub fn line(&self) -> String {
        let shown = |value: &Option<String>| match value {
            Some(state) if self.is_state => Some(word(state)),
            value => value.clone(),
        };
        line(
            &self.what,
            shown(&self.old).as_deref(),
            shown(&self.new).as_deref(),
        )
    }
}

/// The line about something that differs: `~ state: FAILED -> SUCCEEDED`, `+ parameter size: 3`, `- output Url: https://a`.
#[must_use]
pub fn line(what: &str, old: Option<&str>, new: Option<&str>) -> String {
    match (old, new) {
        (None, None) => format!("~ {what}"),
        (None, Some(new)) => format!("+ {what}: {new}"),
        (Some(old), None) => format!("- {what}: {old}"),
        (Some(old), Some(new)) => format!("~ {what}: {old} -> {new}"),
    }
}

/// Why the files and parameters of two executions can't be compared as such; `None` if they can.
#[must_use]
pub fn incomparable(old: &ParsedReport, new: &ParsedReport) -> Option<&'static str> {
    let (ParsedReport::Module(before), ParsedReport::Module(after)) = (old, new) else {
        return None;
    };
    match (&before.fingerprint, &after.fingerprint) {
        (Some(_), Some(_)) => None,
        (_, None) if changes_in(&new.status().reasons).next().is_some() => Some(
            "The later execution stored no fingerprint. Its reasons say how its files and parameters differ from the last success before it.",
        ),
        _ => Some("One of the executions stored no fingerprint, so files and parameters can't be compared."),
    }
}

/// The reasons that name something of the module that differs from its last success.
fn changes_in(reasons: &[String]) -> impl Iterator<Item = &String> {
    let is_change = |reason: &&String| {
        [" changed", " added", " removed"]
            .iter()
            .any(|end| reason.ends_with(end))
    };
    reasons.iter().filter(is_change)
}

/// What differs between the reports of two executions of the same module or deployment. Reports have no values of
/// parameters, so a parameter is only named.
#[must_use]
pub fn differences(old: &ParsedReport, new: &ParsedReport) -> Vec<Difference> {
    let (before, after) = (old.status(), new.status());
    let mut found: Vec<Difference> = [
        Difference::of_states("state", Some(&before.state), Some(&after.state)),
        Difference::of("commit", before.commit.as_deref(), after.commit.as_deref()),
        Difference::of("branch", before.branch.as_deref(), after.branch.as_deref()),
    ]
    .into_iter()
    .flatten()
    .collect();
    match (old, new) {
        (ParsedReport::Module(old), ParsedReport::Module(new)) => found.extend(of_modules(old, new)),
        (ParsedReport::Deployment(old), ParsedReport::Deployment(new)) => {
            found.extend(of_deployments(old, new))
        }
        _ => {}
    }
    found
}

fn of_modules(old: &Module, new: &Module) -> Vec<Difference> {
    let mut found = Vec::new();
    let named = match (&old.fingerprint, &new.fingerprint) {
        (Some(before), Some(after)) => after.differences(before),
        (_, None) => changes_in(&new.status.reasons).cloned().collect(),
        (None, Some(_)) => Vec::new(),
    };
    found.extend(named.into_iter().map(Difference::named));
    if let (Some(before), Some(after)) = (&old.outputs, &new.outputs) {
        found.extend(of_outputs(before, after));
    }
    found
}

fn of_outputs(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<Difference> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let of = |name: &String| {
        let (before, after) = (old.get(name).map(text), new.get(name).map(text));
        Difference::of(format!("output {name}"), before.as_deref(), after.as_deref())
    };
    names.into_iter().filter_map(of).collect()
}

fn of_deployments(old: &Deployment, new: &Deployment) -> Vec<Difference> {
    let results = |report: &Deployment| -> std::collections::BTreeMap<String, String> {
        let results = report.results.iter();
        results
            .map(|one| (format!("{}/{}", one.group, one.module), one.state.clone()))
            .collect()
    };
    let (before, after) = (results(old), results(new));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let of = |name: &String| {
        let (old, new) = (before.get(name), after.get(name));
        Difference::of_states(name, old.map(String::as_str), new.map(String::as_str))
    };
    names.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn module(json: Value) -> ParsedReport {
        ParsedReport::Module(serde_json::from_value(json).unwrap())
    }

    fn lines_of(found: &[Difference]) -> Vec<String> {
        let none = String::new();
        found
            .iter()
            .map(|one| {
                let (old, new) = (
                    one.old.as_ref().unwrap_or(&none),
                    one.new.as_ref().unwrap_or(&none),
                );
                format!("{}: {old} -> {new}", one.what)
            })
            .collect()
    }

    #[test]
    fn two_reports_differ_in_commit_parts_and_outputs() {
        let fingerprint = |bundle: &str, part: &str| {
            json!({"hash": bundle, "bundle": bundle, "deployspec": "d", "configuration": part,
                "parts": {"parameter size": part}})
        };
        let old = module(
            json!({"status": {"state": "SUCCEEDED", "commit": "a"}, "fingerprint": fingerprint("1", "1"),
            "outputs": {"Same": "1", "Gone": "2", "Changed": "3"}}),
        );
        let new = module(
            json!({"status": {"state": "SUCCEEDED", "commit": "b"}, "fingerprint": fingerprint("2", "2"),
            "outputs": {"Same": "1", "Changed": "4", "New": 5}}),
        );
        assert_eq!(
            lines_of(&differences(&old, &new)),
            [
                "commit: a -> b",
                "bundle changed:  -> ",
                "parameter size changed:  -> ",
                "output Changed: 3 -> 4",
                "output Gone: 2 -> ",
                "output New:  -> 5",
            ]
        );
        assert!(differences(&old, &old).is_empty());
    }

    #[test]
    fn a_failure_differs_by_its_reasons_and_says_what_they_are_compared_with() {
        let succeeded = module(json!({"status": {"state": "SUCCEEDED"},
            "fingerprint": {"hash": "h", "bundle": "b", "deployspec": "d", "configuration": "c"}}));
        let failed = |reasons: &[&str]| module(json!({"status": {"state": "FAILED", "reasons": reasons}}));
        let changed = failed(&["bundle changed", "last deployment failed"]);
        assert_eq!(
            lines_of(&differences(&succeeded, &changed)),
            ["state: SUCCEEDED -> FAILED", "bundle changed:  -> "]
        );
        assert!(
            incomparable(&succeeded, &changed)
                .unwrap()
                .contains("last success")
        );
        assert!(
            incomparable(&succeeded, &failed(&[]))
                .unwrap()
                .contains("can't be compared")
        );
        assert!(
            incomparable(&changed, &succeeded)
                .unwrap()
                .contains("can't be compared")
        );
        assert_eq!(incomparable(&succeeded, &succeeded), None);
    }

    #[test]
    fn deployments_differ_by_how_their_modules_ended() {
        let of = |state: &str| {
            let results = json!([{"group": "g", "module": "a", "state": "SUCCEEDED"},
                {"group": "g", "module": "b", "state": state}]);
            let report = json!({"status": {"state": state}, "results": results});
            ParsedReport::Deployment(serde_json::from_value(report).unwrap())
        };
        let found = differences(&of("SUCCEEDED"), &of("FAILED"));
        assert_eq!(
            lines_of(&found),
            ["state: SUCCEEDED -> FAILED", "g/b: SUCCEEDED -> FAILED"]
        );
        assert_eq!(found[1].line(), "~ g/b: deployed -> failed");
    }

    #[test]
    fn an_author_is_shown_without_an_address() {
        assert_eq!(without_address("Jane Doe <j@x>"), "Jane Doe");
        assert_eq!(without_address("<j@x>"), "<j@x>");
    }
}
