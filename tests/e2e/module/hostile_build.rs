//! A hostile module in a real build, on a stack whose managed policy allows builds everything.

use std::time::Duration;

use seedflow_e2e::{Module, ModuleId, TestStack, eventually, run};
use serde_json::{Value, json};

use super::{STACK, assert_state};

const SCRIPT: &str = concat!(include_str!("../attempt.sh"), include_str!("hostile.sh"));

/// The script runs about sixty commands of `aws`.
const PATIENCE: Duration = Duration::from_secs(900);

/// Another module, whose build runs until the test lets it end.
struct Victim {
    id: ModuleId,
    execution: String,
    build: String,
    /// The content of its lock.
    lock: Value,
    token: String,
    upload: String,
    go: tempfile::TempDir,
}

impl Victim {
    async fn deploy(stack: &TestStack) -> Self {
        let id = stack.module_id("hostile-victim");
        let go = tempfile::tempdir().unwrap();
        let module = Module::running(
            "build",
            &[
                &format!("until [ -e {}/go ]; do sleep 0.2; done", go.path().display()),
                "seedfarmer metadata add -k Tag -v victim",
            ],
        );
        let more = json!({"build": {"timeout_minutes": 480}});
        let input = stack.input(&id, &module, more).await;
        let execution = stack.start(&input).await;
        let build = stack.build_of(&execution).await;
        let callback = format!("callbacks/{build}");
        let registered = eventually("the registration", || async { stack.object(&callback).await }).await;
        let registered: Value = serde_json::from_slice(&registered).unwrap();
        Self {
            lock: lock(stack, &id).await,
            id,
            execution,
            build,
            token: registered["token"].as_str().unwrap().to_owned(),
            upload: input["source"]["key"].as_str().unwrap().to_owned(),
            go,
        }
    }

    fn run(&self) -> &str {
        self.lock["run"].as_str().unwrap()
    }

    /// Lets its build end.
    fn go(&self) {
        std::fs::write(self.go.path().join("go"), "").unwrap();
    }
}

async fn lock(stack: &TestStack, id: &ModuleId) -> Value {
    let key = format!("locks/{id}.json");
    let held = eventually("a lock", || async { stack.object(&key).await }).await;
    serde_json::from_slice(&held).unwrap()
}

/// The values given to the hostile module, as if it had found them out.
async fn known(stack: &TestStack, victim: &Victim) -> String {
    let about = stack.about();
    let (plan, source, bundle) = (
        "plans/hostile/plan.json",
        "sources/x.zip",
        "dev/core/x/bundle.zip",
    );
    let state = "/sf/hostile-other/dev/core-module/md5";
    stack.put(plan, b"{}".to_vec()).await;
    stack.put(source, b"zip".to_vec()).await;
    let put = stack
        .client()
        .put_object(&about.bundle_bucket, bundle, b"zip".to_vec())
        .await;
    put.unwrap();
    stack.put_parameter(state, "\"planted\"").await;
    let role = &stack.resources("AWS::IAM::Role").await["UpdateMetadataRole"];
    let role = format!("arn:aws:iam::{}:role/{role}", about.account);
    let rule = &stack.resources("AWS::Events::Rule").await["UploadRule"];
    let mapping = &stack.resources("AWS::Lambda::EventSourceMapping").await["PublishReportMapping"];
    let key = &stack.resources("AWS::KMS::Key").await["NotificationKey"];
    let alarm = &stack.resources("AWS::CloudWatch::Alarm").await["ModulesFailedAlarm"];
    let queue = stack.output("FailedEventsQueueUrl").unwrap();
    let queue_name = queue.rsplit('/').next().unwrap();
    let arn = |service: &str, rest: &str| {
        let (region, account) = (&about.region, &about.account);
        format!("arn:aws:{service}:{region}:{account}:{rest}")
    };
    [
        ("WORK", about.work_bucket.as_str()),
        ("BUNDLES", &about.bundle_bucket),
        ("BUILD", &victim.build),
        ("EXECUTION", &victim.execution),
        ("TOKEN", &victim.token),
        ("UPLOAD", &victim.upload),
        ("LOCK", &format!("locks/{}.json", victim.id)),
        ("PLAN", plan),
        ("SOURCE", source),
        ("BUNDLE", bundle),
        ("STATE", state),
        ("STACK", "seedflow"),
        ("QUEUE", queue),
        ("QUEUE_ARN", &arn("sqs", queue_name)),
        ("ROLE", &role),
        ("RULE", rule),
        ("BUS", &arn("events", "event-bus/default")),
        ("MAPPING", mapping),
        ("TOPIC", stack.output("NotificationTopicArn").unwrap()),
        ("KEY", key),
        ("ALARM", alarm),
    ]
    .map(|(name, value)| format!("{name}='{value}'\n"))
    .concat()
}

#[test]
fn a_hostile_module_gets_nothing_and_changes_nothing() {
    run(async {
        let stack = STACK.get().await;
        let victim = Victim::deploy(stack).await;
        let run = format!("TOOLS='{}' && . ./hostile.sh", stack.bin().display());
        let module = Module::running("build", &[&run, "seedfarmer metadata add -k Tag -v hostile"])
            .file("hostile.sh", SCRIPT)
            .file("known.sh", known(stack, &victim).await);
        let id = stack.module_id("hostile");
        let more = json!({"build": {"timeout_minutes": 480}});
        let execution = stack.start(&stack.input(&id, &module, more).await).await;
        let own = lock(stack, &id).await;
        stack.put_parameter("/hostile/own", &execution).await;
        let hostile = stack.finished_within(&execution, PATIENCE).await;
        assert_state(&hostile, "SUCCEEDED");

        // Every call was refused.
        let log = stack.log(&hostile.build).await;
        let attempts: Vec<&String> = log.iter().filter(|line| line.starts_with("attempt ")).collect();
        let made = SCRIPT.lines().filter(|line| {
            ["attempt \"", "read_object \"", "write_object \""]
                .iter()
                .any(|call| line.starts_with(call))
        });
        assert_eq!(attempts.len(), made.count(), "{log:#?}");
        let got: Vec<_> = attempts
            .iter()
            .filter(|line| !line.starts_with("attempt refused: "))
            .collect();
        assert!(got.is_empty(), "{got:#?}\n{log:#?}");

        // It saw no name of the other build's folder, though it knows its own.
        let own = own["run"].as_str().unwrap();
        let seen = stack
            .object(&format!("builds/{own}/seen.txt"))
            .await
            .expect("what it saw");
        let seen = String::from_utf8_lossy(&seen);
        assert!(seen.contains(own), "its own folder");
        assert!(seen.contains(&victim.token), "files are searched too");
        assert!(!seen.contains(victim.run()), "the folder of another build");

        // The other deployment was not disturbed.
        assert_eq!(lock(stack, &victim.id).await, victim.lock);
        victim.go();
        let finished = stack.finished(&victim.execution).await;
        assert_state(&finished, "SUCCEEDED");
        assert_eq!(stack.parameter(&victim.id, "metadata").await["Tag"], "victim");
        stack.released(&victim.id).await;
    });
}
