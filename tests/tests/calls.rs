//! How many AWS calls a deployment makes, with the cleaning up after it. A program of its own, so that nobody else's
//! calls are counted.

use seedflow_tests::{Caller, Module, Shared, StackOptions, TestStack, run};
use serde_json::json;

static STACK: Shared = Shared::new(StackOptions::default);

/// The calls that the functions made since the last count.
fn calls(stack: &TestStack) -> (u64, String) {
    let calls = stack.proxy().calls();
    let each: Vec<String> = calls
        .of(Caller::Functions)
        .map(|(call, count)| format!("{call} {count}"))
        .collect();
    (calls.total(Caller::Functions), each.join(", "))
}

#[test]
fn a_changed_module_costs_at_most_25_calls_and_an_unchanged_one_at_most_7() {
    run(async {
        let stack = STACK.get().await;
        let names = stack.names("counted");
        let module = Module::running("build", &["sleep 1"]).file("data", "one");
        for (expected, limit, module) in [
            ("SUCCEEDED", 25, module.clone()),
            ("UNCHANGED", 7, module.clone()),
            ("SUCCEEDED", 24, module.file("data", "two")),
        ] {
            let input = stack.input(&names, &module, json!({})).await;
            stack.proxy().reset_calls();
            let finished = stack.execute(&input).await;
            assert_eq!(finished.state(), expected, "{}", finished.cause);
            stack.released(&names).await;
            let (count, which) = calls(stack);
            assert!(count > 0 && count <= limit, "{expected}: {count} calls, {which}");
        }
    });
}
