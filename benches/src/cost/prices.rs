//! The items of AWS's bill, their prices, and sums of them.
//!
//! A scenario, whether counted or assumed, is a number of each billed thing (`Quantities`); its price is their product
//! with the one table here. Prices are those of us-east-1 without any free tier, in dollars.

use std::collections::BTreeMap;

use Item::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A state of a Standard workflow that is entered or retried, or an execution's start.
    Transition,
    Invocation,
    /// A second of a function on arm64 for each GB of its memory.
    GbSecond,
    S3Write,
    S3Read,
    S3Month,
    Event,
    QueueRequest,
    LogGb,
    LogMonth,
    Trace,
    BuildMinute,
    ArmBuildMinute,
    Metric,
    Alarm,
    Dashboard,
    AdvancedParameter,
    Key,
    /// A minute of a hosted runner of GitHub Actions.
    RunnerMinute,
}

/// A line of a price list.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    pub item: Item,
    /// Dollars for `per` of it.
    pub dollars: f64,
    pub per: f64,
    /// `per` in words.
    pub unit: &'static str,
    pub what: &'static str,
    pub page: &'static str,
    /// The newest date on which the price was confirmed.
    pub seen: &'static str,
}

/// The only place with prices. When a price changes, change it and its date here and write the page again.
#[rustfmt::skip]
pub const PRICES: [Price; 19] = [
    price(Transition, 0.025, 1e3, "1,000", "Step Functions, state transitions of Standard workflows", "https://aws.amazon.com/step-functions/pricing/", "2026-03-14"),
    price(Invocation, 0.20, 1e6, "1,000,000", "Lambda, invocations", "https://aws.amazon.com/lambda/pricing/", "2026-03-08"),
    price(GbSecond, 0.000_013_333_4, 1.0, "GB-second", "Lambda on arm64, duration", "https://aws.amazon.com/lambda/pricing/", "2026-03-08"),
    price(S3Write, 0.005, 1e3, "1,000", "S3 Standard, PUT, COPY, POST, LIST", "https://aws.amazon.com/s3/pricing/", "2026-09-29"),
    price(S3Read, 0.0004, 1e3, "1,000", "S3 Standard, GET and all others; DELETE is free", "https://aws.amazon.com/s3/pricing/", "2026-09-29"),
    price(S3Month, 0.023, 1.0, "GB-month", "S3 Standard, storage", "https://aws.amazon.com/s3/pricing/", "2026-09-29"),
    price(Event, 1.00, 1e6, "1,000,000", "EventBridge, custom events of up to 64 KB; those of AWS services are free", "https://aws.amazon.com/eventbridge/pricing/", "2026-06-13"),
    price(QueueRequest, 0.40, 1e6, "1,000,000", "SQS, requests to standard queues", "https://aws.amazon.com/sqs/pricing/", "2026-03-14"),
    price(LogGb, 0.50, 1.0, "GB", "CloudWatch Logs, ingestion", "https://aws.amazon.com/cloudwatch/pricing/", "2026-09-29"),
    price(LogMonth, 0.03, 1.0, "GB-month", "CloudWatch Logs, storage", "https://aws.amazon.com/cloudwatch/pricing/", "2026-09-29"),
    price(Trace, 5.00, 1e6, "1,000,000", "X-Ray, recorded traces", "https://aws.amazon.com/xray/pricing/", "undated copy"),
    price(BuildMinute, 0.005, 1.0, "minute", "CodeBuild, general1.small, Linux", "https://aws.amazon.com/codebuild/pricing/", "2026-09-28"),
    price(ArmBuildMinute, 0.0034, 1.0, "minute", "CodeBuild, arm1.small, Linux", "https://aws.amazon.com/codebuild/pricing/", "2026-09-28"),
    price(Metric, 0.30, 1.0, "metric and month", "CloudWatch, custom metrics, of the first 10,000", "https://aws.amazon.com/cloudwatch/pricing/", "2026-09-29"),
    price(Alarm, 0.10, 1.0, "alarm and month", "CloudWatch, alarms of standard resolution", "https://aws.amazon.com/cloudwatch/pricing/", "2026-09-29"),
    price(Dashboard, 3.00, 1.0, "dashboard and month", "CloudWatch, dashboards", "https://aws.amazon.com/cloudwatch/pricing/", "2026-06-13"),
    price(AdvancedParameter, 0.05, 1.0, "parameter and month", "Parameter Store, values of 4 to 8 KB; smaller ones are free, and so are requests at the standard throughput", "https://aws.amazon.com/systems-manager/pricing/", "2025-10-21"),
    price(Key, 1.00, 1.0, "key and month", "KMS, customer-managed keys; the first and second rotation of one add as much", "https://aws.amazon.com/kms/pricing/", "2026-03-14"),
    price(RunnerMinute, 0.006, 1.0, "minute", "GitHub Actions, hosted runner, Linux, two cores", "https://docs.github.com/en/billing/reference/actions-runner-pricing", "since 2026-01-01"),
];

const fn price(
    item: Item,
    dollars: f64,
    per: f64,
    unit: &'static str,
    what: &'static str,
    page: &'static str,
    seen: &'static str,
) -> Price {
    Price {
        item,
        dollars,
        per,
        unit,
        what,
        page,
        seen,
    }
}

impl Item {
    /// Dollars for one of it.
    pub fn dollars(self) -> f64 {
        let price = PRICES.iter().find(|price| price.item == self);
        price.map_or(f64::NAN, |price| price.dollars / price.per)
    }
}

/// The amount of each item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quantities(BTreeMap<Item, f64>);

impl Quantities {
    pub fn of(item: Item, amount: f64) -> Self {
        Self::default().and(item, amount)
    }

    pub fn and(mut self, item: Item, amount: f64) -> Self {
        *self.0.entry(item).or_default() += amount;
        self
    }

    pub fn plus(self, other: &Self) -> Self {
        let amounts = other.0.iter();
        amounts.fold(self, |sum, (&item, &amount)| sum.and(item, amount))
    }

    pub fn get(&self, item: Item) -> f64 {
        self.0.get(&item).copied().unwrap_or_default()
    }

    /// The price of some of it.
    pub fn dollars_for(&self, items: &[Item]) -> f64 {
        items.iter().map(|&item| self.get(item) * item.dollars()).sum()
    }

    /// The price of all of it.
    pub fn dollars(&self) -> f64 {
        self.0.iter().map(|(item, amount)| amount * item.dollars()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-8,
            "expected {expected}, found {found}"
        );
    }

    #[test]
    fn every_price_is_listed_once() {
        for (at, price) in PRICES.iter().enumerate() {
            assert!(price.dollars > 0.0 && price.per > 0.0, "{}", price.what);
            let earlier = PRICES[..at].iter().find(|other| other.item == price.item);
            assert!(earlier.is_none(), "two prices of {:?}", price.item);
        }
        // One more item without a price would be priced as NaN, which no comparison survives.
        same(RunnerMinute.dollars(), 0.006);
    }

    #[test]
    fn a_price_is_the_sum_of_amounts_times_prices() {
        // 16 transitions at 25 millionths, 6 invocations at a fifth of a millionth, a quarter of a GB for two seconds.
        let used = Quantities::of(Transition, 16.0)
            .and(Invocation, 6.0)
            .and(GbSecond, 0.5);
        same(used.dollars(), 0.000_4 + 0.000_001_2 + 0.000_006_666_7);
        same(used.dollars_for(&[Transition]), 0.000_4);
        let twice = used.clone().plus(&used);
        assert_eq!(twice.get(Transition), 32.0);
        same(Quantities::default().dollars(), 0.0);
    }
}
