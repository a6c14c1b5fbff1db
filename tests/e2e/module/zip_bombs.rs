//! Zip bombs, deployed: the deployment fails with the name of the error, and the function keeps running.

use seedflow_e2e::{Finished, Module, ModuleId, TestStack, eventually, module_id, run, zip_bombs};
use serde_json::{Value, json};

use super::deliveries::described;
use super::{STACK, assert_state};

/// A bundle, the error in which its execution ends, and the message's text.
struct Bomb {
    name: &'static str,
    bundle: Vec<u8>,
    error: &'static str,
    says: &'static str,
}

fn bombs() -> [Bomb; 5] {
    let deployspec = |text: &str| Module::with_deployspec(text).zip();
    [
        Bomb {
            name: "ten-gigabytes",
            bundle: zip_bombs::ten_gigabytes(),
            error: "InvalidBundle",
            says: "more than 200 times its size (a zip bomb)",
        },
        Bomb {
            name: "many-entries",
            bundle: zip_bombs::files(200_000),
            error: "InvalidBundle",
            says: "200001 entries; at most 100000 are allowed",
        },
        Bomb {
            name: "laughs",
            bundle: deployspec(&zip_bombs::laughs("deploy")),
            error: "InvalidDeployspec",
            says: "more than 100,000 values",
        },
        Bomb {
            name: "repeated-text",
            bundle: deployspec(&zip_bombs::repeated_text("deploy")),
            error: "InvalidDeployspec",
            says: "more than 1 MiB of text",
        },
        Bomb {
            name: "deep",
            bundle: deployspec(&format!("deploy: {}", "[".repeat(60_000))),
            error: "InvalidDeployspec",
            says: "deployspec.yaml line 1: ",
        },
    ]
}

#[test]
fn a_bomb_fails_its_deployment_and_no_other() {
    run(async {
        let stack = STACK.get().await;
        for bomb in bombs() {
            let id = module_id(&format!("bomb-{}", bomb.name), "dev", "core", "module");
            let mut input = stack
                .input(&id, &Module::running("build", &["true"]), json!({}))
                .await;
            input["source"] = stack.upload_bytes(&id, bomb.bundle).await;
            let finished = stack.execute(&input).await;
            assert_refused(stack, &id, &finished, bomb.error, bomb.says).await;
            let good = stack.deploy(&id, &Module::running("build", &["true"])).await;
            assert_state(&good, "SUCCEEDED");
        }
    });
}

#[test]
fn a_manifest_that_explodes_or_is_not_text_fails_its_upload() {
    run(async {
        let stack = STACK.get().await;
        for (name, manifest, says) in [
            (
                "laughs",
                zip_bombs::laughs("parameters").into_bytes(),
                "manifest.yaml line 5: more than 100,000 values",
            ),
            (
                "no-text",
                b"parameters: {a: \xff\xfe}".to_vec(),
                "manifest.yaml is not valid UTF-8",
            ),
        ] {
            let id = module_id(&format!("manifest-{name}"), "dev", "core", "module");
            let module = Module::running("build", &["true"]).file("manifest.yaml", manifest);
            // Without the four names it is an upload, with its names in its key and its options in its bundle.
            let key = format!("sources/manifest-{name}/dev/core/module.zip");
            stack.put(&key, module.zip()).await;
            // The upload's event starts it. One more by hand would compete with that one for the lock.
            let started = eventually("the execution of an upload", || described(stack, &key)).await;
            let execution = started["executionArn"].as_str().unwrap_or_default();
            let finished = stack.finished(execution).await;
            assert_refused(stack, &id, &finished, "InvalidInput", says).await;
        }
    });
}

#[test]
fn an_input_that_nests_too_deep_is_refused_and_its_failure_recorded() {
    run(async {
        let stack = STACK.get().await;
        // The functions' JSON reader accepts at most 128 levels.
        for depth in [65, 120, 140] {
            let id = module_id(&format!("deep-{depth}"), "dev", "core", "module");
            let deep = (0..depth).fold(json!(1), |inner, _| json!([inner]));
            let more = json!({"parameters": {"deep": deep}});
            let finished = stack
                .deploy_with(&id, &Module::running("build", &["true"]), more)
                .await;
            let says =
                "parameters.deep: expected at most 64, found lists and objects nested more than 64 deep";
            assert_refused(stack, &id, &finished, "InvalidInput", says).await;
        }
    });
}

#[test]
fn metadata_that_nests_too_deep_is_refused_and_blocks_no_later_deployment() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("deep-metadata");
        let handing_back = |depth: usize| {
            let deep = format!("{{\"Deep\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
            let command = format!("echo '{deep}' > \"$SEEDFLOW_MODULE_ROOT/SEEDFARMER_MODULE_METADATA\"");
            Module::running("build", &[&command])
        };
        let refused = stack.deploy(&id, &handing_back(65)).await;
        assert_eq!(refused.error, "Refused", "{}", refused.cause);
        assert!(
            refused.cause.contains("nests more than 64 deep"),
            "{}",
            refused.cause
        );
        assert_state(&stack.deploy(&id, &handing_back(64)).await, "SUCCEEDED");
        // The plan of the next deployment contains it.
        assert_state(&stack.deploy(&id, &handing_back(1)).await, "SUCCEEDED");
    });
}

async fn assert_refused(stack: &TestStack, id: &ModuleId, finished: &Finished, error: &str, says: &str) {
    assert_eq!(finished.error, error, "{}", finished.cause);
    assert!(
        finished.cause.contains(says),
        "{}: {}",
        id.project,
        finished.cause
    );
    assert_eq!(finished.build, Value::Null);
    let status = stack.parameter(id, "status").await;
    assert_eq!(
        (&status["state"], &status["error"]),
        (&json!("REFUSED"), &json!(error))
    );
    assert_eq!(status["refused"]["execution"], finished.execution.as_str());
    assert_eq!(status["reason"].as_str(), Some(finished.cause.as_str()));
}
