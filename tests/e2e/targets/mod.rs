//! Targets on the local stack: the real `template-target.yaml` in other accounts, and what passes between them and home.
//!
//! Builds are started by hand here, so these tests are about the accounts and not about the functions at home.

mod privileges;

use std::time::Duration;

use seedflow_core::target::Target;
use seedflow_e2e::{EventQueue, TestStack, eventually, run};
use seedflow_local::aws_api::{ApiError, AwsApi, Credentials};
use seedflow_local::client::deployment;
use seedflow_local::stack::EVENT_SOURCE;
use serde_json::{Value, json};

use super::deployment::{STACK, TARGETS};

/// The target of most tests: another account and another region.
const TARGET: &str = TARGETS[0];
/// Another target, in home's region.
const OTHER: &str = TARGETS[1];
/// An account that home doesn't list.
const UNLISTED: &str = "444444444444/us-east-1";

const SCRIPT: &str = concat!(include_str!("../attempt.sh"), include_str!("hostile.sh"));

/// The script starts the `aws` command about thirty times.
const PATIENCE: Duration = Duration::from_secs(600);

/// The build of events that no build has sent.
const BY_HAND: &str = "sent-by-hand";

const SECRET: &str = "nobody may read this";

fn at(text: &str) -> Target {
    text.parse().expect("an account and a region")
}

async fn call(api: &AwsApi, service: &str, target: &str, input: Value) -> Value {
    let answer = api.json(service, target, &input).await;
    answer.unwrap_or_else(|error| panic!("{target}: {error}"))
}

async fn codebuild(api: &AwsApi, operation: &str, input: Value) -> Value {
    call(
        api,
        "codebuild",
        &format!("CodeBuild_20161006.{operation}"),
        input,
    )
    .await
}

/// Starts a build of a target's project by hand, and returns it as it was in the end.
async fn build(api: &AwsApi, commands: &[&str], variables: &[(&str, &str)]) -> Value {
    let spec = json!({"version": 0.2, "env": {"shell": "bash"}, "phases": {"build": {"commands": commands}}});
    let variables: Vec<Value> = variables
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value, "type": "PLAINTEXT"}))
        .collect();
    let input = json!({
        "projectName": "seedflow",
        "buildspecOverride": spec.to_string(),
        "environmentVariablesOverride": variables,
    });
    let started = codebuild(api, "StartBuild", input).await;
    let id = started["build"]["id"].as_str().expect("an id").to_owned();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let found = eventually("a build", || async {
            let found = codebuild(api, "BatchGetBuilds", json!({"ids": [id]})).await;
            Some(found["builds"][0].clone())
        })
        .await;
        if found["buildComplete"] == true {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "{found:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The session of a function's role at home.
async fn as_function(stack: &TestStack, role: &str) -> AwsApi {
    let name = &stack.resources("AWS::IAM::Role").await[role];
    let arn = format!("arn:aws:iam::{}:role/{name}", stack.about().account);
    let keys = stack.client().assume_role(&arn, "targets").await.expect(role);
    stack.client().with_credentials(keys)
}

fn role_of(target: &str, role: &str) -> String {
    let target = at(target);
    let (account, region) = (target.account(), target.region());
    format!("arn:aws:iam::{account}:role/seedflow-target-{region}-{role}")
}

fn external_id(stack: &TestStack) -> String {
    let about = stack.about();
    format!("seedflow:{}:{}:seedflow", about.account, about.region)
}

fn refused(outcome: Result<Credentials, ApiError>) -> bool {
    outcome.is_err_and(|error| error.code == "AccessDenied")
}

/// A secret and a parameter of the same names in an account.
async fn plant(api: &AwsApi) {
    let parameter = json!({"Name": "/targets/secret", "Value": SECRET, "Type": "String"});
    call(api, "ssm", "AmazonSSM.PutParameter", parameter).await;
    let secret = json!({"Name": "targets-secret", "SecretString": SECRET});
    call(api, "secretsmanager", "secretsmanager.CreateSecret", secret).await;
}

#[test]
fn a_hostile_build_in_a_target_gets_nothing_of_home_or_of_another_target() {
    run(async {
        let stack = STACK.get().await;
        let (target, other) = (stack.api_in(&at(TARGET)), stack.api_in(&at(OTHER)));
        plant(stack.client()).await;
        plant(&other).await;
        let about = stack.about();
        let bucket = |place: &str| format!("seedflow-target-{}", place.replace('/', "-"));
        for (api, bucket) in [
            (stack.client(), about.work_bucket.clone()),
            (&other, bucket(OTHER)),
            (&target, bucket(TARGET)),
        ] {
            let put = api.put_object(&bucket, "builds/targets/source.zip", SECRET.into());
            put.await.unwrap_or_else(|error| panic!("{bucket}: {error}"));
        }
        let home_role = &stack.resources("AWS::IAM::Role").await["BuildRole"];
        let home_role = format!("arn:aws:iam::{}:role/{home_role}", about.account);
        let bus = format!(
            "arn:aws:events:{}:{}:event-bus/default",
            about.region, about.account
        );
        let at_other = at(OTHER);
        let variables = [
            ("HOME_ACCOUNT", about.account.as_str()),
            ("OTHER_ACCOUNT", at_other.account()),
            ("WORK", &about.work_bucket),
            ("BUCKET", &bucket(TARGET)),
            ("OTHER_BUCKET", &bucket(OTHER)),
            ("HOME_ROLE", &home_role),
            ("OTHER_ROLE", &role_of(OTHER, "builds")),
            ("OWN_ROLE", &role_of(TARGET, "roles")),
            ("EVENTS_ROLE", &role_of(TARGET, "events")),
            ("EXTERNAL_ID", &external_id(stack)),
            ("MACHINE", &about.state_machine_arn),
            ("EVENT_SOURCE", EVENT_SOURCE),
            ("BUS", &bus),
        ];
        // Another build there has printed something.
        let talking = build(&target, &["echo \"$SAYS\""], &[("SAYS", SECRET)]).await;
        let said = deployment::log_lines(&target, &talking, 1000).await.unwrap();
        assert!(said.iter().any(|line| line == SECRET), "{said:#?}");
        let of_its_log = |field: &str| talking["logs"][field].as_str().unwrap().to_owned();
        let (log_group, other_stream) = (of_its_log("groupName"), of_its_log("streamName"));
        let variables: Vec<(&str, &str)> = variables
            .into_iter()
            .chain([("LOG_GROUP", &*log_group), ("OTHER_STREAM", &*other_stream)])
            .collect();
        let write = format!("cat > hostile.sh <<'END_OF_SCRIPT'\n{SCRIPT}END_OF_SCRIPT\n");
        let run = format!("TOOLS='{}' && . ./hostile.sh", stack.bin().display());
        let ended = build(&target, &[&write, &run], &variables).await;
        let log = deployment::log_lines(&target, &ended, 1000).await.unwrap();
        assert_eq!(ended["buildStatus"], "SUCCEEDED", "{log:#?}");

        // It ran there, with the role of there, and has rights there.
        let id = ended["id"].as_str().unwrap();
        let session = format!("arn:aws:sts::{}:assumed-role/", at(TARGET).account());
        let is_session =
            |line: &&String| line.starts_with(&session) && line.contains("seedflow-target-eu-west-1-build/");
        assert!(log.iter().any(|line| is_session(&line)), "{log:#?}");
        for said in ["region eu-west-1", id] {
            assert!(log.iter().any(|line| line == said), "{said}: {log:#?}");
        }

        // All else was refused.
        let results = ["refused", "GOT", "UNCLEAR"].map(|result| format!("attempt {result}: "));
        let attempts: Vec<&String> = log
            .iter()
            .filter(|line| results.iter().any(|result| line.starts_with(result)))
            .collect();
        let made = SCRIPT
            .lines()
            .filter(|line| line.trim_start().starts_with("attempt \""));
        // Two loops: two attempts for each of two accounts, one for each of three roles.
        assert_eq!(attempts.len(), made.count() + 2 + 2, "{log:#?}");
        let got: Vec<_> = attempts
            .iter()
            .filter(|line| !line.starts_with("attempt refused: "))
            .collect();
        assert!(got.is_empty(), "{got:#?}\n{log:#?}");
        assert!(!log.iter().any(|line| line.contains(SECRET)), "{log:#?}");

        // Home and the other target know nothing of it.
        for api in [stack.client(), &other] {
            let found = codebuild(api, "BatchGetBuilds", json!({"ids": [id]})).await;
            assert_eq!(found["buildsNotFound"], json!([id]));
            let listed = codebuild(api, "ListBuildsForProject", json!({"projectName": "seedflow"})).await;
            assert!(
                !listed["ids"].as_array().unwrap().contains(&json!(id)),
                "{listed}"
            );
        }
    });
}

#[test]
fn the_end_of_a_build_in_a_target_reaches_home_and_nothing_else_does() {
    run(async {
        let stack = STACK.get().await;
        let about = stack.about();
        let foreign = json!({"source": [{"exists": true}], "account": [{"anything-but": about.account}]});
        let mut queue = EventQueue::of_pattern(stack, "of-other-accounts", &foreign).await;

        // An account that home doesn't list forwards in the same way, and so does a target that forwards too much.
        let (unlisted, other) = (stack.api_in(&at(UNLISTED)), stack.api_in(&at(OTHER)));
        for (api, place) in [(&unlisted, UNLISTED), (&other, OTHER)] {
            forward_all(stack, api, &at(place)).await;
        }
        send(&unlisted, EVENT_SOURCE, "CodeBuild Build State Change").await;
        send(&other, EVENT_SOURCE, "CodeBuild Build Phase Change").await;
        send(&other, "seedflow", "CodeBuild Build State Change").await;
        let by_hand = |event: &&Value| event["detail"]["build-id"] == BY_HAND;
        assert_eq!(queue.so_far().await.iter().find(by_hand), None);

        // The account, the region and the build are those of the target; its end is sent, and nothing else of it.
        let target = stack.api_in(&at(TARGET));
        let ended = build(&target, &["exit 1"], &[]).await;
        let arn = ended["arn"].as_str().unwrap();
        assert!(
            arn.starts_with("arn:aws:codebuild:eu-west-1:222222222222:build/seedflow:"),
            "{arn}"
        );
        let of_build = |event: &Value| event["detail"]["build-id"] == arn;
        let events = queue.count_of("the end of a build", 1, of_build).await;
        let target = at(TARGET);
        let (account, region) = (target.account(), target.region());
        let expected = json!([account, region, EVENT_SOURCE, "FAILED", [arn]]);
        let found: Vec<Value> = events
            .iter()
            .map(|event| {
                let status = &event["detail"]["build-status"];
                json!([
                    event["account"],
                    event["region"],
                    event["source"],
                    status,
                    event["resources"]
                ])
            })
            .collect();
        assert_eq!(found, [expected]);

        // It is the policy of the bus that keeps the other account's away.
        let permission = json!({
            "StatementId": "unlisted", "Principal": at(UNLISTED).account(), "Action": "events:PutEvents",
        });
        stack.call("events", "AWSEvents.PutPermission", permission).await;
        send(&unlisted, EVENT_SOURCE, "CodeBuild Build State Change").await;
        stack
            .call(
                "events",
                "AWSEvents.RemovePermission",
                json!({"StatementId": "unlisted"}),
            )
            .await;
        let of_unlisted = |event: &Value| event["account"] == at(UNLISTED).account();
        let events = queue
            .count_of("an event of a listed account", 1, of_unlisted)
            .await;
        assert_eq!(events.len(), 1, "{events:#?}");
    });
}

/// A rule that sends the CodeBuild emulator's and Seedflow's events of an account to home, with a role that may.
async fn forward_all(stack: &TestStack, api: &AwsApi, place: &Target) {
    let about = stack.about();
    let bus = format!(
        "arn:aws:events:{}:{}:event-bus/default",
        about.region, about.account
    );
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole",
    }]});
    let rights = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "events:PutEvents", "Resource": bus,
    }]});
    let version = ("Version", "2010-05-08");
    let (trust, rights) = (trust.to_string(), rights.to_string());
    let role = [
        ("Action", "CreateRole"),
        version,
        ("RoleName", "forward-all"),
        ("AssumeRolePolicyDocument", &trust),
    ];
    api.form("iam", &role).await.expect("a role");
    let policy = [
        ("Action", "PutRolePolicy"),
        version,
        ("RoleName", "forward-all"),
        ("PolicyName", "forward"),
        ("PolicyDocument", &rights),
    ];
    api.form("iam", &policy).await.expect("a policy");
    let pattern = json!({"source": [EVENT_SOURCE, "seedflow"]}).to_string();
    let rule = json!({"Name": "forward-all", "EventPattern": pattern});
    call(api, "events", "AWSEvents.PutRule", rule).await;
    let role = format!("arn:aws:iam::{}:role/forward-all", place.account());
    let target = json!({"Rule": "forward-all", "Targets": [{"Id": "home", "Arn": bus, "RoleArn": role}]});
    call(api, "events", "AWSEvents.PutTargets", target).await;
}

async fn send(api: &AwsApi, source: &str, detail_type: &str) {
    let detail = json!({"build-status": "SUCCEEDED", "project-name": "seedflow", "build-id": BY_HAND});
    let entry = json!({"Source": source, "DetailType": detail_type, "Detail": detail.to_string()});
    let answer = call(api, "events", "AWSEvents.PutEvents", json!({"Entries": [entry]})).await;
    assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
}

#[test]
fn the_roles_of_a_target_are_for_certain_functions_of_home_with_the_external_id() {
    run(async {
        let stack = STACK.get().await;
        let external_id = external_id(stack);
        let start_build = as_function(stack, "StartBuildRole").await;
        let plan = as_function(stack, "PlanDeploymentRole").await;
        let (builds, reads) = (role_of(TARGET, "builds"), role_of(TARGET, "reads"));

        let keys = start_build
            .assume_role_as(&builds, "start-build", &external_id)
            .await;
        let there = stack.api_in(&at(TARGET)).with_credentials(Credentials {
            region: at(TARGET).region().to_owned(),
            ..keys.expect("the role of builds")
        });
        let found = codebuild(&there, "ListBuildsForProject", json!({"projectName": "seedflow"})).await;
        assert!(found["ids"].is_array(), "{found}");
        // In the target's other regions it may nothing.
        let elsewhere = stack.client().with_credentials(Credentials {
            region: "us-east-1".to_owned(),
            ..there.credentials().clone()
        });
        let asked = json!({"projectName": "seedflow"});
        let asked = elsewhere.json("codebuild", "CodeBuild_20161006.ListBuildsForProject", &asked);
        assert_eq!(asked.await.unwrap_err().code, "AccessDeniedException");

        assert!(plan.assume_role_as(&reads, "plan", &external_id).await.is_ok());
        for (who, role, id) in [
            (&start_build, &builds, "seedflow:another"),
            (&start_build, &reads, external_id.as_str()),
            (&plan, &builds, &external_id),
            // Root of home is none of the functions, and an account that isn't home is nobody.
            (stack.client(), &builds, &external_id),
            (&stack.api_in(&at(UNLISTED)), &builds, &external_id),
        ] {
            let outcome = who.assume_role_as(role, "targets", id).await;
            assert!(refused(outcome), "{:?} as {role}", who.credentials());
        }
    });
}
