//! The policies of a module's role: those of every build, those that an administrator adds, and those that the module's
//! own stack creates (decision 25).

use serde_json::json;

use crate::ids::AwsEnvironment;

/// The settings of all modules' roles.
#[derive(Debug)]
pub struct RoleSettings {
    /// The ARNs of their policies: those of every build, and those that an administrator adds.
    policies: Vec<String>,
    /// The ARN of their permissions boundary.
    pub boundary: Option<String>,
    /// The path of new roles; one that exists keeps its path.
    pub path: String,
    /// Prefix of the names of policies that modules' own stacks create.
    policies_of_stacks: String,
}

impl RoleSettings {
    /// Reads a list of ARNs with commas between them. `prefix` begins the names of all modules' stacks.
    #[must_use]
    pub fn new(policies: &str, boundary: Option<String>, path: String, prefix: &str) -> Self {
        let given = policies.split(',').map(str::trim).filter(|arn| !arn.is_empty());
        Self {
            policies: given.map(str::to_owned).collect(),
            boundary,
            path,
            policies_of_stacks: format!(":policy/{prefix}"),
        }
    }

    /// The policies to attach, and those to detach because an administrator has removed them.
    #[must_use]
    pub fn differences(&self, attached: &[String]) -> (Vec<String>, Vec<String>) {
        let missing = self.policies.iter().filter(|arn| !attached.contains(arn));
        let surplus = attached
            .iter()
            .filter(|arn| !self.policies.contains(arn) && !arn.contains(&self.policies_of_stacks));
        (missing.cloned().collect(), surplus.cloned().collect())
    }
}

/// The trust policy: only CodeBuild of this account.
#[must_use]
pub fn trust(place: &AwsEnvironment) -> String {
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
        let policies = format!("{}, {},", arn("seedflow-BuildDeny"), arn("project"));
        let settings = RoleSettings::new(&policies, None, "/".to_owned(), "seedflow-module-");
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
