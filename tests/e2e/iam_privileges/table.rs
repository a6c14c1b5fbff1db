//! The granted calls of each role.
//!
//! A row is a call with the roles to which it is granted. The rows cover everything that Seedflow has in an account:
//! parameters, both buckets, projects and builds, executions, functions, the queue, logs, stacks.

use std::collections::BTreeMap;

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

const ACQUIRE_LOCK: &str = "AcquireLockRole";
const CHECK_MD5: &str = "CheckMd5Role";
const START_BUILD: &str = "StartBuildRole";
const MODULE_STACK: &str = "ModuleStackRole";
const MODULE_STACK_SERVICE: &str = "ModuleStackServiceRole";
const CHECK_STATUS: &str = "CheckStatusRole";
const UPDATE_METADATA: &str = "UpdateMetadataRole";
const BUILD_EVENT: &str = "BuildEventRole";
const END_EXECUTION: &str = "EndExecutionRole";
const PLAN_DEPLOYMENT: &str = "PlanDeploymentRole";
const EVALUATE_POLICY: &str = "EvaluatePolicyRole";
const FETCH_SOURCES: &str = "FetchSourcesRole";
const RECORD_DEPLOYMENT: &str = "RecordDeploymentRole";
const REQUEST_APPROVAL: &str = "RequestApprovalRole";
const APPROVE: &str = "ApproveRole";
const PUBLISH_REPORT: &str = "PublishReportRole";
const DETECT_DRIFT: &str = "DetectDriftRole";
const PREVIEW_MODULES: &str = "PreviewModulesRole";
const DEPLOY: &str = "DeployRole";
const PLAN: &str = "PlanRole";
const REPOSITORY: &str = "RepositoryRole";
const DEPLOY_MODULE: &str = "DeployModuleRole";
const DRIFT: &str = "DriftRole";
const DRIFT_SCHEDULE: &str = "DriftScheduleRole";
const END_MACHINE: &str = "EndExecutionMachineRole";
const UPLOAD: &str = "UploadRole";
const EXECUTION_ENDED: &str = "ExecutionEndedRole";
const BUILD: &str = "BuildRole";
const READ_ONLY_BUILD: &str = "ReadOnlyBuildRole";

/// The roles to which a call is granted.
pub type Granted = &'static [&'static str];
pub const NOBODY: Granted = &[];

/// A service of the JSON protocol: its name in signatures, and the beginning of its targets.
pub type Service = (&'static str, &'static str);
pub const SSM: Service = ("ssm", "AmazonSSM");
pub const CODEBUILD: Service = ("codebuild", "CodeBuild_20161006");
const STATES: Service = ("states", "AWSStepFunctions");
pub const LOGS: Service = ("logs", "Logs_20140328");
pub const EVENTS: Service = ("events", "AWSEvents");
const SQS: Service = ("sqs", "AmazonSQS");
pub const SECRETS: Service = ("secretsmanager", "secretsmanager");

/// Two parameters of the workflow; the cleanup changes only the status. One that an administrator named in
/// ReferencedParameters: check-md5 reads its version, a build its value. One to which nobody has a right.
const STATE: &str = "/sf/privileges/dev/core-module/md5";
const STATUS: &str = "/sf/privileges/dev/core-module/status";
const REFERENCED: &str = "/seedflow-examples/x";
/// A parameter that AWS publishes; the emulator has none, so it answers with an error.
pub const PUBLIC: &str = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";
const OTHER: &str = "/other/x";

const APPROVALS: Granted = &[
    ACQUIRE_LOCK,
    CHECK_MD5,
    PLAN_DEPLOYMENT,
    RECORD_DEPLOYMENT,
    REQUEST_APPROVAL,
    APPROVE,
];

/// A folder of the work bucket, or one object in it, with the roles that may read, write and delete there.
type Folder = (&'static str, Granted, Granted, Granted);
#[rustfmt::skip]
const FOLDERS: [Folder; 21] = [
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
const ARCHIVE: &str = "archives/privileges.zip";

/// The resources of the calls.
pub struct Fixtures {
    account: String,
    work_bucket: String,
    bundle_bucket: String,
    project: String,
    state_machine: String,
    queue: String,
    /// The queue of the events from which pages are made.
    reports: String,
    /// An execution that waits, with its build and its task token.
    execution: String,
    build: String,
    token: String,
    /// A build for which nobody waits.
    spare: String,
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
fn cdk_role(account: &str, kind: &str) -> String {
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

fn object(folder: &str) -> String {
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

/// All rows; those that end the waiting execution are last.
pub fn rows(fixtures: &Fixtures, functions: &BTreeMap<String, String>) -> Vec<Row> {
    let mut rows = parameters();
    rows.extend(work_bucket(&fixtures.work_bucket));
    rows.extend(bundle_bucket(&fixtures.bundle_bucket));
    rows.extend(logs(functions));
    rows.extend(invocations(functions));
    rows.extend(account(fixtures));
    rows.extend(roles_of_modules(fixtures));
    rows.extend(projects(fixtures));
    rows.extend(executions(fixtures));
    rows
}

fn parameters() -> Vec<Row> {
    let (state, status, referenced, other) = (STATE, STATUS, REFERENCED, OTHER);
    let put = |name: &str| json!({"Name": name, "Value": "{}", "Type": "String", "Overwrite": true});
    let get = |what: &str, granted, names: &[&str]| {
        ask(SSM, "GetParameters", what, granted, json!({"Names": names}))
    };
    let mut rows = vec![
        get(state, &[CHECK_MD5, UPDATE_METADATA], &[state]),
        get(
            status,
            &[CHECK_MD5, UPDATE_METADATA, RECORD_DEPLOYMENT, END_EXECUTION],
            &[status],
        ),
        get(
            "its status and more",
            &[CHECK_MD5, UPDATE_METADATA],
            &[status, state],
        ),
        get(
            referenced,
            &[CHECK_MD5, PLAN_DEPLOYMENT, BUILD, READ_ONLY_BUILD],
            &[referenced],
        ),
        get(
            PUBLIC,
            &[CHECK_MD5, PLAN_DEPLOYMENT, BUILD, READ_ONLY_BUILD],
            &[PUBLIC],
        ),
        get("AWS's others", NOBODY, &["/aws/reference/x"]),
        get(other, NOBODY, &[other]),
        // A granted name doesn't help another name.
        get("one's own and another's", NOBODY, &[state, referenced, other]),
        ask(SSM, "PutParameter", state, &[UPDATE_METADATA], put(state)),
        ask(
            SSM,
            "PutParameter",
            status,
            &[UPDATE_METADATA, RECORD_DEPLOYMENT, END_EXECUTION],
            put(status),
        ),
        ask(SSM, "PutParameter", referenced, NOBODY, put(referenced)),
        ask(SSM, "PutParameter", other, NOBODY, put(other)),
        ask(SSM, "DescribeParameters", "", NOBODY, json!({})),
    ];
    for name in [state, status, other] {
        for operation in ["GetParameter", "GetParameterHistory", "DeleteParameter"] {
            rows.push(ask(SSM, operation, name, NOBODY, json!({"Name": name})));
        }
        // The stored values of a module are deleted when it is destroyed, the status of a deployment with its last
        // module.
        let granted: Granted = match name {
            STATE => &[UPDATE_METADATA],
            STATUS => &[UPDATE_METADATA, RECORD_DEPLOYMENT],
            _ => NOBODY,
        };
        rows.push(ask(
            SSM,
            "DeleteParameters",
            name,
            granted,
            json!({"Names": [name]}),
        ));
    }
    // A deployment's own path; the planner may read any path below /sf, but not a shorter one. The variables of a manifest
    // are below a path that ReferencedParameters names.
    for (path, granted) in [
        ("/", NOBODY),
        ("/sf", NOBODY),
        ("/sf/privileges/dev", &[PLAN_DEPLOYMENT][..]),
        (referenced, &[PLAN_DEPLOYMENT][..]),
        ("/seedflow-examples", NOBODY),
        ("/other", NOBODY),
    ] {
        let below = json!({"Path": path, "Recursive": true});
        rows.push(ask(SSM, "GetParametersByPath", path, granted, below));
    }
    rows
}

fn work_bucket(bucket: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (folder, read, write, delete) in FOLDERS {
        let at = || (bucket.to_owned(), object(folder));
        rows.push(row(format!("read {folder}"), read, Call::read(at())));
        rows.push(row(format!("write {folder}"), write, Call::write(at())));
        rows.push(row(format!("delete {folder}"), delete, Call::delete(at())));
    }
    // A role that records an end writes a report. The role that makes pages writes the page beside it, and may not
    // change reports.
    let page = (
        bucket.to_owned(),
        "reports/privileges/dev/core/module.html".to_owned(),
    );
    let write: Granted = &[UPDATE_METADATA, RECORD_DEPLOYMENT, END_EXECUTION, PUBLISH_REPORT];
    rows.push(row("write a page", write, Call::write(page)));
    // A build can't find out whether another build's folder exists.
    let missing = (bucket.to_owned(), "builds/privileges/missing".to_owned());
    rows.push(Row {
        answer: Some("NoSuchKey"),
        ..row(
            "read what is missing in builds",
            &[UPDATE_METADATA],
            Call::read(missing),
        )
    });
    let copied = (bucket.to_owned(), object("builds"));
    rows.push(Row {
        answer: Some("NoSuchUpload"),
        ..row(
            "give up a copy in parts",
            &[UPDATE_METADATA, DETECT_DRIFT],
            Call::abort(copied),
        )
    });
    // The readers of objects that may be missing: without this right S3 answers "access denied" instead.
    let list: Granted = &[
        ACQUIRE_LOCK,
        CHECK_MD5,
        MODULE_STACK,
        START_BUILD,
        CHECK_STATUS,
        UPDATE_METADATA,
        BUILD_EVENT,
        END_EXECUTION,
        PLAN_DEPLOYMENT,
        EVALUATE_POLICY,
        FETCH_SOURCES,
        RECORD_DEPLOYMENT,
        REQUEST_APPROVAL,
        APPROVE,
        PUBLISH_REPORT,
        DETECT_DRIFT,
    ];
    rows.push(row("list the work bucket", list, Call::list(bucket)));
    // The earlier records of a module, for a rollback.
    let records = Call::list_versions(bucket, "deployed");
    rows.push(row(
        "list versions of records",
        &[CHECK_MD5, PLAN_DEPLOYMENT],
        records,
    ));
    rows
}

fn bundle_bucket(bucket: &str) -> Vec<Row> {
    let at = || (bucket.to_owned(), "dev/core/privileges/bundle.zip".to_owned());
    let archive = (bucket.to_owned(), ARCHIVE.to_owned());
    vec![
        row("write a bundle", &[UPDATE_METADATA], Call::write(at())),
        row("read a bundle", &[UPDATE_METADATA], Call::read(at())),
        Row {
            answer: Some("NoSuchUpload"),
            ..row("give up a copy in parts", &[UPDATE_METADATA], Call::abort(at()))
        },
        row("delete a bundle", &[UPDATE_METADATA], Call::delete(at())),
        // A role that may not list the bucket can't find out that the object is missing.
        Row {
            answer: Some("NoSuchKey"),
            ..row("read a bundle that is gone", &[UPDATE_METADATA], Call::read(at()))
        },
        row("list the bundle bucket", &[UPDATE_METADATA], Call::list(bucket)),
        row(
            "read an archive of manifests",
            &[UPDATE_METADATA, FETCH_SOURCES],
            Call::read(archive),
        ),
    ]
}

/// Each function writes to its own log group, a build to that of builds.
fn logs(functions: &BTreeMap<String, String>) -> Vec<Row> {
    let write = |group: &str, granted| {
        let stream = json!({"logGroupName": group, "logStreamName": "privileges"});
        ask(LOGS, "CreateLogStream", group, granted, stream)
    };
    let own = |function: &str| -> Granted {
        match function {
            "AcquireLockFunction" => &[ACQUIRE_LOCK],
            "CheckMd5Function" => &[CHECK_MD5],
            "ModuleStackFunction" => &[MODULE_STACK],
            "StartBuildFunction" => &[START_BUILD],
            "CheckStatusFunction" => &[CHECK_STATUS],
            "UpdateMetadataFunction" => &[UPDATE_METADATA],
            "BuildEventFunction" => &[BUILD_EVENT],
            "EndExecutionFunction" => &[END_EXECUTION],
            "PlanDeploymentFunction" => &[PLAN_DEPLOYMENT],
            "EvaluatePolicyFunction" => &[EVALUATE_POLICY],
            "FetchSourcesFunction" => &[FETCH_SOURCES],
            "RecordDeploymentFunction" => &[RECORD_DEPLOYMENT],
            "RequestApprovalFunction" => &[REQUEST_APPROVAL],
            "ApproveFunction" => &[APPROVE],
            "PublishReportFunction" => &[PUBLISH_REPORT],
            "DetectDriftFunction" => &[DETECT_DRIFT],
            "PreviewModulesFunction" => &[PREVIEW_MODULES],
            unknown => panic!("say in the table what {unknown} may do"),
        }
    };
    let builds = "/aws/codebuild/seedflow";
    let read_only_builds = "/aws/codebuild/seedflow-read-only";
    let read = |group: &str, granted| {
        let stream = json!({"logGroupName": group, "logStreamName": "privileges"});
        Row {
            answer: Some("ResourceNotFoundException"),
            ..ask(LOGS, "GetLogEvents", group, granted, stream)
        }
    };
    let mut rows = vec![
        read(builds, &[PUBLISH_REPORT, UPDATE_METADATA]),
        read("/aws/lambda/other", NOBODY),
        write(builds, &[BUILD]),
        read(read_only_builds, &[DETECT_DRIFT, PREVIEW_MODULES]),
        write(read_only_builds, &[READ_ONLY_BUILD]),
        ask(
            LOGS,
            "FilterLogEvents",
            builds,
            NOBODY,
            json!({"logGroupName": builds}),
        ),
        // The state machines', for the delivery of their logs.
        ask(
            LOGS,
            "DescribeLogGroups",
            "",
            &[DEPLOY_MODULE, DEPLOY, END_MACHINE, PLAN, DRIFT],
            json!({}),
        ),
    ];
    let of_functions = functions
        .iter()
        .map(|(logical, name)| write(&format!("/aws/lambda/{name}"), own(logical)));
    rows.extend(of_functions);
    rows
}

/// Each state machine invokes its own functions; the functions that events start aren't among them.
fn invocations(functions: &BTreeMap<String, String>) -> Vec<Row> {
    let invoke = |(logical, name): (&String, &String)| {
        let granted: Granted = match logical.as_str() {
            // People call approve.
            "BuildEventFunction" | "PublishReportFunction" | "ApproveFunction" => NOBODY,
            "EndExecutionFunction" => &[END_MACHINE],
            "DetectDriftFunction" => &[DRIFT],
            "AcquireLockFunction" | "EvaluatePolicyFunction" => &[DEPLOY_MODULE, DEPLOY],
            "PlanDeploymentFunction"
            | "FetchSourcesFunction"
            | "RecordDeploymentFunction"
            | "RequestApprovalFunction"
            | "PreviewModulesFunction" => &[DEPLOY],
            _ => &[DEPLOY_MODULE],
        };
        let function = name.clone();
        Row {
            // A function's answer to an empty event.
            answer: Some("InvalidInput"),
            ..row(format!("invoke {name}"), granted, Call::Invoke { function })
        }
    };
    functions.iter().map(invoke).collect()
}

fn projects(fixtures: &Fixtures) -> Vec<Row> {
    let (ours, build, spare) = (fixtures.project.as_str(), &fixtures.build, &fixtures.spare);
    let sibling = format!("{ours}-privileges");
    let read_only = format!("{ours}-read-only");
    let role = format!("arn:aws:iam::{}:role/x", fixtures.account);
    let create = |name: &str| json!({"name": name, "serviceRole": role});
    let read = |what: &str, granted, ids: &[&str]| {
        ask(CODEBUILD, "BatchGetBuilds", what, granted, json!({"ids": ids}))
    };
    let mut rows = vec![
        ask(
            CODEBUILD,
            "StartBuild",
            ours,
            &[START_BUILD],
            json!({"projectName": ours}),
        ),
        ask(
            CODEBUILD,
            "StartBuild",
            &read_only,
            &[START_BUILD, DETECT_DRIFT, PREVIEW_MODULES],
            json!({"projectName": read_only}),
        ),
        ask(
            CODEBUILD,
            "CreateProject",
            &sibling,
            &[START_BUILD],
            create(&sibling),
        ),
        read(
            "ours",
            &[CHECK_STATUS, START_BUILD, BUILD_EVENT, END_EXECUTION],
            &[build],
        ),
        read(
            "read-only ones",
            &[
                CHECK_STATUS,
                START_BUILD,
                BUILD_EVENT,
                END_EXECUTION,
                DETECT_DRIFT,
                PREVIEW_MODULES,
            ],
            &[&format!("{read_only}:1")],
        ),
        read("ours and another's", NOBODY, &[build, "other:1"]),
        ask(
            CODEBUILD,
            "StopBuild",
            "ours",
            &[END_EXECUTION],
            json!({"id": spare}),
        ),
        ask(
            CODEBUILD,
            "ListBuildsForProject",
            ours,
            &[START_BUILD, END_EXECUTION],
            json!({"projectName": ours}),
        ),
        ask(
            CODEBUILD,
            "StopBuild",
            "another's",
            NOBODY,
            json!({"id": "other:1"}),
        ),
        ask(
            CODEBUILD,
            "BatchGetProjects",
            "that an input names",
            &[START_BUILD],
            json!({"names": [sibling]}),
        ),
        ask(
            CODEBUILD,
            "BatchGetProjects",
            "another's",
            NOBODY,
            json!({"names": ["other"]}),
        ),
        ask(CODEBUILD, "ListBuilds", "", NOBODY, json!({})),
        ask(CODEBUILD, "UpdateProject", ours, NOBODY, json!({"name": ours})),
        ask(CODEBUILD, "DeleteProject", ours, NOBODY, json!({"name": ours})),
    ];
    // The name of the second only begins like ours.
    for other in ["other", "seedflows"] {
        let project = json!({"projectName": other});
        rows.push(ask(CODEBUILD, "StartBuild", other, NOBODY, project.clone()));
        rows.push(ask(CODEBUILD, "ListBuildsForProject", other, NOBODY, project));
        rows.push(ask(CODEBUILD, "CreateProject", other, NOBODY, create(other)));
    }
    rows
}

fn executions(fixtures: &Fixtures) -> Vec<Row> {
    let execution = json!({"executionArn": fixtures.execution});
    let token = |more: Value| {
        let mut input = more;
        input["taskToken"] = fixtures.token.as_str().into();
        input
    };
    let start = |machine: &str| json!({"stateMachineArn": machine, "input": "{}"});
    let machine = |name: &str| fixtures.state_machine.replace("deploy-module", name);
    let [ours, deploy, plan, drift] = ["deploy-module", "deploy", "plan", "drift"].map(machine);
    let [end, others] = ["end-execution", "other"].map(machine);
    // An execution of another state machine.
    let other = json!({"executionArn": fixtures.execution.replace("deploy-module", "end-execution")});
    let other_stop = other.clone();
    let succeed = |what: &str, granted, token: &str| Row {
        // The error of the second answer.
        answer: Some("TaskDoesNotExist"),
        ..ask(
            STATES,
            "SendTaskSuccess",
            what,
            granted,
            json!({"taskToken": token, "output": "{}"}),
        )
    };
    vec![
        ask(
            STATES,
            "StartExecution",
            "of the workflow",
            &[UPLOAD, DEPLOY],
            start(&ours),
        ),
        ask(
            STATES,
            "StartExecution",
            "of whole deployments",
            &[REPOSITORY, PLAN, DEPLOY],
            start(&deploy),
        ),
        ask(STATES, "StartExecution", "of plans", NOBODY, start(&plan)),
        ask(
            STATES,
            "StartExecution",
            "of checks for drift",
            &[DRIFT_SCHEDULE],
            start(&drift),
        ),
        ask(
            STATES,
            "StartExecution",
            "of what cleans up",
            &[ACQUIRE_LOCK, END_EXECUTION, EXECUTION_ENDED],
            json!({"stateMachineArn": end, "input": json!({"execution": fixtures.execution}).to_string()}),
        ),
        ask(STATES, "StartExecution", "of another's", NOBODY, start(&others)),
        ask(
            STATES,
            "DescribeExecution",
            "",
            &[ACQUIRE_LOCK, END_EXECUTION, DEPLOY],
            execution.clone(),
        ),
        Row {
            answer: Some("ExecutionDoesNotExist"),
            ..ask(
                STATES,
                "DescribeExecution",
                "of a deployment",
                &[ACQUIRE_LOCK, END_EXECUTION, PLAN_DEPLOYMENT, APPROVE],
                json!({"executionArn": fixtures.execution.replace("deploy-module", "deploy")}),
            )
        },
        ask(
            STATES,
            "DescribeExecution",
            "of another machine",
            NOBODY,
            other.clone(),
        ),
        // It contains the task token.
        ask(
            STATES,
            "GetExecutionHistory",
            "",
            &[END_EXECUTION],
            execution.clone(),
        ),
        ask(STATES, "GetExecutionHistory", "of another machine", NOBODY, other),
        ask(
            STATES,
            "ListExecutions",
            "",
            NOBODY,
            json!({"stateMachineArn": ours}),
        ),
        ask(
            STATES,
            "ListExecutions",
            "of another machine",
            NOBODY,
            json!({"stateMachineArn": end}),
        ),
        // One that never existed: stopping ours would end the execution of the last rows.
        Row {
            answer: Some("ExecutionDoesNotExist"),
            ..ask(
                STATES,
                "StopExecution",
                "",
                &[END_EXECUTION, DEPLOY],
                json!({"executionArn": format!("{}-never", fixtures.execution)}),
            )
        },
        ask(STATES, "StopExecution", "of another machine", NOBODY, other_stop),
        ask(STATES, "SendTaskHeartbeat", "", NOBODY, token(json!({}))),
        ask(
            STATES,
            "SendTaskFailure",
            "",
            NOBODY,
            token(json!({"error": "E"})),
        ),
        // Last: it ends the execution.
        succeed(
            "its task",
            &[ACQUIRE_LOCK, CHECK_STATUS, BUILD_EVENT, END_EXECUTION],
            &fixtures.token,
        ),
        // Of any machine; the last two answer for deployments only.
        succeed(
            "a task that never was",
            &[
                ACQUIRE_LOCK,
                CHECK_STATUS,
                BUILD_EVENT,
                END_EXECUTION,
                REQUEST_APPROVAL,
                APPROVE,
            ],
            "never",
        ),
    ]
}

/// The rest of Seedflow's resources in an account, and the calls that would give a role more rights.
fn account(fixtures: &Fixtures) -> Vec<Row> {
    let queue = json!({"QueueUrl": fixtures.queue});
    let message = json!({"QueueUrl": fixtures.queue, "MessageBody": "{}"});
    let event = json!({"Entries": [{"Source": "seedflow.codebuild", "DetailType": "x", "Detail": "{}"}]});
    let entry = |source: &str, detail_type: &str| json!({"Source": source, "DetailType": detail_type, "Detail": "{}"});
    let event_of_type = |detail_type: &str| json!({"Entries": [entry("seedflow", detail_type)]});
    let (module, deployment) = ("Seedflow Module State Change", "Seedflow Deployment State Change");
    let role = format!("arn:aws:iam::{}:role/seedflow", fixtures.account);
    let policy = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let more_rights = [
        ("RoleName", "seedflow"),
        ("PolicyName", "more"),
        ("PolicyDocument", policy),
    ];
    let session = |arn| [("RoleArn", arn), ("RoleSessionName", "privileges")];
    let another_role = session(role.as_str());
    let looking_up_role = cdk_role(&fixtures.account, "lookup");
    let looking_up = session(looking_up_role.as_str());
    let deploying_role = cdk_role(&fixtures.account, "deploy");
    let deploying = session(deploying_role.as_str());
    vec![
        ask(
            SQS,
            "SendMessage",
            "",
            &[BUILD_EVENT, END_MACHINE, DRIFT_SCHEDULE],
            message,
        ),
        ask(SQS, "ReceiveMessage", "", NOBODY, queue.clone()),
        ask(SQS, "PurgeQueue", "", NOBODY, queue),
        ask(
            SQS,
            "SendMessage",
            "of reports",
            NOBODY,
            json!({"QueueUrl": fixtures.reports, "MessageBody": "{}"}),
        ),
        ask(
            SQS,
            "ReceiveMessage",
            "of reports",
            &[PUBLISH_REPORT],
            json!({"QueueUrl": fixtures.reports}),
        ),
        // A role with this right could report the end of a build that hasn't ended.
        ask(EVENTS, "PutEvents", "", NOBODY, event),
        // In our own name, each role sends only its own events.
        ask(
            EVENTS,
            "PutEvents",
            "of a module",
            &[UPDATE_METADATA, END_EXECUTION],
            event_of_type("Seedflow Module State Change"),
        ),
        ask(
            EVENTS,
            "PutEvents",
            "of a deployment",
            &[RECORD_DEPLOYMENT, END_EXECUTION],
            event_of_type("Seedflow Deployment State Change"),
        ),
        ask(
            EVENTS,
            "PutEvents",
            "of drift",
            &[DETECT_DRIFT],
            event_of_type("Seedflow Module Drift"),
        ),
        ask(EVENTS, "PutEvents", "of another type", NOBODY, event_of_type("x")),
        // Each event of a request is checked.
        ask(
            EVENTS,
            "PutEvents",
            "of a module and of a deployment",
            &[END_EXECUTION],
            json!({"Entries": [entry("seedflow", module), entry("seedflow", deployment)]}),
        ),
        ask(
            EVENTS,
            "PutEvents",
            "of a module and of another's",
            NOBODY,
            json!({"Entries": [entry("seedflow", module), entry("other", module)]}),
        ),
        ask(
            EVENTS,
            "PutEvents",
            "of nothing",
            NOBODY,
            json!({"Entries": [{"Detail": "{}"}]}),
        ),
        ask(EVENTS, "ListRules", "", NOBODY, json!({})),
        // A changed pattern would bring other events to the same target.
        ask(
            EVENTS,
            "PutRule",
            "ours",
            NOBODY,
            json!({"Name": "seedflow-build-ended", "EventPattern": "{}"}),
        ),
        ask(
            EVENTS,
            "PutPermission",
            "",
            NOBODY,
            json!({"StatementId": "x", "Principal": "*", "Action": "events:PutEvents"}),
        ),
        ask(
            LOGS,
            "PutAccountPolicy",
            "",
            NOBODY,
            json!({"policyName": "x", "policyType": "DATA_PROTECTION_POLICY", "policyDocument": "{}"}),
        ),
        form(
            "monitoring",
            "SetAlarmState",
            "2010-08-01",
            NOBODY,
            &[("AlarmName", "x"), ("StateValue", "OK"), ("StateReason", "x")],
        ),
        // The one rule by which Step Functions receives the ends of executions for which it waits.
        Row {
            answer: Some("ResourceNotFoundException"),
            ..ask(
                EVENTS,
                "DescribeRule",
                "of Step Functions",
                &[DEPLOY],
                json!({"Name": "StepFunctionsGetEventsForStepFunctionsExecutionRule"}),
            )
        },
        ask(
            EVENTS,
            "DescribeRule",
            "another",
            NOBODY,
            json!({"Name": "other"}),
        ),
        Row {
            // Unless another test has made it.
            answer: Some("ResourceNotFoundException"),
            ..ask(
                SECRETS,
                "GetSecretValue",
                "with the credentials of hosts",
                &[FETCH_SOURCES],
                json!({"SecretId": "seedflow-git"}),
            )
        },
        ask(
            SECRETS,
            "GetSecretValue",
            "",
            NOBODY,
            json!({"SecretId": "other"}),
        ),
        Row {
            answer: Some("ResourceNotFoundException"),
            ..ask(
                SECRETS,
                "GetSecretValue",
                "of a registry",
                &[BUILD],
                json!({"SecretId": "team-docker-credentials"}),
            )
        },
        // BuildSubnetIds: CodeBuild makes network interfaces with the build's role.
        form("ec2", "DescribeSubnets", "2016-11-15", &[BUILD], &[]),
        Row {
            answer: Some("InvalidNetworkInterfaceID.NotFound"),
            ..form(
                "ec2",
                "DeleteNetworkInterface",
                "2016-11-15",
                &[BUILD],
                &[("NetworkInterfaceId", "eni-1")],
            )
        },
        form("ec2", "DescribeInstances", "2016-11-15", NOBODY, &[]),
        // AllowCdkBootstrap: the roles that deploy, not the one that reads everything.
        form("sts", "AssumeRole", "2011-06-15", &[BUILD], &deploying),
        form("sts", "AssumeRole", "2011-06-15", NOBODY, &looking_up),
        Row {
            answer: Some("ParameterNotFound"),
            ..ask(
                SSM,
                "GetParameter",
                "of the CDK",
                &[BUILD],
                json!({"Name": "/cdk-bootstrap/hnb659fds/version"}),
            )
        },
        form(
            "cloudformation",
            "DescribeStacks",
            "2010-05-15",
            // The stack of a module has a hyphen in its name.
            NOBODY,
            &[("StackName", "seedflow")],
        ),
        form(
            "cloudformation",
            "DeleteStack",
            "2010-05-15",
            NOBODY,
            &[("StackName", "other")],
        ),
        form("iam", "PutRolePolicy", "2010-05-08", NOBODY, &more_rights),
        form("sts", "AssumeRole", "2011-06-15", NOBODY, &another_role),
    ]
}

/// The calls that make and remove the roles and stacks of modules. None of these exists, so a granted call ends in that
/// error.
fn roles_of_modules(fixtures: &Fixtures) -> Vec<Row> {
    let mut rows = Vec::new();
    let account = &fixtures.account;
    let of_modules = format!("arn:aws:iam::{account}:policy/seedflow-module-x");
    let everything = "arn:aws:iam::aws:policy/AdministratorAccess";
    let document = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let role = |name: &'static str, action: &str, granted: Granted, more: &[(&'static str, &str)]| {
        let fields: Vec<(&str, &str)> = [("RoleName", name)]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        Row {
            name: format!("iam:{action} {name} {more:?}"),
            answer: Some("NoSuchEntity"),
            ..form("iam", action, "2010-05-08", granted, &fields)
        }
    };
    let module = "seedflow-module-privileges";
    for (action, more) in [
        ("GetRole", &[][..]),
        ("ListAttachedRolePolicies", &[]),
        ("ListRolePolicies", &[]),
        ("DeleteRole", &[]),
        (
            "PutRolePermissionsBoundary",
            &[("PermissionsBoundary", everything)],
        ),
    ] {
        rows.push(role(module, action, &[MODULE_STACK], more));
        // Begins like the stack's own, and like another stack's.
        rows.push(role("seedflow-UpdateMetadataRole", action, NOBODY, more));
        rows.push(role("other-module-x", action, NOBODY, more));
    }
    let policy = [("PolicyName", "p"), ("PolicyDocument", document)];
    rows.push(role(module, "PutRolePolicy", &[MODULE_STACK_SERVICE], &policy));
    rows.push(role("other-module-x", "PutRolePolicy", NOBODY, &policy));
    rows.push(role(module, "UpdateAssumeRolePolicy", NOBODY, &policy[1..]));
    // Neither role gives a module's role a policy from anywhere but the template or the module's stack.
    rows.push(role(
        module,
        "AttachRolePolicy",
        &[MODULE_STACK_SERVICE],
        &[("PolicyArn", &of_modules)],
    ));
    rows.push(role(
        module,
        "AttachRolePolicy",
        NOBODY,
        &[("PolicyArn", everything)],
    ));
    let stack = |name: &'static str, action: &str, granted: Granted, more: &[(&'static str, &str)]| {
        let fields: Vec<(&str, &str)> = [("StackName", name)]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        Row {
            name: format!("cloudformation:{action} {name} {more:?}"),
            answer: Some("ValidationError"),
            ..form("cloudformation", action, "2010-05-15", granted, &fields)
        }
    };
    let stack_of_module = "seedflow-module-privileges";
    let template = [("TemplateBody", "{\"Resources\": {}}")];
    for (action, granted) in [
        ("DescribeStackEvents", &[MODULE_STACK, UPDATE_METADATA][..]),
        ("DescribeStacks", &[MODULE_STACK, UPDATE_METADATA]),
        ("DeleteStack", &[MODULE_STACK]),
    ] {
        rows.push(stack(stack_of_module, action, granted, &[]));
    }
    // A stack of a module has a hyphen in its name.
    for action in [
        "DetectStackDrift",
        "DescribeStackResourceDrifts",
        "ListStackResources",
    ] {
        rows.push(stack(stack_of_module, action, &[DETECT_DRIFT], &[]));
        rows.push(stack("other", action, NOBODY, &[]));
    }
    let detection = [("StackDriftDetectionId", "0f8fad5b-d9cb-469f-a165-70867728950e")];
    rows.push(Row {
        answer: Some("ValidationError"),
        ..form(
            "cloudformation",
            "DescribeStackDriftDetectionStatus",
            "2010-05-15",
            &[DETECT_DRIFT],
            &detection,
        )
    });
    // Only with the service role, whose ARN the refusal of any other shows.
    for action in ["CreateStack", "UpdateStack"] {
        rows.push(stack(stack_of_module, action, NOBODY, &template));
        rows.push(stack("other", action, NOBODY, &template));
    }
    rows
}
