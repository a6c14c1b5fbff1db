//! The clock by which the engine stops an evaluation that takes too long. Without its feature `std`, which would bring random
//! numbers, the engine has none.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use regorus::utils::limits::{TimeSource, set_time_source};

struct Stopwatch;

impl TimeSource for Stopwatch {
    fn now(&self) -> Option<Duration> {
        static START: OnceLock<Instant> = OnceLock::new();
        Some(START.get_or_init(Instant::now).elapsed())
    }
}

/// Gives the engine its clock, once in a process.
pub(crate) fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // Nobody else in this process sets one.
        let _is_first = set_time_source(&Stopwatch).is_ok();
    });
}
