//! How many AWS calls a deployment makes, with its cleanup and its pages (decision 32). While they are counted, the other tests of the
//! stack wait.

use seedflow_core::pages::index::Index;
use seedflow_e2e::{Caller, Module, ModuleId, TestStack, eventually, run};
use serde_json::json;

use crate::iam_privileges;

/// Of a module whose build fails.
const FAILURE: u64 = 42;

/// The calls that the functions made since the last count.
fn calls(stack: &TestStack) -> (u64, String) {
    let calls = stack.proxy().calls();
    let each: Vec<String> = calls
        .of(Caller::Functions)
        .map(|(call, count)| format!("{call} {count}"))
        .collect();
    (calls.total(Caller::Functions), each.join(", "))
}

/// Waits until the project's index has the end of the execution; that is the last work for it.
async fn published(stack: &TestStack, id: &ModuleId, execution: &str) {
    let index = format!("index/{}.html", id.project);
    eventually("the index", || async {
        let page = String::from_utf8(stack.object(&index).await?).ok()?;
        Index::read(&page)?.has_ended(execution).then_some(())
    })
    .await;
}

#[test]
fn a_changed_module_costs_at_most_37_calls_a_new_one_40_and_an_unchanged_one_at_most_11() {
    run(async {
        let (_alone, stack) = iam_privileges::alone().await;
        let id = stack.module_id("counted");
        let module = Module::running("build", &["sleep 1"]).file("data", "one");
        // The first deployment keeps bundle and record before its build, too.
        for (expected, limit, writes, module) in [
            ("SUCCEEDED", 40, 5, module.clone()),
            ("UNCHANGED", 11, 1, module.clone()),
            // Its outputs are those that are stored, so they aren't written: three writes a second are all that AWS grants.
            ("SUCCEEDED", 37, 4, module.clone().file("data", "two")),
            // It reads the end of the build's log and the events of the stack, which no success does.
            ("FAILED", FAILURE, 2, Module::running("build", &["exit 1"])),
        ] {
            let input = stack.input(&id, &module, json!({})).await;
            stack.proxy().reset_calls();
            let finished = stack.execute(&input).await;
            assert_eq!(finished.state(), expected, "{}", finished.cause);
            stack.released(&id).await;
            published(stack, &id, &finished.execution).await;
            let (count, which) = calls(stack);
            assert!(count > 0 && count <= limit, "{expected}: {count} calls, {which}");
            let written = stack.proxy().calls().get(Caller::Functions, "ssm:PutParameter");
            assert_eq!(written, writes, "{expected}: writes of Parameter Store");
        }
    });
}
