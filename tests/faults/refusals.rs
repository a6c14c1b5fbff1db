//! Answers that no repetition changes, and one that changes after an hour.

use seedflow_e2e::Action;

use crate::calls::*;
use crate::fault_case::run::run_cases;
use crate::fault_case::{Amount, Build, Call, End, Fault, FaultCase};
use crate::{NEVER_ENTERED, TARGET};

/// https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html
fn denied() -> Action {
    Action::Refuse {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "User is not authorized to perform: ssm:PutParameter".to_owned(),
    }
}

#[test]
fn parameter_store_refuses_one_of_the_four_writes() {
    let denied_once = |name: &str, call: Call| {
        FaultCase::new(format!("denied-{name}"), vec![Fault::once(call, denied())])
            .fails(End::Failed("AccessDenied"))
    };
    run_cases([
        denied_once("write-outputs", WRITE_OUTPUTS),
        denied_once("write-metadata", WRITE_METADATA).writes("outputs", 1..=1),
        denied_once("write-md5", WRITE_MD5)
            .writes("outputs", 1..=1)
            .writes("metadata", 1..=1),
        denied_once("write-end", WRITE_END)
            .writes("outputs", 1..=1)
            .writes("metadata", 1..=1)
            .writes("md5", 1..=1),
        // Not even the failure can be recorded then; the end of the execution is recorded.
        FaultCase::new(
            "denied-twice-write-end",
            vec![Fault::new(WRITE_END, denied(), Amount::Times(2))],
        )
        .fails(End::NotRecorded)
        .writes("outputs", 1..=1)
        .writes("metadata", 1..=1)
        .writes("md5", 1..=1),
    ]);
}

#[test]
fn a_parameter_that_was_deleted_a_moment_ago_is_created_again() {
    // AWS asks to wait 30 seconds
    // (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameters.html) and doesn't document
    // the answer before that. Of PutParameter's errors, this is the one that can mean it.
    let not_yet = Action::Refuse {
        status: 400,
        code: "ParameterAlreadyExists".to_owned(),
        message: "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."
            .to_owned(),
    };
    let case =
        |name: &str, call| FaultCase::new(name, vec![Fault::new(call, not_yet.clone(), Amount::Minute)]);
    run_cases([
        case("created-again-status", WRITE_START),
        case("created-again-metadata", WRITE_METADATA),
    ]);
}

#[test]
fn a_role_that_codebuild_can_not_assume_yet_is_waited_for() {
    // https://docs.aws.amazon.com/codebuild/latest/userguide/troubleshooting.html, "not authorized to perform: sts:AssumeRole"
    let not_yet = Action::Refuse {
        status: 400,
        code: "InvalidInputException".to_owned(),
        message: "CodeBuild is not authorized to perform: sts:AssumeRole on service role. Please verify that: 1) The provided service role exists".to_owned(),
    };
    let of = |name: &str, times| {
        let fault = Fault::new(START_BUILD, not_yet.clone(), Amount::Times(times));
        FaultCase::new(name, vec![fault])
    };
    run_cases([
        of("role-not-yet", 3).with_role(),
        // The template's role existed long before: an error in it is permanent.
        of("role-never", 1).builds(0).fails(End::Failed("Refused")),
    ]);
}

#[test]
fn an_account_at_its_limit_of_builds_is_waited_for() {
    // https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html
    let full = Action::Refuse {
        status: 400,
        code: "AccountLimitExceededException".to_owned(),
        message: "Cannot have more than 60 builds in queue for the account".to_owned(),
    };
    let case = |name: &str, amount| {
        let fault = Fault::new(START_BUILD, full.clone(), amount);
        FaultCase::new(format!("account-full-{name}"), vec![fault])
    };
    run_cases([
        case("five-times", Amount::Times(5)),
        case("a-minute", Amount::Minute),
    ]);
}

#[test]
fn a_build_that_is_not_found_is_looked_for_again() {
    // AWS answers without builds for ids that it doesn't know, beside `buildsNotFound`, which no code reads
    // (https://docs.aws.amazon.com/codebuild/latest/APIReference/API_BatchGetBuilds.html).
    let case = |name: &str, amount| {
        let fault = Fault::new(READ_BUILD, Action::Discard, amount);
        FaultCase::new(format!("not-found-{name}"), vec![fault])
    };
    // If this persists, AWS fails the task with BuildNotFound after its retries. The emulator swallows the error of a
    // function that is called with a token, and continues to wait. No event answers for a build that CodeBuild doesn't
    // confirm.
    run_cases([case("once", Amount::Times(1))]);
}

/// IAM's refusal in the words of a service (STS API reference, "Common errors"; the same of CodeBuild).
fn refused(code: &str, operation: &str) -> Action {
    Action::Refuse {
        status: 403,
        code: code.to_owned(),
        message: format!("User is not authorized to perform: {operation}"),
    }
}

#[test]
fn a_target_that_refuses_starts_no_build_and_deploys_once_it_allows_it_again() {
    let start = refused("AccessDeniedException", "codebuild:StartBuild");
    let assume = refused("AccessDenied", "sts:AssumeRole");
    run_cases([
        FaultCase::new("there-denied", vec![Fault::always(START_BUILD, start)])
            .at(TARGET)
            .builds(0)
            .fails(End::Failed("AccessDenied")),
        // A role that is gone, or that doesn't trust Seedflow any more.
        FaultCase::new("there-refused", vec![Fault::always(ASSUME_BUILDS, assume)])
            .at(NEVER_ENTERED[1])
            .builds(0)
            .fails(End::Failed("Refused")),
        FaultCase::new("there-not-found", vec![Fault::once(READ_BUILD, Action::Discard)]).at(TARGET),
    ]);
}

#[test]
fn a_target_that_refuses_while_its_build_runs_delays_the_answer_and_nothing_else() {
    let read = || refused("AccessDeniedException", "codebuild:BatchGetBuilds");
    let case = |name: &str, call| FaultCase::new(name, vec![Fault::once(call, read())]).at(TARGET);
    // If a target goes on to refuse, AWS fails the execution with AccessDenied at the first try of check-status
    // (tests/contract/task_errors.rs). The emulator swallows the error of a function that is called with a token, and waits.
    run_cases([
        // The event of the build's end: its function fails, and the next look at the build answers.
        case("there-denied-event", CONFIRM_BUILD).build(Build::Late),
        case("there-denied-look", READ_BUILD).build(Build::Late),
    ]);
}
