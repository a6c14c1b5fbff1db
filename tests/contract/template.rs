//! `template.yaml`, checked against what the functions and the state machines need, and against rights that nobody may
//! have.
//!
//! The linters check types and references. These tests check the promises that linters can't know: the environment of
//! each function, that no role has more rights than its statements give, and that task tokens stay out of logs and out
//! of the reach of builds.
use std::collections::BTreeSet;

use seedflow_contract::{Template, file};
use serde_json::Value;

/// The variables of every function.
const VARIABLES: [&str; 2] = ["STACK_NAME", "WORK_BUCKET"];

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
    (
        "DetectDrift",
        "detect-drift",
        &[
            "CODEBUILD_PROJECT",
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
    (
        "PreviewModules",
        "preview-modules",
        &[
            "CODEBUILD_PROJECT",
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
fn every_function_is_built_from_its_own_crate() {
    let template = template();
    for (resource, name, _) in FUNCTIONS {
        let function = &template["Resources"][format!("{resource}Function")];
        assert_eq!(function["Metadata"]["BuildMethod"], "rust-cargolambda");
        assert_eq!(function["Metadata"]["BuildProperties"]["Binary"], name);
        let folder = function["Properties"]["CodeUri"].as_str().unwrap();
        assert!(file(&format!("{folder}/Cargo.toml")).contains(&format!("name = \"{name}\"")));
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

#[test]
fn roles_name_the_state_machine_by_the_name_that_it_has() {
    let template = template();
    let name = |machine: &str| {
        let name = &template["Resources"][machine]["Properties"]["Name"];
        format!(":stateMachine:{}", name.as_str().unwrap())
    };
    // A function that wakes executions waiting for a lock. Only a module's execution waits for a build.
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

/// AWS's documentation of `aws:SourceAccount` in a role's trust policy, by the service that assumes the role.
const TRUSTS: [(&str, bool); 6] = [
    // The role belongs to the function, which Lambda doesn't send.
    ("lambda.amazonaws.com", false),
    // AWS documents the key for StackSets and resources.cloudformation.amazonaws.com only: CloudFormation user guide,
    // "Cross-service confused deputy prevention".
    ("cloudformation.amazonaws.com", false),
    // CodeBuild user guide, "Cross-service confused deputy prevention".
    ("codebuild.amazonaws.com", true),
    // EventBridge user guide, "Cross-service confused deputy prevention in EventBridge".
    ("events.amazonaws.com", true),
    // Step Functions Developer Guide, "Preventing the cross-service confused deputy issue".
    ("states.amazonaws.com", true),
    // EventBridge Scheduler user guide, "Confused deputy prevention in EventBridge Scheduler".
    ("scheduler.amazonaws.com", true),
];

/// A condition on a key that the service doesn't send would make the role useless, and only on AWS.
#[test]
fn a_trust_asks_for_the_account_where_aws_documents_that_the_service_sends_it() {
    let template = template();
    let mut seen = BTreeSet::new();
    for (name, role) in template["Resources"].as_object().unwrap() {
        let statements = items(&role["Properties"]["AssumeRolePolicyDocument"]["Statement"]);
        for statement in statements
            .into_iter()
            .filter(|_| role["Type"] == "AWS::IAM::Role")
        {
            let service = statement["Principal"]["Service"].as_str().unwrap();
            let known = TRUSTS.iter().find(|(known, _)| *known == service);
            let (service, sends) = known.unwrap_or_else(|| panic!("{name}: say what {service} sends"));
            let expected = match sends {
                true => serde_json::json!({"StringEquals": {"aws:SourceAccount": "AWS::AccountId"}}),
                false => Value::Null,
            };
            assert_eq!(statement["Condition"], expected, "{name}");
            seen.insert(*service);
        }
    }
    assert_eq!(seen.len(), TRUSTS.len(), "{seen:?}");
}

/// Both keys have several values, as a request can contain several events (Service Authorization Reference, Amazon
/// EventBridge: ArrayOfString). An operator for one value isn't defined for them, and ForAllValues is true without a
/// value (IAM user guide, "Single-valued vs. multivalued context keys").
#[test]
fn roles_put_only_our_events() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let mut seen = 0;
    for (name, role) in resources.iter().filter(|(_, r)| r["Type"] == "AWS::IAM::Role") {
        for statement in statements(role) {
            if !texts(&statement["Action"]).contains("events:PutEvents") {
                continue;
            }
            seen += 1;
            let condition = statement["Condition"].as_object().unwrap();
            let operators: BTreeSet<&str> = condition.keys().map(String::as_str).collect();
            assert_eq!(operators, ["ForAllValues:StringEquals", "Null"].into(), "{name}");
            let keys = ["events:source", "events:detail-type"];
            for key in keys {
                assert_eq!(condition["Null"][key], false, "{name}: {key}");
                assert!(
                    !condition["ForAllValues:StringEquals"][key].is_null(),
                    "{name}: {key}"
                );
            }
            assert_eq!(
                condition["ForAllValues:StringEquals"]["events:source"], "seedflow",
                "{name}"
            );
        }
    }
    assert_eq!(seen, 4);
}

/// A reader or copier of objects that may be missing gets a 404 only with s3:ListBucket on their bucket; without it S3
/// answers 403 (S3 API reference, GetObject, HeadObject, permissions).
#[test]
fn readers_of_objects_can_distinguish_missing_from_denied() {
    let template = template();
    for (function, _, _) in FUNCTIONS {
        let role = &template["Resources"][format!("{function}Role")];
        for bucket in ["WorkBucket", "BundleBucket"] {
            let on = |action: &str, resource: &str| {
                statements(role).into_iter().any(|statement| {
                    texts(&statement["Action"]).contains(action)
                        && texts(&statement["Resource"])
                            .iter()
                            .any(|found| found.starts_with(resource))
                })
            };
            let reads = on("s3:GetObject", &format!("${{{bucket}.Arn}}/"));
            let lists = on("s3:ListBucket", &format!("{bucket}.Arn"));
            assert!(lists || !reads, "{function}, {bucket}");
        }
    }
}

/// Actions for which AWS defines no resource.
fn has_no_resource(action: &str) -> bool {
    action.starts_with("xray:")
        || action.contains("LogDeliver")
        || action.starts_with("logs:Describe")
        || action == "logs:PutResourcePolicy"
        || action == "cloudformation:BatchDescribeTypeConfigurations"
        || action == "cloudformation:DescribeStackDriftDetectionStatus"
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
        "policies",
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
    // One place of the bucket is allowed by itself, without listing it.
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
    // The rights of a network are given to both, and only where an administrator allows networks.
    let network = &resources["BuildNetworkPolicy"];
    assert_eq!(network["Condition"], "HasBuildNetwork");
    assert_eq!(texts(&network["Properties"]["Roles"]), ["BuildRole"].into());
    let conditional = r#"["HasBuildNetwork","BuildNetworkPolicy",""]"#;
    assert!(given_to_modules.contains(conditional), "{given_to_modules}");
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
            for resource in texts(&statement["Resource"]) {
                let known = [
                    format!("role/{prefix}*"),
                    format!("role${{BuildRolePath}}{prefix}*"),
                    format!("policy/{prefix}*"),
                ];
                assert!(
                    known.iter().any(|known| resource.ends_with(known)),
                    "{role}: {resource}"
                );
            }
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
    // The whole event can be longer than the input of an execution.
    let target = &template["Resources"]["ExecutionEndedRule"]["Properties"]["Targets"][0];
    assert_eq!(
        target["InputTransformer"]["InputTemplate"],
        "{\"executionArn\": <execution>}"
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

/// Events of S3 arrive in any order and more than once: the execution that they start deploys the newest upload.
/// seed-farmer's image, its 120 minutes, and Docker (`sf/services/_codebuild.py` of 8.0.9).
#[test]
fn builds_are_by_default_as_seed_farmers() {
    let template = template();
    let default = |parameter: &str| &template["Parameters"][parameter]["Default"];
    assert_eq!(
        default("BuildImage"),
        "aws/codebuild/amazonlinux2-x86_64-standard:5.0"
    );
    assert_eq!(default("BuildTimeoutMinutes"), 120);
    assert_eq!(default("PrivilegedMode"), "true");
    let resources = template["Resources"].as_object().unwrap();
    let projects: Vec<&Value> = resources
        .values()
        .filter(|resource| resource["Type"] == "AWS::CodeBuild::Project")
        .map(|project| &project["Properties"])
        .collect();
    assert!(!projects.is_empty());
    for project in projects {
        let environment = &project["Environment"];
        assert_eq!(environment["Image"], "BuildImage");
        assert_eq!(
            environment["PrivilegedMode"],
            serde_json::json!(["BuildsArePrivileged", true, false])
        );
        assert_eq!(project["TimeoutInMinutes"], "BuildTimeoutMinutes");
    }
}

#[test]
fn no_upload_starts_an_execution_of_one_version() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let uploads: Vec<&Value> = resources
        .values()
        .filter(|resource| {
            texts(&resource["Properties"]["EventPattern"]["detail-type"]).contains("Object Created")
        })
        .flat_map(|rule| items(&rule["Properties"]["Targets"]))
        .collect();
    assert_eq!(uploads.len(), 2);
    for target in uploads {
        let transformer = &target["InputTransformer"];
        let paths = transformer["InputPathsMap"].as_object().unwrap();
        assert_eq!(paths.keys().collect::<Vec<_>>(), ["bucket", "key", "requester"]);
        assert!(!transformer.to_string().contains("version"), "{transformer}");
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

/// The statement of a resource's policy with that Sid.
fn statement<'a>(template: &'a Value, policy: &str, sid: &str) -> &'a Value {
    let document = &template["Resources"][policy]["Properties"]["PolicyDocument"];
    let mut all = items(&document["Statement"]).into_iter();
    all.find(|statement| statement["Sid"] == sid)
        .unwrap_or_else(|| panic!("{policy} has no statement {sid}"))
}

/// The functions' roles with a statement about any of these folders of the work bucket, as `Condition` lists name them.
fn roles_with_rights_on(template: &Value, folders: &[&str]) -> BTreeSet<String> {
    let prefixes: Vec<String> = folders
        .iter()
        .map(|folder| format!("${{WorkBucket.Arn}}/{folder}/"))
        .collect();
    let resources = template["Resources"].as_object().unwrap();
    let roles = resources.iter().filter(|(_, r)| r["Type"] == "AWS::IAM::Role");
    let having = roles.filter(|(_, role)| {
        let named = statements(role).into_iter().flat_map(|s| texts(&s["Resource"]));
        named
            .into_iter()
            .any(|resource| prefixes.iter().any(|prefix| resource.starts_with(prefix)))
    });
    having.map(|(name, _)| format!("{name}.Arn")).collect()
}

#[test]
fn state_in_the_work_bucket_is_denied_to_all_but_its_users_and_administrators() {
    let template = template();
    let root = "arn:${AWS::Partition}:iam::${AWS::AccountId}:root".to_owned();
    let modules = ["/", "${BuildRolePath}"].map(|path| {
        format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role{path}${{AWS::StackName}}-module-*")
    });
    for (sid, folders, others) in [
        (
            "KeepStateToOurselves",
            &["approvals", "callbacks", "deployed", "fetched", "locks", "plans"][..],
            vec![root.clone()],
        ),
        // Builds get this right from BuildPolicy.
        (
            "KeepBuildsToThemselves",
            &["builds"],
            [vec![root, "BuildRole.Arn".to_owned()], modules.to_vec()].concat(),
        ),
    ] {
        let statement = statement(&template, "WorkBucketPolicy", sid);
        assert_eq!(
            (
                &statement["Effect"],
                &statement["Principal"],
                &statement["Action"]
            ),
            (&"Deny".into(), &"*".into(), &"s3:*".into())
        );
        let expected: Vec<String> = folders
            .iter()
            .map(|folder| format!("${{WorkBucket.Arn}}/{folder}/*"))
            .collect();
        assert_eq!(
            texts(&statement["Resource"]),
            expected.iter().map(String::as_str).collect()
        );
        let condition = &statement["Condition"];
        let mut excepted = roles_with_rights_on(&template, folders);
        excepted.extend(others);
        assert_eq!(
            texts(&condition["ArnNotLike"]["aws:PrincipalArn"]),
            excepted.iter().map(String::as_str).collect(),
            "{sid}"
        );
        let administrators = &condition["ArnNotEquals"][1]["aws:PrincipalArn"];
        assert_eq!(administrators, "AdministratorPrincipalArns", "{sid}");
        assert_eq!(condition.as_object().unwrap().len(), 2, "{sid}");
    }
}

/// A policy decides what is deployed, so administrators write it. Reading is left to IAM.
#[test]
fn policies_are_written_by_administrators_only() {
    let template = template();
    let statement = statement(&template, "WorkBucketPolicy", "KeepPoliciesToAdministrators");
    assert_eq!(
        (
            &statement["Effect"],
            &statement["Principal"],
            &statement["Action"]
        ),
        (&"Deny".into(), &"*".into(), &Value::Null)
    );
    assert_eq!(
        texts(&statement["NotAction"]),
        ["s3:GetObject", "s3:GetObjectVersion"].into()
    );
    assert_eq!(
        texts(&statement["Resource"]),
        ["${WorkBucket.Arn}/policies/*"].into()
    );
    let condition = &statement["Condition"];
    assert_eq!(condition.as_object().unwrap().len(), 2);
    assert_eq!(
        condition["ArnNotLike"]["aws:PrincipalArn"],
        "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"
    );
    assert_eq!(
        condition["ArnNotEquals"][1]["aws:PrincipalArn"],
        "AdministratorPrincipalArns"
    );
    let readers = roles_with_rights_on(&template, &["policies"]);
    assert_eq!(
        readers,
        [
            "ApproveRole.Arn",
            "CheckMd5Role.Arn",
            "EvaluatePolicyRole.Arn",
            "PlanDeploymentRole.Arn"
        ]
        .map(str::to_owned)
        .into()
    );
}

/// The name of a build's folder opens it to every build; and this right distinguishes a missing object from a forbidden
/// one.
#[test]
fn roles_that_list_the_work_bucket_are_excepted_from_the_denies_of_lists() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let listing = resources.iter().filter(|(_, resource)| {
        resource["Type"] == "AWS::IAM::Role"
            && statements(resource).into_iter().any(|statement| {
                texts(&statement["Action"]).contains("s3:ListBucket")
                    && texts(&statement["Resource"]).contains("WorkBucket.Arn")
            })
    });
    let mut expected: BTreeSet<String> = listing.map(|(name, _)| format!("{name}.Arn")).collect();
    expected.insert("arn:${AWS::Partition}:iam::${AWS::AccountId}:root".to_owned());
    for sid in ["KeepNamesToOurselves", "KeepNamesOfUploadsToOurselves"] {
        let statement = statement(&template, "WorkBucketPolicy", sid);
        let excepted = texts(&statement["Condition"]["ArnNotLike"]["aws:PrincipalArn"]);
        assert_eq!(excepted, expected.iter().map(String::as_str).collect(), "{sid}");
    }
}

#[test]
fn nobody_comes_to_a_bucket_by_an_access_point() {
    let template = template();
    for bucket in ["WorkBucket", "BundleBucket"] {
        let statement = statement(&template, &format!("{bucket}Policy"), "NoAccessPoints");
        assert_eq!(
            (
                &statement["Effect"],
                &statement["Principal"],
                &statement["Action"]
            ),
            (&"Deny".into(), &"*".into(), &"s3:*".into())
        );
        let all = format!("${{{bucket}.Arn}}/*");
        assert_eq!(
            texts(&statement["Resource"]),
            [format!("{bucket}.Arn").as_str(), &all].into()
        );
        let condition = serde_json::json!({"Null": {"s3:DataAccessPointArn": false}});
        assert_eq!(statement["Condition"], condition);
    }
}

#[test]
fn queues_and_the_topic_are_encrypted_and_refuse_what_comes_without_tls() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let policies = resources.iter().filter_map(|(name, policy)| {
        let action = match policy["Type"].as_str()? {
            "AWS::SQS::QueuePolicy" => "sqs:*",
            "AWS::SNS::TopicPolicy" => "sns:Publish",
            _ => return None,
        };
        Some((name, action))
    });
    let mut of = BTreeSet::new();
    for (name, action) in policies {
        let statement = statement(&template, name, "TlsOnly");
        assert_eq!(statement["Effect"], "Deny", "{name}");
        assert_eq!(statement["Principal"], "*", "{name}");
        assert_eq!(statement["Action"], action, "{name}");
        assert_eq!(
            statement["Condition"]["Bool"]["aws:SecureTransport"], false,
            "{name}"
        );
        of.insert(name.strip_suffix("Policy").unwrap());
    }
    let kinds = ["AWS::SQS::Queue", "AWS::SNS::Topic"];
    let all = resources
        .iter()
        .filter(|(_, resource)| kinds.contains(&resource["Type"].as_str().unwrap()));
    for (name, resource) in all {
        assert!(of.contains(name.as_str()), "{name} has no policy");
        let properties = &resource["Properties"];
        assert!(
            properties["SqsManagedSseEnabled"] == true
                || properties["KmsMasterKeyId"] == "NotificationKey.Arn",
            "{name}"
        );
    }
}

/// EventBridge sends neither aws:SourceArn nor aws:SourceAccount to KMS: a condition on them would stop every mail.
#[test]
fn publishers_to_the_topic_may_use_its_key_and_the_key_exists_only_with_the_topic() {
    let template = template();
    let key = &template["Resources"]["NotificationKey"];
    assert_eq!(key["Condition"], "HasChatOrNotifications");
    assert_eq!(
        template["Resources"]["NotificationTopic"]["Condition"],
        "HasNotifications"
    );
    assert_eq!(template["Resources"]["ChatTopic"]["Condition"], "HasChat");
    assert_eq!(key["Properties"]["EnableKeyRotation"], true);
    let topic = &template["Resources"]["NotificationTopicPolicy"]["Properties"]["PolicyDocument"];
    let publishers: BTreeSet<&str> = items(&topic["Statement"])
        .into_iter()
        .filter_map(|statement| statement["Principal"]["Service"].as_str())
        .collect();
    let of_key = items(&key["Properties"]["KeyPolicy"]["Statement"]);
    let services = of_key
        .iter()
        .find(|statement| statement["Sid"] == "PublishToTheTopic")
        .unwrap();
    assert_eq!(texts(&services["Principal"]["Service"]), publishers);
    assert_eq!(
        texts(&services["Action"]),
        ["kms:Decrypt", "kms:GenerateDataKey*"].into()
    );
    assert!(services["Condition"].is_null());
}

#[test]
fn rules_take_events_of_this_account_and_no_replays_and_have_names_that_builds_are_denied() {
    let template = template();
    let denied = statement(&template, "BuildDenyAccountPolicy", "KeepFromOurRules");
    assert_eq!(denied["Action"], "events:*");
    let denied = texts(&denied["Resource"]);
    assert!(
        denied
            .iter()
            .any(|arn| arn.ends_with(":rule/${AWS::StackName}-*")),
        "{denied:?}"
    );
    let resources = template["Resources"].as_object().unwrap();
    let rules = resources.iter().filter(|(_, r)| r["Type"] == "AWS::Events::Rule");
    for (name, rule) in rules {
        let properties = &rule["Properties"];
        // A name of EventBridge has at most 64 characters; CloudFormation would shorten a stack's name for it.
        let given = properties["Name"].as_str().unwrap_or_default();
        assert!(given.starts_with("${AWS::StackName}-"), "{name}: {given}");
        let pattern = &properties["EventPattern"];
        let ours = serde_json::json!(["AWS::AccountId"]);
        let accounts = match name.as_str() {
            // And those with targets, if there are any.
            "BuildEndedRule" => {
                assert_eq!(pattern["account"][0], "HasTargets");
                &pattern["account"][2]
            }
            _ => &pattern["account"],
        };
        assert_eq!(*accounts, ours, "{name}");
        assert_eq!(
            pattern["replay-name"],
            serde_json::json!([{"exists": false}]),
            "{name}"
        );
    }
}

/// The output of builds makes no metrics; the emulator doesn't have such policies.
#[test]
fn the_log_group_of_builds_makes_no_metrics() {
    let template = template();
    let policy = &template["Resources"]["BuildLogPolicy"]["Properties"];
    assert_eq!(policy["PolicyType"], "METRIC_EXTRACTION_POLICY");
    let document: Value = serde_json::from_str(policy["PolicyDocument"].as_str().unwrap()).unwrap();
    // CloudWatch Logs API reference, PutAccountPolicy, the example of such a policy.
    assert_eq!(
        document,
        serde_json::json!({"EmbeddedMetricFormat": {"Status": "Disabled"}})
    );
    assert_eq!(
        policy["SelectionCriteria"],
        "LogGroupName IN [\"${BuildLogGroup}\", \"${ReadOnlyBuildLogGroup}\"]"
    );
}

/// The emulator has neither service, so it can't refuse these calls.
#[test]
fn builds_reach_no_connection_and_push_to_no_repository() {
    let template = template();
    let connections = statement(&template, "BuildDenyAccountPolicy", "KeepFromConnections");
    assert_eq!(
        texts(&connections["Action"]),
        ["codeconnections:*", "codestar-connections:*"].into()
    );
    let pushing = statement(&template, "BuildDenyAccountPolicy", "KeepFromPushing");
    let denied = texts(&pushing["Action"]);
    for action in ["GitPush", "PutFile", "DeleteFile", "CreateCommit", "Merge*"] {
        assert!(
            denied.contains(format!("codecommit:{action}").as_str()),
            "{action}"
        );
    }
    for statement in [connections, pushing] {
        assert_eq!(
            (&statement["Effect"], &statement["Resource"]),
            (&"Deny".into(), &"*".into())
        );
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
        // Of the uploads, only those that the planner made and marked, and those that are planned and never deployed.
        let planned = prefix == "uploads/" && rule["TagFilters"][0]["Value"] == "planned";
        let planned = planned || prefix == "uploads/_plans/";
        assert!(
            planned
                || [
                    "approvals/",
                    "callbacks/",
                    "builds/",
                    "fetched/",
                    "plans/",
                    "reports/"
                ]
                .contains(&prefix),
            "{prefix}"
        );
    }
}

/// Lambda Developer Guide, "Creating and configuring an Amazon SQS event source mapping".
#[test]
fn an_event_of_the_queue_is_hidden_for_as_long_as_all_tries_of_its_batch_may_take() {
    let template = template();
    let properties = |name: &str| template["Resources"][name]["Properties"].clone();
    let timeout = properties("PublishReportFunction")["Timeout"].as_i64().unwrap();
    let window = properties("PublishReportMapping")["MaximumBatchingWindowInSeconds"]
        .as_i64()
        .unwrap();
    assert_eq!(
        properties("PublishReportQueue")["VisibilityTimeout"].as_i64(),
        Some(6 * timeout + window)
    );
}
