//! `init`: a first project or a first module that deploys.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use seedflow_core::ids::{ModuleId, Name};
use seedflow_terminal::Ui;
use serde_json::json;

use super::reading::print_json_line;
use crate::account::StackArguments;
use crate::exit::Refused;

const DEPLOYMENT: &str = include_str!("init/deployment.yaml");
const GROUP: &str = include_str!("init/group.yaml");
const SEEDFARMER: &str = include_str!("init/seedfarmer.yaml");
const DEPLOYSPEC: &str = include_str!("init/deployspec.yaml");
const TEMPLATE: &str = include_str!("init/template.yaml");

/// Writes a first project, or a first module, that deploys as it is.
///
/// Files that exist are never overwritten.
#[derive(Debug, Args)]
pub struct Init {
    #[command(subcommand)]
    what: What,
    /// Prints the paths as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A project: a deployment manifest with one module.
    #[command(after_help = "Example: seedflow init project shop --project shop")]
    Project {
        /// The folder, which is made if it is missing.
        #[arg(value_name = "DIR", default_value = ".")]
        folder: PathBuf,
        /// The project's name.
        #[arg(long, short, value_name = "P", value_parser = parse_project, default_value = "my-project")]
        project: Name,
    },
    /// A module: a CloudFormation stack with a topic, and the metadata that it publishes.
    #[command(after_help = "Example: seedflow init module modules/vpc")]
    Module {
        /// The folder, which is made if it is missing.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

fn parse_project(text: &str) -> Result<Name, String> {
    ModuleId::project(text).map_err(|error| error.message)
}

impl Init {
    /// Runs the command.
    pub fn run(self, stack: &StackArguments, ui: &Ui) -> Result<ExitCode> {
        let (folder, files) = match &self.what {
            What::Project { folder, project } => (folder, project_files(project)),
            What::Module { folder } => (folder, module_files("")),
        };
        write_new(folder, &files)?;
        if self.json {
            let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
            print_json_line(json!({"folder": folder, "files": paths}), ui);
            return Ok(ExitCode::SUCCESS);
        }
        files
            .iter()
            .for_each(|(path, _)| ui.say(format!("wrote {}", folder.join(path).display())));
        ui.say(self.next(folder, stack));
        Ok(ExitCode::SUCCESS)
    }

    /// The commands that come next, as a shell takes them.
    fn next(&self, folder: &Path, stack: &StackArguments) -> String {
        let folder = folder.display().to_string();
        match &self.what {
            What::Project { project, .. } => {
                let command = |verb| stack.command(&[verb, &folder, "--project", project.as_str()]);
                format!(
                    "\nNext, see what would be deployed, and deploy it:\n  {}\n  {}",
                    command("plan"),
                    command("apply")
                )
            }
            What::Module { .. } => {
                let names = [
                    "--project",
                    "my-project",
                    "--deployment",
                    "dev",
                    "--group",
                    "core",
                ];
                let arguments = [&["deploy", &folder][..], &names, &["--module", "topic"]].concat();
                format!(
                    "\nNext, name it in a manifest, or deploy it alone:\n  {}",
                    stack.command(&arguments)
                )
            }
        }
    }
}

fn project_files(project: &Name) -> Vec<(String, String)> {
    let mut files = vec![
        (
            "seedfarmer.yaml".to_owned(),
            SEEDFARMER.replace("PROJECT", project.as_str()),
        ),
        ("deployment.yaml".to_owned(), DEPLOYMENT.to_owned()),
        ("manifests/core.yaml".to_owned(), GROUP.to_owned()),
    ];
    files.extend(module_files("modules/topic/"));
    files
}

fn module_files(above: &str) -> Vec<(String, String)> {
    [("deployspec.yaml", DEPLOYSPEC), ("template.yaml", TEMPLATE)]
        .map(|(path, text)| (format!("{above}{path}"), text.to_owned()))
        .into()
}

/// Writes files, all of them or, if one exists already, none.
fn write_new(folder: &Path, files: &[(String, String)]) -> Result<()> {
    if let Some((path, _)) = files
        .iter()
        .find(|(path, _)| folder.join(path).symlink_metadata().is_ok())
    {
        let found = folder.join(path);
        return Err(Refused(format!(
            "{} exists already, and nothing is overwritten; name another folder",
            found.display()
        ))
        .into());
    }
    for (path, text) in files {
        let file = folder.join(path);
        let failed = || format!("cannot write {}", file.display());
        if let Some(above) = file.parent() {
            std::fs::create_dir_all(above).with_context(failed)?;
        }
        // Also if somebody writes the same file right now.
        let mut new = std::fs::File::create_new(&file).with_context(failed)?;
        std::io::Write::write_all(&mut new, text.as_bytes()).with_context(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_next_commands_can_be_pasted() {
        let init = Init {
            what: What::Project {
                folder: "sp ace".into(),
                project: Name::parse("project", "shop").unwrap(),
            },
            json: false,
        };
        let next = init.next(Path::new("sp ace"), &StackArguments::default());
        assert!(
            next.ends_with(
                "\n  seedflow plan 'sp ace' --project shop\n  seedflow apply 'sp ace' --project shop"
            ),
            "{next}"
        );
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_half_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("modules")).unwrap();
        std::fs::create_dir(folder.path().join("modules/topic")).unwrap();
        let existing = folder.path().join("modules/topic/template.yaml");
        std::fs::write(&existing, "mine").unwrap();
        let files = project_files(&Name::parse("project", "shop").unwrap());
        let refused = write_new(folder.path(), &files).unwrap_err();
        assert!(
            refused.is::<Refused>() && refused.to_string().contains("template.yaml"),
            "{refused}"
        );
        assert_eq!(std::fs::read_to_string(&existing).unwrap(), "mine");
        assert!(!folder.path().join("deployment.yaml").exists());
        std::fs::remove_file(&existing).unwrap();
        write_new(folder.path(), &files).unwrap();
        let settings = std::fs::read_to_string(folder.path().join("seedfarmer.yaml")).unwrap();
        assert!(settings.contains("project: shop"), "{settings}");
    }
}
