//! The way back: a whole deployment rolled back by one command or by itself, a tainted module, and a retry.

use seedflow_e2e::command_line::{Ran, seedflow};
use seedflow_e2e::{Finished, Group, Module, Repository, TestStack, run};
use serde_json::{Value, json};

use super::{STACK, assert_state, id_of, results};

const GROUPS: &[Group<'_>] = &[
    ("network", &[("vpc", &[])]),
    ("data", &[("store", &["network/vpc"])]),
];
const MORE: &[Group<'_>] = &[
    ("network", &[("vpc", &[]), ("new", &[])]),
    ("data", &[("store", &["network/vpc"])]),
];

#[track_caller]
fn ended(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    for part in parts {
        assert!(
            ran.out.contains(part) || ran.err.contains(part),
            "{part} is missing: {ran:?}"
        );
    }
}

fn name_of(finished: &Finished) -> &str {
    finished.execution.rsplit(':').next().expect("a name")
}

/// What a module publishes, and the name of the execution that last deployed it.
async fn published(stack: &TestStack, project: &str, module: &str) -> (Value, Value) {
    let id = id_of(project, module);
    let metadata = stack.parameter(&id, "metadata").await;
    let status = stack.parameter(&id, "status").await;
    (metadata["Value"].clone(), status["execution"].clone())
}

/// The last line that the build of a module printed of the value that it consumes.
async fn consumed(stack: &TestStack, project: &str) -> String {
    let status = stack.parameter(&id_of(project, "data/store"), "status").await;
    let build = stack.build(status["build_id"].as_str().expect("a build")).await;
    let log = stack.log(&build).await;
    let mut lines = log.iter().filter(|line| line.starts_with("network/vpc="));
    lines.next_back().cloned().unwrap_or_default()
}

#[test]
fn a_deployment_is_rolled_back_by_one_command_and_by_itself_and_both_causes_are_reported() {
    run(async {
        let (stack, project) = (STACK.get().await, "backwards");
        let first = Repository::deploying(GROUPS);
        let good = stack.deploy_repository(project, &first, json!({})).await;
        assert_state(&good, "SUCCEEDED");
        stack.deployment_released(project).await;
        let of = ["--project", project];
        let only_one = seedflow(stack, &[&["rollback", "dev", "--yes"][..], &of].concat()).await;
        ended(
            &only_one,
            4,
            &["expected an earlier execution that deployed all of it"],
        );
        stack.deployment_released(project).await;

        // Another value, which its consumer takes, and a module more.
        let second = Repository::deploying(MORE).publishing("network", "vpc", "two");
        assert_state(
            &stack.deploy_repository(project, &second, json!({})).await,
            "SUCCEEDED",
        );
        stack.deployment_released(project).await;
        assert_eq!(consumed(stack, project).await, "network/vpc=two");

        // By request nothing is destroyed; the command asks, and shows in its plan what it destroys.
        let by_request =
            json!({"action": "rollback", "project": project, "deployment": "dev", "plan_only": true});
        let plan = stack.finished(&stack.start_deployment(&by_request).await).await;
        assert_state_of_plan(&plan, name_of(&good));
        let unasked = seedflow(stack, &[&["rollback", "dev"][..], &of].concat()).await;
        ended(&unasked, 2, &["add --yes"]);
        let back = seedflow(stack, &[&["rollback", "dev", "--yes"][..], &of].concat()).await;
        ended(
            &back,
            0,
            &[
                &format!("Back to what {} left", name_of(&good)),
                "network/new  did not exist then",
                "data/store   unless network/vpc publishes other values",
                "vpc deployed (",
                "store deployed (",
                "new destroyed (",
            ],
        );
        stack.deployment_released(project).await;
        assert_eq!(published(stack, project, "network/vpc").await.0, "one");
        assert_eq!(consumed(stack, project).await, "network/vpc=one");
        assert!(stack.parameters(&id_of(project, "network/new")).await.is_empty());
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(
            (&status["state"], &status["rollback"]["to"]),
            (&json!("SUCCEEDED"), &json!(name_of(&good)))
        );
        // What was deployed is the first one again, so its own deployment has nothing to do.
        let again = stack.deploy_repository(project, &first, json!({})).await;
        assert_state(&again, "UNCHANGED");
        stack.deployment_released(project).await;

        // A deployment that fails, and asks to be rolled back.
        let failing = Repository::deploying(GROUPS)
            .publishing("network", "vpc", "three")
            .module(
                "modules/data-store",
                &Module::running("build", &["echo no space left; exit 3"]),
            );
        let more = json!({"on_failure": "rollback"});
        let bad = stack.deploy_repository(project, &failing, more).await;
        assert_eq!(bad.error, "DeploymentFailed", "{}", bad.cause);
        let next = format!("rollback-of-{}", name_of(&bad));
        assert!(bad.cause.contains(&format!("by {next}")), "{}", bad.cause);
        let machine = bad.execution.rsplit_once(':').expect("an ARN").0;
        let rollback = stack.finished(&format!("{machine}:{next}")).await;
        assert_state(&rollback, "SUCCEEDED");
        stack.deployment_released(project).await;
        assert_eq!(published(stack, project, "network/vpc").await.0, "one");
        assert_eq!(consumed(stack, project).await, "network/vpc=one");
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(status["rollback"]["after"]["execution"], bad.execution.as_str());

        // The policy asks for it, and the rollback fails, too: the kept bundle is gone.
        let policy = json!({"on_failure": "rollback"}).to_string();
        stack
            .put(&format!("policies/{project}/dev.json"), policy.into_bytes())
            .await;
        expire_bundle(stack, project, "network/vpc").await;
        let bad = stack.deploy_repository(project, &failing, json!({})).await;
        assert_eq!(bad.error, "DeploymentFailed", "{}", bad.cause);
        let rollback = format!("{machine}:rollback-of-{}", name_of(&bad));
        let rollback = stack.finished(&rollback).await;
        assert_eq!(rollback.error, "SourceNotFound", "{}", rollback.cause);
        for part in [
            "nothing was started",
            "network/vpc: its bundle is not kept any more",
            &format!("{} failed: data/store: ", name_of(&bad)),
            "no space left",
        ] {
            assert!(rollback.cause.contains(part), "{part}: {}", rollback.cause);
        }
        stack.deployment_released(project).await;
        let status = stack.deployment_status(project, "dev").await;
        let refused = status["refused"]["cause"].as_str().unwrap_or_default();
        assert!(
            refused.contains("not kept any more") && refused.contains("no space left"),
            "{status}"
        );
    });
}

/// Removes the kept bundle of what is deployed, as the lifecycle rule does with old ones.
async fn expire_bundle(stack: &TestStack, project: &str, module: &str) {
    let id = id_of(project, module);
    let record = stack.object(&id.record_key()).await.expect("a record");
    let record: Value = serde_json::from_slice(&record).expect("JSON");
    let version = record["bundle"]["version_id"].as_str().expect("a version");
    let bucket = &stack.about().work_bucket;
    let expired = stack
        .client()
        .delete_version(bucket, &id.kept_bundle_key(), version)
        .await;
    expired.expect("a version that can be removed");
}

/// A plan that is only shown, of a rollback that destroys nothing.
#[track_caller]
fn assert_state_of_plan(plan: &Finished, to: &str) {
    assert_eq!(
        plan.output["rollback"]["to"], to,
        "{}: {}",
        plan.error, plan.cause
    );
    let modules = plan.output["modules"].as_array().expect("modules");
    assert!(
        modules.iter().all(|module| module["action"] != "destroy"),
        "{modules:?}"
    );
    let warnings = plan.output["warnings"].to_string();
    assert!(
        warnings.contains("network/new: it did not exist then"),
        "{warnings}"
    );
}

#[test]
fn a_tainted_module_is_deployed_again_and_a_retry_runs_only_what_failed() {
    run(async {
        let (stack, project) = (STACK.get().await, "tainting");
        let repository = Repository::deploying(GROUPS);
        assert_state(
            &stack.deploy_repository(project, &repository, json!({})).await,
            "SUCCEEDED",
        );
        stack.deployment_released(project).await;
        let of = ["--project", project];
        let taint = |module: &'static str| async move {
            seedflow(stack, &["taint", module, "--project", project]).await
        };
        ended(
            &taint("dev/data/store").await,
            0,
            &["the next deployment deploys it"],
        );
        stack.released(&id_of(project, "data/store")).await;
        let plan_only = json!({"plan_only": true});
        let plan = stack.deploy_repository(project, &repository, plan_only).await;
        let reason = &plan.output["modules"][1]["reasons"][0];
        assert!(
            reason.as_str().is_some_and(|why| why.starts_with("tainted at ")),
            "{reason}"
        );
        let before = published(stack, project, "network/vpc").await;
        let deployed = stack.deploy_repository(project, &repository, json!({})).await;
        let ends = results(stack, &deployed).await;
        assert_eq!(
            [&ends["network/vpc"], &ends["data/store"]],
            ["UNCHANGED", "SUCCEEDED"]
        );
        stack.deployment_released(project).await;
        let again = stack.deploy_repository(project, &repository, json!({})).await;
        assert_state(&again, "UNCHANGED");
        stack.deployment_released(project).await;

        // All is forced, and one fails: the retry forces only that one.
        let fails_once = tempfile::tempdir().expect("a folder");
        let mark = fails_once.path().join("mark");
        let command = format!("test -e {0} || {{ touch {0}; exit 3; }}", mark.display());
        let failing = repository.module("modules/data-store", &Module::running("build", &[&command]));
        let bad = stack
            .deploy_repository(project, &failing, json!({"force_update": true}))
            .await;
        assert_eq!(bad.error, "DeploymentFailed", "{}", bad.cause);
        stack.deployment_released(project).await;
        let forced = published(stack, project, "network/vpc").await;
        assert_ne!(forced.1, before.1);
        let nothing = taint("dev/data/store").await;
        ended(
            &nothing,
            4,
            &["with a last deployment that failed, so the next one deploys it anyway"],
        );
        stack.released(&id_of(project, "data/store")).await;
        let retried = seedflow(stack, &[&["retry", name_of(&bad)][..], &of].concat()).await;
        ended(&retried, 0, &["store deployed ("]);
        assert!(!retried.out.contains("vpc deployed"), "{retried:?}");
        stack.deployment_released(project).await;
        assert_eq!(published(stack, project, "network/vpc").await, forced);
    });
}
