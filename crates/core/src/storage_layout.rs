//! Where everything is stored: every S3 key and every parameter path is built here, and nowhere else.
//!
//! Work bucket, by its first folder: `sources/` uploads by hand or by git; `uploads/` bundles by their digest; `plans/` what is too
//! long for a payload of the state machine; `locks/`; `callbacks/` task tokens by build; `builds/` what one build reads and hands
//! back; `deployed/` what is deployed; `values/` what is too long for a parameter; `reports/`; `index/`. docs/storage.md has the
//! same as a table, with who writes and who reads.

use crate::error::{Error, Result, excerpt};
use crate::ids::{BuildFolder, BuildId, DeploymentId, ExecutionArn, ModuleId, Name, ParameterKind};

/// S3's limit for a key, in bytes (S3 user guide, "Naming Amazon S3 objects").
const MAX_KEY: usize = 1024;

/// Whether a key is one under which clients upload bundles and repositories.
#[must_use]
pub fn is_upload(key: &str) -> bool {
    (key.starts_with("sources/") || key.starts_with("uploads/")) && key.len() <= MAX_KEY
}

/// Whether a key is one under which the planner of a deployment stores inputs.
#[must_use]
pub fn is_stored_input(key: &str) -> bool {
    key.starts_with("plans/") && key.len() <= MAX_KEY
}

/// Whether a key is one of a value that is too long for a parameter.
#[must_use]
pub fn is_spilled_value(key: &str) -> bool {
    key.starts_with("values/")
}

/// The project in the key of an uploaded repository, `sources/{project}/repository.zip`; `None` for any other key.
#[must_use]
pub fn project_of_repository(key: &str) -> Option<&str> {
    let project = key.strip_prefix("sources/")?.strip_suffix("/repository.zip")?;
    (!project.contains('/')).then_some(project)
}

/// The key of a project's index. Not below `reports/`, where everything expires.
#[must_use]
pub fn index_key(project: &Name) -> String {
    format!("index/{project}.html")
}

/// The key of the page of a report; `None` where that isn't the key of a report.
#[must_use]
pub fn page_key(report: &str) -> Option<String> {
    let path = report.strip_suffix(".json")?;
    path.starts_with("reports/").then(|| format!("{path}.html"))
}

/// The key of the report of an execution, by what it deployed: the three names of a module below its project, or a deployment's.
fn report_key(of: &str, execution: &ExecutionArn) -> String {
    format!("reports/{of}/{}.json", execution.name())
}

/// The key of the page of an execution, by the project and what it deployed within it.
#[must_use]
pub fn page_of(project: &Name, name: &str, execution: &ExecutionArn) -> Option<String> {
    page_key(&report_key(&format!("{project}/{name}"), execution))
}

impl ModuleId {
    /// The names in the key of an uploaded bundle, `sources/{project}/{deployment}/{group}/{module}.zip`; `None` for
    /// any other key.
    ///
    /// # Errors
    /// `InvalidInput` with the first name that isn't valid.
    pub fn from_upload_key(key: &str) -> Result<Option<Self>> {
        let names = key
            .strip_prefix("sources/")
            .and_then(|rest| rest.strip_suffix(".zip"));
        let parts: Vec<&str> = names.unwrap_or_default().split('/').collect();
        let [project, deployment, group, module] = parts.as_slice() else {
            return Ok(None);
        };
        let named = Self::parse(project, deployment, group, module);
        named.map(Some).map_err(|error| {
            Error::new(
                error.name,
                format!("source.key \"{}\": {}", excerpt(key, 120), error.message),
            )
        })
    }

    /// The path of one of the module's parameters (seed.md, "SSM Parameter Patterns").
    #[must_use]
    pub fn parameter(&self, slot: ParameterKind) -> String {
        format!(
            "/sf/{}/{}/{}/{slot}",
            self.project,
            self.deployment,
            self.module_name()
        )
    }

    /// The key in the bundle bucket under which the bundle of the last success is published (seed.md). It has no
    /// project in it, so another project's module of the same names writes the same object.
    #[must_use]
    pub fn bundle_key(&self) -> String {
        format!("{}/{}/{}/bundle.zip", self.deployment, self.group, self.module)
    }

    /// The key in the work bucket of the record of what is deployed.
    #[must_use]
    pub fn record_key(&self) -> String {
        format!("deployed/{self}.json")
    }

    /// The key in the work bucket of the bundle of what is deployed. Unlike the published one it belongs to this
    /// module alone, and the module is destroyed by it.
    #[must_use]
    pub fn kept_bundle_key(&self) -> String {
        format!("deployed/{self}.zip")
    }

    /// Below it lie the module's values that are too long for Parameter Store, in the work bucket.
    #[must_use]
    pub fn values_folder(&self) -> String {
        format!("values/{self}/")
    }

    /// The key of the report of an execution in the work bucket.
    #[must_use]
    pub fn report_key(&self, execution: &ExecutionArn) -> String {
        report_key(&self.to_string(), execution)
    }

    /// The key in the work bucket of a value that is too long for Parameter Store.
    #[must_use]
    pub fn spill_key(&self, slot: ParameterKind, sha256: &str) -> String {
        format!("{}{slot}/{sha256}.json", self.values_folder())
    }

    /// The key of the bundle that a deployment's planner makes of a repository: as a client's upload, under its digest.
    #[must_use]
    pub fn upload_key(&self, digest: &str) -> String {
        format!("uploads/{self}/{digest}.zip")
    }

    /// The key of the module's lock.
    #[must_use]
    pub fn lock_key(&self) -> String {
        format!("locks/{self}.json")
    }
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
        report_key(&self.to_string(), execution)
    }

    /// The key of the deployment's lock. It has two levels less than a module's, so the two never meet.
    #[must_use]
    pub fn lock_key(&self) -> String {
        format!("locks/{self}.json")
    }
}

impl BuildId {
    /// The key of the object that holds the task token while an execution waits for this build.
    #[must_use]
    pub fn callback_key(&self) -> String {
        format!("callbacks/{self}")
    }
}

impl BuildFolder {
    /// The folder of the build, without a slash at its end.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("builds/{}", self.as_str())
    }

    /// The key of the bundle as the build reads it.
    #[must_use]
    pub fn source_key(&self) -> String {
        format!("{}/source.zip", self.folder())
    }

    /// The key of a buildspec that is too long for the request.
    #[must_use]
    pub fn buildspec_key(&self) -> String {
        format!("{}/buildspec.yml", self.folder())
    }

    /// The key of the metadata that the build hands back.
    #[must_use]
    pub fn metadata_key(&self) -> String {
        format!("{}/metadata.json", self.folder())
    }
}

impl ExecutionArn {
    /// The key of a plan that is too long for a state's payload.
    #[must_use]
    pub fn plan_key(&self) -> String {
        format!("plans/{}/plan.json", self.name())
    }

    /// The key of the plan of a whole deployment.
    #[must_use]
    pub fn deployment_key(&self) -> String {
        format!("plans/{}/deployment.json", self.name())
    }

    /// The key of the name of the deployment whose lock an execution takes.
    #[must_use]
    pub fn name_key(&self) -> String {
        format!("plans/{}/name.json", self.name())
    }

    /// The key of the input of one of the executions of a whole deployment, by that one's name.
    #[must_use]
    pub fn item_key(&self, name: &str) -> String {
        format!("plans/{}/inputs/{name}.json", self.name())
    }

    /// The key of an input that leaves no room beside it in a payload.
    #[must_use]
    pub fn input_key(&self) -> String {
        format!("plans/{}/input.json", self.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_follow_from_the_four_names() {
        let id = ModuleId::parse("my-project", "prod", "networking", "vpc").unwrap();
        assert_eq!(
            id.parameter(ParameterKind::Md5),
            "/sf/my-project/prod/networking-vpc/md5"
        );
        assert_eq!(id.bundle_key(), "prod/networking/vpc/bundle.zip");
        assert_eq!(id.dashed(), "my-project-prod-networking-vpc");
        assert_eq!(
            id.kept_bundle_key(),
            "deployed/my-project/prod/networking/vpc.zip"
        );
        assert_eq!(
            ModuleId::from_upload_key("sources/my-project/prod/networking/vpc.zip"),
            Ok(Some(id))
        );
    }

    #[test]
    fn keys_that_are_no_upload_are_none() {
        for key in [
            "sources/p/repository.zip",
            "uploads/p/d/g/m.zip",
            "sources/p/d/g/m/x.zip",
            "sources/p/d/g/m.tar",
        ] {
            assert_eq!(ModuleId::from_upload_key(key), Ok(None), "{key}");
        }
    }
}
