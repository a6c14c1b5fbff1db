//! The rules in Rego of a deployment refuse what they deny, by any kind of request, and warn in plan, report and page; rules
//! that can't be evaluated allow nothing.

use seedflow_contract::schema;
use seedflow_e2e::command_line::{Ran, seedflow};
use seedflow_e2e::{Finished, Group, Module, Repository, TestStack, destruction, run};
use serde_json::{Value, json};

use super::approvals::{User, push};
use super::{STACK, assert_state, id_of};

const TWO: &[Group<'_>] = &[
    ("network", &[("vpc", &[])]),
    ("data", &[("store", &["network/vpc"])]),
];

const RULES: &str = r#"package seedflow

deny contains message if {
	some module in input.modules
	module.action == "destroy"
	message := sprintf("%s/%s is kept", [module.group, module.module])
}

deny contains message if {
	some module in input.modules
	module.definition.source.kind == "bundle"
	message := sprintf("%s/%s is not part of a repository", [module.group, module.module])
}

warn contains sprintf("%d modules change", [input.counts.deploy]) if input.counts.deploy > 0
"#;

/// Stores rules as an administrator does, by the command line.
async fn set(stack: &TestStack, project: &str, rules: &str) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("dev.rego");
    std::fs::write(&file, rules).expect("rules");
    let path = file.to_str().expect("a path");
    seedflow(stack, &["policy", "set", "dev", path, "--project", project]).await
}

#[track_caller]
fn assert_refused(finished: &Finished, error: &str, part: &str) {
    assert_eq!(finished.error, error, "{}", finished.cause);
    assert!(finished.cause.contains(part), "{part}: {}", finished.cause);
}

async fn report(stack: &TestStack, project: &str, finished: &Finished) -> Value {
    let name = finished.execution.rsplit(':').next().expect("a name");
    let report = stack.object(&format!("reports/{project}/dev/{name}.json")).await;
    serde_json::from_slice(&report.expect("a report")).expect("JSON")
}

#[test]
fn rules_refuse_and_warn_and_allow_nothing_if_they_can_not_be_evaluated() {
    run(async {
        let (stack, project) = (STACK.get().await, "ruled");
        let stored = set(stack, project, RULES).await;
        assert_eq!(stored.code, Some(0), "{stored:?}");
        let repository = Repository::deploying(TWO);

        // The plan has the verdict, and says offline the same.
        let checkout = tempfile::tempdir().expect("a folder");
        repository.write(checkout.path());
        let folder = checkout.path().to_str().expect("a path");
        let planned = seedflow(stack, &["plan", folder, "--project", project, "--json"]).await;
        assert_eq!(planned.code, Some(0), "{planned:?}");
        let plan = planned.json();
        let faults = schema::faults_by("docs/plan.schema.json", std::slice::from_ref(&plan)).await;
        assert!(faults.is_empty(), "{faults:#?}\n{plan:#}");
        assert_eq!(plan["rego"]["warn"], json!(["2 modules change"]), "{plan:#}");
        let definition = &plan["modules"][0]["definition"];
        assert_eq!(
            definition["source"],
            json!({"kind": "repository", "path": "modules/network-vpc"})
        );
        let (rules, saved) = (
            checkout.path().join("dev.rego"),
            checkout.path().join("plan.json"),
        );
        std::fs::write(&rules, RULES).expect("rules");
        std::fs::write(&saved, &planned.out).expect("a plan");
        let paths = [&rules, &saved].map(|path| path.to_str().expect("a path"));
        let tested = seedflow(stack, &["policy", "test", paths[0], "--plan", paths[1], "--json"]).await;
        assert_eq!(
            (tested.code, &tested.json()["rego"]["warn"]),
            (Some(0), &plan["rego"]["warn"]),
            "{tested:?}"
        );

        // The modules of a deployment are from its repository, also when each of them is asked about.
        let deployed = stack.deploy_repository(project, &repository, json!({})).await;
        assert_state(&deployed, "SUCCEEDED");
        let warned = report(stack, project, &deployed).await;
        assert_eq!(warned["warnings"], json!(["policy: 2 modules change"]));
        stack.deployment_released(project).await;
        let shown = seedflow(stack, &["report", "dev", "--project", project]).await;
        assert!(
            shown.out.contains("warning: policy: 2 modules change"),
            "{shown:?}"
        );

        let emptied = repository.clone().with_groups(&TWO[..1]);
        let plan = stack
            .deploy_repository(project, &emptied, json!({"plan_only": true}))
            .await;
        assert_eq!(
            plan.output["rego"]["deny"],
            json!(["data/store is kept"]),
            "{plan:?}"
        );
        let check = json!({"plan_only": true, "record_refusal": true});
        for more in [check, json!({})] {
            let refused = stack.deploy_repository(project, &emptied, more).await;
            assert_refused(&refused, "DeniedByPolicy", "deny: data/store is kept");
            assert!(
                refused.cause.contains("policies/ruled/dev.rego"),
                "{}",
                refused.cause
            );
            stack.deployment_released(project).await;
            assert_eq!(
                report(stack, project, &refused).await["status"]["state"],
                "REFUSED"
            );
        }
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(
            (&status["state"], &status["refused"]["error"]),
            (&json!("SUCCEEDED"), &json!("DeniedByPolicy"))
        );

        // A request for one module doesn't go around them.
        let store = id_of(project, "data/store");
        assert_refused(
            &stack.execute(&destruction(&store)).await,
            "DeniedByPolicy",
            "data/store is kept",
        );
        stack.released(&store).await;
        let single = stack.deploy(&store, &Module::running("build", &["true"])).await;
        assert_refused(
            &single,
            "DeniedByPolicy",
            "data/store is not part of a repository",
        );
        stack.released(&store).await;
        let after = stack.parameter(&store, "status").await;
        assert_eq!(
            (&after["state"], &after["refused"]["error"]),
            (&json!("SUCCEEDED"), &json!("DeniedByPolicy"))
        );

        // Nor does a request that renames it, and nothing has moved.
        let renamed = id_of(project, "data/shelf");
        let module = Module::running("build", &["true"]);
        let alone = json!({"renamed_from": "data/store"});
        assert_refused(
            &stack.deploy_with(&renamed, &module, alone).await,
            "DeniedByPolicy",
            "expected a module that is renamed to be part of its deployment's plan",
        );
        stack.released(&renamed).await;
        let stored: Vec<String> = stack.parameters(&store).await.into_keys().collect();
        assert!(
            stored.contains(&"metadata".to_owned()) && !stored.contains(&"renamed".to_owned()),
            "{stored:?}"
        );

        // Rules that are not valid are not stored by the command line, and allow nothing if they are stored by other means.
        let broken = "package seedflow\n\ndeny contains if {\n";
        let unstored = set(stack, project, broken).await;
        assert_eq!(unstored.code, Some(1), "{unstored:?}");
        assert!(unstored.err.contains("dev.rego:3:"), "{unstored:?}");
        stack
            .put(
                &format!("policies/{project}/dev.rego"),
                broken.as_bytes().to_vec(),
            )
            .await;
        let changed = repository.clone().publishing("network", "vpc", "two");
        let refused = stack.deploy_repository(project, &changed, json!({})).await;
        assert_refused(&refused, "PolicyNotEvaluated", "policies/ruled/dev.rego:3:");
        stack.deployment_released(project).await;
        assert_refused(
            &stack.execute(&destruction(&store)).await,
            "PolicyNotEvaluated",
            "can't be evaluated",
        );
        stack.released(&store).await;

        // The plan waits for the reasons of the rules, a module alone isn't approved, and what is approved runs.
        let approval = "package seedflow\nrequire_approval contains \"it changes\" if input.changes\n";
        assert_eq!(set(stack, project, approval).await.code, Some(0));
        let single = stack.deploy(&store, &Module::running("build", &["true"])).await;
        assert_refused(&single, "ApprovalRequired", "want an approval (it changes)");
        stack.released(&store).await;
        let (execution, waiting) = push(stack, project, &changed, "Rob").await;
        assert_eq!(waiting["reasons"], json!(["rules: it changes"]), "{waiting}");
        let rita = User::new(stack, "rita").await;
        let decided = rita.decides(stack, "approve", &waiting, "looked at it").await;
        assert_eq!(decided.code, Some(0), "{decided:?}");
        assert_state(&stack.finished(&execution).await, "SUCCEEDED");
    });
}
