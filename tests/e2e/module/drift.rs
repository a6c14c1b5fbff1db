//! Drift: a stack that was changed by hand, and what the drift phases of a module say, found by the command that a person runs.

use seedflow_core::ids::ModuleId;
use seedflow_core::pages::index::Index;
use seedflow_e2e::command_line::{Ran, seedflow};
use seedflow_e2e::{EventQueue, Module, TestStack, eventually, run, schema};
use serde_json::{Value, json};

use super::{STACK, assert_state};

const PROJECT: &str = "drifting";
const TYPE: &str = "Seedflow Module Drift";

/// A module that deploys a stack with a queue and a topic.
fn module(stack: &str) -> Module {
    let template = json!({"Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "drifting-queue", "VisibilityTimeout": 30}},
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "drifting-topic", "DisplayName": "before"}},
    }});
    let create =
        format!("aws cloudformation create-stack --stack-name {stack} --template-body file://template.json");
    let wait = format!("aws cloudformation wait stack-create-complete --stack-name {stack}");
    Module::running("build", &[&create, &wait]).file("template.json", template.to_string())
}

async fn drift(stack: &TestStack, arguments: &[&str]) -> Ran {
    drift_in(stack, PROJECT, arguments).await
}

async fn drift_in(stack: &TestStack, project: &str, arguments: &[&str]) -> Ran {
    seedflow(stack, &[&["drift"], arguments, &["--project", project]].concat()).await
}

async fn set_timeout(stack: &TestStack, seconds: &str) {
    let name = json!({"QueueName": "drifting-queue"});
    let queue = stack.call("sqs", "AmazonSQS.GetQueueUrl", name).await;
    let set = json!({"QueueUrl": queue["QueueUrl"], "Attributes": {"VisibilityTimeout": seconds}});
    stack.call("sqs", "AmazonSQS.SetQueueAttributes", set).await;
}

/// The messages of a topic about the project.
async fn messages_of(queue: &mut EventQueue<'_>, count: usize) -> Vec<String> {
    let ours = |mail: &Value| {
        mail["Message"]
            .as_str()
            .is_some_and(|text| text.contains(PROJECT))
    };
    let mails = queue.count_of("messages about drift", count, ours).await;
    let messages = mails.iter().filter_map(|mail| mail["Message"].as_str());
    messages.map(|text| text.trim_matches('"').to_owned()).collect()
}

#[test]
fn a_changed_stack_is_reported_as_drifted_until_it_is_as_it_was_deployed() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id(PROJECT);
        let name = format!("{}/{}/{}", id.deployment, id.group, id.module);
        let mut events = EventQueue::of_project(stack, PROJECT).await;
        let mut mails =
            EventQueue::of_topic(stack, stack.output("NotificationTopicArn").expect("a topic")).await;
        let mut chats = EventQueue::of_topic(stack, stack.output("ChatTopicArn").expect("a topic")).await;
        let deployed = stack.deploy(&id, &module(&id.stack_name())).await;
        assert_state(&deployed, "SUCCEEDED");
        stack.released(&id).await;

        let unknown = drift(stack, &[]).await;
        assert!(unknown.row(&name).ends_with("not checked"), "{unknown:?}");
        let good = drift(stack, &["--now", "--detailed-exitcode"]).await;
        assert_eq!(good.code, Some(0), "{good:?}");
        assert!(good.row(&name).contains(" in sync "), "{good:?}");

        set_timeout(stack, "31").await;
        let bad = drift(stack, &[&name, "--now", "--detailed-exitcode"]).await;
        assert_eq!(bad.code, Some(3), "{bad:?}");
        assert!(bad.row(&name).ends_with("Queue: VisibilityTimeout"), "{bad:?}");
        let row = bad.row(id.stack_name().as_str());
        assert!(
            row.ends_with("Queue (AWS::SQS::Queue) /VisibilityTimeout 30 31"),
            "{row}"
        );
        let status = seedflow(stack, &["status", &name, "--project", PROJECT]).await;
        let row = status.row(&name);
        assert!(
            row.contains("drifted ") && row.ends_with(": Queue: VisibilityTimeout"),
            "{row}"
        );

        // What is known already is recorded, and sent to nobody again.
        let again = drift(stack, &[&name, "--now", "--json"]).await.json();
        let record = &again["modules"][0];
        assert_eq!(
            (&record["state"], &record["execution"]),
            (&json!("DRIFTED"), &again["execution"])
        );
        pages(stack, &id.to_string(), &deployed.execution, true).await;

        // Its stack is not what it will be while it is deployed.
        stack.put(&id.lock_key(), b"{}".to_vec()).await;
        let locked = drift(stack, &[&name, "--now"]).await;
        assert!(
            locked.out.contains("Not checked, because it is being deployed"),
            "{locked:?}"
        );
        stack.delete(&id.lock_key()).await;

        set_timeout(stack, "30").await;
        let back = drift(stack, &[&name, "--now", "--detailed-exitcode"]).await;
        assert_eq!(back.code, Some(0), "{back:?}");
        pages(stack, &id.to_string(), &deployed.execution, false).await;

        let ours = |event: &Value| event["detail-type"] == TYPE;
        let found = events.count_of("events of drift", 3, ours).await;
        let details: Vec<Value> = found.iter().map(|event| event["detail"].clone()).collect();
        assert_eq!(details.len(), 3, "{details:#?}");
        let faults = schema::faults("module-drift", &details).await;
        assert!(faults.is_empty(), "{faults:#?}\n{details:#?}");
        let of = |field: &str| details.iter().map(|one| one[field].clone()).collect::<Vec<_>>();
        assert_eq!(of("state"), ["IN_SYNC", "DRIFTED", "IN_SYNC"]);
        assert_eq!(of("newly_drifted"), [false, true, false]);
        assert_eq!(of("recovered"), [false, false, true]);
        assert_eq!(details[1]["deployed_by"], deployed.execution.as_str());
        let messages = [1, 2].map(|at| details[at]["message"].as_str().unwrap());
        assert_eq!(messages_of(&mut mails, 2).await, messages);
        let in_chat = messages_of(&mut chats, 2).await;
        assert_eq!(
            serde_json::from_str::<Value>(&in_chat[0]).unwrap(),
            details[1]["chat"]
        );
    });
}

/// Waits for the pages that say whether the module has drifted.
async fn pages(stack: &TestStack, id: &str, execution: &str, drifted: bool) {
    let execution = execution.rsplit(':').next().unwrap_or_default();
    let word = if drifted { "Drifted" } else { "In sync" };
    eventually("a page with the drift", || async {
        let page = stack.object(&format!("reports/{id}/{execution}.html")).await?;
        let page = String::from_utf8(page).ok()?;
        let parts = [&format!("</span> <bdi>{word}</bdi>"), "first deployment"];
        let differs = page.contains("/VisibilityTimeout");
        (parts.iter().all(|part| page.contains(*part)) && differs == drifted).then_some(())
    })
    .await;
    eventually("an index with the drift", || async {
        let page = stack.object(&format!("index/{PROJECT}.html")).await?;
        let index = Index::read(&String::from_utf8(page).ok()?)?;
        let entry = index.modules.values().next()?;
        (entry.drifted().is_some() == drifted).then_some(())
    })
    .await;
}

const PHASES: &str = "phases-of-drift";
/// The parameter with the exit status of the command that looks.
const ANSWER: &str = "/seedflow-examples/phases-of-drift";

/// What the drift phases run: it tries what the role of read-only builds must not do, and ends with the status of [`ANSWER`].
const LOOK: &str = concat!(include_str!("../attempt.sh"), include_str!("look.sh"));

/// A module without a stack, which looks for drift by itself.
fn looking(stack: &TestStack, id: &ModuleId) -> Module {
    let bucket = &stack.about().work_bucket;
    let role = stack.output("BuildRoleArn").expect("the build role");
    let tools = stack.bin().display();
    let look = format!(
        "TOOLS='{tools}' NOTHING=nothing bash look.sh {bucket} {} {role}",
        id.record_key()
    );
    let deployspec = json!({
        "deploy": {"phases": {"build": {"commands": ["true"]}}},
        "drift": {"phases": {"install": {"commands": ["echo installed"]}, "build": {"commands": [look]}}},
    });
    Module::with_deployspec(&deployspec.to_string()).file("look.sh", LOOK)
}

#[test]
fn drift_phases_say_whether_a_module_has_drifted() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id(PHASES);
        let name = format!("{}/{}/{}", id.deployment, id.group, id.module);
        let secret = json!({"Name": "seedflow-examples/phases-of-drift", "SecretString": "hunter2"});
        stack
            .call("secretsmanager", "secretsmanager.CreateSecret", secret)
            .await;
        let mut events = EventQueue::of_project(stack, PHASES).await;
        let parameters = json!({"parameters": {
            "size": 30, "key": {"secrets_manager": "seedflow-examples/phases-of-drift"},
        }});
        let deployed = stack.deploy_with(&id, &looking(stack, &id), parameters).await;
        assert_state(&deployed, "SUCCEEDED");
        stack.released(&id).await;
        let check = async |answer: &str| {
            stack.put_parameter(ANSWER, answer).await;
            drift_in(stack, PHASES, &[&name, "--now", "--detailed-exitcode"]).await
        };

        let good = check("0").await;
        assert_eq!(good.code, Some(0), "{good:?}");
        assert!(good.row(&name).contains(" in sync "), "{good:?}");

        let bad = check("2").await;
        assert_eq!(bad.code, Some(3), "{bad:?}");
        assert!(
            bad.row(&name).ends_with("its drift phases report a difference"),
            "{bad:?}"
        );
        assert!(bad.out.contains("~ size = 30 -> 31"), "{bad:?}");
        let execution = deployed.execution.rsplit(':').next().unwrap_or_default();
        eventually("a page with the output", || async {
            let page = stack.object(&format!("reports/{id}/{execution}.html")).await?;
            let page = String::from_utf8(page).ok()?;
            page.contains("~ size = 30 -&gt; 31").then_some(())
        })
        .await;

        let broken = check("1").await;
        assert_eq!(broken.code, Some(0), "{broken:?}");
        assert!(broken.row(&name).contains("not known"), "{broken:?}");
        assert!(broken.out.contains("exit status 1"), "{broken:?}");

        let ours = |event: &Value| event["detail-type"] == TYPE;
        let found = events.count_of("events of drift phases", 3, ours).await;
        let details: Vec<Value> = found.iter().map(|event| event["detail"].clone()).collect();
        let faults = schema::faults("module-drift", &details).await;
        assert!(faults.is_empty(), "{faults:#?}\n{details:#?}");
        let states: Vec<&Value> = details.iter().map(|detail| &detail["phases"]).collect();
        assert_eq!(states, ["IN_SYNC", "DRIFTED", "UNKNOWN"]);
        assert!(!details[1].to_string().contains("size"), "{}", details[1]);
    });
}
