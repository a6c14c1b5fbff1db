//! A bundle that is too large to be copied with one call (`crates/aws/src/copy.rs`).

use seedflow_tests::{Caller, Names, TestStack, run};
use serde_json::json;

use crate::destroy::{destruction, module};
use crate::{STACK, assert_state};

/// More than one part of 64 MiB has.
const BEFORE: usize = 65 << 20;

fn copied_parts(stack: &TestStack) -> u64 {
    stack.proxy().calls().get(Caller::Functions, "s3:UploadPartCopy")
}

#[test]
fn a_large_bundle_is_copied_in_parts_deployed_and_destroyed() {
    run(async {
        let stack = STACK.get().await;
        let names = Names::new("large-bundle", "dev", "core", "module");
        let check = "[ \"$(cat file)\" = content ]";
        let module = module(check, &[check]).file("file", "content");
        // A zip may have anything before its first entry; nobody has to inflate it.
        let mut bundle = vec![0; BEFORE];
        bundle.extend(module.zip());
        let mut input = stack.input(&names, &module, json!({})).await;
        input["source"] = stack.upload_bytes(&names, bundle).await;
        let before = copied_parts(stack);
        assert_state(&stack.execute(&input).await, "SUCCEEDED");
        // Into the build's folder and into the bundle bucket, two parts each; and back from there.
        assert!(copied_parts(stack) >= before + 4);
        assert_state(&stack.execute(&destruction(&names)).await, "DESTROYED");
        assert!(copied_parts(stack) >= before + 6);
    });
}
