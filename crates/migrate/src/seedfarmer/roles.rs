//! The roles by which seed-farmer works in an account: from the credentials of a person to the toolchain role in the account of
//! these, and from there to the deployment role in the target's account. Neither has an external id.

use seedflow_core::ids::{AwsEnvironment, Name};

/// How the names of the roles were chosen when seed-farmer was bootstrapped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleNames {
    /// seed-farmer's `--qualifier`.
    pub qualifier: Option<String>,
    /// seed-farmer's `--role-prefix`: the path of both roles.
    pub path: Option<String>,
}

impl RoleNames {
    /// The ARNs of the roles to assume, in this order.
    #[must_use]
    pub fn to(&self, home: &AwsEnvironment, project: &Name, account: &str) -> [String; 2] {
        let path = self.path.as_deref().unwrap_or_default().trim_matches('/');
        let path = if path.is_empty() {
            "/".to_owned()
        } else {
            format!("/{path}/")
        };
        let qualifier = self.qualifier.as_ref().map(|qualifier| format!("-{qualifier}"));
        let qualifier = qualifier.unwrap_or_default();
        let arn = |account: &str, kind: &str| {
            let partition = &home.partition;
            format!("arn:{partition}:iam::{account}:role{path}seedfarmer-{project}-{kind}-role{qualifier}")
        };
        [arn(&home.account, "toolchain"), arn(account, "deployment")]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use seedflow_core::ids::ModuleId;

    #[test]
    fn the_names_are_those_of_seed_farmers_bootstrap() {
        let home = AwsEnvironment::from_arn("arn:aws:states:us-east-1:111122223333:stateMachine:s").unwrap();
        let project = ModuleId::project("myshop").unwrap();
        assert_eq!(
            RoleNames::default().to(&home, &project, "222222222222"),
            [
                "arn:aws:iam::111122223333:role/seedfarmer-myshop-toolchain-role",
                "arn:aws:iam::222222222222:role/seedfarmer-myshop-deployment-role"
            ]
        );
        let named = RoleNames {
            qualifier: Some("q1".to_owned()),
            path: Some("/team/".to_owned()),
        };
        assert_eq!(
            named.to(&home, &project, "222222222222")[1],
            "arn:aws:iam::222222222222:role/team/seedfarmer-myshop-deployment-role-q1"
        );
    }
}
