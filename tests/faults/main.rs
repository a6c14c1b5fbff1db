//! Every fault of a table, injected into a deployment of its own, and the end that the deployment must reach.
//!
//! A case is one deployment of one module: its disturbed calls with their faults, and the values that must be stored
//! when it has ended (`fault_case`). Cases have names and a CodeBuild project of their own, so they share a stack and
//! run at the same time. `calls` disturbs every call of every step in every way. `crashes` kills functions and lets
//! them time out. `deliveries` covers the delivery of the build's event. `refusals` covers answers that no repetition
//! changes, and `endings` covers the same at the end of an execution. `throttling` covers an account whose Parameter
//! Store is slow.
//!
//! Time is shortened. On AWS, Step Functions waits `IntervalSeconds`, doubled with each try, up to `MaxDelaySeconds`;
//! with full jitter it waits half of that on average. The emulator supports neither jitter nor `MaxDelaySeconds` (it
//! waits a minute at most), and scales its waits. So with a scale of 0.1, an average wait of five seconds on AWS is one
//! second here, and a fault of a [`MINUTE`] meets about as many tries as one of a minute does there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod calls;
mod crashes;
mod deliveries;
mod endings;
mod fault_case;
mod refusals;
mod soak;
mod throttling;

use std::time::Duration;

use seedflow_e2e::{Shared, StackOptions};

/// The length of a fault of a minute here.
const MINUTE: Duration = Duration::from_secs(12);

/// The longest wait of the state machine for a build's event here, instead of ten minutes.
const AWAIT: Duration = Duration::from_secs(6);

/// The longest run of a function here. For a busy machine's sake it is not shorter than most functions' own limit.
const FUNCTION: Duration = Duration::from_secs(30);

/// The target of most cases that have one.
const TARGET: &str = "222222222222/eu-west-1";
/// Targets of one case each, whose roles no function has assumed before: credentials are kept for an hour.
const NEVER_ENTERED: [&str; 2] = ["222222222222/eu-west-2", "222222222222/eu-central-1"];

static STACK: Shared = Shared::new(|| StackOptions {
    await_timeout: Some(AWAIT),
    function_timeout: Some(FUNCTION),
    emulator_env: vec![("SFN_WAIT_SCALE".to_owned(), "0.1".to_owned())],
    targets: [TARGET, NEVER_ENTERED[0], NEVER_ENTERED[1]]
        .map(|target| target.parse().expect("a target"))
        .into(),
    ..StackOptions::default()
});
