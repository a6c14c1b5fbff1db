//! A bundle that is too large to be copied with one call (`crates/aws/src/services/copy.rs`).

use seedflow_e2e::{Caller, TestStack, destruction, module_id, run, with_gap};
use serde_json::json;

use super::destroy::module;
use super::{STACK, assert_state};

fn copied_parts(stack: &TestStack) -> u64 {
    stack.proxy().calls().get(Caller::Functions, "s3:UploadPartCopy")
}

#[test]
fn a_large_bundle_is_copied_in_parts_deployed_and_destroyed() {
    run(async {
        let stack = STACK.get().await;
        let id = module_id("large-bundle", "dev", "core", "module");
        let check = "[ \"$(cat file)\" = content ]";
        let module = module(check, &[check]).file("file", "content");
        let bundle = with_gap(&module.zip());
        let mut input = stack.input(&id, &module, json!({})).await;
        input["source"] = stack.upload_bytes(&id, bundle).await;
        let before = copied_parts(stack);
        assert_state(&stack.execute(&input).await, "SUCCEEDED");
        // Into the build's folder and into the bundle bucket, two parts each; and back from there.
        assert!(copied_parts(stack) >= before + 4);
        assert_state(&stack.execute(&destruction(&id)).await, "DESTROYED");
        assert!(copied_parts(stack) >= before + 6);
    });
}
