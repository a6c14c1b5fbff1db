//! Modules with a `modulestack.yaml`: their builds have a role of their own, with the rights that the stack allows.

use seedflow_e2e::{Module, ModuleId, TestStack, destruction, module_id, run};
use serde_json::{Value, json};

use super::{STACK, assert_state};

/// A stack like those of public modules. It allows its module's role to write parameters below a path.
const TEMPLATE: &str = r#"AWSTemplateFormatVersion: 2010-09-09
Description: What the module may do
Parameters:
  DeploymentName: {Type: String}
  RoleName:
    Type: String
    Description: The name of the IAM Role
  AllowedPath: {Type: String}
  Unused: {Type: String, Default: nothing}
Resources:
  Policy:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: modulespecific-policy
      PolicyDocument:
        Version: 2012-10-17
        Statement:
          - Effect: Allow
            Action: [ssm:PutParameter, ssm:GetParameter]
            Resource: !Sub "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/${AllowedPath}/${DeploymentName}/*"
      Roles: [!Ref RoleName]
"#;

fn module(deploy: &[&str], destroy: &[&str]) -> Module {
    let phases = |commands: &[&str]| json!({"phases": {"build": {"commands": commands}}});
    Module::with_deployspec(&json!({"deploy": phases(deploy), "destroy": phases(destroy)}).to_string())
        .file("modulestack.yaml", TEMPLATE)
}

/// The role named in the module's metadata.
async fn role(stack: &TestStack, id: &ModuleId) -> String {
    let metadata = stack.parameter(id, "metadata").await;
    metadata["ModuleDeploymentRoleName"].as_str().unwrap().to_owned()
}

/// Makes a policy that allows everything, for a permissions boundary; returns its ARN.
async fn policy(stack: &TestStack, name: &str) -> String {
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
    ]});
    let fields = [
        ("Action", "CreatePolicy"),
        ("Version", "2010-05-08"),
        ("PolicyName", name),
        ("PolicyDocument", &document.to_string()),
    ];
    stack.client().form("iam", &fields).await.expect("a policy");
    format!("arn:aws:iam::{}:policy/{name}", stack.about().account)
}

/// What IAM says of a role.
async fn get_role(stack: &TestStack, name: &str) -> Option<String> {
    let fields = [
        ("Action", "GetRole"),
        ("Version", "2010-05-08"),
        ("RoleName", name),
    ];
    stack.client().form("iam", &fields).await.ok()
}

/// Whether the role and the stack of that name exist: both begin alike, and these names aren't cut.
async fn are_there(stack: &TestStack, name: &str) -> (bool, bool) {
    let of_stack = [
        ("Action", "DescribeStacks"),
        ("Version", "2010-05-15"),
        ("StackName", name),
    ];
    (
        get_role(stack, name).await.is_some(),
        stack.client().form("cloudformation", &of_stack).await.is_ok(),
    )
}

fn parameters() -> Value {
    json!({"parameters": {"allowed-path": "modulestack"}})
}

#[test]
fn a_build_has_the_role_of_its_module_until_the_module_is_destroyed() {
    run(async {
        let stack = STACK.get().await;
        let id = module_id("modulestack", "own", "g", "m");
        let put =
            |name: &str| format!("aws ssm put-parameter --type String --value x --overwrite --name {name}");
        let refused = |name: &str| format!("{} >out 2>&1 && exit 1; grep AccessDenied out", put(name));
        let (allowed, other) = (put("/modulestack/own/x"), refused("/elsewhere"));
        // On this stack the template's role may do everything; the module's own role may write only what its stack allows.
        let own = refused("/modulestack/other/x");
        let state = refused("/sf/modulestack/own/g-m/md5");
        let module = module(
            &[
                &allowed,
                &other,
                &own,
                &state,
                "aws sts get-caller-identity --query Arn --output text >arn && seedfarmer metadata add -k Arn -v $(cat arn)",
                "seedfarmer metadata add -k Boundary -v $SEEDFARMER_PERMISSIONS_BOUNDARY_ARN",
            ],
            // The stack doesn't allow the list, but seed-farmer's default project policy does.
            &[
                "aws ssm get-parameter --name /modulestack/own/x",
                "aws s3api list-buckets >buckets",
                &other,
            ],
        );
        let boundary = policy(stack, "modulestack-boundary").await;
        let mut more = parameters();
        more["build"] = json!({"permissions_boundary": "modulestack-boundary"});
        let finished = stack.deploy_with(&id, &module, more.clone()).await;
        assert_state(&finished, "SUCCEEDED");
        let role = role(stack, &id).await;
        assert!(role.starts_with("seedflow-module-modulestack-own-g-m-"), "{role}");
        let metadata = stack.parameter(&id, "metadata").await;
        assert_eq!(metadata["Boundary"], boundary.as_str());
        let made = get_role(stack, &role).await.unwrap();
        assert!(
            made.contains(&format!(":role/builds/{role}<")) && made.contains(&boundary),
            "{made}"
        );
        let arn = metadata["Arn"].clone();
        assert!(
            arn.as_str().unwrap().contains(&format!(":assumed-role/{role}/")),
            "{arn}"
        );
        assert_eq!(are_there(stack, &role).await, (true, true));

        // The role exists, and the stack has nothing to update.
        let again = stack
            .deploy_with(&id, &module.clone().file("data", "x"), more)
            .await;
        assert_state(&again, "SUCCEEDED");

        let destroyed = stack.execute(&destruction(&id)).await;
        assert_state(&destroyed, "DESTROYED");
        assert_eq!(are_there(stack, &role).await, (false, false));
    });
}

#[test]
fn a_changed_stack_is_updated_and_one_that_is_gone_takes_its_role_along() {
    run(async {
        let stack = STACK.get().await;
        let id = module_id("modulestack", "changed", "g", "m");
        let put = "aws ssm put-parameter --type String --value x --overwrite --name /modulestack-2/changed/x";
        let before = module(&["true"], &["true"]);
        assert_state(&stack.deploy_with(&id, &before, parameters()).await, "SUCCEEDED");
        let role = role(stack, &id).await;
        let more = json!({"parameters": {"allowed-path": "modulestack-2"}});
        let changed = module(&[put], &["true"]);
        assert_state(&stack.deploy_with(&id, &changed, more.clone()).await, "SUCCEEDED");

        let without = changed.without("modulestack.yaml");
        assert_state(&stack.deploy_with(&id, &without, more).await, "SUCCEEDED");
        assert_eq!(are_there(stack, &role).await, (false, false));
        let metadata = stack.parameter(&id, "metadata").await;
        assert!(metadata["ModuleDeploymentRoleName"].is_null(), "{metadata}");
    });
}

#[test]
fn a_failed_stack_is_reported_with_its_reason_and_recreated_by_the_next() {
    run(async {
        let stack = STACK.get().await;
        let id = module_id("modulestack", "failed", "g", "m");
        let good = module(&["true"], &["true"]);
        let bad = good.clone().file(
            "modulestack.yaml",
            TEMPLATE.replace("!Ref RoleName", "no-such-role"),
        );
        let failed = stack.deploy_with(&id, &bad, parameters()).await;
        assert_eq!(failed.error, "ModuleStackFailed", "{}", failed.cause);
        assert!(
            failed.cause.contains("Policy (AWS::IAM::Policy)") && failed.cause.contains("no-such-role"),
            "{}",
            failed.cause
        );
        assert!(failed.build.is_null());

        let unknown = stack.deploy(&id, &good).await;
        assert_eq!(unknown.error, "InvalidModuleStack", "{}", unknown.cause);
        assert!(
            unknown
                .cause
                .contains("Parameters.AllowedPath: found no value and no default"),
            "{}",
            unknown.cause
        );

        assert_state(&stack.deploy_with(&id, &good, parameters()).await, "SUCCEEDED");
        // The resources of a deployment that never succeeded are removed, too.
        let role = role(stack, &id).await;
        assert_eq!(are_there(stack, &role).await, (true, true));
        let never = module_id("modulestack", "never", "g", "m");
        let failing = module(&["exit 1"], &["true"]);
        let failed = stack.deploy_with(&never, &failing, parameters()).await;
        assert_eq!(failed.error, "BuildFailed");
        let service_role = failed.build["serviceRole"].as_str().unwrap().to_owned();
        let role = service_role.rsplit('/').next().unwrap();
        assert_eq!(are_there(stack, role).await, (true, true));
        assert_state(&stack.execute(&destruction(&never)).await, "DESTROYED");
        assert_eq!(are_there(stack, role).await, (false, false));
    });
}

#[test]
fn a_role_that_cloudformation_does_not_find_yet_is_waited_for() {
    run(async {
        let stack = STACK.get().await;
        // The local stack finds a role with this in its name at the third lookup (`stack/corrections`).
        let id = module_id("modulestack", "found-late", "g", "m");
        let deployed = stack
            .deploy_with(&id, &module(&["true"], &["true"]), parameters())
            .await;
        assert_state(&deployed, "SUCCEEDED");
        assert_eq!(are_there(stack, &role(stack, &id).await).await, (true, true));
        let history = stack.history(&deployed.execution).await;
        let tried = history.iter().filter_map(|event| {
            let output = event["taskSucceededEventDetails"]["output"].as_str()?;
            let output: Value = serde_json::from_str(output).unwrap();
            output["Payload"]["progress"]["unseen"].as_u64()
        });
        assert_eq!(tried.max(), Some(2));
    });
}

#[test]
fn what_a_failed_attempt_made_goes_with_the_next_version_without_it_and_with_the_module() {
    run(async {
        let stack = STACK.get().await;
        let id = module_id("modulestack", "dropped", "g", "m");
        let failing = module(&["exit 1"], &["true"]);
        let without = module(&["true"], &["true"]).without("modulestack.yaml");
        assert_state(&stack.deploy(&id, &without).await, "SUCCEEDED");
        let attempt = async || {
            let failed = stack.deploy_with(&id, &failing, parameters()).await;
            assert_eq!(failed.error, "BuildFailed", "{}", failed.cause);
            let role = failed.build["serviceRole"].as_str().unwrap().rsplit('/').next();
            let role = role.unwrap().to_owned();
            assert_eq!(are_there(stack, &role).await, (true, true));
            role
        };
        let role = attempt().await;
        assert_state(&stack.deploy(&id, &without).await, "SUCCEEDED");
        assert_eq!(are_there(stack, &role).await, (false, false));
        assert_eq!(attempt().await, role);
        assert_state(&stack.execute(&destruction(&id)).await, "DESTROYED");
        assert_eq!(are_there(stack, &role).await, (false, false));
    });
}
