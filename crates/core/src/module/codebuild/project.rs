//! A CodeBuild project that an input names: what a build would get from it.
//!
//! StartBuild overrides a project's role, image, cache and the like for one build, but not its VPC, file systems and so
//! on, and it adds to a project's variables without removing any. An administrator's project of another purpose
//! would lend them to any module. A project whose service role is that of the builds was made for modules, so what it
//! brings is meant for them.

use crate::error::{Error, Result, excerpt};

/// A project as CodeBuild describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The ARN of its service role.
    pub service_role: String,
    /// What each build in it gets and no request can take away, in words.
    pub brings: Vec<&'static str>,
}

impl Project {
    /// Refuses a project that was made for something else and would bring it; `build_role` is the ARN of the role of
    /// the builds.
    ///
    /// # Errors
    /// `InvalidInput` with what it brings.
    pub fn check(&self, build_role: &str) -> Result<()> {
        if self.service_role == build_role || self.brings.is_empty() {
            return Ok(());
        }
        let (name, brings) = (excerpt(&self.name, 150), self.brings.join(", "));
        Err(Error::field(
            "build.project_name",
            format!("\"{name}\", which has {brings} of its own"),
            format!(
                "a project without settings that a build would inherit; or give it the service role {build_role}, as an administrator does for modules"
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;

    #[test]
    fn what_a_project_brings_is_only_for_modules_where_its_role_is_theirs() {
        let builds = "arn:aws:iam::111111111111:role/builds";
        let project = |service_role: &str, brings: &[&'static str]| Project {
            name: "seedflow-admin".into(),
            service_role: service_role.into(),
            brings: brings.to_vec(),
        };
        let admin = "arn:aws:iam::111111111111:role/admin";
        assert_eq!(project(admin, &[]).check(builds), Ok(()));
        assert_eq!(project(builds, &["VPC"]).check(builds), Ok(()));
        let refused = project(admin, &["VPC", "environment variables"])
            .check(builds)
            .unwrap_err();
        assert!(
            says(
                &refused.message,
                "build.project_name: expected a project without settings that a build would inherit, found \"seedflow-admin\", which has VPC, environment variables of its own"
            ),
            "{refused}"
        );
        assert!(refused.message.contains(builds), "{refused}");
    }
}
