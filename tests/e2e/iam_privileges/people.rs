//! What the ready-made policies of docs/roles let people do, each tried with the credentials of a role that has nothing else.
//!
//! The roles are not part of the template: a test makes them as an administrator of the account would, with what
//! `seedflow roles` prints.

use std::collections::BTreeMap;

use seedflow_e2e::command_line::{Ran, command, seedflow};
use seedflow_e2e::{Repository, TestStack, eventually, run};
use seedflow_local::aws_api::{ApiError, AwsApi, Credentials};
use serde_json::{Value, json};

use super::call::{Call, is_refusal};
use super::{IN_USE, PEOPLE_ADMINISTRATOR, STACK};

/// The names of the roles, and the arguments of `seedflow roles`.
const ROLES: [(&str, &[&str]); 5] = [
    ("viewer", &["viewer"]),
    (
        "deployer",
        &["deployer", "--project", "shop", "--deployment", "dev"],
    ),
    ("approver", &["approver"]),
    ("operator", &["operator"]),
    ("administrator", &["administrator"]),
];
const EVERYBODY: Granted = &["viewer", "deployer", "approver", "operator", "administrator"];
const OPERATORS: Granted = &["operator", "administrator"];
const DEPLOYERS: Granted = &["deployer", "operator", "administrator"];
const ADMINISTRATOR: Granted = &["administrator"];
const NOBODY: Granted = &[];
type Granted = &'static [&'static str];

/// Somebody with one of the roles.
struct Person {
    api: AwsApi,
    credentials: Credentials,
    /// The value of `aws:userid`.
    id: String,
}

/// A call, who may make it, and the error of the service in which it may end then.
type Row = (&'static str, Granted, Call, Option<&'static str>);

async fn iam(stack: &TestStack, fields: &[(&str, &str)]) {
    let fields = [&[("Version", "2010-05-08")], fields].concat();
    stack
        .client()
        .form("iam", &fields)
        .await
        .expect("an answer of IAM");
}

/// Makes a role with a policy, and takes it on.
async fn session(stack: &TestStack, role: &str, policy: &str, session: &str) -> Credentials {
    let account = &stack.about().account;
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
    }]});
    let name = format!("people-{role}");
    let create = [
        ("Action", "CreateRole"),
        ("RoleName", name.as_str()),
        ("AssumeRolePolicyDocument", &trust.to_string()),
    ];
    iam(stack, &create).await;
    let put = [
        ("Action", "PutRolePolicy"),
        ("RoleName", name.as_str()),
        ("PolicyName", role),
        ("PolicyDocument", policy),
    ];
    iam(stack, &put).await;
    let arn = format!("arn:aws:iam::{account}:role/{name}");
    stack
        .client()
        .assume_role(&arn, session)
        .await
        .expect("a session")
}

/// Makes a role with what `seedflow roles` prints, and takes it on as Ada.
async fn person(stack: &TestStack, role: &str, arguments: &[&str]) -> Person {
    let printed = seedflow(stack, &[&["roles"], arguments].concat()).await;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let policy = printed.json().to_string();
    let credentials = session(stack, role, &policy, "ada").await;
    let api = stack.client().with_credentials(credentials.clone());
    let asked = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
    let answer = api.form("sts", &asked).await.expect("an identity");
    let id = answer
        .split_once("<UserId>")
        .and_then(|(_, rest)| rest.split_once("</UserId>"));
    let (id, _) = id.expect("the id of a user");
    assert!(id.ends_with(":ada"), "{id}");
    Person {
        api,
        credentials,
        id: id.to_owned(),
    }
}

fn ask(service: &'static str, target: &str, input: Value) -> Call {
    Call::Json {
        service,
        target: target.to_owned(),
        input,
    }
}

/// The calls that are the same for all.
fn rows(stack: &TestStack) -> Vec<Row> {
    let about = stack.about();
    let bucket = &about.work_bucket;
    let machine = &about.deploy_state_machine_arn;
    let stack_name = machine
        .rsplit(':')
        .next()
        .and_then(|name| name.strip_suffix("-deploy"))
        .expect("a stack");
    let execution = format!("{}:never", machine.replacen(":stateMachine:", ":execution:", 1));
    let at = |key: &str| (bucket.clone(), key.to_owned());
    let states = |operation: &str, input| ask("states", &format!("AWSStepFunctions.{operation}"), input);
    let ssm = |operation: &str, input| ask("ssm", &format!("AmazonSSM.{operation}"), input);
    let unknown = Some("ExecutionDoesNotExist");
    let below = |prefix: &str| Call::ListBelow {
        bucket: bucket.clone(),
        prefix: prefix.to_owned(),
    };
    let logs =
        json!({"logGroupName": format!("/aws/codebuild/{}", about.project_name), "logStreamName": "never"});
    vec![
        (
            "list executions",
            EVERYBODY,
            states("ListExecutions", json!({"stateMachineArn": machine})),
            None,
        ),
        (
            "describe an execution",
            EVERYBODY,
            states("DescribeExecution", json!({"executionArn": execution})),
            unknown,
        ),
        (
            "read a history",
            EVERYBODY,
            states("GetExecutionHistory", json!({"executionArn": execution})),
            unknown,
        ),
        (
            "start an execution",
            OPERATORS,
            states(
                "StartExecution",
                json!({"stateMachineArn": machine, "input": "{}"}),
            ),
            None,
        ),
        (
            "stop an execution",
            OPERATORS,
            states("StopExecution", json!({"executionArn": execution})),
            unknown,
        ),
        (
            "start a plan",
            DEPLOYERS,
            states(
                "StartExecution",
                json!({"stateMachineArn": machine.replacen("-deploy", "-plan", 1), "input": "{}"}),
            ),
            None,
        ),
        (
            "check for drift",
            OPERATORS,
            states(
                "StartExecution",
                json!({"stateMachineArn": machine.replacen("-deploy", "-drift", 1), "input": "{}"}),
            ),
            None,
        ),
        (
            "stop a plan",
            DEPLOYERS,
            states(
                "StopExecution",
                json!({"executionArn": execution.replace(":never", ":plan-never")}),
            ),
            unknown,
        ),
        (
            "upload for a plan",
            DEPLOYERS,
            Call::write(at("uploads/_plans/people/x.json")),
            None,
        ),
        (
            "approve",
            &["approver"],
            Call::Invoke {
                function: format!("{stack_name}-approve"),
            },
            Some("InvalidInput"),
        ),
        (
            "answer a task token",
            NOBODY,
            states("SendTaskSuccess", json!({"taskToken": "t", "output": "{}"})),
            None,
        ),
        (
            "read state",
            EVERYBODY,
            ssm(
                "GetParametersByPath",
                json!({"Path": "/sf/shop", "Recursive": true}),
            ),
            None,
        ),
        (
            "read other parameters",
            NOBODY,
            ssm(
                "GetParametersByPath",
                json!({"Path": "/other", "Recursive": true}),
            ),
            None,
        ),
        (
            "write state",
            NOBODY,
            ssm(
                "PutParameter",
                json!({"Name": "/sf/shop/dev/status", "Value": "{}", "Type": "String"}),
            ),
            None,
        ),
        (
            "read a build's log",
            EVERYBODY,
            ask("logs", "Logs_20140328.GetLogEvents", logs),
            Some("ResourceNotFoundException"),
        ),
        (
            "read the log of a function",
            NOBODY,
            ask(
                "logs",
                "Logs_20140328.GetLogEvents",
                json!({"logGroupName": "/aws/lambda/seedflow-check-md5", "logStreamName": "never"}),
            ),
            None,
        ),
        ("list reports", EVERYBODY, below("reports/shop/"), None),
        ("list the indexes", EVERYBODY, below("index/"), None),
        ("list locks", ADMINISTRATOR, below("locks/"), None),
        ("list folders of builds", NOBODY, below("builds/"), None),
        (
            "read a report",
            EVERYBODY,
            Call::read(at("reports/people/x.json")),
            None,
        ),
        (
            "read a policy",
            EVERYBODY,
            Call::read(at("policies/people/x.json")),
            None,
        ),
        (
            "write a policy",
            ADMINISTRATOR,
            Call::write(at("policies/people/x.json")),
            None,
        ),
        (
            "read a lock",
            ADMINISTRATOR,
            Call::read(at("locks/people/x.json")),
            None,
        ),
        (
            "read a task token",
            NOBODY,
            Call::read(at("callbacks/people")),
            None,
        ),
        ("read a plan", NOBODY, Call::read(at("plans/people/x.json")), None),
        (
            "write a lock",
            NOBODY,
            Call::write(at("locks/people/x.json")),
            None,
        ),
        (
            "write a report",
            NOBODY,
            Call::write(at("reports/people/x.json")),
            None,
        ),
        (
            "upload for an input",
            OPERATORS,
            Call::write(at("uploads/people/x.json")),
            None,
        ),
        (
            "upload for everybody",
            NOBODY,
            Call::write(at("sources/shop/dev/core/module.json")),
            None,
        ),
    ]
}

/// The uploads below a folder `own/…` of this principal. No key ends like one that starts an execution.
fn uploads(bucket: &str, id: &str, own: bool) -> Vec<(String, Granted, Call)> {
    let upload = |path: &str, granted: Granted| {
        let key = format!("own/{id}/{path}");
        let granted = if own { granted } else { NOBODY };
        (key.clone(), granted, Call::write((bucket.to_owned(), key)))
    };
    vec![
        upload("modules/shop/dev/core/module", DEPLOYERS),
        upload("modules/shop/prod/core/module", OPERATORS),
        upload("modules/other/dev/core/module", OPERATORS),
        upload("repositories/shop/prod", OPERATORS),
        upload("uploads/x", OPERATORS),
    ]
}

fn wrong(
    role: &str,
    name: &str,
    granted: bool,
    answer: Option<&str>,
    outcome: &Result<(), ApiError>,
) -> Option<String> {
    let allowed = match outcome {
        Ok(()) => true,
        Err(error) if is_refusal(error) => false,
        Err(error) if answer == Some(error.code.as_str()) => true,
        Err(error) => return Some(format!("{role}, {name}: neither allowed nor refused: {error}")),
    };
    (allowed != granted).then(|| format!("{role}, {name}: {outcome:?}"))
}

/// Runs `seedflow` with somebody's credentials.
async fn seedflow_as(stack: &TestStack, person: &Person, arguments: &[&str]) -> Ran {
    let mut command = command(stack, arguments).await;
    let token = person.credentials.session_token.as_deref();
    let ran = command
        .env("AWS_ACCESS_KEY_ID", &person.credentials.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &person.credentials.secret_access_key)
        .env("AWS_SESSION_TOKEN", token.expect("a token"))
        .output()
        .await
        .expect("starting seedflow");
    Ran {
        code: ran.status.code(),
        out: String::from_utf8_lossy(&ran.stdout).into_owned(),
        err: String::from_utf8_lossy(&ran.stderr).into_owned(),
    }
}

/// The newest report of a deployment or of a module.
async fn report(stack: &TestStack, below: &str) -> Value {
    let keys = stack.keys(&format!("reports/{below}/")).await;
    let key = keys.iter().find(|key| key.ends_with(".json"));
    let key = key.unwrap_or_else(|| panic!("no report in {keys:?}"));
    serde_json::from_slice(&stack.object(key).await.expect("a report")).expect("JSON")
}

/// A deployer without the right to start anything deploys `dev` and not `prod`, and everything says who it was.
async fn deploys_dev_and_not_prod(stack: &TestStack, people: &BTreeMap<&str, Person>) {
    let deployer = &people["deployer"];
    let checkout = tempfile::tempdir().expect("a folder");
    let folder = checkout.path().to_str().expect("a path");
    Repository::deploying(&[("core", &[("module", &[])])]).write(checkout.path());
    let apply = ["apply", folder, "--project", "shop"];
    let refused = seedflow_as(stack, deployer, &apply).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("s3:PutObject"), "{refused:?}");

    let applied = seedflow_as(stack, deployer, &[&apply[..], &["--upload"]].concat()).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    let by = json!({"principal": deployer.id, "proof": "principal"});
    let shown = format!("ada ({})", deployer.id);
    for below in ["shop/dev", "shop/dev/core/module"] {
        assert_eq!(report(stack, below).await["status"]["started_by"], by, "{below}");
        let page = eventually("the page", || async {
            let pages = stack.keys(&format!("reports/{below}/")).await;
            let page = pages.into_iter().find(|key| key.ends_with(".html"))?;
            stack.object(&page).await
        })
        .await;
        assert!(String::from_utf8_lossy(&page).contains(&shown), "{below}");
    }

    // A viewer reads it all; who starts it by an input is only claimed.
    let viewer = &people["viewer"];
    let status = seedflow_as(stack, viewer, &["status", "--project", "shop", "--json"]).await;
    assert_eq!(status.json()["modules"][0]["started_by"], by, "{status:?}");
    let again = seedflow_as(
        stack,
        &people["operator"],
        &[&apply[..], &["--force=all"]].concat(),
    )
    .await;
    assert_eq!(again.code, Some(0), "{again:?}");
    let history = seedflow_as(stack, viewer, &["history", "dev", "--project", "shop", "--json"]).await;
    let runs = history.json()["executions"].clone();
    let claim = json!({"principal": format!("arn:aws:sts::{}:assumed-role/people-operator/ada", stack.about().account), "proof": "claim"});
    assert!(
        runs.as_array()
            .is_some_and(|runs| runs.iter().any(|run| run["started_by"] == claim)),
        "{runs}"
    );
    for (verb, more) in [
        ("report", &["dev/core/module"][..]),
        ("outputs", &["dev/core/module"]),
        ("logs", &["dev/core/module"]),
        ("diff", &["dev/core/module"]),
    ] {
        let ran = seedflow_as(stack, viewer, &[&[verb], more, &["--project", "shop"]].concat()).await;
        assert_eq!(ran.code, Some(0), "{verb}: {ran:?}");
    }

    // The manifest of another deployment, at the key of the own one.
    let prod = Repository::deploying(&[("core", &[("module", &[])])]).replacing(
        "deployment.yaml",
        r#""name":"dev""#,
        r#""name":"prod""#,
    );
    let key = format!("own/{}/repositories/shop/dev.zip", deployer.id);
    let machine = &stack.about().deploy_state_machine_arn;
    let before = stack.executions_of(machine).await;
    let stored = deployer
        .api
        .put_object(&stack.about().work_bucket, &key, prod.zip());
    stored.await.expect("an upload");
    let started = eventually("the execution", || async {
        let now = stack.executions_of(machine).await;
        now.into_iter().find(|execution| !before.contains(execution))
    })
    .await;
    let finished = stack.finished(&started).await;
    assert_eq!(finished.error, "InvalidInput", "{}", finished.cause);
    assert!(
        finished.cause.contains("the deployment dev, which the key names"),
        "{}",
        finished.cause
    );
    assert!(stack.keys("reports/shop/prod/").await.is_empty());
}

#[test]
fn each_role_of_people_may_do_what_it_is_for_and_nothing_else() {
    run(async {
        let _in_use = IN_USE.read().await;
        let stack = STACK.get().await;
        for key in ["reports", "policies", "locks"] {
            stack.put(&format!("{key}/people/x.json"), b"{}".to_vec()).await;
        }
        for key in ["callbacks/people", "plans/people/x.json"] {
            stack.put(key, b"{}".to_vec()).await;
        }
        let mut people = BTreeMap::new();
        for (role, arguments) in ROLES {
            people.insert(role, person(stack, role, arguments).await);
        }
        let arn = format!("arn:aws:iam::{}:role/people-administrator", stack.about().account);
        assert_eq!(arn, PEOPLE_ADMINISTRATOR);

        let mut found = Vec::new();
        for (name, granted, call, answer) in &rows(stack) {
            for (role, person) in &people {
                let outcome = call.attempt(&person.api).await;
                found.extend(wrong(role, name, granted.contains(role), *answer, &outcome));
            }
        }
        let bucket = &stack.about().work_bucket;
        for (role, person) in &people {
            // Somebody else's folder has the same role's id, and another session's name.
            let other = person.id.replace(":ada", ":adam");
            for (id, own) in [(&person.id, true), (&other, false), (&"*".to_owned(), false)] {
                for (name, granted, call) in uploads(bucket, id, own) {
                    let outcome = call.attempt(&person.api).await;
                    found.extend(wrong(role, &name, granted.contains(role), None, &outcome));
                }
            }
        }
        assert!(found.is_empty(), "{}", found.join("\n"));

        // The bucket's policy refuses what IAM would allow: everything, here.
        let trusted = person_with_all_rights(stack).await;
        for (name, _, call) in uploads(bucket, &people["deployer"].id, true) {
            let outcome = call.attempt(&trusted).await;
            assert!(outcome.is_err_and(|error| is_refusal(&error)), "{name}");
        }
        deploys_dev_and_not_prod(stack, &people).await;
    });
}

/// Somebody with all rights.
async fn person_with_all_rights(stack: &TestStack) -> AwsApi {
    let all =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    let credentials = session(stack, "trusted", &all.to_string(), "eve").await;
    stack.client().with_credentials(credentials)
}
