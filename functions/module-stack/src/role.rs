//! The role of a module: trusted by CodeBuild, with the policies of every build, within the boundary of the template
//! (decision 25).
//!
//! All further permissions of the role are policies that the module's stack attaches.

use seedflow_aws::runtime::config;
use seedflow_aws::services::iam::Iam;
use seedflow_core::error::Result;
use seedflow_core::ids::AwsEnvironment;
use serde_json::json;

/// The settings of all modules' roles.
pub(crate) struct RoleSettings {
    /// The ARNs of their policies: those of every build, and those that an administrator adds.
    policies: Vec<String>,
    /// The ARN of their permissions boundary.
    boundary: Option<String>,
    /// Prefix of the names of policies that modules' own stacks create.
    policies_of_stacks: String,
}

impl RoleSettings {
    pub(crate) fn read() -> Result<Self> {
        let policies = config::setting("MODULE_POLICY_ARNS")?;
        let given = policies.split(',').map(str::trim).filter(|arn| !arn.is_empty());
        Ok(Self {
            policies: given.map(str::to_owned).collect(),
            boundary: config::optional_setting("PERMISSIONS_BOUNDARY_ARN"),
            policies_of_stacks: format!(":policy/{}", config::setting("MODULE_PREFIX")?),
        })
    }

    /// The policies to attach, and those to detach because an administrator has removed them.
    fn differences(&self, attached: &[String]) -> (Vec<String>, Vec<String>) {
        let missing = self.policies.iter().filter(|arn| !attached.contains(arn));
        let surplus = attached
            .iter()
            .filter(|arn| !self.policies.contains(arn) && !arn.contains(&self.policies_of_stacks));
        (missing.cloned().collect(), surplus.cloned().collect())
    }
}

/// Creates or updates the role, and returns its ARN.
pub(crate) async fn prepare(
    iam: &Iam,
    settings: &RoleSettings,
    place: &AwsEnvironment,
    name: &str,
) -> Result<String> {
    let boundary = settings.boundary.as_deref();
    let role = match iam.role(name).await? {
        Some(role) => role,
        None => iam.create_role(name, &trust(place), boundary).await?,
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

/// The trust policy: only CodeBuild of this account.
fn trust(place: &AwsEnvironment) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "codebuild.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": place.account}},
        }],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_administrator_wants_is_attached_and_what_a_stack_made_stays() {
        let arn = |name: &str| format!("arn:aws:iam::1:policy/{name}");
        let settings = RoleSettings {
            policies: vec![arn("seedflow-BuildDeny"), arn("project")],
            boundary: None,
            policies_of_stacks: ":policy/seedflow-module-".to_owned(),
        };
        let attached = [
            arn("seedflow-BuildDeny"),
            arn("seedflow-module-p-d-g-m-1234-Policy-X"),
            arn("wanted-once"),
        ];
        let (missing, surplus) = settings.differences(&attached);
        assert_eq!(missing, [arn("project")]);
        assert_eq!(surplus, [arn("wanted-once")]);
    }
}
