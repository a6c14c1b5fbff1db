//! How many calls an account may make in a region, which the emulator doesn't limit.
//!
//! A [`Quota`] is about some operations of a service, which share it. [`new_account`] has those of an account that never
//! asked for more, each with the page that says so. A call above a quota gets the service's error of a caller that is too
//! fast. AWS documents token buckets for Step Functions; for all other services it says "per second" and not how it counts.
//! There a call is granted if fewer than the rate were granted within the second before it: nothing is saved up for a
//! burst, which is the strictest reading. Each account and region (`quota_scope`) is counted for itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::aws_errors::throttled;
use super::calls::Caller;
use super::classify::Call;
use super::quota_scope::QuotaScope;
use crate::aws_api::ApiError;

/// A quota of an account in a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// The service's signing name: `ssm`.
    pub service: String,
    /// The operations that share it: `PutParameter`.
    pub operations: Vec<String>,
    pub limit: Limit,
    /// The page that says so.
    pub source: String,
}

/// How calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// This many within any one second.
    PerSecond(u32),
    /// A bucket of `size` tokens, full at first, into which `refill` tokens fall in a second. A call takes one.
    Bucket { size: u32, refill: u32 },
}

/// The pages.
const SSM: &str = "https://docs.aws.amazon.com/general/latest/gr/ssm.html";
const STEP_FUNCTIONS: &str = "https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html";
const EVENTBRIDGE: &str = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html";
const STS: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html";
/// These say that calls are throttled, and not at which rate. The rates are assumptions: what clients that were throttled
/// report, rounded down.
const CODEBUILD: &str = "https://docs.aws.amazon.com/codebuild/latest/APIReference/CommonErrors.html";
const CLOUDFORMATION: &str = "https://repost.aws/knowledge-center/cloudformation-rate-exceeded-error";
const IAM: &str = "https://repost.aws/knowledge-center/iam-sts-throttling-error";

/// How many builds run at once in an account whose history AWS doesn't know, and how many more may wait: five times as many
/// (CodeBuild user guide, "Builds" and "Quotas": for some compute types the default is 20, for others 1).
pub const CONCURRENT_BUILDS: usize = 20;
pub const QUEUED_BUILDS: usize = 5 * CONCURRENT_BUILDS;

/// How many functions run at once in a new account. AWS documents only that it has fewer than 1,000 (Lambda developer guide,
/// "Lambda quotas"); 10 is what new accounts report
/// (<https://github.com/DataDog/datadog-serverless-functions/pull/621>).
pub const CONCURRENT_FUNCTIONS: usize = 10;

/// The quotas of an account that never asked for more, in the regions with the lowest ones. What Step Functions does by
/// itself (state transitions, starts by a Map) doesn't pass the proxy; docs/scale.md computes it.
#[must_use]
pub fn new_account() -> Vec<Quota> {
    let bucket = |size, refill| Limit::Bucket { size, refill };
    [
        parameter_store(40, 3).to_vec(),
        [
            (&["StartExecution"][..], bucket(800, 150)),
            (&["DescribeExecution"], bucket(250, 10)),
            (&["GetExecutionHistory"], bucket(400, 20)),
            (&["ListExecutions"], bucket(100, 2)),
            (&["StopExecution"], bucket(500, 25)),
            (&["SendTaskSuccess", "SendTaskFailure"], bucket(1500, 300)),
        ]
        .map(|(operations, limit)| quota("states", operations, limit, STEP_FUNCTIONS))
        .to_vec(),
        vec![
            quota("events", &["PutEvents"], Limit::PerSecond(600), EVENTBRIDGE),
            quota(
                "sts",
                &["AssumeRole", "GetCallerIdentity"],
                Limit::PerSecond(600),
                STS,
            ),
            quota("codebuild", &["StartBuild"], Limit::PerSecond(5), CODEBUILD),
            quota("codebuild", &["BatchGetBuilds"], Limit::PerSecond(10), CODEBUILD),
            quota(
                "cloudformation",
                &["DescribeStacks", "DescribeStackEvents"],
                Limit::PerSecond(10),
                CLOUDFORMATION,
            ),
            quota(
                "iam",
                &["GetRole", "GetRolePolicy", "ListAttachedRolePolicies"],
                Limit::PerSecond(15),
                IAM,
            ),
        ],
    ]
    .concat()
}

/// The quotas of Parameter Store with these rates: reads together, and PutParameter.
#[must_use]
pub fn parameter_store(reads: u32, writes: u32) -> [Quota; 2] {
    let read = ["GetParameter", "GetParameters", "GetParametersByPath"];
    [
        quota("ssm", &read, Limit::PerSecond(reads), SSM),
        quota("ssm", &["PutParameter"], Limit::PerSecond(writes), SSM),
    ]
}

fn quota(service: &str, operations: &[&str], limit: Limit, source: &str) -> Quota {
    Quota {
        service: service.to_owned(),
        operations: operations
            .iter()
            .map(|operation| (*operation).to_owned())
            .collect(),
        limit,
        source: source.to_owned(),
    }
}

impl Quota {
    fn is_about(&self, call: &Call) -> bool {
        self.service == call.service && self.operations.contains(&call.operation)
    }
}

/// The calls of one quota since it was set, in all accounts and regions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many were granted.
    pub granted: u64,
    /// How many were refused.
    pub refused: u64,
    /// The most that were granted within any one second in one account and region.
    pub peak: u32,
}

/// The limiter; without quotas it grants everything and counts nothing.
#[derive(Default)]
pub struct Limiter(Mutex<Vec<Limits>>);

/// A quota with what was counted.
#[derive(Debug, Clone, Serialize)]
pub struct Limited {
    #[serde(flatten)]
    pub quota: Quota,
    pub count: Count,
}

/// A quota in each account and region that called.
struct Limits {
    quota: Quota,
    used: BTreeMap<QuotaScope, Used>,
}

/// A quota in one account and region.
#[derive(Default)]
struct Used {
    count: Count,
    /// When calls were granted within the last second.
    granted_at: VecDeque<Instant>,
    bucket: Option<Bucket>,
}

/// The tokens of a bucket at a time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Limiter {
    /// Sets the quotas in place of all earlier ones, and counts from zero.
    pub fn set(&self, quotas: &[Quota]) {
        let limits = |quota: &Quota| Limits {
            quota: quota.clone(),
            used: BTreeMap::new(),
        };
        *self.lock() = quotas.iter().map(limits).collect();
    }

    /// The quotas with their counts.
    pub fn limited(&self) -> Vec<Limited> {
        self.lock().iter().map(Limits::counted).collect()
    }

    /// Grants a call, or returns the error it gets. Clients aren't part of the account's load: tests look at what is stored.
    pub fn admit(
        &self,
        caller: Caller,
        scope: QuotaScope,
        call: &Call,
        now: Instant,
    ) -> Result<(), ApiError> {
        if caller == Caller::Clients {
            return Ok(());
        }
        let mut quotas = self.lock();
        let Some(limits) = quotas.iter_mut().find(|limits| limits.quota.is_about(call)) else {
            return Ok(());
        };
        let used = limits.used.entry(scope).or_default();
        if used.admits(limits.quota.limit, now) {
            Ok(())
        } else {
            Err(throttled(&call.service))
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Limits>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limits {
    fn counted(&self) -> Limited {
        let add = |sum: Count, used: &Used| Count {
            granted: sum.granted + used.count.granted,
            refused: sum.refused + used.count.refused,
            peak: sum.peak.max(used.count.peak),
        };
        Limited {
            quota: self.quota.clone(),
            count: self.used.values().fold(Count::default(), add),
        }
    }
}

impl Used {
    fn admits(&mut self, limit: Limit, now: Instant) -> bool {
        let is_over = |granted: &Instant| now.duration_since(*granted) >= Duration::from_secs(1);
        while self.granted_at.front().is_some_and(is_over) {
            self.granted_at.pop_front();
        }
        let within = u32::try_from(self.granted_at.len()).unwrap_or(u32::MAX);
        let granted = match limit {
            Limit::PerSecond(rate) => within < rate,
            Limit::Bucket { size, refill } => {
                let bucket = self.bucket.get_or_insert(Bucket {
                    tokens: f64::from(size),
                    at: now,
                });
                bucket.takes(size, refill, now)
            }
        };
        if granted {
            self.granted_at.push_back(now);
            self.count.granted += 1;
            self.count.peak = self.count.peak.max(within + 1);
        } else {
            self.count.refused += 1;
        }
        granted
    }
}

impl Bucket {
    /// Takes a token if there is one.
    fn takes(&mut self, size: u32, refill: u32, now: Instant) -> bool {
        let fallen = f64::from(refill) * now.duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + fallen).min(f64::from(size));
        self.at = now;
        let has_one = self.tokens >= 1.0;
        if has_one {
            self.tokens -= 1.0;
        }
        has_one
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::classify::Protocol;
    use super::*;

    fn call(service: &str, operation: &str) -> Call {
        Call {
            service: service.to_owned(),
            operation: operation.to_owned(),
            protocol: Protocol::Json,
        }
    }

    fn scope(account: &str, region: &str) -> QuotaScope {
        QuotaScope {
            account: account.to_owned(),
            region: region.to_owned(),
        }
    }

    /// Which calls at these milliseconds are granted.
    fn granted(limit: Limit, calls: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut used = Used::default();
        let start = Instant::now();
        let mut is_granted = |ms: &u64| used.admits(limit, start + Duration::from_millis(*ms));
        calls.into_iter().filter(|ms| is_granted(ms)).collect()
    }

    #[test]
    fn no_second_has_more_than_the_rate() {
        // A call every 100 ms for three seconds: three of every ten.
        let every_100_ms = (0..30).map(|tenth| tenth * 100);
        assert_eq!(
            granted(Limit::PerSecond(3), every_100_ms),
            [0, 100, 200, 1000, 1100, 1200, 2000, 2100, 2200]
        );
        assert_eq!(granted(Limit::PerSecond(0), [0, 5000]), [0; 0]);
    }

    #[test]
    fn a_bucket_serves_a_burst_of_its_size_and_then_its_refill() {
        let limit = Limit::Bucket { size: 4, refill: 2 };
        let mut burst = vec![0; 6];
        // Two tokens a second: one every half second; after a long pause no more than four.
        burst.extend([400, 500, 900, 1000, 9000, 9000, 9000, 9000, 9000]);
        assert_eq!(
            granted(limit, burst),
            [0, 0, 0, 0, 500, 1000, 9000, 9000, 9000, 9000]
        );
    }

    #[test]
    fn operations_share_a_quota_and_clients_have_none() {
        let limiter = Limiter::default();
        let now = Instant::now();
        let here = || scope("111122223333", "us-east-1");
        let admits = |caller, operation| {
            limiter
                .admit(caller, here(), &call("ssm", operation), now)
                .is_ok()
        };
        assert!(admits(Caller::Functions, "GetParameters"), "off by default");
        limiter.set(&parameter_store(2, 0));
        assert!(admits(Caller::Functions, "GetParameters"));
        assert!(admits(Caller::Builds, "GetParameter"));
        assert!(!admits(Caller::Functions, "GetParametersByPath"));
        assert!(!admits(Caller::Functions, "PutParameter"));
        assert!(admits(Caller::Functions, "DeleteParameter"));
        assert!(admits(Caller::Clients, "GetParameters") && admits(Caller::Clients, "PutParameter"));
        let counts = limiter.limited().into_iter().map(|limited| limited.count);
        let counts: Vec<_> = counts
            .map(|count| (count.granted, count.refused, count.peak))
            .collect();
        assert_eq!(counts, [(2, 1, 2), (0, 1, 0)]);
        limiter.set(&[]);
        assert!(admits(Caller::Functions, "PutParameter"));
    }

    #[test]
    fn each_account_and_region_has_quotas_of_its_own() {
        let limiter = Limiter::default();
        limiter.set(&parameter_store(0, 2));
        let now = Instant::now();
        let admits = |account, region| {
            let write = call("ssm", "PutParameter");
            limiter
                .admit(Caller::Functions, scope(account, region), &write, now)
                .is_ok()
        };
        for (account, region) in [("1", "us-east-1"), ("2", "us-east-1"), ("2", "eu-west-1")] {
            assert!(
                admits(account, region) && admits(account, region),
                "{account} {region}"
            );
            assert!(!admits(account, region), "{account} {region}");
        }
        let count = limiter.limited()[1].count;
        assert_eq!((count.granted, count.refused, count.peak), (6, 3, 2));
    }

    #[test]
    fn a_refusal_is_the_services_own() {
        let limiter = Limiter::default();
        limiter.set(&[quota(
            "cloudformation",
            &["DescribeStacks"],
            Limit::PerSecond(0),
            "",
        )]);
        let refused = limiter.admit(
            Caller::Functions,
            scope("111122223333", "us-east-1"),
            &call("cloudformation", "DescribeStacks"),
            Instant::now(),
        );
        assert_eq!(refused.unwrap_err().code, "Throttling");
    }

    #[test]
    fn every_quota_of_a_new_account_has_a_page_and_every_operation_one_quota() {
        let quotas = new_account();
        let mut seen = std::collections::BTreeSet::new();
        for quota in &quotas {
            assert!(quota.source.starts_with("https://"), "{quota:?}");
            for operation in &quota.operations {
                let name = format!("{}:{operation}", quota.service);
                assert!(seen.insert(name), "{operation} has two quotas");
            }
        }
        let writes = quotas
            .iter()
            .find(|quota| quota.is_about(&call("ssm", "PutParameter")));
        assert_eq!(writes.unwrap().limit, Limit::PerSecond(3));
    }
}
