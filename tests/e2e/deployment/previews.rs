//! Previews: what the preview phases of modules say of a plan, before it runs, and what an approver sees of them.

use seedflow_core::ids::ExecutionArn;
use seedflow_e2e::command_line::seedflow;
use seedflow_e2e::{Module, Repository, TestStack, run};
use serde_json::{Value, json};

use super::approvals::{User, push};
use super::policies::set;
use super::{STACK, assert_state, pages, report};

/// A module that publishes `Id`, and that has these commands as its preview.
fn module(preview: &[&str]) -> Module {
    let phases = |commands: &[&str]| json!({"phases": {"build": {"commands": commands}}});
    let deploy = ["seedfarmer metadata add -k Id -v 1"];
    Module::with_deployspec(&json!({"deploy": phases(&deploy), "preview": phases(preview)}).to_string())
}

/// One that shows its parameter and tries to write, one that fails, one that consumes a value of the first, one without a preview.
fn repository(project: &str) -> Repository {
    let put = format!("aws ssm put-parameter --type String --value x --name /sf/{project}/written");
    let write = format!("if {put}; then echo it has written; else echo it may not write; fi");
    let show = "echo \"size would become $SEEDFARMER_PARAMETER_SIZE\"";
    let manifest = json!({"name": "dev", "groups": [
        {"name": "g", "modules": [
            {"name": "shows", "path": "shows", "parameters": [{"name": "size", "value": 3}]},
            {"name": "fails", "path": "fails"},
            {"name": "silent", "path": "silent"},
        ]},
        {"name": "h", "modules": [
            {"name": "takes", "path": "takes",
             "parameters": [{"name": "id", "valueFrom": {"moduleMetadata": {"group": "g", "name": "shows", "key": "Id"}}}]},
        ]},
    ]});
    Repository::default()
        .file("seedfarmer.yaml", format!("project: {project}\n"))
        .file("deployment.yaml", manifest.to_string())
        .module("shows", &module(&[show, &write]))
        .module("fails", &module(&["echo the state is missing && exit 1"]))
        .module("silent", &Module::running("build", &["true"]))
        .module("takes", &module(&["echo $SEEDFARMER_PARAMETER_ID"]))
}

/// How the preview of each module ended.
fn states(previews: &Value) -> Vec<(&str, &str)> {
    let previews = previews.as_array().expect("previews");
    let ended = previews
        .iter()
        .map(|one| (one["module"].as_str(), one["state"].as_str()));
    ended
        .map(|(module, state)| (module.expect("a name"), state.expect("a state")))
        .collect()
}

/// The number of builds of modules of a project, in the project of deployments.
async fn deploying_builds(stack: &TestStack, project: &str) -> usize {
    let builds = stack.builds_of(&stack.about().project_name).await;
    builds
        .iter()
        .filter(|build| build.to_string().contains(project))
        .count()
}

#[test]
fn previews_are_part_of_a_plan_and_of_what_an_approver_sees_and_change_nothing() {
    run(async {
        let (stack, project) = (STACK.get().await, "previewed");
        let folder = tempfile::tempdir().expect("a folder");
        let repository = repository(project);
        repository.write(folder.path());
        let path = folder.path().to_str().expect("a path");

        // A person who may only plan sees that there are some.
        let plain = seedflow(stack, &["plan", path]).await;
        assert_eq!(plain.code, Some(0), "{plain:?}");
        let line = "g/shows, g/fails, h/takes: preview not run: no person with the right to deploy asked for previews";
        assert!(plain.out.contains(line), "{plain:?}");

        let planned = seedflow(stack, &["plan", path, "--preview", "--json"]).await;
        assert_eq!(planned.code, Some(0), "{planned:?}");
        let plan = planned.json();
        let previews = &plan["previews"];
        let expected = [("shows", "succeeded"), ("fails", "failed"), ("takes", "not_run")];
        assert_eq!(states(previews), expected, "{previews}");
        let output = previews[0]["output"].as_str().expect("an output");
        assert!(output.contains("size would become 3"), "{output}");
        assert!(
            output.contains("it may not write") && output.contains("AccessDenied"),
            "{output}"
        );
        assert_eq!(previews[1]["output"], "the state is missing");
        let reason = previews[1]["reason"].as_str().expect("a reason");
        assert!(reason.contains("exit status 1"), "{reason}");
        assert_eq!(previews[2]["reason"], "consumes what g/shows is about to publish");
        assert_eq!(plan["counts"]["deploy"], 4, "{plan}");
        assert_eq!(stack.deployment_status(project, "dev").await, Value::Null);

        // Approvers see them, and they are not part of what is approved.
        let anna = User::new(stack, "previews").await;
        set(
            stack,
            project,
            &json!({"approval": "changes", "four_eyes": false}),
        )
        .await;
        let (execution, waiting) = push(stack, project, &repository, "Pat <pat>").await;
        let name = ExecutionArn::new(execution.as_str()).name().to_owned();
        let page = pages::page_at(stack, &format!("reports/{project}/dev/{name}.html")).await;
        let parts = [
            "<bdi>g/shows</bdi>",
            "size would become 3",
            "the state is missing",
            "is about to publish",
        ];
        for part in parts {
            assert!(page.contains(part), "{part}: {page}");
        }
        let approved = anna.decides(stack, "approve", &waiting, "looks right").await;
        assert_eq!(approved.code, Some(0), "{approved:?}");
        let finished = stack.finished(&execution).await;
        assert_state(&finished, "SUCCEEDED");
        let written = report(stack, &finished).await;
        assert_eq!(states(&written["previews"]), expected);
        // Each module was deployed once; the previews had a project of their own.
        assert_eq!(deploying_builds(stack, project).await, 4);
        stack.deployment_released(project).await;
    });
}
