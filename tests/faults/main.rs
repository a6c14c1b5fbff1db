//! Every fault of a table, injected into a deployment of its own, and the end that it must come to.
//!
//! A case is one deployment of one module: which calls of it are disturbed and how, and what must be stored
//! when it has ended (`fault_case`). Cases have names and a CodeBuild project of their own, so they share a stack and
//! run at the same time. `calls` disturbs every call of every step in every way, `crashes` kills functions and
//! lets them time out, `deliveries` is about the build's event and what it meets, `refusals` about answers
//! that no repetition changes, `endings` about the same at the end of an execution, and `throttling` about an account whose Parameter Store is slow.
//!
//! Time is shortened. Step Functions on AWS waits `IntervalSeconds`, doubled with each try, up to
//! `MaxDelaySeconds`, and with full jitter half of that in the mean; the emulator knows neither jitter nor
//! `MaxDelaySeconds` (it waits a minute at most) and scales what it waits. So a scale of 0.1 makes five
//! seconds of AWS's mean one second here, and a fault of a [`MINUTE`] meets about as many tries as one of a
//! minute does there.
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

/// How long a fault of a minute lasts here.
const MINUTE: Duration = Duration::from_secs(12);

/// How long the state machine waits for a build's event here, instead of ten minutes.
const AWAIT: Duration = Duration::from_secs(6);

/// The longest that a function may run here: no shorter than most may anyway, for a busy machine's sake.
const FUNCTION: Duration = Duration::from_secs(30);

static STACK: Shared = Shared::new(|| StackOptions {
    await_timeout: Some(AWAIT),
    function_timeout: Some(FUNCTION),
    emulator_env: vec![("SFN_WAIT_SCALE".to_owned(), "0.1".to_owned())],
    ..StackOptions::default()
});
