//! `template.yaml`, checked against what the functions and the state machines need, and against rights that nobody may
//! have.
//!
//! The linters check types and references. These tests check the promises that linters can't know: the environment of
//! each function, that no role has more rights than its statements give, and that task tokens stay out of logs and out
//! of the reach of builds. This file has functions and state machines, and the other subjects have files of their own.

mod buckets;
mod builds;
mod events;
mod roles;

use std::collections::BTreeSet;

use seedflow_contract::{Template, file};
use serde_json::Value;

/// The variables of every function.
const VARIABLES: [&str; 2] = ["STACK_NAME", "WORK_BUCKET"];

/// What a function needs that starts read-only builds.
const READ_ONLY_BUILDS: &[&str] = &[
    "CODEBUILD_PROJECT",
    "BUILD_IMAGE",
    "BUILD_COMPUTE_TYPE",
    "BUILD_ENVIRONMENT_TYPE",
    "BUILD_PRIVILEGED",
    "BUILD_TIMEOUT_MINUTES",
    "BUILD_QUEUED_TIMEOUT_MINUTES",
    "BUILD_LOG_GROUP",
    "PERMISSIONS_BOUNDARY_ARN",
];

/// The functions with their further variables.
const FUNCTIONS: [(&str, &str, &[&str]); 17] = [
    (
        "AcquireLock",
        "acquire-lock",
        &[
            "CODEBUILD_PROJECT",
            "END_EXECUTION_STATE_MACHINE",
            "TAKE_OVER_SECONDS",
        ],
    ),
    (
        "CheckMd5",
        "check-md5",
        &[
            "CODEBUILD_PROJECT",
            "MAX_BUILD_TIMEOUT_MINUTES",
            "MAX_BUILD_COMPUTE_TYPE",
            "MAX_CONCURRENT_MODULES",
            "TARGET_ACCOUNTS",
            "STACK_NAME_PREFIX",
            "PERMISSIONS_BOUNDARY_ARN",
            "BUILD_ROLE_PATH",
            "BUILD_SUBNET_IDS",
            "BUILD_SECURITY_GROUP_IDS",
            "MODULE_PREFIX",
        ],
    ),
    (
        "ModuleStack",
        "module-stack",
        &[
            "MODULE_PREFIX",
            "MODULE_POLICY_ARNS",
            "MODULE_STACK_SERVICE_ROLE_ARN",
            "PERMISSIONS_BOUNDARY_ARN",
            "BUILD_ROLE_PATH",
        ],
    ),
    (
        "StartBuild",
        "start-build",
        &[
            "CODEBUILD_PROJECT",
            "BUILD_ROLE_ARN",
            "BUILD_IMAGE",
            "BUILD_COMPUTE_TYPE",
            "BUILD_ENVIRONMENT_TYPE",
            "BUILD_PRIVILEGED",
            "BUILD_TIMEOUT_MINUTES",
            "BUILD_QUEUED_TIMEOUT_MINUTES",
            "BUILD_LOG_GROUP",
            "PERMISSIONS_BOUNDARY_ARN",
        ],
    ),
    ("CheckStatus", "check-status", &[]),
    (
        "UpdateMetadata",
        "update-metadata",
        &["BUNDLE_BUCKET", "BUILD_LOG_GROUP"],
    ),
    ("BuildEvent", "build-event", &[]),
    (
        "EndExecution",
        "end-execution",
        &[
            "CODEBUILD_PROJECT",
            "END_EXECUTION_STATE_MACHINE",
            "DEPLOY_MODULE_STATE_MACHINE",
            "LONGEST_WRITE_SECONDS",
        ],
    ),
    (
        "PlanDeployment",
        "plan-deployment",
        &[
            "CODEBUILD_PROJECT",
            "MAX_BUILD_TIMEOUT_MINUTES",
            "MAX_BUILD_COMPUTE_TYPE",
            "MAX_CONCURRENT_MODULES",
            "TARGET_ACCOUNTS",
            "STACK_NAME_PREFIX",
            "PERMISSIONS_BOUNDARY_ARN",
            "BUILD_ROLE_PATH",
            "BUILD_SUBNET_IDS",
            "BUILD_SECURITY_GROUP_IDS",
            "BUILD_IMAGE",
            "BUILD_PRIVILEGED",
        ],
    ),
    (
        "EvaluatePolicy",
        "evaluate-policy",
        &["BUILD_IMAGE", "BUILD_PRIVILEGED"],
    ),
    (
        "FetchSources",
        "fetch-sources",
        &["GIT_CREDENTIALS_SECRET", "SOURCE_OBJECT_ARNS"],
    ),
    ("RecordDeployment", "record-deployment", &[]),
    ("RequestApproval", "request-approval", &[]),
    ("Approve", "approve", &[]),
    ("PublishReport", "publish-report", &["BUILD_LOG_GROUP"]),
    ("DetectDrift", "detect-drift", READ_ONLY_BUILDS),
    ("PreviewModules", "preview-modules", READ_ONLY_BUILDS),
];

/// The state machines with their roles.
const MACHINES: [(&str, &str); 4] = [
    ("Drift", "DriftRole"),
    ("Deploy", "DeployRole"),
    ("DeployModule", "DeployModuleRole"),
    ("EndExecution", "EndExecutionMachineRole"),
];

fn template() -> Value {
    Template::read("template.yaml").with_globals().json()
}

fn items(value: &Value) -> Vec<&Value> {
    value
        .as_array()
        .map_or_else(|| vec![value], |list| list.iter().collect())
}

fn texts(value: &Value) -> BTreeSet<&str> {
    items(value).into_iter().filter_map(Value::as_str).collect()
}

fn statements(role: &Value) -> Vec<&Value> {
    let policies = items(&role["Properties"]["Policies"]).into_iter().flat_map(items);
    policies
        .flat_map(|policy| items(&policy["PolicyDocument"]["Statement"]))
        .filter(|s| s.is_object())
        .collect()
}

/// The statement of a resource's policy with that Sid.
fn statement<'a>(template: &'a Value, policy: &str, sid: &str) -> &'a Value {
    let document = &template["Resources"][policy]["Properties"]["PolicyDocument"];
    let mut all = items(&document["Statement"]).into_iter();
    all.find(|statement| statement["Sid"] == sid)
        .unwrap_or_else(|| panic!("{policy} has no statement {sid}"))
}

/// The policies of every build's role.
const BUILD_POLICIES: [&str; 4] = [
    "BuildPolicy",
    "BuildDenyStatePolicy",
    "BuildDenyWorkflowPolicy",
    "BuildDenyAccountPolicy",
];

/// Their statements, including those under a condition.
fn build_statements(template: &Value) -> Vec<&Value> {
    let policies = BUILD_POLICIES.map(|name| &template["Resources"][name]["Properties"]["PolicyDocument"]);
    let statements = policies
        .into_iter()
        .flat_map(|document| items(&document["Statement"]));
    statements
        .flat_map(items)
        .filter(|statement| statement.is_object())
        .collect()
}

#[test]
fn every_function_has_what_it_reads_from_its_environment() {
    let template = template();
    for (resource, name, variables) in FUNCTIONS {
        let properties = &template["Resources"][format!("{resource}Function")]["Properties"];
        let given = properties["Environment"]["Variables"].as_object().unwrap();
        let given: BTreeSet<&str> = given.keys().map(String::as_str).collect();
        let expected: BTreeSet<&str> = VARIABLES.iter().chain(variables).copied().collect();
        assert_eq!(given, expected, "{name}");
    }
}

#[test]
fn every_function_is_a_binary_of_its_own() {
    let template = template();
    for (resource, name, _) in FUNCTIONS {
        let function = &template["Resources"][format!("{resource}Function")];
        assert_eq!(function["Metadata"]["BuildMethod"], "rust-cargolambda");
        assert_eq!(function["Metadata"]["BuildProperties"]["Binary"], name);
        let folder = function["Properties"]["CodeUri"].as_str().unwrap();
        let binary = format!("[[bin]]\nname = \"{name}\"\npath = \"{name}/src/main.rs\"\n");
        assert!(file(&format!("{folder}/Cargo.toml")).contains(&binary), "{name}");
    }
}

#[test]
fn every_function_has_a_role_and_a_log_group_of_its_own() {
    let template = template();
    for (resource, name, _) in FUNCTIONS {
        let properties = &template["Resources"][format!("{resource}Function")]["Properties"];
        assert_eq!(properties["Role"], format!("{resource}Role.Arn"));
        let group = format!("{resource}LogGroup");
        assert_eq!(properties["LoggingConfig"]["LogGroup"], group.as_str());
        let group = &template["Resources"][group]["Properties"];
        assert_eq!(
            group["LogGroupName"],
            format!("/aws/lambda/${{AWS::StackName}}-{name}")
        );
        assert_eq!(group["RetentionInDays"], "LogRetentionDays");
    }
}

#[test]
fn the_definitions_find_every_function_that_they_call_and_may_call_no_other() {
    let template = template();
    for (machine, role) in MACHINES {
        let machine = &template["Resources"][machine]["Properties"];
        let definition = file(machine["DefinitionUri"].as_str().unwrap());
        let wanted: BTreeSet<&str> = definition
            .split("${")
            .skip(1)
            .map(|rest| rest.split('}').next().unwrap())
            .collect();
        let substitutions = machine["DefinitionSubstitutions"].as_object().unwrap();
        let given: BTreeSet<&str> = substitutions.keys().map(String::as_str).collect();
        assert_eq!(wanted, given);

        let functions = substitutions
            .iter()
            .filter(|(name, _)| name.ends_with("FunctionArn"));
        let called: BTreeSet<&str> = functions.map(|(_, arn)| arn.as_str().unwrap()).collect();
        let role = &template["Resources"][role];
        let allowed = statements(role)
            .into_iter()
            .find(|s| s["Action"] == "lambda:InvokeFunction")
            .unwrap();
        assert_eq!(texts(&allowed["Resource"]), called);
    }
}

#[test]
fn writing_functions_end_before_the_lock_of_a_stopped_execution_is_handed_on() {
    let template = template();
    let functions = &template["Resources"];
    let longest =
        &functions["EndExecutionFunction"]["Properties"]["Environment"]["Variables"]["LONGEST_WRITE_SECONDS"];
    let longest: u64 = longest.as_str().unwrap().parse().unwrap();
    for function in [
        "UpdateMetadataFunction",
        "StartBuildFunction",
        "ModuleStackFunction",
        "AcquireLockFunction",
        "RecordDeploymentFunction",
    ] {
        let timeout = functions[function]["Properties"]["Timeout"].as_u64().unwrap();
        assert!(timeout <= longest, "{function}");
    }
}

#[test]
fn a_lock_is_taken_over_when_nobody_can_be_at_it_any_more() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let setting =
        &resources["AcquireLockFunction"]["Properties"]["Environment"]["Variables"]["TAKE_OVER_SECONDS"];
    let take_over: u64 = setting.as_str().unwrap().parse().unwrap();
    let longest = resources
        .values()
        .filter_map(|resource| resource["Properties"]["Timeout"].as_u64())
        .max()
        .unwrap();
    // The tries of end-execution wait nine minutes in all; the test of its retries checks that.
    assert!(take_over >= longest + 9 * 60, "{take_over}");
}

#[test]
fn task_tokens_do_not_go_into_logs() {
    let template = template();
    for (machine, _) in MACHINES {
        let machine = &template["Resources"][machine]["Properties"];
        assert_eq!(machine["Logging"]["IncludeExecutionData"], false);
        assert_eq!(machine["Tracing"]["Enabled"], true);
    }
    assert_eq!(
        template["Resources"]["DeployModule"]["Properties"]["Logging"]["Level"],
        "ALL"
    );
    assert_eq!(template["Globals"]["Function"]["Tracing"], "Active");
}
