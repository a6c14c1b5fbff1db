//! How many calls of Parameter Store an account may make in a second, which the emulator doesn't limit.
//!
//! By default an account and region share 40 reads a second (GetParameter, GetParameters,
//! GetParametersByPath) and 3 writes (PutParameter), and further calls get ThrottlingException
//! (<https://docs.aws.amazon.com/general/latest/gr/ssm.html>, "Parameter Store": the throughput quotas). AWS
//! doesn't document how it counts. Here a call is granted if fewer than the rate were granted within the second
//! before it: nothing is saved up for a burst, which is the strictest reading.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::calls::Caller;
use crate::aws_api::ApiError;

/// The rates of an account and region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// GetParameter, GetParameters and GetParametersByPath together.
    pub reads_per_second: u32,
    /// PutParameter.
    pub writes_per_second: u32,
}

impl Rates {
    /// What an account has unless it asked for more.
    pub const AWS_DEFAULT: Self = Self {
        reads_per_second: 40,
        writes_per_second: 3,
    };
}

/// The counts of one kind of calls since the rates were set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many were granted.
    pub granted: u64,
    /// How many were refused.
    pub refused: u64,
    /// The most that were granted within any one second.
    pub peak: u32,
}

/// The counts of all calls since the rates were set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    pub reads: Count,
    pub writes: Count,
}

/// The limiter; without rates it grants everything and counts nothing.
#[derive(Default)]
pub struct Limiter(Mutex<State>);

#[derive(Default)]
struct State {
    rates: Option<Rates>,
    reads: Window,
    writes: Window,
}

/// When calls of one kind were granted within the last second.
#[derive(Default)]
struct Window {
    granted_at: VecDeque<Instant>,
    count: Count,
}

impl Limiter {
    /// Sets the rates, or lifts them, and counts from zero.
    pub fn set(&self, rates: Option<Rates>) {
        *self.lock() = State {
            rates,
            ..State::default()
        };
    }

    /// The rates that are set.
    pub fn rates(&self) -> Option<Rates> {
        self.lock().rates
    }

    /// The counts so far.
    pub fn traffic(&self) -> Traffic {
        let state = self.lock();
        Traffic {
            reads: state.reads.count,
            writes: state.writes.count,
        }
    }

    /// Grants a call or refuses it. Tests look at parameters as clients: they aren't part of the account's load.
    pub fn admit(&self, caller: Caller, operation: &str, now: Instant) -> Result<(), ApiError> {
        let mut state = self.lock();
        let Some(rates) = state.rates else { return Ok(()) };
        let (window, rate) = match operation {
            _ if caller == Caller::Clients => return Ok(()),
            "GetParameter" | "GetParameters" | "GetParametersByPath" => {
                (&mut state.reads, rates.reads_per_second)
            }
            "PutParameter" => (&mut state.writes, rates.writes_per_second),
            _ => return Ok(()),
        };
        if window.admits(rate, now) {
            Ok(())
        } else {
            Err(ApiError::client("ThrottlingException", "Rate exceeded"))
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn admits(&mut self, rate: u32, now: Instant) -> bool {
        let is_over = |granted: &Instant| now.duration_since(*granted) >= Duration::from_secs(1);
        while self.granted_at.front().is_some_and(is_over) {
            self.granted_at.pop_front();
        }
        let within = u32::try_from(self.granted_at.len()).unwrap_or(u32::MAX);
        if within >= rate {
            self.count.refused += 1;
            return false;
        }
        self.granted_at.push_back(now);
        self.count.granted += 1;
        self.count.peak = self.count.peak.max(within + 1);
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_than_the_rate() {
        let limiter = Limiter::default();
        limiter.set(Some(Rates::AWS_DEFAULT));
        let start = Instant::now();
        // A write every 100 ms for three seconds: three of every ten.
        let granted: Vec<u64> = (0..30)
            .map(|tenth| tenth * 100)
            .filter(|ms| {
                let now = start + Duration::from_millis(*ms);
                limiter.admit(Caller::Functions, "PutParameter", now).is_ok()
            })
            .collect();
        assert_eq!(granted, [0, 100, 200, 1000, 1100, 1200, 2000, 2100, 2200]);
        let writes = limiter.traffic().writes;
        assert_eq!((writes.granted, writes.refused, writes.peak), (9, 21, 3));
    }

    #[test]
    fn reads_share_a_rate_and_clients_have_none() {
        let limiter = Limiter::default();
        let now = Instant::now();
        let admits = |caller, operation| limiter.admit(caller, operation, now).is_ok();
        assert!(admits(Caller::Functions, "GetParameters"), "off by default");
        limiter.set(Some(Rates {
            reads_per_second: 2,
            writes_per_second: 0,
        }));
        assert!(admits(Caller::Functions, "GetParameters"));
        assert!(admits(Caller::Builds, "GetParameter"));
        assert!(!admits(Caller::Functions, "GetParametersByPath"));
        assert!(!admits(Caller::Functions, "PutParameter"));
        assert!(admits(Caller::Functions, "DeleteParameter"));
        assert!(admits(Caller::Clients, "GetParameters") && admits(Caller::Clients, "PutParameter"));
        limiter.set(None);
        assert!(admits(Caller::Functions, "PutParameter"));
    }
}
