//! The parts of `template.yaml` that cost money without any deployment, and the functions that are called from a queue.

use std::collections::{BTreeMap, BTreeSet};

use super::prices::{Item, Quantities};

/// Requests a month with which Lambda polls an empty queue: five pollers, each of whose requests waits up to 20 s.
/// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
const IDLE_REQUESTS: f64 = 5.0 * 3.0 * 60.0 * 730.0;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FixedCosts {
    pub alarms: u64,
    pub dashboards: u64,
    /// The functions that are called from a queue, by their names without the stack's.
    pub queue_consumers: BTreeSet<String>,
}

impl FixedCosts {
    /// Reads the template line by line: a resource is a name indented by two spaces, and the lines after it.
    pub fn of(template: &str) -> Self {
        let mut found = Self::default();
        let (mut functions, mut consumers) = (BTreeMap::new(), Vec::new());
        let (mut resource, mut kind) = ("", "");
        for line in template.lines() {
            if let Some(name) = line.strip_prefix("  ").filter(|name| !name.starts_with(' ')) {
                resource = name.trim_end_matches(':');
            } else if let Some(of_resource) = line.strip_prefix("    Type: ") {
                kind = of_resource;
                found.alarms += u64::from(kind == "AWS::CloudWatch::Alarm");
                found.dashboards += u64::from(kind == "AWS::CloudWatch::Dashboard");
            } else if let Some(value) = line.strip_prefix("      FunctionName: ") {
                if kind == "AWS::Lambda::EventSourceMapping" {
                    consumers.push(value.trim_start_matches("!Ref "));
                } else if let Some((_, name)) = value.rsplit_once("${AWS::StackName}-") {
                    functions.insert(resource, name.trim_matches('"').to_owned());
                }
            }
        }
        let names = consumers
            .into_iter()
            .filter_map(|consumer| functions.remove(consumer));
        found.queue_consumers.extend(names);
        found
    }

    /// Its bill for a month, with this number of metrics of our own.
    pub fn month(&self, metrics: u64) -> Quantities {
        let queues = self.queue_consumers.len() as f64;
        Quantities::of(Item::Alarm, self.alarms as f64)
            .and(Item::Dashboard, self.dashboards as f64)
            .and(Item::Metric, metrics as f64)
            .and(Item::QueueRequest, queues * IDLE_REQUESTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_read() {
        let template = include_str!("../../../template.yaml");
        let fixed = FixedCosts::of(template);
        let alarms = template.matches("Type: AWS::CloudWatch::Alarm\n").count();
        assert_eq!((fixed.alarms, fixed.dashboards), (alarms as u64, 1));
        assert_eq!(fixed.queue_consumers, ["publish-report".to_owned()].into());
    }

    #[test]
    fn a_month_is_alarms_dashboards_metrics_and_polled_queues() {
        let fixed = FixedCosts {
            alarms: 2,
            dashboards: 1,
            queue_consumers: ["a".to_owned(), "b".to_owned()].into(),
        };
        let dollars = fixed.month(10).dollars();
        assert!((dollars - (0.2 + 3.0 + 3.0 + 0.5256)).abs() < 1e-9, "{dollars}");
    }
}
