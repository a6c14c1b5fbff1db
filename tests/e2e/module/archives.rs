//! Zips as code hosts and operating systems make them.

use seedflow_e2e::{Module, run};
use serde_json::json;

use super::{STACK, assert_state};

#[test]
fn a_folder_around_the_module_is_found_by_the_build_and_is_no_change() {
    run(async {
        let stack = STACK.get().await;
        let names = stack.module_id("wrapped");
        let module = Module::running(
            "build",
            &[
                "cat value.txt",
                "seedfarmer metadata add -k Value -v \"$(cat value.txt)\"",
            ],
        )
        .file("value.txt", "found");
        // The name of the folder is data, in the build's shell too.
        for folder in ["vpc-4f2a91c", "it's $(touch x) My Module"] {
            let mut wrapped = Module::empty().file("__MACOSX/._vpc", "x");
            for (path, content) in module.files() {
                wrapped = wrapped.file(&format!("{folder}/{path}"), content);
            }
            let wrapped = wrapped.file(&format!("{folder}/.DS_Store"), "x");
            let force = json!({"force_update": true});
            assert_state(&stack.deploy_with(&names, &wrapped, force).await, "SUCCEEDED");
            assert_eq!(stack.parameter(&names, "metadata").await["Value"], "found");
        }
        assert_state(&stack.deploy(&names, &module).await, "UNCHANGED");
    });
}

#[test]
fn another_format_and_a_misnamed_deployspec_are_named() {
    run(async {
        let stack = STACK.get().await;
        let names = stack.module_id("other-formats");
        let mut input = json!({
            "project": names.project, "deployment": names.deployment, "group": names.group, "module": names.module,
        });
        let misnamed = Module::empty()
            .file("deployspec.yml", "deploy: {phases: {}}")
            .zip();
        for (bytes, error, part) in [
            (
                b"\x1f\x8b\x08".repeat(1000),
                "InvalidBundle",
                "expected a zip, found a gzip file",
            ),
            (misnamed, "InvalidDeployspec", "rename it to deployspec.yaml"),
        ] {
            input["source"] = stack.upload_bytes(&names, bytes).await;
            let finished = stack.execute(&input).await;
            assert_eq!(finished.error, error);
            assert!(finished.cause.contains(part), "{}", finished.cause);
        }
    });
}
