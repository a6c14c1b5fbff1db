//! Groups run one after the other, the modules of a group run at once, and an unchanged module doesn't run.

use seedflow_e2e::{Repository, eventually, run};
use serde_json::{Value, json};

use super::{ALL, STACK, THREE, assert_state, deployed_by, executed_between, id_of};

/// The start and the end of a module's last build, in seconds.
async fn interval(stack: &seedflow_e2e::TestStack, project: &str, module: &str) -> (f64, f64) {
    let status = stack.parameter(&id_of(project, module), "status").await;
    let build = stack.build(status["build_id"].as_str().expect("a build")).await;
    let at = |field: &str| build[field].as_f64().expect("a time");
    (at("startTime"), at("endTime"))
}

#[test]
fn an_uploaded_repository_is_deployed_group_by_group_and_then_left_alone() {
    run(async {
        let stack = STACK.get().await;
        let repository = Repository::deploying(THREE);
        stack
            .put("sources/in-order/repository.zip", repository.zip())
            .await;
        let status = eventually("the end of a deployment", || async {
            let status = stack.deployment_status("in-order", "dev").await;
            (status["state"] == "SUCCEEDED" || status["state"] == "FAILED").then_some(status)
        })
        .await;
        assert_eq!(status["state"], "SUCCEEDED", "{status}");
        assert_eq!(status["modules"], json!({"SUCCEEDED": 6}));
        assert_eq!(status["groups"], json!(["network", "data", "apps"]));
        for (earlier, later) in [
            ("network/vpc", "data/store"),
            ("network/dns", "data/queue"),
            ("data/store", "apps/worker"),
            ("data/queue", "apps/web"),
        ] {
            let (earlier, later) = (
                interval(stack, "in-order", earlier).await,
                interval(stack, "in-order", later).await,
            );
            assert!(earlier.1 <= later.0, "{earlier:?} {later:?}");
        }
        let metadata = stack.parameter(&id_of("in-order", "apps/web"), "metadata").await;
        assert_eq!(metadata["Value"], "one");
        stack.deployment_released("in-order").await;

        let before = deployed_by(stack, "in-order").await;
        let again = stack.deploy_repository("in-order", &repository, json!({})).await;
        assert_state(&again, "UNCHANGED");
        assert_eq!(again.output["modules"], json!({"UNCHANGED": 6}));
        assert_eq!(
            executed_between(&before, &deployed_by(stack, "in-order").await),
            [""; 0]
        );
    });
}

#[test]
fn a_run_may_be_about_some_modules_and_force_some() {
    run(async {
        let stack = STACK.get().await;
        let repository = Repository::deploying(THREE);
        let some = stack
            .deploy_repository("some", &repository, json!({"only": ["network", "data/queue"]}))
            .await;
        assert_state(&some, "SUCCEEDED");
        let before = deployed_by(stack, "some").await;
        let deployed: Vec<&String> = before
            .iter()
            .filter(|(_, by)| !by.is_null())
            .map(|(m, _)| m)
            .collect();
        assert_eq!(deployed, ["data/queue", "network/dns", "network/vpc"]);
        stack.deployment_released("some").await;
        let forced = stack
            .deploy_repository(
                "some",
                &repository,
                json!({"only": ["network"], "force_update": ["network/dns"]}),
            )
            .await;
        assert_state(&forced, "SUCCEEDED");
        assert_eq!(
            executed_between(&before, &deployed_by(stack, "some").await),
            ["network/dns"]
        );
        stack.deployment_released("some").await;
        // A consumer of a missing module can't run, and nothing else is started.
        let blocked = stack
            .deploy_repository("some", &repository, json!({"only": ["data/queue", "apps/web"]}))
            .await;
        assert_eq!(blocked.error, "Blocked", "{}", blocked.cause);
        assert!(
            blocked
                .cause
                .contains("apps/web: it consumes data/store, which is neither deployed"),
            "{}",
            blocked.cause
        );
    });
}

/// The plan of more modules than fit into the payload of a state.
#[test]
fn a_plan_of_any_size_reaches_its_modules() {
    run(async {
        let stack = STACK.get().await;
        let long: Vec<Value> = (0..12)
            .map(|i| json!({"name": format!("long-{i}"), "value": "x".repeat(15_000)}))
            .collect();
        let module = json!({"name": "long", "path": "modules/network-vpc", "parameters": long});
        let manifest = json!({"name": "dev", "groups": [{"name": "network", "modules": [module]}]});
        let repository = Repository::deploying(THREE).file("deployment.yaml", manifest.to_string());
        let finished = stack.deploy_repository("long", &repository, json!({})).await;
        assert_state(&finished, "SUCCEEDED");
        let status = stack.parameter(&id_of("long", "network/long"), "status").await;
        assert_eq!(status["state"], "SUCCEEDED");
        assert_eq!(ALL.len(), 6);
    });
}
