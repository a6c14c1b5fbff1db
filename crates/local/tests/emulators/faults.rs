//! What only the proxy can do to a call: kill who makes it, hold Parameter Store to an account's rates, and
//! answer in AWS's words.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use http_body_util::Full;
use hyper::{Request, StatusCode};
use seedflow_local::proxy::quotas::parameter_store;
use seedflow_local::proxy::{Action, Caller, Rule, When};
use serde_json::json;

use crate::stack::{Stack, stack};
use crate::traffic::{control, json_call, send};

const PUT: &str = "AmazonSSM.PutParameter";

/// A shell that puts an object through the proxy and then waits for the answer: as a function, with its
/// program in the folder of functions, or as somebody else.
fn shell(stack: &Stack, is_function: bool) -> Child {
    let shell = if is_function {
        let folder = stack.folder.path().join("functions/one");
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("bootstrap");
        // By a process of its own: a program that this one has open for writing can't be run.
        let copied = Command::new("cp")
            .arg("/bin/bash")
            .arg(&program)
            .status()
            .unwrap();
        assert!(copied.success());
        program
    } else {
        "/bin/bash".into()
    };
    let endpoint = stack.proxy.endpoint(Caller::Functions);
    let port = endpoint.rsplit(':').next().unwrap();
    let request = "PUT /bucket/key HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 4\\r\\n\\r\\ndata";
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{request}' >&3; read -r line <&3; echo \"$line\""
    );
    let mut command = Command::new(shell);
    command
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The signal that ended it, and what it was answered.
async fn end(shell: Child) -> (Option<i32>, String) {
    let output = tokio::task::spawn_blocking(|| shell.wait_with_output().unwrap());
    let output = output.await.unwrap();
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.signal(), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_killed_before_or_after_its_call_is_forwarded() {
    const SIGKILL: i32 = 9;
    for (when, forwarded) in [(When::Before, 0), (When::After, 1)] {
        let stack = stack().await;
        let rule = Rule::new("s3", "PutObject", Action::Kill(when)).contains("bucket/key");
        // The first write passes: which write it is that kills is the rule's choice.
        let id = stack.proxy.add_rule(rule.skip(1));
        assert_eq!(
            end(shell(&stack, true)).await,
            (None, "HTTP/1.1 200 OK".to_owned())
        );
        assert_eq!(
            end(shell(&stack, true)).await,
            (Some(SIGKILL), String::new()),
            "{when:?}"
        );
        assert_eq!(stack.proxy.rule_applied(id), 1);
        let stored = stack.emulator.stored.borrow().objects["bucket/key"].len();
        assert_eq!(stored, 1 + forwarded, "{when:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_functions_are_killed() {
    let stack = stack().await;
    std::fs::create_dir(stack.folder.path().join("functions")).unwrap();
    stack
        .proxy
        .add_rule(Rule::new("s3", "PutObject", Action::Kill(When::Before)));
    assert_eq!(
        end(shell(&stack, false)).await,
        (None, "HTTP/1.1 400 Bad Request".to_owned())
    );
    // Nor is this test itself.
    let put = Request::put(format!("{}/bucket/key", stack.proxy.endpoint(Caller::Clients)));
    let (status, body) = send(put.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let body = String::from_utf8_lossy(&body);
    assert!(
        body.contains("<Code>NobodyKilled</Code>") && body.contains("not made by a function"),
        "{body}"
    );
}

#[tokio::test]
async fn calls_are_held_to_an_accounts_quotas() {
    let stack = stack().await;
    let put = async |caller| {
        let input = json!({"Name": "/p", "Value": "x", "Type": "String", "Overwrite": true});
        json_call(&stack.proxy.endpoint(caller), PUT, &input)
            .await
            .unwrap()
    };
    stack.proxy.apply_quotas(&parameter_store(40, 1));
    assert_eq!(put(Caller::Functions).await.0, StatusCode::OK);
    let (status, error) = put(Caller::Builds).await;
    assert_eq!(
        (status, error),
        (
            StatusCode::BAD_REQUEST,
            json!({"__type": "ThrottlingException", "message": "Rate exceeded"})
        )
    );
    assert_eq!(put(Caller::Clients).await.0, StatusCode::OK);
    let writes = stack.proxy.quota_count("ssm", "PutParameter");
    assert_eq!((writes.granted, writes.refused, writes.peak), (1, 1, 1));

    let page = format!("{}/_seedflow/quotas", stack.proxy.endpoint(Caller::Clients));
    let (_, shown) = control("GET", page.clone(), &json!(null)).await;
    assert_eq!(shown[1]["operations"], json!(["PutParameter"]));
    assert_eq!(shown[1]["limit"], json!({"per_second": 1}));
    assert_eq!(shown[1]["count"]["refused"], 1);
    let unknown = json!([{"writes": 3}]);
    assert_eq!(
        control("PUT", page.clone(), &unknown).await.0,
        StatusCode::BAD_REQUEST
    );
    let none =
        json!([{"service": "ssm", "operations": ["PutParameter"], "limit": {"per_second": 0}, "source": ""}]);
    assert_eq!(control("PUT", page.clone(), &none).await.0, StatusCode::OK);
    assert_eq!(put(Caller::Functions).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(control("DELETE", page, &json!(null)).await.0, StatusCode::OK);
    assert_eq!(put(Caller::Functions).await.0, StatusCode::OK);
}

#[tokio::test]
async fn refusals_are_worded_as_each_service_words_them() {
    let stack = stack().await;
    let url = stack.proxy.endpoint(Caller::Functions);
    let json_answer = async |action: Action, service: &str, operation: &str, target: &str| {
        stack.proxy.add_rule(Rule::new(service, operation, action));
        let (status, error) = json_call(&url, target, &json!({})).await.unwrap();
        stack.proxy.clear_rules();
        (status.as_u16(), error["__type"].as_str().unwrap().to_owned())
    };
    for (service, operation, target, throttled, unavailable) in [
        (
            "ssm",
            "PutParameter",
            PUT,
            (400, "ThrottlingException"),
            (500, "InternalServerError"),
        ),
        (
            "codebuild",
            "StartBuild",
            "CodeBuild_20161006.StartBuild",
            (400, "ThrottlingException"),
            (503, "ServiceUnavailable"),
        ),
        (
            "states",
            "SendTaskSuccess",
            "AWSStepFunctions.SendTaskSuccess",
            (400, "ThrottlingException"),
            (503, "ServiceUnavailable"),
        ),
    ] {
        for (action, (status, code)) in [
            (Action::throttled(service), throttled),
            (Action::unavailable(service), unavailable),
        ] {
            assert_eq!(
                json_answer(action, service, operation, target).await,
                (status, code.to_owned())
            );
        }
    }
    let xml_answer = async |service: &str, operation: &str, action: Action, request| {
        stack.proxy.add_rule(Rule::new(service, operation, action));
        let (status, body) = send(request).await.unwrap();
        stack.proxy.clear_rules();
        (status.as_u16(), String::from_utf8_lossy(&body).into_owned())
    };
    let get = || {
        Request::get(format!("{url}/bucket/key"))
            .body(Full::default())
            .unwrap()
    };
    let describe = || {
        Request::post(&url)
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/cloudformation/aws4_request",
            )
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from("Action=DescribeStacks"))
            .unwrap()
    };
    let (status, body) = xml_answer("s3", "GetObject", Action::throttled("s3"), get()).await;
    assert!(status == 503 && body.contains("<Code>SlowDown</Code>"), "{body}");
    let (status, body) = xml_answer("s3", "GetObject", Action::unavailable("s3"), get()).await;
    assert!(
        status == 500 && body.contains("<Code>InternalError</Code>"),
        "{body}"
    );
    let stacks = ("cloudformation", "DescribeStacks");
    let throttled = Action::throttled(stacks.0);
    let (status, body) = xml_answer(stacks.0, stacks.1, throttled, describe()).await;
    assert!(
        status == 400 && body.contains("<Code>Throttling</Code>"),
        "{body}"
    );
    let unavailable = Action::unavailable(stacks.0);
    let (status, body) = xml_answer(stacks.0, stacks.1, unavailable, describe()).await;
    assert!(
        status == 503 && body.contains("<Code>ServiceUnavailable</Code>"),
        "{body}"
    );
}
