//! The denies of the build role. On this stack a managed policy allows builds everything, as AdministratorAccess would,
//! so every refusal comes from the denies. `hostile_build.rs` tries the same with a build's commands.

use std::collections::BTreeSet;

use seedflow_contract::Template;
use seedflow_e2e::{Module, TestStack, eventually, run};
use seedflow_local::aws_api::{ApiError, AwsApi};
use serde_json::{Value, json};

use super::STACK;

/// The folders of the work bucket to which builds have no right.
const OURS: [&str; 8] = [
    "callbacks",
    "deployed",
    "locks",
    "plans",
    "reports",
    "sources",
    "uploads",
    "values",
];

/// A call that a build tries, and the statements that refuse it; every statement must apply at least once.
struct Attempts {
    api: AwsApi,
    met: BTreeSet<&'static str>,
}

impl Attempts {
    async fn as_a_build(stack: &TestStack) -> Self {
        let arn = stack.output("BuildRoleArn").expect("the build role");
        let keys = stack.client().assume_role(arn, "build").await.unwrap();
        Self {
            api: stack.client().with_credentials(keys),
            met: BTreeSet::new(),
        }
    }

    fn denied<T>(&mut self, statement: &'static str, what: &str, outcome: Result<T, ApiError>) {
        let error = outcome.err().unwrap_or_else(|| panic!("{what} is allowed"));
        assert!(error.message.contains("with an explicit deny"), "{what}: {error}");
        self.met.insert(statement);
    }

    /// An operation of the JSON protocol is refused.
    async fn json(&mut self, statement: &'static str, service: &str, target: &str, input: Value) {
        let outcome = self.api.json(service, target, &input).await;
        self.denied(statement, &format!("{target} {input}"), outcome);
    }

    /// An operation of the Query protocol is refused.
    async fn form(&mut self, statement: &'static str, service: &str, fields: &[(&str, &str)]) {
        let outcome = self.api.form(service, fields).await;
        self.denied(statement, &format!("{fields:?}"), outcome);
    }

    async fn objects(&mut self, stack: &TestStack) {
        let (work, bundles) = (&stack.about().work_bucket, &stack.about().bundle_bucket);
        let api = self.api.clone();
        let folders = OURS.map(|folder| (work, format!("{folder}/build-role/dev/core/module")));
        let bundle = (bundles, "dev/core/module/bundle.zip".to_owned());
        for (bucket, key) in folders.into_iter().chain([bundle]) {
            let statement = "KeepFromOurObjects";
            self.denied(
                statement,
                &format!("reading {key}"),
                api.read_object(bucket, &key).await,
            );
            let put = api.put_object(bucket, &key, b"{}".to_vec()).await;
            self.denied(statement, &format!("writing {key}"), put);
            self.denied(
                statement,
                &format!("deleting {key}"),
                api.delete_object(bucket, &key).await,
            );
        }
        for bucket in [work, bundles] {
            for prefix in ["", "builds/"] {
                let listed = api.list_objects(bucket, prefix).await;
                self.denied("KeepFromOurBuckets", &format!("listing {bucket}"), listed);
            }
        }
        let deleted = api.delete_object(work, "builds/another/metadata.json").await;
        self.denied("KeepFromOurBuckets", "deleting what a build handed back", deleted);
    }

    async fn parameters(&mut self, own: &str, state: &str) {
        let statement = "KeepFromState";
        let put = json!({"Name": state, "Value": "{}", "Type": "String", "Overwrite": true});
        for (operation, input) in [
            ("PutParameter", put),
            ("GetParameter", json!({"Name": state})),
            ("GetParameters", json!({"Names": [own, state]})),
            ("GetParameterHistory", json!({"Name": state})),
            ("DeleteParameter", json!({"Name": state})),
            ("DeleteParameters", json!({"Names": [own, state]})),
        ] {
            self.json(statement, "ssm", &format!("AmazonSSM.{operation}"), input)
                .await;
        }
        for path in ["/", "/sf", "/sf/", "/sf/build-role", "/sf/build-role/dev"] {
            let input = json!({"Path": path, "Recursive": true});
            self.json(statement, "ssm", "AmazonSSM.GetParametersByPath", input)
                .await;
        }
    }

    async fn workflow(&mut self, machine: &str, execution: &str, token: &str) {
        let cleaning = machine.replace("deploy-module", "end-execution");
        let on = |arn: &str| json!({"executionArn": arn});
        for (operation, input) in [
            ("StartExecution", json!({"stateMachineArn": machine})),
            ("StartExecution", json!({"stateMachineArn": cleaning})),
            ("ListExecutions", json!({"stateMachineArn": machine})),
            (
                "UpdateStateMachine",
                json!({"stateMachineArn": machine, "definition": "{}"}),
            ),
            ("DescribeExecution", on(execution)),
            ("GetExecutionHistory", on(execution)),
            ("StopExecution", on(execution)),
        ] {
            let target = format!("AWSStepFunctions.{operation}");
            self.json("KeepFromTheWorkflow", "states", &target, input).await;
        }
        for (operation, input) in [
            ("SendTaskSuccess", json!({"taskToken": token, "output": "{}"})),
            ("SendTaskFailure", json!({"taskToken": token, "error": "E"})),
            ("SendTaskHeartbeat", json!({"taskToken": token})),
            ("SendTaskSuccess", json!({"taskToken": "made up", "output": "{}"})),
        ] {
            let target = format!("AWSStepFunctions.{operation}");
            self.json("KeepFromAnswering", "states", &target, input).await;
        }
    }

    async fn functions(&mut self, stack: &TestStack) {
        for function in stack.resources("AWS::Lambda::Function").await.values() {
            let invoked = self.api.invoke(function, &json!({})).await;
            self.denied("KeepFromOurFunctions", &format!("invoking {function}"), invoked);
        }
    }

    async fn builds(&mut self, project: &str, build: &str) {
        for (operation, input) in [
            ("StopBuild", json!({"id": build})),
            ("BatchGetBuilds", json!({"ids": [build]})),
            ("StartBuild", json!({"projectName": project})),
            ("ListBuildsForProject", json!({"projectName": project})),
            ("UpdateProject", json!({"name": project})),
        ] {
            let target = format!("CodeBuild_20161006.{operation}");
            self.json("KeepFromOtherBuilds", "codebuild", &target, input)
                .await;
        }
        // Ids of builds, by which their logs are found.
        self.json(
            "KeepFromWhatHasNoResource",
            "codebuild",
            "CodeBuild_20161006.ListBuilds",
            json!({}),
        )
        .await;
    }

    async fn logs(&mut self, project: &str, build: &str) {
        let (group, ours) = (
            format!("/aws/codebuild/{project}"),
            "/aws/lambda/seedflow-update-metadata",
        );
        let uuid = build.split(':').next_back().unwrap_or_default();
        // A log line there in CloudWatch's format of metrics would count as one of ours.
        let line = json!({"timestamp": 0, "message": "{}"});
        let query =
            json!({"logGroupName": group, "startTime": 0, "endTime": 1, "queryString": "fields @message"});
        for (statement, operation, input) in [
            (
                "KeepFromLogsOfOtherBuilds",
                "FilterLogEvents",
                json!({"logGroupName": group}),
            ),
            (
                "KeepFromLogsOfOtherBuilds",
                "GetLogEvents",
                json!({"logGroupName": group, "logStreamName": uuid}),
            ),
            (
                "KeepFromLogsOfOtherBuilds",
                "DescribeLogStreams",
                json!({"logGroupName": group}),
            ),
            ("KeepFromLogsOfOtherBuilds", "StartQuery", query),
            (
                "KeepFromOurLogs",
                "FilterLogEvents",
                json!({"logGroupName": ours}),
            ),
            (
                "KeepFromOurLogs",
                "PutLogEvents",
                json!({"logGroupName": ours, "logStreamName": "hostile", "logEvents": [line]}),
            ),
            (
                "KeepFromWhatHasNoResource",
                "GetQueryResults",
                json!({"queryId": "x"}),
            ),
            (
                "KeepFromWhatHasNoResource",
                "PutAccountPolicy",
                json!({"policyName": "x", "policyType": "DATA_PROTECTION_POLICY", "policyDocument": "{}"}),
            ),
        ] {
            let target = format!("Logs_20140328.{operation}");
            self.json(statement, "logs", &target, input).await;
        }
    }

    /// The ways to bring events to the workflow: a changed pattern or target, a replay, another account's events.
    async fn events(&mut self, stack: &TestStack) {
        let about = stack.about();
        let bus = format!(
            "arn:aws:events:{}:{}:event-bus/default",
            about.region, about.account
        );
        for rule in stack.resources("AWS::Events::Rule").await.values() {
            let pattern = json!({"source": ["hostile"]}).to_string();
            for (operation, input) in [
                ("PutRule", json!({"Name": rule, "EventPattern": pattern})),
                ("DisableRule", json!({"Name": rule})),
                ("DeleteRule", json!({"Name": rule})),
                ("PutTargets", json!({"Rule": rule, "Targets": []})),
                ("RemoveTargets", json!({"Rule": rule, "Ids": ["1"]})),
            ] {
                let target = format!("AWSEvents.{operation}");
                self.json("KeepFromOurRules", "events", &target, input).await;
            }
        }
        let archive = bus.replace("event-bus/default", "archive/hostile");
        let replay = json!({
            "ReplayName": "hostile", "EventSourceArn": archive, "Destination": {"Arn": bus},
            "EventStartTime": 0, "EventEndTime": 1,
        });
        for (statement, operation, input) in [
            (
                "KeepFromOurBus",
                "CreateArchive",
                json!({"ArchiveName": "hostile", "EventSourceArn": bus}),
            ),
            ("KeepFromOurBus", "StartReplay", replay),
            (
                "KeepFromWhatHasNoResource",
                "PutPermission",
                json!({"StatementId": "hostile", "Principal": "*", "Action": "events:PutEvents"}),
            ),
        ] {
            let target = format!("AWSEvents.{operation}");
            self.json(statement, "events", &target, input).await;
        }
        // By itself, and behind an event of another source.
        let event = |source: &str| json!({"Source": source, "DetailType": "Seedflow Module State Change", "Detail": "{}"});
        for entries in [vec![event("seedflow")], vec![event("someone"), event("seedflow")]] {
            let put = json!({"Entries": entries});
            self.json(
                "KeepFromPublishingInOurName",
                "events",
                "AWSEvents.PutEvents",
                put,
            )
            .await;
        }
    }

    /// The ways to notify people.
    async fn notifications(&mut self, stack: &TestStack) {
        let chat = stack.output("ChatTopicArn").unwrap();
        let to_chat = [
            ("Action", "Publish"),
            ("Version", "2010-03-31"),
            ("TopicArn", chat),
            ("Message", "x"),
        ];
        self.form("KeepFromOurChatTopic", "sns", &to_chat).await;
        let topic = stack.output("NotificationTopicArn").unwrap();
        let of_sns = |action| [("Action", action), ("Version", "2010-03-31"), ("TopicArn", topic)];
        for (action, more) in [
            ("Publish", vec![("Message", "All is well")]),
            (
                "Subscribe",
                vec![("Protocol", "email"), ("Endpoint", "hostile@example.com")],
            ),
            (
                "SetTopicAttributes",
                vec![("AttributeName", "DisplayName"), ("AttributeValue", "x")],
            ),
            ("DeleteTopic", vec![]),
        ] {
            let fields = [of_sns(action).to_vec(), more].concat();
            self.form("KeepFromOurTopic", "sns", &fields).await;
        }
        let key = &stack.resources("AWS::KMS::Key").await["NotificationKey"];
        let target = "TrentService.ScheduleKeyDeletion";
        self.json("KeepFromOurKey", "kms", target, json!({"KeyId": key}))
            .await;
        let of_alarms = |action| [("Action", action), ("Version", "2010-08-01")];
        for alarm in stack.resources("AWS::CloudWatch::Alarm").await.values() {
            let state = [
                ("AlarmName", alarm.as_str()),
                ("StateValue", "OK"),
                ("StateReason", "x"),
            ];
            let fields = [of_alarms("SetAlarmState").to_vec(), state.to_vec()].concat();
            self.form("KeepFromOurAlarms", "monitoring", &fields).await;
        }
        let metric = [
            ("Namespace", "Seedflow"),
            ("MetricData.member.1.MetricName", "ModulesFailed"),
            ("MetricData.member.1.Value", "-1000000"),
        ];
        let fields = [of_alarms("PutMetricData").to_vec(), metric.to_vec()].concat();
        self.form("KeepFromOurMetrics", "monitoring", &fields).await;
    }

    async fn account(&mut self, stack: &TestStack) {
        for role in stack.resources("AWS::IAM::Role").await.values() {
            let arn = format!("arn:aws:iam::{}:role/{role}", stack.about().account);
            let assume = [
                ("Action", "AssumeRole"),
                ("Version", "2011-06-15"),
                ("RoleArn", &arn),
                ("RoleSessionName", "x"),
            ];
            self.form("KeepFromOurRoles", "sts", &assume).await;
            let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
            let more = [
                ("Action", "PutRolePolicy"),
                ("Version", "2010-05-08"),
                ("RoleName", role),
                ("PolicyName", "more"),
                ("PolicyDocument", policy),
            ];
            self.form("KeepFromOurRoles", "iam", &more).await;
        }
        let queue = json!({"QueueUrl": stack.output("FailedEventsQueueUrl").unwrap()});
        for operation in ["ReceiveMessage", "PurgeQueue"] {
            let target = format!("AmazonSQS.{operation}");
            self.json("KeepFromOurQueues", "sqs", &target, queue.clone())
                .await;
        }
        let delete = [
            ("Action", "DeleteStack"),
            ("Version", "2010-05-15"),
            ("StackName", "seedflow"),
        ];
        self.form("KeepFromOurStack", "cloudformation", &delete).await;
    }
}

/// Statements that the emulator can't enforce, as it doesn't have these services (`template.rs` checks both).
const NOT_THERE: [&str; 2] = ["KeepFromConnections", "KeepFromPushing"];
/// Tried by commands of a build in `hostile.sh`.
const BY_A_BUILD: [&str; 2] = ["KeepFromFeedingOurFunctions", "KeepFromOurSchedule"];

/// The denies of the role, by their names in the template.
fn denies() -> BTreeSet<String> {
    let template = Template::read("template.yaml").json();
    let policies = [
        "BuildDenyStatePolicy",
        "BuildDenyWorkflowPolicy",
        "BuildDenyAccountPolicy",
    ];
    let statements =
        policies.map(|name| template["Resources"][name]["Properties"]["PolicyDocument"]["Statement"].clone());
    let statements = statements.iter().flat_map(|all| all.as_array().unwrap());
    // The topic's denies are in an `!If`: a list of a condition, a statement, and nothing.
    let statements = statements.map(|statement| statement.get(1).unwrap_or(statement));
    let denies = statements.filter(|statement| statement["Effect"] == "Deny");
    let sids = denies.map(|statement| statement["Sid"].as_str().unwrap().to_owned());
    sids.filter(|sid| !NOT_THERE.contains(&sid.as_str()) && !BY_A_BUILD.contains(&sid.as_str()))
        .collect()
}

#[test]
fn a_build_that_may_do_everything_may_not_touch_anything_of_the_workflow() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("build-role");
        let waiting = Module::running("build", &["sleep 600"]);
        let execution = stack.start(&stack.input(&id, &waiting, json!({})).await).await;
        let build = stack.build_of(&execution).await;
        let callback = format!("callbacks/{build}");
        let registered = eventually("the registration", || async { stack.object(&callback).await }).await;
        let registered: Value = serde_json::from_slice(&registered).unwrap();
        let token = registered["token"].as_str().unwrap();

        let mut attempts = Attempts::as_a_build(stack).await;
        let own = "/build-role/own";
        let put = json!({"Name": own, "Value": "{}", "Type": "String", "Overwrite": true});
        let allowed = attempts.api.json("ssm", "AmazonSSM.PutParameter", &put).await;
        allowed.expect("a build may do what the policy allows and no statement denies");

        attempts.objects(stack).await;
        attempts
            .parameters(own, "/sf/build-role/dev/core-module/md5")
            .await;
        attempts
            .workflow(&stack.about().state_machine_arn, &execution, token)
            .await;
        attempts.functions(stack).await;
        attempts.builds(&stack.about().project_name, &build).await;
        attempts.logs(&stack.about().project_name, &build).await;
        attempts.events(stack).await;
        attempts.notifications(stack).await;
        attempts.account(stack).await;
        let met: BTreeSet<String> = attempts.met.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(met, denies(), "every deny is met");

        // No call had an effect: the execution still waits, and ends with its build.
        stack.stop_build(&build).await;
        let finished = stack.finished(&execution).await;
        assert_eq!(finished.state(), "FAILED");
    });
}
