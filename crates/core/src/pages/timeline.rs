//! The timeline of an execution: the steps of the workflow, and the phases of the build within them.

use jiff::Timestamp;
use maud::{Markup, html};

use super::format;
use super::report_view::{Build, Module, Phase, Timeline};
use super::state;

/// A span of time with a name.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    name: String,
    /// The status of a build's phase, shown beside its colour.
    status: Option<String>,
    class: &'static str,
    phase: bool,
    from: Timestamp,
    to: Timestamp,
}

/// The table with its bars; empty if no time is known.
pub(super) fn table(report: &Module) -> Markup {
    let steps = steps(report);
    let (Some(from), Some(to)) = (
        steps.iter().map(|step| step.from).min(),
        steps.iter().map(|step| step.to).max(),
    ) else {
        return html! {};
    };
    let whole = format::between(from, to);
    html! {
        section {
            h2 { "Timeline" }
            table.timeline {
                caption { (format::duration(whole)) " from " (format::time(from)) " to " (format::time(to)) }
                thead { tr { th scope="col" { "Step" } th scope="col" { "When" } th scope="col" { "Took" } } }
                tbody { @for step in &steps { (row(step, from, whole)) } }
            }
        }
    }
}

fn row(step: &Step, begin: Timestamp, whole: i64) -> Markup {
    html! {
        tr.phase[step.phase] {
            th scope="row" {
                bdi { (step.name) }
                @if let Some(status) = &step.status { " " span.note { (state::word(status)) } }
            }
            td.bar { (bar((step.from, step.to), step.class, begin, whole)) }
            td.took { (format::duration(format::between(step.from, step.to))) }
        }
    }
}

/// A span as a bar within a whole that began at `begin` and took `whole` milliseconds.
pub(super) fn bar((from, to): (Timestamp, Timestamp), class: &str, begin: Timestamp, whole: i64) -> Markup {
    let took = format::between(from, to);
    let share = |milliseconds: i64| 100.0 * milliseconds as f64 / whole.max(1) as f64;
    let left = share(format::between(begin, from)).min(99.4);
    // A span that is too short to be visible is drawn as a line.
    let width = share(took).max(0.6).min(100.0 - left);
    let said = match format::between(begin, from) {
        0 => format!("from the start, for {}", format::duration(took)),
        after => format!(
            "{} after the start, for {}",
            format::duration(after),
            format::duration(took)
        ),
    };
    html! {
        svg width="100%" height="12" role="img" aria-label=(said) {
            rect class="track" width="100%" height="12" rx="3" {}
            rect class=(class) x=(percent(left)) width=(percent(width)) height="12" rx="3" {
                title { (said) }
            }
        }
    }
}

fn percent(share: f64) -> String {
    format!("{share:.2}%")
}

/// The steps in order, as far as their times are known.
fn steps(report: &Module) -> Vec<Step> {
    let none = Timeline::default();
    let times = report.timeline.as_ref().unwrap_or(&none);
    let started = times.started_at.or(report.status.started_at);
    let recorded = times.recorded_at.or(report.written_at);
    let step = |name: &str, from: Option<Timestamp>, to: Option<Timestamp>, class| {
        Some(Step {
            name: name.to_owned(),
            status: None,
            class,
            phase: false,
            from: from?,
            to: to?.max(from?),
        })
    };
    let built = report.build.as_ref().map(|build| build_span(build, times));
    let (build_from, build_to) = built.unwrap_or_default();
    let mut steps = vec![
        step(
            "Started and waited for its turn",
            times.execution_started_at,
            times.lock_acquired_at,
            "wait",
        ),
        step("Checked what changed", times.lock_acquired_at, started, "step"),
    ];
    if build_from.is_none() {
        // There was no build, or the report is older and has the build's duration but not its times.
        steps.push(step("Deployed", started, recorded, "step"));
    }
    steps.push(step(
        "Started the build",
        started.filter(|_| build_from.is_some()),
        build_from,
        "step",
    ));
    steps.push(step("Build", build_from, build_to, "build"));
    let mut steps: Vec<Step> = steps.into_iter().flatten().collect();
    in_order(&mut steps);
    if let Some(build) = &report.build {
        let mut phases = phases(&build.phases, build_from.or(started));
        in_order(&mut phases);
        steps.extend(phases);
    }
    steps.extend(step("Recorded the result", build_to, recorded, "step"));
    steps
}

/// Moves the start of a step that seems to begin before the step above it: CodeBuild gives whole seconds, and the workflow
/// milliseconds.
fn in_order(steps: &mut [Step]) {
    for i in 1..steps.len() {
        let floor = steps[i - 1].from;
        steps[i].from = steps[i].from.max(floor);
        steps[i].to = steps[i].to.max(steps[i].from);
    }
}

/// When the build ran: by the workflow's times, or else by the times of its phases.
fn build_span(build: &Build, times: &Timeline) -> (Option<Timestamp>, Option<Timestamp>) {
    let first = build.phases.iter().filter_map(|phase| phase.started_at).min();
    let last = build.phases.iter().filter_map(end).max();
    (times.build_started_at.or(first), times.build_ended_at.or(last))
}

fn end(phase: &Phase) -> Option<Timestamp> {
    after(phase.started_at?, phase.seconds.unwrap_or_default())
}

fn after(from: Timestamp, seconds: f64) -> Option<Timestamp> {
    let milliseconds = (seconds.clamp(0.0, 1e9) * 1000.0) as i64;
    Timestamp::from_millisecond(from.as_millisecond().checked_add(milliseconds)?).ok()
}

/// The phases. A phase without a start begins at the end of the previous one.
fn phases(phases: &[Phase], begin: Option<Timestamp>) -> Vec<Step> {
    let mut next = begin;
    let mut steps = Vec::new();
    for phase in phases {
        let (Some(from), Some(seconds)) = (phase.started_at.or(next), phase.seconds) else {
            continue;
        };
        let Some(to) = after(from, seconds) else {
            continue;
        };
        next = Some(to);
        let failed = phase.status.clone().filter(|status| status != "SUCCEEDED");
        steps.push(Step {
            name: phase.r#type.clone(),
            class: failed.as_deref().map_or("phase", state::class),
            status: failed,
            phase: true,
            from,
            to,
        });
    }
    steps
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn named(report: Value) -> Vec<(String, i64)> {
        let report: Module = serde_json::from_value(report).unwrap();
        let took = |step: Step| (step.name, format::between(step.from, step.to));
        steps(&report).into_iter().map(took).collect()
    }

    #[test]
    fn all_steps_and_phases_are_in_order() {
        let report = json!({
            "timeline": {
                "execution_started_at": "2026-01-01T00:00:00Z", "lock_acquired_at": "2026-01-01T00:00:02Z",
                "started_at": "2026-01-01T00:00:03Z", "build_started_at": "2026-01-01T00:00:04Z",
                "build_ended_at": "2026-01-01T00:00:14Z", "recorded_at": "2026-01-01T00:00:15Z"
            },
            "build": {"status": "SUCCEEDED", "phases": [
                {"type": "INSTALL", "status": "SUCCEEDED", "started_at": "2026-01-01T00:00:05Z", "seconds": 2},
                {"type": "BUILD", "status": "SUCCEEDED", "seconds": 6}, {"type": "COMPLETED"}
            ]}
        });
        let expected = [
            ("Started and waited for its turn", 2000),
            ("Checked what changed", 1000),
            ("Started the build", 1000),
            ("Build", 10_000),
            ("INSTALL", 2000),
            ("BUILD", 6000),
            ("Recorded the result", 1000),
        ];
        assert_eq!(
            named(report),
            expected.map(|(name, took)| (name.to_owned(), took))
        );
    }

    #[test]
    fn whole_seconds_beside_milliseconds_stay_in_order() {
        let report = json!({
            "timeline": {
                "lock_acquired_at": "2026-01-01T00:00:03.1Z", "started_at": "2026-01-01T00:00:03.6Z",
                "build_started_at": "2026-01-01T00:00:03Z", "build_ended_at": "2026-01-01T00:00:05Z",
                "recorded_at": "2026-01-01T00:00:05.4Z"
            },
            "build": {"status": "SUCCEEDED", "phases": []}
        });
        let report: Module = serde_json::from_value(report).unwrap();
        let steps = steps(&report);
        assert!(
            steps.windows(2).all(|two| two[0].from <= two[1].from),
            "{steps:#?}"
        );
    }

    #[test]
    fn an_older_report_has_what_it_knows() {
        let report = json!({
            "written_at": "2026-01-01T00:00:20Z", "status": {"started_at": "2026-01-01T00:00:00Z"},
            "build": {"phases": [{"type": "BUILD", "status": "FAILED", "seconds": 6}]}
        });
        let expected = [("Deployed", 20_000), ("BUILD", 6000)];
        assert_eq!(
            named(report),
            expected.map(|(name, took)| (name.to_owned(), took))
        );
        assert_eq!(named(json!({})), []);
    }
}
