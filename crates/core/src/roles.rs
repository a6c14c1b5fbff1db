//! Ready-made IAM policies for people (docs/roles.md): what a viewer, a deployer, an approver, an operator and an administrator
//! need.
//!
//! The documents are files beside their description, with names in braces for what differs between stacks. IAM's own
//! variables have a dollar sign before the brace, and stay.

use crate::error::{Error, Result};
use crate::ids::{AwsEnvironment, DeploymentId};

/// What somebody does with Seedflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sees everything that is not a secret, and changes nothing.
    Viewer,
    /// Deploys one deployment of one project, by uploads.
    Deployer,
    /// Approves plans of the deployments whose policies name it.
    Approver,
    /// Starts and stops any execution.
    Operator,
    /// Also writes policies and sees locks.
    Administrator,
}

/// The stack whose resources the policies name.
#[derive(Debug, Clone, Copy)]
pub struct RolesOf<'a> {
    /// Where it is.
    pub environment: &'a AwsEnvironment,
    /// Its name.
    pub stack: &'a str,
    /// Its work bucket.
    pub work_bucket: &'a str,
    /// The CodeBuild project of its builds.
    pub build_project: &'a str,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Viewer,
        Self::Deployer,
        Self::Approver,
        Self::Operator,
        Self::Administrator,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Deployer => "deployer",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }

    const fn document(self) -> &'static str {
        match self {
            Self::Viewer => include_str!("../../../docs/roles/viewer.json"),
            Self::Deployer => include_str!("../../../docs/roles/deployer.json"),
            Self::Approver => include_str!("../../../docs/roles/approver.json"),
            Self::Operator => include_str!("../../../docs/roles/operator.json"),
            Self::Administrator => include_str!("../../../docs/roles/administrator.json"),
        }
    }

    /// Its IAM policy for a stack. A deployer's is for one deployment.
    ///
    /// # Errors
    /// `InvalidInput` if the deployment is missing, or named for another role.
    pub fn policy(self, of: &RolesOf<'_>, deployment: Option<&DeploymentId>) -> Result<String> {
        let document = fill(self.document(), of);
        match (self, deployment) {
            (Self::Deployer, Some(DeploymentId { project, deployment })) => Ok(document
                .replace("{project}", project.as_str())
                .replace("{deployment}", deployment.as_str())),
            (Self::Deployer, None) => Err(Error::field(
                "deployment",
                "nothing",
                "a project and a deployment; a deployer's policy is for one",
            )),
            (_, Some(deployment)) => Err(Error::field(
                "deployment",
                deployment.to_string(),
                format!(
                    "nothing; the policy of the role {} is for all deployments",
                    self.as_str()
                ),
            )),
            (_, None) => Ok(document),
        }
    }
}

fn fill(document: &str, of: &RolesOf<'_>) -> String {
    let RolesOf { environment, .. } = of;
    let values = [
        ("{partition}", environment.partition.as_str()),
        ("{region}", environment.region.as_str()),
        ("{account}", environment.account.as_str()),
        ("{stack}", of.stack),
        ("{work_bucket}", of.work_bucket),
        ("{build_project}", of.build_project),
    ];
    values
        .into_iter()
        .fold(document.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{ModuleId, Name};
    use serde_json::Value;

    fn policy(role: Role, deployment: Option<&DeploymentId>) -> Result<String> {
        let arn = "arn:aws-cn:states:cn-north-1:123456789012:execution:seedflow-deploy:e";
        let of = RolesOf {
            environment: &AwsEnvironment::from_arn(arn).unwrap(),
            stack: "seedflow",
            work_bucket: "work",
            build_project: "builds",
        };
        role.policy(&of, deployment)
    }

    fn dev() -> DeploymentId {
        DeploymentId {
            project: ModuleId::project("shop").unwrap(),
            deployment: Name::parse("deployment", "dev").unwrap(),
        }
    }

    #[test]
    fn every_name_is_filled_in_and_iams_variables_stay() {
        for role in Role::ALL {
            let deployment = (role == Role::Deployer).then(dev);
            let text = policy(role, deployment.as_ref()).unwrap();
            serde_json::from_str::<Value>(&text).unwrap();
            let left = text.replace("${aws:userid}", "");
            // Every name in braces is part of an ARN.
            assert!(
                [":{", "/{", "-{"].iter().all(|name| !left.contains(name)),
                "{text}"
            );
            // A managed policy has up to 6,144 characters without white space (IAM user guide, "IAM and AWS STS quotas").
            let length = text.chars().filter(|c| !c.is_whitespace()).count();
            assert!(length <= 6144, "{}: {length}", role.as_str());
        }
    }

    #[test]
    fn a_deployer_deploys_one_deployment() {
        let text = policy(Role::Deployer, Some(&dev())).unwrap();
        assert!(
            text.contains("arn:aws-cn:s3:::work/own/${aws:userid}/repositories/shop/dev.zip"),
            "{text}"
        );
        // It starts plans, and nothing that deploys.
        let document: Value = serde_json::from_str(&text).unwrap();
        let starts = document["Statement"].as_array().unwrap().iter();
        let starts: Vec<&Value> = starts
            .filter(|statement| statement["Action"].to_string().contains("StartExecution"))
            .map(|statement| &statement["Resource"])
            .collect();
        assert_eq!(
            starts,
            ["arn:aws-cn:states:cn-north-1:123456789012:stateMachine:seedflow-plan"]
        );
        assert!(policy(Role::Deployer, None).is_err());
        assert!(policy(Role::Viewer, Some(&dev())).is_err());
    }
}
