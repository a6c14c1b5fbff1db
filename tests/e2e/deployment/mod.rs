//! Whole repositories end to end: planned, deployed group by group, followed by their dependents, destroyed.

mod accounts;
mod approvals;
mod failures;
mod faults;
mod lock_queue;
mod logs;
mod migration;
mod networks;
mod order;
mod pages;
mod plans;
mod policies;
mod previews;
mod rego;
mod removals;
mod renames;
mod rollbacks;
mod values;

use std::collections::BTreeMap;

use seedflow_e2e::{Finished, Group, ModuleId, Shared, StackOptions, TestStack, module_id};
use serde_json::Value;

/// An account of another region, and one of the same.
pub const TARGETS: [&str; 2] = ["222222222222/eu-west-1", "333333333333/us-east-1"];

/// Another region of Seedflow's own account.
pub const NEAR: &str = "111122223333/eu-central-1";

/// Shared with other suites that need no settings of their own. Manifests may take variables from Parameter Store,
/// builds may have networks, and two other accounts and another region of its own are targets.
pub static STACK: Shared = Shared::new(|| StackOptions {
    parameters: [
        ("ReferencedParameters", "shared/*"),
        ("BuildSubnetIds", "subnet-1,subnet-2"),
        ("BuildSecurityGroupIds", "sg-1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into(),
    targets: TARGETS
        .iter()
        .chain([&NEAR])
        .map(|target| target.parse().expect("a target"))
        .collect(),
    ..StackOptions::default()
});

/// Three groups of two modules; some take values from earlier ones.
const THREE: &[Group<'_>] = &[
    ("network", &[("vpc", &[]), ("dns", &[])]),
    ("data", &[("store", &["network/vpc"]), ("queue", &[])]),
    (
        "apps",
        &[
            ("web", &["data/store", "network/dns"]),
            ("worker", &["data/queue"]),
        ],
    ),
];

const ALL: [&str; 6] = [
    "network/vpc",
    "network/dns",
    "data/store",
    "data/queue",
    "apps/web",
    "apps/worker",
];

fn id_of(project: &str, module: &str) -> ModuleId {
    let (group, module) = module.split_once('/').expect("group/module");
    module_id(project, "dev", group, module)
}

fn assert_state(finished: &Finished, state: &str) {
    assert_eq!(finished.state(), state, "{}: {}", finished.error, finished.cause);
}

/// The execution that last wrote the status of each module; null if there is none.
async fn deployed_by(stack: &TestStack, project: &str) -> BTreeMap<String, Value> {
    let mut executions = BTreeMap::new();
    for module in ALL {
        let status = stack.parameter(&id_of(project, module), "status").await;
        executions.insert(module.to_owned(), status["execution"].clone());
    }
    executions
}

/// The modules that ran between two checks.
fn executed_between(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    ALL.iter()
        .filter(|module| before[**module] != after[**module])
        .map(|module| (*module).to_owned())
        .collect()
}

/// The report of a deployment.
async fn report(stack: &TestStack, finished: &Finished) -> Value {
    let execution = finished.execution.rsplit(':').next().expect("a name");
    let reports = stack.keys("reports/").await;
    let key = reports
        .iter()
        .find(|key| key.ends_with(&format!("/{execution}.json")))
        .expect("the report of a deployment");
    serde_json::from_slice(&stack.object(key).await.expect("a report")).expect("JSON")
}

/// The final state of each module of the last run, by the report of the deployment.
async fn results(stack: &TestStack, finished: &Finished) -> BTreeMap<String, String> {
    let report = report(stack, finished).await;
    let results = report["results"].as_array().expect("results");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    results
        .iter()
        .map(|result| {
            let module = format!("{}/{}", text(&result["group"]), text(&result["module"]));
            (module, text(&result["state"]))
        })
        .collect()
}
