//! If a module fails, the others of its group finish, later groups don't start, and the next run continues from there.

use seedflow_e2e::{EventQueue, Group, Module, Repository, TestStack, eventually, run, schema};
use serde_json::{Value, json};

use super::{STACK, THREE, assert_state, deployed_by, executed_between, pages, results};

#[test]
fn a_run_goes_on_where_the_last_one_failed() {
    run(async {
        let stack = STACK.get().await;
        let project = "goes-on";
        let mut received = EventQueue::of_project(stack, project).await;
        let repository = Repository::deploying(THREE);
        let failing = Module::running("build", &["echo no space left; exit 3"]);
        let broken = repository.clone().module("modules/data-store", &failing);
        let failed = stack.deploy_repository(project, &broken, json!({})).await;
        assert_eq!(
            (failed.status.as_str(), failed.error.as_str()),
            ("FAILED", "DeploymentFailed")
        );
        for part in [
            "data/store failed: ",
            "2 of later groups never started",
            "start it again",
        ] {
            assert!(failed.cause.contains(part), "{}", failed.cause);
        }
        let ended = results(stack, &failed).await;
        assert_eq!(ended["data/store"], "FAILED");
        assert_eq!(ended["data/queue"], "SUCCEEDED");
        assert_eq!(
            [&ended["apps/web"], &ended["apps/worker"]],
            ["NOT_STARTED", "NOT_STARTED"]
        );
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(
            (&status["state"], &status["failed"]),
            (&json!("FAILED"), &json!(["data/store"]))
        );
        assert_eq!(
            status["cause"],
            "data/store: no space left (`echo no space left; exit 3` failed with exit status 3)"
        );
        stack.deployment_released(project).await;
        pages::show(stack, project, &failed).await;

        let before = deployed_by(stack, project).await;
        let mended = stack.deploy_repository(project, &repository, json!({})).await;
        assert_state(&mended, "SUCCEEDED");
        assert_eq!(
            executed_between(&before, &deployed_by(stack, project).await),
            ["data/store", "apps/web", "apps/worker"]
        );
        // Four of its own, and two for each of the seven module runs.
        let events = received.count("events", 18).await;
        assert_deployment_events(&events, [&failed.execution, &mended.execution]).await;
        pages::stay(stack, project, &mended.execution, &events).await;
    });
}

/// A failed deployment and the one that repaired it, with the modules as parts of them.
async fn assert_deployment_events(events: &[Value], [failed, mended]: [&String; 2]) {
    let (modules, mut deployments): (Vec<Value>, Vec<Value>) = events
        .iter()
        .map(|event| event["detail"].clone())
        .partition(|detail| detail["module"].is_string());
    deployments.sort_by_key(|detail| detail["at"].as_str().map(str::to_owned));
    let reported: Vec<Value> = deployments
        .iter()
        .map(|detail| json!([detail["state"], detail["recovered"], detail["execution"]]))
        .collect();
    assert_eq!(
        reported,
        [
            json!(["IN_PROGRESS", false, failed]),
            json!(["FAILED", false, failed]),
            json!(["IN_PROGRESS", false, mended]),
            json!(["SUCCEEDED", true, mended]),
        ]
    );
    assert_eq!(deployments[1]["failed"], json!(["data/store"]));
    let message = deployments[1]["message"].as_str().unwrap();
    assert!(
        message.contains("1 failed") && message.contains("data/store: "),
        "{message}"
    );
    for detail in &modules {
        let part_of = detail["part_of"].as_str().unwrap();
        assert!(part_of == failed || part_of == mended, "{detail}");
    }
    for (name, details) in [
        ("deployment-state-change", &deployments),
        ("module-state-change", &modules),
    ] {
        let faults = schema::faults(name, details).await;
        assert!(faults.is_empty(), "{faults:#?}\n{details:#?}");
    }
}

#[test]
fn an_invalid_manifest_is_reported_with_file_line_and_field_and_changes_nothing() {
    run(async {
        let stack = STACK.get().await;
        let project = "not-valid";
        let manifest = "name: dev\ngroups:\n  - name: network\n    modules:\n      - name: vpc\n        path: modules/nowhere\n        \"{{colour}}\": blue\n";
        let repository = Repository::deploying(THREE).file("deployment.yaml", manifest);
        let failed = stack.deploy_repository(project, &repository, json!({})).await;
        assert_eq!(failed.error, "InvalidManifest", "{}", failed.cause);
        for part in [
            "deployment.yaml:6: ",
            "modules/nowhere",
            "deployment.yaml:7: ",
            // An error that Parameter Store would refuse is reported as it is.
            "{{colour}}",
        ] {
            assert!(failed.cause.contains(part), "{}", failed.cause);
        }
        // A deployment that never was has only the refusal.
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(
            (&status["state"], &status["error"]),
            (&json!("REFUSED"), &json!("InvalidManifest"))
        );
        let reason = status["reason"].as_str().unwrap();
        assert!(reason.contains("{{colour}}"), "{reason}");
        assert_eq!(status["refused"]["execution"], failed.execution.as_str());
        assert!(
            deployed_by(stack, project)
                .await
                .values()
                .all(serde_json::Value::is_null)
        );

        let bad = stack
            .deploy_repository(project, &repository, json!({"only": "network"}))
            .await;
        assert_eq!(bad.error, "InvalidInput");
        let nothing = stack
            .start_deployment(&json!({"project": project, "source": {"key": "uploads/nothing.zip"}}))
            .await;
        assert_eq!(stack.finished(&nothing).await.error, "SourceNotFound");
    });
}

#[test]
fn a_refused_deployment_stays_as_it_was_and_has_a_report_whether_or_not_the_lock_is_free() {
    run(async {
        let stack = STACK.get().await;
        let project = "refused";
        let one: &[Group<'_>] = &[("network", &[("vpc", &[])])];
        let repository = Repository::deploying(one);
        assert_state(
            &stack.deploy_repository(project, &repository, json!({})).await,
            "SUCCEEDED",
        );
        stack.deployment_released(project).await;
        let good = stack.deployment_status(project, "dev").await;
        let broken = Repository::deploying(one).file(
            "deployment.yaml",
            "name: dev\ngroups:\n- name: network\n  modules:\n  - {name: vpc, path: modules/nowhere}\n",
        );
        // A plan by itself changes nothing at all; the check of a hand-over records what it refuses, with the commit.
        let plan = json!({"plan_only": true});
        let failed = stack.deploy_repository(project, &broken, plan).await;
        assert_eq!(failed.error, "InvalidManifest", "{}", failed.cause);
        assert_eq!(stack.deployment_status(project, "dev").await, good);

        let check = json!({"plan_only": true, "record_refusal": true});
        let bucket = &stack.about().work_bucket;
        let key = "uploads/git/refused/repository.zip";
        let put = stack
            .client()
            .put_object_with(bucket, key, broken.zip(), &[("commit", "c0ffee")])
            .await;
        put.expect("storing a repository");
        let mut input = json!({"project": project, "source": {"bucket": bucket, "key": key}});
        let fields = input.as_object_mut().expect("an input");
        fields.extend(check.as_object().expect("more").clone());
        let refused = stack.finished(&stack.start_deployment(&input).await).await;
        assert_eq!(refused.error, "InvalidManifest", "{}", refused.cause);
        stack.deployment_released(project).await;
        let mut status = stack.deployment_status(project, "dev").await;
        let recorded = status.as_object_mut().expect("a status").remove("refused");
        assert_eq!(status, good);
        let recorded = recorded.expect("a refusal");
        assert_eq!(
            (&recorded["execution"], &recorded["commit"], &recorded["error"]),
            (
                &json!(refused.execution),
                &json!("c0ffee"),
                &json!("InvalidManifest")
            )
        );
        reported(stack, project, &refused.execution).await;

        // So does an input that names nothing of the manifest.
        let nobody = json!({"only": ["nowhere"]});
        let unknown = stack.deploy_repository(project, &repository, nobody).await;
        assert_eq!(unknown.error, "InvalidInput", "{}", unknown.cause);
        stack.deployment_released(project).await;
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(
            (&status["state"], &status["refused"]["execution"]),
            (&json!("SUCCEEDED"), &json!(unknown.execution))
        );

        // While another execution holds the lock, its status is left alone.
        let slow = repository
            .clone()
            .module("modules/network-vpc", &Module::running("build", &["sleep 600"]));
        let running = stack
            .start_deployment(&stack.repository_input(project, &slow, json!({})).await)
            .await;
        let status = eventually("a deployment in progress", || async {
            let status = stack.deployment_status(project, "dev").await;
            (status["state"] == "IN_PROGRESS").then_some(status)
        })
        .await;
        assert!(status["refused"].is_null(), "{status}");
        let refused = stack.finished(&stack.start_deployment(&input).await).await;
        assert_eq!(refused.error, "InvalidManifest", "{}", refused.cause);
        reported(stack, project, &refused.execution).await;
        assert_eq!(stack.deployment_status(project, "dev").await, status);
        let stop = json!({"executionArn": running});
        stack.call("states", "AWSStepFunctions.StopExecution", stop).await;
        stack.deployment_released(project).await;
    });
}

/// Waits for the report of a refusal and its page.
async fn reported(stack: &TestStack, project: &str, execution: &str) {
    let name = execution.rsplit(':').next().expect("a name");
    let report = format!("reports/{project}/dev/{name}");
    let stored = stack.object(&format!("{report}.json")).await.expect("a report");
    let stored: Value = serde_json::from_slice(&stored).expect("JSON");
    assert_eq!(
        (&stored["status"]["state"], &stored["status"]["commit"]),
        (&json!("REFUSED"), &json!("c0ffee"))
    );
    let page = eventually("a page", || async {
        stack.object(&format!("{report}.html")).await
    })
    .await;
    assert!(String::from_utf8_lossy(&page).contains("modules/nowhere"));
}
