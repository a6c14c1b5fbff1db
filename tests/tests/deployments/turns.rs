//! One deployment of a manifest at a time; of a burst of pushes the newest is next, and a stopped one stops its modules.

use seedflow_tests::{Finished, Group, Module, Repository, eventually, run};
use serde_json::json;

use crate::{STACK, THREE, assert_state, names};

/// A repository of one module that takes a while.
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
        let metadata = stack.parameter(&names(project, "network/vpc"), "metadata").await;
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
            stack
                .object(&format!("locks/{project}/deployment.yaml.json"))
                .await
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
fn a_status_that_is_too_long_for_a_parameter_is_stored_and_read_by_all() {
    run(async {
        let stack = STACK.get().await;
        let project = "many-groups";
        // 140 names of 60 characters: the status names all groups, though only one of them is deployed.
        let names_of_groups: Vec<String> = (0..140).map(|n| format!("{}-{n:03}", "g".repeat(56))).collect();
        let groups: Vec<Group<'_>> = names_of_groups
            .iter()
            .map(|name| (name.as_str(), &[("m", &[] as &[&str])] as &[_]))
            .collect();
        let (first, last) = (&names_of_groups[0], &names_of_groups[139]);
        let slow = Module::running("build", &["sleep 600"]);
        let repository = Repository::deploying(&groups).module(&format!("modules/{last}-m"), &slow);
        let parameter = async || {
            let path = format!("/sf/{project}/dev");
            let found = stack.call(
                "ssm",
                "AmazonSSM.GetParameters",
                json!({"Names": [format!("{path}/status")]}),
            );
            found.await["Parameters"][0]["Value"].as_str().map(str::to_owned)
        };
        // Written by record-deployment.
        let only = |group: &String| json!({"only": [group]});
        let finished = stack.deploy_repository(project, &repository, only(first)).await;
        assert_state(&finished, "SUCCEEDED");
        let stored = parameter().await.expect("a status");
        assert!(stored.contains("\"stored_in_s3\""), "{stored}");
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(status["groups"], json!(names_of_groups));
        stack.deployment_released(project).await;

        // Read and written by end-execution.
        let input = stack.repository_input(project, &repository, only(last)).await;
        let execution = stack.start_deployment(&input).await;
        let module = names(project, &format!("{last}/m"));
        eventually("a build", || async {
            let status = stack.parameter(&module, "status").await;
            stack.build_of(status["execution"].as_str()?).await;
            Some(())
        })
        .await;
        let stop = json!({"executionArn": execution, "error": "Changed.My.Mind", "cause": "wrong branch"});
        stack.call("states", "AWSStepFunctions.StopExecution", stop).await;
        stack.deployment_released(project).await;
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(
            (&status["state"], &status["groups"]),
            (&json!("ABORTED"), &json!(names_of_groups))
        );
        stack.released(&module).await;

        // Read by plan-deployment, which destroys in the order of its groups; nothing is left of it.
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
        let module = Module::running("build", &["sleep 60"]);
        let repository = Repository::deploying(THREE).module("modules/network-vpc", &module);
        let input = stack.repository_input(project, &repository, json!({})).await;
        let execution = stack.start_deployment(&input).await;
        let vpc = names(project, "network/vpc");
        let build = eventually("a build", || async {
            let status = stack.parameter(&vpc, "status").await;
            let module = status["execution"].as_str()?.to_owned();
            Some(stack.build_of(&module).await)
        })
        .await;
        let stop = json!({"executionArn": execution, "error": "Changed.My.Mind", "cause": "wrong branch"});
        stack.call("states", "AWSStepFunctions.StopExecution", stop).await;
        stack.deployment_released(project).await;
        stack.released(&vpc).await;
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(status["state"], "ABORTED", "{status}");
        assert!(
            status["reason"].as_str().unwrap().contains("wrong branch"),
            "{status}"
        );
        assert_eq!(stack.parameter(&vpc, "status").await["state"], "ABORTED");
        assert_eq!(stack.build(&build).await["buildStatus"], "STOPPED");
        let later = stack.parameters(&names(project, "data/store")).await;
        assert!(later.is_empty(), "{later:?}");
    });
}
