//! What AWS bills for, what each of it costs, and sums of it.
//!
//! A scenario, whether counted or thought up, is a number of each billed thing (`Quantities`); its price is their
//! product with the one table here. Prices are those of us-east-1 without any free tier, in dollars.

use std::collections::BTreeMap;

/// Something that is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A state of a Standard workflow that is entered or tried again, or an execution's start.
    Transition,
    /// An invocation of a function.
    Invocation,
    /// A second of a function on arm64 for each GB of its memory.
    GbSecond,
    /// A request to S3 that writes, copies or lists.
    S3Write,
    /// A request to S3 that reads.
    S3Read,
    /// A GB that lies in S3 for a month.
    S3Month,
    /// An event that isn't AWS's own.
    Event,
    /// A request to a queue.
    QueueRequest,
    /// A GB that is written to CloudWatch Logs.
    LogGb,
    /// A GB that lies in CloudWatch Logs for a month.
    LogMonth,
    /// A recorded trace.
    Trace,
    /// A minute of a build on general1.small, Linux.
    BuildMinute,
    /// A minute of a build on arm1.small, Linux.
    ArmBuildMinute,
    /// A metric of one's own for a month.
    Metric,
    /// An alarm for a month.
    Alarm,
    /// A dashboard for a month.
    Dashboard,
    /// A parameter over 4 KB for a month.
    AdvancedParameter,
    /// A key of one's own for a month.
    Key,
    /// A minute of a hosted runner of GitHub Actions, Linux with two cores.
    RunnerMinute,
}

/// A line of a price list.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    /// What it is the price of.
    pub item: Item,
    /// That in words.
    pub what: &'static str,
    /// Dollars for `per` of it.
    pub dollars: f64,
    /// How many of it that is the price of.
    pub per: f64,
    /// `per` in words.
    pub unit: &'static str,
    /// The page that publishes it.
    pub page: &'static str,
    /// The newest date for which that price was found confirmed.
    pub seen: &'static str,
}

const fn price(
    item: Item,
    what: &'static str,
    (dollars, per, unit): (f64, f64, &'static str),
    (page, seen): (&'static str, &'static str),
) -> Price {
    Price {
        item,
        what,
        dollars,
        per,
        unit,
        page,
        seen,
    }
}

/// The only place with prices. Where a price changes, change it and its date here and write the page again.
pub const PRICES: [Price; 19] = [
    price(
        Item::Transition,
        "Step Functions, state transitions of Standard workflows",
        (0.025, 1e3, "1,000"),
        ("https://aws.amazon.com/step-functions/pricing/", "2026-03-14"),
    ),
    price(
        Item::Invocation,
        "Lambda, invocations",
        (0.20, 1e6, "1,000,000"),
        ("https://aws.amazon.com/lambda/pricing/", "2026-03-08"),
    ),
    price(
        Item::GbSecond,
        "Lambda on arm64, duration",
        (0.000_013_333_4, 1.0, "GB-second"),
        ("https://aws.amazon.com/lambda/pricing/", "2026-03-08"),
    ),
    price(
        Item::S3Write,
        "S3 Standard, PUT, COPY, POST, LIST",
        (0.005, 1e3, "1,000"),
        ("https://aws.amazon.com/s3/pricing/", "2026-09-29"),
    ),
    price(
        Item::S3Read,
        "S3 Standard, GET and all others; DELETE is free",
        (0.0004, 1e3, "1,000"),
        ("https://aws.amazon.com/s3/pricing/", "2026-09-29"),
    ),
    price(
        Item::S3Month,
        "S3 Standard, storage",
        (0.023, 1.0, "GB-month"),
        ("https://aws.amazon.com/s3/pricing/", "2026-09-29"),
    ),
    price(
        Item::Event,
        "EventBridge, custom events of up to 64 KB; those of AWS services are free",
        (1.00, 1e6, "1,000,000"),
        ("https://aws.amazon.com/eventbridge/pricing/", "2026-06-13"),
    ),
    price(
        Item::QueueRequest,
        "SQS, requests to standard queues",
        (0.40, 1e6, "1,000,000"),
        ("https://aws.amazon.com/sqs/pricing/", "2026-03-14"),
    ),
    price(
        Item::LogGb,
        "CloudWatch Logs, ingestion",
        (0.50, 1.0, "GB"),
        ("https://aws.amazon.com/cloudwatch/pricing/", "2026-09-29"),
    ),
    price(
        Item::LogMonth,
        "CloudWatch Logs, storage",
        (0.03, 1.0, "GB-month"),
        ("https://aws.amazon.com/cloudwatch/pricing/", "2026-09-29"),
    ),
    price(
        Item::Trace,
        "X-Ray, recorded traces",
        (5.00, 1e6, "1,000,000"),
        ("https://aws.amazon.com/xray/pricing/", "undated copy"),
    ),
    price(
        Item::BuildMinute,
        "CodeBuild, general1.small, Linux",
        (0.005, 1.0, "minute"),
        ("https://aws.amazon.com/codebuild/pricing/", "2026-09-28"),
    ),
    price(
        Item::ArmBuildMinute,
        "CodeBuild, arm1.small, Linux",
        (0.0034, 1.0, "minute"),
        ("https://aws.amazon.com/codebuild/pricing/", "2026-09-28"),
    ),
    price(
        Item::Metric,
        "CloudWatch, custom metrics, of the first 10,000",
        (0.30, 1.0, "metric and month"),
        ("https://aws.amazon.com/cloudwatch/pricing/", "2026-09-29"),
    ),
    price(
        Item::Alarm,
        "CloudWatch, alarms of standard resolution",
        (0.10, 1.0, "alarm and month"),
        ("https://aws.amazon.com/cloudwatch/pricing/", "2026-09-29"),
    ),
    price(
        Item::Dashboard,
        "CloudWatch, dashboards",
        (3.00, 1.0, "dashboard and month"),
        ("https://aws.amazon.com/cloudwatch/pricing/", "2026-06-13"),
    ),
    price(
        Item::AdvancedParameter,
        "Parameter Store, values of 4 to 8 KB; smaller ones are free, and so are requests at the standard throughput",
        (0.05, 1.0, "parameter and month"),
        ("https://aws.amazon.com/systems-manager/pricing/", "2025-10-21"),
    ),
    price(
        Item::Key,
        "KMS, customer-managed keys; the first and second rotation of one add as much",
        (1.00, 1.0, "key and month"),
        ("https://aws.amazon.com/kms/pricing/", "2026-03-14"),
    ),
    price(
        Item::RunnerMinute,
        "GitHub Actions, hosted runner, Linux, two cores",
        (0.006, 1.0, "minute"),
        (
            "https://docs.github.com/en/billing/reference/actions-runner-pricing",
            "since 2026-01-01",
        ),
    ),
];

impl Item {
    /// Dollars for one of it.
    pub fn dollars(self) -> f64 {
        let price = PRICES.iter().find(|price| price.item == self);
        price.map_or(f64::NAN, |price| price.dollars / price.per)
    }
}

/// How much of each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quantities(BTreeMap<Item, f64>);

impl Quantities {
    /// Of one thing only.
    pub fn of(item: Item, amount: f64) -> Self {
        Self::default().and(item, amount)
    }

    /// With some more of one thing.
    pub fn and(mut self, item: Item, amount: f64) -> Self {
        *self.0.entry(item).or_default() += amount;
        self
    }

    /// With all of another.
    pub fn plus(mut self, other: &Self) -> Self {
        for (&item, &amount) in &other.0 {
            self = self.and(item, amount);
        }
        self
    }

    /// That many times all of it.
    pub fn times(&self, factor: f64) -> Self {
        Self(
            self.0
                .iter()
                .map(|(&item, amount)| (item, amount * factor))
                .collect(),
        )
    }

    /// How much of one thing.
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

    /// To a hundredth of a millionth of a dollar.
    fn same(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-8, "{found} and not {expected}");
    }

    #[test]
    fn everything_has_exactly_one_price() {
        for (at, price) in PRICES.iter().enumerate() {
            assert!(price.dollars > 0.0 && price.per > 0.0, "{}", price.what);
            assert!(
                PRICES[..at].iter().all(|other| other.item != price.item),
                "two prices of {:?}",
                price.item
            );
        }
        // One more item and no price for it would be priced as NaN, which no comparison survives.
        same(Item::RunnerMinute.dollars(), 0.006);
    }

    #[test]
    fn a_price_is_the_sum_of_amounts_times_prices() {
        // 16 transitions at 25 millionths, 6 invocations at a fifth of a millionth, a quarter of a GB for two seconds.
        let used = Quantities::of(Item::Transition, 16.0)
            .and(Item::Invocation, 6.0)
            .and(Item::GbSecond, 0.5);
        same(used.dollars(), 0.000_4 + 0.000_001_2 + 0.000_006_666_7);
        same(used.times(1000.0).dollars(), 0.407_866_7);
        same(used.dollars_for(&[Item::Transition]), 0.000_4);
    }

    #[test]
    fn quantities_of_the_same_thing_add_up() {
        let sum = Quantities::of(Item::S3Write, 2.0)
            .plus(&Quantities::of(Item::S3Write, 3.0).and(Item::S3Read, 1.0));
        assert_eq!(sum, Quantities::of(Item::S3Write, 5.0).and(Item::S3Read, 1.0));
        same(sum.dollars(), 0.000_025_4);
        same(Quantities::default().dollars(), 0.0);
    }
}
