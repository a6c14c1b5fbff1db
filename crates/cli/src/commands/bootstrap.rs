//! `bootstrap target`: deploys `template-target.yaml`, so that modules can be deployed in another account or region.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_config::SdkConfig;
use clap::{Args, Subcommand};
use seedflow_aws::services::cloudformation::{CloudFormation, NamedTemplate};
use seedflow_aws::services::sts;
use seedflow_core::target::Target;
use seedflow_terminal::Ui;
use serde_json::json;

use super::reading::print_json_line;
use super::settings::parse_text;
use crate::account::StackArguments;
use crate::exit::{Refused, Wrong};

/// The template of targets.
const TEMPLATE: &str = include_str!("../../../../template-target.yaml");
const EXAMPLE: &str = "Example: seedflow bootstrap target --home 111111111111/us-east-1 --account 222222222222 --region eu-west-1 --profile team";
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
    #[command(after_help = EXAMPLE)]
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
    /// The account that the credentials must belong to. With credentials of another account nothing is deployed.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// A parameter of the template, as often as needed, for example BuildManagedPolicyArns=arn:….
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parse_text)]
    parameters: Vec<(String, String)>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl Bootstrap {
    /// Runs the command.
    pub async fn run(self, stack: &StackArguments, ui: &Ui) -> Result<ExitCode> {
        let What::Target(target) = self.what;
        target.run(stack, ui).await
    }
}

/// The template without its comments: CreateStack takes up to 51,200 bytes.
fn body() -> String {
    let is_code = |line: &&str| !matches!(line.trim_start().chars().next(), None | Some('#'));
    let code: Vec<&str> = TEMPLATE.lines().filter(is_code).collect();
    code.join("\n")
}

impl BootstrapTarget {
    async fn run(self, arguments: &StackArguments, ui: &Ui) -> Result<ExitCode> {
        let config = arguments.aws_config().await;
        let here = here(&config).await?;
        self.check(&here)?;
        let home = arguments.stack_name();
        let template = NamedTemplate {
            stack: format!("{home}-target"),
            body: &body(),
            parameters: self.parameters(&home),
        };
        let cloudformation = CloudFormation::new(&config);
        let say = |text: String| match self.json {
            true => {}
            false => ui.say(text),
        };
        let stack = &template.stack;
        let changed = cloudformation.put(&template).await?;
        if changed {
            say(format!("The stack {stack} is being deployed in {here} …"));
            wait(&cloudformation, stack).await?;
            say(format!(
                "The stack {stack} is ready. Seedflow deploys in {here} once its template parameter TargetAccounts names {}.",
                here.account()
            ));
        } else {
            say(format!("The stack {stack} in {here} is up to date."));
        }
        if self.json {
            print_json_line(
                json!({"stack": stack, "account": here.account(), "region": here.region(), "changed": changed}),
                ui,
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Refuses what the credentials are not meant for.
    fn check(&self, here: &Target) -> Result<()> {
        if let Some(account) = self.account.as_ref().filter(|account| *account != here.account()) {
            bail!(Refused(format!(
                "--account: expected credentials of {account}, found those of {}; choose others by --profile",
                here.account()
            )));
        }
        if *here == self.home {
            bail!(Refused(format!(
                "expected a target that differs from --home {here}, found the same account and region; use --profile or --region"
            )));
        }
        Ok(())
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

/// The account of the credentials, and the region.
async fn here(config: &SdkConfig) -> Result<Target> {
    let Some(region) = config.region() else {
        bail!(Wrong(
            "expected a region, found none; name it by --region or AWS_REGION, or set it in the profile"
                .to_owned()
        ));
    };
    let caller = sts::caller(config).await.context(
        "cannot ask AWS whose credentials these are; they come from the environment or a profile, as for the AWS CLI (for SSO, run `aws sso login` first)",
    )?;
    Ok(Target::parse("credentials", &caller.account, region.as_ref())?)
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

    fn with_account(account: Option<&str>) -> BootstrapTarget {
        BootstrapTarget {
            home: "111111111111/us-east-1".parse().unwrap(),
            account: account.map(str::to_owned),
            parameters: Vec::new(),
            json: false,
        }
    }

    #[test]
    fn credentials_of_home_or_of_another_account_than_named_are_refused() {
        let check = |account, here: &str| with_account(account).check(&here.parse().unwrap());
        assert!(check(None, "222222222222/us-east-1").is_ok());
        assert!(check(None, "111111111111/eu-west-1").is_ok());
        assert!(check(Some("222222222222"), "222222222222/us-east-1").is_ok());
        for (account, here, expected) in [
            (
                None,
                "111111111111/us-east-1",
                "a target that differs from --home",
            ),
            (
                Some("222222222222"),
                "333333333333/us-east-1",
                "expected credentials of 222222222222, found those of 333333333333",
            ),
        ] {
            let error = check(account, here).unwrap_err();
            assert!(error.is::<Refused>(), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn the_template_fits_a_request_and_gets_the_place_of_home() {
        let body = body();
        assert!(body.len() <= 51_200, "{}", body.len());
        assert!(body.starts_with("AWSTemplateFormatVersion") && !body.contains("\n  # "));
        let command = BootstrapTarget {
            parameters: vec![("LogRetentionDays".to_owned(), "7".to_owned())],
            ..with_account(None)
        };
        for (name, value) in command.parameters("seedflow") {
            assert!(body.contains(&format!("\n  {name}:\n")), "{name}");
            assert!(!value.is_empty());
        }
    }
}
