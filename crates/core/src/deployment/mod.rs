//! A whole deployment: the modules of a repository's manifest, in the order of its groups.
//!
//! An execution's input becomes a [`request::Request`]; the manifest, the files of the modules and what Parameter Store
//! holds ([`state::State`]) become a [`plan::Plan`]: for each module what is to be done and why, and the waves in which the
//! state machine does it, each module by an execution of the module workflow. What came of them is an
//! [`outcome::Outcome`], and the deployment's own [`status::Status`] says it to whoever looks.

pub mod order;
pub mod outcome;
pub mod plan;
pub mod repository;
pub mod request;
pub mod state;
pub mod status;

use serde::{Deserialize, Serialize};

use crate::ids::{ExecutionArn, ModuleId, Name};

/// A deployment of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentId {
    /// The project.
    pub project: Name,
    /// The deployment.
    pub deployment: Name,
}

impl DeploymentId {
    /// The path above all parameters of the deployment.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/sf/{}/{}", self.project, self.deployment)
    }

    /// The parameter that says how the deployment stands. A module's path always has a hyphen in this place and
    /// something below it, so the two don't meet.
    #[must_use]
    pub fn status_parameter(&self) -> String {
        format!("{}/status", self.path())
    }

    /// The statuses that are too long for Parameter Store are below it, in the work bucket. No group's name begins with an
    /// underscore, so no module's values are.
    #[must_use]
    pub fn status_values_folder(&self) -> String {
        format!("values/{self}/_status/")
    }

    /// The key in the work bucket of a status that is too long for Parameter Store.
    #[must_use]
    pub fn status_spill_key(&self, sha256: &str) -> String {
        format!("{}{sha256}.json", self.status_values_folder())
    }

    /// The key of the report of an execution in the work bucket.
    #[must_use]
    pub fn report_key(&self, execution: &ExecutionArn) -> String {
        format!("reports/{self}/{}.json", execution.name())
    }

    /// A module of it.
    #[must_use]
    pub fn module(&self, group: Name, module: Name) -> ModuleId {
        ModuleId {
            project: self.project.clone(),
            deployment: self.deployment.clone(),
            group,
            module,
        }
    }
}

impl std::fmt::Display for DeploymentId {
    /// `{project}/{deployment}`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.project, self.deployment)
    }
}
