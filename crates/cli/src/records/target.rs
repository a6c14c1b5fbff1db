//! What a command is about: `deployment`, `deployment/group` or `deployment/group/module`.

use std::fmt;
use std::str::FromStr;

use seedflow_core::error::Error;
use seedflow_core::ids::{DeploymentId, ModuleId, Name};

/// A deployment, a group of it, or a module of it, within a project that is named elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The deployment.
    pub deployment: Name,
    /// The group.
    pub group: Option<Name>,
    /// The module.
    pub module: Option<Name>,
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.trim_end_matches('/').split('/').collect();
        if parts.len() > 3 {
            return Err(Error::field(
                "TARGET",
                format!("\"{text}\", which has {} parts", parts.len()),
                "DEPLOYMENT, DEPLOYMENT/GROUP or DEPLOYMENT/GROUP/MODULE (the project is --project)",
            ));
        }
        let name = |field: &str, at: usize| parts.get(at).map(|part| Name::parse(field, part)).transpose();
        Ok(Self {
            deployment: Name::parse("deployment", parts[0])?,
            group: name("group", 1)?,
            module: name("module", 2)?,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.deployment)?;
        let rest = [&self.group, &self.module];
        rest.into_iter()
            .flatten()
            .try_for_each(|name| write!(f, "/{name}"))
    }
}

impl From<&ModuleId> for Target {
    fn from(id: &ModuleId) -> Self {
        Self {
            deployment: id.deployment.clone(),
            group: Some(id.group.clone()),
            module: Some(id.module.clone()),
        }
    }
}

impl From<&DeploymentId> for Target {
    fn from(id: &DeploymentId) -> Self {
        Self {
            deployment: id.deployment.clone(),
            group: None,
            module: None,
        }
    }
}

impl Target {
    /// Whether this is a module (or its group, or its deployment). `group` and `module` are empty for a deployment as a
    /// whole, which is part of a target that names nothing below it.
    #[must_use]
    pub fn covers(&self, deployment: &str, group: &str, module: &str) -> bool {
        let same =
            |wanted: &Option<Name>, found: &str| wanted.as_ref().is_none_or(|name| name.as_str() == found);
        self.deployment.as_str() == deployment && same(&self.group, group) && same(&self.module, module)
    }

    /// The deployment.
    #[must_use]
    pub fn deployment(&self, project: &Name) -> DeploymentId {
        DeploymentId {
            project: project.clone(),
            deployment: self.deployment.clone(),
        }
    }

    /// The module.
    ///
    /// # Errors
    /// `InvalidInput` if the target is more than one module.
    pub fn module(&self, project: &Name) -> Result<ModuleId, Error> {
        match (&self.group, &self.module) {
            (Some(group), Some(module)) => Ok(self.deployment(project).module(group.clone(), module.clone())),
            _ => Err(Error::field(
                "MODULE",
                format!("\"{self}\""),
                "a module, as DEPLOYMENT/GROUP/MODULE",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    #[test]
    fn a_target_covers_what_is_below_it() {
        assert!(target("dev").covers("dev", "", ""));
        assert!(target("dev").covers("dev", "network", "vpc"));
        assert!(!target("dev").covers("devel", "network", "vpc"));
        assert!(target("dev/network").covers("dev", "network", "vpc"));
        assert!(!target("dev/network").covers("dev", "", ""));
        assert!(target("dev/network/vpc").covers("dev", "network", "vpc"));
        assert!(!target("dev/network/vpc").covers("dev", "network", "dns"));
    }

    #[test]
    fn a_module_has_three_names_and_a_project_is_none_of_them() {
        let project = Name::parse("project", "p").unwrap();
        let id = target("dev/network/vpc/").module(&project).unwrap();
        assert_eq!(id.to_string(), "p/dev/network/vpc");
        let group = target("dev/network").module(&project).unwrap_err();
        assert!(
            group.message.contains("DEPLOYMENT/GROUP/MODULE"),
            "{}",
            group.message
        );
        let four = "p/dev/network/vpc".parse::<Target>().unwrap_err();
        assert!(four.message.contains("--project"), "{}", four.message);
        assert!("dev//vpc".parse::<Target>().is_err());
        assert!("".parse::<Target>().is_err());
    }
}
