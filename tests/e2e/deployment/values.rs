//! Modules follow the values that they consume, not the runs of the modules that publish them.

use seedflow_e2e::{Repository, run};
use serde_json::{Value, json};

use super::{STACK, THREE, assert_state, deployed_by, executed_between, id_of, results};

#[test]
fn only_those_are_deployed_again_whose_values_changed() {
    run(async {
        let stack = STACK.get().await;
        let project = "values";
        let repository = Repository::deploying(THREE);
        assert_state(
            &stack.deploy_repository(project, &repository, json!({})).await,
            "SUCCEEDED",
        );
        let before = deployed_by(stack, project).await;
        stack.deployment_released(project).await;

        // Changed, but its published value is the same: its consumer runs its check, and is unchanged.
        let same = repository
            .clone()
            .file("modules/network-vpc/notes.txt", "nothing that anybody sees");
        let finished = stack.deploy_repository(project, &same, json!({})).await;
        assert_state(&finished, "SUCCEEDED");
        let ended = results(stack, &finished).await;
        assert_eq!(ended["network/vpc"], "SUCCEEDED");
        assert_eq!(
            [&ended["data/store"], &ended["apps/web"], &ended["network/dns"]],
            ["UNCHANGED", "UNCHANGED", "UNCHANGED"]
        );
        let after = deployed_by(stack, project).await;
        assert_eq!(
            executed_between(&before, &after),
            ["network/vpc", "data/store", "apps/web"]
        );
        stack.deployment_released(project).await;

        // Its published value has changed: its consumer is deployed, and the consumer's own consumer finds no change.
        let changed = same.publishing("network", "vpc", "two");
        let finished = stack.deploy_repository(project, &changed, json!({})).await;
        assert_state(&finished, "SUCCEEDED");
        let ended = results(stack, &finished).await;
        assert_eq!(
            [&ended["network/vpc"], &ended["data/store"], &ended["apps/web"]],
            ["SUCCEEDED", "SUCCEEDED", "UNCHANGED"]
        );
        let status = stack.parameter(&id_of(project, "data/store"), "status").await;
        assert_eq!(status["reasons"], json!(["parameter of-network-vpc changed"]));
        let build = stack.build(status["build_id"].as_str().unwrap()).await;
        let log = stack.log(&build).await;
        assert!(
            log.iter().any(|line| line.contains("network/vpc=two")),
            "{log:#?}"
        );
    });
}

/// The publisher of a value changes and the value doesn't: nothing is built, but the new publisher must not be removed.
#[test]
fn the_same_value_from_elsewhere_is_no_deployment_and_is_remembered() {
    run(async {
        let stack = STACK.get().await;
        let project = "elsewhere";
        let base = Repository::deploying(&[
            ("network", &[("vpc", &[]), ("dns", &[])]),
            ("data", &[("store", &[])]),
        ]);
        let taking = |network: &[&str], parameter: Value| {
            let module =
                |group: &str, name: &str| json!({"name": name, "path": format!("modules/{group}-{name}")});
            let mut store = module("data", "store");
            store["parameters"] = json!([parameter]);
            let network: Vec<Value> = network.iter().map(|name| module("network", name)).collect();
            let groups =
                json!([{"name": "network", "modules": network}, {"name": "data", "modules": [store]}]);
            let manifest = json!({"name": "dev", "groups": groups});
            base.clone().file("deployment.yaml", manifest.to_string())
        };
        let of = |name: &str| {
            let metadata = json!({"group": "network", "name": name, "key": "Value"});
            json!({"name": "value", "valueFrom": {"moduleMetadata": metadata}})
        };
        let store = id_of(project, "data/store");
        let first = taking(&["vpc", "dns"], of("vpc"));
        assert_state(
            &stack.deploy_repository(project, &first, json!({})).await,
            "SUCCEEDED",
        );
        stack.deployment_released(project).await;
        let built = stack.parameter(&store, "status").await["build_id"].clone();

        let other = taking(&["vpc", "dns"], of("dns"));
        assert_state(
            &stack.deploy_repository(project, &other, json!({})).await,
            "UNCHANGED",
        );
        stack.deployment_released(project).await;
        let only = |name: &str| json!({"project": project, "deployment": "dev", "action": "destroy", "only": [format!("network/{name}")]});
        let refused = stack.finished(&stack.start_deployment(&only("dns")).await).await;
        assert_eq!(refused.error, "Blocked", "{}", refused.cause);
        stack.deployment_released(project).await;

        // With a literal in its place, the publisher is destroyed in the same run.
        let literal = taking(&["vpc"], json!({"name": "value", "value": "one"}));
        let finished = stack.deploy_repository(project, &literal, json!({})).await;
        assert_state(&finished, "SUCCEEDED");
        let ended = results(stack, &finished).await;
        assert_eq!(
            [&ended["network/dns"], &ended["data/store"]],
            ["DESTROYED", "UNCHANGED"]
        );
        assert!(stack.parameter(&store, "md5").await["consumes"].is_null());
        assert_eq!(stack.parameter(&store, "status").await["build_id"], built);
    });
}

/// The upstream was deployed by itself, in a run that never reached its consumers.
#[test]
fn what_a_run_left_undone_is_made_up_by_the_next() {
    run(async {
        let stack = STACK.get().await;
        let project = "made-up";
        let repository = Repository::deploying(THREE);
        assert_state(
            &stack.deploy_repository(project, &repository, json!({})).await,
            "SUCCEEDED",
        );
        stack.deployment_released(project).await;
        let changed = repository.publishing("network", "vpc", "two");
        let upstream = stack
            .deploy_repository(project, &changed, json!({"only": ["network/vpc"]}))
            .await;
        assert_state(&upstream, "SUCCEEDED");
        stack.deployment_released(project).await;
        let finished = stack.deploy_repository(project, &changed, json!({})).await;
        assert_state(&finished, "SUCCEEDED");
        let ended = results(stack, &finished).await;
        assert_eq!(ended["network/vpc"], "UNCHANGED");
        assert_eq!(ended["data/store"], "SUCCEEDED");
    });
}
