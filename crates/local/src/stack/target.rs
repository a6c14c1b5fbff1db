//! Other accounts and regions, with the stack of the real `template-target.yaml`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::aws_api::AwsApi;

/// The name of the stack of `template-target.yaml`.
const STACK: &str = "seedflow-target";
/// The version of CloudFormation's Query protocol.
const VERSION: &str = "2010-05-15";
/// The longest time that the stack may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Pause between two looks at it.
const PAUSE: Duration = Duration::from_millis(200);

/// Creates the stack with the credentials of `api`, and waits for it.
pub async fn deploy(api: &AwsApi, template: &str, parameters: &BTreeMap<String, String>) -> Result<()> {
    let mut fields = vec![
        ("Action".to_owned(), "CreateStack"),
        ("Version".to_owned(), VERSION),
        ("StackName".to_owned(), STACK),
        ("TemplateBody".to_owned(), template),
        ("Capabilities.member.1".to_owned(), "CAPABILITY_NAMED_IAM"),
    ];
    for (i, (name, value)) in parameters.iter().enumerate() {
        let parameter = format!("Parameters.member.{}", i + 1);
        fields.push((format!("{parameter}.ParameterKey"), name));
        fields.push((format!("{parameter}.ParameterValue"), value));
    }
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    api.form("cloudformation", &fields).await?;
    let end = Instant::now() + LIMIT;
    loop {
        let described = ask(api, "DescribeStacks").await?;
        if described.contains("<StackStatus>CREATE_COMPLETE<") {
            return Ok(());
        }
        if !described.contains("<StackStatus>CREATE_IN_PROGRESS<") || Instant::now() > end {
            let events = ask(api, "DescribeStackEvents").await?;
            bail!("the stack {STACK} was not created:\n{described}\n{events}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask(api: &AwsApi, action: &str) -> Result<String> {
    let fields = [("Action", action), ("Version", VERSION), ("StackName", STACK)];
    Ok(api.form("cloudformation", &fields).await?)
}
