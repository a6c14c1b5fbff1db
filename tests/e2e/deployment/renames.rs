//! A module gets another name and group: its stack, its role and its values stay, and its consumers find it.

use std::collections::BTreeMap;

use seedflow_core::ids::ExecutionArn;
use seedflow_e2e::{Action, Caller, Module, Repository, Rule, TestStack, When, destruction, eventually, run};
use serde_json::{Value, json};

use super::{STACK, assert_state, id_of, results};

const TEMPLATE: &str =
    "Resources: {Topic: {Type: 'AWS::SNS::Topic'}}\nOutputs: {Topic: {Value: !Ref Topic}}\n";
const ROLE: &str = "Parameters: {RoleName: {Type: String}, ModuleName: {Type: String}}\nResources:\n  Own:\n    Type: AWS::IAM::Policy\n    Properties:\n      PolicyName: !Ref ModuleName\n      Roles: [!Ref RoleName]\n      PolicyDocument: {Version: '2012-10-17', Statement: [{Effect: Allow, Action: ['cloudformation:*', 'sns:*', 'sts:*'], Resource: '*'}]}\n";

/// A module with a stack of its own name and a role of its own. It publishes which stack and which role it saw.
fn storing() -> Module {
    let name = "export STACK=$SEEDFARMER_PROJECT_NAME-$SEEDFARMER_DEPLOYMENT_NAME-$SEEDFARMER_MODULE_NAME";
    let phases = |commands: &[&str]| json!({"phases": {"build": {"commands": commands}}});
    let deploy = [
        name,
        "aws cloudformation deploy --stack-name $STACK --template-file template.yaml --no-fail-on-empty-changeset",
        "aws cloudformation describe-stacks --stack-name $STACK --query 'Stacks[0].StackId' --output text >id",
        "seedfarmer metadata add -k Value -v $(cat id)",
    ];
    let destroy = [
        name,
        "aws cloudformation delete-stack --stack-name $STACK",
        "aws cloudformation wait stack-delete-complete --stack-name $STACK",
    ];
    Module::with_deployspec(&json!({"deploy": phases(&deploy), "destroy": phases(&destroy)}).to_string())
        .file("template.yaml", TEMPLATE)
        .file("modulestack.yaml", ROLE)
}

/// A repository with the storing module under this name, and `apps/web`, which consumes its value.
fn repository(name: &str, renamed_from: Option<&str>) -> Repository {
    let (group, module) = name.split_once('/').expect("group/module");
    let mut storing_module = json!({"name": module, "path": "modules/store"});
    if let Some(from) = renamed_from {
        storing_module["renamedFrom"] = json!(from);
    }
    let of = json!([{"name": "of", "valueFrom": {"moduleMetadata": {"group": group, "name": module, "key": "Value"}}}]);
    let manifest = json!({
        "name": "dev",
        "groups": [
            {"name": group, "modules": [storing_module]},
            {"name": "apps", "modules": [{"name": "web", "path": "modules/web", "parameters": of}]},
        ],
    });
    let web = json!({
        "deploy": {"phases": {"build": {"commands": ["echo $SEEDFARMER_PARAMETER_OF"]}}},
        "destroy": {"phases": {}},
    });
    Repository::default()
        .file("deployment.yaml", manifest.to_string())
        .module("modules/store", &storing())
        .module("modules/web", &Module::with_deployspec(&web.to_string()))
}

async fn has_stack(stack: &TestStack, name: &str) -> bool {
    let of_stack = [
        ("Action", "DescribeStacks"),
        ("Version", "2010-05-15"),
        ("StackName", name),
    ];
    stack.client().form("cloudformation", &of_stack).await.is_ok()
}

/// The names of the roles of this project's modules.
async fn roles(stack: &TestStack, project: &str) -> Vec<String> {
    let fields = [
        ("Action", "ListRoles"),
        ("Version", "2010-05-08"),
        ("MaxItems", "1000"),
    ];
    let listed = stack.client().form("iam", &fields).await.expect("listing roles");
    let prefix = format!("seedflow-module-{project}-");
    let names = listed.split("<RoleName>").skip(1);
    let names = names.filter_map(|rest| Some(rest.split_once('<')?.0.to_owned()));
    names.filter(|name| name.starts_with(&prefix)).collect()
}

#[test]
fn a_renamed_module_keeps_its_stack_its_role_and_its_consumers() {
    run(async {
        let stack = STACK.get().await;
        let project = "renames";
        let (old, new) = (id_of(project, "data/store"), id_of(project, "storage/bucket"));
        let first = repository("data/store", None);
        assert_state(
            &stack.deploy_repository(project, &first, json!({})).await,
            "SUCCEEDED",
        );
        stack.deployment_released(project).await;
        let (metadata, outputs) = (
            stack.parameter(&old, "metadata").await,
            stack.parameter(&old, "outputs").await,
        );
        assert!(outputs["Topic"].is_string(), "{outputs}");
        let role = roles(stack, project).await;
        assert_eq!(role.len(), 1, "{role:?}");

        // The plan shows it, and that nothing is destroyed.
        let renamed = repository("storage/bucket", Some("data/store"));
        let planned = stack
            .deploy_repository(project, &renamed, json!({"plan_only": true}))
            .await;
        let modules = planned.output["modules"].as_array().expect("modules").clone();
        assert_eq!(modules.len(), 2, "{modules:?}");
        assert_eq!(
            modules[0]["renamed_from"],
            json!({"group": "data", "module": "store"})
        );
        assert_eq!(modules[0]["reasons"], json!(["renamed from data/store"]));
        assert_eq!(modules[1]["action"], "unchanged", "{modules:?}");

        // An execution of the old name that has not ended yet holds its lock: nothing is renamed.
        let holder = ExecutionArn::of(&stack.about().state_machine_arn, "busy");
        let run = "ab".repeat(16);
        let lock = json!({"holder": {"execution": holder, "started_at": "2026-01-01T00:00:00Z"}, "fence": 1, "run": run});
        let lock_key = format!("locks/{project}/dev/data/store.json");
        stack.put(&lock_key, lock.to_string().into_bytes()).await;
        let busy = stack.deploy_repository(project, &renamed, json!({})).await;
        assert_eq!(busy.error, "DeploymentFailed");
        assert!(
            busy.cause
                .contains("expected no execution of renames/dev/data/store"),
            "{}",
            busy.cause
        );
        stack.deployment_released(project).await;
        let stored: Vec<String> = stack.parameters(&old).await.into_keys().collect();
        assert_eq!(stored, ["md5", "metadata", "outputs", "status"], "as it was");
        stack.delete(&lock_key).await;

        // The function that renames it is killed twice: before the new status is written, and after the old record is removed.
        let killed = [
            (
                "ssm",
                "PutParameter",
                "/sf/renames/dev/storage-bucket/status",
                When::Before,
            ),
            (
                "s3",
                "DeleteObject",
                "deployed/renames/dev/data/store.json",
                When::After,
            ),
        ];
        let killed = killed.map(|(service, operation, key, when)| {
            let rule = Rule::new(service, operation, Action::Kill(when)).contains(key);
            stack.rule(rule.caller(Caller::Functions).times(1))
        });
        let finished = stack.deploy_repository(project, &renamed, json!({})).await;
        assert_state(&finished, "SUCCEEDED");
        assert_eq!(killed.each_ref().map(|rule| rule.applied()), [1, 1]);
        drop(killed);
        let ended = results(stack, &finished).await;
        let expected = [("apps/web", "UNCHANGED"), ("storage/bucket", "SUCCEEDED")];
        let expected = expected.map(|(module, state)| (module.to_owned(), state.to_owned()));
        assert_eq!(ended, BTreeMap::from(expected));
        stack.deployment_released(project).await;
        let now = stack.parameter(&new, "metadata").await;
        assert_eq!(now["Value"], metadata["Value"], "the same stack");
        assert_eq!(
            now["ModuleDeploymentRoleName"],
            metadata["ModuleDeploymentRoleName"]
        );
        assert_eq!(stack.parameter(&new, "outputs").await, outputs);
        assert!(!has_stack(stack, "renames-dev-storage-bucket").await);
        assert_eq!(roles(stack, project).await, role);
        let status = stack.parameter(&new, "status").await;
        assert_eq!(status["reasons"], json!(["renamed from data/store"]));
        // Of the old name only the mark is left.
        let left: Vec<String> = stack.parameters(&old).await.into_keys().collect();
        assert_eq!(left, ["renamed"]);
        let kept: Vec<String> = stack.keys(&format!("deployed/{project}/dev/data/")).await;
        assert!(kept.is_empty(), "{kept:?}");
        eventually("the index after the rename", || async {
            let page = stack.object(&format!("index/{project}.html")).await?;
            let page = String::from_utf8(page).expect("text");
            // Its data has an entry for each name; causes may name the old one.
            let has = |name: &str| page.contains(&format!("\"{name}\":"));
            (has("dev/storage/bucket") && !has("dev/data/store")).then_some(())
        })
        .await;

        // Nothing is to be done any more, whether the manifest still has the old name or not.
        for again in [&renamed, &repository("storage/bucket", None)] {
            let finished = stack.deploy_repository(project, again, json!({})).await;
            assert_state(&finished, "UNCHANGED");
            stack.deployment_released(project).await;
        }

        // The old name is not free: a module that had it would have the same stack.
        let taken = stack.finished(&stack.start(&destruction(&old)).await).await;
        assert_eq!(taken.error, "InvalidInput", "{}", taken.cause);
        stack.released(&old).await;
        let taken = stack.deploy(&old, &storing()).await;
        assert_eq!(taken.error, "InvalidInput", "{}", taken.cause);
        assert!(
            taken.cause.contains("the former name of storage/bucket"),
            "{}",
            taken.cause
        );
        stack.released(&old).await;

        // The refusal goes with the rest.
        let all = json!({"project": project, "deployment": "dev", "action": "destroy"});
        let destroyed = stack.finished(&stack.start_deployment(&all).await).await;
        assert_state(&destroyed, "DESTROYED");
        assert!(!has_stack(stack, "renames-dev-data-store").await);
        assert_eq!(roles(stack, project).await, Vec::<String>::new());
        for id in [&old, &new] {
            assert!(stack.parameters(id).await.is_empty(), "{id}");
        }
        let nothing: Value = stack.deployment_status(project, "dev").await;
        assert_eq!(nothing, Value::Null);
    });
}
