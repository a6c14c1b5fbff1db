//! Functions that are killed before, between and after their writes, and functions that time out.
//!
//! `crates/local/src/proxy/kill_caller.rs` describes how the state machine sees either. Where the emulator swallows an
//! error, in the task that waits for a token, the wait's timeout replaces the retry.

use std::time::Duration;

use seedflow_e2e::{Action, When};

use crate::calls::*;
use crate::fault_case::run::run_cases;
use crate::fault_case::{Amount, Build, Call, End, Fault, FaultCase};

const KILLED: &str = "Runtime.ExitError";

/// Longer than any client waits for an answer.
const NEVER: Duration = Duration::from_secs(600);

fn killed(name: &str, call: Call, when: When) -> FaultCase {
    let short = if when == When::Before { "before" } else { "after" };
    let fault = Fault::once(call, Action::Kill(when));
    FaultCase::new(format!("killed-{short}-{name}"), vec![fault])
}

fn before_and_after(name: &str, call: Call) -> [FaultCase; 2] {
    [When::Before, When::After].map(|when| killed(name, call, when).crash().then_again())
}

#[test]
fn acquire_lock_is_killed() {
    run_cases(before_and_after("take-lock", TAKE_LOCK));
}

#[test]
fn check_md5_is_killed() {
    let calls = [("read-source", READ_SOURCE), ("read-stored", READ_STORED)];
    run_cases(
        calls
            .into_iter()
            .flat_map(|(name, call)| before_and_after(name, call)),
    );
}

#[test]
fn the_start_is_killed() {
    let [before, after] = before_and_after("write-start", WRITE_START);
    // The repetition doesn't read the stored value, and writes once more.
    let copies = before_and_after("copy-source", COPY_SOURCE);
    run_cases([before, after.writes("status", 3..=3)].into_iter().chain(copies));
}

#[test]
fn start_build_is_killed() {
    let calls = [("create-project", CREATE_PROJECT), ("start-build", START_BUILD)];
    run_cases(
        calls
            .into_iter()
            .flat_map(|(name, call)| before_and_after(name, call)),
    );
}

#[test]
fn check_status_is_killed() {
    // The emulator swallows the error of a function that received a token: the next round starts by timeout.
    let mut cases: Vec<FaultCase> = [("register", REGISTER), ("read-build", READ_BUILD)]
        .into_iter()
        .flat_map(|(name, call)| [When::Before, When::After].map(|when| killed(name, call, when)))
        .collect();
    // Without the event only check-status answers.
    let lost = || Fault::always(BUILD_EVENT, Action::Discard);
    let case = |name, call, when| killed(name, call, when).and(lost());
    cases.push(case("answer-at-once", ANSWER, When::Before));
    // The task is answered, so the function doesn't run again, and the event is lost: the registration is removed when
    // the execution has ended.
    cases.push(case("answer-at-once", ANSWER, When::After));
    cases.push(case("unregister-at-once", UNREGISTER, When::Before));
    cases.push(case("unregister-at-once", UNREGISTER, When::After));
    run_cases(cases);
}

#[test]
fn build_event_is_killed() {
    let calls = [
        ("find-registration", FIND_REGISTRATION),
        ("confirm-build", CONFIRM_BUILD),
        ("answer", ANSWER),
    ];
    let case = |name, call, when| killed(name, call, when).build(Build::Late).redelivered();
    run_cases(
        calls
            .into_iter()
            .flat_map(|(name, call)| [When::Before, When::After].map(|when| case(name, call, when))),
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
    let case = |name, call, when| killed(name, call, when).build(Build::Late).then_again();
    run_cases(
        calls
            .into_iter()
            .flat_map(|(name, call)| [When::Before, When::After].map(|when| case(name, call, when))),
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
        ("publish-end", PUBLISH_END),
    ];
    run_cases(
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
    let fails = |case: FaultCase| case.build(Build::Failing).fails(End::Failed("BuildFailed"));
    run_cases(
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
        .flat_map(|(name, call)| before_and_after(name, call).map(FaultCase::with_role));
    let calls = [
        ("delete-stack", DELETE_STACK),
        ("detach-policy", DETACH_POLICY),
        ("delete-role", DELETE_ROLE),
    ];
    let removed = calls
        .into_iter()
        .flat_map(|(name, call)| before_and_after(name, call).map(|case| case.with_role().destroys()));
    run_cases(prepared.chain(removed));
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
    run_cases(
        calls
            .into_iter()
            .flat_map(|(name, call)| before_and_after(name, call).map(FaultCase::destroys)),
    );
}

#[test]
fn a_function_that_always_crashes_fails_the_deployment() {
    let case = |name: &str, call, when| {
        let fault = Fault::always(call, Action::Kill(when));
        FaultCase::new(format!("always-killed-{name}"), vec![fault]).fails(End::Failed(KILLED))
    };
    run_cases([
        case("read-source", READ_SOURCE, When::Before)
            .builds(0)
            .writes("status", 1..=1),
        case("start-build", START_BUILD, When::Before).builds(0),
        case("write-outputs", WRITE_OUTPUTS, When::Before),
        case("write-md5", WRITE_MD5, When::Before)
            .writes("outputs", 1..=1)
            .writes("metadata", 1..=1),
    ]);
}

#[test]
fn a_function_that_times_out_runs_again() {
    let case = |name: &str, call| {
        // The SDK gives up the first try after 20 s, and the function ends in its second.
        let fault = Fault::new(call, Action::Delay(NEVER), Amount::Times(2));
        FaultCase::new(format!("timed-out-{name}"), vec![fault])
    };
    let seen = |case: FaultCase| case.crash().then_again();
    run_cases([
        seen(case("take-lock", TAKE_LOCK)),
        seen(case("read-source", READ_SOURCE)),
        seen(case("write-start", WRITE_START)),
        seen(case("start-build", START_BUILD)),
        case("read-build", READ_BUILD),
        case("find-registration", FIND_REGISTRATION).build(Build::Late),
        seen(case("copy-bundle", COPY_BUNDLE)),
        seen(case("write-md5", WRITE_MD5)),
        seen(case("fail-write-end", WRITE_END))
            .build(Build::Failing)
            .fails(End::Failed("BuildFailed")),
    ]);
}
