//! A CodeBuild project that an input names and that an administrator made for another purpose: a build in it gets
//! nothing that other builds don't have.

use seedflow_e2e::{Module, TestStack, run};
use serde_json::{Value, json};

use super::{STACK, assert_state};

/// Makes a project whose service role may do everything; `more` overrides its fields.
async fn administrators(stack: &TestStack, name: &str, more: Value) -> String {
    let role = format!("arn:aws:iam::{}:role/{name}", stack.about().account);
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ]});
    let all =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    for fields in [
        [
            ("Action", "CreateRole"),
            ("AssumeRolePolicyDocument", &trust.to_string()),
        ]
        .as_slice(),
        &[
            ("Action", "PutRolePolicy"),
            ("PolicyName", "all"),
            ("PolicyDocument", &all.to_string()),
        ],
    ] {
        let named = [("Version", "2010-05-08"), ("RoleName", name)];
        let fields: Vec<_> = named.iter().chain(fields).copied().collect();
        stack.client().form("iam", &fields).await.unwrap();
    }
    let project = format!("{}-{name}", stack.about().project_name);
    let mut input = json!({
        "name": project, "serviceRole": role,
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2"}, "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {
            "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL",
        },
    });
    if let (Some(environment), Value::Object(more)) = (input["environment"].as_object_mut(), more) {
        environment.extend(more);
    }
    stack
        .call("codebuild", "CodeBuild_20161006.CreateProject", input)
        .await;
    project
}

#[test]
fn a_build_in_an_administrators_project_has_the_role_of_all_builds() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("borrowed");
        let project = administrators(stack, "borrowed-admin", json!({})).await;
        let module = Module::running(
            "build",
            &[
                "seedfarmer metadata add -k Caller -v \"$(aws sts get-caller-identity --query Arn --output text)\"",
            ],
        );
        let more = json!({"build": {"project_name": project}});
        let finished = stack.deploy_with(&id, &module, more).await;
        assert_state(&finished, "SUCCEEDED");
        assert!(
            finished.build_id().is_some_and(|id| id.starts_with(&project)),
            "{}",
            finished.build
        );
        let caller = stack.parameter(&id, "metadata").await["Caller"].to_string();
        let role = &stack.resources("AWS::IAM::Role").await["BuildRole"];
        assert!(caller.contains(&format!("/{role}/")), "{caller}");
    });
}

#[test]
fn a_project_that_brings_more_than_its_role_is_refused() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("borrowed-secret");
        let secret = json!({"environmentVariables": [{"name": "TOKEN", "value": "of the administrators"}]});
        let project = administrators(stack, "borrowed-secret", secret).await;
        let more = json!({"build": {"project_name": project}});
        let module = Module::running("build", &["true"]);
        let refused = stack.deploy_with(&id, &module, more).await;
        assert_eq!(refused.error, "InvalidInput", "{}", refused.cause);
        let says = format!("found \"{project}\", which has environment variables of its own");
        let field = "build.project_name: expected ";
        assert!(refused.cause.starts_with(field), "{}", refused.cause);
        assert!(refused.cause.contains(&says), "{}", refused.cause);
        assert!(refused.build.is_null());
    });
}
