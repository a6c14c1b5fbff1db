//! The policy of a deployment refuses what breaks it, by any kind of request, and before anything runs.

use seedflow_e2e::command_line::seedflow;
use seedflow_e2e::{Finished, Group, Module, ModuleId, Repository, TestStack, destruction, eventually, run};
use serde_json::{Value, json};

use super::{STACK, assert_state, id_of};

const TWO: &[Group<'_>] = &[("network", &[("vpc", &[])]), ("data", &[("store", &[])])];

/// Stores a policy as an administrator does, by the command line.
pub(super) async fn set(stack: &TestStack, project: &str, policy: &Value) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), policy.to_string()).expect("a policy");
    let path = file.path().to_str().expect("a path");
    let valid = seedflow(stack, &["policy", "validate", path]).await;
    assert!(
        valid.code == Some(0) && valid.out.contains("is a valid policy"),
        "{valid:?}"
    );
    let ran = seedflow(stack, &["policy", "set", "dev", path, "--project", project]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

fn assert_denied(finished: &Finished, part: &str) {
    assert_eq!(finished.error, "DeniedByPolicy", "{}", finished.cause);
    assert!(finished.cause.contains(part), "{part}: {}", finished.cause);
    assert!(
        finished.cause.contains("AdministratorPrincipalArns"),
        "{}",
        finished.cause
    );
}

#[test]
fn a_protected_module_survives_an_emptied_manifest_a_move_and_every_destruction() {
    run(async {
        let stack = STACK.get().await;
        let project = "guarded";
        let repository = Repository::deploying(TWO);
        assert_state(
            &stack.deploy_repository(project, &repository, json!({})).await,
            "SUCCEEDED",
        );
        stack.deployment_released(project).await;
        set(stack, project, &json!({"protect": ["data/*"], "max_destroys": 0})).await;
        let store = id_of(project, "data/store");
        let before = stack.versions(&store).await["md5"];

        // What does not break it is deployed.
        let changed = repository.clone().publishing("data", "store", "two");
        assert_state(
            &stack.deploy_repository(project, &changed, json!({})).await,
            "SUCCEEDED",
        );
        stack.deployment_released(project).await;
        let deployed = stack.versions(&store).await;
        assert_ne!(deployed["md5"], before);

        let emptied = changed.clone().with_groups(&TWO[..1]);
        let plan = stack
            .deploy_repository(project, &emptied, json!({"plan_only": true}))
            .await;
        let broken = &plan.output["policy"]["broken"];
        assert_eq!(
            broken,
            &json!([
                "protect[0]: expected data/* to stay, found data/store to be destroyed",
                "max_destroys: expected at most 0 to be destroyed, found data/store",
            ])
        );
        let refused = stack.deploy_repository(project, &emptied, json!({})).await;
        assert_denied(&refused, "protect[0]: expected data/* to stay");
        stack.deployment_released(project).await;
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(
            (&status["state"], &status["refused"]["error"]),
            (&json!("SUCCEEDED"), &json!("DeniedByPolicy"))
        );
        let name = refused.execution.rsplit(':').next().expect("a name");
        let report = stack.object(&format!("reports/{project}/dev/{name}.json")).await;
        let report: Value = serde_json::from_slice(&report.expect("a report")).expect("JSON");
        assert_eq!(report["status"]["state"], "REFUSED");

        let moved = Repository::deploying(&[TWO[0], ("storage", &[("store", &[])])]);
        assert_denied(
            &stack.deploy_repository(project, &moved, json!({})).await,
            "found data/store",
        );
        stack.deployment_released(project).await;
        let all = json!({"project": project, "deployment": "dev", "action": "destroy"});
        let execution = stack.start_deployment(&all).await;
        // The whole deployment has a module that isn't protected, too.
        assert_denied(
            &stack.finished(&execution).await,
            "at most 0 to be destroyed, found 2 modules",
        );
        stack.deployment_released(project).await;
        assert_denied(&stack.execute(&destruction(&store)).await, "protect[0]");
        stack.released(&store).await;
        let after = stack.parameter(&store, "status").await;
        assert_eq!(
            (&after["state"], &after["refused"]["error"]),
            (&json!("SUCCEEDED"), &json!("DeniedByPolicy"))
        );
        let now = stack.versions(&store).await;
        for name in ["md5", "metadata", "outputs"] {
            assert_eq!(now[name], deployed[name], "{name}");
        }

        // A document that isn't valid allows nothing, and the command line refuses to store one.
        stack
            .put(
                &format!("policies/{project}/dev.json"),
                b"{\"protekt\": []}".to_vec(),
            )
            .await;
        let refused = stack.deploy_repository(project, &emptied, json!({})).await;
        assert_denied(
            &refused,
            "the document is not valid, so nothing is allowed: protekt",
        );
        stack.deployment_released(project).await;
        let shown = seedflow(stack, &["policy", "show", "dev", "--project", project]).await;
        assert_eq!(shown.code, Some(1), "{shown:?}");
        set(stack, project, &json!({})).await;
        assert_state(
            &stack.deploy_repository(project, &emptied, json!({})).await,
            "SUCCEEDED",
        );
        assert!(stack.parameters(&store).await.is_empty());
    });
}

#[test]
fn the_kill_switch_lets_running_builds_finish_and_a_freeze_starts_nothing() {
    run(async {
        let stack = STACK.get().await;
        let project = "kill-switch";
        // The build of the first group ends when the test says so.
        let go = tempfile::tempdir().expect("a folder");
        let file = go.path().join("go");
        let wait = format!("until [ -e {} ]; do sleep 0.2; done", file.display());
        let repository =
            Repository::deploying(TWO).module("modules/network-vpc", &Module::running("build", &[&wait]));
        let input = stack.repository_input(project, &repository, json!({})).await;
        let execution = stack.start_deployment(&input).await;
        let (vpc, store) = (id_of(project, "network/vpc"), id_of(project, "data/store"));
        eventually("a running build", || async {
            let status = stack.parameter(&vpc, "status").await;
            (status["state"] == "IN_PROGRESS").then_some(())
        })
        .await;
        set(stack, project, &json!({"stopped": "incident 4711"})).await;
        std::fs::write(&file, "").expect("a file");
        let finished = stack.finished(&execution).await;
        assert_eq!(finished.error, "DeploymentFailed", "{}", finished.cause);
        stack.deployment_released(project).await;
        assert_eq!(stack.parameter(&vpc, "status").await["state"], "SUCCEEDED");
        let refused = stack.parameter(&store, "status").await;
        assert_eq!(
            (&refused["state"], &refused["error"]),
            (&json!("REFUSED"), &json!("DeniedByPolicy"))
        );
        assert!(
            refused["cause"]
                .as_str()
                .expect("a cause")
                .contains("incident 4711"),
            "{refused}"
        );
        let again = stack.deploy_repository(project, &repository, json!({})).await;
        assert_denied(
            &again,
            "stopped: expected nothing to deploy or destroy (incident 4711), found data/store",
        );
        stack.deployment_released(project).await;

        let freeze =
            json!({"start": "2000-01-01T00:00", "end": "2100-01-01T00:00", "time_zone": "Europe/Berlin"});
        set(stack, project, &json!({"freeze": [freeze]})).await;
        let frozen = stack.deploy_repository(project, &repository, json!({})).await;
        assert_denied(&frozen, "until 2100-01-01 00:00 Europe/Berlin");
        stack.deployment_released(project).await;
        let single = Module::running("build", &["true"]);
        assert_denied(&stack.deploy(&store, &single).await, "freeze[0]");
        stack.released(&store).await;

        set(stack, project, &json!({})).await;
        assert_state(
            &stack.deploy_repository(project, &repository, json!({})).await,
            "SUCCEEDED",
        );
        stack.deployment_released(project).await;
        // What starts nothing is not refused.
        set(stack, project, &json!({"stopped": "incident 4712"})).await;
        assert_state(
            &stack.deploy_repository(project, &repository, json!({})).await,
            "UNCHANGED",
        );
        a_freeze_lets_what_runs_finish(stack, project, (&repository, &store), &file).await;
    });
}

/// A freeze begins while the first group is built: the second is deployed, and nothing else is, whatever it says that it is part
/// of.
async fn a_freeze_lets_what_runs_finish(
    stack: &TestStack,
    project: &str,
    (repository, store): (&Repository, &ModuleId),
    go: &std::path::Path,
) {
    set(stack, project, &json!({})).await;
    std::fs::remove_file(go).expect("a file");
    let all = json!({"force_update": ["network", "data"]});
    let input = stack.repository_input(project, repository, all).await;
    let execution = stack.start_deployment(&input).await;
    let vpc = id_of(project, "network/vpc");
    eventually("a running build", || async {
        let status = stack.parameter(&vpc, "status").await;
        (status["state"] == "IN_PROGRESS").then_some(())
    })
    .await;
    let freeze =
        json!({"start": "2000-01-01T00:00", "end": "2100-01-01T00:00", "time_zone": "Europe/Berlin"});
    set(stack, project, &json!({"freeze": [freeze]})).await;
    let other = Module::running("build", &["true"]);
    let foreign = stack
        .deploy_with(store, &other, json!({"part_of": execution}))
        .await;
    assert_denied(&foreign, "freeze[0]");
    stack.released(store).await;
    std::fs::write(go, "").expect("a file");
    let finished = stack.finished(&execution).await;
    assert_state(&finished, "SUCCEEDED");
    let status = stack.parameter(store, "status").await;
    assert_eq!(
        (&status["state"], &status["reasons"]),
        (&json!("SUCCEEDED"), &json!(["forced"])),
        "{status}"
    );
    stack.deployment_released(project).await;
}
