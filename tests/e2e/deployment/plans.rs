//! A plan that is shown and not executed.

use seedflow_e2e::{Repository, run};
use serde_json::{Value, json};

use super::{STACK, THREE, assert_state, deployed_by};

fn actions(plan: &Value) -> Vec<String> {
    let modules = plan["modules"].as_array().expect("modules");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    modules
        .iter()
        .map(|module| {
            format!(
                "{} {}/{}",
                text(&module["action"]),
                text(&module["group"]),
                text(&module["module"])
            )
        })
        .collect()
}

#[test]
fn a_plan_says_what_would_be_done_and_why_and_does_nothing() {
    run(async {
        let stack = STACK.get().await;
        let project = "planned";
        let repository = Repository::deploying(THREE);
        let plan_only = json!({"plan_only": true});
        let first = stack
            .deploy_repository(project, &repository, plan_only.clone())
            .await;
        assert_eq!(first.status, "SUCCEEDED", "{}", first.cause);
        assert_eq!(first.output["counts"]["deploy"], 6);
        assert!(deployed_by(stack, project).await.values().all(Value::is_null));
        assert_eq!(stack.deployment_status(project, "dev").await, Value::Null);

        assert_state(
            &stack.deploy_repository(project, &repository, json!({})).await,
            "SUCCEEDED",
        );
        let before = deployed_by(stack, project).await;
        let less = repository.publishing("network", "vpc", "two").with_groups(&[
            THREE[0],
            THREE[1],
            ("apps", &[("web", &["data/store", "network/dns"])]),
        ]);
        // These outputs are not readable, and no plan needs them.
        let reference = json!({"key": "values/planned/dev/gone", "sha256": "0".repeat(64), "bytes": 300_000});
        let outputs = json!({"stored_in_s3": reference}).to_string();
        stack
            .put_parameter("/sf/planned/dev/data-queue/outputs", &outputs)
            .await;
        let plan = stack.deploy_repository(project, &less, plan_only).await;
        assert_eq!(
            actions(&plan.output),
            [
                "deploy network/vpc",
                "unchanged network/dns",
                "unchanged data/store",
                "unchanged data/queue",
                "unchanged apps/web",
                "destroy apps/worker"
            ]
        );
        let modules = &plan.output["modules"];
        assert_eq!(modules[0]["reasons"], json!(["bundle changed"]));
        assert_eq!(modules[2]["unless"], json!(["network/vpc"]));
        assert_eq!(
            modules[0]["changes"],
            Value::Null,
            "no commit is known: {}",
            modules[0]
        );
        assert_eq!(deployed_by(stack, project).await, before);
    });
}

#[test]
fn a_repository_in_a_folder_is_planned_by_an_input_of_any_length() {
    run(async {
        let stack = STACK.get().await;
        let project = "folder";
        // The root of the repository contains another manifest, which would destroy most modules.
        let repository = Repository::deploying(&THREE[..1])
            .merged(Repository::deploying(THREE).within("live/infrastructure"));
        let mut input = stack
            .repository_input(
                project,
                &repository,
                json!({"plan_only": true, "env": {"LONG": "x".repeat(220_000)}}),
            )
            .await;
        input["source"]["path"] = json!("live/infrastructure");
        let planned = stack.finished(&stack.start_deployment(&input).await).await;
        assert_eq!(planned.status, "SUCCEEDED", "{}", planned.cause);
        assert_eq!(planned.output["counts"]["deploy"], 6, "{}", planned.output);
        input["source"]["path"] = json!("live/nothing");
        let refused = stack.finished(&stack.start_deployment(&input).await).await;
        assert_eq!(refused.error, "InvalidBundle");
        assert!(
            refused.cause.contains("live/nothing")
                && refused.cause.contains("is not a folder of the archive"),
            "{}",
            refused.cause
        );
    });
}

#[test]
fn an_archive_of_a_code_host_is_the_same_repository() {
    run(async {
        let stack = STACK.get().await;
        let project = "code-host";
        let repository =
            Repository::deploying(&[("data", &[("store", &[])]), ("apps", &[("web", &["data/store"])])]);
        let archive = repository
            .clone()
            .within("shop-4f2a91c")
            .file("pax_global_header", "x");
        let deployed = stack.deploy_repository(project, &archive, json!({})).await;
        assert_state(&deployed, "SUCCEEDED");
        stack.deployment_released(project).await;
        let again = json!({"plan_only": true});
        let again = stack.deploy_repository(project, &repository, again).await;
        assert_eq!(
            actions(&again.output),
            ["unchanged data/store", "unchanged apps/web"]
        );
    });
}
