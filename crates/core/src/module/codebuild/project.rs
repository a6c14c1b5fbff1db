//! Checks a CodeBuild project that an input names, and what it would add to a build (decision 38).
//!
//! StartBuild overrides a project's role, image, cache and some other settings for one build, but not its VPC, file
//! systems and others. It adds to a project's variables and cannot remove any. So a project that an administrator made
//! for another purpose would lend its settings to any module. It is refused, unless it has the builds' own service role:
//! a project with that role was made for modules.

use crate::error::{Error, Result, excerpt};
use crate::module::network::Network;

/// A project as CodeBuild describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The ARN of its service role.
    pub service_role: String,
    /// Its network; `None` outside of any VPC.
    pub network: Option<Network>,
    /// Other settings that each of its builds gets and a request cannot remove, in words.
    pub brings: Vec<&'static str>,
}

impl Project {
    /// Refuses a project that was made for another purpose and would add settings, or that hasn't the network that a
    /// build asks for. `build_role` is the ARN of the builds' role.
    ///
    /// # Errors
    /// `InvalidInput` with these settings, or with the network.
    pub fn check(&self, build_role: &str, network: Option<&Network>) -> Result<()> {
        if network.is_some() && self.network.as_ref() != network {
            return Err(self.another_network());
        }
        let brings: Vec<&str> = (self.network.is_some() && network.is_none())
            .then_some("VPC")
            .into_iter()
            .chain(self.brings.iter().copied())
            .collect();
        if self.service_role == build_role || brings.is_empty() {
            return Ok(());
        }
        let (name, brings) = (excerpt(&self.name, 150), brings.join(", "));
        Err(Error::field(
            "build.project_name",
            format!("\"{name}\", which has {brings} of its own"),
            format!(
                "a project without settings that a build would inherit; or give it the service role {build_role}, as an administrator does for modules"
            ),
        ))
    }

    /// Its name is that of a network, so someone has changed the project since it was made.
    fn another_network(&self) -> Error {
        Error::field(
            "build.network",
            format!(
                "the CodeBuild project {}, which has another network by now",
                excerpt(&self.name, 150)
            ),
            "the network that the project was made for; delete the project, and the next build makes it again",
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;

    const BUILDS: &str = "arn:aws:iam::111111111111:role/builds";
    const ADMIN: &str = "arn:aws:iam::111111111111:role/admin";

    fn project(service_role: &str, brings: &[&'static str]) -> Project {
        Project {
            name: "seedflow-admin".into(),
            service_role: service_role.into(),
            network: None,
            brings: brings.to_vec(),
        }
    }

    fn in_vpc(vpc: &str, service_role: &str, brings: &[&'static str]) -> Project {
        Project {
            network: Some(network(vpc)),
            ..project(service_role, brings)
        }
    }

    fn network(vpc: &str) -> Network {
        Network {
            vpc_id: vpc.into(),
            subnet_ids: ["subnet-1".to_owned()].into(),
            security_group_ids: ["sg-1".to_owned()].into(),
        }
    }

    #[test]
    fn what_a_project_brings_is_only_for_modules_where_its_role_is_theirs() {
        assert_eq!(project(ADMIN, &[]).check(BUILDS, None), Ok(()));
        assert_eq!(in_vpc("vpc-1", BUILDS, &[]).check(BUILDS, None), Ok(()));
        let refused = in_vpc("vpc-1", ADMIN, &["environment variables"])
            .check(BUILDS, None)
            .unwrap_err();
        assert!(
            says(
                &refused.message,
                "build.project_name: expected a project without settings that a build would inherit, found \"seedflow-admin\", which has VPC, environment variables of its own"
            ),
            "{refused}"
        );
        assert!(refused.message.contains(BUILDS), "{refused}");
    }

    #[test]
    fn a_network_is_found_unchanged_or_not_used() {
        let asked = network("vpc-1");
        // The stack that made the project may have been removed since, and its role with it.
        assert_eq!(in_vpc("vpc-1", ADMIN, &[]).check(BUILDS, Some(&asked)), Ok(()));
        for changed in [in_vpc("vpc-2", BUILDS, &[]), project(BUILDS, &[])] {
            let refused = changed.check(BUILDS, Some(&asked)).unwrap_err();
            assert!(
                says(
                    &refused.message,
                    "build.network: expected the network…found the CodeBuild project seedflow-admin, which has another network"
                ),
                "{refused}"
            );
        }
        assert!(
            in_vpc("vpc-1", ADMIN, &["file systems"])
                .check(BUILDS, Some(&asked))
                .is_err()
        );
    }
}
