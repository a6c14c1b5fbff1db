//! Pages of normal reports, and of reports in which every text is hostile.

use seedflow_core::drift::record::DriftRecord;
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::{AwsEnvironment, ModuleId, Name};
use seedflow_core::pages::deployment_page::{Known, Reports};
use seedflow_core::pages::execution_event::ExecutionState;
use seedflow_core::pages::index::{Around, Index};
use seedflow_core::pages::module_page::Log;
use seedflow_core::pages::{PageContext, deployment_page, module_page};
use serde_json::{Value, json};

/// A text that breaks out wherever it isn't escaped, reverses the direction of the text after it, and is very long.
pub const HOSTILE: &str = concat!(
    "</script></style></title><img src=x onerror=parent.ran=true><script>parent.ran=true</script>\"'`>&lt;",
    "\u{202e}txet\u{202c} javascript:parent.ran=true ",
    "LongWordLongWordLongWordLongWordLongWordLongWord"
);

/// Every page by the path of its file.
pub fn all() -> Vec<(&'static str, String)> {
    vec![
        ("good", good()),
        ("failed", failed()),
        ("hostile-module", hostile_module()),
        (
            "deployment",
            whole_deployment("DeploymentFailed", "networking/vpc failed: build failed in BUILD"),
        ),
        ("hostile-deployment", whole_deployment(HOSTILE, HOSTILE)),
        ("live-deployment", live_deployment()),
        ("refused", refused()),
        ("index", index("bundle changed")),
        ("hostile-index", index(HOSTILE)),
    ]
}

fn environment() -> AwsEnvironment {
    AwsEnvironment::from_arn("arn:aws:lambda:eu-west-1:123456789012:function:f").unwrap()
}

/// When the pages are written.
const NOW: &str = "2026-11-23T12:40:05Z";

fn names() -> ModuleId {
    ModuleId::parse("platform", "production", "networking", "vpc").unwrap()
}

fn of_module(id: &ModuleId, report: Value, log: &Log) -> String {
    let environment = environment();
    let context = PageContext {
        environment: &environment,
        bucket: "work-bucket",
        now: NOW.parse().unwrap(),
    };
    let report = serde_json::from_value(report).unwrap();
    module_page::render(
        &context,
        id,
        &format!("reports/{id}/vpc-0a1b2c3d.json"),
        &report,
        log,
        &Around {
            name: format!("{}/{}/{}", id.deployment, id.group, id.module),
            previous: Some(format!("reports/{id}/vpc-before.html")),
            next: None,
            deployment: Some(format!("reports/{}/{}/e1.html", id.project, id.deployment)),
        },
        Some(&drifted(id)),
    )
}

fn drifted(id: &ModuleId) -> DriftRecord {
    let property = |path: &str, expected: &str, actual: &str| json!({"path": path, "difference": "NOT_EQUAL", "expected": expected, "actual": actual});
    let record = json!({
        "project": id.project, "deployment": id.deployment, "group": id.group, "module": id.module, "state": "DRIFTED",
        "since": "2026-11-23T12:35:00Z", "deployed_by": "e", "checked_at": "2026-11-23T12:40:00Z", "execution": "x",
        "reason": "Failed to detect drift on resource [Table]",
        "stacks": [{"stack": "platform-production-networking-vpc", "state": "DRIFTED", "resources": [
            {"logical_id": "Queue", "physical_id": "q", "resource_type": "AWS::SQS::Queue", "state": "MODIFIED", "properties": [
                property("/VisibilityTimeout", "30", "31"),
                property("/RedrivePolicy/deadLetterTargetArn", &format!("arn:aws:sqs:eu-west-1:123456789012:{}", "x".repeat(80)), "null"),
            ]},
            {"logical_id": "Topic", "physical_id": "t", "resource_type": "AWS::SNS::Topic", "state": "DELETED"},
        ]}],
        "phases": {"state": "DRIFTED", "output": [
            "  ~ resource \"aws_db_instance\" \"main\" {".to_owned(),
            format!("      ~ parameter_group_name = \"{}\" -> \"default\"", "x".repeat(120)),
            "Plan: 0 to add, 1 to change, 0 to destroy.".to_owned(),
        ]},
    });
    serde_json::from_value(record).unwrap()
}

fn fingerprint(digit: char, subnets: char) -> Value {
    let md5 = |digit: char| digit.to_string().repeat(32);
    json!({
        "hash": md5(digit), "bundle": md5(digit), "deployspec": md5('0'), "configuration": md5(subnets),
        "parts": {"parameter subnets": subnets.to_string().repeat(8), "stack_name": "11111111"}
    })
}

fn base(state: &str) -> Value {
    json!({
        "module": names(), "execution": "arn:aws:states:eu-west-1:123456789012:execution:seedflow-deploy-module:vpc-0a1b2c3d",
        "written_at": "2026-11-23T12:31:49.8Z",
        "status": {
            "state": state, "started_at": "2026-11-23T12:30:02.1Z", "reasons": ["bundle changed", "parameter subnets changed"],
            "commit": "0a4d55a8d778e5022fab701977c5d840bbc486d0", "author": "Jane Doe <jane@example.com>", "branch": "main",
            "repository": "https://github.com/example/platform.git"
        },
        "timeline": {
            "execution_started_at": "2026-11-23T12:29:41Z", "lock_acquired_at": "2026-11-23T12:30:01Z",
            "started_at": "2026-11-23T12:30:02.1Z", "build_started_at": "2026-11-23T12:30:03.2Z",
            "build_ended_at": "2026-11-23T12:31:49Z", "recorded_at": "2026-11-23T12:31:49.8Z"
        },
        "build": {
            "build_id": "seedflow:8745a7a9-c340-456a-9166-edf953571bec", "status": state,
            "log_url": "https://console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logEvent:group=x;stream=y",
            "phases": [
                {"type": "SUBMITTED", "status": "SUCCEEDED", "started_at": "2026-11-23T12:30:03Z", "seconds": 0},
                {"type": "QUEUED", "status": "SUCCEEDED", "started_at": "2026-11-23T12:30:03Z", "seconds": 4},
                {"type": "PROVISIONING", "status": "SUCCEEDED", "started_at": "2026-11-23T12:30:07Z", "seconds": 12},
                {"type": "INSTALL", "status": "SUCCEEDED", "started_at": "2026-11-23T12:30:19Z", "seconds": 21},
                {"type": "BUILD", "status": state, "started_at": "2026-11-23T12:30:40Z", "seconds": 68, "context": "COMMAND_EXECUTION_ERROR"},
                {"type": "COMPLETED"}
            ]
        },
    })
}

fn good() -> String {
    let mut report = base("SUCCEEDED");
    report["source"] = json!({"bucket": "work-bucket", "key": "uploads/platform/production/networking/vpc/6f1ed002ab5595859014ebf0951522d9.zip", "version_id": "Lp2F.8Xo_q", "path": "modules/vpc"});
    report["fingerprint"] = fingerprint('a', 'b');
    report["previous_fingerprint"] = fingerprint('c', 'd');
    report["parameters"] = json!(["vpc-cidr", "subnets", "database-password"]);
    report["outputs"] = json!({"VpcId": "vpc-0123456789abcdef0", "SubnetIds": ["subnet-1", "subnet-2"], "Arn": "arn:aws:ec2:eu-west-1:123456789012:vpc/vpc-0123456789abcdef0"});
    of_module(&names(), report, &Log::None)
}

fn failed() -> String {
    let mut report = base("FAILED");
    report["status"]["error"] = json!("BuildFailed");
    report["status"]["phase"] = json!("BUILD");
    report["status"]["deployed_at"] = json!("2026-11-20T08:00:11Z");
    report["status"]["cause"] = json!(
        "Vpc CREATE_FAILED: CidrBlock: the block 10.0.0.0/8 is larger than a VPC may have (from /28 to /16)"
    );
    report["status"]["reason"] = json!(
        "build failed in BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: aws cloudformation deploy. Reason: exit status 255"
    );
    let log = [
        "[Container] 2026/11/23 12:30:40 Entering phase BUILD",
        "[Container] 2026/11/23 12:30:40 Running command aws cloudformation deploy --stack-name platform-production-networking-vpc --template-file template.yaml",
        "Waiting for changeset to be created..",
        "Waiting for stack create/update to complete",
        "Failed to create/update the stack. Run the following command to fetch the list of events leading up to the failure",
        "[Container] 2026/11/23 12:31:47 Command did not exit successfully aws cloudformation deploy --stack-name platform-production-networking-vpc --template-file template.yaml exit status 255",
    ];
    of_module(&names(), report, &Log::Lines(log.map(str::to_owned).to_vec()))
}

/// Makes every text hostile, except times and the texts that decide how the page looks.
fn poisoned(report: Value) -> Value {
    match report {
        Value::String(text) if text.starts_with("2026-") || text == "FAILED" => Value::String(text),
        Value::String(_) => json!(HOSTILE),
        Value::Array(items) => items.into_iter().map(poisoned).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, poisoned(value)))
            .collect(),
        other => other,
    }
}

fn hostile_module() -> String {
    let mut report = base("FAILED");
    for field in ["error", "phase", "reason", "log_url", "build_id"] {
        report["status"][field] = json!("x");
    }
    report["parameters"] = json!(["x", "x"]);
    report["source"] = json!({"bucket": "x", "key": "x", "version_id": "x", "path": "x"});
    let mut report = poisoned(report);
    report["outputs"] = json!({HOSTILE: HOSTILE});
    let mut before = fingerprint('a', 'b');
    before["parts"][HOSTILE] = json!(HOSTILE);
    report["fingerprint"] = fingerprint('c', 'd');
    report["previous_fingerprint"] = before;
    let longest = "x".repeat(64);
    let id = ModuleId::parse(&longest, &longest, &longest, &longest).unwrap();
    of_module(&id, report, &Log::Lines(vec![HOSTILE.to_owned(); 3]))
}

fn whole_deployment(error: &str, cause: &str) -> String {
    let result = |group: &str, module: &str, state: &str| json!({"group": group, "module": module, "state": state, "execution": format!("{group}-{module}-1")});
    let planned = |group: &str, module: &str, why: &str| json!({"group": group, "module": module, "action": "deploy", "reasons": [why]});
    let report = json!({
        "execution": "arn:aws:states:eu-west-1:123456789012:execution:seedflow-deploy:e1", "written_at": "2026-11-23T12:40:00Z",
        "status": {
            "state": "FAILED", "started_at": "2026-11-23T12:30:00Z", "error": error, "reason": cause,
            "commit": "0a4d55a8d778e5022fab701977c5d840bbc486d0", "author": "Jane Doe <jane@example.com>", "branch": "main",
            "modules": {"FAILED": 1, "SUCCEEDED": 2, "UNCHANGED": 1, "NOT_STARTED": 1}
        },
        "plan": [
            planned("core", "buckets", "bundle changed"), planned("core", "roles", "unchanged since the deployment of 2026-11-20T08:00:11Z"),
            planned("networking", "vpc", "parameter subnets changed"), planned("networking", "dns", cause), planned("apps", "frontend", "first deployment")
        ],
        "results": [
            result("core", "buckets", "SUCCEEDED"), result("core", "roles", "UNCHANGED"), result("networking", "vpc", "FAILED"),
            result("networking", "dns", "SUCCEEDED"), result("apps", "frontend", "NOT_STARTED")
        ],
        "warnings": [cause]
    });
    let mut failed = base("FAILED");
    failed["status"]["error"] = json!("BuildFailed");
    failed["status"]["cause"] = json!(cause);
    failed["status"]["deployed_at"] = json!("2026-11-20T08:00:11Z");
    let shifted = |report: Value, minute: &str| {
        let text = report
            .to_string()
            .replace("T12:29", minute)
            .replace("T12:30", minute)
            .replace("T12:31", "T12:35");
        serde_json::from_str(&text).unwrap()
    };
    let key = |group: &str, module: &str| (group.to_owned(), module.to_owned());
    let modules = [
        (
            key("core", "buckets"),
            serde_json::from_value(base("SUCCEEDED")).unwrap(),
        ),
        (key("networking", "vpc"), shifted(failed, "T12:32")),
        (key("networking", "dns"), shifted(base("SUCCEEDED"), "T12:33")),
    ];
    deployment_of("e1", report, &modules.into(), &Index::default())
}

/// A deployment with some modules that are done and some that wait.
fn live_deployment() -> String {
    let planned = |group: &str, module: &str, action: &str| {
        let execution = (action != "unchanged").then(|| format!("{module}-2"));
        json!({"group": group, "module": module, "action": action, "reasons": ["bundle changed"], "execution": execution})
    };
    let report = json!({
        "execution": "arn:aws:states:eu-west-1:123456789012:execution:d:e2", "written_at": "2026-11-23T12:38:00Z",
        "status": {
            "state": "IN_PROGRESS", "started_at": "2026-11-23T12:38:00Z", "author": "Jane Doe <jane@example.com>",
            "commit": "0a4d55a8d778e5022fab701977c5d840bbc486d0", "branch": "main",
            "repository": "https://gitlab.com/example/infra/platform"
        },
        "plan": [
            planned("core", "buckets", "deploy"), planned("core", "roles", "unchanged"), planned("networking", "vpc", "deploy"),
            planned("networking", "dns", "deploy"), planned("apps", "frontend", "deploy")
        ]
    });
    let reached = |group: &str, module: &str, state: &str, at: &str| {
        let mut detail = json!({
            "project": "platform", "deployment": "production", "group": group, "module": module, "state": state, "at": at,
            "execution": format!("arn:aws:states:eu-west-1:123456789012:execution:m:{module}-2"), "duration_seconds": 41,
            "part_of": "arn:aws:states:eu-west-1:123456789012:execution:d:e2"
        });
        if state == "SUCCEEDED" {
            detail["report"] = json!({});
        }
        ExecutionState::from_event(&json!({"detail": detail}))
            .unwrap()
            .unwrap()
    };
    let index = [
        reached("core", "buckets", "SUCCEEDED", "2026-11-23T12:38:42Z"),
        reached("networking", "vpc", "IN_PROGRESS", "2026-11-23T12:38:43Z"),
        reached("networking", "dns", "SUCCEEDED", "2026-11-23T12:39:25Z"),
    ]
    .iter()
    .fold(Index::default(), |index, reached| index.with(reached));
    deployment_of("e2", report, &Reports::new(), &index)
}

fn deployment_of(execution: &str, report: Value, modules: &Reports, index: &Index) -> String {
    let environment = environment();
    let context = PageContext {
        environment: &environment,
        bucket: "work-bucket",
        now: NOW.parse().unwrap(),
    };
    let id = DeploymentId {
        project: Name::parse("project", "platform").unwrap(),
        deployment: Name::parse("deployment", "production").unwrap(),
    };
    let key = format!("reports/platform/production/{execution}.json");
    let report = serde_json::from_value(report).unwrap();
    deployment_page::render(&context, &id, &key, &report, Known { modules, index })
}

/// A push whose manifest was refused.
fn refused() -> String {
    let cause = "deployment.yaml:6: path: found modules/nowhere, which the repository doesn't have; allowed: the path of a folder with a deployspec.yaml";
    let report = json!({
        "execution": "arn:aws:states:eu-west-1:123456789012:execution:d:e3", "written_at": "2026-11-23T12:40:00Z",
        "status": {"state": "REFUSED", "error": "InvalidManifest", "cause": cause, "commit": "0a4d55a8d778e5022fab701977c5d840bbc486d0"}
    });
    deployment_of("e3", report, &Reports::new(), &Index::default())
}

fn index(why: &str) -> String {
    let states = [
        "SUCCEEDED",
        "SUCCEEDED",
        "FAILED",
        "SUCCEEDED",
        "ABORTED",
        "SUCCEEDED",
        "UNCHANGED",
    ];
    let mut index = Index::default();
    for (i, (group, module)) in [
        ("core", "buckets"),
        ("core", "roles"),
        ("networking", "vpc"),
        ("apps", "frontend"),
        ("apps", "gone"),
    ]
    .into_iter()
    .enumerate()
    {
        let last = [6, 5, 2, 6, 5][i];
        for (run, state) in states
            .iter()
            .cycle()
            .take(states.len() * 3 + last + 1)
            .enumerate()
        {
            let ended = run == states.len() * 3 + last && module == "gone";
            let state = if ended { "DESTROYED" } else { state };
            let why = if run % 7 == 2 { "BuildFailed" } else { why };
            index = index.with(&event(json!({"group": group, "module": module}), state, run, why));
        }
    }
    for (run, state) in states.iter().enumerate().take(5) {
        index = index.with(&event(json!({}), state, run, why));
    }
    let vpn = json!({"group": "networking", "module": "vpn"});
    let queue = json!({"group": "data", "module": "queue"});
    for (module, state, run) in [
        (&vpn, "IN_PROGRESS", 22),
        (&queue, "SUCCEEDED", 20),
        (&queue, "REFUSED", 21),
    ] {
        index = index.with(&event(module.clone(), state, run, why));
    }
    let environment = environment();
    let context = PageContext {
        environment: &environment,
        bucket: "work-bucket",
        now: NOW.parse().unwrap(),
    };
    seedflow_core::pages::index_page::render(&index, &context, &Name::parse("project", "platform").unwrap())
}

fn event(of: Value, state: &str, run: usize, why: &str) -> ExecutionState {
    let mut detail = json!({
        "project": "platform", "deployment": "production", "state": state, "reasons": [why], "author": format!("{why} <jane@example.com>"), "branch": "main",
        "repository": "https://github.com/example/platform",
        "commit": "0a4d55a8d778e5022fab701977c5d840bbc486d0", "duration_seconds": 20 + (run * 37) % 90, "report": {},
        "execution": format!("arn:aws:states:eu-west-1:123456789012:execution:m:e-{run}"), "at": format!("2026-11-{:02}T08:{run:02}:11Z", 1 + run * 22 / 32)
    });
    if state == "IN_PROGRESS" {
        detail["duration_seconds"] = Value::Null;
        detail["report"] = Value::Null;
    }
    if state == "FAILED" {
        detail["error"] = json!(why);
        detail["cause"] = json!("Queue UPDATE_FAILED: MessageRetentionPeriod must be between 60 and 1209600");
    }
    detail
        .as_object_mut()
        .unwrap()
        .extend(of.as_object().unwrap().clone());
    ExecutionState::from_event(&json!({"detail": detail}))
        .unwrap()
        .unwrap()
}
