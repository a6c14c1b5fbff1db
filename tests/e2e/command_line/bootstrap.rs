//! `bootstrap target`, in an account that no other test uses.

use seedflow_core::target::Target;
use seedflow_e2e::command_line::{Ran, command};
use seedflow_e2e::{TestStack, run};
use seedflow_local::aws_api::{AwsApi, Credentials};
use serde_json::{Value, json};

use crate::deployment::STACK;

const ACCOUNT: &str = "555555555555";
const REGION: &str = "eu-west-3";

/// Runs the command with the credentials of a client.
async fn bootstrap(stack: &TestStack, api: &AwsApi, more: &[&str]) -> Ran {
    let about = stack.about();
    let home = format!("{}/{}", about.account, about.region);
    let begin = ["bootstrap", "target", "--home", &home];
    let mut command = command(stack, &[&begin, more].concat()).await;
    let Credentials {
        access_key_id,
        secret_access_key,
        session_token,
        region,
    } = api.credentials();
    command
        .env("AWS_ACCESS_KEY_ID", access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", secret_access_key)
        .env("AWS_REGION", region)
        .env_remove("AWS_DEFAULT_REGION");
    if let Some(token) = session_token {
        command.env("AWS_SESSION_TOKEN", token);
    }
    let ran = command.output().await.expect("starting seedflow");
    Ran {
        code: ran.status.code(),
        out: String::from_utf8_lossy(&ran.stdout).into_owned(),
        err: String::from_utf8_lossy(&ran.stderr).into_owned(),
    }
}

fn said(ran: &Ran, code: i32, parts: &[&str]) {
    let all = format!("{}{}", ran.out, ran.err);
    assert_eq!(ran.code, Some(code), "{all}");
    for part in parts {
        assert!(all.contains(part), "{part} is missing in\n{all}");
    }
}

/// What a target says of itself to Seedflow.
async fn settings(api: &AwsApi) -> Value {
    let names = json!({"Names": ["/seedflow-targets/seedflow"]});
    let found = api.json("ssm", "AmazonSSM.GetParameters", &names).await;
    let found = found.expect("the parameter of a target");
    let text = found["Parameters"][0]["Value"].as_str().unwrap_or("null");
    serde_json::from_str(text).expect("settings in JSON")
}

/// A session of a role that may nothing.
async fn without_rights(api: &AwsApi) -> AwsApi {
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:root")}, "Action": "sts:AssumeRole",
    }]});
    let role = [
        ("Action", "CreateRole"),
        ("Version", "2010-05-08"),
        ("RoleName", "powerless"),
        ("AssumeRolePolicyDocument", &trust.to_string()),
    ];
    api.form("iam", &role).await.expect("a role");
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/powerless");
    let keys = api.assume_role(&arn, "bootstrap").await.expect("a session");
    api.with_credentials(Credentials {
        region: REGION.to_owned(),
        ..keys
    })
}

#[test]
fn a_target_is_made_repeated_and_updated_with_the_right_credentials_only() {
    run(async {
        let stack = STACK.get().await;
        let place = format!("{ACCOUNT}/{REGION}");
        let at: Target = place.parse().expect("a target");
        let api = stack.api_in(&at);

        let help = bootstrap(stack, &api, &["--help"]).await;
        let example = "seedflow bootstrap target --home 111111111111/us-east-1 --account 222222222222 --region eu-west-1";
        said(&help, 0, &["--account", "--parameter", "Example:", example]);

        // Nothing is deployed with credentials of home, of another account, or without rights.
        let home = bootstrap(stack, stack.client(), &[]).await;
        said(&home, 4, &["expected a target that differs from --home"]);
        let other = bootstrap(stack, &api, &["--account", "666666666666"]).await;
        let expected = format!("expected credentials of 666666666666, found those of {ACCOUNT}");
        said(&other, 4, &[&expected]);
        let refused = bootstrap(stack, &without_rights(&api).await, &[]).await;
        said(&refused, 1, &["CloudFormation", "not authorized to perform"]);
        assert_eq!(settings(&api).await, Value::Null);

        let named = ["--account", ACCOUNT];
        let subnets = ["--parameter", "BuildSubnetIds=subnet-9"];
        let made = bootstrap(stack, &api, &[&named[..], &subnets].concat()).await;
        let ready = format!(
            "The stack seedflow-target is ready. Seedflow deploys in {place} once its template parameter TargetAccounts names {ACCOUNT}."
        );
        said(&made, 0, &[&ready]);
        assert_eq!(settings(&api).await["subnets"], "subnet-9");

        let again = bootstrap(stack, &api, &named).await;
        said(&again, 0, &[&format!("in {place} is up to date")]);

        // What is not given stays.
        let groups = ["--parameter", "BuildSecurityGroupIds=sg-9"];
        let updated = bootstrap(stack, &api, &groups).await;
        said(&updated, 0, &[&ready]);
        let settings = settings(&api).await;
        assert_eq!(
            (&settings["subnets"], &settings["security_groups"]),
            (&json!("subnet-9"), &json!("sg-9"))
        );
    });
}
