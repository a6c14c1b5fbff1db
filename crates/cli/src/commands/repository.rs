//! What `plan` and `apply` have in common: a folder's repository, checked and uploaded, and the input that deploys it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use seedflow_core::deployment::manifest;
use seedflow_core::deployment::manifest::{Deployment, Diagnostic, LoadContext};
use seedflow_core::deployment::selection::refuse_unknown_names;
use seedflow_core::deployment::state::DeploymentState;
use seedflow_core::ids::{ExecutionArn, Name};
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::storage_layout::{path_above_status, planned_repository_key, repository_upload_key};
use seedflow_terminal::Ui;
use serde_json::{Value, json};

use super::reading::parse_project;
use super::settings::ManifestArguments;
use super::start::{start_by_upload, upload};
use crate::account::Account;
use crate::checkout::repository::Folder;
use crate::checkout::sources::Sources;
use crate::checkout::{bundle, commit};
use crate::exit::{Refused, Wrong, for_people};
use crate::work::Subject;

/// The repository, and the part of it that is meant.
#[derive(Debug, Args)]
pub struct RepositoryArguments {
    /// The repository: the folder with seedfarmer.yaml.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The project [default: that of seedfarmer.yaml].
    #[arg(long, short, value_name = "P", value_parser = parse_project)]
    project: Option<Name>,
    #[command(flatten)]
    manifest: ManifestArguments,
    /// A path in Parameter Store: each parameter directly below it is a variable of the manifests. Needs --project.
    #[arg(long, value_name = "PATH", requires = "project")]
    env_path: Option<String>,
    /// Only this group or module, as often as needed.
    #[arg(long, value_name = "GROUP[/MODULE]")]
    only: Vec<String>,
    /// Deploys this group or module even if nothing changed, as often as needed; `--force=all` is everything.
    #[arg(long, value_name = "GROUP[/MODULE]")]
    force: Vec<String>,
}

/// What a repository is uploaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be planned only.
    Plan,
    /// To be deployed.
    Deployment,
}

impl Purpose {
    /// The key of the upload. A person who may only plan can't write what is deployed: these uploads have a folder that no project can
    /// have, and a name that nobody can guess, so that nobody replaces what another one has planned.
    fn key(self, project: &Name, md5: &str) -> String {
        match self {
            Self::Plan => planned_repository_key(project, &uuid::Uuid::new_v4().simple().to_string()),
            Self::Deployment => repository_upload_key(project, md5),
        }
    }
}

/// The word for everything.
const ALL: &str = "all";

impl RepositoryArguments {
    /// Checks the repository here, uploads it, and returns the input that deploys it.
    ///
    /// # Errors
    /// [`Refused`] with every problem of the manifest; nothing is uploaded then.
    pub async fn input(&self, purpose: Purpose, account: &Account, ui: &Ui) -> Result<Value> {
        let project = match &self.env_path {
            // Its variables are in the account, so the workflow checks the manifest.
            Some(_) => self.project.clone(),
            None => {
                let deployment = self.check(ui)?;
                self.refuse_unknown(&deployment, account).await?;
                Some(deployment.project)
            }
        };
        let Some(project) = project else {
            bail!(Wrong("--project is missing".to_owned()));
        };
        let draft = tempfile::NamedTempFile::new().context("cannot write the repository's zip")?;
        let packed = bundle::repository(&self.folder, draft.path())?;
        let key = purpose.key(&project, &packed.md5);
        let source = upload(account, &key, &packed.path, &commit::of_folder(&self.folder)).await?;
        let mut input = self.manifest.fields(self.env_path.clone())?;
        input.insert("project".to_owned(), json!(project));
        input.insert("source".to_owned(), source);
        if !self.only.is_empty() {
            input.insert("only".to_owned(), json!(self.only));
        }
        if !self.force.is_empty() {
            let force = match self.force.iter().any(|force| force == ALL) {
                true => json!(true),
                false => json!(self.force),
            };
            input.insert("force_update".to_owned(), force);
        }
        Ok(Value::Object(input))
    }

    /// Checks the repository here, and uploads it to the caller's own folder, where it starts an execution.
    ///
    /// # Errors
    /// [`Refused`] with every problem of the manifest; nothing is uploaded then.
    pub async fn upload_own(&self, account: &Account, ui: &Ui) -> Result<ExecutionArn> {
        let deployment = self.check(ui)?;
        let draft = tempfile::NamedTempFile::new().context("cannot write the repository's zip")?;
        let packed = bundle::repository(&self.folder, draft.path())?;
        let mut metadata = self.manifest.clone().parse(None)?.metadata();
        metadata.extend(commit::of_folder(&self.folder).metadata());
        let path = deployment.id().own_repository_path();
        start_by_upload(&Subject::Deployment(None), &path, &packed.path, metadata, account).await
    }

    /// Refuses names that are neither in the manifest nor deployed: a module that left the manifest can be selected, too.
    async fn refuse_unknown(&self, deployment: &Deployment, account: &Account) -> Result<()> {
        let force: Vec<String> = self.force.iter().filter(|force| *force != ALL).cloned().collect();
        let refuse = |known: &[ModuleRef]| {
            refuse_unknown_names("--only", &self.only, known)?;
            refuse_unknown_names("--force", &force, known)
        };
        let modules = deployment.groups.iter().flat_map(|group| &group.modules);
        let mut known: Vec<ModuleRef> = modules.map(|module| ModuleRef::from(&module.id)).collect();
        if refuse(&known).is_ok() {
            return Ok(());
        }
        let id = deployment.id();
        let mut statuses = account.parameters().below(&id.path()).await?;
        statuses.retain(|(name, _)| path_above_status(name).is_some());
        known.extend(DeploymentState::of(&id, statuses).modules());
        refuse(&known).map_err(for_people)
    }

    /// Checks the manifests without what other hosts have. Warnings go to standard error.
    fn check(&self, ui: &Ui) -> Result<Deployment> {
        let options = self.manifest.clone().parse(None)?;
        let mut repository = Sources::new(Folder::open(&self.folder)?);
        let given = LoadContext {
            project: self.project.as_ref(),
            ..LoadContext::offline(&options)
        };
        let lines = |found: &[Diagnostic]| {
            found
                .iter()
                .map(Diagnostic::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        };
        match manifest::check(&mut repository, &given) {
            Ok(deployment) => {
                if !deployment.warnings.is_empty() {
                    ui.complain(&lines(&deployment.warnings));
                }
                Ok(deployment)
            }
            Err(problems) => Err(Refused(format!(
                "the manifest is not valid, so nothing was started:\n{}",
                lines(&problems)
            ))
            .into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_only_planned_is_uploaded_where_nothing_is_deployed_from_and_under_a_name_of_its_own() {
        let project = Name::parse("project", "shop").unwrap();
        let [first, second] = [(); 2].map(|()| Purpose::Plan.key(&project, "md5"));
        assert!(first.starts_with("uploads/_plans/shop/"), "{first}");
        assert_ne!(first, second);
        // No project's uploads are there.
        assert!(Name::parse("project", "_plans").is_err());
        assert_eq!(
            Purpose::Deployment.key(&project, "md5"),
            "uploads/shop/repository/md5.zip"
        );
    }
}
