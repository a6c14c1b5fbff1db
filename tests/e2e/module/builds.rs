//! Builds that fail, are stopped or take too long, and the stored values that they leave unchanged.

use seedflow_e2e::{Module, assert_explained, run};
use serde_json::json;

use super::{STACK, assert_state};

#[test]
fn a_build_that_fails_in_any_phase_leaves_the_last_success_as_it_was() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("failing");
        let good = Module::running("build", &["seedfarmer metadata add -k Good -v yes"]);
        assert_state(&stack.deploy(&id, &good).await, "SUCCEEDED");
        let before = stack.parameters(&id).await;
        for phase in ["install", "pre_build", "build", "post_build"] {
            let bad = Module::running(phase, &["echo about to fail", "bash -c 'exit 7'"]);
            let finished = stack.deploy(&id, &bad).await;
            assert_eq!(
                (finished.status.as_str(), finished.error.as_str()),
                ("FAILED", "BuildFailed"),
                "{phase}"
            );
            let in_phase = format!(
                "build failed in {}: COMMAND_EXECUTION_ERROR",
                phase.to_uppercase()
            );
            assert!(finished.cause.starts_with(&in_phase), "{}", finished.cause);
            assert!(finished.cause.contains("exit status 7"), "{}", finished.cause);

            let status = stack.parameter(&id, "status").await;
            assert_eq!(
                (&status["state"], &status["phase"]),
                (&json!("FAILED"), &json!(phase.to_uppercase()))
            );
            assert_eq!(status["reason"].as_str(), Some(finished.cause.as_str()));
            assert_eq!(status["build_id"].as_str(), finished.build_id());
            assert!(
                status["log_url"]
                    .as_str()
                    .is_some_and(|url| url.contains("cloudwatch")),
                "{status}"
            );
            let after = stack.parameters(&id).await;
            for name in ["md5", "metadata", "outputs"] {
                assert_eq!(before[name], after[name], "{phase}: {name}");
            }
        }
        let recovered = stack.deploy(&id, &good).await;
        assert_state(&recovered, "SUCCEEDED");
        assert_eq!(recovered.reasons, ["last deployment failed"]);
    });
}

#[test]
fn a_build_that_takes_too_long_is_recorded_as_timed_out() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("slow");
        // Five minutes; a minute takes a second here.
        let more = json!({"build": {"timeout_minutes": 5}});
        let finished = stack
            .deploy_with(&id, &Module::running("build", &["sleep 600"]), more)
            .await;
        assert_eq!(finished.error, "BuildTimedOut");
        assert!(
            finished.cause.starts_with("build timed out in BUILD"),
            "{}",
            finished.cause
        );
        assert_eq!(stack.parameter(&id, "status").await["state"], "FAILED");
    });
}

#[test]
fn a_build_that_is_stopped_by_hand_is_recorded_as_stopped() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("stopped");
        let input = stack
            .input(&id, &Module::running("build", &["sleep 600"]), json!({}))
            .await;
        let execution = stack.start(&input).await;
        let build = stack.build_of(&execution).await;
        stack.stop_build(&build).await;
        let finished = stack.finished(&execution).await;
        assert_eq!(finished.error, "BuildStopped");
        assert!(finished.cause.starts_with("build stopped"), "{}", finished.cause);
        let status = stack.parameter(&id, "status").await;
        assert_eq!(
            (&status["state"], &status["error"]),
            (&json!("FAILED"), &json!("BuildStopped"))
        );
    });
}

#[test]
fn a_module_in_a_folder_of_the_zip_runs_there_and_keeps_variables_through_all_phases() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("folder");
        let spec = json!({"deploy": {"phases": {
            "install": {"commands": ["test -f here.txt", "export KEPT=\"it's kept\"", "cd /"]},
            "build": {"commands": ["test -f here.txt", "[[ \"$KEPT\" == \"it's kept\" ]]"]},
            "post_build": {"commands": ["export SEEDFARMER_MODULE_METADATA='{\"By\": \"hand\"}'"]},
        }}});
        let module = Module::empty()
            .file("modules/one/deployspec.yaml", spec.to_string())
            .file("modules/one/here.txt", "")
            .file("modules/two/deployspec.yaml", "not ours: [");
        let mut input = stack.input(&id, &module, json!({})).await;
        input["source"]["path"] = json!("modules/one");
        assert_state(&stack.execute(&input).await, "SUCCEEDED");
        assert_eq!(stack.parameter(&id, "metadata").await["By"], "hand");
        // A change in another folder of the same zip is not a change of this module.
        let mut again = stack
            .input(&id, &module.file("modules/two/more.txt", "x"), json!({}))
            .await;
        again["source"]["path"] = json!("modules/one");
        assert_state(&stack.execute(&again).await, "UNCHANGED");
    });
}

#[test]
fn a_deployspec_too_long_for_a_request_reaches_the_build() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("long-deployspec");
        let comment = format!("true # {}", "x".repeat(30_000));
        let module = Module::running(
            "build",
            &[&comment, "seedfarmer metadata add -k After -v reached"],
        );
        let more = json!({"parameters": {"long": "y".repeat(16_000)}});
        let finished = stack.deploy_with(&id, &module, more).await;
        assert_state(&finished, "SUCCEEDED");
        assert_eq!(stack.parameter(&id, "metadata").await["After"], "reached");
    });
}

#[test]
fn a_missing_codebuild_project_is_created_by_the_first_execution() {
    run(async {
        let stack = STACK.get().await;
        let project = format!("{}-made-by-two", stack.about().project_name);
        let more = json!({"build": {"project_name": project}});
        let module = Module::running("build", &["true"]);
        let (one, other) = (
            stack.module_id("project-race-one"),
            stack.module_id("project-race-other"),
        );
        let (first, second) = tokio::join!(
            stack.deploy_with(&one, &module, more.clone()),
            stack.deploy_with(&other, &module, more)
        );
        for finished in [first, second] {
            assert_state(&finished, "SUCCEEDED");
            assert!(
                finished
                    .build_id()
                    .is_some_and(|id| id.starts_with(&format!("{project}:")))
            );
        }
    });
}

#[test]
fn thirty_modules_at_once() {
    run(async {
        let stack = STACK.get().await;
        let module = Module::running(
            "build",
            &["seedfarmer metadata add -k Name -v \"$SEEDFARMER_MODULE_NAME\""],
        );
        let all: Vec<_> = (0..30)
            .map(|i| seedflow_e2e::module_id("thirty", "dev", "core", &format!("module-{i}")))
            .collect();
        let mut executions = Vec::new();
        for id in &all {
            executions.push(stack.start(&stack.input(id, &module, json!({})).await).await);
        }
        for (id, execution) in all.iter().zip(&executions) {
            assert_state(&stack.finished(execution).await, "SUCCEEDED");
            assert_eq!(
                stack.parameter(id, "metadata").await["Name"],
                json!(format!("core-{}", id.module))
            );
        }
    });
}

#[test]
fn a_module_may_clean_its_folder_and_set_a_new_path() {
    run(async {
        let stack = STACK.get().await;
        let names = stack.module_id("cleaning");
        let module = Module::with_phases(&[
            (
                "install",
                &["echo \"files: $(ls -A)\"", "cp -r . \"$HOME/published\""],
            ),
            (
                "pre_build",
                &[
                    "git init -q . && git clean -xfdq",
                    "rm -rf ./* ./.[!.]*",
                    "echo \"left: [$(ls -A)]\" && echo \"published: $(ls -A \"$HOME/published\")\"",
                ],
            ),
            ("build", &["seedfarmer metadata add -k Kept -v yes"]),
            ("post_build", &["export PATH=/nowhere"]),
        ]);
        let finished = stack.deploy(&names, &module).await;
        assert_state(&finished, "SUCCEEDED");
        assert_eq!(stack.parameter(&names, "metadata").await["Kept"], "yes");
        let build = stack.build(finished.build_id().unwrap()).await;
        let log = stack.log(&build).await;
        for line in ["files: deployspec.yaml", "left: []", "published: deployspec.yaml"] {
            assert!(log.iter().any(|found| found == line), "{line} in {log:#?}");
        }
        let own = build["source"]["buildspec"].as_str().unwrap();
        let own = own.split("rm -rf ").nth(1).unwrap().split(' ').next().unwrap();
        assert!(own.starts_with("/tmp/.seedflow-"), "{own}");
        assert!(!std::path::Path::new(own).exists(), "{own} outlives its build");
    });
}

#[test]
fn a_failed_build_reports_its_failure_only() {
    run(async {
        let stack = STACK.get().await;
        let names = stack.module_id("one-failure");
        let module = Module::running("build", &["rm -rf ./*", "exit 3"]);
        let finished = stack.deploy(&names, &module).await;
        assert_eq!(finished.error, "BuildFailed");
        let build = stack.build(finished.build_id().unwrap()).await;
        let phases = build["phases"].as_array().unwrap();
        let failed: Vec<_> = phases
            .iter()
            .filter(|phase| phase["phaseStatus"] == "FAILED")
            .map(|phase| phase["phaseType"].as_str().unwrap())
            .collect();
        assert_eq!(failed, ["BUILD"], "{phases:#?}");

        let status = stack.parameter(&names, "status").await;
        assert_explained(&status);
        assert_eq!(status["cause"], "The command `exit 3` failed with exit status 3");
        let log = stack.log(&build).await;
        let of_ours = |line: &&String| line.contains("seedfarmer.py") || line.contains("import ");
        assert_eq!(log.iter().find(of_ours), None, "{log:#?}");
        let set_up = "Running command eval \"$SEEDFLOW_SETUP\"";
        assert_eq!(
            log.iter().filter(|line| line.ends_with(set_up)).count(),
            1,
            "{log:#?}"
        );
    });
}

/// The module's stack refuses its queue, and the log says nothing about it.
#[test]
fn a_build_whose_stack_failed_is_explained_by_the_stacks_first_failure() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("stack-fails");
        let template = json!({"Resources": {"Queue": {
            "Type": "AWS::SQS::Queue", "Properties": {"MessageRetentionPeriod": 5},
        }}});
        let name = id.stack_name();
        let create = format!(
            "aws cloudformation create-stack --stack-name {name} --template-body file://template.json"
        );
        let wait = format!(
            "until aws cloudformation describe-stacks --stack-name {name} | grep -q ROLLBACK_COMPLETE; do sleep 0.2; done; exit 255"
        );
        let module = Module::running("build", &[&create, &wait]).file("template.json", template.to_string());
        let finished = stack.deploy(&id, &module).await;
        assert_eq!(finished.error, "BuildFailed", "{}", finished.cause);
        let status = stack.parameter(&id, "status").await;
        assert_explained(&status);
        let cause = status["cause"].as_str().unwrap();
        assert!(cause.starts_with("Queue CREATE_FAILED: "), "{cause}");
        assert!(cause.contains("MessageRetentionPeriod"), "{cause}");
        assert!(
            status["reason"].as_str().unwrap().contains("exit status 255"),
            "{status}"
        );
        assert_eq!(status["reasons"], json!(["first deployment"]));
        let report = format!(
            "reports/{}/{}/{}/{}/",
            id.project, id.deployment, id.group, id.module
        );
        let key = stack
            .keys(&report)
            .await
            .into_iter()
            .find(|key| key.ends_with(".json"))
            .unwrap();
        let report: serde_json::Value = serde_json::from_slice(&stack.object(&key).await.unwrap()).unwrap();
        assert_eq!(report["status"]["cause"], cause);
    });
}
