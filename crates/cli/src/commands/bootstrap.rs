//! `bootstrap target`: deploys `template-target.yaml`, so that modules can be deployed in another account or region.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use seedflow_aws::services::cloudformation::{CloudFormation, NamedTemplate};
use seedflow_core::target::Target;
use seedflow_terminal::Ui;

use super::settings::parse_text;
use crate::account::StackArguments;

/// The template of targets. CreateStack takes up to 51,200 bytes.
const TEMPLATE: &str = include_str!("../../../../template-target.yaml");
/// Pause between two looks at the stack.
const PAUSE: Duration = Duration::from_secs(3);

/// Prepares accounts and regions for deployments.
#[derive(Debug, Args)]
pub struct Bootstrap {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    #[command(
        after_help = "Example: seedflow bootstrap target --home 111111111111/eu-west-1 --profile target"
    )]
    Target(BootstrapTarget),
}

/// Lets Seedflow deploy modules in the account of the credentials, and in its region.
///
/// It creates or updates the stack of template-target.yaml there. Parameters that are not given keep their values.
#[derive(Debug, Args)]
struct BootstrapTarget {
    /// The account and region that Seedflow runs in.
    #[arg(long, value_name = "ACCOUNT/REGION")]
    home: Target,
    /// A parameter of the template, as often as needed, for example BuildManagedPolicyArns=arn:….
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parse_text)]
    parameters: Vec<(String, String)>,
}

impl Bootstrap {
    /// Runs the command.
    pub async fn run(self, stack: &StackArguments, ui: &Ui) -> Result<ExitCode> {
        let What::Target(target) = self.what;
        target.run(stack, ui).await
    }
}

impl BootstrapTarget {
    async fn run(self, arguments: &StackArguments, ui: &Ui) -> Result<ExitCode> {
        let home = arguments.stack_name();
        let template = NamedTemplate {
            stack: format!("{home}-target"),
            body: TEMPLATE,
            parameters: self.parameters(&home),
        };
        let cloudformation = CloudFormation::new(&arguments.aws_config().await);
        if !cloudformation.put(&template).await? {
            ui.say(format!("The stack {} is up to date.", template.stack));
            return Ok(ExitCode::SUCCESS);
        }
        ui.say(format!("The stack {} is being deployed …", template.stack));
        wait(&cloudformation, &template.stack).await?;
        ui.say(format!(
            "The stack {} is ready. Seedflow deploys here once its template parameter TargetAccounts names this account.",
            template.stack
        ));
        Ok(ExitCode::SUCCESS)
    }

    fn parameters(&self, home: &str) -> BTreeMap<String, String> {
        let of_home = [
            ("HomeAccountId", self.home.account()),
            ("HomeRegion", self.home.region()),
            ("HomeStackName", home),
        ];
        let of_home = of_home.map(|(name, value)| (name.to_owned(), value.to_owned()));
        of_home.into_iter().chain(self.parameters.clone()).collect()
    }
}

/// Waits until CloudFormation has finished.
async fn wait(cloudformation: &CloudFormation, stack: &str) -> Result<()> {
    loop {
        match cloudformation.status(stack).await?.as_deref() {
            Some("CREATE_COMPLETE" | "UPDATE_COMPLETE") => return Ok(()),
            Some(working) if working.ends_with("_IN_PROGRESS") => tokio::time::sleep(PAUSE).await,
            ended => {
                let reason = cloudformation.failed_resource(stack).await?;
                bail!(
                    "the stack {stack} ended with {}: {}; correct that, delete the stack if it was never complete, and run this again",
                    ended.unwrap_or("nothing"),
                    reason.unwrap_or_else(|| "CloudFormation names no resource".to_owned())
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_template_fits_a_request_and_is_told_where_home_is() {
        assert!(TEMPLATE.len() <= 51_200, "{}", TEMPLATE.len());
        let command = BootstrapTarget {
            home: "111111111111/us-east-1".parse().unwrap(),
            parameters: vec![("LogRetentionDays".to_owned(), "7".to_owned())],
        };
        for (name, value) in command.parameters("seedflow") {
            assert!(TEMPLATE.contains(&format!("\n  {name}:\n")), "{name}");
            assert!(!value.is_empty());
        }
    }
}
