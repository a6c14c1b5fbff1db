//! Functions that are killed before, between and after their writes, and functions that time out.
//!
//! What the state machine sees of either is said in `crates/local/src/proxy/kill_caller.rs`. Where the emulator
//! swallows an error, in the task that waits for a token, the wait's timeout stands in for the retry.

use std::time::Duration;

use seedflow_tests::{Action, When};

use crate::calls::*;
use crate::row::{Amount, Build, Call, End, Fault, Row, run_rows};

const KILLED: &str = "Runtime.ExitError";

/// Longer than anybody waits for an answer.
const NEVER: Duration = Duration::from_secs(600);

fn killed(name: &str, call: Call, when: When) -> Row {
    let short = if when == When::Before { "before" } else { "after" };
    let fault = Fault::once(call, Action::Kill(when));
    Row::new(format!("killed-{short}-{name}"), vec![fault])
}

fn before_and_after(name: &str, call: Call) -> [Row; 2] {
    [When::Before, When::After].map(|when| killed(name, call, when).crash().then_again())
}

#[test]
fn acquire_lock_is_killed() {
    run_rows(before_and_after("take-lock", TAKE_LOCK));
}

#[test]
fn check_md5_is_killed() {
    let calls = [("read-source", READ_SOURCE), ("read-stored", READ_STORED)];
    run_rows(
        calls
            .into_iter()
            .flat_map(|(name, call)| before_and_after(name, call)),
    );
}

#[test]
fn the_start_is_killed() {
    let [before, after] = before_and_after("write-start", WRITE_START);
    // The repetition doesn't read what is stored, and writes once more.
    let copies = before_and_after("copy-source", COPY_SOURCE);
    run_rows([before, after.writes("status", 3..=3)].into_iter().chain(copies));
}

#[test]
fn start_build_is_killed() {
    let calls = [("create-project", CREATE_PROJECT), ("start-build", START_BUILD)];
    run_rows(
        calls
            .into_iter()
            .flat_map(|(name, call)| before_and_after(name, call)),
    );
}

#[test]
fn check_status_is_killed() {
    // The emulator swallows the error of a function that was given a token: the next round comes by timeout.
    let mut rows: Vec<Row> = [("register", REGISTER), ("read-build", READ_BUILD)]
        .into_iter()
        .flat_map(|(name, call)| [When::Before, When::After].map(|when| killed(name, call, when)))
        .collect();
    // Without the event only check-status answers.
    let lost = || Fault::always(BUILD_EVENT, Action::Discard);
    let row = |name, call, when| killed(name, call, when).and(lost());
    rows.push(row("answer-at-once", ANSWER, When::Before));
    // The task is answered, so nobody runs the function again, and the event is lost: the registration goes when
    // the execution has ended.
    rows.push(row("answer-at-once", ANSWER, When::After));
    rows.push(row("unregister-at-once", UNREGISTER, When::Before));
    rows.push(row("unregister-at-once", UNREGISTER, When::After));
    run_rows(rows);
}

#[test]
fn build_event_is_killed() {
    let calls = [
        ("find-registration", FIND_REGISTRATION),
        ("confirm-build", CONFIRM_BUILD),
        ("answer", ANSWER),
    ];
    let row = |name, call, when| killed(name, call, when).build(Build::Late).redelivered();
    run_rows(
        calls
            .into_iter()
            .flat_map(|(name, call)| [When::Before, When::After].map(|when| row(name, call, when))),
    );
}

#[test]
fn end_execution_is_killed() {
    let calls = [
        ("describe-execution", DESCRIBE_EXECUTION),
        ("unregister", UNREGISTER),
        ("find-lock", FIND_LOCK),
        ("free-lock", FREE_LOCK),
    ];
    let row = |name, call, when| killed(name, call, when).build(Build::Late).then_again();
    run_rows(
        calls
            .into_iter()
            .flat_map(|(name, call)| [When::Before, When::After].map(|when| row(name, call, when))),
    );
}

#[test]
fn the_record_of_a_success_is_killed_at_every_call() {
    let calls = [
        ("read-outputs", READ_OUTPUTS),
        ("read-stored-again", READ_STORED_AGAIN),
        ("copy-bundle", COPY_BUNDLE),
        ("copy-kept", COPY_KEPT),
        ("write-record", WRITE_RECORD),
        ("write-outputs", WRITE_OUTPUTS),
        ("write-metadata", WRITE_METADATA),
        ("write-md5", WRITE_MD5),
        ("write-report", WRITE_REPORT),
        ("write-end", WRITE_END),
        ("tell-end", TELL_END),
    ];
    run_rows(
        calls
            .into_iter()
            .flat_map(|(name, call)| before_and_after(name, call)),
    );
}

#[test]
fn the_record_of_a_failure_is_killed_at_every_call() {
    let calls = [
        ("fail-read-stored", READ_STORED_AGAIN),
        ("fail-write-report", WRITE_REPORT),
        ("fail-write-end", WRITE_END),
    ];
    let fails = |row: Row| row.build(Build::Failing).fails(End::Failed("BuildFailed"));
    run_rows(
        calls
            .into_iter()
            .flat_map(|(name, call)| before_and_after(name, call).map(fails)),
    );
}

#[test]
fn module_stack_is_killed() {
    let calls = [
        ("get-role", GET_ROLE),
        ("create-role", CREATE_ROLE),
        ("attach-policy", ATTACH_POLICY),
        ("create-stack", CREATE_STACK),
    ];
    let prepared = calls
        .into_iter()
        .flat_map(|(name, call)| before_and_after(name, call).map(Row::with_role));
    let calls = [
        ("delete-stack", DELETE_STACK),
        ("detach-policy", DETACH_POLICY),
        ("delete-role", DELETE_ROLE),
    ];
    let removed = calls
        .into_iter()
        .flat_map(|(name, call)| before_and_after(name, call).map(|row| row.with_role().destroys()));
    run_rows(prepared.chain(removed));
}

#[test]
fn the_record_of_a_destruction_is_killed_at_every_call() {
    let calls = [
        ("delete-bundle", DELETE_BUNDLE),
        ("delete-kept", DELETE_KEPT),
        ("delete-record", DELETE_RECORD),
        ("delete-known", DELETE_KNOWN),
        ("list-values", LIST_VALUES),
        ("delete-status", DELETE_STATUS),
    ];
    run_rows(
        calls
            .into_iter()
            .flat_map(|(name, call)| before_and_after(name, call).map(Row::destroys)),
    );
}

#[test]
fn a_function_that_always_crashes_fails_the_deployment() {
    let row = |name: &str, call, when| {
        let fault = Fault::always(call, Action::Kill(when));
        Row::new(format!("always-killed-{name}"), vec![fault]).fails(End::Failed(KILLED))
    };
    run_rows([
        row("read-source", READ_SOURCE, When::Before)
            .builds(0)
            .writes("status", 1..=1),
        row("start-build", START_BUILD, When::Before).builds(0),
        row("write-outputs", WRITE_OUTPUTS, When::Before),
        row("write-md5", WRITE_MD5, When::Before)
            .writes("outputs", 1..=1)
            .writes("metadata", 1..=1),
    ]);
}

#[test]
fn a_function_that_times_out_runs_again() {
    let row = |name: &str, call| {
        // The SDK gives the first try up after 20 s, and the function ends in its second.
        let fault = Fault::new(call, Action::Delay(NEVER), Amount::Times(2));
        Row::new(format!("timed-out-{name}"), vec![fault])
    };
    let seen = |row: Row| row.crash().then_again();
    run_rows([
        seen(row("take-lock", TAKE_LOCK)),
        seen(row("read-source", READ_SOURCE)),
        seen(row("write-start", WRITE_START)),
        seen(row("start-build", START_BUILD)),
        row("read-build", READ_BUILD),
        row("find-registration", FIND_REGISTRATION).build(Build::Late),
        seen(row("copy-bundle", COPY_BUNDLE)),
        seen(row("write-md5", WRITE_MD5)),
        seen(row("fail-write-end", WRITE_END))
            .build(Build::Failing)
            .fails(End::Failed("BuildFailed")),
    ]);
}
