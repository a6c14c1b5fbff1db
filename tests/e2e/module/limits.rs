//! At the limits and one over: values too long for Parameter Store, for StartBuild, and for a build's returned values.

use seedflow_core::telemetry::metric::Metric;
use seedflow_e2e::{Module, ModuleId, TestStack, eventually, run};
use serde_json::{Map, Value, json};

use super::{STACK, assert_state};

/// A module that returns a text of that length, and the length of the returned text that it found before.
fn handing_back(length: usize) -> Module {
    let python = format!(
        "import json, os; before = json.loads(os.environ['SEEDFARMER_MODULE_METADATA']) or {{}}; \
         print(json.dumps({{'Before': '%06d' % len(before.get('Long', '')), 'Long': 'x' * {length}}}))"
    );
    let command = format!("python3 -c \"{python}\" > \"$SEEDFLOW_MODULE_ROOT/SEEDFARMER_MODULE_METADATA\"");
    Module::running("build", &[&command])
}

/// The metadata of a module as a reader that follows references gets it, and the text of the parameter itself.
async fn metadata(stack: &TestStack, id: &ModuleId) -> (Value, String) {
    let parameter = stack.parameters(id).await.remove("metadata").expect("metadata");
    let value = stack.value(&parameter).await;
    (serde_json::from_str(&value).expect("JSON"), parameter.value)
}

#[test]
fn a_value_is_read_back_on_both_sides_of_every_limit() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("limits");
        assert_state(&stack.deploy(&id, &handing_back(100)).await, "SUCCEEDED");
        // The rest of the metadata has the same length in every deployment.
        let around = metadata(stack, &id).await.1.len() - 100;
        let mut before = 100;
        for (stored, spilled) in [(4096, false), (4097, false), (8192, false), (8193, true)] {
            let length = stored - around;
            let module = handing_back(length);
            let deployed = stack.deploy(&id, &module).await;
            assert_state(&deployed, "SUCCEEDED");
            if spilled {
                let measured = stack.measured("update-metadata", Metric::SpilledValues, &deployed.execution);
                assert_eq!(measured.await, [1.0]);
            }
            let (value, text) = metadata(stack, &id).await;
            assert_eq!(text.contains("stored_in_s3"), spilled, "{stored}");
            assert_eq!(value.to_string().len(), stored);
            assert_eq!(value["Long"].as_str().map(str::len), Some(length));
            assert_eq!(
                value["Before"],
                format!("{before:06}"),
                "what the build saw at {stored}"
            );
            assert_state(&stack.deploy(&id, &module).await, "UNCHANGED");
            before = length;
        }
    });
}

#[test]
fn a_fingerprint_of_many_parameters_is_read_back_too() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("many-parameters");
        let module = Module::running("build", &["true"]);
        let parameters = |changed: usize| {
            let all = (0..300).map(|i| (format!("parameter-{i:03}"), json!(u8::from(i == changed))));
            json!({"parameters": all.collect::<Map<String, Value>>()})
        };
        let first = stack.deploy_with(&id, &module, parameters(999)).await;
        assert_state(&first, "SUCCEEDED");
        assert!(stack.parameter(&id, "md5").await["stored_in_s3"].is_object());
        let again = stack.deploy_with(&id, &module, parameters(999)).await;
        assert_state(&again, "UNCHANGED");
        let changed = stack.deploy_with(&id, &module, parameters(7)).await;
        assert_eq!(changed.reasons, ["parameter parameter-007 changed"]);
    });
}

#[test]
fn a_build_hands_back_32_kb_and_not_a_byte_more() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("handed-back");
        // `{"Before":"000000","Long":""}`, as the build returns it.
        let around = 29;
        let at_limit = handing_back(32 * 1024 - around);
        assert_state(&stack.deploy(&id, &at_limit).await, "SUCCEEDED");
        let stored = stack.parameters(&id).await;
        let over = stack.deploy(&id, &handing_back(32 * 1024 - around + 1)).await;
        assert_eq!(over.error, "Refused");
        for part in [
            "the build's metadata: ",
            "expected an object of at most 32768 bytes, found 32769",
        ] {
            assert!(over.cause.contains(part), "{}", over.cause);
        }
        for slot in ["md5", "metadata", "outputs"] {
            assert_eq!(stack.parameters(&id).await[slot], stored[slot], "{slot}");
        }
        // Long metadata doesn't prevent the next deployment either.
        assert_state(&stack.deploy(&id, &handing_back(10)).await, "SUCCEEDED");
    });
}

#[test]
fn a_buildspec_and_its_variables_reach_the_build_on_both_sides_of_their_limits() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("buildspec");
        let module = |padding: usize| {
            let lengths = "seedfarmer metadata add -k Lengths -v \"${#SEEDFARMER_PARAMETER_IN} ${#SEEDFARMER_PARAMETER_OVER}\"";
            Module::running("build", &[lengths, &format!("true {}", "x".repeat(padding))])
        };
        let parameters = json!({"parameters": {"in": "i".repeat(1024), "over": "o".repeat(1025)}});
        let first = stack.deploy_with(&id, &module(0), parameters.clone()).await;
        let length = buildspec(&first.build).len();
        for (limit, inline) in [(25_600, true), (25_601, false)] {
            let finished = stack
                .deploy_with(&id, &module(limit - length), parameters.clone())
                .await;
            assert_state(&finished, "SUCCEEDED");
            let buildspec = buildspec(&finished.build);
            assert_eq!(buildspec.len() == limit, inline, "{buildspec}");
            assert_eq!(buildspec.starts_with("arn:aws:s3:::"), !inline);
            let variables = finished.build["environment"]["environmentVariables"].to_string();
            assert!(
                variables.contains("SEEDFARMER_PARAMETER_IN")
                    && !variables.contains("SEEDFARMER_PARAMETER_OVER")
            );
            assert_eq!(stack.parameter(&id, "metadata").await["Lengths"], "1024 1025");
        }
    });
}

/// The size limit of a payload of Step Functions (Step Functions Developer Guide, "Service quotas").
const MAX_PAYLOAD: usize = 262_144;

#[test]
fn an_input_of_the_longest_length_is_read_whatever_its_characters_are() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("longest-input");
        let module = Module::running("build", &["true"]);
        let mut input = stack.input(&id, &module, json!({"unknown": ""})).await;
        let around = input.to_string().len();
        // 262,140 bytes or a little less, and a third of that in characters.
        input["unknown"] = json!("日".repeat((MAX_PAYLOAD - 4 - around) / "日".len()));
        let refused = stack.execute(&input).await;
        assert_eq!(refused.error, "InvalidInput", "{}", refused.cause);
        assert!(refused.cause.contains("unknown"), "{}", refused.cause);
        assert_eq!(stack.parameter(&id, "status").await["state"], "REFUSED");
        stack.released(&id).await;
        // Step Functions accepts not one byte more.
        let over = json!({"stateMachineArn": stack.about().state_machine_arn, "input": json!("x".repeat(MAX_PAYLOAD - 1)).to_string()});
        let error = stack
            .client()
            .json("states", "AWSStepFunctions.StartExecution", &over)
            .await;
        assert_eq!(error.unwrap_err().code, "ValidationException");
    });
}

/// `States.ALL` doesn't catch it, so no further state of the execution runs.
#[test]
fn an_execution_that_ends_by_an_error_that_nothing_catches_is_recorded_by_its_end() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("uncaught");
        let module = Module::running("build", &["sleep 600"]);
        let input = stack.input(&id, &module, json!({})).await;
        let execution = stack.start(&input).await;
        let build = stack.build_of(&execution).await;
        let callback = format!("callbacks/{build}");
        let registered = eventually("the registration", || async { stack.object(&callback).await }).await;
        let registered: Value = serde_json::from_slice(&registered).unwrap();
        // The output of AwaitBuild is longer by its key.
        let result = json!({"status": "x".repeat(MAX_PAYLOAD - 20)}).to_string();
        let answer = json!({"taskToken": registered["token"], "output": result});
        stack
            .call("states", "AWSStepFunctions.SendTaskSuccess", answer)
            .await;
        let ended = stack.finished(&execution).await;
        assert_eq!(
            (ended.status.as_str(), ended.error.as_str()),
            ("FAILED", "States.DataLimitExceeded")
        );
        assert!(
            ended.states.iter().all(|(state, _)| state != "RecordFailure"),
            "{:?}",
            ended.states
        );

        stack.released(&id).await;
        let status = stack.parameter(&id, "status").await;
        assert_eq!(
            (&status["state"], &status["error"]),
            (&json!("FAILED"), &json!("States.DataLimitExceeded"))
        );
        assert!(
            status["reason"]
                .as_str()
                .unwrap()
                .contains("maximum number of bytes"),
            "{status}"
        );
        assert_eq!(stack.object(&callback).await, None);
        assert_eq!(stack.build(&build).await["buildStatus"], "STOPPED");
        let next = stack.deploy(&id, &Module::running("build", &["true"])).await;
        assert_state(&next, "SUCCEEDED");
    });
}

fn buildspec(build: &Value) -> &str {
    build["source"]["buildspec"].as_str().expect("a buildspec")
}
