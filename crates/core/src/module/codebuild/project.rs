//! Checks a CodeBuild project that an input names, and what it would add to a build (decision 38).
//!
//! StartBuild overrides a project's role, image, cache and some other settings for one build, but not its VPC, file
//! systems and others. It adds to a project's variables and cannot remove any. A project that an administrator made for
//! another purpose would lend these to any module. A project with the builds' own service role was made for modules, so
//! its settings are intended for them.

use crate::error::{Error, Result, excerpt};

/// A project as CodeBuild describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The ARN of its service role.
    pub service_role: String,
    /// Settings that each of its builds gets and a request cannot remove, in words.
    pub brings: Vec<&'static str>,
}

impl Project {
    /// Refuses a project that was made for another purpose and would add settings. `build_role` is the ARN of the
    /// builds' role.
    ///
    /// # Errors
    /// `InvalidInput` with these settings.
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
