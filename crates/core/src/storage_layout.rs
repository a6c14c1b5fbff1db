//! The storage layout: every S3 key and every parameter path is built here, and nowhere else.
//!
//! Prefixes of the work bucket:
//!
//! - `sources/`: uploads by hand or by git
//! - `uploads/`: bundles by their digest, for executions that a client starts itself (decision 14); `uploads/_plans/`: repositories that are planned only
//! - `own/{principal}/`: uploads of one principal, who alone writes there: `modules/` and `repositories/`, which start
//!   executions, and `uploads/`
//! - `fetched/`: zips of sources that other hosts store
//! - `plans/`: plans and names of whole deployments; plans and inputs that are too long for a payload of the state machine
//! - `locks/`: locks
//! - `callbacks/`: task tokens by build, and those of plans that wait for an approval
//! - `approvals/`: plans that wait or waited for an approval, and what was decided
//! - `builds/`: input and output of one build
//! - `deployed/`: record and bundle of each deployed module
//! - `values/`: values and statuses that are too long for a parameter
//! - `policies/`: the policy of each deployment that has one; only administrators write them
//! - `reports/`: reports of executions, and their pages; `reports/_drift/`: what was last found to differ in each module's
//!   stacks
//! - `index/`: the index of each project
//!
//! docs/storage.md has the same as a table, with the readers and writers of each prefix.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result, excerpt};
use crate::ids::{BuildFolder, BuildId, DeploymentId, ExecutionArn, ModuleId, Name, ParameterKind};

/// S3's limit for a key, in bytes (S3 user guide, "Naming Amazon S3 objects").
const MAX_KEY: usize = 1024;

/// The prefixes of the work bucket that are listed as a whole.
pub mod prefix {
    /// Of the indexes of all projects.
    pub const INDEXES: &str = "index/";
    /// Of all reports and their pages.
    pub const REPORTS: &str = "reports/";
    /// Of all locks.
    pub const LOCKS: &str = "locks/";
    /// Of all task tokens.
    pub const CALLBACKS: &str = "callbacks/";
}

/// The path above the state of all modules and deployments (seed.md, "SSM Parameter Patterns").
pub const STATE: &str = "/sf";

/// Whether clients upload bundles and repositories under this key.
#[must_use]
pub fn is_upload(key: &str) -> bool {
    let folders: &[&str] = match owner_of_upload(key) {
        Some(_) => &["modules/", "repositories/", "uploads/"],
        None => &["sources/", "uploads/"],
    };
    let path = path_in_own(key).unwrap_or(key);
    folders.iter().any(|folder| path.starts_with(folder)) && key.len() <= MAX_KEY
}

/// Prefix for uploads by people who may only plan.
const PLANNED_ONLY: &str = "uploads/_plans/";

/// Whether the key is below the prefix for uploads by people who may only plan.
#[must_use]
pub fn is_planned_only(key: &str) -> bool {
    key.starts_with(PLANNED_ONLY)
}

/// The principal in whose own folder an upload is, as `aws:userid` names it; `None` for a key where several may write.
#[must_use]
pub fn owner_of_upload(key: &str) -> Option<&str> {
    let (owner, _) = key.strip_prefix("own/")?.split_once('/')?;
    (!owner.is_empty()).then_some(owner)
}

/// The rest of a key in a principal's own folder; `None` for any other key.
fn path_in_own(key: &str) -> Option<&str> {
    owner_of_upload(key)?;
    Some(key.splitn(3, '/').last().unwrap_or_default())
}

/// The project and the deployment in the key of a repository in a principal's own folder,
/// `own/{principal}/repositories/{project}/{deployment}.zip`; `None` for any other key. A person who may upload
/// to this key deploys no other deployment. [`DeploymentId::own_repository_path`] builds the path.
#[must_use]
pub fn deployment_of_repository(key: &str) -> Option<(&str, &str)> {
    let names = path_in_own(key)?
        .strip_prefix("repositories/")?
        .strip_suffix(".zip")?;
    names
        .split_once('/')
        .filter(|(_, deployment)| !deployment.contains('/'))
}

/// Whether the planner of a deployment stores inputs under this key.
#[must_use]
pub fn is_stored_input(key: &str) -> bool {
    key.starts_with("plans/") && key.len() <= MAX_KEY
}

/// Whether the key is that of a value that is too long for a parameter.
#[must_use]
pub fn is_spilled_value(key: &str) -> bool {
    key.starts_with("values/")
}

/// Whether a path of Parameter Store is that of the state of modules and deployments, or below it (seed.md, "SSM
/// Parameter Patterns").
#[must_use]
pub fn is_state(path: &str) -> bool {
    path.strip_prefix(STATE)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The project in the key of an uploaded repository, `sources/{project}/repository.zip`, or
/// `sources/{project}/{name}/repository.zip` for one of several; `None` for any other key.
#[must_use]
pub fn project_of_repository(key: &str) -> Option<&str> {
    let folder = key.strip_prefix("sources/")?.strip_suffix("/repository.zip")?;
    match folder.split_once('/') {
        None => Some(folder),
        Some((project, name)) => (!name.contains('/')).then_some(project),
    }
}

/// The prefix of the records of what is deployed, of a project, a deployment, a group, or of everything.
#[must_use]
pub fn records_below(names: &[&str]) -> String {
    names
        .iter()
        .fold("deployed/".to_owned(), |above, name| format!("{above}{name}/"))
}

/// The path above the state of a project.
#[must_use]
pub fn state_of_project(project: &Name) -> String {
    format!("{STATE}/{project}")
}

/// The project in the path of a parameter with state; `None` for any other path.
#[must_use]
pub fn project_of_parameter(path: &str) -> Option<Name> {
    let rest = path.strip_prefix(STATE)?.strip_prefix('/')?;
    Name::parse("project", rest.split('/').next()?).ok()
}

/// The end of the path of a status, of a module or of a deployment.
const STATUS: &str = "/status";

/// The path of the module or the deployment whose status a parameter is; `None` for any other parameter.
#[must_use]
pub fn path_above_status(parameter: &str) -> Option<&str> {
    parameter.strip_suffix(STATUS)
}

/// The prefix of a project's locks.
#[must_use]
pub fn locks_of_project(project: &Name) -> String {
    format!("{}{project}/", prefix::LOCKS)
}

/// `project/deployment/group/module` or `project/deployment` in the key of a lock; `None` for any other key.
#[must_use]
pub fn names_in_lock_key(key: &str) -> Option<&str> {
    key.strip_prefix(prefix::LOCKS)?.strip_suffix(".json")
}

/// The prefix of a project's reports.
#[must_use]
pub fn reports_of_project(project: &Name) -> String {
    format!("{}{project}/", prefix::REPORTS)
}

/// The prefix of the reports of a target, `deployment`, `deployment/group` or `deployment/group/module`.
#[must_use]
pub fn reports_of_target(project: &Name, target: &str) -> String {
    format!("{}{target}/", reports_of_project(project))
}

/// The names in the key of a report; the last is the execution's. `None` for any other key.
#[must_use]
pub fn names_in_report_key(key: &str) -> Option<&str> {
    key.strip_prefix(prefix::REPORTS)?.strip_suffix(".json")
}

/// Whether the key is below the indexes or the reports, whose pages people look at.
#[must_use]
pub fn is_index_or_report(key: &str) -> bool {
    key.starts_with(prefix::INDEXES) || key.starts_with(prefix::REPORTS)
}

/// The prefix of what was last found to differ in the stacks of a project's modules.
#[must_use]
pub fn drift_of_project(project: &Name) -> String {
    format!("reports/_drift/{project}/")
}

/// The key of a project's index. It is not below `reports/`, where all objects expire.
#[must_use]
pub fn index_key(project: &Name) -> String {
    format!("index/{project}.html")
}

/// The project of an index; `None` for any other key.
#[must_use]
pub fn project_of_index(key: &str) -> Option<Name> {
    let name = key.strip_prefix(prefix::INDEXES)?.strip_suffix(".html")?;
    Name::parse("project", name).ok()
}

/// The key at which the command line uploads a repository that is deployed, by its MD5.
#[must_use]
pub fn repository_upload_key(project: &Name, md5: &str) -> String {
    format!("uploads/{project}/repository/{md5}.zip")
}

/// The key at which the command line uploads a repository that is only planned. No project's name begins with an underscore,
/// so a person who may write here can't replace what is deployed.
#[must_use]
pub fn planned_repository_key(project: &Name, name: &str) -> String {
    format!("{PLANNED_ONLY}{project}/{name}.zip")
}

/// The key of an upload in a principal's own folder; the principal as `aws:userid` names it.
#[must_use]
pub fn own_key(principal: &str, path: &str) -> String {
    format!("own/{principal}/{path}")
}

/// The key of a report's page; `None` if the given key is not that of a report.
#[must_use]
pub fn page_key(report: &str) -> Option<String> {
    let path = report.strip_suffix(".json")?;
    path.starts_with("reports/").then(|| format!("{path}.html"))
}

/// The key of an execution's report. `of` is `{project}/{deployment}/{group}/{module}` or `{project}/{deployment}`.
fn report_key(of: &str, execution: &ExecutionArn) -> String {
    format!("reports/{of}/{}.json", execution.name())
}

/// The key of an execution's page, by the project and the name of the module or deployment within it.
#[must_use]
pub fn page_of(project: &Name, name: &str, execution: &ExecutionArn) -> Option<String> {
    page_key(&report_key(&format!("{project}/{name}"), execution))
}

/// The key of the zip of a git repository's commit. The address is part of it, because the ids of commits are SHA-1, which
/// an attacker could make collide.
#[must_use]
pub fn fetched_commit_key(url: &str, commit: &str) -> String {
    let url = hex::encode(Sha256::digest(url.as_bytes()));
    format!("fetched/git/{url}/{commit}.zip")
}

/// The key of the zip of an archive, by the SHA-256 of the archive. Its address is not part of it: a presigned one is
/// different every time.
#[must_use]
pub fn fetched_archive_key(sha256: &str) -> String {
    format!("fetched/archives/{sha256}.zip")
}

impl ModuleId {
    /// The names in the key of an uploaded bundle, `sources/{project}/{deployment}/{group}/{module}.zip`, or the same below
    /// `own/{principal}/modules/`; `None` for any other key.
    ///
    /// # Errors
    /// `InvalidInput` with the first name that isn't valid.
    pub fn from_upload_key(key: &str) -> Result<Option<Self>> {
        let names = path_in_own(key)
            .and_then(|path| path.strip_prefix("modules/"))
            .or_else(|| key.strip_prefix("sources/"))
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

    /// The key at which an upload of the module's bundle starts an execution; [`Self::from_upload_key`] reads it.
    #[must_use]
    pub fn source_key(&self) -> String {
        format!("sources/{self}.zip")
    }

    /// The path in a principal's own folder at which an upload of the module's bundle starts an execution;
    /// [`Self::from_upload_key`] reads the whole key.
    #[must_use]
    pub fn own_bundle_path(&self) -> String {
        format!("modules/{self}.zip")
    }

    /// The path above the module's parameters (seed.md, "SSM Parameter Patterns").
    #[must_use]
    pub fn parameter_path(&self) -> String {
        format!("/sf/{}/{}/{}", self.project, self.deployment, self.module_name())
    }

    /// The path of one of the module's parameters.
    #[must_use]
    pub fn parameter(&self, kind: ParameterKind) -> String {
        format!("{}/{kind}", self.parameter_path())
    }

    /// The key in the bundle bucket at which the bundle of the last success is published (seed.md). The key has no project,
    /// so another project's module with the same three names writes the same object.
    #[must_use]
    pub fn bundle_key(&self) -> String {
        format!("{}/{}/{}/bundle.zip", self.deployment, self.group, self.module)
    }

    /// The key in the work bucket of the record of what is deployed (decision 24).
    #[must_use]
    pub fn record_key(&self) -> String {
        format!("deployed/{self}.json")
    }

    /// The module whose record has this key; `None` for any other key below `deployed/`.
    #[must_use]
    pub fn of_record_key(key: &str) -> Option<Self> {
        let names = key.strip_prefix("deployed/")?.strip_suffix(".json")?;
        let parts: Vec<&str> = names.split('/').collect();
        let [project, deployment, group, module] = parts.as_slice() else {
            return None;
        };
        Self::parse(project, deployment, group, module).ok()
    }

    /// The key in the work bucket of what was last found to differ in the module's stacks. No project's name begins with an
    /// underscore, so it is never the report of an execution; a person who may read those may read this.
    #[must_use]
    pub fn drift_key(&self) -> String {
        format!("reports/_drift/{self}.json")
    }

    /// The key in the work bucket of the bundle of what is deployed. Unlike the published one it belongs to this module
    /// alone; the module's destruction uses it.
    #[must_use]
    pub fn kept_bundle_key(&self) -> String {
        format!("deployed/{self}.zip")
    }

    /// The prefix in the work bucket of the module's values that are too long for Parameter Store.
    #[must_use]
    pub fn values_folder(&self) -> String {
        format!("values/{self}/")
    }

    /// The key in the work bucket of an execution's report.
    #[must_use]
    pub fn report_key(&self, execution: &ExecutionArn) -> String {
        report_key(&self.to_string(), execution)
    }

    /// The key in the work bucket of a value that is too long for Parameter Store.
    #[must_use]
    pub fn spill_key(&self, kind: ParameterKind, sha256: &str) -> String {
        format!("{}{kind}/{sha256}.json", self.values_folder())
    }

    /// The key of a bundle under its digest, where no event starts anything: a client's upload, or what a deployment's
    /// planner packs from a repository.
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

    /// The parameter with the deployment's status. A module's path always has a hyphen at this level and further levels
    /// below it, so the two never collide.
    #[must_use]
    pub fn status_parameter(&self) -> String {
        format!("{}{STATUS}", self.path())
    }

    /// The path in a principal's own folder at which an upload of the deployment's repository starts an execution;
    /// [`deployment_of_repository`] reads the whole key.
    #[must_use]
    pub fn own_repository_path(&self) -> String {
        format!("repositories/{self}.zip")
    }

    /// The prefix in the work bucket of the deployment's statuses that are too long for Parameter Store. No group's name
    /// begins with an underscore, so it is never a prefix of a module's values.
    #[must_use]
    pub fn status_values_folder(&self) -> String {
        format!("values/{self}/_status/")
    }

    /// The key in the work bucket of a status that is too long for Parameter Store.
    #[must_use]
    pub fn status_spill_key(&self, sha256: &str) -> String {
        format!("{}{sha256}.json", self.status_values_folder())
    }

    /// The key in the work bucket of an execution's report.
    #[must_use]
    pub fn report_key(&self, execution: &ExecutionArn) -> String {
        report_key(&self.to_string(), execution)
    }

    /// The key in the work bucket of the record by which the deployment is rolled back. No project's name begins with an
    /// underscore, so it is never the record of a module, and its writer can be kept from those.
    #[must_use]
    pub fn record_key(&self) -> String {
        format!("deployed/_deployments/{self}.json")
    }

    /// The key of the deployment's policy.
    #[must_use]
    pub fn policy_key(&self) -> String {
        format!("policies/{self}.json")
    }

    /// The key of the deployment's rules in Rego.
    #[must_use]
    pub fn rego_key(&self) -> String {
        format!("policies/{self}.rego")
    }

    /// The key of the request for the approval of an execution's plan.
    #[must_use]
    pub fn approval_request_key(&self, execution: &ExecutionArn) -> String {
        format!("approvals/{self}/{}/request.json", execution.name())
    }

    /// The key of what was decided on that request.
    #[must_use]
    pub fn approval_verdict_key(&self, execution: &ExecutionArn) -> String {
        format!("approvals/{self}/{}/verdict.json", execution.name())
    }

    /// The key of the task token of an execution whose plan waits for an approval. The name of a build has a colon, so no
    /// build has this key.
    #[must_use]
    pub fn approval_token_key(&self, execution: &ExecutionArn) -> String {
        format!("callbacks/approvals/{self}/{}", execution.name())
    }

    /// The key of the deployment's lock. It has two levels less than a module's, so the two never collide.
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

    /// The key of the bundle that the build reads.
    #[must_use]
    pub fn source_key(&self) -> String {
        format!("{}/source.zip", self.folder())
    }

    /// The key of a buildspec that is too long for the request.
    #[must_use]
    pub fn buildspec_key(&self) -> String {
        format!("{}/buildspec.yml", self.folder())
    }

    /// The key of the metadata that the build writes.
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

    /// The key of the input of one execution of a module that a whole deployment starts, by the name of that execution.
    #[must_use]
    pub fn item_key(&self, name: &str) -> String {
        format!("plans/{}/inputs/{name}.json", self.name())
    }

    /// The key of the parts of a plan that waits for an approval.
    #[must_use]
    pub fn plan_parts_key(&self) -> String {
        format!("plans/{}/parts.json", self.name())
    }

    /// The key of the previews of a deployment's plan.
    #[must_use]
    pub fn previews_key(&self) -> String {
        format!("plans/{}/previews.json", self.name())
    }

    /// The key of an input that is too long to share a payload with anything else.
    #[must_use]
    pub fn input_key(&self) -> String {
        format!("plans/{}/input.json", self.name())
    }
}

#[cfg(test)]
mod tests;
