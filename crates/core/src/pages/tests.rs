#![allow(clippy::unwrap_used)]
use serde_json::{Value, json};

use super::*;
use crate::drift::record::DriftRecord;
use crate::ids::DeploymentId;
use crate::ids::{ModuleId, Name};
use crate::pages::deployment_page::{Known, Reports};
use crate::pages::index::{Around, Index};
use crate::pages::module_page::Log;

/// A hostile text that every page must show as plain text.
const HOSTILE: &str =
    "</script></style><img src=x onerror=alert(1)>\"'><script>alert(2)</script>\u{202e}&lt;";

fn context(environment: &AwsEnvironment) -> PageContext<'_> {
    PageContext {
        environment,
        bucket: "work",
        now: "2026-01-01T00:01:00Z".parse().unwrap(),
    }
}

fn environment() -> AwsEnvironment {
    AwsEnvironment::from_arn("arn:aws:lambda:eu-west-1:123456789012:function:f").unwrap()
}

/// A report with each string replaced by a hostile one; the structure stays.
fn poisoned(report: Value) -> Value {
    match report {
        Value::String(text) if text.starts_with("20") || text.ends_with("ED") => Value::String(text),
        Value::String(_) => json!(HOSTILE),
        Value::Array(items) => items.into_iter().map(poisoned).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, poisoned(value)))
            .collect(),
        other => other,
    }
}

fn module_report() -> Value {
    json!({
        "execution": "e", "written_at": "2026-01-01T00:00:20Z",
        "status": {
            "state": "FAILED", "started_at": "2026-01-01T00:00:00Z", "reasons": ["r"], "error": "e", "phase": "p", "reason": "r",
            "log_url": "l", "build_id": "b", "commit": "c", "author": "a", "branch": "b"
        },
        "build": {"status": "FAILED", "build_id": "b", "log_url": "l", "phases": [{"type": "BUILD", "status": "s", "seconds": 3}]},
        "source": {"bucket": "b", "key": "k", "version_id": "v", "path": "p"},
        "fingerprint": {"hash": "h", "bundle": "b", "deployspec": "d", "configuration": "c", "parts": {HOSTILE: "1"}},
        "previous_fingerprint": {"hash": "h", "bundle": "b", "deployspec": "d", "configuration": "c", "parts": {}},
        "parameters": ["p"], "outputs": {HOSTILE: "o", "list": ["x"]}
    })
}

fn assert_inert(page: &str) {
    for bad in [
        "<img",
        "<script>",
        "</script>\"",
        "javascript:",
        " onerror=alert(1)>\"",
    ] {
        assert!(!page.contains(bad), "{bad} in {page}");
    }
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"), "{page}");
}

/// What was found in a module whose stack and resources have this name.
fn drifted(name: &str) -> DriftRecord {
    serde_json::from_value(json!({
        "project": "p", "deployment": "d", "group": "g", "module": "m", "state": "DRIFTED",
        "since": "2026-01-01T00:00:30Z", "deployed_by": "e", "checked_at": "2026-01-02T00:00:00Z", "execution": "x",
        "reason": name, "stacks": [{"stack": name, "state": "DRIFTED", "left_out": 2, "resources": [
            {"logical_id": name, "physical_id": name, "resource_type": name, "state": "MODIFIED", "left_out": 3,
                "properties": [{"path": name, "difference": name, "expected": "30", "actual": name}]},
            {"logical_id": "Gone", "physical_id": name, "resource_type": name, "state": "DELETED"},
        ]}],
        "phases": {"state": "DRIFTED", "output": ["~ size = 30 -> 31", name], "log_url": name},
    }))
    .unwrap()
}

#[test]
fn a_page_shows_what_differs_in_the_module_s_stacks() {
    let environment = environment();
    let id = ModuleId::parse("p", "d", "g", "m").unwrap();
    let report = serde_json::from_value(module_report()).unwrap();
    let page = module_page::render(
        &context(&environment),
        &id,
        "reports/p/d/g/m/e.json",
        &report,
        &Log::None,
        &Around::default(),
        Some(&drifted("Queue")),
    );
    for part in [
        "Drift <span class=\"badge warn\">",
        "<bdi>30</bdi>",
        "deleted</td>",
        "and 3 more properties",
        "Its drift phases: drifted.",
        "<span class=\"line\">~ size = 30 -&gt; 31</span>",
        "and 2 more resources of",
        "Not all of it could be compared",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn nothing_of_a_report_becomes_html_or_a_link() {
    let environment = environment();
    let id = ModuleId::parse("p", "d", "g", "m").unwrap();
    let report = serde_json::from_value(poisoned(module_report())).unwrap();
    let log = Log::Lines(vec![HOSTILE.to_owned()]);
    assert_inert(&module_page::render(
        &context(&environment),
        &id,
        "reports/p/d/g/m/e.json",
        &report,
        &log,
        &Around::default(),
        Some(&drifted(HOSTILE)),
    ));
    let id = DeploymentId {
        project: id.project,
        deployment: id.deployment,
    };
    let report = json!({
        "execution": "e", "status": {"state": "FAILED", "error": "e", "reason": "r", "modules": {HOSTILE: 1},
            "rollback": {"to": "t", "after": {"execution": "e", "cause": "c"}}},
        "plan": [{"group": "g", "module": "m", "reasons": ["r"]}], "warnings": ["w"],
        "sources": [{"kind": "git", "url": "u", "ref": "r", "commit": "c"}],
        "results": [{"group": "g", "module": "m", "state": "FAILED", "execution": "e"}]
    });
    let report = serde_json::from_value(poisoned(report)).unwrap();
    assert_inert(&deployment_page::render(
        &context(&environment),
        &id,
        "reports/p/d/e.json",
        &report,
        Known {
            modules: &Reports::new(),
            index: &Index::default(),
        },
    ));
}

/// Whether the page marks a text as the module's.
fn attributed(page: &str, text: &str) -> bool {
    page.match_indices(text).count() > 0
        && page.match_indices(text).all(|(at, _)| {
            let before = &page[..at];
            before.rfind("<figure class=\"module-text\"><figcaption>Text from the module's build, not from Seedflow</figcaption>")
                > before.rfind("</figure>")
        })
}

#[test]
fn what_a_module_printed_is_marked_as_the_module_s() {
    let environment = environment();
    let id = ModuleId::parse("p", "d", "g", "m").unwrap();
    let with = |build: Value| {
        let reason = "Seedflow: your session has ended, log in again";
        serde_json::from_value(json!({
            "execution": "e", "build": build, "status": {"state": "FAILED", "error": "BuildFailed", "reason": reason}
        }))
        .unwrap()
    };
    let log = Log::Lines(vec!["Seedflow: call this number".to_owned()]);
    let page = |report| {
        module_page::render(
            &context(&environment),
            &id,
            "reports/p/d/g/m/e.json",
            &report,
            &log,
            &Around::default(),
            None,
        )
    };
    let built = page(with(json!({"status": "FAILED"})));
    assert!(attributed(&built, "Seedflow: your session"), "{built}");
    assert!(attributed(&built, "Seedflow: call this number"), "{built}");
    // Seedflow's own texts are not marked as the module's, nor is the end of an execution that was stopped during its build.
    let stopped = serde_json::from_value(json!({
        "execution": "e", "status": {"state": "ABORTED", "build_id": "b", "reason": "Seedflow: your session has ended"}
    }));
    let stopped = page(stopped.unwrap());
    assert!(!attributed(&stopped, "Seedflow: your session"), "{stopped}");
    let not_built = page(with(Value::Null));
    assert!(!attributed(&not_built, "Seedflow: your session"), "{not_built}");

    let key = ("g".to_owned(), "m".to_owned());
    let reports = Reports::from([(key, with(json!({"status": "FAILED"})))]);
    let whole = serde_json::from_value(json!({
        "execution": "e",
        "status": {"state": "FAILED", "error": "DeploymentFailed", "reason": "g/m: Seedflow: your session has ended"},
        "results": [{"group": "g", "module": "m", "state": "FAILED", "execution": "e"}]
    }))
    .unwrap();
    let id = DeploymentId {
        project: id.project,
        deployment: id.deployment,
    };
    let page = deployment_page::render(
        &context(&environment),
        &id,
        "reports/p/d/e.json",
        &whole,
        Known {
            modules: &reports,
            index: &Index::default(),
        },
    );
    assert!(attributed(&page, "Seedflow: your session"), "{page}");
}

#[test]
fn the_next_execution_can_be_reached_from_a_page_that_was_written_before_it() {
    let environment = environment();
    let id = ModuleId::parse("p", "d", "g", "m").unwrap();
    let page = |next: Option<&str>| {
        module_page::render(
            &context(&environment),
            &id,
            "reports/p/d/g/m/e.json",
            &serde_json::from_value(module_report()).unwrap(),
            &Log::None,
            &Around {
                name: "d/g/m".to_owned(),
                next: next.map(str::to_owned),
                ..Around::default()
            },
            None,
        )
    };
    let newest = page(None);
    assert!(
        newest.contains("rel=\"next\" href=\"../../../../../index/p.html#d/g/m\""),
        "{newest}"
    );
    let older = page(Some("reports/p/d/g/m/e2.html"));
    assert!(older.contains("rel=\"next\" href=\"e2.html\""), "{older}");
}

#[test]
fn the_policy_knows_the_style() {
    use sha2::{Digest, Sha256};
    let digest: Vec<u8> = Sha256::digest(layout::STYLE.as_bytes()).to_vec();
    let known = include_str!("style.sha256");
    assert_eq!(
        base64(&digest),
        known,
        "style.css has changed: put its SHA-256 into style.sha256 (openssl dgst -sha256 -binary style.css | base64)"
    );
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).map(|three| {
        let bits = (0..3).fold(0u32, |bits, i| bits << 8 | u32::from(*three.get(i).unwrap_or(&0)));
        let digit = |i: usize| char::from(DIGITS[(bits >> (18 - 6 * i) & 63) as usize]);
        (0..4)
            .map(|i| if i <= three.len() { digit(i) } else { '=' })
            .collect::<String>()
    });
    digits.collect()
}

#[test]
fn the_modules_that_failed_are_looked_at_first() {
    let id = DeploymentId {
        project: Name::parse("project", "p").unwrap(),
        deployment: Name::parse("deployment", "d").unwrap(),
    };
    let ended =
        |module: &str, state: &str| json!({"group": "g", "module": module, "state": state, "execution": "e"});
    let report = serde_json::from_value(json!({"results": [
        ended("a", "SUCCEEDED"), ended("b", "UNCHANGED"), ended("c", "NOT_STARTED"), ended("d", "FAILED"), ended("../x", "FAILED")
    ]}))
    .unwrap();
    let keys: Vec<String> = deployment_page::reports_of(&id, &report)
        .into_iter()
        .map(|(_, key)| key)
        .collect();
    assert_eq!(keys, ["reports/p/d/g/d/e.json", "reports/p/d/g/a/e.json"]);
}

fn deployment() -> DeploymentId {
    DeploymentId {
        project: Name::parse("project", "p").unwrap(),
        deployment: Name::parse("deployment", "d").unwrap(),
    }
}

/// A deployment with one module that is done, one is in progress, one waits, and one has nothing to do.
fn in_progress(state: &str) -> (Value, Index) {
    let planned = |module: &str, action: &str, execution: Option<&str>| json!({"group": "g", "module": module, "action": action, "reasons": ["first deployment"], "execution": execution});
    let report = json!({
        "execution": "arn:aws:states:r:1:execution:d:whole", "written_at": "2026-01-01T00:00:00Z",
        "status": {"state": state, "started_at": "2026-01-01T00:00:00Z"}, "results": [],
        "plan": [
            planned("done", "deploy", Some("x1")), planned("busy", "deploy", Some("x2")),
            planned("waits", "deploy", Some("x3")), planned("same", "unchanged", None)
        ]
    });
    let reached = |module: &str, state: &str, at: &str, part_of: &str| {
        let event = json!({"detail": {
            "project": "p", "deployment": "d", "group": "g", "module": module, "state": state, "at": at, "report": {},
            "execution": format!("arn:aws:states:r:1:execution:m:{module}-{state}"), "duration_seconds": 5,
            "part_of": format!("arn:aws:states:r:1:execution:d:{part_of}")
        }});
        execution_event::ExecutionState::from_event(&event)
            .unwrap()
            .unwrap()
    };
    let index = [
        reached("done", "SUCCEEDED", "2026-01-01T00:00:20Z", "whole"),
        reached("busy", "IN_PROGRESS", "2026-01-01T00:00:30Z", "whole"),
        reached("waits", "SUCCEEDED", "2025-12-01T00:00:00Z", "another"),
        reached("same", "SUCCEEDED", "2025-12-01T00:00:00Z", "another"),
    ];
    let index = index
        .iter()
        .fold(Index::default(), |index, reached| index.with(reached));
    (report, index)
}

fn page_of(report: Value, index: &Index) -> String {
    let known = Known {
        modules: &Reports::new(),
        index,
    };
    let report = serde_json::from_value(report).unwrap();
    let environment = environment();
    deployment_page::render(
        &context(&environment),
        &deployment(),
        "reports/p/d/whole.json",
        &report,
        known,
    )
}

#[test]
fn a_deployment_in_progress_shows_each_module_and_loads_itself_again() {
    let (report, index) = in_progress("IN_PROGRESS");
    let page = page_of(report, &index);
    assert!(page.contains("http-equiv=\"refresh\""), "{page}");
    for part in [
        "Takes until now",
        "1 min 00 s",
        "Waiting",
        "In progress",
        "Succeeded",
        "1 module is unchanged",
        "href=\"g/done/done-SUCCEEDED.html\"",
        "href=\"g/same/same-SUCCEEDED.html\"",
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    assert!(!page.contains("another"), "{page}");
}

#[test]
fn a_deployment_that_was_stopped_no_longer_waits_and_does_not_load_again() {
    let (report, index) = in_progress("ABORTED");
    let page = page_of(report, &index);
    assert!(
        page.contains("Not started") && !page.contains("Waiting"),
        "{page}"
    );
    assert!(!page.contains("http-equiv=\"refresh\""), "{page}");
    assert!(page.contains("seedflow retry whole<"), "{page}");
}

#[test]
fn what_previews_print_is_folded_text_of_the_module() {
    let (mut report, index) = in_progress("WAITING_FOR_APPROVAL");
    assert!(page_of(report.clone(), &index).contains("http-equiv=\"refresh\""));
    report["previews"] = json!([
        {"group": "g", "module": "done", "state": "succeeded", "output": "+ bucket\n<script>"},
        {"group": "g", "module": "busy", "state": "failed", "reason": "exit status 1", "output": "no <b>state</b>"},
        {"group": "g", "module": "waits", "state": "not_run", "reason": "consumes what g/done is about to publish"},
    ]);
    let page = page_of(report, &index);
    for part in [
        "<details><summary><bdi>g/done</bdi> <span class=\"badge good\">",
        "<span class=\"line\">+ bucket</span><span class=\"line\">&lt;script&gt;</span>",
        "Text from the module's build, not from Seedflow",
        "<bdi>exit status 1</bdi></summary>",
        "no &lt;b&gt;state&lt;/b&gt;",
        "Not run",
        "<bdi>consumes what g/done is about to publish</bdi>",
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    // A page that loads itself again would fold what is read.
    assert!(!page.contains("http-equiv=\"refresh\""), "{page}");
}

/// The page of a module that failed.
fn failed_module(status: Value) -> String {
    let environment = environment();
    let id = ModuleId::parse("p", "d", "g", "m").unwrap();
    let report = serde_json::from_value(json!({"execution": "e", "status": status})).unwrap();
    let log = [
        "[Container] 2026/01/01 00:00:00 Running command make",
        "no space left",
        "[Container] 2026/01/01 00:00:01 Command did not exit successfully make exit status 3",
    ];
    let log = Log::Lines(log.map(str::to_owned).to_vec());
    let key = "reports/p/d/g/m/e.json";
    module_page::render(
        &context(&environment),
        &id,
        key,
        &report,
        &log,
        &Around::default(),
        None,
    )
}

#[test]
fn a_failure_leads_with_its_cause_and_what_to_do_and_says_nothing_three_times() {
    let page = failed_module(json!({
        "state": "FAILED", "error": "BuildFailed", "phase": "BUILD", "deployed_at": "2025-12-01T00:00:00Z",
        "cause": "The disk is full.", "reason": "COMMAND_EXECUTION_ERROR: exit status 3"
    }));
    let at = |text: &str| {
        page.find(text)
            .unwrap_or_else(|| panic!("{text} is missing: {page}"))
    };
    let order = [
        "The disk is full.",
        "BuildFailed",
        "What to do now",
        "What the failing command printed",
        "no space left",
        "<details>",
        "Running command make",
    ];
    assert!(order.windows(2).all(|two| at(two[0]) < at(two[1])), "{page}");
    for text in ["The disk is full.", "no space left"] {
        assert!(page.matches(text).count() < 3, "{text}: {page}");
    }
    let (shown, _folded) = page.split_at(at("<details>"));
    for text in ["COMMAND_EXECUTION_ERROR", "[Container]", "SEEDFLOW"] {
        assert!(!shown.contains(text), "{text}: {page}");
    }
    for command in ["logs", "rollback"] {
        at(&format!("seedflow {command} d/g/m --project p"));
    }
    at("seedflow retry e<");
    // There is nothing to go back to, and without a cause the reason leads.
    let first = failed_module(json!({"state": "FAILED", "error": "BuildFailed", "reason": "exit status 7"}));
    assert!(!first.contains("rollback"), "{first}");
    assert_eq!(first.matches("exit status 7").count(), 1, "{first}");
}

#[test]
fn a_refusal_says_that_nothing_was_started() {
    let page = failed_module(json!({
        "state": "REFUSED", "cause": "deployment.yaml:6: path: found nothing", "commit": "aaaaaaaaaa",
        "refused": {"error": "InvalidManifest", "cause": "deployment.yaml:6: path: found nothing", "commit": "bbbbbbbbbb"}
    }));
    for part in [
        "Refused",
        "Why nothing was started",
        "deployment.yaml:6",
        "bbbbbbbbbb",
        "seedflow check",
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    assert!(
        !page.contains("aaaaaaaaaa") && !page.contains("What went wrong"),
        "{page}"
    );
}
