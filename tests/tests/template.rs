//! `template.yaml` against what the functions and the state machine need, and against what nobody may have.
//!
//! The linters check types and references. Here stand the promises that they can't know: what each
//! function finds in its environment, that no role reaches further than its statements say, that task
//! tokens stay out of logs and out of reach of builds.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

const FUNCTIONS: [(&str, &str, &[&str]); 11] = [
    (
        "AcquireLock",
        "acquire-lock",
        &[
            "WORK_BUCKET",
            "CODEBUILD_PROJECT",
            "END_EXECUTION_STATE_MACHINE",
            "TAKE_OVER_SECONDS",
        ],
    ),
    (
        "CheckMd5",
        "check-md5",
        &["WORK_BUCKET", "CODEBUILD_PROJECT", "MODULE_PREFIX"],
    ),
    (
        "ModuleStack",
        "module-stack",
        &[
            "WORK_BUCKET",
            "MODULE_PREFIX",
            "MODULE_POLICY_ARNS",
            "MODULE_STACK_SERVICE_ROLE_ARN",
            "PERMISSIONS_BOUNDARY_ARN",
        ],
    ),
    (
        "StartBuild",
        "start-build",
        &[
            "WORK_BUCKET",
            "CODEBUILD_PROJECT",
            "BUILD_ROLE_ARN",
            "BUILD_IMAGE",
            "BUILD_COMPUTE_TYPE",
            "BUILD_ENVIRONMENT_TYPE",
            "BUILD_TIMEOUT_MINUTES",
            "BUILD_QUEUED_TIMEOUT_MINUTES",
            "BUILD_LOG_GROUP",
            "PERMISSIONS_BOUNDARY_ARN",
        ],
    ),
    ("CheckStatus", "check-status", &["WORK_BUCKET"]),
    (
        "UpdateMetadata",
        "update-metadata",
        &["WORK_BUCKET", "BUNDLE_BUCKET"],
    ),
    ("BuildEvent", "build-event", &["WORK_BUCKET"]),
    (
        "EndExecution",
        "end-execution",
        &[
            "WORK_BUCKET",
            "CODEBUILD_PROJECT",
            "END_EXECUTION_STATE_MACHINE",
            "DEPLOY_MODULE_STATE_MACHINE",
            "LONGEST_WRITE_SECONDS",
        ],
    ),
    (
        "PlanDeployment",
        "plan-deployment",
        &["WORK_BUCKET", "CODEBUILD_PROJECT"],
    ),
    ("RecordDeployment", "record-deployment", &["WORK_BUCKET"]),
    (
        "PublishReport",
        "publish-report",
        &["WORK_BUCKET", "BUILD_LOG_GROUP"],
    ),
];

/// The state machines with their roles.
const MACHINES: [(&str, &str); 3] = [
    ("Deploy", "DeployRole"),
    ("DeployModule", "DeployModuleRole"),
    ("EndExecution", "EndExecutionMachineRole"),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The template as JSON. Tags like `!Sub` are dropped: `!GetAtt A.Arn` reads as "A.Arn", `!If` as a list.
fn template() -> Value {
    seedflow_core::yaml::parse(&read("template.yaml"))
        .unwrap()
        .to_json()
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

/// The policies that every build's role has.
const BUILD_POLICIES: [&str; 3] = ["BuildPolicy", "BuildDenyStatePolicy", "BuildDenyWorkflowPolicy"];

/// Their statements; those under a condition, too.
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
        assert_eq!(given, variables.iter().copied().collect(), "{name}");
    }
}

#[test]
fn every_function_is_built_from_its_own_crate() {
    let template = template();
    for (resource, name, _) in FUNCTIONS {
        let function = &template["Resources"][format!("{resource}Function")];
        assert_eq!(function["Metadata"]["BuildMethod"], "rust-cargolambda");
        assert_eq!(function["Metadata"]["BuildProperties"]["Binary"], name);
        let folder = function["Properties"]["CodeUri"].as_str().unwrap();
        assert!(read(&format!("{folder}/Cargo.toml")).contains(&format!("name = \"{name}\"")));
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
        let definition = read(machine["DefinitionUri"].as_str().unwrap());
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
fn whoever_writes_is_over_before_a_stopped_execution_s_lock_is_handed_on() {
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
    // The tries of end-execution wait nine minutes in all, which the test of its retries holds it to.
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

#[test]
fn roles_name_the_state_machine_by_the_name_that_it_has() {
    let template = template();
    let name = |machine: &str| {
        let name = &template["Resources"][machine]["Properties"]["Name"];
        format!(":stateMachine:{}", name.as_str().unwrap())
    };
    // Whoever wakes who waits for a lock; a build is only ever waited for by a module's execution.
    for (role, machines) in [
        ("AcquireLockRole", &["DeployModule", "Deploy"][..]),
        ("EndExecutionRole", &["DeployModule", "Deploy"]),
        ("CheckStatusRole", &["DeployModule"]),
        ("BuildEventRole", &["DeployModule"]),
    ] {
        let role = &template["Resources"][role];
        let answer = statements(role)
            .into_iter()
            .find(|s| s["Action"] == "states:SendTaskSuccess")
            .unwrap();
        let resources = texts(&answer["Resource"]);
        assert_eq!(resources.len(), machines.len(), "{resources:?}");
        for machine in machines {
            assert!(
                resources
                    .iter()
                    .any(|resource| resource.ends_with(&name(machine))),
                "{resources:?}"
            );
        }
    }
}

/// Actions for which AWS knows no resource.
fn has_no_resource(action: &str) -> bool {
    action.starts_with("xray:")
        || action.contains("LogDeliver")
        || action.starts_with("logs:Describe")
        || action == "logs:PutResourcePolicy"
}

#[test]
fn no_statement_reaches_everything_but_where_aws_knows_no_resource() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let roles = resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::IAM::Role")
        .map(|(name, role)| (name.as_str(), statements(role)));
    for (name, statements) in roles.chain([("BuildPolicy", build_statements(&template))]) {
        for statement in statements.into_iter().filter(|s| s["Effect"] == "Allow") {
            let actions = texts(&statement["Action"]);
            assert!(
                actions.iter().all(|action| !action.contains('*')),
                "{name}: {actions:?}"
            );
            if texts(&statement["Resource"]).contains("*") {
                assert!(
                    actions.iter().all(|action| has_no_resource(action)),
                    "{name}: {actions:?}"
                );
            }
        }
    }
}

#[test]
fn builds_reach_their_folder_and_nothing_else_of_ours() {
    let template = template();
    let statements = build_statements(&template);
    let with = |effect: &'static str| statements.iter().filter(move |s| s["Effect"] == effect);
    let denied: BTreeSet<&str> = with("Deny").flat_map(|s| texts(&s["Resource"])).collect();
    let prefixes = [
        "callbacks",
        "deployed",
        "locks",
        "plans",
        "reports",
        "sources",
        "uploads",
        "values",
    ];
    for prefix in prefixes {
        assert!(
            denied.contains(format!("${{WorkBucket.Arn}}/{prefix}/*").as_str()),
            "{prefix}"
        );
    }
    assert!(denied.contains("${BundleBucket.Arn}/*"));
    assert!(
        denied
            .iter()
            .any(|resource| resource.ends_with(":parameter/sf/*"))
    );
    // Allowed by itself is one place of the bucket, without a list of what is there.
    let ours = |resource: &&str| resource.contains("Bucket.Arn}/");
    let allowed: BTreeSet<&str> = with("Allow")
        .flat_map(|s| texts(&s["Resource"]))
        .filter(ours)
        .collect();
    assert_eq!(allowed, ["${WorkBucket.Arn}/builds/*"].into());
    let actions: BTreeSet<&str> = with("Allow").flat_map(|s| texts(&s["Action"])).collect();
    assert!(
        !actions.iter().any(|action| action.contains("List")),
        "{actions:?}"
    );
}

#[test]
fn a_role_of_a_module_has_what_every_build_has_and_its_denies() {
    let template = template();
    let resources = &template["Resources"];
    let given = resources["BuildRole"]["Properties"]["ManagedPolicyArns"].to_string();
    let given_to_modules =
        resources["ModuleStackFunction"]["Properties"]["Environment"]["Variables"]["MODULE_POLICY_ARNS"]
            .to_string();
    for policy in BUILD_POLICIES {
        assert_eq!(given.matches(&format!("\"{policy}\"")).count(), 2, "{policy}");
        assert!(given_to_modules.contains(&format!("\"{policy}\"")), "{policy}");
    }
}

#[test]
fn names_of_modules_roles_and_stacks_begin_as_the_statements_have_it() {
    let template = template();
    let resources = &template["Resources"];
    let prefix = "${AWS::StackName}-module-";
    for function in ["CheckMd5Function", "ModuleStackFunction"] {
        let variables = &resources[function]["Properties"]["Environment"]["Variables"];
        assert_eq!(variables["MODULE_PREFIX"], prefix, "{function}");
    }
    for role in ["ModuleStackRole", "ModuleStackServiceRole"] {
        let all = statements(&resources[role]).into_iter();
        let changing =
            all.filter(|s| s["Action"].to_string().contains("iam:") && s["Action"] != "iam:PassRole");
        for statement in changing {
            let resource = statement["Resource"].as_str().unwrap();
            assert!(resource.ends_with(&format!("/{prefix}*")), "{role}: {resource}");
        }
    }
}

#[test]
fn every_end_of_an_execution_is_cleaned_up_after() {
    let template = template();
    let pattern = &template["Resources"]["ExecutionEndedRule"]["Properties"]["EventPattern"];
    let ends = ["SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"];
    assert_eq!(texts(&pattern["detail"]["status"]), ends.into());
    assert_eq!(
        texts(&pattern["detail"]["stateMachineArn"]),
        ["Deploy", "DeployModule"].into()
    );
    let resources = template["Resources"].as_object().unwrap();
    for (name, rule) in resources.iter().filter(|(_, r)| r["Type"] == "AWS::Events::Rule") {
        for target in items(&rule["Properties"]["Targets"]) {
            assert!(
                target["RetryPolicy"]["MaximumRetryAttempts"].is_number(),
                "{name}"
            );
            assert_eq!(
                target["DeadLetterConfig"]["Arn"], "FailedEventsQueue.Arn",
                "{name}"
            );
        }
    }
}

#[test]
fn the_rule_lets_every_end_of_our_builds_through_and_no_other_event() {
    let template = template();
    let pattern = &template["Resources"]["BuildEndedRule"]["Properties"]["EventPattern"];
    let ends = ["SUCCEEDED", "FAILED", "FAULT", "STOPPED", "TIMED_OUT"];
    assert_eq!(texts(&pattern["detail"]["build-status"]), ends.into());
    assert_eq!(texts(&pattern["source"]), ["EventSource"].into());
    let [own, other] = items(&pattern["detail"]["project-name"])[..] else {
        panic!("two projects")
    };
    assert_eq!(own, "CodeBuildProjectName");
    assert_eq!(other["prefix"], "${CodeBuildProjectName}-");
}

#[test]
fn buckets_are_private_versioned_encrypted_and_outlive_the_stack() {
    let template = template();
    for name in ["WorkBucket", "BundleBucket"] {
        let bucket = &template["Resources"][name];
        assert_eq!(bucket["DeletionPolicy"], "Retain");
        let properties = &bucket["Properties"];
        assert_eq!(properties["VersioningConfiguration"]["Status"], "Enabled");
        assert!(properties["BucketEncryption"].is_object());
        let private = properties["PublicAccessBlockConfiguration"].as_object().unwrap();
        assert!(private.len() == 4 && private.values().all(|on| on == true));
        let policy = &template["Resources"][format!("{name}Policy")]["Properties"]["PolicyDocument"];
        let statement = items(&policy["Statement"])[0];
        assert_eq!(statement["Effect"], "Deny");
        assert_eq!(statement["Condition"]["Bool"]["aws:SecureTransport"], false);
    }
}

#[test]
fn nothing_expires_that_a_parameter_may_refer_to() {
    let template = template();
    let rules = &template["Resources"]["WorkBucket"]["Properties"]["LifecycleConfiguration"]["Rules"];
    for rule in items(rules)
        .into_iter()
        .filter(|rule| rule["ExpirationInDays"].is_number())
    {
        let prefix = rule["Prefix"]
            .as_str()
            .expect("a rule that expires objects names a prefix");
        // Of what was uploaded only that which the planner made and marked.
        let planned = prefix == "uploads/" && rule["TagFilters"][0]["Value"] == "planned";
        assert!(
            planned || ["callbacks/", "builds/", "plans/", "reports/"].contains(&prefix),
            "{prefix}"
        );
    }
}
