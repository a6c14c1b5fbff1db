//! Bad input: one clear message for each, and no other write. If the four names are valid, the refusal with that message
//! is recorded in the status, whose state stays as it was.

use std::io::{Cursor, Write};

use seedflow_core::telemetry::metric::Metric;
use seedflow_e2e::{Finished, Module, ModuleId, TestStack, eventually, module_id, run};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{STACK, assert_state};

/// The mistake, and the expected text of the message.
struct Case {
    name: &'static str,
    error: &'static str,
    says: &'static str,
    bad: Bad,
}

enum Bad {
    /// A field of an otherwise good input.
    Field(&'static str, Value),
    /// The bytes of the bundle.
    Bundle(Vec<u8>),
    /// The text of the deployspec.
    Deployspec(&'static str),
}

fn case(name: &'static str, error: &'static str, says: &'static str, bad: Bad) -> Case {
    Case {
        name,
        error,
        says,
        bad,
    }
}

fn cases() -> Vec<Case> {
    use Bad::{Bundle, Deployspec, Field};
    let good = || Module::running("build", &["true"]);
    let mut truncated = good().file("data", [7; 5000]).zip();
    truncated.truncate(truncated.len() / 2);
    let mut damaged = zip_of(
        &[("deployspec.yaml", b"deploy: {phases: {}}"), ("data", &[7; 5000])],
        CompressionMethod::Stored,
    );
    damaged[3000] ^= 1;
    vec![
        // ModuleId and types.
        case(
            "name-with-slash",
            "InvalidInput",
            "group: expected 1 to 64 letters…found \"a/b\"",
            Field("/group", json!("a/b")),
        ),
        case(
            "name-climbing",
            "InvalidInput",
            "module: expected …found \"..\"",
            Field("/module", json!("..")),
        ),
        case(
            "name-is-a-number",
            "InvalidInput",
            "deployment: expected a text…found 7",
            Field("/deployment", json!(7)),
        ),
        case(
            "name-missing",
            "InvalidInput",
            "module: expected a text, found nothing; the field is required",
            Field("/module", Value::Null),
        ),
        case(
            "name-too-long",
            "InvalidInput",
            "module: expected …found \"mmm",
            Field("/module", json!("m".repeat(65))),
        ),
        case(
            "project-starts-with-digit",
            "InvalidInput",
            "project: expected 1 to 64 letters in lower case, digits and hyphens, which start with a letter and don't end with a hyphen, found \"1p\"",
            Field("/project", json!("1p")),
        ),
        case(
            "project-in-upper-case",
            "InvalidInput",
            "project: expected 1 to 64 letters in lower case, digits and hyphens, which start with a letter and don't end with a hyphen, found \"PROJB\"; write projb",
            Field("/project", json!("PROJB")),
        ),
        // Fields.
        case(
            "unknown-field",
            "InvalidInput",
            "forced: expected one of action, project…found an unknown field",
            Field("/forced", json!(true)),
        ),
        case(
            "unknown-nested-field",
            "InvalidInput",
            "build.cpu: expected one of …project_name…found an unknown field",
            Field("/build", json!({"cpu": 4})),
        ),
        case(
            "flag-is-a-text",
            "InvalidInput",
            "force_update: expected true or false…found \"yes\"",
            Field("/force_update", json!("yes")),
        ),
        case(
            "source-missing",
            "InvalidInput",
            "source: expected …found nothing",
            Field("/source", Value::Null),
        ),
        case(
            "source-is-a-text",
            "InvalidInput",
            "source: expected a JSON object, found \"s3://b/k\"",
            Field("/source", json!("s3://b/k")),
        ),
        case(
            "source-in-another-bucket",
            "InvalidInput",
            "source.bucket: expected …found \"another-bucket\"",
            Field("/source/bucket", json!("another-bucket")),
        ),
        case(
            "source-in-another-place",
            "InvalidInput",
            "source.key: expected a key under sources/ or uploads/, found \"callbacks/x\"",
            Field("/source/key", json!("callbacks/x")),
        ),
        case(
            "path-climbs",
            "InvalidInput",
            "source.path: expected …found \"../../etc\"",
            Field("/source/path", json!("../../etc")),
        ),
        case(
            "timeout-too-short",
            "InvalidInput",
            "build.timeout_minutes: expected a whole number from 5 to 2160, found 1",
            Field("/build", json!({"timeout_minutes": 1})),
        ),
        case(
            "timeout-above-the-maximum",
            "InvalidInput",
            "build.timeout_minutes: expected at most 480 (template parameter MaxBuildTimeoutMinutes), found 481",
            Field("/build", json!({"timeout_minutes": 481})),
        ),
        case(
            "compute-type-above-the-maximum",
            "InvalidInput",
            "build.compute_type: expected at most BUILD_GENERAL1_XLARGE (template parameter MaxBuildComputeType), found BUILD_GENERAL1_2XLARGE",
            Field("/build", json!({"compute_type": "BUILD_GENERAL1_2XLARGE"})),
        ),
        case(
            "compute-type-unknown",
            "InvalidInput",
            "build.compute_type: expected BUILD_GENERAL1_SMALL…found \"HUGE\"",
            Field("/build", json!({"compute_type": "HUGE"})),
        ),
        case(
            "foreign-codebuild-project",
            "InvalidInput",
            "build.project_name: expected …found \"other\"",
            Field("/build", json!({"project_name": "other"})),
        ),
        case(
            "stack-name-invalid",
            "InvalidInput",
            "stack_name: expected …found \"9 lives\"",
            Field("/stack_name", json!("9 lives")),
        ),
        case(
            "stack-of-another-project",
            "InvalidInput",
            "stack_name: expected a name that starts with bad-stack-of-another-project- (template parameter StackNamePrefix)…found \"payroll-prod-db\"",
            Field("/stack_name", json!("payroll-prod-db")),
        ),
        // Parameters.
        case(
            "parameters-are-a-list",
            "InvalidInput",
            "parameters: expected …found a list",
            Field("/parameters", json!([1])),
        ),
        case(
            "parameter-is-null",
            "InvalidInput",
            "parameters.a: expected …found null",
            Field("/parameters", json!({"a": null})),
        ),
        case(
            "parameters-collide",
            "InvalidInput",
            "parameters.vpcId: expected …found a name that meets \"vpc-id\" in the variable VPC_ID",
            Field("/parameters", json!({"vpc-id": 1, "vpcId": 2})),
        ),
        case(
            "parameter-has-two-references",
            "InvalidInput",
            "parameters.a: expected …found several references",
            Field(
                "/parameters",
                json!({"a": {"parameter_store": "x", "secrets_manager": "y"}}),
            ),
        ),
        case(
            "parameter-too-long",
            "InvalidInput",
            "parameters.a: expected at most 16384 bytes, found 16385 bytes",
            Field("/parameters", json!({"a": "x".repeat(16385)})),
        ),
        // The object.
        case(
            "object-missing",
            "SourceNotFound",
            "uploads/not/there.zip: NoSuchKey; upload the bundle",
            Field("/source/key", json!("uploads/not/there.zip")),
        ),
        case("object-empty", "InvalidBundle", "zip", Bundle(Vec::new())),
        case(
            "no-zip",
            "InvalidBundle",
            "whole, undamaged zip file",
            Bundle(b"#!/bin/sh\necho no zip\n".to_vec()),
        ),
        case(
            "zip-truncated",
            "InvalidBundle",
            "whole, undamaged zip file",
            Bundle(truncated),
        ),
        case("zip-damaged", "InvalidBundle", "data: ", Bundle(damaged)),
        case(
            "zip-empty",
            "InvalidBundle",
            "the archive holds no files",
            Bundle(zip_of(&[], CompressionMethod::Stored)),
        ),
        case(
            "zip-climbs",
            "InvalidBundle",
            "../../evil: the entry's path climbs out of the bundle",
            Bundle(good().file("../../evil", "x").zip()),
        ),
        case(
            "zip-absolute",
            "InvalidBundle",
            "/etc/passwd: the entry's path is absolute",
            Bundle(zip_of(&[("/etc/passwd", b"x")], CompressionMethod::Stored)),
        ),
        case(
            "zip-bomb",
            "InvalidBundle",
            "more than 200 times its size (a zip bomb)",
            Bundle(good().file("zeros", vec![0; 120 << 20]).zip()),
        ),
        case(
            "path-is-no-folder",
            "InvalidBundle",
            "source.path \"nowhere\" is not a folder of the archive",
            Field("/source/path", json!("nowhere")),
        ),
        // The deployspec.
        case(
            "no-deployspec",
            "InvalidDeployspec",
            "deployspec.yaml: not in the root of the archive",
            Bundle(Module::empty().file("a", "b").zip()),
        ),
        case(
            "deployspec-in-a-folder",
            "InvalidDeployspec",
            "there is one in modules/x: name that folder in source.path",
            Bundle(Module::empty().file("modules/x/deployspec.yaml", "a").zip()),
        ),
        case(
            "deployspec-empty",
            "InvalidDeployspec",
            "deployspec.yaml line 1: the file: expected …found nothing",
            Deployspec(""),
        ),
        case(
            "deployspec-without-deploy",
            "InvalidDeployspec",
            "deploy is missing",
            Deployspec("destroy:\n  phases: {}\n"),
        ),
        case(
            "deployspec-syntax",
            "InvalidDeployspec",
            "deployspec.yaml line 3: ",
            Deployspec("deploy:\n  phases:\n   build: [}\n"),
        ),
        case(
            "deployspec-command-is-a-mapping",
            "InvalidDeployspec",
            "deployspec.yaml line 5: deploy.phases.build.commands[0]: expected …found a mapping",
            Deployspec("deploy:\n  phases:\n    build:\n      commands:\n      - echo one: two\n"),
        ),
        case(
            "deployspec-build-type",
            "InvalidDeployspec",
            "line 2: build_type: expected …found \"TINY\"",
            Deployspec("deploy: {phases: {}}\nbuild_type: TINY\n"),
        ),
        case(
            "deployspec-build-type-above-the-maximum",
            "InvalidDeployspec",
            "line 2: build_type: expected at most BUILD_GENERAL1_XLARGE (template parameter MaxBuildComputeType), found BUILD_GENERAL1_2XLARGE",
            Deployspec("deploy: {phases: {}}\nbuild_type: BUILD_GENERAL1_2XLARGE\n"),
        ),
    ]
}

fn zip_of(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in files {
        zip.start_file(*path, SimpleFileOptions::default().compression_method(method))
            .expect("an entry");
        zip.write_all(content).expect("its content");
    }
    zip.finish().expect("a zip").into_inner()
}

async fn input_of(stack: &TestStack, id: &ModuleId, bad: &Bad) -> Value {
    let mut input = stack
        .input(id, &Module::running("build", &["true"]), json!({}))
        .await;
    match bad {
        Bad::Bundle(bytes) => input["source"] = stack.upload_bytes(id, bytes.clone()).await,
        Bad::Deployspec(text) => input["source"] = stack.upload(id, &Module::with_deployspec(text)).await,
        Bad::Field(path, value) => {
            let (parent, field) = path.rsplit_once('/').expect("a path");
            input.pointer_mut(parent).expect("the field's object")[field] = value.clone();
        }
    }
    input
}

#[test]
fn each_bad_input_has_its_message_and_changes_nothing() {
    run(async {
        let stack = STACK.get().await;
        let cases = cases();
        assert!(cases.len() >= 25);
        let mut running = Vec::new();
        for case in cases {
            let id = module_id(&format!("bad-{}", case.name), "dev", "core", "module");
            let execution = stack.start(&input_of(stack, &id, &case.bad).await).await;
            running.push((case, id, execution));
        }
        let mut wrong = Vec::new();
        for (case, id, execution) in running {
            let finished = stack.finished(&execution).await;
            if let Err(why) = check(stack, &case, &id, &finished).await {
                wrong.push(format!("{}: {why}", case.name));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

async fn check(stack: &TestStack, case: &Case, id: &ModuleId, finished: &Finished) -> Result<(), String> {
    if finished.error != case.error || !says(&finished.cause, case.says) {
        return Err(format!(
            "{}: {} (expected {}: {})",
            finished.error, finished.cause, case.error, case.says
        ));
    }
    let stored = stack.parameters(id).await;
    let names_are_bad = matches!(
        &case.bad,
        Bad::Field("/project" | "/deployment" | "/group" | "/module", _)
    );
    let expected: Vec<&str> = if names_are_bad { vec![] } else { vec!["status"] };
    if stored.keys().collect::<Vec<_>>() != expected {
        return Err(format!("stored is {:?}", stored.keys()));
    }
    if !names_are_bad {
        let status = stack.parameter(id, "status").await;
        if status["state"] != "REFUSED"
            || status["refused"]["error"] != case.error
            || status["refused"]["execution"] != finished.execution.as_str()
            || status["error"] != case.error
            || !status["reason"]
                .as_str()
                .is_some_and(|reason| says(reason, case.says))
        {
            return Err(format!("the status is {status}"));
        }
    }
    finished
        .build
        .is_null()
        .then_some(())
        .ok_or_else(|| "a build was started".to_owned())
}

#[test]
fn a_bad_input_leaves_the_last_success_as_it_was() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("bad-after-good");
        let module = Module::running("build", &["seedfarmer metadata add -k Good -v yes"]);
        stack.deploy(&id, &module).await;
        let before = stack.parameters(&id).await;
        let good = stack.parameter(&id, "status").await;
        // A bundle that can be opened: the refusal has its commit.
        let bundle = Module::with_deployspec("deploy: {phases: {}}\nbuild_type: TINY\n").zip();
        let key = "uploads/bad-after-good.zip";
        let bucket = &stack.about().work_bucket;
        let put = stack
            .client()
            .put_object_with(bucket, key, bundle, &[("commit", "c0ffee")])
            .await;
        put.expect("storing a bundle");
        let mut input = stack.input(&id, &module, json!({})).await;
        input["source"] = json!({"bucket": bucket, "key": key});
        let bad = stack.execute(&input).await;
        assert_eq!(bad.error, "InvalidDeployspec", "{}", bad.cause);
        assert_eq!(
            stack
                .measured("update-metadata", Metric::ModulesRefused, &bad.execution)
                .await,
            [1.0]
        );
        stack.released(&id).await;
        let after = stack.parameters(&id).await;
        for name in ["md5", "metadata", "outputs"] {
            assert_eq!(before[name], after[name], "{name}");
        }
        let mut status = stack.parameter(&id, "status").await;
        let refused = status
            .as_object_mut()
            .expect("a status")
            .remove("refused")
            .expect("a refusal");
        assert_eq!(status, good);
        assert_eq!(
            (&refused["execution"], &refused["error"], &refused["commit"]),
            (
                &json!(bad.execution),
                &json!("InvalidDeployspec"),
                &json!("c0ffee")
            )
        );
        assert!(
            refused["cause"].as_str().unwrap().contains("build_type"),
            "{refused}"
        );
        let execution = bad.execution.rsplit(':').next().expect("a name");
        let report = format!("reports/{}/{execution}", id);
        let stored = stack.object(&format!("{report}.json")).await.expect("a report");
        let stored: Value = serde_json::from_slice(&stored).expect("JSON");
        assert_eq!(
            (&stored["status"]["state"], &stored["commit"]),
            (&json!("REFUSED"), &json!("c0ffee"))
        );
        let page = eventually("a page", || async {
            stack.object(&format!("{report}.html")).await
        })
        .await;
        assert!(String::from_utf8_lossy(&page).contains("build_type"));
        // Nothing has changed since the success, and the next request that is accepted removes the refusal.
        assert_state(&stack.deploy(&id, &module).await, "UNCHANGED");
        assert!(stack.parameter(&id, "status").await["refused"].is_null());
    });
}

/// Whether a message has all parts of `pattern`, which `…` divides, in their order: a case leaves out what it is not about.
fn says(message: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    parts
        .try_fold(message, |rest, part| Some(rest.split_once(part)?.1))
        .is_some()
}
