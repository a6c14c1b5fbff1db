//! The proxy: what it counts, limits, disturbs and passes on.

use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::{Request, StatusCode};
use seedflow_local::proxy::{Action, Caller, Rule};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stack::{Stack, stack};
use crate::traffic::{control, json_call, send};

const PUT: &str = "AWSEvents.PutEvents";

fn event(text: &str) -> serde_json::Value {
    json!({"Entries": [{"Source": "s", "DetailType": "t", "Detail": json!({"text": text}).to_string()}]})
}

fn clients(stack: &Stack) -> String {
    stack.proxy.endpoint(Caller::Clients)
}

#[tokio::test]
async fn calls_are_counted_by_caller_service_and_operation() {
    let stack = stack().await;
    let functions = stack.proxy.endpoint(Caller::Functions);
    json_call(&functions, PUT, &event("a")).await.unwrap();
    json_call(&functions, PUT, &event("b")).await.unwrap();
    json_call(
        &clients(&stack),
        "CodeBuild_20161006.BatchGetBuilds",
        &json!({"ids": ["p:x"]}),
    )
    .await
    .unwrap();
    stack.run(json!({})).await;
    let calls = stack.proxy.calls();
    assert_eq!(calls.get(Caller::Functions, "events:PutEvents"), 2);
    assert_eq!(calls.total(Caller::Functions), 2);
    assert_eq!(calls.get(Caller::Clients, "codebuild:BatchGetBuilds"), 1);
    assert_eq!(calls.get(Caller::Codebuild, "codebuild:BatchGetProjects"), 1);
    assert!(calls.get(Caller::Builds, "logs:PutLogEvents") >= 1);

    let page = format!("{functions}/_seedflow/calls");
    let (_, shown) = control("GET", page.clone(), &json!(null)).await;
    assert_eq!(shown["functions"], json!({"events:PutEvents": 2}));
    control("DELETE", page.clone(), &json!(null)).await;
    assert_eq!(
        control("GET", page, &json!(null)).await.1["functions"],
        json!(null)
    );
    assert_eq!(stack.proxy.calls().total(Caller::Functions), 0);
}

#[tokio::test]
async fn codebuild_is_answered_by_its_emulator_and_its_projects_by_the_emulator() {
    let stack = stack().await;
    let call = async |operation: &str, input| {
        json_call(
            &clients(&stack),
            &format!("CodeBuild_20161006.{operation}"),
            &input,
        )
        .await
        .unwrap()
    };
    let (status, answer) = call("StartBuild", json!({"projectName": "p"})).await;
    assert_eq!(status, StatusCode::OK);
    let id = answer["build"]["id"].as_str().unwrap();
    stack.ended(id).await;
    let (_, answer) = call("BatchGetBuilds", json!({"ids": [id, "p:none"]})).await;
    assert_eq!(
        (&answer["builds"][0]["buildStatus"], &answer["buildsNotFound"]),
        (&json!("SUCCEEDED"), &json!(["p:none"]))
    );
    let (status, error) = call("StartBuild", json!({"projectName": "none"})).await;
    assert_eq!(
        (status, &error["__type"]),
        (StatusCode::BAD_REQUEST, &json!("ResourceNotFoundException"))
    );
    assert_eq!(
        call("BatchGetProjects", json!({"names": ["p"]})).await.1["projects"][0]["name"],
        "p"
    );
    call("CreateProject", json!({"name": "q"})).await;
    let stored = stack.emulator.stored.borrow();
    assert!(
        stored
            .requests
            .contains(&"POST CodeBuild_20161006.CreateProject".to_owned())
    );
    assert!(
        stored
            .requests
            .contains(&"POST CodeBuild_20161006.StartBuild".to_owned()),
        "the emulator is asked whether the caller may"
    );
}

#[tokio::test]
async fn what_the_emulator_refuses_codebuilds_does_not_serve() {
    let stack = stack().await;
    let target = "CodeBuild_20161006.StartBuild";
    let start = json!({"projectName": "p"});
    stack
        .emulator
        .change(|stored| stored.forbidden.extend([target.to_owned()]));
    let (status, error) = json_call(&clients(&stack), target, &start).await.unwrap();
    assert_eq!(
        (status, &error["__type"]),
        (StatusCode::BAD_REQUEST, &json!("AccessDeniedException"))
    );
    let builds = stack.call("ListBuilds", json!({})).await.unwrap();
    assert_eq!(builds["ids"], json!([]));
}

#[tokio::test]
async fn rules_refuse_drop_lose_discard_and_double() {
    let stack = stack().await;
    let url = clients(&stack);
    let forwarded = || stack.emulator.stored.borrow().events.len();
    let refuse = Action::Refuse {
        status: 400,
        code: "ThrottlingException".into(),
        message: "Rate exceeded".into(),
    };
    let id = stack.proxy.add_rule(Rule {
        skip: 1,
        ..Rule::new("events", "PutEvents", refuse).times(1)
    });
    assert_eq!(
        json_call(&url, PUT, &event("passes")).await.unwrap().0,
        StatusCode::OK
    );
    let (status, body) = json_call(&url, PUT, &event("refused")).await.unwrap();
    assert_eq!(
        (status, body),
        (
            StatusCode::BAD_REQUEST,
            json!({"__type": "ThrottlingException", "message": "Rate exceeded"})
        )
    );
    assert_eq!(
        json_call(&url, PUT, &event("passes")).await.unwrap().0,
        StatusCode::OK
    );
    assert_eq!((stack.proxy.rule_applied(id), forwarded()), (1, 2));
    assert!(stack.proxy.remove_rule(id) && !stack.proxy.remove_rule(id));

    for (action, answered, reaches) in [
        (Action::Drop, false, 0),
        (Action::LoseAnswer, false, 1),
        (Action::Discard, true, 0),
        (Action::FailEntries, true, 0),
        (Action::Duplicate, true, 2),
    ] {
        let before = forwarded();
        stack
            .proxy
            .add_rule(Rule::new("events", "PutEvents", action.clone()).contains("chosen"));
        let answer = json_call(&url, PUT, &event("chosen")).await;
        assert_eq!(answer.is_ok(), answered, "{action:?}");
        if let Ok((_, body)) = answer {
            let failed = usize::from(action == Action::FailEntries);
            assert_eq!(body["FailedEntryCount"], failed);
            assert_eq!(body["Entries"][0]["ErrorCode"].is_string(), failed == 1);
        }
        assert_eq!(forwarded() - before, reaches, "{action:?}");
        assert_eq!(
            json_call(&url, PUT, &event("other")).await.unwrap().0,
            StatusCode::OK
        );
        stack.proxy.clear_rules();
    }
}

#[tokio::test]
async fn a_delay_holds_one_callers_requests() {
    let stack = stack().await;
    let delay = Duration::from_millis(150);
    let rule = Rule::new("events", "PutEvents", Action::Delay(delay)).caller(Caller::Functions);
    let id = stack.proxy.add_rule(rule);
    json_call(&clients(&stack), PUT, &event("a")).await.unwrap();
    assert_eq!(stack.proxy.rule_applied(id), 0);
    let start = Instant::now();
    json_call(&stack.proxy.endpoint(Caller::Functions), PUT, &event("a"))
        .await
        .unwrap();
    assert!(start.elapsed() >= delay);
}

#[tokio::test]
async fn rules_are_set_over_http_and_errors_follow_the_protocol() {
    let stack = stack().await;
    let url = clients(&stack);
    let page = format!("{url}/_seedflow/rules");
    let rule = json!({"service": "s3", "action": {"refuse": {"status": 503, "code": "SlowDown", "message": "<slow>"}}});
    let (status, answer) = control("POST", page.clone(), &rule).await;
    assert_eq!((status, &answer), (StatusCode::OK, &json!({"id": 1})));
    let get = || {
        Request::get(format!("{url}/bucket/key"))
            .body(Full::default())
            .unwrap()
    };
    let (status, body) = send(get()).await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        body.starts_with(b"<Error><Code>SlowDown</Code><Message>&lt;slow&gt;</Message>"),
        "{body:?}"
    );
    let form = Request::post(&url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from("Action=DescribeStacks&Version=2010-05-15"))
        .unwrap();
    control("POST", page.clone(), &json!({"operation": "DescribeStacks", "action": {"refuse": {"status": 400, "code": "Throttling", "message": "m"}}})).await;
    let (_, body) = send(form).await.unwrap();
    assert!(
        body.starts_with(b"<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>"),
        "{body:?}"
    );
    assert_eq!(
        control("GET", page.clone(), &json!(null)).await.1[0]["applied"],
        1
    );
    assert_eq!(
        control("DELETE", format!("{page}/1"), &json!(null)).await.0,
        StatusCode::OK
    );
    assert_eq!(send(get()).await.unwrap().0, StatusCode::NOT_FOUND);
    for bad in [
        json!({"action": "explode"}),
        json!({"unknown": 1, "action": "drop"}),
    ] {
        assert_eq!(
            control("POST", page.clone(), &bad).await.0,
            StatusCode::BAD_REQUEST
        );
    }
    control("POST", page.clone(), &json!({"action": {"delay": 1}})).await;
    control("DELETE", page.clone(), &json!(null)).await;
    assert_eq!(control("GET", page, &json!(null)).await.1, json!([]));
}

#[tokio::test]
async fn parameters_have_aws_limits() {
    let stack = stack().await;
    let put = async |input| {
        json_call(&clients(&stack), "AmazonSSM.PutParameter", &input)
            .await
            .unwrap()
    };
    let (status, error) = put(json!({"Name": "/p", "Type": "String", "Value": "x".repeat(4097)})).await;
    assert_eq!(
        (status, &error["__type"]),
        (StatusCode::BAD_REQUEST, &json!("ValidationException"))
    );
    let smart =
        json!({"Name": "/p", "Type": "String", "Value": "x".repeat(5000), "Tier": "Intelligent-Tiering"});
    assert_eq!(put(smart).await.0, StatusCode::OK);
    assert_eq!(
        stack.emulator.stored.borrow().last_put["Tier"],
        "Intelligent-Tiering",
        "a request is signed, and passed on as it came"
    );
    let (_, error) = put(json!({"Name": "/p", "Value": "x", "Tier": "Standard", "Overwrite": true})).await;
    assert!(
        error["message"].as_str().unwrap().contains("can't downgrade"),
        "{error}"
    );
    let names = json!({"Names": vec!["/a"; 11]});
    let (status, _) = json_call(&clients(&stack), "AmazonSSM.GetParameters", &names)
        .await
        .unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn large_and_chunked_bodies_and_those_that_wait_for_a_go_are_passed_on() {
    let stack = stack().await;
    let url = clients(&stack);
    let large = vec![b'x'; 20 << 20];
    let put = Request::put(format!("{url}/bucket/large"))
        .body(Full::from(large.clone()))
        .unwrap();
    assert_eq!(send(put).await.unwrap().0, StatusCode::OK);
    assert_eq!(stack.emulator.object("bucket/large").unwrap().len(), large.len());
    let get = Request::get(format!("{url}/bucket/large"))
        .body(Full::default())
        .unwrap();
    assert_eq!(send(get).await.unwrap().1.len(), large.len());

    let address = url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "PUT /bucket/waited HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 25];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    let chunked = "dataPUT /bucket/chunked HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    stream.write_all(chunked.as_bytes()).await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest.matches("HTTP/1.1 200 OK").count(), 2, "{rest}");
    assert_eq!(stack.emulator.object("bucket/waited").unwrap(), "data");
    assert_eq!(stack.emulator.object("bucket/chunked").unwrap(), "abcde");
}

#[tokio::test]
async fn a_stopped_emulator_is_reported() {
    let mut stack = stack().await;
    stack.emulator.stop().await;
    let (status, error) = json_call(&clients(&stack), PUT, &event("a")).await.unwrap();
    assert_eq!(
        (status, &error["__type"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("ServiceUnavailable"))
    );
    assert_eq!(
        stack.start(json!({})).await.unwrap_err().code,
        "ServiceUnavailable"
    );
}

#[tokio::test]
async fn a_watcher_receives_every_parameter_write() {
    let stack = stack().await;
    let mut writes = stack.proxy.watch_parameter_writes();
    for value in ["x".repeat(4097), "kept".to_owned()] {
        let put = json!({"Name": "/p", "Type": "String", "Value": value});
        json_call(&clients(&stack), "AmazonSSM.PutParameter", &put)
            .await
            .unwrap();
    }
    // The first one was refused.
    let write = writes.recv().await.unwrap();
    assert_eq!((write.name.as_str(), write.value.as_str()), ("/p", "kept"));
    assert!(writes.is_empty());
}
