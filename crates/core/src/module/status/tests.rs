#![allow(clippy::unwrap_used)]
use super::*;
use crate::workflow::build_outcome::BuildStatus;

fn module() -> ModuleId {
    ModuleId::parse("p", "d", "g", "m").unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn failure() -> Failure {
    let outcome = BuildOutcome {
        failed_phase: Some("BUILD".into()),
        ..BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Failed)
    };
    Failure {
        error: "BuildFailed".into(),
        reason: "x".repeat(5000),
        build_id: Some(outcome.build_id.clone()),
        outcome: Some(outcome),
        commit_info: CommitInfo::default(),
    }
}

#[test]
fn a_failure_keeps_when_it_was_last_deployed_and_fits() {
    let execution = ExecutionArn::new("e1");
    let good = Status::succeed(
        None,
        &module(),
        &execution,
        &BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded),
        at(10),
    );
    let again = ExecutionArn::new("e2");
    let started = Status::start(
        Some(&good),
        &module(),
        &again,
        &["bundle changed".to_owned()],
        at(20),
    );
    let failed = Status::fail(Some(&started), &module(), &again, &failure(), at(30));
    assert_eq!(
        (failed.deployed_at, failed.started_at, failed.why.phase.as_deref()),
        (Some(at(10)), Some(at(20)), Some("BUILD"))
    );
    assert!(
        failed
            .why
            .cause
            .as_deref()
            .is_some_and(|cause| cause.starts_with("Xxx"))
    );
    let found = failed.clone().with_cause(Some("Queue failed:\nwhy"));
    assert_eq!(found.why.cause.as_deref(), Some("Queue failed: why"));
    assert_eq!(failed.clone().with_cause(None), failed);
    assert_eq!(failed.reasons, ["bundle changed"]);
    assert!(serde_json::to_string(&failed).unwrap().len() < 4096);
}

#[test]
fn a_status_says_which_commit_its_own_execution_deploys() {
    let of = |commit: &'static str| CommitInfo::from_metadata(|name| (name == "commit").then_some(commit));
    let build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
    let (one, two) = (ExecutionArn::new("e1"), ExecutionArn::new("e2"));
    let mut started = Status::start(None, &module(), &one, &[], at(1));
    started.commit_info = of("c1");
    let good = Status::succeed(Some(&started), &module(), &one, &build, at(2));
    assert_eq!(good.commit_info, of("c1"));
    assert_eq!(
        Status::fail(Some(&started), &module(), &one, &failure(), at(2)).commit_info,
        of("c1")
    );
    // Unchanged if nothing was deployed. Unknown if the next execution never got that far; the last one's commit
    // does not count.
    assert_eq!(
        Status::touch(Some(&good), &module(), &two, &[], at(3)).commit_info,
        of("c1")
    );
    assert_eq!(
        Status::fail(Some(&good), &module(), &two, &failure(), at(3)).commit_info,
        CommitInfo::default()
    );
}

#[test]
fn an_end_from_outside_is_written_unless_the_execution_had_written_its_own() {
    let execution = ExecutionArn::new("e");
    let end = |before: Option<&Status>| {
        Status::end(State::Aborted, before, &module(), &execution, &failure(), at(9))
    };
    let started = Status::start(None, &module(), &execution, &[], at(1));
    let aborted = end(Some(&started)).unwrap();
    assert_eq!((aborted.state, aborted.started_at), (State::Aborted, Some(at(1))));
    let others = Status::start(None, &module(), &ExecutionArn::new("f"), &[], at(1));
    assert_eq!(end(Some(&others)).unwrap().execution, execution);
    assert!(end(None).is_some());
    let failed = Status::fail(None, &module(), &execution, &failure(), at(2));
    assert_eq!(end(Some(&failed)), None);
    assert_eq!(end(Some(&aborted)), None);
}

fn refused() -> Failure {
    Failure {
        error: "InvalidDeployspec".into(),
        reason: "build_type: found \"TINY\"".into(),
        build_id: None,
        outcome: None,
        commit_info: CommitInfo::of_commit(Some("c2"), None),
    }
}

#[test]
fn a_refusal_leaves_the_state_as_it_was_until_the_next_start() {
    let [one, two, three] = ["e1", "e2", "e3"].map(ExecutionArn::new);
    let build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
    let good = Status::succeed(None, &module(), &one, &build, at(10));
    let refuse = |before| Status::refuse(before, &module(), &two, &refused(), at(20));
    let refusal = refuse(Some(&good));
    assert_eq!(
        (
            refusal.state,
            refusal.previous_state,
            refusal.commit_info.commit()
        ),
        (State::Refused, Some(State::Succeeded), Some("c2"))
    );
    let stored = refusal.clone().beside(Some(&good));
    assert_eq!(
        stored,
        Status {
            why: Explanation {
                refused: refusal.why.refused.clone(),
                ..Explanation::default()
            },
            ..good.clone()
        }
    );
    assert!(stored.has_refused(&two) && !stored.has_refused(&one));
    // Nothing is to be written at the end of such an execution, and a repeated call says the same.
    let end = Status::end(State::Failed, Some(&stored), &module(), &two, &refused(), at(21));
    assert_eq!(end, None);
    assert_eq!(refuse(Some(&stored)), refusal);
    for next in [Status::start, Status::touch] {
        let next = next(Some(&stored), &module(), &three, &[], at(30));
        assert_eq!(
            (next.why.refused, next.previous_state),
            (None, Some(State::Succeeded))
        );
    }
    // What was never deployed has the refusal only, and no final state of an earlier execution.
    let first = refuse(None).beside(None);
    assert_eq!((first.state, first.previous_state), (State::Refused, None));
    let again = Status::refuse(Some(&first), &module(), &three, &refused(), at(30)).beside(Some(&first));
    assert_eq!((again.state, again.has_refused(&three)), (State::Refused, true));
    assert_eq!(
        Status::start(Some(&again), &module(), &three, &[], at(40)).previous_state,
        None
    );
}

#[test]
fn what_has_begun_or_is_a_service_in_trouble_fails_and_is_not_refused() {
    let [one, two] = ["e1", "e2"].map(ExecutionArn::new);
    let started = Status::start(None, &module(), &one, &[], at(1));
    assert!(!Status::is_refusal(Some(&started), &one, &refused()));
    assert!(Status::is_refusal(Some(&started), &two, &refused()));
    assert!(Status::is_refusal(None, &one, &refused()));
    let denied = Failure {
        error: "AccessDenied".into(),
        ..refused()
    };
    assert!(!Status::is_refusal(None, &one, &denied));
    assert!(!Status::is_refusal(None, &one, &failure()));
}

#[test]
fn touching_changes_states_time_execution_and_reasons_only() {
    let good = Status::succeed(
        None,
        &module(),
        &ExecutionArn::new("e1"),
        &BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded),
        at(10),
    );
    let touched = Status::touch(Some(&good), &module(), &ExecutionArn::new("e2"), &[], at(20));
    assert_eq!(
        touched,
        Status {
            state: State::Unchanged,
            previous_state: Some(State::Succeeded),
            updated_at: at(20),
            execution: ExecutionArn::new("e2"),
            ..good
        }
    );
}

#[test]
fn a_status_says_what_the_last_ended_execution_left() {
    let build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
    let [one, two, three] = ["e1", "e2", "e3"].map(ExecutionArn::new);
    let failed = Status::fail(None, &module(), &one, &failure(), at(1));
    assert_eq!(failed.previous_state, None);
    let started = Status::start(Some(&failed), &module(), &two, &[], at(2));
    let good = Status::succeed(Some(&started), &module(), &two, &build, at(3));
    assert_eq!(
        (started.previous_state, good.previous_state),
        (Some(State::Failed), Some(State::Failed))
    );
    // It is unchanged when written twice.
    let again = Status::succeed(Some(&good), &module(), &two, &build, at(4));
    assert_eq!(again.previous_state, Some(State::Failed));
    // An execution that never wrote its end has no final state.
    let next = Status::fail(Some(&started), &module(), &three, &failure(), at(5));
    assert_eq!(next.previous_state, Some(State::Failed));
    let end = Status::end(State::Aborted, Some(&started), &module(), &two, &failure(), at(5));
    assert_eq!(end.unwrap().previous_state, Some(State::Failed));
    let touched = Status::touch(Some(&good), &module(), &three, &[], at(6));
    assert_eq!(touched.previous_state, Some(State::Succeeded));
}

#[test]
fn a_repeated_write_is_known_as_one() {
    let execution = ExecutionArn::new("e");
    let first = Status::fail(None, &module(), &execution, &failure(), at(1));
    assert!(Status::fail(Some(&first), &module(), &execution, &failure(), at(2)).repeats(Some(&first)));
    assert!(
        !Status::fail(
            Some(&first),
            &module(),
            &ExecutionArn::new("f"),
            &failure(),
            at(2)
        )
        .repeats(Some(&first))
    );
    assert!(!first.repeats(None));
}

#[test]
fn another_module_at_the_same_path_is_noticed() {
    let one = ModuleId::parse("p", "d", "a-b", "c").unwrap();
    let other = ModuleId::parse("p", "d", "a", "b-c").unwrap();
    assert_eq!(
        one.parameter(crate::ids::ParameterKind::Status),
        other.parameter(crate::ids::ParameterKind::Status)
    );
    let status = Status::start(None, &one, &ExecutionArn::new("e"), &[], at(1));
    assert!(status.check_owner(&one).is_ok());
    assert_eq!(
        status.check_owner(&other).unwrap_err().name,
        ErrorName::StateConflict
    );
}
