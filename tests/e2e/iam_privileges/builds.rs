//! Builds of a stack without a managed policy for builds: their role suffices.

use seedflow_e2e::{Module, TestStack, eventually, run};
use serde_json::{Value, json};

use super::{IN_USE, STACK};

#[test]
fn a_build_has_its_role_and_nothing_else() {
    run(async {
        let _in_use = IN_USE.read().await;
        let stack = STACK.get().await;
        let id = stack.module_id("build-role");
        let module = Module::running(
            "build",
            &[
                "aws sts get-caller-identity --query Arn --output text",
                "aws s3 ls > listed 2>&1 && exit 1; grep -o AccessDenied listed",
                "aws ssm put-parameter --name /x --value y --type String > put 2>&1 && exit 1; grep -o AccessDenied put",
                "seedfarmer metadata add -k Key -v value",
            ],
        );
        let finished = stack.deploy(&id, &module).await;
        // The source was read, and the log and the artifact were written, by the role's own statements.
        assert_eq!(finished.state(), "SUCCEEDED", "{}", finished.cause);
        assert_eq!(stack.parameter(&id, "metadata").await["Key"], "value");
        let id = finished.build_id().expect("a build");
        let (_, uuid) = id.split_once(':').expect("an id with a uuid");
        let role = &stack.resources("AWS::IAM::Role").await["BuildRole"];
        let session = format!(
            "arn:aws:sts::{}:assumed-role/{role}/AWSCodeBuild-{uuid}",
            stack.about().account
        );
        let log = stack.log(&stack.build(id).await).await;
        assert!(log.iter().any(|line| line.trim() == session), "{log:#?}");
        assert_eq!(
            log.iter().filter(|line| line.trim() == "AccessDenied").count(),
            2,
            "{log:#?}"
        );
    });
}

/// Runs a build with these overrides until it ends.
async fn build(stack: &TestStack, overrides: &Value) -> Value {
    let mut input = json!({"projectName": stack.about().project_name});
    for (name, value) in overrides.as_object().expect("overrides") {
        input[name] = value.clone();
    }
    let started = stack
        .call("codebuild", "CodeBuild_20161006.StartBuild", input)
        .await;
    let id = started["build"]["id"].as_str().expect("an id");
    eventually("the end of a build", || async {
        Some(stack.build(id).await).filter(|build| build["buildComplete"] == true)
    })
    .await
}

#[test]
fn what_the_role_may_not_read_or_write_fails_the_build() {
    run(async {
        let _in_use = IN_USE.read().await;
        let stack = STACK.get().await;
        let bucket = &stack.about().work_bucket;
        let forbidden = "reports/build-role/forbidden";
        stack.put(forbidden, b"version: 0.2".to_vec()).await;
        stack.put_parameter("/forbidden", "secret").await;
        let spec = json!({
            "version": 0.2,
            "phases": {"build": {"commands": ["touch made"]}},
            "artifacts": {"files": ["made"]},
        });
        let variable = json!({"name": "V", "type": "PARAMETER_STORE", "value": "/forbidden"});
        let artifacts =
            json!({"type": "S3", "location": bucket, "path": "reports", "name": "x", "packaging": "ZIP"});
        for (phase, action, overrides) in [
            (
                "DOWNLOAD_SOURCE",
                "s3:GetObject",
                json!({"sourceTypeOverride": "S3", "sourceLocationOverride": format!("{bucket}/{forbidden}")}),
            ),
            (
                "DOWNLOAD_SOURCE",
                "s3:GetObject",
                json!({"buildspecOverride": format!("arn:aws:s3:::{bucket}/{forbidden}")}),
            ),
            (
                "DOWNLOAD_SOURCE",
                "ssm:GetParameters",
                json!({"buildspecOverride": spec.to_string(), "environmentVariablesOverride": [variable]}),
            ),
            (
                "UPLOAD_ARTIFACTS",
                "s3:PutObject",
                json!({"buildspecOverride": spec.to_string(), "artifactsOverride": artifacts}),
            ),
        ] {
            let build = build(stack, &overrides).await;
            assert_eq!(build["buildStatus"], "FAILED", "{overrides}");
            let phases = build["phases"].as_array().expect("phases");
            let failed = phases
                .iter()
                .find(|phase| phase["phaseStatus"] == "FAILED")
                .expect("a phase");
            assert_eq!(failed["phaseType"], phase);
            let message = failed["contexts"][0]["message"].as_str().expect("a message");
            assert!(
                message.contains("AccessDenied") && message.contains(action),
                "{message}"
            );
        }
    });
}

#[test]
fn modules_refer_to_what_an_administrator_named_and_to_nothing_else() {
    run(async {
        let _in_use = IN_USE.read().await;
        let stack = STACK.get().await;
        let module = Module::running("build", &["[ \"$SEEDFARMER_PARAMETER_A\" = value ]"]);
        // The name of the last begins with that of the first, and belongs to another secret.
        for name in ["named", "second", "named-other"] {
            let secret = json!({"Name": format!("seedflow-examples/{name}"), "SecretString": "value"});
            stack
                .call("secretsmanager", "secretsmanager.CreateSecret", secret)
                .await;
        }
        stack.put_parameter("/seedflow-examples/named", "value").await;
        stack.put_parameter("/other/parameter", "value").await;
        for (name, reference, refused) in [
            (
                "named-parameter",
                json!({"parameter_store": "/seedflow-examples/named"}),
                None,
            ),
            (
                "named-secret",
                json!({"secrets_manager": "seedflow-examples/named"}),
                None,
            ),
            (
                "second-secret",
                json!({"secrets_manager": "seedflow-examples/second"}),
                None,
            ),
            // check-md5 reads the version of a parameter, the build the value of a secret.
            (
                "other-parameter",
                json!({"parameter_store": "/other/parameter"}),
                Some("ReferencedParameters"),
            ),
            (
                "other-secret",
                json!({"secrets_manager": "seedflow-examples/named-other"}),
                Some("secretsmanager:GetSecretValue"),
            ),
        ] {
            let more = json!({"parameters": {"a": reference}});
            let finished = stack.deploy_with(&stack.module_id(name), &module, more).await;
            match refused {
                None => assert_eq!(finished.state(), "SUCCEEDED", "{name}: {}", finished.cause),
                Some(why) => {
                    assert_eq!(finished.state(), "FAILED", "{name}");
                    let cause = &finished.cause;
                    assert!(
                        cause.contains("AccessDenied") && cause.contains(why),
                        "{name}: {cause}"
                    );
                }
            }
        }
    });
}
