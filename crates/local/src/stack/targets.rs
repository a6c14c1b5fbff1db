//! Targets: further accounts and regions of the emulator, with the real `template-target.yaml` in each (decision 57).
//!
//! The emulator has every account and region that a caller names, so a target comes to be by its stack. It is deployed after
//! the one at home, as on AWS, by the real `sam deploy`, as root of its account.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use seedflow_core::target::Target;
use seedflow_terminal::Ui;

use super::environment::{self, Folders};
use super::options::{BUILD_POLICY, EVENT_SOURCE, MODULE_POLICY, StackOptions};
use super::sam;
use crate::aws_api::AwsApi;
use crate::codebuild::account_region;
use crate::process::workspace;

/// The parameters that a target shares with home: what is true of modules and builds there is true of them here.
const SHARED: &[&str] = &[
    "AllowCdkBootstrap",
    "BuildRolePath",
    "CdkQualifier",
    "CodeBuildProjectName",
    "LogRetentionDays",
    "ReferencedParameters",
    "ReferencedSecrets",
];

const TEMPLATE: &str = "template-target.yaml";

/// The name of a target's CloudFormation stack.
const STACK_NAME: &str = "seedflow-target";

/// A deployed target.
#[derive(Debug)]
pub struct TargetStack {
    /// The account and region.
    pub at: Target,
    /// The outputs of `template-target.yaml`.
    pub outputs: BTreeMap<String, String>,
}

/// The accounts for home's `TargetAccounts`.
pub fn accounts(targets: &[Target]) -> Result<Option<String>> {
    for (index, target) in targets.iter().enumerate() {
        if (target.account(), target.region()) == (environment::ACCOUNT, environment::REGION) {
            bail!("target {target}: this is the stack's own account and region; name another one");
        }
        if targets[..index].contains(target) {
            bail!("target {target}: named twice");
        }
    }
    let accounts: BTreeSet<&str> = targets.iter().map(|target| target.account()).collect();
    let accounts: Vec<&str> = accounts.into_iter().collect();
    Ok((!accounts.is_empty()).then(|| accounts.join(",")))
}

/// Deploys all targets, one after the other.
pub async fn deploy(
    options: &StackOptions,
    bin: &Path,
    folders: &Folders,
    home: &AwsApi,
    ui: &Ui,
) -> Result<Vec<TargetStack>> {
    if options.targets.is_empty() {
        return Ok(Vec::new());
    }
    // A copy: `sam` takes the settings beside a template, and those of the repository are for AWS.
    let template = folders.template().join(TEMPLATE);
    std::fs::copy(workspace::root()?.join(TEMPLATE), &template)
        .with_context(|| format!("cannot copy {TEMPLATE}"))?;
    let mut deployed: Vec<TargetStack> = Vec::new();
    for at in &options.targets {
        let task = ui.task(format!("Target {at}"));
        let api = home.with_credentials(account_region::root(at, environment::SECRET));
        let bucket = format!("seedflow-packages-{at}").replace('/', "-");
        make_bucket(&api, &bucket, at).await?;
        let parameters = parameters(options, &api, at).await?;
        let deployment = sam::Deployment {
            account: at.account(),
            region: at.region(),
            stack_name: STACK_NAME,
            bucket: &bucket,
            template: &template,
            parameters: &parameters,
        };
        let outputs = sam::deploy(&deployment, home.endpoint(), folders, bin, &task).await;
        let outputs = outputs.with_context(|| format!("target {at}"))?;
        task.done(&format!("{} outputs", outputs.len()));
        deployed.push(TargetStack {
            at: at.clone(),
            outputs,
        });
    }
    Ok(deployed)
}

async fn parameters(options: &StackOptions, api: &AwsApi, at: &Target) -> Result<BTreeMap<String, String>> {
    let shared = options
        .parameters
        .iter()
        .filter(|(name, _)| SHARED.contains(&name.as_str()));
    let mut parameters: BTreeMap<String, String> = shared
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut set = |name: &str, value: &str| parameters.insert(name.to_owned(), value.to_owned());
    set("HomeAccountId", environment::ACCOUNT);
    set("HomeRegion", environment::REGION);
    set("HomeStackName", sam::STACK_NAME);
    set("EventSource", EVENT_SOURCE);
    if let Some(policy) = &options.build_policy {
        // Policies are global in their account, which may have targets in several regions.
        let made = api
            .create_policy(&format!("{BUILD_POLICY}-{}", at.region()), policy)
            .await;
        let made = made.with_context(|| format!("cannot make the policy of the builds in {at}"))?;
        set("BuildManagedPolicyArns", &made);
    }
    if let Some(policy) = options.wanted_module_policy() {
        let made = api
            .create_policy(&format!("{MODULE_POLICY}-{}", at.region()), policy)
            .await;
        let made = made.with_context(|| format!("cannot make the policy of the modules' roles in {at}"))?;
        set("ModuleRoleManagedPolicyArns", &made);
    }
    Ok(parameters)
}

/// An empty key: the path is the bucket's own, and a PUT of that makes it. Only in us-east-1 it needs no region.
async fn make_bucket(api: &AwsApi, name: &str, at: &Target) -> Result<()> {
    let location = format!(
        "<CreateBucketConfiguration><LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
        at.region()
    );
    let body = if at.region() == "us-east-1" {
        Vec::new()
    } else {
        location.into_bytes()
    };
    let made = api.put_object(name, "", body).await;
    made.with_context(|| format!("cannot make a bucket for the template of the target {at}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn accounts_are_named_once_and_home_is_no_target() {
        let targets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(accounts(&[]).unwrap(), None);
        let several = targets(&[
            "333333333333/us-east-1",
            "222222222222/eu-west-1",
            "222222222222/us-east-1",
        ]);
        assert_eq!(
            accounts(&several).unwrap().as_deref(),
            Some("222222222222,333333333333")
        );
        let elsewhere = format!("{}/eu-west-1", environment::ACCOUNT);
        assert!(accounts(&targets(&[&elsewhere])).is_ok());
        let home = format!("{}/{}", environment::ACCOUNT, environment::REGION);
        let error = accounts(&targets(&[&home])).unwrap_err().to_string();
        assert!(error.contains("own account and region"), "{error}");
        let error = accounts(&targets(&["222222222222/eu-west-1"; 2]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("twice"), "{error}");
    }
}
