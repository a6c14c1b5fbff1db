//! Deliveries of a build's end and of an execution's start: once, twice, early.

use std::time::Duration;

use seedflow_e2e::{Action, Caller, Module, Rule, TestStack, eventually, run};
use serde_json::{Value, json};

use super::{STACK, assert_state};

/// A CodeBuild project of a test's own. Its name is part of the build's id, and so of every call and event about the
/// build; a rule of the proxy uses it to affect this test only.
fn own_project(stack: &TestStack, name: &str) -> (String, Value) {
    let project = format!("{}-{name}", stack.about().project_name);
    let more = json!({"build": {"project_name": project}});
    (project, more)
}

#[test]
fn an_event_that_arrives_twice_answers_once() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("twice");
        let (project, more) = own_project(stack, "twice");
        let twice = stack.rule(Rule::new("events", "PutEvents", Action::Duplicate).contains(&project));
        let finished = stack
            .deploy_with(&id, &Module::running("build", &["sleep 2"]), more)
            .await;
        assert_state(&finished, "SUCCEEDED");
        assert!(twice.applied() > 0);
        // Again, long afterwards: no execution waits, and nothing is left to answer.
        stack
            .send_build_end(finished.build_id().expect("a build"), "FAILED")
            .await;
        assert_eq!(stack.parameter(&id, "status").await["state"], "SUCCEEDED");
        stack.released(&id).await;
        assert_eq!(
            stack.keys(&format!("callbacks/{project}")).await,
            Vec::<String>::new()
        );
    });
}

#[test]
fn an_event_that_arrives_before_the_token_costs_no_timeout() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("early");
        let (project, more) = own_project(stack, "early");
        // The registration is delayed until the build has long ended and its event has found nothing.
        let late =
            Rule::new("s3", "PutObject", Action::Delay(Duration::from_secs(6))).caller(Caller::Functions);
        let late = stack.rule(late.contains(&format!("callbacks/{project}")));
        let finished = stack
            .deploy_with(&id, &Module::running("build", &["true"]), more)
            .await;
        assert_state(&finished, "SUCCEEDED");
        assert_eq!(late.applied(), 1);
        let rounds = finished
            .states
            .iter()
            .filter(|(state, _)| state == "AwaitBuild")
            .count();
        assert_eq!(rounds, 1, "AwaitBuild was entered once");
        stack.released(&id).await;
        assert_eq!(
            stack.keys(&format!("callbacks/{project}")).await,
            Vec::<String>::new()
        );
    });
}

/// The newest execution whose input names this key.
async fn execution_of(stack: &TestStack, key: &str) -> String {
    let described = described(stack, key).await;
    let execution = described
        .as_ref()
        .and_then(|described| described["executionArn"].as_str());
    execution
        .unwrap_or_else(|| panic!("no execution of {key}"))
        .to_owned()
}

/// What Step Functions says of that execution, if there is one.
pub(super) async fn described(stack: &TestStack, key: &str) -> Option<Value> {
    newest_of(stack, &stack.about().state_machine_arn, key).await
}

/// What Step Functions says of the newest execution of a state machine whose input names this key.
async fn newest_of(stack: &TestStack, machine: &str, key: &str) -> Option<Value> {
    for execution in stack.executions_of(machine).await {
        let call = json!({"executionArn": execution});
        let described = stack
            .call("states", "AWSStepFunctions.DescribeExecution", call)
            .await;
        if described["input"]
            .as_str()
            .is_some_and(|input| input.contains(key))
        {
            return Some(described);
        }
    }
    None
}

#[test]
fn an_upload_of_another_archive_or_with_a_wrong_number_of_levels_starts_an_execution_that_says_so() {
    run(async {
        let stack = STACK.get().await;
        let deploy_module = &stack.about().state_machine_arn;
        let check_key = &deploy_module.replace("deploy-module", "check-key");
        let module = "sources/{project}/{deployment}/{group}/{module}.zip";
        for (key, machine, message) in [
            (
                "sources/uploaded/prod/net/vpc.tar.gz",
                deploy_module,
                "only zips are read",
            ),
            ("sources/uploaded/prod/net/vpc/again.zip", deploy_module, module),
            ("sources/uploaded/prod/vpc.zip", check_key, module),
            ("source/uploaded/prod/net/vpc.zip", check_key, module),
        ] {
            stack.put(key, vec![0x1f, 0x8b]).await;
            let ended = eventually("the end of the execution of an upload", || async {
                let found = newest_of(stack, machine, key).await;
                found.filter(|described| described["status"] != "RUNNING")
            })
            .await;
            assert_eq!(
                (&ended["status"], &ended["error"]),
                (&json!("FAILED"), &json!("InvalidInput")),
                "{ended}"
            );
            let cause = ended["cause"].as_str().expect("a cause");
            assert!(cause.contains(message) && cause.contains(key), "{cause}");
        }
    });
}

#[test]
fn an_upload_starts_an_execution_with_the_names_of_its_key() {
    run(async {
        let stack = STACK.get().await;
        let id = seedflow_e2e::module_id("uploaded", "prod", "net", "vpc");
        let module = Module::running(
            "build",
            &["seedfarmer metadata add -k Cidr -v \"$SEEDFARMER_PARAMETER_VPC_CIDR\""],
        )
        .file(
            "manifest.yaml",
            "parameters:\n  vpc-cidr: 10.0.0.0/16\nbundle: no\n",
        );
        stack.put("sources/uploaded/prod/net/vpc.zip", module.zip()).await;
        let status = eventually("the status of an uploaded module", || async {
            let status = stack.parameter(&id, "status").await;
            (status["state"] == "SUCCEEDED" || status["state"] == "FAILED").then_some(status)
        })
        .await;
        assert_eq!(status["state"], "SUCCEEDED", "{status}");
        assert_eq!(stack.parameter(&id, "metadata").await["Cidr"], "10.0.0.0/16");
        assert_eq!(
            stack
                .object_of(&stack.about().bundle_bucket, "prod/net/vpc/bundle.zip")
                .await,
            None
        );
    });
}

/// The lock is granted to the execution of an older upload after a newer upload was deployed, as for an execution that
/// a late or repeated event starts.
#[test]
fn an_old_upload_is_not_deployed_over_a_newer_one() {
    run(async {
        let stack = STACK.get().await;
        let id = seedflow_e2e::module_id("uploaded", "prod", "net", "late");
        let key = format!("sources/{id}.zip");
        let tagged = |tag: &str| {
            let command = format!("seedfarmer metadata add -k Tag -v {tag}");
            Module::running("build", &[&command]).zip()
        };
        let late = Rule::new("s3", "PutObject", Action::Delay(Duration::from_secs(12)))
            .caller(Caller::Functions)
            .contains(&format!("locks/{id}.json"))
            .times(1);
        let late = stack.rule(late);
        stack.put(&key, tagged("old")).await;
        eventually("the execution of the old upload", || async {
            (late.applied() == 1).then_some(())
        })
        .await;
        let old = execution_of(stack, &key).await;
        stack.put(&key, tagged("new")).await;
        eventually("the new upload's deployment", || async {
            let status = stack.parameter(&id, "status").await;
            (status["state"] == "SUCCEEDED").then_some(())
        })
        .await;
        let ended = stack.finished(&old).await;
        assert!(["UNCHANGED", "SUPERSEDED"].contains(&ended.state()), "{ended:?}");
        assert_eq!(stack.parameter(&id, "metadata").await["Tag"], "new");
    });
}

#[test]
fn a_manifest_with_a_mistake_is_named_in_the_status() {
    run(async {
        let stack = STACK.get().await;
        let id = seedflow_e2e::module_id("uploaded", "prod", "net", "broken");
        let module = Module::running("build", &["true"])
            .file("manifest.yaml", "parameters:\n  a: 1\nbuild:\n  image: [\n");
        stack
            .put("sources/uploaded/prod/net/broken.zip", module.zip())
            .await;
        let status = eventually("the status of an uploaded module", || async {
            Some(stack.parameter(&id, "status").await).filter(|status| status["state"] == "REFUSED")
        })
        .await;
        assert!(
            status["reason"]
                .as_str()
                .is_some_and(|r| r.starts_with("manifest.yaml line ")),
            "{status}"
        );
    });
}

#[test]
fn a_start_of_the_build_whose_answer_is_lost_starts_one_build() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("lost-answer");
        let (project, more) = own_project(stack, "lost-answer");
        let lost = stack.rule(
            Rule::new("codebuild", "StartBuild", Action::LoseAnswer)
                .contains(&project)
                .times(1),
        );
        // The project exists before, so that the rule applies to the StartBuild that succeeds.
        let warm = stack.module_id("lost-answer-before");
        stack
            .deploy_with(&warm, &Module::running("build", &["true"]), more.clone())
            .await;
        let before = builds(stack, &project).await;
        drop(lost);
        let lost = stack.rule(
            Rule::new("codebuild", "StartBuild", Action::LoseAnswer)
                .contains(&project)
                .times(1),
        );
        assert_state(
            &stack
                .deploy_with(&id, &Module::running("build", &["true"]), more)
                .await,
            "SUCCEEDED",
        );
        assert_eq!(lost.applied(), 1);
        assert_eq!(builds(stack, &project).await, before + 1);
    });
}

async fn builds(stack: &seedflow_e2e::TestStack, project: &str) -> usize {
    let call = json!({"projectName": project});
    let answer = stack
        .call("codebuild", "CodeBuild_20161006.ListBuildsForProject", call)
        .await;
    answer["ids"].as_array().map_or(0, Vec::len)
}

#[test]
fn throttling_is_waited_out() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("throttled");
        let (project, more) = own_project(stack, "throttled");
        let refuse = |code: &str| Action::Refuse {
            status: 400,
            code: code.to_owned(),
            message: "Rate exceeded".to_owned(),
        };
        let ssm = stack.rule(
            Rule::new("ssm", "PutParameter", refuse("ThrottlingException"))
                .contains("/sf/throttled/")
                .times(4),
        );
        let builds = stack.rule(
            Rule::new("codebuild", "StartBuild", refuse("ThrottlingException"))
                .contains(&project)
                .times(4),
        );
        assert_state(
            &stack
                .deploy_with(&id, &Module::running("build", &["true"]), more)
                .await,
            "SUCCEEDED",
        );
        assert_eq!((ssm.applied(), builds.applied()), (4, 4));
    });
}
