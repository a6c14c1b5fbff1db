//! Every call of every step, refused, failed, cut off and unanswered: once, five times, for a minute.
//!
//! Once is the SDK's to repeat, five times outlasts its three tries, a minute outlasts several tries of the
//! state machine.

use seedflow_e2e::Action;

use crate::fault_case::{About, Amount, Build, Call, Fault, FaultCase, run_cases};

pub const TAKE_LOCK: Call = call("s3", "PutObject", About::Lock);
/// The look at the lock before the start is written, before the success, and by `end-execution`.
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
/// The first finds no project yet; the second is the one that starts.
pub const START_BUILD: Call = call("codebuild", "StartBuild", About::Project).after(1);
pub const REGISTER: Call = call("s3", "PutObject", About::Callback);
pub const READ_BUILD: Call = call("codebuild", "BatchGetBuilds", About::Project);
/// By build-event, after that of check-status.
pub const CONFIRM_BUILD: Call = READ_BUILD.after(1);
pub const FIND_REGISTRATION: Call = call("s3", "GetObject", About::Callback);
pub const ANSWER: Call = call("states", "SendTaskSuccess", About::Project);
pub const UNREGISTER: Call = call("s3", "DeleteObject", About::Callback);
pub const READ_HANDED_BACK: Call = call("s3", "GetObject", About::HandedBack);
pub const READ_OUTPUTS: Call = call("cloudformation", "DescribeStacks", About::Stack);
pub const READ_STORED_AGAIN: Call = READ_STORED.after(1);
pub const COPY_BUNDLE: Call = call("s3", "CopyObject", About::Bundle);
pub const COPY_KEPT: Call = call("s3", "CopyObject", About::Kept);
pub const WRITE_RECORD: Call = call("s3", "PutObject", About::Record);
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
/// Of a stack that is there and has nothing to update.
pub const UPDATE_STACK: Call = call("cloudformation", "UpdateStack", About::RoleStack);
pub const DELETE_STACK: Call = call("cloudformation", "DeleteStack", About::RoleStack);
pub const READ_RECORD: Call = call("s3", "GetObject", About::Record);
pub const FIND_BUNDLE: Call = call("s3", "HeadObject", About::Bundle);
pub const DELETE_BUNDLE: Call = call("s3", "DeleteObject", About::Bundle);
pub const DELETE_KEPT: Call = call("s3", "DeleteObject", About::Kept);
pub const DELETE_RECORD: Call = call("s3", "DeleteObject", About::Record);
pub const DELETE_KNOWN: Call = call("ssm", "DeleteParameters", About::Parameters);
pub const LIST_VALUES: Call = call("s3", "ListObjectsV2", About::Values);
pub const DELETE_STATUS: Call = call("ssm", "DeleteParameters", About::Parameter("status"));
/// Telling of a success.
pub const TELL_END: Call = call("events", "PutEvents", About::Told("was deployed"));
/// What CodeBuild tells EventBridge.
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
    /// The same call, when it comes after so many of its kind.
    const fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// What can happen to it, by a short name.
    fn ways(self) -> [(&'static str, Action); 4] {
        [
            ("throttled", Action::throttled(self.service)),
            ("unavailable", Action::unavailable(self.service)),
            ("dropped", Action::Drop),
            ("unanswered", Action::LoseAnswer),
        ]
    }
}

const AMOUNTS: [(&str, Amount); 3] = [
    ("once", Amount::Times(1)),
    ("five-times", Amount::Times(5)),
    ("a-minute", Amount::Minute),
];

/// All ways and amounts for a call; `expect` says where a case ends otherwise than in plain success.
fn matrix(
    name: &str,
    call: Call,
    expect: impl Fn(FaultCase, &Action, Amount) -> FaultCase,
) -> Vec<FaultCase> {
    matrix_of(&AMOUNTS, name, call, expect)
}

fn matrix_of(
    amounts: &[(&str, Amount)],
    name: &str,
    call: Call,
    expect: impl Fn(FaultCase, &Action, Amount) -> FaultCase,
) -> Vec<FaultCase> {
    let mut cases = Vec::new();
    for (way, action) in call.ways() {
        for &(often, amount) in amounts {
            let fault = Fault::new(call, action.clone(), amount);
            let case = FaultCase::new(format!("{name}-{way}-{often}"), vec![fault]);
            cases.push(expect(case, &action, amount));
        }
    }
    cases
}

fn plain(case: FaultCase, _: &Action, _: Amount) -> FaultCase {
    case
}

/// Of a build that ends when the token is registered: its event answers.
fn late(case: FaultCase, _: &Action, _: Amount) -> FaultCase {
    case.build(Build::Late)
}

/// A write whose answer is lost was made. The SDK makes it again up to twice; the state machine's next try
/// reads first and finds it made.
fn written(slot: &'static str) -> impl Fn(FaultCase, &Action, Amount) -> FaultCase {
    let before = u64::from(slot == "status");
    move |case, action, amount| match (action, amount) {
        (Action::LoseAnswer, Amount::Times(1)) => case.writes(slot, before + 2..=before + 2),
        (Action::LoseAnswer, _) => case.writes(slot, before + 3..=before + 3),
        _ => case,
    }
}

/// Of a module with a role of its own.
fn with_role(case: FaultCase, _: &Action, _: Amount) -> FaultCase {
    case.with_role()
}

/// Of a module that is destroyed.
fn destroys(case: FaultCase, _: &Action, _: Amount) -> FaultCase {
    case.destroys()
}

/// Of a module with a role of its own that is destroyed.
fn destroys_role(case: FaultCase, _: &Action, _: Amount) -> FaultCase {
    case.with_role().destroys()
}

/// SendTaskSuccess by `check-status`, when no event comes.
fn alone(case: FaultCase, _: &Action, _: Amount) -> FaultCase {
    case.and(Fault::always(BUILD_EVENT, Action::Discard))
}

#[test]
fn acquire_lock() {
    run_cases(matrix("take-lock", TAKE_LOCK, plain));
}

#[test]
fn check_md5() {
    let cases = [
        matrix("read-source", READ_SOURCE, plain),
        matrix("read-stored", READ_STORED, plain),
    ];
    run_cases(cases.into_iter().flatten());
}

#[test]
fn mark_in_progress() {
    let cases = matrix("write-start", WRITE_START, |case, action, amount| {
        match (action, amount) {
            // Nothing is read before this write, so every try makes it again.
            (Action::LoseAnswer, Amount::Times(1)) => case.writes("status", 3..=3),
            (Action::LoseAnswer, Amount::Times(5)) => case.writes("status", 7..=7),
            (Action::LoseAnswer, _) => case.writes("status", 5..=60),
            _ => case,
        }
    });
    let cases = [
        cases,
        matrix("check-lock", CHECK_LOCK, plain),
        matrix("copy-source", COPY_SOURCE, plain),
    ];
    run_cases(cases.into_iter().flatten());
}

#[test]
fn start_build() {
    let cases = [
        // A project that was made is found by the next try, and so is a build that was started.
        matrix("look-at-project", LOOK_AT_PROJECT, plain),
        matrix("create-project", CREATE_PROJECT, plain),
        matrix("start-build", START_BUILD, plain),
    ];
    run_cases(cases.into_iter().flatten());
}

#[test]
fn check_status() {
    let cases = [
        matrix("register", REGISTER, plain),
        // The event would answer what the first try has registered.
        matrix("read-build", READ_BUILD, |case, _, _| {
            case.and(Fault::always(BUILD_EVENT, Action::Discard))
        }),
        matrix("answer-at-once", ANSWER, alone),
    ];
    run_cases(cases.into_iter().flatten());
}

#[test]
fn build_event() {
    let cases = [
        matrix("find-registration", FIND_REGISTRATION, late),
        matrix("confirm-build", CONFIRM_BUILD, late),
        matrix("answer", ANSWER, late),
    ];
    run_cases(cases.into_iter().flatten());
}

#[test]
fn record_success() {
    let cases = [
        matrix("read-handed-back", READ_HANDED_BACK, late),
        matrix("read-outputs", READ_OUTPUTS, plain),
        matrix("read-stored-again", READ_STORED_AGAIN, plain),
        matrix("check-lock-again", CHECK_LOCK_AGAIN, plain),
        matrix("copy-bundle", COPY_BUNDLE, plain),
        matrix("copy-kept", COPY_KEPT, plain),
        matrix("write-record", WRITE_RECORD, plain),
        matrix("write-outputs", WRITE_OUTPUTS, written("outputs")),
        matrix("write-metadata", WRITE_METADATA, written("metadata")),
        matrix("write-md5", WRITE_MD5, written("md5")),
        matrix("write-report", WRITE_REPORT, plain),
        matrix("write-end", WRITE_END, written("status")),
        // It is tried thrice and then given up: nobody hears of it, and the deployment is none the worse.
        matrix_of(&[AMOUNTS[0], AMOUNTS[2]], "tell-end", TELL_END, plain),
    ];
    run_cases(cases.into_iter().flatten());
}

#[test]
fn prepare_role() {
    let cases = [
        matrix("get-role", GET_ROLE, with_role),
        matrix("create-role", CREATE_ROLE, with_role),
        matrix("list-attached", LIST_ATTACHED, with_role),
        matrix("attach-policy", ATTACH_POLICY, with_role),
        matrix("describe-stack", DESCRIBE_STACK, with_role),
        matrix("create-stack", CREATE_STACK, with_role),
        matrix("update-stack", UPDATE_STACK, destroys_role),
    ];
    run_cases(cases.into_iter().flatten());
}

#[test]
fn remove_role() {
    let cases = [
        matrix("delete-stack", DELETE_STACK, destroys_role),
        matrix("detach-policy", DETACH_POLICY, destroys_role),
        matrix("list-inline", LIST_INLINE, destroys_role),
        matrix("delete-role", DELETE_ROLE, destroys_role),
    ];
    run_cases(cases.into_iter().flatten());
}

#[test]
fn destroy() {
    let cases = [
        matrix("read-record", READ_RECORD, destroys),
        matrix("find-bundle", FIND_BUNDLE, destroys),
        matrix("delete-bundle", DELETE_BUNDLE, destroys),
        matrix("delete-kept", DELETE_KEPT, destroys),
        matrix("delete-record", DELETE_RECORD, destroys),
        matrix("delete-known", DELETE_KNOWN, destroys),
        matrix("list-values", LIST_VALUES, destroys),
        matrix("delete-status", DELETE_STATUS, destroys),
    ];
    run_cases(cases.into_iter().flatten());
}

#[test]
fn end_execution() {
    let cases = [
        matrix("describe-execution", DESCRIBE_EXECUTION, plain),
        matrix("unregister", UNREGISTER, late),
        matrix("find-lock", FIND_LOCK, plain),
        matrix("free-lock", FREE_LOCK, plain),
    ];
    run_cases(cases.into_iter().flatten());
}
