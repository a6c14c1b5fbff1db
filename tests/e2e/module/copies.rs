//! A bundle that is too large to be copied with one call (`crates/aws/src/services/copy.rs`).

use seedflow_e2e::{Caller, TestStack, destruction, module_id, run};
use serde_json::json;

use super::destroy::module;
use super::{STACK, assert_state};

/// Larger than one part of 64 MiB.
const GAP: u32 = 65 << 20;

/// The zip with a gap before its central directory, which no reader has to inflate. The directory's offset is stored
/// six bytes before the end.
fn with_gap(zip: &[u8]) -> Vec<u8> {
    let offset_at = zip.len() - 6;
    let offset = u32::from_le_bytes(zip[offset_at..offset_at + 4].try_into().unwrap());
    let (entries, directory) = zip.split_at(offset as usize);
    let gap = vec![0; GAP as usize];
    let mut with_gap = [entries, &gap, directory].concat();
    let offset_at = with_gap.len() - 6;
    with_gap[offset_at..offset_at + 4].copy_from_slice(&(offset + GAP).to_le_bytes());
    with_gap
}

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
