//! The index and its page: whatever the order of events is, the page has the same data.
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use proptest::prelude::*;

use super::execution_event::{ExecutionState, IndexKey};
use super::index::*;
use super::report_view::RUNNING;
use super::{PageContext, index_page};
use crate::ids::{AwsEnvironment, ExecutionArn, ModuleId, Name};

const STATES: [&str; 6] = [
    "SUCCEEDED",
    "UNCHANGED",
    "FAILED",
    "ABORTED",
    "DESTROYED",
    "REFUSED",
];

fn ended(module: usize, at: i64, state: &str) -> ExecutionState {
    ExecutionState {
        key: IndexKey::Module(ModuleId::parse("p", "d", "g", &format!("m{module}")).unwrap()),
        state: state.to_owned(),
        execution: ExecutionArn::new(format!("arn:aws:states:r:1:execution:x:e{at}")),
        at: Timestamp::from_second(at).unwrap(),
        milliseconds: Some(at * 10),
        has_report: state != "UNCHANGED" && state != RUNNING,
        part_of: Some(ExecutionArn::new("arn:aws:states:r:1:execution:d:whole")),
        cause: None,
        former_names: Default::default(),
        failed: Vec::new(),
        repository: None,
        why: Some(format!("because of {at} </script><b>&")),
        commit: None,
        author: Some("\u{202e}Jane".to_owned()),
        branch: None,
    }
}

fn all<'a>(events: impl IntoIterator<Item = &'a ExecutionState>) -> Index {
    events
        .into_iter()
        .fold(Index::default(), |index, ended| index.with(ended))
}

fn state_of(index: &Index) -> &str {
    &index.modules["d/g/m0"].newest().unwrap().state
}

#[test]
fn a_renamed_module_takes_the_place_of_its_former_names() {
    let id = |name: &str| ModuleId::parse("p", "d", "g", name).unwrap();
    let former = |names: &[&str]| {
        let names: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({"group": "g", "module": name}))
            .collect();
        serde_json::from_value(serde_json::json!(names)).unwrap()
    };
    let renamed = ExecutionState {
        key: IndexKey::Module(id("new")),
        former_names: former(&["m0", "m1"]),
        ..ended(9, 20, "SUCCEEDED")
    };
    let index = all([
        &ended(0, 1, "SUCCEEDED"),
        &ended(1, 2, "SUCCEEDED"),
        &ended(2, 3, "SUCCEEDED"),
        &renamed,
    ]);
    let names: Vec<&String> = index.modules.keys().collect();
    assert_eq!(names, ["d/g/m2", "d/g/new"]);
    // It got a former name back.
    let back = ExecutionState {
        key: IndexKey::Module(id("m0")),
        former_names: former(&["m0", "m1", "new"]),
        ..ended(9, 30, "SUCCEEDED")
    };
    let index = index.with(&back);
    let names: Vec<&String> = index.modules.keys().collect();
    assert_eq!(names, ["d/g/m0", "d/g/m2"]);
}

#[test]
fn an_older_end_that_comes_late_changes_no_state() {
    let (failed, good) = (ended(0, 10, "FAILED"), ended(0, 20, "SUCCEEDED"));
    let index = all([&good, &failed, &good]);
    assert_eq!(state_of(&index), "SUCCEEDED");
    assert_eq!(index.modules["d/g/m0"].trend().len(), 2);
}

#[test]
fn of_two_ends_of_one_execution_the_later_counts() {
    let failed = ended(0, 10, "FAILED");
    let aborted = ExecutionState {
        at: Timestamp::from_second(11).unwrap(),
        state: "ABORTED".to_owned(),
        ..failed.clone()
    };
    for index in [all([&failed, &aborted]), all([&aborted, &failed])] {
        assert_eq!(
            (state_of(&index), index.modules["d/g/m0"].runs.len()),
            ("ABORTED", 1)
        );
    }
}

/// The start of the execution that ends a second later.
fn begun(ended: &ExecutionState) -> ExecutionState {
    ExecutionState {
        at: Timestamp::from_second(ended.at.as_second() - 1).unwrap(),
        state: RUNNING.to_owned(),
        milliseconds: None,
        has_report: false,
        ..ended.clone()
    }
}

#[test]
fn an_end_counts_whenever_the_start_arrives() {
    let good = ended(0, 10, "SUCCEEDED");
    let start = begun(&good);
    // A clock that is behind: the end seems to come before the start.
    let late_start = ExecutionState {
        at: Timestamp::from_second(11).unwrap(),
        ..start.clone()
    };
    for events in [
        [&start, &good],
        [&good, &start],
        [&late_start, &good],
        [&good, &late_start],
    ] {
        let index = all(events);
        assert_eq!(state_of(&index), "SUCCEEDED");
        assert!(!index.is_live());
    }
    let index = all([&good, &begun(&ended(0, 20, "FAILED"))]);
    assert_eq!(state_of(&index), RUNNING);
    assert!(index.is_live());
    // What follows shows that it has ended, though no event of its end came.
    let index = all([&start, &ended(0, 30, "UNCHANGED")]);
    assert_eq!(
        (state_of(&index), index.modules["d/g/m0"].runs.len()),
        ("UNCHANGED", 1)
    );
}

#[test]
fn a_refusal_is_shown_beside_the_state_until_something_newer_runs() {
    let (good, refused) = (ended(0, 10, "SUCCEEDED"), ended(0, 20, "REFUSED"));
    let index = all([&refused, &good]);
    assert_eq!(state_of(&index), "SUCCEEDED");
    let refusal = |index: &Index| index.modules["d/g/m0"].refusal().map(|run| run.at.as_second());
    assert_eq!(refusal(&index), Some(20));
    assert_eq!(
        refusal(&all([&refused, &ended(0, 15, "REFUSED"), &good])),
        Some(20)
    );
    assert_eq!(refusal(&all([&refused, &good, &ended(0, 30, "FAILED")])), None);
}

/// The end of a deployment, which began 50 ms before.
fn whole(at: i64, state: &str, failed: &[&str]) -> ExecutionState {
    let IndexKey::Module(module) = ended(0, at, state).key else {
        panic!("a module");
    };
    ExecutionState {
        key: IndexKey::Deployment((&module).into()),
        execution: ExecutionArn::new(format!("arn:aws:states:r:1:execution:d:w{at}")),
        milliseconds: Some(50),
        failed: failed.iter().map(|name| (*name).to_owned()).collect(),
        why: Some("DeploymentFailed".to_owned()),
        ..ended(0, at, state)
    }
}

fn page_of(index: &Index) -> String {
    let environment = AwsEnvironment::from_arn("arn:aws:lambda:r:1:f").unwrap();
    let context = PageContext {
        environment: &environment,
        bucket: "b",
        now: Timestamp::UNIX_EPOCH,
    };
    index_page::render(index, &context, &Name::parse("project", "p").unwrap())
}

#[test]
fn a_failed_deployment_recovers_when_its_failed_modules_succeed() {
    let failed = [ended(0, 20, "FAILED"), whole(20, "FAILED", &["g/m0"])];
    let page = page_of(&all(&failed));
    assert!(page.contains("Failed") && !page.contains("Recovered"), "{page}");
    let rolled_back = [&failed[0], &failed[1], &ended(0, 30, "SUCCEEDED")];
    let page = page_of(&all(rolled_back));
    for text in ["Recovered", "Its failed modules have succeeded since: g/m0"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    // The page keeps its data, which has it.
    let (shown, _data) = page.split_once(BEGIN).unwrap();
    assert!(!shown.contains("DeploymentFailed"), "{shown}");
    // The next one has failed, too.
    let again = [
        &failed[0],
        &failed[1],
        &ended(0, 30, "FAILED"),
        &whole(30, "FAILED", &["g/m0"]),
    ];
    assert!(!page_of(&all(again)).contains("Recovered"));
}

#[test]
fn a_refusal_is_over_when_the_deployment_succeeds() {
    let events = [
        ended(0, 10, "SUCCEEDED"),
        ended(0, 20, "REFUSED"),
        ended(1, 20, "REFUSED"),
    ];
    assert!(page_of(&all(&events)).contains("Refused"));
    for (state, over) in [("FAILED", false), ("UNCHANGED", true), ("SUCCEEDED", true)] {
        let page = page_of(&all(events.iter().chain(&[whole(30, state, &[])])));
        assert_eq!(!page.contains("Refused"), over, "{state}: {page}");
        // What was only ever refused is nothing then.
        assert_eq!(!page.contains("id=\"d/g/m1\""), over, "{state}: {page}");
    }
}

#[test]
fn a_page_leads_to_those_before_and_after_it() {
    let events = [10, 20, 30].map(|at| ended(0, at, "SUCCEEDED"));
    let id = ModuleId::parse("p", "d", "g", "m0").unwrap();
    let index = all(&events);
    let around = index.around_module(&id, &events[1]);
    assert_eq!(around.previous.as_deref(), Some("reports/p/d/g/m0/e10.html"));
    assert_eq!(around.next.as_deref(), Some("reports/p/d/g/m0/e30.html"));
    assert_eq!(around.deployment.as_deref(), Some("reports/p/d/whole.html"));
    // A page is written before the index knows its execution.
    let newest = index.around_module(&id, &ended(0, 40, "FAILED"));
    assert_eq!(newest.previous.as_deref(), Some("reports/p/d/g/m0/e30.html"));
    assert_eq!(newest.next, None);
}

#[test]
fn what_changed_nothing_does_not_push_the_trend_out() {
    let mut events = vec![ended(0, 1, "SUCCEEDED")];
    events.extend((2..100).map(|at| ended(0, at, "UNCHANGED")));
    let index = all(&events);
    let entry = &index.modules["d/g/m0"];
    assert_eq!((state_of(&index), entry.trend().len()), ("UNCHANGED", 1));
    assert_eq!(entry.newest_page().unwrap().state, "SUCCEEDED");
}

#[test]
fn a_destroyed_module_leaves_one_run_and_begins_anew() {
    let mut events = vec![ended(0, 1, "SUCCEEDED"), ended(0, 2, "DESTROYED")];
    let gone = all(&events);
    assert_eq!(live_and_gone(&gone.modules).1.len(), 1);
    assert_eq!(gone.modules["d/g/m0"].runs.len(), 1);
    events.push(ended(0, 3, "SUCCEEDED"));
    assert_eq!(live_and_gone(&all(&events).modules).0.len(), 1);
    let many: Vec<ExecutionState> = (0..GONE + 10).map(|m| ended(m, m as i64, "DESTROYED")).collect();
    let index = all(&many);
    assert_eq!(index.modules.len(), GONE);
    assert!(!index.modules.contains_key("d/g/m0"), "the oldest goes first");
}

#[test]
fn a_module_leads_to_its_last_page() {
    let index = all(&[ended(0, 1, "SUCCEEDED"), ended(0, 2, "UNCHANGED")]);
    let project = Name::parse("project", "p").unwrap();
    let pages: Vec<_> = index.pages(&project).collect();
    assert_eq!(pages, [("d/g/m0", "reports/p/d/g/m0/e1.html".to_owned())]);
    let environment = AwsEnvironment::from_arn("arn:aws:lambda:r:1:f").unwrap();
    let page = index_page::render(
        &index,
        &PageContext {
            environment: &environment,
            bucket: "b",
            now: Timestamp::UNIX_EPOCH,
        },
        &project,
    );
    assert!(page.contains("href=\"../reports/p/d/g/m0/e1.html\""), "{page}");
}

#[test]
fn a_page_without_data_that_can_be_read_has_none() {
    for page in ["", "<html>", &format!("{BEGIN}{{"), &format!("{BEGIN}[1]{END}")] {
        assert_eq!(Index::read(page), None, "{page}");
    }
}

proptest! {
    /// Duplicates and order make no difference: the index is the same, and it can be parsed from its page.
    #[test]
    fn order_and_repetition_change_nothing(
        events in prop::collection::vec((0..3usize, 0..6usize, any::<bool>()), 1..60),
        order in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..200),
    ) {
        let mut reached: Vec<ExecutionState> = Vec::new();
        for (i, (module, state, starts)) in events.iter().enumerate() {
            let end = ended(*module, 2 * i as i64 + 1, STATES[*state]);
            if *starts && STATES[*state] != "REFUSED" {
                reached.push(begun(&end));
            }
            reached.push(end);
        }
        let events = reached;
        let mut mixed: Vec<&ExecutionState> = events.iter().collect();
        for (one, other) in &order {
            let (one, other) = (one.index(mixed.len()), other.index(mixed.len()));
            mixed.swap(one, other);
            if mixed.len() < 160 {
                mixed.push(mixed[one]);
            }
        }
        let index = all(&events);
        prop_assert_eq!(&all(mixed), &index);
        let environment = AwsEnvironment::from_arn("arn:aws:lambda:r:1:f").unwrap();
        let page = index_page::render(&index, &PageContext { environment: &environment, bucket: "b", now: Timestamp::UNIX_EPOCH }, &Name::parse("project", "p").unwrap());
        prop_assert_eq!(Index::read(&page), Some(index));
    }
}
