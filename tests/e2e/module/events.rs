//! The events of a module: those that are sent and those that are not.

use seedflow_e2e::{
    Action, Caller, EventQueue, Module, ModuleId, Rule, TestStack, destruction, eventually, run, schema,
};
use serde_json::{Value, json};

use super::destroy::module;
use super::{STACK, assert_state};

const TYPE: &str = "Seedflow Module State Change";

/// The details of a module's events, ordered by the time at which their states were written.
async fn module_events(received: &mut EventQueue<'_>, count: usize) -> Vec<Value> {
    let events = received.count("events", count).await;
    let mut details: Vec<Value> = events
        .iter()
        .filter(|event| event["detail-type"] == TYPE)
        .map(|event| event["detail"].clone())
        .collect();
    details.sort_by_key(|detail| detail["at"].as_str().map(str::to_owned));
    details
}

/// The topic's messages about the project `reported`, in order.
async fn mailed(mails: &mut EventQueue<'_>, count: usize) -> Vec<String> {
    let ours = |mail: &Value| {
        let message = mail["Message"].as_str();
        message.is_some_and(|message| message.contains("in project reported "))
    };
    let mails = mails.count_of("mails", count, ours).await;
    let messages = mails.iter().filter_map(|mail| mail["Message"].as_str());
    // EventBridge sends a text with its quotation marks.
    messages
        .map(|message| message.trim_matches('"').to_owned())
        .collect()
}

/// What chat channels get about the project `reported`, in order.
async fn chatted(chats: &mut EventQueue<'_>, count: usize) -> Vec<Value> {
    let parsed = |chat: &Value| serde_json::from_str::<Value>(chat["Message"].as_str()?).ok();
    let ours = |chat: &Value| parsed(chat).is_some_and(|chat| chat["content"]["keywords"][0] == "reported");
    let chats = chats
        .count_of("notifications of chat channels", count, ours)
        .await;
    chats.iter().filter_map(parsed).collect()
}

/// Starts a deployment, stops it during its build, and waits until it is cleaned up.
async fn abort(stack: &TestStack, id: &ModuleId) {
    let slow = Module::running("build", &["sleep 600"]);
    let execution = stack.start(&stack.input(id, &slow, json!({})).await).await;
    stack.build_of(&execution).await;
    let stop = json!({"executionArn": execution, "error": "Stopped", "cause": "not today"});
    stack.call("states", "AWSStepFunctions.StopExecution", stop).await;
    stack.released(id).await;
}

#[test]
fn each_change_of_a_modules_state_is_an_event_of_the_schema() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("reported");
        let mut events = EventQueue::of_project(stack, "reported").await;
        let topic = stack.output("NotificationTopicArn").expect("a topic");
        let mut mails = EventQueue::of_topic(stack, topic).await;
        let channels = stack.output("ChatTopicArn").expect("a topic of chat channels");
        let mut chats = EventQueue::of_topic(stack, channels).await;

        let good = module("echo good", &["echo gone"]);
        let secret = json!({"parameters": {"word": "a-word-that-is-secret"}});
        assert_state(&stack.deploy_with(&id, &good, secret.clone()).await, "SUCCEEDED");
        assert_state(&stack.deploy_with(&id, &good, secret).await, "UNCHANGED");
        // A request that is refused: the module stays unchanged.
        let wrong = Module::with_deployspec("deploy: {phases: {}}\nbuild_type: TINY\n");
        assert_eq!(stack.deploy(&id, &wrong).await.error, "InvalidDeployspec");
        let bad = Module::running("build", &["echo \"no space left\"; exit 3"]);
        assert_eq!(stack.deploy(&id, &bad).await.error, "BuildFailed");
        assert_state(&stack.deploy(&id, &good).await, "SUCCEEDED");
        abort(stack, &id).await;
        assert_state(&stack.execute(&destruction(&id)).await, "DESTROYED");

        let details = module_events(&mut events, 12).await;
        let states: Vec<(&str, bool)> = details
            .iter()
            .map(|detail| (detail["state"].as_str().unwrap(), detail["recovered"] == true))
            .collect();
        assert_eq!(
            states,
            [
                ("IN_PROGRESS", false),
                ("SUCCEEDED", false),
                ("UNCHANGED", false),
                ("REFUSED", false),
                ("IN_PROGRESS", false),
                ("FAILED", false),
                ("IN_PROGRESS", false),
                ("SUCCEEDED", true),
                ("IN_PROGRESS", false),
                ("ABORTED", false),
                ("IN_PROGRESS", false),
                ("DESTROYED", true),
            ]
        );
        let faults = schema::faults("module-state-change", &details).await;
        assert!(faults.is_empty(), "{faults:#?}\n{details:#?}");
        assert!(!json!(details).to_string().contains("a-word-that-is-secret"));

        let refused = &details[3];
        assert_eq!(
            (&refused["error"], &refused["previous_state"]),
            (&json!("InvalidDeployspec"), &json!("UNCHANGED"))
        );
        let failed = &details[5];
        assert_eq!(
            (&failed["error"], &failed["phase"], &failed["previous_state"]),
            (&json!("BuildFailed"), &json!("BUILD"), &json!("UNCHANGED"))
        );
        assert!(failed["build_seconds"].is_number() && failed["duration_seconds"].is_number());
        // The report that it names exists.
        let key = failed["report"]["key"].as_str().unwrap();
        let report: Value = serde_json::from_slice(&stack.object(key).await.unwrap()).unwrap();
        assert_eq!(report["execution"], failed["execution"]);
        let messages = [3, 5, 7, 9, 11].map(|at| details[at]["message"].as_str().unwrap());
        assert_eq!(mailed(&mut mails, 5).await, messages);

        // The root of the account started them by StartExecution, without a word of who it is.
        assert!(
            details.iter().all(|detail| detail["started_by"].is_null()),
            "{details:#?}"
        );
        let sent = chatted(&mut chats, 5).await;
        assert_eq!(sent, [3, 5, 7, 9, 11].map(|at| details[at]["chat"].clone()));
        let [_, failure, recovery, ..] = sent.as_slice() else {
            unreachable!()
        };
        let content = &failure["content"];
        assert!(
            content["title"].as_str().unwrap().ends_with(" failed"),
            "{failure}"
        );
        assert!(
            content["description"].as_str().unwrap().contains("no space left"),
            "{failure}"
        );
        let step = content["nextSteps"][0].as_str().unwrap();
        assert!(
            step.starts_with("`seedflow logs ") && step.contains(" --project reported "),
            "{failure}"
        );
        assert!(
            recovery["content"]["title"]
                .as_str()
                .unwrap()
                .ends_with(" works again"),
            "{recovery}"
        );
        assert_eq!(recovery["metadata"]["threadId"], failure["metadata"]["threadId"]);
    });
}

#[test]
fn a_refused_event_fails_nothing_and_is_logged() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("unreported");
        let mut received = EventQueue::of_project(stack, "unreported").await;
        let refused = Rule::new("events", "PutEvents", Action::FailEntries)
            .caller(Caller::Functions)
            .contains("in project unreported was deployed");
        let refused = stack.rule(refused);
        let module = Module::running("build", &["echo good"]);
        let finished = stack.deploy(&id, &module).await;
        assert_state(&finished, "SUCCEEDED");
        // Sent more than once.
        assert_eq!(refused.applied(), 3);

        let line = eventually("the line of an event that was not sent", || async {
            let lines = stack.lines("update-metadata").await;
            lines
                .into_iter()
                .find(|line| line["level"] == "ERROR" && line.to_string().contains(&finished.execution))
        })
        .await;
        assert_eq!(line["message"], "event not sent", "{line}");
        // Complete, and in a form that can be sent again.
        drop(refused);
        let entries: Value = serde_json::from_str(line["entries"].as_str().unwrap()).unwrap();
        let again = json!({"Entries": [{
            "Source": entries[0]["Source"], "DetailType": entries[0]["DetailType"], "Detail": entries[0]["Detail"],
        }]});
        stack.call("events", "AWSEvents.PutEvents", again).await;
        let details = module_events(&mut received, 2).await;
        assert_eq!(details[1]["state"], "SUCCEEDED", "{details:#?}");
        let faults = schema::faults("module-state-change", &details).await;
        assert!(faults.is_empty(), "{faults:#?}");
    });
}
