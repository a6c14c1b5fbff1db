//! The role of a module: trusted by CodeBuild, with the policies of every build, within the boundary of the template
//! (decision 25).
//!
//! All further permissions of the role are policies that the module's stack attaches.

use seedflow_aws::runtime::config;
use seedflow_aws::services::iam::Iam;
use seedflow_core::error::Result;
use seedflow_core::ids::AwsEnvironment;
use seedflow_core::module::role::boundary;
use seedflow_core::module::role::policies::{RoleSettings, trust};
use seedflow_core::module::target_settings::TargetSettings;

/// Reads the settings of all modules' roles.
pub(crate) fn settings() -> Result<RoleSettings> {
    Ok(RoleSettings::new(
        &config::setting("MODULE_POLICY_ARNS")?,
        config::optional_setting("PERMISSIONS_BOUNDARY_ARN"),
        config::setting("BUILD_ROLE_PATH")?,
        &config::setting("MODULE_PREFIX")?,
    ))
}

/// The settings of modules' roles in a target.
pub(crate) fn settings_of(target: &TargetSettings, prefix: &str) -> RoleSettings {
    RoleSettings::new(
        &target.policies,
        target.boundary().map(str::to_owned),
        target.role_path.clone(),
        prefix,
    )
}

/// Creates or updates the role, and returns its ARN. `boundary` is the name of the policy that the input asks for.
pub(crate) async fn prepare(
    iam: &Iam,
    settings: &RoleSettings,
    environment: &AwsEnvironment,
    name: &str,
    boundary: Option<&str>,
) -> Result<String> {
    let boundary = boundary::arn(settings.boundary.as_deref(), boundary, environment);
    let boundary = boundary.as_deref();
    let role = match iam.role(name).await? {
        Some(role) => role,
        None => {
            let trust = trust(environment);
            iam.create_role(&settings.path, name, &trust, boundary).await?
        }
    };
    if let Some(boundary) = boundary.filter(|wanted| role.boundary.as_deref() != Some(wanted)) {
        iam.put_boundary(name, boundary).await?;
    }
    let (missing, surplus) = settings.differences(&iam.attached(name).await?);
    for arn in &missing {
        iam.attach(name, arn).await?;
    }
    for arn in &surplus {
        iam.detach(name, arn).await?;
    }
    Ok(role.arn)
}

/// Removes the role with everything attached to it. A missing role is not an error.
pub(crate) async fn remove(iam: &Iam, name: &str) -> Result<()> {
    if iam.role(name).await?.is_none() {
        return Ok(());
    }
    for arn in iam.attached(name).await? {
        iam.detach(name, &arn).await?;
    }
    for policy in iam.inline_policies(name).await? {
        iam.delete_inline_policy(name, &policy).await?;
    }
    iam.delete_role(name).await
}
