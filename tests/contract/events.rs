//! The schemas of the events in `docs/events`, checked against their examples. `e2e/module/events.rs` checks the events
//! that are put on EventBridge against the schemas.

use seedflow_contract::{file, schema};
use serde_json::{Value, json};

fn faults(name: &str, details: &[Value]) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(schema::faults(name, details))
}

#[test]
fn the_schemas_take_the_examples_and_refuse_what_is_wrong() {
    let examples = [
        ("module-state-change", "module-failed"),
        ("module-state-change", "module-in-target"),
        ("deployment-state-change", "deployment-recovered"),
        ("deployment-state-change", "deployment-refused"),
        ("deployment-state-change", "deployment-waiting"),
        ("module-drift", "module-drifted"),
    ];
    for (name, example) in examples {
        let path = format!("docs/events/examples/{example}.json");
        let event: Value = serde_json::from_str(&file(&path)).unwrap();
        let detail = &event["detail"];
        assert!(faults(name, std::slice::from_ref(detail)).is_empty());
        let broken = |change: fn(&mut Value)| {
            let mut detail = detail.clone();
            change(&mut detail);
            detail
        };
        let broken = [
            broken(|detail| detail["state"] = json!("DONE")),
            broken(|detail| detail["secret"] = json!("x")),
            broken(|detail| detail["version"] = json!("2")),
            broken(|detail| detail["state"] = json!("ABORTED")),
            broken(|detail| drop(detail.as_object_mut().unwrap().remove("execution"))),
            broken(|detail| detail["message"] = json!("two\nlines")),
        ];
        let found_faults = faults(name, &broken);
        // A stop has an error and a cause, which the example of a failure has.
        let found = |index: usize| {
            found_faults
                .iter()
                .any(|fault| fault.starts_with(&format!("{index}: ")))
        };
        let has_no_error = [
            "module-in-target",
            "deployment-recovered",
            "deployment-waiting",
            "module-drifted",
        ]
        .contains(&example);
        let expected = [true, true, true, has_no_error, true, true];
        assert_eq!(
            (0..6).map(found).collect::<Vec<_>>(),
            expected,
            "{found_faults:#?}"
        );
    }
}
