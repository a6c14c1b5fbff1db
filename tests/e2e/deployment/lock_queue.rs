//! A deployment has one execution at a time. After a burst of pushes the newest runs next, and a stopped one stops its
//! modules.

use seedflow_core::telemetry::metric::Metric;
use seedflow_e2e::{Finished, Group, Module, Repository, eventually, run};
use serde_json::{Value, json};

use super::{STACK, THREE, assert_state, id_of, pages};

/// A repository of one module whose build takes a while.
fn slow(tag: &str, seconds: u32) -> Repository {
    let module = Module::running(
        "build",
        &[
            &format!("sleep {seconds}"),
            &format!("seedfarmer metadata add -k Tag -v {tag}"),
        ],
    );
    Repository::deploying(&[("network", &[("vpc", &[])])]).module("modules/network-vpc", &module)
}

#[test]
fn of_ten_pushes_the_newest_is_next_and_the_others_are_superseded() {
    run(async {
        let stack = STACK.get().await;
        let project = "pushes";
        let mut started = Vec::new();
        for push in 0..10 {
            let input = stack
                .repository_input(project, &slow(&format!("push-{push}"), 3), json!({}))
                .await;
            started.push(stack.start_deployment(&input).await);
        }
        let mut finished: Vec<Finished> = Vec::new();
        for execution in &started {
            finished.push(stack.finished(execution).await);
        }
        let (deployed, superseded): (Vec<_>, Vec<_>) = finished
            .iter()
            .partition(|finished| finished.state() == "SUCCEEDED");
        assert!(
            (1..=2).contains(&deployed.len()),
            "{} deployments",
            deployed.len()
        );
        for one in superseded {
            assert_state(one, "SUPERSEDED");
            let by = one.output["superseded_by"].as_str().expect("an execution");
            assert!(started.contains(&by.to_owned()), "{by}");
        }
        let metadata = stack.parameter(&id_of(project, "network/vpc"), "metadata").await;
        assert_eq!(metadata["Tag"], "push-9");
    });
}

#[test]
fn a_part_is_refused_while_the_whole_is_deployed_and_replaces_nobody() {
    run(async {
        let stack = STACK.get().await;
        let project = "busy";
        let repository = slow("whole", 4);
        let whole = stack.repository_input(project, &repository, json!({})).await;
        let whole = stack.start_deployment(&whole).await;
        eventually("a lock", || async {
            stack.object(&format!("locks/{project}/dev.json")).await
        })
        .await;
        let part = stack
            .deploy_repository(project, &repository, json!({"only": ["network"]}))
            .await;
        assert_eq!(part.error, "DeploymentBusy");
        assert!(part.cause.contains(&whole), "{}", part.cause);
        assert_state(&stack.finished(&whole).await, "SUCCEEDED");
    });
}

#[test]
fn a_deployment_has_one_lock_whatever_its_manifest_is_called() {
    run(async {
        let stack = STACK.get().await;
        let project = "manifests";
        let path = "manifests/dev/deployment.yaml";
        let phases = |command: &str| json!({"phases": {"build": {"commands": [command]}}});
        let module = json!({"deploy": phases("sleep 6"), "destroy": phases("true")});
        let repository = slow("whole", 6)
            .module(
                "modules/network-vpc",
                &Module::with_deployspec(&module.to_string()),
            )
            .moved("deployment.yaml", path);
        let input = stack
            .repository_input(project, &repository, json!({"manifest": path}))
            .await;
        let whole = stack.start_deployment(&input).await;
        let lock = format!("locks/{project}/dev.json");
        eventually("a lock", || async { stack.object(&lock).await }).await;
        // It names no manifest.
        let all = json!({"project": project, "deployment": "dev", "action": "destroy"});
        let refused = stack.finished(&stack.start_deployment(&all).await).await;
        assert_eq!(refused.error, "DeploymentBusy", "{}", refused.cause);
        assert!(refused.cause.contains(&whole), "{}", refused.cause);
        assert_state(&stack.finished(&whole).await, "SUCCEEDED");
        stack.deployment_released(project).await;

        let destroyed = stack.finished(&stack.start_deployment(&all).await).await;
        assert_state(&destroyed, "DESTROYED");
        let took = stack
            .measured(
                "record-deployment",
                Metric::DeploymentSeconds,
                &destroyed.execution,
            )
            .await;
        assert!(
            took.iter().all(|seconds| (0.0..3600.0).contains(seconds)),
            "{took:?}"
        );
        stack.deployment_released(project).await;
        // Nothing is deployed any more, so nothing is written or reported.
        let mut part = all.clone();
        part["only"] = json!(["network"]);
        let unknown = stack.finished(&stack.start_deployment(&part).await).await;
        assert_eq!(unknown.error, "InvalidInput", "{}", unknown.cause);
        stack.deployment_released(project).await;
        let again = stack.finished(&stack.start_deployment(&all).await).await;
        assert_state(&again, "UNCHANGED");
        assert!(stack.deployment_status(project, "dev").await.is_null());
        let name = again.execution.rsplit(':').next().unwrap();
        let reports = stack.keys(&format!("reports/{project}/dev/{name}")).await;
        assert_eq!(reports, Vec::<String>::new());
    });
}

#[test]
fn a_status_that_is_too_long_for_a_parameter_is_stored_and_read_by_all() {
    run(async {
        let stack = STACK.get().await;
        let project = "many-groups";
        // A hundred names of 64 characters leave little room beside them. Only one of the groups is deployed.
        let names_of_groups: Vec<String> = (0..100).map(|n| format!("{}-{n:03}", "g".repeat(60))).collect();
        let groups: Vec<Group<'_>> = names_of_groups
            .iter()
            .map(|name| (name.as_str(), &[("m", &[] as &[&str])] as &[_]))
            .collect();
        let only = json!({"only": [names_of_groups[0]]});
        let parameter = async || {
            let name = format!("/sf/{project}/dev/status");
            let found = stack.call("ssm", "AmazonSSM.GetParameters", json!({"Names": [name]}));
            found.await["Parameters"][0]["Value"].as_str().map(str::to_owned)
        };
        let is_in_s3 = async || {
            parameter()
                .await
                .is_some_and(|text| text.starts_with("{\"stored_in_s3\""))
        };

        // Written by end-execution, with a reason of three thousand bytes.
        let phases = |command: &str| json!({"phases": {"build": {"commands": [command]}}});
        let spec = json!({"deploy": phases("sleep 600"), "destroy": phases("true")});
        let slow = Module::with_deployspec(&spec.to_string());
        let repository =
            Repository::deploying(&groups).module(&format!("modules/{}-m", names_of_groups[0]), &slow);
        let input = stack.repository_input(project, &repository, only).await;
        let execution = stack.start_deployment(&input).await;
        let module = id_of(project, &format!("{}/m", names_of_groups[0]));
        eventually("a build", || async {
            let status = stack.parameter(&module, "status").await;
            stack.build_of(status["execution"].as_str()?).await;
            Some(())
        })
        .await;
        let stop = json!({"executionArn": execution, "error": "Changed.My.Mind", "cause": "日".repeat(1000)});
        stack.call("states", "AWSStepFunctions.StopExecution", stop).await;
        stack.deployment_released(project).await;
        stack.released(&module).await;
        assert!(is_in_s3().await);
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(
            (&status["state"], &status["groups"]),
            (&json!("ABORTED"), &json!(names_of_groups))
        );

        // Read and written by record-deployment, which refuses a manifest with many mistakes, where they count.
        let strict = format!("project: {project}\nmanifestValidationFailOnUnknownFields: true\n");
        let mistakes: String = (10..30).map(|n| format!("{}{n}: 1\n", "日".repeat(50))).collect();
        let broken = repository
            .clone()
            .file("deployment.yaml", format!("name: dev\ngroups: []\n{mistakes}"))
            .file("seedfarmer.yaml", strict);
        let refused = stack.deploy_repository(project, &broken, json!({})).await;
        assert_eq!(refused.error, "InvalidManifest", "{}", refused.cause);
        assert!(is_in_s3().await);
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(
            (&status["state"], &status["groups"]),
            (&json!("ABORTED"), &json!(names_of_groups))
        );
        assert_eq!(status["refused"]["execution"], refused.execution.as_str());
        stack.deployment_released(project).await;

        // Read by plan-deployment, which destroys in the order of its groups; nothing of the deployment remains.
        let all = json!({"project": project, "deployment": "dev", "action": "destroy"});
        let destroyed = stack.finished(&stack.start_deployment(&all).await).await;
        assert_state(&destroyed, "DESTROYED");
        assert_eq!(parameter().await, None);
        assert_eq!(
            stack.keys(&format!("values/{project}/")).await,
            Vec::<String>::new()
        );
    });
}

#[test]
fn a_stopped_deployment_stops_its_modules_and_says_so() {
    run(async {
        let stack = STACK.get().await;
        let project = "stopped";
        let module = Module::running("build", &["sleep 600"]);
        let repository = Repository::deploying(THREE).module("modules/network-vpc", &module);
        let input = stack.repository_input(project, &repository, json!({})).await;
        let execution = stack.start_deployment(&input).await;
        let vpc = id_of(project, "network/vpc");
        let build = eventually("a build", || async {
            let status = stack.parameter(&vpc, "status").await;
            let module = status["execution"].as_str()?.to_owned();
            Some(stack.build_of(&module).await)
        })
        .await;
        pages::show_progress(stack, project, &execution).await;
        let stop = json!({"executionArn": execution, "error": "Changed.My.Mind", "cause": "wrong branch"});
        stack.call("states", "AWSStepFunctions.StopExecution", stop).await;
        stack.deployment_released(project).await;
        // Nothing of it runs any more, so the next one doesn't wait for the lock.
        let lines = stack.lines("end-execution").await;
        let waits = |line: &&Value| line["execution"] == execution.as_str() && line["message"] == "waiting";
        assert_eq!(lines.iter().find(waits), None);
        stack.released(&vpc).await;
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(status["state"], "ABORTED", "{status}");
        assert!(
            status["reason"].as_str().unwrap().contains("wrong branch"),
            "{status}"
        );
        assert_eq!(stack.parameter(&vpc, "status").await["state"], "ABORTED");
        assert_eq!(stack.build(&build).await["buildStatus"], "STOPPED");
        let later = stack.parameters(&id_of(project, "data/store")).await;
        assert!(later.is_empty(), "{later:?}");
        pages::show_stopped(stack, project, &execution).await;
        pages::show_stopped_module(stack, &vpc).await;
    });
}
