//! Every call of every step is refused, fails, is cut off, or is not answered: once, five times, or for a minute.
//!
//! The SDK repeats a call that fails once. Five failures outlast its three tries, and a minute outlasts several tries
//! of the state machine. [`packed_once`] and [`Disturbed::cases`] document which of these share a deployment, and which
//! are proven elsewhere.

use seedflow_e2e::Action;

use crate::fault_case::run::run_cases;
use crate::fault_case::{About, Amount, Build, Call, End, Fault, FaultCase};
use crate::{NEVER_ENTERED, TARGET};

pub const TAKE_LOCK: Call = call("s3", "PutObject", About::Lock);
/// The reads of the lock: before the start is written, before the success, and by `end-execution`.
pub const CHECK_LOCK: Call = call("s3", "GetObject", About::Lock);
pub const CHECK_LOCK_AGAIN: Call = CHECK_LOCK.after(1);
pub const FIND_LOCK: Call = CHECK_LOCK.after(2);
pub const FREE_LOCK: Call = call("s3", "DeleteObject", About::Lock);
pub const DESCRIBE_EXECUTION: Call = call("states", "DescribeExecution", About::Execution);
pub const READ_SOURCE: Call = call("s3", "GetObject", About::Source);
pub const READ_STORED: Call = call("ssm", "GetParameters", About::Parameters);
pub const WRITE_START: Call = call("ssm", "PutParameter", About::Parameter("status"));
pub const COPY_SOURCE: Call = call("s3", "CopyObject", About::Source);
/// Each case's input names a project of its own.
pub const LOOK_AT_PROJECT: Call = call("codebuild", "BatchGetProjects", About::Project);
pub const CREATE_PROJECT: Call = call("codebuild", "CreateProject", About::Project);
/// The first finds no project yet; the second starts the build.
pub const START_BUILD: Call = call("codebuild", "StartBuild", About::Project).after(1);
pub const REGISTER: Call = call("s3", "PutObject", About::Callback);
pub const READ_BUILD: Call = call("codebuild", "BatchGetBuilds", About::Project);
/// By build-event, after the read of check-status.
pub const CONFIRM_BUILD: Call = READ_BUILD.after(1);
pub const FIND_REGISTRATION: Call = call("s3", "GetObject", About::Callback);
pub const ANSWER: Call = call("states", "SendTaskSuccess", About::Project);
pub const UNREGISTER: Call = call("s3", "DeleteObject", About::Callback);
pub const READ_HANDED_BACK: Call = call("s3", "GetObject", About::HandedBack);
pub const READ_OUTPUTS: Call = call("cloudformation", "DescribeStacks", About::Stack);
/// By check-md5, of a module in a target.
pub const READ_SETTINGS: Call = call("ssm", "GetParameters", About::Settings);
/// By the first functions that have something to do in a target.
pub const ASSUME_READS: Call = call("sts", "AssumeRole", About::TargetRole("reads"));
pub const ASSUME_BUILDS: Call = call("sts", "AssumeRole", About::TargetRole("builds"));
pub const ASSUME_ROLES: Call = call("sts", "AssumeRole", About::TargetRole("roles"));
/// What is read of a build that failed.
pub const READ_LOG: Call = call("logs", "GetLogEvents", About::AnyLog);
pub const READ_EVENTS: Call = call("cloudformation", "DescribeStackEvents", About::Stack);
pub const READ_STORED_AGAIN: Call = READ_STORED.after(1);
pub const COPY_BUNDLE: Call = call("s3", "CopyObject", About::Bundle);
/// A first deployment keeps its bundle and record before its build, too.
pub const KEEP_ATTEMPT: Call = call("s3", "CopyObject", About::Kept);
pub const RECORD_ATTEMPT: Call = call("s3", "PutObject", About::Record);
pub const COPY_KEPT: Call = KEEP_ATTEMPT.after(1);
pub const WRITE_RECORD: Call = RECORD_ATTEMPT.after(1);
pub const WRITE_OUTPUTS: Call = call("ssm", "PutParameter", About::Parameter("outputs"));
pub const WRITE_METADATA: Call = call("ssm", "PutParameter", About::Parameter("metadata"));
pub const WRITE_MD5: Call = call("ssm", "PutParameter", About::Parameter("md5"));
pub const WRITE_REPORT: Call = call("s3", "PutObject", About::Report);
/// The first is that of the start.
pub const WRITE_END: Call = WRITE_START.after(1);
pub const GET_ROLE: Call = call("iam", "GetRole", About::Role);
pub const CREATE_ROLE: Call = call("iam", "CreateRole", About::Role);
pub const LIST_ATTACHED: Call = call("iam", "ListAttachedRolePolicies", About::Role);
pub const ATTACH_POLICY: Call = call("iam", "AttachRolePolicy", About::Role);
pub const DETACH_POLICY: Call = call("iam", "DetachRolePolicy", About::Role);
pub const LIST_INLINE: Call = call("iam", "ListRolePolicies", About::Role);
pub const DELETE_ROLE: Call = call("iam", "DeleteRole", About::Role);
pub const DESCRIBE_STACK: Call = call("cloudformation", "DescribeStacks", About::RoleStack);
pub const CREATE_STACK: Call = call("cloudformation", "CreateStack", About::RoleStack);
/// Of a stack that exists and has nothing to update.
pub const UPDATE_STACK: Call = call("cloudformation", "UpdateStack", About::RoleStack);
pub const DELETE_STACK: Call = call("cloudformation", "DeleteStack", About::RoleStack);
pub const READ_RECORD: Call = call("s3", "GetObject", About::Record);
/// Those of the record, by a rollback.
pub const LIST_RECORDS: Call = call("s3", "ListObjectVersions", About::RecordVersions);
pub const FIND_BUNDLE: Call = call("s3", "HeadObject", About::Bundle);
pub const DELETE_BUNDLE: Call = call("s3", "DeleteObject", About::Bundle);
pub const DELETE_KEPT: Call = call("s3", "DeleteObject", About::Kept);
pub const DELETE_RECORD: Call = call("s3", "DeleteObject", About::Record);
pub const DELETE_KNOWN: Call = call("ssm", "DeleteParameters", About::Parameters);
pub const LIST_VALUES: Call = call("s3", "ListObjectsV2", About::Values);
pub const DELETE_STATUS: Call = call("ssm", "DeleteParameters", About::Parameter("status"));
/// The event of a success.
pub const PUBLISH_END: Call = call("events", "PutEvents", About::Event("was deployed"));
/// The event that CodeBuild sends to EventBridge.
pub const BUILD_EVENT: Call = call("events", "PutEvents", About::Project);

const fn call(service: &'static str, operation: &'static str, about: About) -> Call {
    Call {
        service,
        operation,
        about,
        skip: 0,
    }
}

impl Call {
    /// The same call after this number of calls of its kind.
    const fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// Whether a rule about this call also counts the other one.
    fn looks_like(self, other: Self) -> bool {
        let look = |call: Self| (call.service, call.operation, call.about);
        look(self) == look(other)
    }

    /// The possible faults, by a short name.
    fn ways(self) -> [(&'static str, Action); 4] {
        [
            ("throttled", Action::throttled(self.service)),
            ("unavailable", Action::unavailable(self.service)),
            ("dropped", Action::Drop),
            ("unanswered", Action::LoseAnswer),
        ]
    }
}

/// What a case expects of a call that is disturbed.
type Expect = dyn Fn(FaultCase, &Action, Amount) -> FaultCase;

/// A call of a step, and how a case that disturbs it ends if not in plain success.
struct Disturbed {
    name: &'static str,
    call: Call,
    expect: Box<Expect>,
    /// Whether the caller is a task that is repeated only by its `Retry`.
    retried: bool,
}

fn disturb(
    name: &'static str,
    call: Call,
    expect: impl Fn(FaultCase, &Action, Amount) -> FaultCase + 'static,
) -> Disturbed {
    Disturbed {
        name,
        call,
        expect: Box::new(expect),
        retried: true,
    }
}

impl Disturbed {
    /// A call of a function that EventBridge calls, or of a task that waits for a token: there a timeout recovers.
    fn not_retried(self) -> Self {
        Self {
            retried: false,
            ..self
        }
    }

    /// Its cases except those of `once`: each fault five times, and for a minute. If a call never arrives for a minute,
    /// the function sees the same as after five times: each of its tries is the first. `contract/task_errors.rs` proves
    /// for every task and error that the task is tried that often. So where a `Retry` repeats the task, only calls that
    /// were made and not answered are disturbed for a minute.
    fn cases(&self) -> Vec<FaultCase> {
        let mut cases = Vec::new();
        for (way, action) in self.call.ways() {
            for (often, amount) in [("five-times", Amount::Times(5)), ("a-minute", Amount::Minute)] {
                if amount == Amount::Minute && self.retried && action != Action::LoseAnswer {
                    continue;
                }
                let case = FaultCase::new(format!("{}-{way}-{often}", self.name), vec![]);
                cases.push(self.disturbed(case, &action, amount));
            }
        }
        cases
    }

    fn disturbed(&self, case: FaultCase, action: &Action, amount: Amount) -> FaultCase {
        let case = case.and(Fault::new(self.call, action.clone(), amount));
        (self.expect)(case, action, amount)
    }
}

fn run_disturbed(calls: impl IntoIterator<Item = Disturbed>) {
    run_cases(calls.into_iter().flat_map(|call| call.cases()));
}

/// Cases in which many calls are disturbed once. The function's SDK repeats each, so no fault changes the path of
/// another. Calls that look the same are in different cases, because a rule counts the earlier ones, and repetitions
/// would count too. The names of the cases begin with `name`.
fn packed_once(name: &str, calls: &[Disturbed]) -> Vec<FaultCase> {
    let mut cases = Vec::new();
    for (way, _) in calls[0].call.ways() {
        let mut packs: Vec<(FaultCase, Vec<Call>)> = Vec::new();
        for (number, disturbed) in calls.iter().enumerate() {
            let (_, action) = disturbed
                .call
                .ways()
                .into_iter()
                .find(|(found, _)| *found == way)
                .unwrap();
            let alone = FaultCase::new(format!("{name}-{way}-{number}"), vec![]);
            let alone = disturbed.disturbed(alone, &action, Amount::Times(1));
            let fits = |(pack, of): &&mut (FaultCase, Vec<Call>)| {
                pack.same_module(&alone) && of.iter().all(|call| !call.looks_like(disturbed.call))
            };
            match packs.iter_mut().find(fits) {
                Some((pack, of)) => {
                    pack.take_over(alone);
                    of.push(disturbed.call);
                }
                None => packs.push((alone, vec![disturbed.call])),
            }
        }
        cases.extend(packs.into_iter().map(|(pack, _)| pack));
    }
    cases
}

fn plain(case: FaultCase, _: &Action, _: Amount) -> FaultCase {
    case
}

/// Of a build that ends when the token is registered, so that its event answers the task.
fn late(case: FaultCase, _: &Action, _: Amount) -> FaultCase {
    case.build(Build::Late)
}

/// A write with a lost answer was made. The function repeats it at its pace (decision 54); the state machine's next try reads first
/// and finds the write done.
fn written(slot: &'static str) -> impl Fn(FaultCase, &Action, Amount) -> FaultCase {
    let before = u64::from(slot == "status");
    move |case, action, amount| match (action, amount) {
        (Action::LoseAnswer, Amount::Times(1)) => case.writes(slot, before + 2..=before + 2),
        // One invocation asks for a second and a half, with random pauses of 250 to 750 ms, on a slow machine only twice; the next
        // finds what is written.
        (Action::LoseAnswer, _) => case.writes(slot, before + 2..=before + 7),
        _ => case,
    }
}

/// Of a module with a role of its own.
fn with_role(case: FaultCase, _: &Action, _: Amount) -> FaultCase {
    case.with_role()
}

/// Of a rollback of a module.
fn rolls_back(case: FaultCase, _: &Action, _: Amount) -> FaultCase {
    case.rolls_back()
}

/// Of the destruction of a module.
fn destroys(case: FaultCase, _: &Action, _: Amount) -> FaultCase {
    case.destroys()
}

/// Of the destruction of a module with a role of its own.
fn destroys_role(case: FaultCase, _: &Action, _: Amount) -> FaultCase {
    case.with_role().destroys()
}

/// SendTaskSuccess by `check-status`, when no event arrives.
fn alone(case: FaultCase, _: &Action, _: Amount) -> FaultCase {
    case.and(Fault::always(BUILD_EVENT, Action::Discard))
}

/// Of a module in a target.
fn there(
    expect: impl Fn(FaultCase, &Action, Amount) -> FaultCase,
) -> impl Fn(FaultCase, &Action, Amount) -> FaultCase {
    move |case, action, amount| expect(case, action, amount).at(TARGET)
}

fn of_acquire_lock() -> Vec<Disturbed> {
    vec![disturb("take-lock", TAKE_LOCK, plain)]
}

fn of_check_md5() -> Vec<Disturbed> {
    vec![
        disturb("read-source", READ_SOURCE, plain),
        disturb("read-stored", READ_STORED, plain),
    ]
}

fn of_check_md5_of_a_rollback() -> Vec<Disturbed> {
    vec![disturb("list-records", LIST_RECORDS, rolls_back)]
}

fn of_mark_in_progress() -> Vec<Disturbed> {
    let write = disturb("write-start", WRITE_START, |case, action, amount| {
        match (action, amount) {
            // Nothing is read before this write, so every try repeats it.
            (Action::LoseAnswer, Amount::Times(1)) => case.writes("status", 3..=3),
            (Action::LoseAnswer, Amount::Times(5)) => case.writes("status", 7..=7),
            (Action::LoseAnswer, _) => case.writes("status", 5..=60),
            _ => case,
        }
    });
    vec![
        write,
        disturb("check-lock", CHECK_LOCK, plain),
        disturb("copy-source", COPY_SOURCE, plain),
        disturb("keep-attempt", KEEP_ATTEMPT, plain),
        disturb("record-attempt", RECORD_ATTEMPT, plain),
    ]
}

fn of_start_build() -> Vec<Disturbed> {
    vec![
        // The next try finds a project that was made, and a build that was started.
        disturb("look-at-project", LOOK_AT_PROJECT, plain),
        disturb("create-project", CREATE_PROJECT, plain),
        disturb("start-build", START_BUILD, plain),
    ]
}

fn of_check_status() -> Vec<Disturbed> {
    vec![
        disturb("register", REGISTER, plain).not_retried(),
        // The event would answer the task that the first try has registered.
        disturb("read-build", READ_BUILD, alone).not_retried(),
        disturb("answer-at-once", ANSWER, alone).not_retried(),
    ]
}

fn of_build_event() -> Vec<Disturbed> {
    vec![
        disturb("find-registration", FIND_REGISTRATION, late).not_retried(),
        disturb("confirm-build", CONFIRM_BUILD, late).not_retried(),
        disturb("answer", ANSWER, late).not_retried(),
    ]
}

fn of_record_success() -> Vec<Disturbed> {
    vec![
        disturb("read-handed-back", READ_HANDED_BACK, late),
        disturb("read-outputs", READ_OUTPUTS, plain),
        disturb("read-stored-again", READ_STORED_AGAIN, plain),
        disturb("check-lock-again", CHECK_LOCK_AGAIN, plain),
        disturb("copy-bundle", COPY_BUNDLE, plain),
        disturb("copy-kept", COPY_KEPT, plain),
        disturb("write-record", WRITE_RECORD, plain),
        disturb("write-outputs", WRITE_OUTPUTS, written("outputs")),
        disturb("write-metadata", WRITE_METADATA, written("metadata")),
        disturb("write-md5", WRITE_MD5, written("md5")),
        disturb("write-report", WRITE_REPORT, plain),
        disturb("write-end", WRITE_END, written("status")),
    ]
}

fn of_prepare_role() -> Vec<Disturbed> {
    vec![
        disturb("get-role", GET_ROLE, with_role),
        disturb("create-role", CREATE_ROLE, with_role),
        disturb("list-attached", LIST_ATTACHED, with_role),
        disturb("attach-policy", ATTACH_POLICY, with_role),
        disturb("describe-stack", DESCRIBE_STACK, with_role),
        disturb("create-stack", CREATE_STACK, with_role),
        disturb("update-stack", UPDATE_STACK, destroys_role),
    ]
}

fn of_remove_role() -> Vec<Disturbed> {
    vec![
        disturb("delete-stack", DELETE_STACK, destroys_role),
        disturb("detach-policy", DETACH_POLICY, destroys_role),
        disturb("list-inline", LIST_INLINE, destroys_role),
        disturb("delete-role", DELETE_ROLE, destroys_role),
    ]
}

fn of_destroy() -> Vec<Disturbed> {
    vec![
        disturb("read-record", READ_RECORD, destroys),
        disturb("find-bundle", FIND_BUNDLE, destroys),
        disturb("delete-bundle", DELETE_BUNDLE, destroys),
        disturb("delete-kept", DELETE_KEPT, destroys),
        disturb("delete-record", DELETE_RECORD, destroys),
        disturb("delete-known", DELETE_KNOWN, destroys),
        disturb("list-values", LIST_VALUES, destroys),
        disturb("delete-status", DELETE_STATUS, destroys),
    ]
}

fn of_end_execution() -> Vec<Disturbed> {
    vec![
        disturb("describe-execution", DESCRIBE_EXECUTION, plain),
        disturb("unregister", UNREGISTER, late).not_retried(),
        disturb("find-lock", FIND_LOCK, plain),
        disturb("free-lock", FREE_LOCK, plain),
    ]
}

/// What is asked of CodeBuild in a target.
fn of_builds_in_a_target() -> Vec<Disturbed> {
    vec![
        disturb("there-look-at-project", LOOK_AT_PROJECT, there(plain)),
        disturb("there-create-project", CREATE_PROJECT, there(plain)),
        disturb("there-start-build", START_BUILD, there(plain)),
        disturb("there-read-build", READ_BUILD, there(alone)).not_retried(),
        disturb("there-confirm-build", CONFIRM_BUILD, there(late)).not_retried(),
    ]
}

/// The other calls in a target. They are those at home with other credentials, so each is disturbed once.
fn of_a_target() -> Vec<Disturbed> {
    vec![
        disturb("there-read-settings", READ_SETTINGS, there(plain)),
        disturb("there-copy-source", COPY_SOURCE, there(plain)),
        disturb("there-read-handed-back", READ_HANDED_BACK, there(late)),
        disturb("there-read-outputs", READ_OUTPUTS, there(plain)),
        disturb("there-get-role", GET_ROLE, there(with_role)),
        disturb("there-create-role", CREATE_ROLE, there(with_role)),
        disturb("there-list-attached", LIST_ATTACHED, there(with_role)),
        disturb("there-attach-policy", ATTACH_POLICY, there(with_role)),
        disturb("there-describe-stack", DESCRIBE_STACK, there(with_role)),
        disturb("there-create-stack", CREATE_STACK, there(with_role)),
        disturb("there-update-stack", UPDATE_STACK, there(destroys_role)),
        disturb("there-delete-stack", DELETE_STACK, there(destroys_role)),
        disturb("there-detach-policy", DETACH_POLICY, there(destroys_role)),
        disturb("there-list-inline", LIST_INLINE, there(destroys_role)),
        disturb("there-delete-role", DELETE_ROLE, there(destroys_role)),
    ]
}

#[test]
fn every_call_in_a_target_once() {
    let mut calls = of_builds_in_a_target();
    calls.extend(of_a_target());
    run_cases(packed_once("once-there", &calls));
}

#[test]
fn builds_in_a_target() {
    run_disturbed(of_builds_in_a_target());
}

/// Each role is assumed by several functions; the first one meets every fault.
#[test]
fn roles_of_a_target_are_assumed_in_spite_of_all_faults() {
    let faults = [ASSUME_READS, ASSUME_BUILDS, ASSUME_ROLES]
        .into_iter()
        .flat_map(|call| call.ways().map(|(_, action)| Fault::once(call, action)));
    let case = FaultCase::new("there-assume", faults.collect());
    run_cases([case.with_role().at(NEVER_ENTERED[0])]);
}

#[test]
fn every_call_once() {
    let steps = [
        of_acquire_lock(),
        of_check_md5(),
        of_check_md5_of_a_rollback(),
        of_mark_in_progress(),
        of_start_build(),
        of_check_status(),
        of_build_event(),
        of_record_success(),
        of_prepare_role(),
        of_remove_role(),
        of_destroy(),
        of_end_execution(),
        vec![disturb("publish-end", PUBLISH_END, plain)],
    ];
    let calls: Vec<Disturbed> = steps.into_iter().flatten().collect();
    run_cases(packed_once("once", &calls));
}

#[test]
fn acquire_lock() {
    run_disturbed(of_acquire_lock());
}

#[test]
fn check_md5() {
    run_disturbed(of_check_md5());
}

#[test]
fn rollback() {
    run_disturbed(of_check_md5_of_a_rollback());
}

#[test]
fn mark_in_progress() {
    run_disturbed(of_mark_in_progress());
}

#[test]
fn start_build() {
    run_disturbed(of_start_build());
}

#[test]
fn check_status() {
    run_disturbed(of_check_status());
}

#[test]
fn build_event() {
    run_disturbed(of_build_event());
}

#[test]
fn record_success() {
    run_disturbed(of_record_success());
    // It is tried three times and then given up: the event is lost, and the deployment is not affected.
    run_cases(PUBLISH_END.ways().into_iter().map(|(way, action)| {
        let fault = Fault::new(PUBLISH_END, action, Amount::Minute);
        FaultCase::new(format!("publish-end-{way}-a-minute"), vec![fault])
    }));
}

/// What can't be read for the cause of a failure does not hide the failure: it is recorded with the cause that is left.
#[test]
fn record_failure() {
    let calls = [("read-log", READ_LOG), ("read-events", READ_EVENTS)];
    let cases = calls.into_iter().flat_map(|(name, call)| {
        call.ways().into_iter().map(move |(way, action)| {
            let fault = Fault::new(call, action, Amount::Minute);
            FaultCase::new(format!("{name}-{way}-a-minute"), vec![fault])
                .build(Build::Failing)
                .fails(End::Failed("BuildFailed"))
        })
    });
    let there = [("there-read-log", READ_LOG), ("there-read-events", READ_EVENTS)].map(|(name, call)| {
        let fault = Fault::new(call, Action::throttled(call.service), Amount::Minute);
        FaultCase::new(name, vec![fault])
            .build(Build::Failing)
            .fails(End::Failed("BuildFailed"))
            .at(TARGET)
    });
    run_cases(cases.chain(there));
}

#[test]
fn prepare_role() {
    run_disturbed(of_prepare_role());
}

#[test]
fn remove_role() {
    run_disturbed(of_remove_role());
}

#[test]
fn destroy() {
    run_disturbed(of_destroy());
}

#[test]
fn end_execution() {
    run_disturbed(of_end_execution());
}
