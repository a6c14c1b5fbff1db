//! The items of a bill, their prices, and sums of them.
//!
//! A bill, whether counted or assumed, is a list of items with their amounts. Prices are those of us-east-1 without any
//! free tier, in dollars.

/// Makes the items and the list of their prices from one table, so that no item lacks a price.
macro_rules! prices {
    ($($item:ident, $dollars:literal for $per:literal $unit:literal, $what:literal, $page:literal, $seen:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Item { $($item),* }

        pub const PRICES: &[Price] = &[$(Price {
            item: Item::$item, dollars: $dollars, per: $per, unit: $unit, what: $what, page: $page, seen: $seen,
        }),*];
    };
}

pub struct Price {
    pub item: Item,
    /// Dollars for `per` of it.
    pub dollars: f64,
    pub per: f64,
    /// `per` in words.
    pub unit: &'static str,
    pub what: &'static str,
    /// Where the price is published.
    pub page: &'static str,
    /// The newest date on which the price was confirmed.
    pub seen: &'static str,
}

// The only place with prices. When a price changes, change it and its date here and write the page again.
prices! {
    Transition, 0.025 for 1e3 "1,000", "Step Functions, state transitions of Standard workflows", "https://aws.amazon.com/step-functions/pricing/", "2026-03-14";
    Invocation, 0.20 for 1e6 "1,000,000", "Lambda, invocations", "https://aws.amazon.com/lambda/pricing/", "2026-03-08";
    GbSecond, 0.000_013_333_4 for 1.0 "GB-second", "Lambda on arm64, duration", "https://aws.amazon.com/lambda/pricing/", "2026-03-08";
    S3Write, 0.005 for 1e3 "1,000", "S3 Standard, PUT, COPY, POST, LIST", "https://aws.amazon.com/s3/pricing/", "2026-09-29";
    S3Read, 0.0004 for 1e3 "1,000", "S3 Standard, GET and all others; DELETE is free", "https://aws.amazon.com/s3/pricing/", "2026-09-29";
    S3Month, 0.023 for 1.0 "GB-month", "S3 Standard, storage", "https://aws.amazon.com/s3/pricing/", "2026-09-29";
    Event, 1.00 for 1e6 "1,000,000", "EventBridge, custom events of up to 64 KB; those of AWS services are free", "https://aws.amazon.com/eventbridge/pricing/", "2026-06-13";
    QueueRequest, 0.40 for 1e6 "1,000,000", "SQS, requests to standard queues", "https://aws.amazon.com/sqs/pricing/", "2026-03-14";
    LogGb, 0.50 for 1.0 "GB", "CloudWatch Logs, ingestion", "https://aws.amazon.com/cloudwatch/pricing/", "2026-09-29";
    LogMonth, 0.03 for 1.0 "GB-month", "CloudWatch Logs, storage", "https://aws.amazon.com/cloudwatch/pricing/", "2026-09-29";
    Trace, 5.00 for 1e6 "1,000,000", "X-Ray, recorded traces", "https://aws.amazon.com/xray/pricing/", "undated copy";
    BuildMinute, 0.005 for 1.0 "minute", "CodeBuild, general1.small, Linux", "https://aws.amazon.com/codebuild/pricing/", "2026-09-28";
    Metric, 0.30 for 1.0 "metric and month", "CloudWatch, custom metrics, of the first 10,000", "https://aws.amazon.com/cloudwatch/pricing/", "2026-09-29";
    Alarm, 0.10 for 1.0 "alarm and month", "CloudWatch, alarms of standard resolution", "https://aws.amazon.com/cloudwatch/pricing/", "2026-09-29";
    Dashboard, 3.00 for 1.0 "dashboard and month", "CloudWatch, dashboards", "https://aws.amazon.com/cloudwatch/pricing/", "2026-06-13";
    AdvancedParameter, 0.05 for 1.0 "parameter and month", "Parameter Store, values of 4 to 8 KB; smaller ones are free, and so are requests at the standard throughput", "https://aws.amazon.com/systems-manager/pricing/", "2025-10-21";
    Key, 1.00 for 1.0 "key and month", "KMS, customer-managed keys; the first and second rotation of one add as much", "https://aws.amazon.com/kms/pricing/", "2026-03-14";
    RunnerMinute, 0.006 for 1.0 "minute", "GitHub Actions, hosted runner, Linux, two cores", "https://docs.github.com/en/billing/reference/actions-runner-pricing", "since 2026-01-01";
}

impl Item {
    /// Dollars for one of it.
    pub fn dollars(self) -> f64 {
        let price = &PRICES[self as usize];
        price.dollars / price.per
    }
}

/// Items with their amounts; an item may be listed several times.
#[derive(Debug, Clone, Default)]
pub struct Bill(pub Vec<(Item, f64)>);

impl Bill {
    pub fn get(&self, wanted: Item) -> f64 {
        let found = self.0.iter().filter(|(item, _)| *item == wanted);
        found.map(|(_, amount)| amount).sum()
    }

    pub fn dollars(&self) -> f64 {
        self.0.iter().map(|(item, amount)| amount * item.dollars()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Item::*;
    use super::*;

    #[test]
    fn a_price_is_the_sum_of_amounts_times_prices() {
        assert!(
            PRICES
                .iter()
                .enumerate()
                .all(|(at, price)| price.item as usize == at)
        );
        // 16 transitions at 25 millionths, 6 invocations at a fifth of a millionth, a quarter of a GB for two seconds.
        let bill = Bill(vec![
            (Transition, 10.0),
            (Invocation, 6.0),
            (GbSecond, 0.5),
            (Transition, 6.0),
        ]);
        assert!((bill.dollars() - (0.000_4 + 0.000_001_2 + 0.000_006_666_7)).abs() < 1e-12);
        assert_eq!(bill.get(Transition), 16.0);
    }
}
