//! The role of a module: trusted by CodeBuild, with the policies of every build, within the boundary of the template.
//!
//! What the role may do beyond what every build may comes from the module's stack, which adds policies to it.

use seedflow_aws::runtime::config;
use seedflow_aws::services::iam::Iam;
use seedflow_core::error::Result;
use seedflow_core::ids::AwsEnvironment;
use serde_json::json;

/// What all modules' roles have.
pub(crate) struct RoleSettings {
    /// The ARNs of their policies: those of every build, and those that an administrator wants.
    policies: Vec<String>,
    /// The ARN of their permissions boundary.
    boundary: Option<String>,
    /// What the names of policies begin with that modules' own stacks make.
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

    /// What has to be attached, and what to be detached, because an administrator doesn't want it any more.
    fn differences(&self, attached: &[String]) -> (Vec<String>, Vec<String>) {
        let missing = self.policies.iter().filter(|arn| !attached.contains(arn));
        let surplus = attached
            .iter()
            .filter(|arn| !self.policies.contains(arn) && !arn.contains(&self.policies_of_stacks));
        (missing.cloned().collect(), surplus.cloned().collect())
    }
}

/// Makes the role what it should be; its ARN.
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

/// Removes the role with all that is attached to it; one that is gone is as good.
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

/// CodeBuild of this account and nobody else.
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
