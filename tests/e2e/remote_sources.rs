//! Modules and data files from another git host: deployed from a push, followed when they change, destroyed without the host.
use seedflow_e2e::{ModuleId, TestStack, WorkTree, eventually, module_id, run};
use seedflow_fixtures::git_server::{GitServer, HostedRepository};
use serde_json::{Value, json};

use crate::deployment::STACK;
use crate::git_push::remote;

const PROJECT: &str = "elsewhere-modules";

/// A repository with two modules; one gets a data file.
fn host(server: &GitServer) -> (HostedRepository, String) {
    let repository = server.repository("modules");
    let deployspec = |command: &str| {
        let phases = |command: &str| json!({"phases": {"build": {"commands": [command]}}});
        json!({"deploy": phases(command), "destroy": phases("true")}).to_string()
    };
    let publish = "seedfarmer metadata add -k Which -v \"$(cat which.txt) $(cat data/names.txt)\"";
    repository
        .write("modules/vpc/deployspec.yaml", deployspec(publish))
        .write("modules/vpc/which.txt", "one")
        .write("modules/dns/deployspec.yaml", deployspec("true"))
        .write("data/names.txt", "names");
    let commit = repository.commit();
    repository.git(&["tag", "v1"]);
    (repository, commit)
}

fn manifest(server: &GitServer) -> String {
    let url = server.url("public/modules.git");
    format!(
        "name: dev\ngroups:\n- name: net\n  modules:\n  - name: vpc\n    path: git::{url}//modules/vpc/?ref=main&depth=1\n    \
         dataFiles: [{{filePath: 'git::{url}//data/names.txt?ref=v1'}}]\n  - {{name: dns, path: 'git::{url}//modules/dns?ref=main'}}\n"
    )
}

fn vpc() -> ModuleId {
    module_id(PROJECT, "dev", "net", "vpc")
}

/// Waits for the deployment of a pushed commit, and returns its status.
async fn deployed(stack: &TestStack, commit: &str) -> Value {
    let status = eventually("the end of a deployment", || async {
        let status = stack.deployment_status(PROJECT, "dev").await;
        (status["commit"] == commit && status["state"] != "IN_PROGRESS").then_some(status)
    })
    .await;
    stack.deployment_released(PROJECT).await;
    status
}

async fn metadata(stack: &TestStack) -> Value {
    stack.parameter(&vpc(), "metadata").await
}

#[test]
fn modules_of_another_repository_follow_their_branch() {
    run(async {
        let stack = STACK.get().await;
        let server = GitServer::start();
        let (hosted, first) = host(&server);
        let remote = remote(stack, PROJECT).await;
        let repository = WorkTree::new();
        repository.write("deployment.yaml", manifest(&server));
        let push = |message: &str| {
            let commit = repository.commit(message);
            repository.push(&remote, "main");
            commit
        };

        let status = deployed(stack, &push("Begin")).await;
        assert_eq!(status["modules"], json!({"SUCCEEDED": 2}), "{status}");
        let published = metadata(stack).await;
        assert_eq!(published["Which"], "one names");
        for (key, expected) in [
            ("CommitHash", first.as_str()),
            ("SeedFarmerModuleCommitHash", first.as_str()),
            ("CommitBranch", "main"),
        ] {
            assert_eq!(published[key], expected, "{key}");
        }
        assert_eq!(stack.parameter(&vpc(), "status").await["commit"], first.as_str());
        let reports = stack.keys(&format!("reports/{PROJECT}/dev/")).await;
        let report = reports
            .iter()
            .find(|key| key.ends_with(".json") && key.matches('/').count() == 3);
        let report = stack.object(report.expect("a report")).await.expect("the report");
        let report: Value = serde_json::from_slice(&report).unwrap();
        let commits: Vec<(&Value, &Value)> = report["sources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|source| (&source["ref"], &source["commit"]))
            .collect();
        assert_eq!(
            commits,
            [(&json!("main"), &json!(first)), (&json!("v1"), &json!(first))]
        );

        // Of a host whose branch did not move, only the references are asked: two requests for each, by the check of the push
        // and by the deployment.
        let asked = server.requests();
        let status = deployed(stack, &push("Again")).await;
        assert_eq!(status["modules"], json!({"UNCHANGED": 2}), "{status}");
        assert_eq!(server.requests() - asked, 8);

        hosted.write("README.md", "no file of a module");
        hosted.commit();
        let status = deployed(stack, &push("The branch moved")).await;
        assert_eq!(status["modules"], json!({"UNCHANGED": 2}), "{status}");

        hosted.write("modules/vpc/which.txt", "two");
        let second = hosted.commit();
        let status = deployed(stack, &push("The module changed")).await;
        assert_eq!(
            status["modules"],
            json!({"SUCCEEDED": 1, "UNCHANGED": 1}),
            "{status}"
        );
        let published = metadata(stack).await;
        assert_eq!(published["Which"], "two names");
        assert_eq!(published["SeedFarmerModuleCommitHash"], second.as_str());

        let asked = server.requests();
        let all = json!({"project": PROJECT, "deployment": "dev", "action": "destroy"});
        let destroyed = stack.finished(&stack.start_deployment(&all).await).await;
        assert_eq!(destroyed.state(), "DESTROYED", "{}", destroyed.cause);
        assert_eq!(server.requests(), asked);
        assert!(stack.parameters(&vpc()).await.is_empty());
    });
}
