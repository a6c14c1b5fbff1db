//! What goes into a build and what comes out: source, variables, artifacts, events.

use std::collections::BTreeSet;
use std::time::Duration;

use seedflow_local::codebuild::SimulatedBuild;
use serde_json::{Value, json};

use crate::stack::{Stack, failure, phases, spec, stack, zip};

#[tokio::test]
async fn a_build_goes_through_all_phases_and_reports_them() {
    let stack = stack().await;
    let build = stack.run(json!({"sourceVersion": "v"})).await;
    let names = [
        "SUBMITTED",
        "QUEUED",
        "PROVISIONING",
        "DOWNLOAD_SOURCE",
        "INSTALL",
        "PRE_BUILD",
        "BUILD",
        "POST_BUILD",
        "UPLOAD_ARTIFACTS",
        "FINALIZING",
    ];
    let mut expected: Vec<String> = names.iter().map(|name| format!("{name} SUCCEEDED")).collect();
    expected.push("COMPLETED -".to_owned());
    assert_eq!(phases(&build), expected);
    let id = build["id"].as_str().unwrap();
    assert_eq!(
        build["arn"],
        format!("arn:aws:codebuild:us-east-1:123456789012:build/{id}")
    );
    assert_eq!(build["currentPhase"], "COMPLETED");
    assert_eq!(build["logs"]["groupName"], "/aws/codebuild/p");
    assert_eq!(build["logs"]["streamName"], id[2..]);
    assert!(build["endTime"].as_f64() >= build["startTime"].as_f64());

    let events = events_of(&stack, &build).await;
    let described: Vec<String> = events.iter().map(describe).collect();
    let mut expected = vec!["state IN_PROGRESS".to_owned()];
    expected.extend(names.iter().map(|name| format!("phase {name} SUCCEEDED")));
    expected.extend([
        "state SUCCEEDED".to_owned(),
        "phase COMPLETED SUCCEEDED".to_owned(),
    ]);
    assert_eq!(described, expected);
}

fn describe(event: &Value) -> String {
    let detail = |field: &str| event["Detail"][field].as_str().unwrap();
    match event["DetailType"].as_str().unwrap() {
        "CodeBuild Build State Change" => format!("state {}", detail("build-status")),
        "CodeBuild Build Phase Change" => {
            format!(
                "phase {} {}",
                detail("completed-phase"),
                detail("completed-phase-status")
            )
        }
        other => panic!("{other}"),
    }
}

/// A build's events, complete.
async fn events_of(stack: &Stack, build: &Value) -> Vec<Value> {
    let is_of = |event: &&Value| event["Resources"][0] == build["arn"];
    let is_last = |event: &Value| event["Detail"]["completed-phase"] == "COMPLETED";
    let stored = stack
        .emulator
        .until(|stored| stored.events.iter().filter(is_of).any(is_last))
        .await;
    stored.events.iter().filter(is_of).cloned().collect()
}

fn keys(json: &Value) -> BTreeSet<&str> {
    json.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The fields and their forms as in the samples of CodeBuild's user guide.
#[tokio::test]
async fn events_have_the_shape_of_aws_samples() {
    let stack = stack().await;
    let source = zip(&[("a", "", 0o644)]);
    stack
        .emulator
        .change(|stored| drop(stored.objects.insert("b/s.zip".into(), vec![source.into()])));
    let build = stack
        .run(json!({
            "sourceTypeOverride": "S3", "sourceLocationOverride": "b/s.zip", "sourceVersion": "1",
            "artifactsOverride": {"type": "S3", "location": "b", "name": "out.zip", "packaging": "ZIP"},
            "buildspecOverride": json!({
                "version": 0.2, "phases": {"build": {"commands": ["(exit 2)"]}}, "artifacts": {"files": ["a"]},
            }).to_string(),
        }))
        .await;
    let events = events_of(&stack, &build).await;
    let state = events
        .iter()
        .find(|event| describe(event) == "state FAILED")
        .unwrap();
    assert_eq!(state["Source"], "seedflow.codebuild");
    let detail = &state["Detail"];
    let expected = [
        "build-status",
        "project-name",
        "build-id",
        "additional-information",
        "current-phase",
        "current-phase-context",
        "version",
    ];
    assert_eq!(keys(detail), BTreeSet::from(expected));
    assert_eq!(
        (&detail["build-id"], &detail["current-phase"]),
        (&build["arn"], &json!("COMPLETED"))
    );
    assert_eq!(
        (&detail["current-phase-context"], &detail["version"]),
        (&json!("[]"), &json!("1"))
    );
    let more = &detail["additional-information"];
    let expected = [
        "artifact",
        "environment",
        "timeout-in-minutes",
        "build-complete",
        "build-number",
        "initiator",
        "build-start-time",
        "source",
        "source-version",
        "logs",
        "phases",
    ];
    assert_eq!(keys(more), BTreeSet::from(expected));
    assert_eq!(
        keys(&more["artifact"]),
        BTreeSet::from(["md5sum", "sha256sum", "location"])
    );
    assert_eq!(more["artifact"]["location"], "arn:aws:s3:::b/out.zip");
    assert_eq!(
        keys(&more["environment"]),
        BTreeSet::from([
            "image",
            "privileged-mode",
            "compute-type",
            "type",
            "environment-variables"
        ])
    );
    assert_eq!(
        keys(&more["logs"]),
        BTreeSet::from(["group-name", "stream-name", "deep-link"])
    );
    assert_eq!(more["timeout-in-minutes"].to_string(), "60.0");
    assert_eq!(
        (&more["build-complete"], &more["build-number"]),
        (&json!(true), &json!(1.0))
    );
    let date = more["build-start-time"].as_str().unwrap();
    assert!(
        date.ends_with('M') && date.matches(',').count() == 1 && date.matches(':').count() == 2,
        "{date}"
    );
    let phases = more["phases"].as_array().unwrap();
    let build_phase = phases
        .iter()
        .find(|phase| phase["phase-type"] == "BUILD")
        .unwrap();
    let expected = [
        "phase-context",
        "start-time",
        "end-time",
        "duration-in-seconds",
        "phase-type",
        "phase-status",
    ];
    assert_eq!(keys(build_phase), BTreeSet::from(expected));
    let context = "COMMAND_EXECUTION_ERROR: Error while executing command: (exit 2). Reason: exit status 2";
    assert_eq!(build_phase["phase-context"], json!([context]));
    assert_eq!(phases[0]["phase-context"], json!([]));
    assert_eq!(
        keys(phases.last().unwrap()),
        BTreeSet::from(["start-time", "phase-type"])
    );
    let phase = &events
        .iter()
        .find(|event| describe(event) == "phase BUILD FAILED")
        .unwrap()["Detail"];
    let expected = [
        "completed-phase",
        "project-name",
        "build-id",
        "completed-phase-context",
        "additional-information",
        "completed-phase-status",
        "completed-phase-duration-seconds",
        "version",
        "completed-phase-start",
        "completed-phase-end",
    ];
    assert_eq!(keys(phase), BTreeSet::from(expected));
    assert_eq!(phase["completed-phase-context"], format!("[{context}]"));
}

#[tokio::test]
async fn an_event_that_was_not_taken_is_sent_again() {
    let stack = stack().await;
    stack.emulator.change(|stored| stored.failing_events = 2);
    let build = stack.run(json!({})).await;
    let described: Vec<String> = events_of(&stack, &build).await.iter().map(describe).collect();
    assert!(
        described.contains(&"state IN_PROGRESS".to_owned()) && described.len() == 13,
        "{described:?}"
    );
}

fn from_source(key: &str, version: &str, commands: &[&str]) -> Value {
    json!({
        "sourceTypeOverride": "S3", "sourceLocationOverride": format!("bucket/{key}"), "sourceVersion": version,
        "buildspecOverride": spec(json!({"build": {"commands": commands}})),
    })
}

#[tokio::test]
async fn the_source_is_the_version_asked_for_with_its_modes() {
    let stack = stack().await;
    let first = zip(&[
        ("run.sh", "#!/bin/sh\necho first\n", 0o755),
        ("dir/data", "x", 0o640),
    ]);
    let second = zip(&[("run.sh", "#!/bin/sh\necho second\n", 0o755)]);
    stack.emulator.change(|stored| {
        stored
            .objects
            .insert("bucket/sources/a.zip".into(), vec![first.into(), second.into()]);
    });
    let commands = [
        "./run.sh",
        "stat -c %a dir/data",
        "echo $CODEBUILD_SOURCE_REPO_URL $CODEBUILD_SOURCE_VERSION ${CODEBUILD_RESOLVED_SOURCE_VERSION-unset}",
    ];
    let build = stack.run(from_source("sources/a.zip", "1", &commands)).await;
    assert_eq!(
        stack.output(&build),
        ["first", "640", "s3://bucket/sources/a.zip 1 unset"]
    );
    // "For Amazon S3, this does not apply" (API reference, `Build`).
    assert_eq!(build.get("resolvedSourceVersion"), None);
    let build = stack.run(from_source("sources/a.zip", "", &["./run.sh"])).await;
    assert_eq!(stack.output(&build), ["second"]);
}

#[tokio::test]
async fn a_source_that_is_missing_broken_or_climbs_fails_the_download() {
    let stack = stack().await;
    let climbing = zip(&[("../../climbed", "x", 0o644)]);
    stack.emulator.change(|stored| {
        stored.objects.insert("bucket/text".into(), vec!["no zip".into()]);
        stored
            .objects
            .insert("bucket/climbing".into(), vec![climbing.into()]);
    });
    for (key, message) in [
        (
            "none",
            "CLIENT_ERROR: NoSuchKey: The specified key does not exist.",
        ),
        ("text", "CLIENT_ERROR: the source can't be unzipped"),
        ("climbing", "CLIENT_ERROR: the source can't be unzipped"),
    ] {
        let build = stack.run(from_source(key, "", &["true"])).await;
        assert!(failure(&build).starts_with(message), "{key}: {}", failure(&build));
        assert_eq!(phases(&build)[3], "DOWNLOAD_SOURCE FAILED");
    }
    assert!(!stack.file("climbed").exists() && !stack.file("work/climbed").exists());
}

fn with_variables(variables: &[(&str, &str, &str)], commands: &[&str]) -> Value {
    let variables: Vec<Value> = variables
        .iter()
        .map(|(name, kind, value)| json!({"name": name, "type": kind, "value": value}))
        .collect();
    json!({
        "environmentVariablesOverride": variables,
        "buildspecOverride": spec(json!({"build": {"commands": commands}})),
    })
}

#[tokio::test]
async fn secrets_reach_the_build_and_not_the_log() {
    let stack = stack().await;
    stack.emulator.change(|stored| {
        stored
            .parameters
            .insert("/db/password".into(), "hunter2-of-store".into());
        stored
            .secrets
            .insert("api".into(), r#"{"key": "s3cr3t-key", "port": 5432}"#.into());
        stored
            .secrets
            .insert("cert".into(), "-----BEGIN-----\nabcdef\n-----END-----".into());
    });
    let variables = [
        ("PASSWORD", "PARAMETER_STORE", "/db/password"),
        ("KEY", "SECRETS_MANAGER", "api:key"),
        ("PORT", "SECRETS_MANAGER", "api:port::"),
        ("CERT", "SECRETS_MANAGER", "cert"),
    ];
    let file = stack.file("seen");
    let seen = format!("echo \"$PASSWORD $KEY $PORT\" > {}", file.display());
    let build = stack
        .run(with_variables(
            &variables,
            &["echo \"<$PASSWORD> <$KEY>\"; echo \"$CERT\"", &seen],
        ))
        .await;
    assert_eq!(build["buildStatus"], "SUCCEEDED", "{:#?}", stack.log(&build));
    assert_eq!(
        std::fs::read_to_string(file).unwrap(),
        "hunter2-of-store s3cr3t-key 5432\n"
    );
    assert_eq!(stack.output(&build), ["<***> <***>", "***", "***", "***"]);
    let everything = format!(
        "{:?}{build}{:?}",
        stack.log(&build),
        events_of(&stack, &build).await
    );
    assert!(!everything.contains("hunter2") && !everything.contains("s3cr3t"));
    let shown = &build["environment"]["environmentVariables"][1];
    assert_eq!(
        *shown,
        json!({"name": "PASSWORD", "type": "PARAMETER_STORE", "value": "/db/password"})
    );
}

#[tokio::test]
async fn a_missing_secret_fails_the_download() {
    let stack = stack().await;
    stack
        .emulator
        .change(|stored| drop(stored.secrets.insert("api".into(), "{}".into())));
    for (kind, value, message) in [
        (
            "PARAMETER_STORE",
            "/none",
            "Decrypted Variables Error: parameter does not exist: /none",
        ),
        (
            "SECRETS_MANAGER",
            "none",
            "Secrets Manager Error: ResourceNotFoundException: Secrets Manager can't find",
        ),
        (
            "SECRETS_MANAGER",
            "api:key",
            "Secrets Manager Error: the secret api has no key key",
        ),
    ] {
        let build = stack.run(with_variables(&[("V", kind, value)], &["true"])).await;
        assert!(failure(&build).starts_with(message), "{}", failure(&build));
        assert_eq!(phases(&build)[3], "DOWNLOAD_SOURCE FAILED");
    }
}

fn with_artifacts(artifacts: Value, target: Value) -> Value {
    let make = "mkdir -p out/deep && echo '{}' > out/metadata.json && echo x > out/deep/x.txt";
    json!({
        "artifactsOverride": target,
        "buildspecOverride": json!({
            "version": 0.2, "phases": {"build": {"commands": [make]}}, "artifacts": artifacts,
        }).to_string(),
    })
}

#[tokio::test]
async fn a_simulated_build_lasts_and_hands_back_its_artifacts_but_runs_nothing() {
    let lasting = Duration::from_millis(300);
    let stack = stack().await;
    stack.codebuild.simulate(Some(SimulatedBuild {
        lasts: lasting,
        fails: false,
    }));
    let target = json!({"type": "S3", "location": "bucket", "name": "/", "packaging": "NONE"});
    let trace = stack.folder.path().join("trace");
    let command = format!("touch {}", trace.display());
    let build = stack
        .run(json!({
            "artifactsOverride": target,
            "buildspecOverride": json!({
                "version": 0.2, "phases": {"build": {"commands": [command]}},
                "artifacts": {"base-directory": "out", "files": ["metadata.json"]},
            }).to_string(),
        }))
        .await;
    assert_eq!(build["buildStatus"], "SUCCEEDED");
    assert_eq!(stack.emulator.object("bucket/metadata.json").unwrap(), "{}");
    assert!(!trace.exists());
    let of = |field: &str| build[field].as_f64().unwrap();
    assert!(of("endTime") - of("startTime") >= lasting.as_secs_f64());
    assert!(
        phases(&build).contains(&"POST_BUILD SUCCEEDED".to_owned()),
        "{build:#}"
    );
}

#[tokio::test]
async fn a_simulated_failure_is_one_of_the_build_phase_and_the_next_build_is_real() {
    let stack = stack().await;
    stack.codebuild.simulate(Some(SimulatedBuild {
        lasts: Duration::ZERO,
        fails: true,
    }));
    let phases = json!({"build": {"commands": ["echo real"]}});
    let build = stack.run_phases(phases.clone()).await;
    assert_eq!(build["buildStatus"], "FAILED");
    assert!(
        failure(&build).starts_with("COMMAND_EXECUTION_ERROR"),
        "{build:#}"
    );
    stack.codebuild.simulate(None);
    let build = stack.run_phases(phases).await;
    assert_eq!(stack.output(&build), ["real"]);
    assert_eq!(stack.codebuild.builds().len(), 2);
}

#[tokio::test]
async fn artifacts_land_where_codebuild_puts_them() {
    let stack = stack().await;
    let target = json!({
        "type": "S3", "location": "bucket", "path": "builds", "namespaceType": "BUILD_ID", "name": "/",
        "packaging": "NONE",
    });
    let files = json!({"base-directory": "out", "files": ["metadata.json"]});
    let build = stack.run(with_artifacts(files, target.clone())).await;
    let uuid = &build["id"].as_str().unwrap()[2..];
    let prefix = format!("bucket/builds/{uuid}");
    assert_eq!(
        stack.emulator.object(&format!("{prefix}/metadata.json")).unwrap(),
        "{}\n"
    );
    assert_eq!(build["artifacts"]["location"], format!("arn:aws:s3:::{prefix}"));
    assert_eq!(stack.emulator.stored.borrow().objects.len(), 1);

    let all = json!({"base-directory": "out", "files": "**/*", "exclude-paths": ["*.json"]});
    let mut zipped = target.clone();
    (zipped["packaging"], zipped["name"], zipped["namespaceType"]) =
        (json!("ZIP"), json!("out.zip"), json!("NONE"));
    let build = stack.run(with_artifacts(all, zipped)).await;
    let content = stack.emulator.object("bucket/builds/out.zip").unwrap();
    let archive = zip::ZipArchive::new(std::io::Cursor::new(content)).unwrap();
    let names: Vec<_> = archive.file_names().map(Result::unwrap).collect();
    assert_eq!(names, ["deep/x.txt"]);
    assert_eq!(build["artifacts"]["md5sum"].as_str().unwrap().len(), 32);

    // An absolute base directory is outside of the source.
    let outside = stack.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("result"), "o").unwrap();
    let absolute = json!({"base-directory": outside, "files": ["result"]});
    let mut flat = target.clone();
    flat["namespaceType"] = json!("NONE");
    let build = stack.run(with_artifacts(absolute, flat)).await;
    assert_eq!(build["buildStatus"], "SUCCEEDED");
    assert_eq!(stack.emulator.object("bucket/builds/result").unwrap(), "o");
    assert!(outside.exists());

    for (artifacts, message) in [
        (
            json!({"base-directory": "/tmp/.seedflow-none/out", "files": ["x"]}),
            "CLIENT_ERROR: no matching base directory path found for /tmp/.seedflow-none/out",
        ),
        (
            json!({"base-directory": "out", "files": ["none"]}),
            "CLIENT_ERROR: no matching artifact paths found",
        ),
        (
            json!({"base-directory": "no", "files": ["x"]}),
            "CLIENT_ERROR: no matching base directory path found for no",
        ),
    ] {
        let build = stack.run(with_artifacts(artifacts, target.clone())).await;
        assert_eq!(failure(&build), message);
        assert_eq!(
            (&build["buildStatus"], phases(&build)[8].as_str()),
            (&json!("FAILED"), "UPLOAD_ARTIFACTS FAILED")
        );
    }
}

#[tokio::test]
async fn a_role_that_does_not_trust_codebuild_fails_the_build() {
    let stack = stack().await;
    stack
        .emulator
        .change(|stored| stored.trusted_service = Some("lambda.amazonaws.com".to_owned()));
    let build = stack.run(json!({})).await;
    assert_eq!(build["buildStatus"], "FAILED");
    assert_eq!(
        failure(&build),
        "CLIENT_ERROR: CodeBuild is not authorized to perform: sts:AssumeRole on \
         arn:aws:iam::123456789012:role/build: its trust policy doesn't name codebuild.amazonaws.com"
    );
    assert_eq!(phases(&build)[2], "PROVISIONING FAILED");
}

#[tokio::test]
async fn docker_is_refused_without_privileged_mode() {
    let stack = stack().await;
    let command =
        "docker info > said 2>&1; grep 'Cannot connect to the Docker daemon.*privileged-mode-is-off' said";
    for (privileged, status) in [(false, "SUCCEEDED"), (true, "FAILED")] {
        let build = stack
            .run(
                json!({"privilegedModeOverride": privileged, "buildspecOverride": spec(json!({"build": {"commands": [command]}}))}),
            )
            .await;
        assert_eq!(build["buildStatus"], status, "{privileged}");
        assert_eq!(build["environment"]["privilegedMode"], privileged);
    }
}
