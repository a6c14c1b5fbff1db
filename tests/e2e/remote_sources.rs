//! Modules and data files from another git host: deployed from a push, followed when they change, destroyed without the host.
use seedflow_e2e::{Module, ModuleId, Repository, TestStack, WorkTree, eventually, module_id, run};
use seedflow_fixtures::git_server::{GitServer, HostedRepository};
use serde_json::{Value, json};

use crate::deployment::STACK;
use crate::git_push::remote;

const PROJECT: &str = "elsewhere-modules";

/// The deployspec of a module in the style of public ones, but for the CDK: it installs its helpers, runs them, publishes what
/// they wrote, and cleans up when it is destroyed.
const DEPLOYSPEC: &str = r#"publishGenericEnvVariables: true
deploy:
  phases:
    install:
      commands:
      - env | sort | grep ^SEEDFARMER_PARAMETER_
      - chmod +x scripts/publish.sh
      - python3 -m pip --version
    build:
      commands:
      - |
        if [[ ${SEEDFARMER_PARAMETER_RETENTION_TYPE} == "RETAIN" ]]; then export KEEP=yes; else export KEEP=no; fi
      - export NAMES=$(cat data/names.txt)
      - scripts/publish.sh
      - python3 scripts/outputs.py > cdk-exports.json
      - seedfarmer metadata convert -f cdk-exports.json || true
      - seedfarmer metadata add -k Keep -v ${KEEP}
    post_build:
      commands:
      - echo "Deployed $SEEDFARMER_PROJECT_NAME-$SEEDFARMER_DEPLOYMENT_NAME-$SEEDFARMER_MODULE_NAME"
destroy:
  phases:
    build:
      commands:
      - aws ssm delete-parameter --name $SEEDFARMER_PARAMETER_CONFIG_PATH/which
build_type: BUILD_GENERAL1_SMALL
"#;

/// Its role may write below a path that is a parameter of the module.
const MODULE_STACK: &str = r#"AWSTemplateFormatVersion: 2010-09-09
Description: This stack deploys a Module specific IAM permissions
Parameters:
  DeploymentName: {Type: String, Description: The name of the deployment}
  ModuleName: {Type: String, Description: The name of the Module}
  RoleName: {Type: String, Description: The name of the IAM Role}
  ConfigPath: {Type: String, Description: Where the module writes}
Resources:
  Policy:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: modulespecific-policy
      PolicyDocument:
        Version: 2012-10-17
        Statement:
        - Effect: Allow
          Action: [ssm:PutParameter, ssm:DeleteParameter]
          Resource: !Sub arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter${ConfigPath}/*
      Roles: [!Ref RoleName]
"#;

const PUBLISH: &str = r#"#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")/.."
aws ssm put-parameter --type String --overwrite --name "$SEEDFARMER_PARAMETER_CONFIG_PATH/which" --value "$(cat which.txt)"
"#;

/// Writes what `cdk deploy --outputs-file` would.
const OUTPUTS: &str = r#"import json, os
from helpers import titled
name = "-".join(os.environ[f"SEEDFARMER_{part}_NAME"] for part in ("PROJECT", "DEPLOYMENT", "MODULE"))
which = open("which.txt").read()
print(json.dumps({name: {"metadata": json.dumps({"Which": f"{which} {os.environ['NAMES']}", "Level": titled(os.environ["SEEDFARMER_PARAMETER_LEVEL"])})}}))
"#;

fn helpers(server: &GitServer) -> Module {
    let module = Module::with_deployspec(DEPLOYSPEC);
    module
        .file("modulestack.yaml", MODULE_STACK)
        .file("README.md", format!("# VPC\n\nFrom {}\n", server.host()))
        .file("scripts/publish.sh", PUBLISH)
        .file("scripts/outputs.py", OUTPUTS)
        .file(
            "scripts/helpers.py",
            "def titled(text: str) -> str:\n    return text.title()\n",
        )
        .file("which.txt", "one")
}

/// A repository with two modules, and a data file for one of them; an archive with a third module.
fn host(server: &GitServer) -> (HostedRepository, String) {
    let repository = server.repository("modules");
    for (path, content) in helpers(server).files() {
        repository.write(&format!("modules/vpc/{path}"), content);
    }
    let nothing = json!({"phases": {"build": {"commands": ["true"]}}});
    let dns = json!({"deploy": nothing, "destroy": nothing});
    repository
        .write("modules/dns/deployspec.yaml", dns.to_string())
        .write("data/names.txt", "names");
    let commit = repository.commit();
    repository.git(&["tag", "v1"]);
    let publish = "seedfarmer metadata add -k Level -v $(cat data/level.txt)";
    let logs = json!({"deploy": {"phases": {"build": {"commands": [publish]}}}, "destroy": nothing});
    let archive = Repository::default()
        .file("modules/logs/deployspec.yaml", logs.to_string())
        .file("data/level.txt", "debug")
        .within("logs-1.0");
    server.file("logs-1.0.zip", &archive.zip());
    (repository, commit)
}

/// The deployment of them: the module in the style of public ones takes a value that another one publishes.
fn manifest(server: &GitServer) -> String {
    let url = server.url("public/modules.git");
    let archive = server.url("public/logs-1.0.zip");
    format!(
        "name: dev\ngroups:\n- name: base_1\n  modules:\n  - name: logs\n    path: archive::{archive}?module=modules/logs\n    \
         dataFiles: [{{filePath: 'archive::{archive}?module=data/level.txt'}}]\n  - {{name: dns, path: 'git::{url}//modules/dns?ref=main'}}\n\
         - name: net\n  modules:\n  - name: vpc_1.0\n    path: git::{url}//modules/vpc/?ref=main&depth=1\n    \
         dataFiles: [{{filePath: 'git::{url}//data/names.txt?ref=v1'}}]\n    parameters:\n    \
         - {{name: config-path, value: /{PROJECT}/config}}\n    - {{name: retention-type, value: RETAIN}}\n    \
         - {{name: level, valueFrom: {{moduleMetadata: {{group: base_1, name: logs, key: Level}}}}}}\n"
    )
}

fn vpc() -> ModuleId {
    module_id(PROJECT, "dev", "net", "vpc_1.0")
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
        assert_eq!(status["modules"], json!({"SUCCEEDED": 3}), "{status}");
        let published = metadata(stack).await;
        for (key, expected) in [
            ("Which", "one names"),
            ("Level", "Debug"),
            ("Keep", "yes"),
            ("CommitHash", first.as_str()),
            ("SeedFarmerModuleCommitHash", first.as_str()),
            ("CommitBranch", "main"),
        ] {
            assert_eq!(published[key], expected, "{key}");
        }
        let role = published["ModuleDeploymentRoleName"].as_str();
        assert!(role.is_some_and(|role| role.contains(PROJECT)), "{published}");
        assert_eq!(stack.parameter(&vpc(), "status").await["commit"], first.as_str());
        let record = stack.object(&format!("deployed/{}.json", vpc())).await;
        let record: Value = serde_json::from_slice(&record.expect("a record")).unwrap();
        assert_eq!(record["commit_info"]["commit"], first.as_str(), "{record}");
        let reports = stack.keys(&format!("reports/{PROJECT}/dev/")).await;
        let report = reports
            .iter()
            .find(|key| key.ends_with(".json") && key.matches('/').count() == 3);
        let report = stack.object(report.expect("a report")).await.expect("the report");
        let report: Value = serde_json::from_slice(&report).unwrap();
        let mut commits: Vec<(&Value, &Value)> = report["sources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|source| (&source["ref"], &source["commit"]))
            .collect();
        commits.retain(|(_, commit)| !commit.is_null());
        assert_eq!(
            commits,
            [(&json!("main"), &json!(first)), (&json!("v1"), &json!(first))]
        );

        // Of a host whose branch did not move, only the references are asked: two requests for each, by the check of the push
        // and by the deployment. An archive is one request.
        let asked = server.requests();
        let status = deployed(stack, &push("Again")).await;
        assert_eq!(status["modules"], json!({"UNCHANGED": 3}), "{status}");
        assert_eq!(server.requests() - asked, 10);

        hosted.write("README.md", "no file of a module");
        hosted.commit();
        let status = deployed(stack, &push("The branch moved")).await;
        assert_eq!(status["modules"], json!({"UNCHANGED": 3}), "{status}");

        hosted.write("modules/vpc/which.txt", "two");
        let second = hosted.commit();
        let status = deployed(stack, &push("The module changed")).await;
        assert_eq!(
            status["modules"],
            json!({"SUCCEEDED": 1, "UNCHANGED": 2}),
            "{status}"
        );
        let published = metadata(stack).await;
        assert_eq!(published["Which"], "two names");
        assert_eq!(published["SeedFarmerModuleCommitHash"], second.as_str());

        // A host that keeps failing, and a reference that is gone: nothing of the commit is deployed.
        let elsewhere = manifest(&server)
            .replace("public/modules.git//modules/dns", "down/modules.git//modules/dns")
            .replace("data/names.txt?ref=v1", "data/names.txt?ref=gone");
        repository.write("deployment.yaml", elsewhere);
        repository.commit("Elsewhere");
        let pushed = repository.push(&remote, "main");
        assert!(!pushed.accepted, "{pushed:?}");
        for part in [
            "/down/modules (ref main): the host answers HTTP 503 Service Unavailable: Try again later (asked 3 times)",
            "/public/modules (ref gone): ",
            "no branch and no tag \"gone\"",
            "is refused (SourceUnavailable); nothing of it is deployed",
        ] {
            assert!(pushed.said.contains(part), "{part}: {}", pushed.said);
        }
        assert_eq!(metadata(stack).await, published);
        stack.deployment_released(PROJECT).await;

        let asked = server.requests();
        let all = json!({"project": PROJECT, "deployment": "dev", "action": "destroy"});
        let destroyed = stack.finished(&stack.start_deployment(&all).await).await;
        assert_eq!(destroyed.state(), "DESTROYED", "{}", destroyed.cause);
        assert_eq!(server.requests(), asked);
        assert!(stack.parameters(&vpc()).await.is_empty());
        let written = json!({"Names": [format!("/{PROJECT}/config/which")]});
        let left = stack.call("ssm", "AmazonSSM.GetParameters", written).await;
        assert_eq!(left["Parameters"], json!([]), "its destroy phases ran");
    });
}
