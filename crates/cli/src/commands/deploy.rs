//! `deploy`: deploys one module from its folder.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use seedflow_core::ids::{ModuleId, PROJECT_RULE};
use seedflow_terminal::Ui;
use serde_json::{Map, Value, json};

use super::settings::{by_name, parse_parameter};
use super::start::{Showing, start_by_upload, upload};
use crate::account::Account;
use crate::checkout::{bundle, commit};
use crate::exit::{Refused, for_people};
use crate::work::Subject;

/// Deploys one module from its folder, without a manifest.
#[derive(Debug, Args)]
pub struct Deploy {
    /// The module's folder, with its deployspec.yaml.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[arg(long, short, value_name = "P", help = format!("The project: {PROJECT_RULE}"))]
    project: String,
    /// The deployment, for example dev.
    #[arg(long, value_name = "D")]
    deployment: String,
    /// The group, for example network.
    #[arg(long, value_name = "G")]
    group: String,
    /// The module, for example vpc.
    #[arg(long, value_name = "M")]
    module: String,
    /// A parameter of the module, as often as needed. V is JSON if it reads as JSON, otherwise a text, for example
    /// subnets='["a","b"]' or password='{"secrets_manager":"db/password"}'. Quote a number to keep it a text: '"123"'.
    #[arg(long = "parameter", value_name = "K=V", value_parser = parse_parameter)]
    parameters: Vec<(String, Value)>,
    /// Deploys it even if nothing changed.
    #[arg(long)]
    force: bool,
    /// Starts it by an upload to your own folder. You need no right to start executions, and the upload proves who you are.
    /// The parameters come from manifest.yaml in the folder.
    #[arg(long, conflicts_with_all = ["parameters", "force"])]
    upload: bool,
    #[command(flatten)]
    showing: Showing,
}

impl Deploy {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let module = ModuleId::parse(&self.project, &self.deployment, &self.group, &self.module);
        let module = module.map_err(for_people)?;
        if self.folder.is_dir() && !self.folder.join("deployspec.yaml").is_file() {
            bail!(Refused(format!(
                "{} has no deployspec.yaml: give the folder of a module",
                self.folder.display()
            )));
        }
        let parameters = by_name("--parameter", self.parameters)?;
        let draft = tempfile::NamedTempFile::new().context("cannot write the bundle")?;
        let packed = bundle::folder(&self.folder, draft.path())?;
        if self.upload {
            let path = module.own_bundle_path();
            let metadata = commit::of_folder(&self.folder).metadata().collect();
            let subject = Subject::Module(module);
            let execution = start_by_upload(&subject, &path, &packed.path, metadata, account).await?;
            return self.showing.show(execution, subject, account, ui).await;
        }
        let key = module.upload_key(&packed.md5);
        let source = upload(account, &key, &packed.path, &commit::of_folder(&self.folder)).await?;
        let input = input(&module, source, parameters, self.force);
        self.showing
            .start("deploy", Subject::Module(module), &input, account, ui)
            .await
    }
}

fn input(module: &ModuleId, source: Value, parameters: Map<String, Value>, force: bool) -> Value {
    let mut input = json!(module);
    input["source"] = source;
    if !parameters.is_empty() {
        input["parameters"] = Value::Object(parameters);
    }
    if force {
        input["force_update"] = json!(true);
    }
    input
}
