//! What of `template.yaml` costs money although nobody deploys, and which functions are called from a queue.
//!
//! The template is read line by line, as far as that is needed: a resource is what stands indented below its name.

use std::collections::BTreeSet;

use super::prices::{Item, Quantities};

/// Requests a month with which Lambda asks an empty queue: five pollers, each of whose requests waits up to 20 s.
/// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
const IDLE_REQUESTS: f64 = 5.0 * 3.0 * 60.0 * 730.0;

/// What stands still.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fixed {
    /// Alarms.
    pub alarms: u64,
    /// Dashboards.
    pub dashboards: u64,
    /// The functions that are called from a queue, by their names without the stack's.
    pub fed_by_queues: BTreeSet<String>,
}

impl Fixed {
    /// Of a template.
    pub fn of(template: &str) -> Self {
        let resources = resources(template);
        let count = |kind: &str| {
            let has = format!("Type: {kind}");
            let of_kind = resources
                .iter()
                .filter(|(_, body)| body.iter().any(|line| *line == has));
            of_kind.count() as u64
        };
        let by_event = resources
            .iter()
            // A destination of failures is of the type SQS, too, but has no `Queue`.
            .filter(|(_, body)| body.contains(&"Type: SQS") && value(body, "Queue:").is_some())
            .filter_map(|(_, body)| function_name(body));
        let by_mapping = resources
            .iter()
            .filter(|(_, body)| body.contains(&"Type: AWS::Lambda::EventSourceMapping"))
            .filter_map(|(_, body)| {
                let function = value(body, "FunctionName:")?
                    .trim_start_matches("!Ref ")
                    .trim_start_matches("!GetAtt ");
                let function = function.split('.').next()?;
                let named = resources.iter().find(|(name, _)| *name == function)?;
                function_name(&named.1)
            });
        Self {
            alarms: count("AWS::CloudWatch::Alarm"),
            dashboards: count("AWS::CloudWatch::Dashboard"),
            fed_by_queues: by_event.chain(by_mapping).collect(),
        }
    }

    /// What is billed for it in a month, with so many metrics of our own.
    pub fn month(&self, metrics: u64) -> Quantities {
        let queues = self.fed_by_queues.len() as f64;
        Quantities::of(Item::Alarm, self.alarms as f64)
            .and(Item::Dashboard, self.dashboards as f64)
            .and(Item::Metric, metrics as f64)
            .and(Item::QueueRequest, queues * IDLE_REQUESTS)
    }
}

/// The resources with their trimmed lines.
fn resources(template: &str) -> Vec<(&str, Vec<&str>)> {
    let lines = template.lines().skip_while(|line| *line != "Resources:").skip(1);
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in lines.take_while(|line| line.is_empty() || line.starts_with([' ', '#'])) {
        let name = line
            .strip_prefix("  ")
            .and_then(|line| line.strip_suffix(':'))
            .filter(|name| name.chars().all(|letter| letter.is_ascii_alphanumeric()));
        match (name, found.last_mut()) {
            (Some(name), _) => found.push((name, Vec::new())),
            (None, Some((_, body))) => body.push(line.trim().trim_start_matches("- ")),
            (None, None) => {}
        }
    }
    found
}

fn value<'a>(body: &[&'a str], key: &str) -> Option<&'a str> {
    body.iter().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

/// `!Sub "${AWS::StackName}-check-md5"` without what comes before the name.
fn function_name(body: &[&str]) -> Option<String> {
    let name = value(body, "FunctionName:")?.rsplit_once("${AWS::StackName}-")?.1;
    Some(name.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = r#"
Parameters:
  Alarm:
    Type: AWS::CloudWatch::Alarm
Resources:
  # --- Functions ---
  PagesFunction:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "${AWS::StackName}-pages"
      Events:
        Ended:
          Type: SQS
          Properties:
            Queue: !GetAtt Queue.Arn
  FailingFunction:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "${AWS::StackName}-failing"
      EventInvokeConfig:
        DestinationConfig:
          OnFailure:
            Type: SQS
            Destination: !GetAtt Queue.Arn
  OtherFunction:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "${AWS::StackName}-other"
  Mapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      FunctionName: !GetAtt OtherFunction.Arn
  OneAlarm:
    Type: AWS::CloudWatch::Alarm

  TwoAlarm:
    Type: AWS::CloudWatch::Alarm
  Board:
    Type: AWS::CloudWatch::Dashboard
Outputs:
  Alarm:
    Type: AWS::CloudWatch::Alarm
"#;

    #[test]
    fn what_stands_still_is_found() {
        let fixed = Fixed::of(TEMPLATE);
        assert_eq!((fixed.alarms, fixed.dashboards), (2, 1));
        let names: Vec<_> = fixed.fed_by_queues.iter().map(String::as_str).collect();
        assert_eq!(names, ["other", "pages"]);
        // Two alarms, a board, ten metrics, and 2 * 657,000 requests.
        let dollars = fixed.month(10).dollars();
        assert!((dollars - (0.2 + 3.0 + 3.0 + 0.5256)).abs() < 1e-9, "{dollars}");
    }

    #[test]
    fn the_projects_own_template_can_be_read() {
        let fixed = Fixed::of(include_str!("../../../template.yaml"));
        assert!(fixed.alarms > 0, "{fixed:?}");
    }
}
