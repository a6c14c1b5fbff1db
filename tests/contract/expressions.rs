//! Every expression of the definitions, evaluated along every path.
//!
//! Step Functions fails a state with `States.QueryEvaluationError` if an expression has no result or one of the wrong
//! type (Step Functions Developer Guide, "Transforming data with JSONata"). Nothing catches this error in a Choice,
//! Wait or Fail state, or in the expressions of a `Catch` rule. So the emulator's evaluation walks the machines here:
//! with inputs of every shape that a person or an event may send, with the smallest answer of each function, and with
//! errors with and without a cause.

use seedflow_contract::{StateMachine, Template, asl};
use seedflow_core::error::{Error, ErrorName};
use seedflow_core::ids::BuildId;
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::plan::CheckResult;
use seedflow_core::workflow::build_outcome::{BuildOutcome, BuildStatus};
use serde_json::{Value, json};

/// Seconds since the start of an execution.
const NOW: u32 = 0;
const AN_HOUR: u32 = 3600;
const THREE_DAYS: u32 = 3 * 24 * 3600;

/// How an execution ended, by its last state.
fn ends<'a>(walked: &'a Value, state: &str) -> Vec<&'a Value> {
    let ends = walked["ends"].as_array().unwrap();
    ends.iter().filter(|end| end["state"] == state).collect()
}

fn walk(machine: &Value, inputs: &Value, age: u32, tasks: &Value) -> Value {
    let asked = json!({"machine": machine, "inputs": inputs, "age": age, "tasks": tasks});
    let walked = asl::walk(&asked);
    assert_eq!(walked["faults"], json!([]));
    // end-execution can't receive an input that is not an event: its first task catches it like any other error.
    let caught = walked["caught"].as_array().unwrap().iter();
    let unexpected: Vec<_> = caught
        .filter(|line| !line.as_str().unwrap().starts_with("EndExecution: "))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    walked
}

/// What people, events and other executions may send, and what they should not.
fn inputs() -> Value {
    json!([{}, [], [1], "text", "", 7, null, true, {"execution": "e"}, {"executionArn": "e"}, {"executionArn": null},
        {"plan_only": true}, {"plan_only": "yes"}, {"project": "p", "plan_only": false}])
}

/// A function's answer in the envelope of `lambda:invoke`.
fn answers(payloads: &[Value]) -> Value {
    payloads
        .iter()
        .map(|payload| json!({"Payload": payload}))
        .collect()
}

/// Errors as Step Functions passes them to a `Catch` rule.
fn errors() -> Value {
    json!([
        // A function's error (AWS Lambda Developer Guide, "Lambda function errors"). It is split where it is longer
        // than a cause may be.
        {"Error": "Refused", "Cause": "{\"errorType\":\"Refused\",\"errorMessage\":\"the \\\"why\\\"\\nof it\"}"},
        {"Error": "Refused", "Cause": "{\"errorType\": \"Refused\", \"errorMessage\": \"the beginn"},
        // Errors of Lambda itself, and of Step Functions, which may give no cause.
        {"Error": "Lambda.Unknown", "Cause": "The cause could not be determined because Lambda did not return an error type."},
        {"Error": "States.Timeout"},
        {"Error": "Throttled", "Cause": ""},
    ])
}

fn task(results: Value) -> Value {
    json!({"results": results, "errors": errors()})
}

fn turns() -> [Value; 3] {
    [
        json!({"state": "ACQUIRED", "lock": {"fence": 1}}),
        json!({"state": "WAITING"}),
        json!({"state": "SUPERSEDED", "superseded_by": "e"}),
    ]
}

fn checked(changed: bool, purge: bool, module_stack: bool, remove_role: bool) -> Value {
    json!(CheckResult {
        changed,
        purge,
        reasons: Vec::new(),
        build_project: "p".to_owned(),
        module_stack,
        renames: None,
        first_name: None,
        remove_role,
        target: None,
        moves: false,
        evaluate: false,
        approved: false,
        plan: None,
        refused: None,
    })
}

/// The same for a module whose deployment has rules in Rego.
fn evaluating(mut checked: Value) -> Value {
    checked["evaluate"] = true.into();
    checked
}

/// The same for a module that is destroyed elsewhere first.
fn moving(mut checked: Value) -> Value {
    checked["moves"] = true.into();
    checked["target"] = json!({"account": "222222222222", "region": "eu-west-1"});
    checked
}

/// The same for a module that is renamed first.
fn renaming(mut checked: Value) -> Value {
    checked["renames"] = json!({"group": "g", "module": "old"});
    checked
}

/// The same for a module that was renamed.
fn renamed(mut checked: Value) -> Value {
    checked["first_name"] = json!({"group": "g", "module": "old"});
    checked
}

fn of_deploy_module() -> Value {
    let checked = [
        checked(false, false, false, false),
        checked(false, true, false, true),
        checked(true, false, false, false),
        checked(true, false, false, true),
        checked(true, false, true, false),
        renamed(checked(true, false, true, true)),
        evaluating(checked(true, false, false, false)),
        moving(checked(true, false, false, false)),
        moving(checked(false, true, false, true)),
        renaming(checked(false, false, false, false)),
        json!(
            CheckResult::refuse(
                Error::new(ErrorName::InvalidDeployspec, "why"),
                CommitInfo::of_commit(Some("c"), None)
            )
            .unwrap()
        ),
    ];
    let build = |status| json!(BuildOutcome::ended(BuildId::parse("p:u").unwrap(), status));
    let waits =
        json!({"wait_seconds": 5, "progress": {"since": "2026-01-01T00:00:00Z", "asked": null, "unseen": 0}});
    let failed = json!({"state": "FAILED", "error": "Refused", "cause": "why", "recorded": true});
    json!({
        "AcquireLock": task(answers(&turns())),
        "WaitForLock": task(json!(turns())),
        "CheckMd5": task(answers(&checked)),
        "EvaluatePolicy": task(answers(&[json!({"reasons": ["r"]})])),
        "TouchTimestamp": task(answers(&[json!({"state": "UNCHANGED"})])),
        "ForgetModule": task(answers(&[json!({"state": "DESTROYED"})])),
        "MarkInProgress": task(answers(&[json!({"state": "IN_PROGRESS"})])),
        "PrepareRole": task(answers(&[waits.clone(), json!({"role_arn": "r"})])),
        "StartBuild": task(answers(&[json!({"build_id": "p:u", "build_url": "u"})])),
        "AwaitBuild": task(json!([build(BuildStatus::Succeeded), build(BuildStatus::Stopped)])),
        "RemoveRole": task(answers(&[waits, json!({"removed": null}), json!({"removed": "r"})])),
        "RecordSuccess": task(answers(&[json!({"state": "SUCCEEDED"})])),
        "RecordFailure": task(answers(&[failed])),
    })
}

#[test]
fn of_deploy_module_each_has_a_result() {
    // No state reads a field of its input.
    let inputs = json!([{}, [], "text", null]);
    let walked = walk(
        &StateMachine::read("deploy-module").definition,
        &inputs,
        NOW,
        &of_deploy_module(),
    );
    for state in ["Superseded", "Unchanged", "Forgotten", "Deployed", "Failed"] {
        assert!(!ends(&walked, state).is_empty(), "{state} was not reached");
    }
    let unrecorded: Vec<&str> = ends(&walked, "Failed")
        .iter()
        .filter(|end| end["error"] == "StatusNotRecorded")
        .map(|end| end["cause"].as_str().unwrap())
        .collect();
    let message = "The deployment failed (Refused: the \"why\"\nof it) and the status FAILED could not be written to Parameter Store (Refused: the \"why\"\nof it).";
    assert!(
        unrecorded.iter().any(|cause| cause.starts_with(message)),
        "{unrecorded:?}"
    );
}

fn of_deploy() -> Value {
    let planned = |waves: Value| json!({"deployment": {}, "waves": waves, "plan_key": "k", "counts": null});
    let refused = json!({"deployment": {}, "waves": [], "plan_key": "k", "counts": null, "refused": {"error": "Blocked", "cause": "why"}});
    let fetch = |count: usize| {
        json!({"deployment": {}, "waves": [], "plan_key": "k", "counts": null,
        "fetch": vec![json!({"kind": "git", "url": "u"}); count]})
    };
    let waits = json!({"deployment": {}, "waves": [{"concurrency": 1, "items": []}], "plan_key": "k", "counts": null,
        "approval": {"plan": "h", "reasons": ["r"], "expires_after_seconds": 9}});
    let verdict = |state: &str, error: &str| json!({"state": state, "plan": "h", "refused": {"error": error, "cause": "why"}});
    let verdicts = [
        json!({"state": "APPROVED", "plan": "h", "refused": null}),
        verdict("REJECTED", "ApprovalRejected"),
        verdict("SUPERSEDED", "PlanSuperseded"),
        verdict("EXPIRED", "ApprovalExpired"),
    ];
    let item = |name: &str| json!({"name": name, "input": {"project": "p"}});
    let with_rules = json!({"deployment": {}, "waves": [{"concurrency": 1, "items": [item("a")]}], "plan_key": "k", "counts": null,
        "evaluate": true});
    let evaluated = [
        json!({"evaluate": false, "rego": {"document": "d", "version": "v", "warn": ["w"]}}),
        json!({"evaluate": false, "rego": null}),
        json!({"evaluate": false, "rego": {}, "refused": {"error": "DeniedByPolicy", "cause": "why"}}),
    ];
    let with_previews = json!({"deployment": {}, "waves": [], "plan_key": "k", "counts": null, "preview": true,
        "warnings": ["w"], "approval": {"plan": "h", "reasons": ["r"], "expires_after_seconds": 9}});
    let previewed = [
        json!({"wait_seconds": 3, "preview": true}),
        json!({"wait_seconds": 0, "preview": false}),
        json!({"wait_seconds": 0, "preview": false, "previews": [{"group": "g", "module": "m", "state": "succeeded"}]}),
    ];
    let fetched = json!({"sources": [{"kind": "git", "url": "u", "commit": "c", "key": "k"}]});
    let waves = [
        json!([]),
        json!([{"concurrency": 1, "items": [item("a")]}]),
        json!([{"concurrency": 2, "items": [item("a"), item("b")]}, {"concurrency": 1, "items": [item("c")]}]),
    ];
    let planned: Vec<Value> = waves
        .into_iter()
        .map(planned)
        .chain([refused, fetch(1), fetch(2), waits, with_rules, with_previews])
        .collect();
    let named = |plan_only: bool, record_refusal: bool, origin: Value| json!({"deployment": {}, "whole": true, "plan_only": plan_only, "record_refusal": record_refusal, "origin": origin});
    let mut placed = named(false, false, json!({}));
    placed["place"] = json!("2026-11-29T12:00:00Z");
    json!({
        "ReadName": task(answers(&[
            named(false, false, json!({"commit": "c"})),
            named(true, false, json!({})),
            named(true, true, json!({})),
            placed,
        ])),
        "AcquireLock": task(answers(&turns())),
        "WaitForLock": task(json!(turns())),
        "Plan": task(answers(&planned)),
        "FetchSources": task(answers(&[fetched])),
        "EvaluatePolicy": task(answers(&evaluated)),
        "ClaimForRefusal": task(answers(&turns())),
        "PreviewModules": task(answers(&previewed)),
        "RecordWait": task(answers(&[json!({"seconds_left": 9})])),
        "WaitForApproval": task(json!(verdicts)),
        "ExpireApproval": task(answers(&verdicts)),
        "RecordRefusal": task(answers(&[
            json!({"state": "REFUSED", "error": "Blocked", "cause": "why"}),
            json!({"state": "SUPERSEDED", "superseded_by": "e", "error": "PlanSuperseded", "cause": "why"}),
        ])),
        "MarkInProgress": task(answers(&[json!({"state": "IN_PROGRESS"})])),
        "DeployWave": {"results": [
            [{"name": "a", "state": "SUCCEEDED"}],
            [{"name": "a", "state": "SUCCEEDED"}, {"name": "b", "state": "FAILED"}],
        ]},
        "DeployModule": task(json!([{"Output": {"state": "UNCHANGED"}}])),
        "RecordEnd": task(answers(&[
            json!({"state": "SUCCEEDED", "error": null, "cause": null}),
            json!({"state": "FAILED", "error": "DeploymentFailed", "cause": "why", "roll_back": null}),
            json!({"state": "FAILED", "error": "DeploymentFailed", "cause": "why",
                "roll_back": {"name": "rollback-of-e", "input": {"action": "rollback"}}}),
        ])),
        "StartRollback": task(json!([{"ExecutionArn": "e"}])),
    })
}

#[test]
fn of_deploy_each_has_a_result_and_a_failure_is_the_message_of_its_error() {
    let walked = walk(
        &StateMachine::read("deploy").definition,
        &inputs(),
        NOW,
        &of_deploy(),
    );
    for state in [
        "Superseded",
        "Planned",
        "DeployModule",
        "ModuleFailed",
        "Deployed",
        "Failed",
    ] {
        assert!(!ends(&walked, state).is_empty(), "{state} was not reached");
    }
    let causes: Vec<&str> = ends(&walked, "Failed")
        .iter()
        .map(|end| end["cause"].as_str().unwrap())
        .collect();
    assert!(causes.contains(&"the \"why\"\nof it"), "{causes:?}");
    assert!(
        causes.contains(&"why; the rollback could not be started: States.Timeout"),
        "{causes:?}"
    );
}

fn of_end_execution() -> Value {
    let refused = json!({"error": "AccessDenied", "cause": "why"});
    json!({
        "EndExecution": task(answers(&[
            json!({"done": "released"}),
            json!({"wait_seconds": 3}),
            json!({"done": "released", "refused": refused, "report": true}),
            json!({"wait_seconds": 3, "refused": refused}),
        ])),
        "ReportRefused": task(json!([{"MessageId": "m"}])),
        "KeepEvent": {"results": [{"MessageId": "m"}]},
    })
}

#[test]
fn of_end_execution_each_has_a_result_for_every_start() {
    let walked = walk(
        &StateMachine::read("end-execution").definition,
        &inputs(),
        NOW,
        &of_end_execution(),
    );
    assert!(!ends(&walked, "Settled").is_empty());
    let causes: Vec<&str> = ends(&walked, "NotSettled")
        .iter()
        .map(|end| end["cause"].as_str().unwrap())
        .collect();
    assert!(causes.contains(&"the \"why\"\nof it"), "{causes:?}");
    assert!(
        ends(&walked, "NotSettled")
            .iter()
            .all(|end| end["error"] != "NotSettledInTime")
    );
}

#[test]
fn of_plan_each_has_a_result_for_every_object() {
    let walked = walk(
        &StateMachine::read("plan").definition,
        &json!([{}, {"project": "p", "plan_only": false, "record_refusal": true}]),
        NOW,
        &json!({"StartPlan": task(json!([{"ExecutionArn": "e", "StartDate": "now"}]))}),
    );
    assert_eq!(ends(&walked, "StartPlan")[0]["output"], json!({"execution": "e"}));
}

#[test]
fn of_drift_each_has_a_result_and_a_failure_is_the_message_of_its_error() {
    let batch = json!({"checks": [{"module": {"project": "p"}}]});
    let listed = |batches: Value, after: Value| json!({"batches": batches, "after": after});
    let tasks = json!({
        "ListModules": task(answers(&[
            listed(json!([]), Value::Null),
            listed(json!([batch]), json!("deployed/p/d/g/m.json")),
            listed(json!([batch, batch]), Value::Null),
        ])),
        "CheckDrift": task(answers(&[
            json!({"began_at": "2026-01-01T00:00:00Z", "checks": []}),
            json!({"began_at": "2026-01-01T00:00:00Z", "checks": [{"module": {"project": "p"}}], "wait_seconds": 5}),
        ])),
        "CheckBatches": {"results": [
            [],
            [{"error": null, "cause": null}],
            [{"error": null, "cause": null}, {"error": "Refused", "cause": errors()[0]["Cause"]}],
        ]},
    });
    let walked = walk(
        &StateMachine::read("drift").definition,
        &json!([{}, {"project": "p"}]),
        NOW,
        &tasks,
    );
    for state in ["Checked", "Failed"] {
        assert!(!ends(&walked, state).is_empty(), "{state} was not reached");
    }
    let causes: Vec<&str> = ends(&walked, "Failed")
        .iter()
        .map(|end| end["cause"].as_str().unwrap())
        .collect();
    assert!(causes.contains(&"the \"why\"\nof it"), "{causes:?}");
}

/// Whether a rule's condition on a key takes it, by EventBridge's `wildcard` or `suffix`.
fn takes(condition: &Value, key: &str) -> bool {
    let Some(wildcard) = condition["wildcard"].as_str() else {
        return key.ends_with(condition["suffix"].as_str().expect("a wildcard or a suffix"));
    };
    let parts: Vec<&str> = wildcard.split('*').collect();
    let [first, between @ .., last] = &parts[..] else {
        panic!("a wildcard without a star: {wildcard}")
    };
    let Some(mut rest) = key.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    between.iter().all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[test]
fn an_upload_that_no_rule_takes_fails_with_the_keys_that_start_something() {
    let rules = Template::read("template.yaml").resources();
    let is_taken = |key: &str| {
        ["UploadRule", "RepositoryRule"].iter().any(|rule| {
            let keys = &rules[rule]["Properties"]["EventPattern"]["detail"]["object"]["key"];
            keys.as_array()
                .unwrap()
                .iter()
                .any(|condition| takes(condition, key))
        })
    };
    let started = [
        "sources/p/d/g/m.zip",
        "sources/p/d/g/m/again.zip",
        "sources/p/repository.zip",
        "sources/p/prod/repository.zip",
        "sources/p/d/g/m.tar.gz",
        "sources/p.tgz",
        "own/AROA1/modules/p/d/g/m.zip",
        "own/AROA1/repositories/p/d.zip",
    ];
    let module = "sources/{project}/{deployment}/{group}/{module}.zip";
    let repository = "sources/{project}/repository.zip or sources/{project}/{name}/repository.zip";
    let misplaced = [
        ("sources/shop/dev/vpc.zip", module),
        ("sources/shop/vpc.zip", repository),
        ("sources/shop.zip", repository),
        ("sources/repository.zip", repository),
        ("sources/shop/dev/network/vpc.ZIP", module),
        ("sources/shop/dev/network/vpc", module),
        ("source/shop/dev/network/vpc.zip", module),
        (
            "own/AROA1/shop/dev.zip",
            "own/{principal}/repositories/{project}/{deployment}.zip",
        ),
    ];
    let folder_of_the_console = "sources/shop/";
    let keys = started
        .into_iter()
        .chain([folder_of_the_console])
        .chain(misplaced.map(|(key, _)| key));
    let inputs: Vec<Value> = keys.map(|key| json!({"bucket": "work", "key": key})).collect();
    let machine = StateMachine::read("check-key").definition;
    let walked = walk(&machine, &json!(inputs), NOW, &json!({}));
    let taken: Vec<&str> = ends(&walked, "Taken")
        .iter()
        .map(|end| end["output"]["key"].as_str().unwrap())
        .collect();
    assert_eq!(taken, [&started[..], &[folder_of_the_console]].concat());
    for key in started {
        assert!(is_taken(key), "{key}");
    }
    let failed = ends(&walked, "Misplaced");
    assert_eq!(failed.len(), misplaced.len());
    for (end, (key, expected)) in failed.iter().zip(misplaced) {
        assert!(!is_taken(key), "{key}");
        let cause = end["cause"].as_str().unwrap();
        assert!(cause.contains(expected), "{cause}");
        assert!(cause.contains(&format!("found \"{key}\"")), "{cause}");
        assert_eq!(end["error"], "InvalidInput");
    }
}

#[test]
fn an_end_that_can_not_be_settled_in_time_is_kept_for_a_person() {
    let gives_up = |wait_seconds: u32, age| {
        let mut tasks = of_end_execution();
        tasks["EndExecution"] = task(answers(&[json!({"wait_seconds": wait_seconds})]));
        let walked = walk(
            &StateMachine::read("end-execution").definition,
            &json!([{"execution": "e"}]),
            age,
            &tasks,
        );
        let late = |end: &&Value| end["error"] == "NotSettledInTime";
        ends(&walked, "NotSettled").iter().any(late)
    };
    // Checks that are seconds apart fill the history sooner.
    assert!(gives_up(3, AN_HOUR) && gives_up(3, THREE_DAYS));
    assert!(!gives_up(120, AN_HOUR) && gives_up(120, THREE_DAYS));
    assert!(!gives_up(3, NOW));
}

#[test]
fn the_walk_finds_what_has_no_result_and_what_has_one_of_the_wrong_type() {
    for (state, field, expression, fault) in [
        (
            "KeepEvent",
            "Arguments",
            "{% $ended.executionArn %}",
            "did not return a result",
        ),
        (
            "Settle",
            "Seconds",
            "{% 'soon' %}",
            "Expected 'number', but was 'string'",
        ),
        (
            "NotSettled",
            "Cause",
            "{% $states.input %}",
            "Expected 'string', but was 'object'",
        ),
    ] {
        let mut machine = StateMachine::read("end-execution").definition;
        machine["States"][state][field] = expression.into();
        let asked = json!({"machine": machine, "inputs": inputs(), "age": NOW, "tasks": of_end_execution()});
        let faults = asl::walk(&asked)["faults"].to_string();
        assert!(faults.contains(state) && faults.contains(fault), "{faults}");
    }
}
