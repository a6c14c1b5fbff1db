//! The real `sam deploy` of the packaged template.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::environment::{self, Folders};
use crate::process::child_guard::{self, ChildGuard};
use crate::process::output_tail;
use seedflow_terminal::Task;

/// The name of the CloudFormation stack. Every local stack has an emulator, so accounts, of its own.
pub const STACK_NAME: &str = "seedflow";

/// Where `sam deploy` puts the packages of the functions.
pub const PACKAGE_BUCKET: &str = "seedflow-packages";

/// A stack to deploy.
pub struct Deployment<'a> {
    pub account: &'a str,
    pub region: &'a str,
    /// The CloudFormation stack.
    pub stack_name: &'a str,
    /// A bucket of the account and region, for packages and the template.
    pub bucket: &'a str,
    pub template: &'a Path,
    pub parameters: &'a BTreeMap<String, String>,
}

/// Deploys a template and returns the stack's outputs.
pub async fn deploy(
    deployment: &Deployment<'_>,
    endpoint: &str,
    folders: &Folders,
    bin: &Path,
    task: &Task,
) -> Result<BTreeMap<String, String>> {
    settings(folders)?;
    let Deployment {
        account,
        region,
        parameters,
        ..
    } = deployment;
    let mut command = child_guard::command(bin.join("sam"), None)?;
    command.args([
        "deploy",
        "--stack-name",
        deployment.stack_name,
        "--s3-bucket",
        deployment.bucket,
        "--output",
        "json",
    ]);
    command.args([
        "--capabilities",
        "CAPABILITY_IAM",
        "CAPABILITY_NAMED_IAM",
        "CAPABILITY_AUTO_EXPAND",
    ]);
    command.args([
        "--no-confirm-changeset",
        "--no-fail-on-empty-changeset",
        "--no-progressbar",
    ]);
    command
        .arg("--template-file")
        .arg(deployment.template)
        .arg("--parameter-overrides");
    // sam ends a value at its first space, unless it is quoted.
    let quoted = |value: &String| match value.contains(' ') {
        true => format!("\"{value}\""),
        false => value.clone(),
    };
    command.args(
        parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", quoted(value))),
    );
    command.current_dir(folders.template()).env_clear();
    command
        .envs(environment::base(folders, &[bin])?)
        .envs(environment::client_in(endpoint, account, region));
    command
        .env("SAM_CLI_TELEMETRY", "0")
        .env("__SAM_CLI_APP_DIR", folders.home());
    // Its five seconds between looks are manners towards AWS's limits.
    command.env("SAM_CLI_POLL_DELAY", "0.2");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut sam = ChildGuard::spawn(command)?;
    let (stdout, stderr) = (sam.take_stdout()?, sam.take_stderr()?);
    let mut outputs = None;
    let events = output_tail::follow(stdout, |line| {
        if let Ok(event) = serde_json::from_str::<Value>(line) {
            show(&event, task);
            outputs = found_outputs(&event).or(outputs.take());
        }
    });
    let (said, complained) = tokio::join!(events, output_tail::follow(stderr, |_| {}));
    let status = sam.wait().await?;
    if !status.success() {
        bail!("sam deploy failed ({status}):\n{complained}\n{said}");
    }
    outputs.with_context(|| format!("sam deploy named no outputs:\n{said}\n{complained}"))
}

fn show(event: &Value, task: &Task) {
    if let (Some(name), Some(status)) = (event["logical_id"].as_str(), event["status"].as_str()) {
        task.detail(&format!("{name} {status}"));
    }
}

fn found_outputs(event: &Value) -> Option<BTreeMap<String, String>> {
    let listed = event["stack_outputs"].as_array()?.iter();
    Some(
        listed
            .filter_map(|output| {
                Some((
                    output["key"].as_str()?.to_owned(),
                    output["value"].as_str()?.to_owned(),
                ))
            })
            .collect(),
    )
}

/// Without a date of its last look, SAM asks PyPI for a newer version of itself.
fn settings(folders: &Folders) -> Result<()> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let settings = json!({"telemetryEnabled": false, "lastVersionCheck": now.as_secs_f64()});
    std::fs::write(folders.home().join("metadata.json"), settings.to_string())
        .context("cannot write the settings of the SAM command line")
}
