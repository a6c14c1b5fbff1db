//! The results of a deployment: parameters, bundle, report.

use std::path::Path;

use seedflow_e2e::{Module, ModuleId, module_id, run};
use serde_json::{Map, Value, json};

use super::{STACK, assert_state};

#[test]
fn a_success_is_recorded_at_the_places_that_the_workflow_promises() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("records");
        let module = Module::running(
            "build",
            &["seedfarmer metadata add -k Endpoint -v https://example"],
        );
        let input = stack.input(&id, &module, json!({})).await;
        let finished = stack.execute(&input).await;
        assert_state(&finished, "SUCCEEDED");

        let md5 = stack.parameter(&id, "md5").await;
        for component in ["hash", "bundle", "deployspec", "configuration"] {
            assert_eq!(md5[component].as_str().map(str::len), Some(32), "{component}");
        }
        let metadata = stack.parameter(&id, "metadata").await;
        assert_eq!(metadata["Endpoint"], "https://example");
        assert_eq!(metadata["CodeBuildBuildId"].as_str(), finished.build_id());
        assert!(
            metadata["CodeBuildBuildUrl"]
                .as_str()
                .is_some_and(|url| url.starts_with("https://"))
        );
        assert_eq!(stack.parameter(&id, "outputs").await, json!({}));

        let status = stack.parameter(&id, "status").await;
        assert_eq!(
            (&status["state"], &status["group"], &status["module"]),
            (&json!("SUCCEEDED"), &json!("core"), &json!("module"))
        );
        assert_eq!(status["execution"], json!(finished.execution));
        assert_eq!(status["reasons"], json!(["first deployment"]));

        let key = input["source"]["key"].as_str().expect("a key");
        let bundle = stack
            .object_of(&stack.about().bundle_bucket, "dev/core/module/bundle.zip")
            .await;
        // Other tests deploy a module of this deployment, group and name too; the bytes identify its owner.
        assert!(bundle.is_some());
        assert!(stack.object(key).await.is_some());

        let execution = finished.execution.rsplit(':').next().expect("a name");
        let report = stack
            .object(&format!("reports/records/dev/core/module/{execution}.json"))
            .await
            .expect("a report");
        let report: Value = serde_json::from_slice(&report).expect("JSON");
        assert_eq!(report["status"]["state"], "SUCCEEDED");
        assert!(
            report["build"]["phases"]
                .as_array()
                .is_some_and(|phases| phases.iter().any(|p| p["type"] == "BUILD"))
        );
    });
}

#[test]
fn double_braces_are_stored_from_every_writer() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("braces");
        // Parameter Store refuses `{{…}}`; here it is in the phase context that CodeBuild makes of a failing command.
        let failing = Module::running("build", &["docker-not-there inspect -f '{{.State.Status}}' x"]);
        let finished = stack.deploy(&id, &failing).await;
        assert_eq!(finished.error, "BuildFailed", "{}", finished.cause);
        let status = stack.parameter(&id, "status").await;
        assert_eq!(status["state"], "FAILED");
        assert!(
            status["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("'{{.State.Status}}'")),
            "{status}"
        );
        // And here in a value that a module publishes.
        let publishing = Module::running(
            "build",
            &["seedfarmer metadata add -k Template -v '{{x}} and {{{y}}}'"],
        );
        assert_state(&stack.deploy(&id, &publishing).await, "SUCCEEDED");
        let metadata = stack.parameter(&id, "metadata").await;
        assert_eq!(metadata["Template"], "{{x}} and {{{y}}}");
        stack.released(&id).await;
        assert_state(&stack.deploy(&id, &publishing).await, "UNCHANGED");
        assert_eq!(stack.versions(&id).await["metadata"], 1);
    });
}

#[test]
fn commit_author_and_branch_are_copied_from_the_bundle_to_every_record() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("origin");
        let bucket = &stack.about().work_bucket;
        let metadata = [
            ("commit", "0a4d55a8d778e5022fab701977c5d840bbc486d0"),
            ("author", "=?UTF-8?B?SsO8cmdlbiA8akB4Pg==?="),
            ("branch", "main"),
        ];
        let bundle = Module::running("build", &["true"]).zip();
        let key = "uploads/origin.zip";
        let put = stack
            .client()
            .put_object_with(bucket, key, bundle, &metadata)
            .await;
        put.expect("storing a bundle");
        let source = json!({"bucket": bucket, "key": key});
        let input = seedflow_local::client::deployment::input(&id, &source, &Map::new(), false);
        let finished = stack.execute(&input).await;
        assert_state(&finished, "SUCCEEDED");

        let origin = json!({"commit": metadata[0].1, "author": "Jürgen <j@x>", "branch": "main"});
        let status = stack.parameter(&id, "status").await;
        let execution = finished.execution.rsplit(':').next().expect("a name");
        let report = stack
            .object(&format!("reports/origin/dev/core/module/{execution}.json"))
            .await;
        let report: Value = serde_json::from_slice(&report.expect("a report")).expect("JSON");
        for recorded in [&status, &report, &finished.output["origin"]] {
            for field in ["commit", "author", "branch"] {
                assert_eq!(recorded[field], origin[field], "{field} of {recorded}");
            }
        }
        let published = stack.parameter(&id, "metadata").await;
        for (key, field) in [
            ("CommitHash", "commit"),
            ("CommitAuthor", "author"),
            ("CommitBranch", "branch"),
        ] {
            assert_eq!(published[key], origin[field], "{key}");
        }
    });
}

#[test]
fn the_bundle_is_kept_only_where_it_is_wanted() {
    run(async {
        let stack = STACK.get().await;
        let bucket = &stack.about().bundle_bucket;
        let module = Module::running("build", &["true"]);
        let kept = module_id("bundles", "bundle-kept", "g", "m");
        let dropped = module_id("bundles", "bundle-dropped", "g", "m");
        stack.deploy(&kept, &module).await;
        assert_state(
            &stack
                .deploy_with(&dropped, &module, json!({"bundle": false}))
                .await,
            "SUCCEEDED",
        );
        assert_eq!(
            stack.object_of(bucket, "bundle-kept/g/m/bundle.zip").await,
            Some(module.zip())
        );
        assert_eq!(
            stack.object_of(bucket, "bundle-dropped/g/m/bundle.zip").await,
            None
        );
    });
}

#[test]
fn metadata_of_a_new_deployment_replaces_the_old() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("replaced");
        let adding = |key: &str| {
            Module::running(
                "build",
                &[&format!(
                    "seedfarmer metadata add -k {key} -v \"$SEEDFARMER_MODULE_METADATA\""
                )],
            )
        };
        stack.deploy(&id, &adding("Old")).await;
        let first = stack.parameter(&id, "metadata").await;
        assert_eq!(first["Old"], "null ");
        stack.deploy(&id, &adding("New")).await;
        let second = stack.parameter(&id, "metadata").await;
        assert!(
            second["Old"].is_null(),
            "a key that isn't published any more is gone: {second}"
        );
        // The build saw the values that were stored before.
        let seen: Value = serde_json::from_str(second["New"].as_str().expect("text")).expect("JSON");
        assert_eq!(seen, first);
    });
}

#[test]
fn metadata_over_the_limit_of_parameter_store_goes_to_s3_and_comes_back() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("spilled");
        let long = "python3 -c 'import json; print(json.dumps({\"Long\": \"x\" * 9000}))' > \"$SEEDFLOW_MODULE_ROOT/SEEDFARMER_MODULE_METADATA\"";
        assert_state(
            &stack.deploy(&id, &Module::running("build", &[long])).await,
            "SUCCEEDED",
        );
        let reference = stack.parameter(&id, "metadata").await;
        let key = reference["stored_in_s3"]["key"]
            .as_str()
            .expect("a reference")
            .to_owned();
        let value: Value =
            serde_json::from_slice(&stack.object(&key).await.expect("the value")).expect("JSON");
        assert_eq!(value["Long"].as_str().map(str::len), Some(9000));
        // The next build reads it through the reference, although it is too long for StartBuild.
        let reading = "seedfarmer metadata add -k Length -v \"$(printf %s \"$SEEDFARMER_MODULE_METADATA\" | python3 -c 'import json,sys; print(len(json.load(sys.stdin)[\"Long\"]))')\"";
        assert_state(
            &stack.deploy(&id, &Module::running("build", &[reading])).await,
            "SUCCEEDED",
        );
        assert_eq!(stack.parameter(&id, "metadata").await["Length"], "9000");
    });
}

#[test]
fn every_example_deploys() {
    run(async {
        let stack = STACK.get().await;
        stack.put_parameter("/seedflow-examples/log-level", "INFO").await;
        let secret = json!({"Name": "seedflow-examples/api-key", "SecretString": "s3cr3t-value-of-the-example", "ClientRequestToken": uuid::Uuid::new_v4().to_string()});
        stack
            .call("secretsmanager", "secretsmanager.CreateSecret", secret)
            .await;
        for example in [
            "cfn-bucket",
            "metadata",
            "parameters",
            "fails-on-demand",
            "upload",
        ] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../examples")
                .join(example);
            let mut input: Value =
                serde_json::from_slice(&std::fs::read(folder.join("input.json")).expect("input.json"))
                    .expect("JSON");
            let target = tempfile::tempdir().expect("a folder");
            let zip = target.path().join("bundle.zip");
            seedflow_cli::checkout::bundle::folder(&folder, &zip).expect("packing");
            let id: ModuleId = serde_json::from_value(input.clone()).expect("the four names");
            input["source"] = stack
                .upload_bytes(&id, std::fs::read(&zip).expect("the bundle"))
                .await;
            let finished = stack.execute(&input).await;
            assert_state(&finished, "SUCCEEDED");
            let log = stack.log(&finished.build).await.join("\n");
            assert!(!log.contains("s3cr3t-value"), "{example}: a secret is in the log");
            if example == "cfn-bucket" {
                let outputs = stack.parameter(&id, "outputs").await;
                assert!(
                    outputs.as_object().is_some_and(|outputs| !outputs.is_empty()),
                    "{outputs}"
                );
            }
            if example == "metadata" {
                let metadata = stack.parameter(&id, "metadata").await;
                assert_eq!(metadata["Ports"], json!([80, 443]));
            }
        }
    });
}
