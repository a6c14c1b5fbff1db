//! A module that leaves the manifest is destroyed, consumers first, and not while a remaining module consumes it.

use seedflow_e2e::{Finished, Repository, TestStack, module_id, run};
use serde_json::{Value, json};

use super::{ALL, STACK, THREE, assert_state, deployed_by, id_of, report, results};

#[test]
fn a_module_that_leaves_the_manifest_is_destroyed() {
    run(async {
        let stack = STACK.get().await;
        let project = "leaves";
        let repository = Repository::deploying(THREE);
        assert_state(
            &stack.deploy_repository(project, &repository, json!({})).await,
            "SUCCEEDED",
        );
        stack.deployment_released(project).await;
        // A request for a module that was never deployed, by mistake: it is refused, and no later plan takes it for one.
        let typo = module_id(project, "dev", "apps", "typo");
        let mut rollback = json!(typo);
        rollback["action"] = json!("rollback");
        let refused = stack.finished(&stack.start(&rollback).await).await;
        assert_eq!(refused.error, "SourceNotFound", "{}", refused.cause);
        assert_eq!(stack.parameter(&typo, "status").await["state"], "REFUSED");
        stack.released(&typo).await;
        let misspelt = json!({"only": ["apps/typo"]});
        let unknown = stack.deploy_repository(project, &repository, misspelt).await;
        assert_eq!(unknown.error, "InvalidInput", "{}", unknown.cause);
        stack.deployment_released(project).await;
        let less = repository.clone().with_groups(&[
            ("network", &[("vpc", &[]), ("dns", &[])]),
            ("data", &[("queue", &[])]),
        ]);
        let finished = stack.deploy_repository(project, &less, json!({})).await;
        assert_state(&finished, "SUCCEEDED");
        let ended = results(stack, &finished).await;
        assert_eq!(
            [&ended["apps/web"], &ended["apps/worker"], &ended["data/store"]],
            ["DESTROYED", "DESTROYED", "DESTROYED"]
        );
        assert_eq!(ended.get("apps/typo"), None);
        let left: Vec<String> = deployed_by(stack, project)
            .await
            .into_iter()
            .filter(|(_, by)| !by.is_null())
            .map(|(module, _)| module)
            .collect();
        assert_eq!(left, ["data/queue", "network/dns", "network/vpc"]);
        stack.deployment_released(project).await;

        // A manifest without groups destroys what is left, the later group first. Without a policy it would wait for somebody.
        let policy = br#"{"approval": "never"}"#.to_vec();
        stack.put(&format!("policies/{project}/dev.json"), policy).await;
        let nothing = repository
            .clone()
            .file("deployment.yaml", "name: dev\ngroups: []\n");
        let destroyed = stack.deploy_repository(project, &nothing, json!({})).await;
        assert_state(&destroyed, "DESTROYED");
        let written = report(stack, &destroyed).await;
        assert_eq!(written["status"]["state"], "DESTROYED");
        let [queue, vpc] = [
            span(stack, &destroyed, project, "data/queue").await,
            span(stack, &destroyed, project, "network/vpc").await,
        ];
        assert!(queue.1 <= vpc.0, "{queue:?} {vpc:?}");
        stack.deployment_released(project).await;

        // What is left is the refusal, which goes with the deployment.
        let all = json!({"project": project, "deployment": "dev", "action": "destroy"});
        let execution = stack.start_deployment(&all).await;
        let destroyed = stack.finished(&execution).await;
        assert_state(&destroyed, "DESTROYED");
        for module in ALL {
            assert!(
                stack.parameters(&id_of(project, module)).await.is_empty(),
                "{module}"
            );
        }
        assert!(stack.parameters(&typo).await.is_empty());
        assert_eq!(stack.deployment_status(project, "dev").await, Value::Null);
    });
}

/// The times of a module's build in a deployment, by its report.
async fn span(stack: &TestStack, finished: &Finished, project: &str, module: &str) -> (f64, f64) {
    let report = report(stack, finished).await;
    let ended = report["results"].as_array().expect("results").iter();
    let mut own =
        ended.filter(|ended| format!("{}/{}", ended["group"], ended["module"]).replace('"', "") == module);
    let execution = own
        .next()
        .and_then(|ended| ended["execution"].as_str())
        .expect("an execution");
    let key = format!("reports/{}/{execution}.json", id_of(project, module));
    let report: Value = serde_json::from_slice(&stack.object(&key).await.expect("a report")).expect("JSON");
    let build = stack
        .build(report["status"]["build_id"].as_str().expect("a build"))
        .await;
    let at = |field: &str| build[field].as_f64().expect("a time");
    (at("startTime"), at("endTime"))
}

#[test]
fn what_a_module_that_stays_consumes_is_not_destroyed() {
    run(async {
        let stack = STACK.get().await;
        let project = "stays";
        let repository = Repository::deploying(THREE);
        assert_state(
            &stack.deploy_repository(project, &repository, json!({})).await,
            "SUCCEEDED",
        );
        stack.deployment_released(project).await;
        let before = deployed_by(stack, project).await;
        let vpc =
            json!({"project": project, "deployment": "dev", "action": "destroy", "only": ["network/vpc"]});
        let refused = stack.finished(&stack.start_deployment(&vpc).await).await;
        assert_eq!(refused.error, "Blocked");
        assert!(
            refused
                .cause
                .contains("network/vpc: it can't be destroyed while data/store consumes its values"),
            "{}",
            refused.cause
        );
        stack.deployment_released(project).await;
        // Nor by a manifest that still refers to it.
        let without = repository
            .clone()
            .with_groups(&[("network", &[("dns", &[])]), THREE[1], THREE[2]]);
        let refused = stack.deploy_repository(project, &without, json!({})).await;
        assert_eq!(refused.error, "InvalidManifest");
        assert!(
            refused.cause.contains("the group network has no module vpc"),
            "{}",
            refused.cause
        );
        assert_eq!(deployed_by(stack, project).await, before);
    });
}

#[test]
fn a_failed_destruction_can_be_tried_again() {
    run(async {
        let stack = STACK.get().await;
        let project = "tries-again";
        let stubborn = Repository::deploying(THREE).file("modules/apps-web/fails-to-be-destroyed", "");
        assert_state(
            &stack.deploy_repository(project, &stubborn, json!({})).await,
            "SUCCEEDED",
        );
        stack.deployment_released(project).await;
        let all = json!({"project": project, "deployment": "dev", "action": "destroy"});
        let failed = stack.finished(&stack.start_deployment(&all).await).await;
        assert_eq!(failed.error, "DeploymentFailed", "{}", failed.cause);
        let ended = results(stack, &failed).await;
        assert_eq!(ended["apps/web"], "FAILED");
        assert_eq!(
            [&ended["apps/worker"], &ended["data/store"]],
            ["DESTROYED", "NOT_STARTED"]
        );
        let metadata = stack.parameter(&id_of(project, "apps/web"), "metadata").await;
        assert_eq!(metadata["Value"], "one");
        stack.deployment_released(project).await;
        // After a deployment without the obstacle, it is destroyed.
        let mended = Repository::deploying(THREE);
        let web = json!({"only": ["apps/web"]});
        assert_state(&stack.deploy_repository(project, &mended, web).await, "SUCCEEDED");
        stack.deployment_released(project).await;
        let destroyed = stack.finished(&stack.start_deployment(&all).await).await;
        assert_state(&destroyed, "DESTROYED");
    });
}
