//! What costs money without any deployment: parts of `template.yaml`, and our own metrics.

use seedflow_contract::Template;

use super::assumptions::IDLE;
use super::prices::{Bill, Item};

/// The hours of a month.
const HOURS: f64 = 730.0;

/// A month's bill, with this number of metrics.
pub fn month(metrics: usize) -> Bill {
    let template = Template::read("template.yaml");
    let number = |kind: &str| template.of_type(kind).len() as f64;
    Bill(vec![
        (Item::Alarm, number("AWS::CloudWatch::Alarm")),
        (Item::Dashboard, number("AWS::CloudWatch::Dashboard")),
        (Item::Metric, metrics as f64),
        (
            Item::QueueRequest,
            number("AWS::Lambda::EventSourceMapping") * IDLE * HOURS,
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::usage::QUEUE_CONSUMER;
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_template_is_read() {
        let template = Template::read("template.yaml");
        let mappings = template.of_type("AWS::Lambda::EventSourceMapping");
        let functions = template.of_type("AWS::Serverless::Function");
        let called = functions.iter().filter(|(name, _)| {
            let is_called = |(_, mapping): &(String, Value)| mapping["FunctionName"] == name.as_str();
            mappings.iter().any(is_called)
        });
        let called: Vec<&Value> = called.map(|(_, function)| &function["FunctionName"]).collect();
        assert_eq!(called, [&format!("${{AWS::StackName}}-{QUEUE_CONSUMER}")]);
        let bill = month(10);
        assert!(bill.get(Item::Alarm) > 0.0);
        let others = bill.dollars() - bill.get(Item::Alarm) * 0.1;
        assert!((others - (3.0 + 3.0 + 0.2628)).abs() < 1e-9, "{others}");
    }
}
