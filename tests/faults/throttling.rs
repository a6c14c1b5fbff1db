//! Fifty deployments start and end at once in an account whose Parameter Store accepts 40 reads and 3 writes a second:
//! AWS's default for an account.
//!
//! The stack belongs to this suite alone, since the quotas apply to the whole account. Its waits are AWS's, like the rates. So
//! the tries that suffice here suffice there.

use std::time::Duration;

use seedflow_e2e::{
    Count, Module, ModuleId, Shared, StackOptions, TestStack, eventually, module_id, parameter_store, run,
};
use serde_json::{Value, json};

const MODULES: u64 = 50;

/// Two hundred writes take 67 seconds at least; a module may use up all its tries before it succeeds.
const LIMIT: Duration = Duration::from_secs(400);

static STACK: Shared = Shared::new(|| StackOptions {
    quotas: parameter_store(40, 3).to_vec(),
    ..StackOptions::default()
});

fn id_of(number: u64) -> ModuleId {
    module_id("throttling", "dev", &format!("group-{number}"), "m")
}

/// Starts all deployments; their builds wait for the gate.
async fn start_all(stack: &TestStack, gate: &std::path::Path) -> Vec<String> {
    let wait = format!("until [ -e '{}' ]; do sleep 1; done", gate.display());
    let module = Module::running("build", &[&wait]);
    let mut executions = Vec::new();
    for number in 0..MODULES {
        let input = stack.input(&id_of(number), &module, json!({})).await;
        executions.push(stack.start(&input).await);
    }
    executions
}

/// Waits until every deployment has its build, and every build's end will arrive as an event.
async fn all_wait(stack: &TestStack) {
    eventually("fifty registered tokens", || async {
        let registered = stack.keys("callbacks/").await.len() as u64;
        (registered == MODULES).then_some(())
    })
    .await;
}

fn failed_tries(history: &[Value]) -> usize {
    let failed = |event: &&Value| event["taskFailedEventDetails"]["error"] == "Throttled";
    history.iter().filter(failed).count()
}

/// The number of throttled calls of the most throttled deployment.
async fn most_tries(stack: &TestStack, executions: &[String]) -> usize {
    let mut most = 0;
    for execution in executions {
        most = most.max(failed_tries(&stack.history(execution).await));
    }
    most
}

/// The reads and the writes since the quotas were applied.
fn traffic(stack: &TestStack) -> (Count, Count) {
    let count = |operation| stack.proxy().quota_count("ssm", operation);
    (count("GetParameters"), count("PutParameter"))
}

fn report(what: &str, seconds: f64, (reads, writes): (Count, Count), tries: usize) {
    eprintln!(
        "{what}: {seconds:.0} s; reads: {} granted, {} refused, at most {} a second; writes: {} granted, {} refused, \
         at most {} a second; the most failed tries of one deployment: {tries}",
        reads.granted, reads.refused, reads.peak, writes.granted, writes.refused, writes.peak
    );
}

#[test]
fn fifty_modules_end_at_once_and_every_parameter_is_written_once() {
    run(async {
        let stack = STACK.get().await;
        let gate = stack.folder().join("gate");
        let begun = std::time::Instant::now();
        let executions = start_all(stack, &gate).await;
        all_wait(stack).await;
        let started = traffic(stack);
        let tries = most_tries(stack, &executions).await;
        report("fifty starts", begun.elapsed().as_secs_f64(), started, tries);
        assert_eq!(started.1.granted, MODULES);

        stack.proxy().apply_quotas(&parameter_store(40, 3));
        let begun = std::time::Instant::now();
        std::fs::write(&gate, "").unwrap();
        for execution in &executions {
            let finished = stack.finished_within(execution, LIMIT).await;
            assert_eq!(
                finished.state(),
                "SUCCEEDED",
                "{}: {}",
                finished.error,
                finished.cause
            );
        }
        let (reads, writes) = traffic(stack);
        let all_tries = most_tries(stack, &executions).await;
        report(
            "fifty ends",
            begun.elapsed().as_secs_f64(),
            (reads, writes),
            all_tries,
        );

        let once = [("md5", 1), ("metadata", 1), ("outputs", 1), ("status", 2)]
            .map(|(name, version)| (name.to_owned(), version));
        for number in 0..MODULES {
            assert_eq!(
                stack.versions(&id_of(number)).await,
                once.clone().into(),
                "{number}"
            );
        }
        assert_eq!(writes.granted, 4 * MODULES, "no write was made twice");
        assert!(writes.peak <= 3 && reads.peak <= 40, "{reads:?} {writes:?}");
        assert!(writes.refused > 0, "the rates were never reached");
    });
}
