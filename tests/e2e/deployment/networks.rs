//! Builds in networks: each network has a CodeBuild project of its own, which its modules share.

use seedflow_e2e::{Module, Repository, TestStack, run};
use serde_json::{Value, json};

use super::{STACK, assert_state, id_of};

/// A repository of two modules in one network, whose security groups are in Parameter Store.
fn in_network(stack: &TestStack) -> Repository {
    let module = |name: &str| json!({"name": name, "path": format!("modules/net-{name}")});
    let about = stack.about();
    let region = json!({
        "region": about.region, "default": true,
        "parametersRegional": {"subnets": ["subnet-2", "subnet-1"]},
        "network": {
            "vpcId": "vpc-1",
            "privateSubnetIds": {"valueFrom": {"parameterValue": "subnets"}},
            "securityGroupIds": {"valueFrom": {"parameterStore": "/shared/groups"}},
        },
    });
    let account =
        json!({"alias": "here", "accountId": about.account, "default": true, "regionMappings": [region]});
    let groups = json!([{"name": "net", "modules": [module("one"), module("two")]}]);
    let manifest = json!({"name": "dev", "targetAccountMappings": [account], "groups": groups});
    Repository::deploying(&[("net", &[("one", &[]), ("two", &[])])])
        .file("deployment.yaml", manifest.to_string())
}

/// The project of a build and its network.
async fn network_of(stack: &TestStack, project: &str) -> Value {
    let call = json!({"names": [project]});
    let answer = stack
        .call("codebuild", "CodeBuild_20161006.BatchGetProjects", call)
        .await;
    answer["projects"][0]["vpcConfig"].clone()
}

#[test]
fn modules_of_a_network_share_its_project_and_another_network_has_another() {
    run(async {
        let stack = STACK.get().await;
        stack.put_parameter("/shared/groups", "[\"sg-1\"]").await;
        let project = "networks";
        let finished = stack
            .deploy_repository(project, &in_network(stack), json!({}))
            .await;
        assert_state(&finished, "SUCCEEDED");
        let expected =
            json!({"vpcId": "vpc-1", "subnets": ["subnet-1", "subnet-2"], "securityGroupIds": ["sg-1"]});
        let mut projects = Vec::new();
        for module in ["net/one", "net/two"] {
            let status = stack.parameter(&id_of(project, module), "status").await;
            let build = stack.build(status["build_id"].as_str().expect("a build")).await;
            assert_eq!(build["vpcConfig"], expected, "{module}");
            projects.push(build["projectName"].as_str().expect("a project").to_owned());
        }
        assert_eq!(projects[0], projects[1]);
        let prefix = format!("{}-network-", stack.about().project_name);
        assert!(projects[0].starts_with(&prefix), "{}", projects[0]);
        assert_eq!(network_of(stack, &projects[0]).await, expected);

        let id = id_of(project, "net/other");
        let module = Module::running("build", &["true"]);
        let network =
            |subnet: &str| json!({"vpc_id": "vpc-1", "subnet_ids": [subnet], "security_group_ids": ["sg-1"]});
        let more = json!({"build": {"network": network("subnet-1")}});
        let finished = stack.deploy_with(&id, &module, more).await;
        assert_state(&finished, "SUCCEEDED");
        let (other, _) = finished
            .build_id()
            .and_then(|id| id.split_once(':'))
            .expect("a build");
        assert!(other.starts_with(&prefix) && other != projects[0], "{other}");
        assert_eq!(network_of(stack, other).await["subnets"], json!(["subnet-1"]));

        let more = json!({"build": {"network": network("subnet-3")}});
        let refused = stack.deploy_with(&id, &module, more).await;
        assert_eq!(refused.error, "InvalidInput", "{}", refused.cause);
        assert!(refused.cause.contains("BuildSubnetIds"), "{}", refused.cause);
        assert!(refused.build.is_null());
    });
}

/// The local stack takes no network that AWS would not take.
#[test]
fn a_project_with_a_part_of_a_network_is_refused() {
    run(async {
        let stack = STACK.get().await;
        let subnets: Vec<String> = (0..17).map(|i| format!("subnet-{i}")).collect();
        for network in [
            json!({"vpcId": "vpc-1", "subnets": ["subnet-1"]}),
            json!({"vpcId": "vpc-1", "subnets": subnets, "securityGroupIds": ["sg-1"]}),
        ] {
            let call = json!({"name": "part-of-a-network", "vpcConfig": network});
            let made = stack
                .client()
                .json("codebuild", "CodeBuild_20161006.CreateProject", &call)
                .await;
            assert_eq!(made.unwrap_err().code, "InvalidInputException", "{call}");
        }
    });
}
