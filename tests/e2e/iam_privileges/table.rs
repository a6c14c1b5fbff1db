//! What rows are made of: roles, services, folders of the work bucket, and the resources of the calls.
//!
//! A row is a call with the roles to which it is granted. The rows, in `rows`, cover everything that Seedflow has in an
//! account: parameters, both buckets, projects and builds, executions, functions, the queue, logs, stacks.

use seedflow_e2e::{Module, TestStack, eventually};
use serde_json::{Value, json};

use super::call::Call;

/// A call, and the roles that may make it.
pub struct Row {
    /// A description for people.
    pub name: String,
    /// The call.
    pub call: Call,
    /// The roles to which it is granted; all others must be refused.
    pub granted: Granted,
    /// An error of the service itself in which a granted call may end.
    pub answer: Option<&'static str>,
}

pub const ACQUIRE_LOCK: &str = "AcquireLockRole";
pub const CHECK_MD5: &str = "CheckMd5Role";
pub const START_BUILD: &str = "StartBuildRole";
pub const MODULE_STACK: &str = "ModuleStackRole";
pub const MODULE_STACK_SERVICE: &str = "ModuleStackServiceRole";
pub const CHECK_STATUS: &str = "CheckStatusRole";
pub const UPDATE_METADATA: &str = "UpdateMetadataRole";
pub const BUILD_EVENT: &str = "BuildEventRole";
pub const END_EXECUTION: &str = "EndExecutionRole";
pub const PLAN_DEPLOYMENT: &str = "PlanDeploymentRole";
pub const EVALUATE_POLICY: &str = "EvaluatePolicyRole";
pub const FETCH_SOURCES: &str = "FetchSourcesRole";
pub const RECORD_DEPLOYMENT: &str = "RecordDeploymentRole";
pub const REQUEST_APPROVAL: &str = "RequestApprovalRole";
pub const APPROVE: &str = "ApproveRole";
pub const PUBLISH_REPORT: &str = "PublishReportRole";
pub const DETECT_DRIFT: &str = "DetectDriftRole";
pub const PREVIEW_MODULES: &str = "PreviewModulesRole";
pub const DEPLOY: &str = "DeployRole";
pub const PLAN: &str = "PlanRole";
pub const REPOSITORY: &str = "RepositoryRole";
pub const DEPLOY_MODULE: &str = "DeployModuleRole";
pub const DRIFT: &str = "DriftRole";
pub const DRIFT_SCHEDULE: &str = "DriftScheduleRole";
pub const END_MACHINE: &str = "EndExecutionMachineRole";
pub const UPLOAD: &str = "UploadRole";
pub const KEY: &str = "KeyRole";
pub const CHECK_KEY: &str = "CheckKeyRole";
pub const EXECUTION_ENDED: &str = "ExecutionEndedRole";
pub const BUILD: &str = "BuildRole";
pub const READ_ONLY_BUILD: &str = "ReadOnlyBuildRole";

/// The roles to which a call is granted.
pub type Granted = &'static [&'static str];

pub const NOBODY: Granted = &[];

/// A service of the JSON protocol: its name in signatures, and the beginning of its targets.
pub type Service = (&'static str, &'static str);

pub const SSM: Service = ("ssm", "AmazonSSM");
pub const CODEBUILD: Service = ("codebuild", "CodeBuild_20161006");
pub const STATES: Service = ("states", "AWSStepFunctions");
pub const LOGS: Service = ("logs", "Logs_20140328");
pub const EVENTS: Service = ("events", "AWSEvents");
pub const SQS: Service = ("sqs", "AmazonSQS");
pub const SECRETS: Service = ("secretsmanager", "secretsmanager");

/// Two parameters of the workflow; the cleanup changes only the status. One that an administrator named in
/// ReferencedParameters: check-md5 reads its version, a build its value. One to which nobody has a right.
pub const STATE: &str = "/sf/privileges/dev/core-module/md5";

pub const STATUS: &str = "/sf/privileges/dev/core-module/status";
pub const REFERENCED: &str = "/seedflow-examples/x";

/// A parameter that AWS publishes; the emulator has none, so it answers with an error.
pub const PUBLIC: &str = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";

pub const OTHER: &str = "/other/x";

pub const APPROVALS: Granted = &[
    ACQUIRE_LOCK,
    CHECK_MD5,
    PLAN_DEPLOYMENT,
    RECORD_DEPLOYMENT,
    REQUEST_APPROVAL,
    APPROVE,
];

/// A folder of the work bucket, or one object in it, with the roles that may read, write and delete there.
pub type Folder = (&'static str, Granted, Granted, Granted);

#[rustfmt::skip]
pub const FOLDERS: [Folder; 21] = [
    ("sources", &[CHECK_MD5, UPDATE_METADATA, PLAN_DEPLOYMENT], NOBODY, NOBODY),
    ("own", &[CHECK_MD5, UPDATE_METADATA, PLAN_DEPLOYMENT], NOBODY, NOBODY),
    ("uploads", &[CHECK_MD5, UPDATE_METADATA, PLAN_DEPLOYMENT, PREVIEW_MODULES], &[PLAN_DEPLOYMENT], NOBODY),
    ("fetched", &[PLAN_DEPLOYMENT, FETCH_SOURCES], &[FETCH_SOURCES], NOBODY),
    ("values", &[CHECK_MD5, PLAN_DEPLOYMENT], &[UPDATE_METADATA, END_EXECUTION], &[UPDATE_METADATA]),
    ("values/privileges/dev/_status", &[CHECK_MD5, PLAN_DEPLOYMENT, RECORD_DEPLOYMENT, END_EXECUTION], &[UPDATE_METADATA, RECORD_DEPLOYMENT, END_EXECUTION], &[UPDATE_METADATA, RECORD_DEPLOYMENT]),
    ("deployed", &[CHECK_MD5, UPDATE_METADATA, PLAN_DEPLOYMENT, DETECT_DRIFT], &[UPDATE_METADATA], &[UPDATE_METADATA]),
    ("deployed/_deployments", &[CHECK_MD5, UPDATE_METADATA, PLAN_DEPLOYMENT, RECORD_DEPLOYMENT, DETECT_DRIFT], &[UPDATE_METADATA, RECORD_DEPLOYMENT], &[UPDATE_METADATA]),
    ("callbacks", &[CHECK_STATUS, BUILD_EVENT], &[CHECK_STATUS], &[CHECK_STATUS, END_EXECUTION]),
    ("callbacks/approvals", &[CHECK_STATUS, BUILD_EVENT, ACQUIRE_LOCK, REQUEST_APPROVAL, APPROVE], &[CHECK_STATUS, REQUEST_APPROVAL], &[CHECK_STATUS, END_EXECUTION]),
    ("approvals/privileges/dev/request.json", APPROVALS, &[RECORD_DEPLOYMENT], NOBODY),
    ("approvals/privileges/dev/verdict.json", APPROVALS, &[ACQUIRE_LOCK, REQUEST_APPROVAL, APPROVE], NOBODY),
    ("locks", &[ACQUIRE_LOCK, CHECK_MD5, REQUEST_APPROVAL, MODULE_STACK, UPDATE_METADATA, RECORD_DEPLOYMENT, END_EXECUTION], &[ACQUIRE_LOCK, END_EXECUTION], &[END_EXECUTION]),
    ("plans", &[CHECK_MD5, MODULE_STACK, START_BUILD, UPDATE_METADATA, PLAN_DEPLOYMENT, RECORD_DEPLOYMENT, END_EXECUTION, EVALUATE_POLICY], &[ACQUIRE_LOCK, CHECK_MD5, PLAN_DEPLOYMENT, EVALUATE_POLICY], NOBODY),
    ("plans/privileges/previews.json", &[CHECK_MD5, MODULE_STACK, START_BUILD, UPDATE_METADATA, PLAN_DEPLOYMENT, RECORD_DEPLOYMENT, END_EXECUTION, EVALUATE_POLICY, PREVIEW_MODULES], &[ACQUIRE_LOCK, CHECK_MD5, PLAN_DEPLOYMENT, EVALUATE_POLICY, PREVIEW_MODULES], NOBODY),
    ("policies", &[CHECK_MD5, PLAN_DEPLOYMENT, EVALUATE_POLICY, APPROVE], NOBODY, NOBODY),
    ("builds", &[UPDATE_METADATA, BUILD, READ_ONLY_BUILD], &[START_BUILD, UPDATE_METADATA, DETECT_DRIFT, PREVIEW_MODULES, BUILD], NOBODY),
    ("index", &[PUBLISH_REPORT], &[PUBLISH_REPORT], NOBODY),
    ("reports", &[RECORD_DEPLOYMENT, PUBLISH_REPORT], &[UPDATE_METADATA, RECORD_DEPLOYMENT, END_EXECUTION], NOBODY),
    ("reports/_drift", &[RECORD_DEPLOYMENT, PUBLISH_REPORT, DETECT_DRIFT], &[UPDATE_METADATA, RECORD_DEPLOYMENT, END_EXECUTION, DETECT_DRIFT], NOBODY),
    ("elsewhere", NOBODY, NOBODY, NOBODY),
];

/// What `SourceObjectArns` of the stack allows.
pub const ARCHIVE: &str = "archives/privileges.zip";

/// The resources of the calls.
pub struct Fixtures {
    pub account: String,
    pub work_bucket: String,
    pub bundle_bucket: String,
    pub project: String,
    pub state_machine: String,
    pub queue: String,
    /// The queue of the events from which pages are made.
    pub reports: String,
    /// An execution that waits, with its build and its task token.
    pub execution: String,
    pub build: String,
    pub token: String,
    /// A build for which nobody waits.
    pub spare: String,
}

impl Fixtures {
    /// Makes everything that a granted call needs for an answer.
    pub async fn lay(stack: &TestStack) -> Self {
        let about = stack.about();
        for (folder, ..) in FOLDERS {
            stack.put(&object(folder), b"{}".to_vec()).await;
        }
        let archive = stack
            .client()
            .put_object(&about.bundle_bucket, ARCHIVE, b"{}".to_vec());
        archive.await.expect("an archive in S3");
        for name in [STATE, STATUS, REFERENCED, OTHER] {
            stack.put_parameter(name, "{}").await;
        }
        for kind in ["deploy", "lookup"] {
            bootstrap_role(stack, kind).await;
        }
        // Not the module of the objects: it has no lock.
        let id = stack.module_id("privileges-waiting");
        let waiting = Module::running("build", &["sleep 600"]);
        let execution = stack.start(&stack.input(&id, &waiting, json!({})).await).await;
        let build = stack.build_of(&execution).await;
        let callback = format!("callbacks/{build}");
        let registered = eventually("the registration", || async { stack.object(&callback).await }).await;
        let registered: Value = serde_json::from_slice(&registered).expect("a registration in JSON");
        let project = json!({"projectName": about.project_name});
        let spare = stack
            .call("codebuild", "CodeBuild_20161006.StartBuild", project)
            .await;
        Self {
            account: about.account.clone(),
            work_bucket: about.work_bucket.clone(),
            bundle_bucket: about.bundle_bucket.clone(),
            project: about.project_name.clone(),
            state_machine: about.state_machine_arn.clone(),
            queue: stack.output("FailedEventsQueueUrl").expect("a queue").to_owned(),
            reports: stack.resources("AWS::SQS::Queue").await["PublishReportQueue"].clone(),
            execution,
            build,
            token: registered["token"].as_str().expect("a token").to_owned(),
            spare: spare["build"]["id"].as_str().expect("a build").to_owned(),
        }
    }
}

/// The ARN of a role of the CDK's bootstrap.
pub fn cdk_role(account: &str, kind: &str) -> String {
    format!("arn:aws:iam::{account}:role/cdk-hnb659fds-{kind}-role-{account}-us-east-1")
}

/// Makes a role of the CDK's bootstrap, which trusts the account.
async fn bootstrap_role(stack: &TestStack, kind: &str) {
    let account = &stack.about().account;
    let arn = cdk_role(account, kind);
    let (_, name) = arn.split_once('/').expect("a name");
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
    }]});
    let fields = [
        ("Action", "CreateRole"),
        ("Version", "2010-05-08"),
        ("RoleName", name),
        ("AssumeRolePolicyDocument", &trust.to_string()),
    ];
    stack.client().form("iam", &fields).await.expect("a role");
}

pub fn object(folder: &str) -> String {
    match folder.ends_with(".json") {
        true => folder.to_owned(),
        false => format!("{folder}/privileges/dev/core/module.json"),
    }
}

/// A row without an expected error.
pub fn row(name: impl Into<String>, granted: Granted, call: Call) -> Row {
    Row {
        name: name.into(),
        call,
        granted,
        answer: None,
    }
}

/// An operation of the JSON protocol on a resource.
pub fn ask(service: Service, operation: &str, what: &str, granted: Granted, input: Value) -> Row {
    let (service, prefix) = service;
    let target = format!("{prefix}.{operation}");
    let call = Call::Json {
        service,
        target,
        input,
    };
    row(format!("{service}:{operation} {what}"), granted, call)
}

/// An operation of the Query protocol.
pub fn form(
    service: &'static str,
    action: &str,
    version: &str,
    granted: Granted,
    more: &[(&'static str, &str)],
) -> Row {
    let fields = [("Action", action), ("Version", version)];
    let fields = fields.iter().chain(more);
    let fields = fields.map(|(name, value)| (*name, (*value).to_owned())).collect();
    row(
        format!("{service}:{action}"),
        granted,
        Call::Form { service, fields },
    )
}

/// What a function does with the roles of modules, and the further fields of each call.
pub const ON_ROLES: [(&str, &[(&str, &str)]); 5] = [
    ("GetRole", &[]),
    ("ListAttachedRolePolicies", &[]),
    ("ListRolePolicies", &[]),
    ("DeleteRole", &[]),
    (
        "PutRolePermissionsBoundary",
        &[("PermissionsBoundary", EVERYTHING)],
    ),
];

/// The policy that no role may get.
pub const EVERYTHING: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// A call about a role that doesn't exist, so a granted call ends in that error.
pub fn about_role(name: &str, action: &str, granted: Granted, more: &[(&'static str, &str)]) -> Row {
    Row {
        name: format!("iam:{action} {name} {more:?}"),
        answer: Some("NoSuchEntity"),
        ..form(
            "iam",
            action,
            "2010-05-08",
            granted,
            &[&[("RoleName", name)], more].concat(),
        )
    }
}

/// The same about a stack.
pub fn about_stack(name: &str, action: &str, granted: Granted, more: &[(&'static str, &str)]) -> Row {
    let fields = [&[("StackName", name)], more].concat();
    Row {
        name: format!("cloudformation:{action} {name} {more:?}"),
        answer: Some("ValidationError"),
        ..form("cloudformation", action, "2010-05-15", granted, &fields)
    }
}
