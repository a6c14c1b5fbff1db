//! The parts of `template.yaml` that cost money without any deployment, and the functions that are called from a queue.

use std::collections::BTreeSet;

use seedflow_contract::Template;
use serde_json::Value;

use super::assumptions::IDLE;
use super::prices::{Bill, Item};

/// The hours of a month.
const HOURS: f64 = 730.0;

pub struct FixedCosts {
    alarms: usize,
    dashboards: usize,
    /// The functions that are called from a queue, by their names without the stack's.
    pub queue_consumers: BTreeSet<String>,
}

impl FixedCosts {
    pub fn read() -> Self {
        let template = Template::read("template.yaml");
        let functions = template.of_type("AWS::Serverless::Function");
        let name = |resource: &Value| {
            let function = functions.iter().find(|(name, _)| resource == name.as_str());
            let name = function.and_then(|(_, properties)| properties["FunctionName"].as_str());
            name.unwrap_or_default().replace("${AWS::StackName}-", "")
        };
        let queues = template.of_type("AWS::Lambda::EventSourceMapping");
        Self {
            alarms: template.of_type("AWS::CloudWatch::Alarm").len(),
            dashboards: template.of_type("AWS::CloudWatch::Dashboard").len(),
            queue_consumers: queues
                .iter()
                .map(|(_, queue)| name(&queue["FunctionName"]))
                .collect(),
        }
    }

    /// A month's bill, with this number of metrics of our own.
    pub fn month(&self, metrics: usize) -> Bill {
        let requests = self.queue_consumers.len() as f64 * IDLE * HOURS;
        Bill(vec![
            (Item::Alarm, self.alarms as f64),
            (Item::Dashboard, self.dashboards as f64),
            (Item::Metric, metrics as f64),
            (Item::QueueRequest, requests),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_read() {
        let fixed = FixedCosts::read();
        assert_eq!(fixed.queue_consumers, ["publish-report".to_owned()].into());
        let (alarms, requests) = (fixed.alarms as f64 * 0.1, 0.2628);
        let dollars = fixed.month(10).dollars();
        assert!(
            alarms > 0.0 && (dollars - (alarms + 3.0 + 3.0 + requests)).abs() < 1e-9,
            "{dollars}"
        );
    }
}
