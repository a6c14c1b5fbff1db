//! The rest of an account, and what would give a role more rights.

use serde_json::json;

use super::super::table::*;

/// The rest of Seedflow's resources in an account, and the calls that would give a role more rights.
pub fn account(fixtures: &Fixtures) -> Vec<Row> {
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
