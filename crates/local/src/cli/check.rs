//! `check`: what a deployment manifest would deploy, in which order, or everything that is wrong with it. Offline:
//! it reads only the repository's files.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_core::deployment::manifest;
use seedflow_core::deployment::manifest::{Deployment, Diagnostic, Group, LoadContext, Module};

use super::parameters::ManifestArguments;
use crate::checkout::repository::Folder;
use seedflow_terminal::{Tone, Ui};

#[derive(Debug, Args)]
pub struct Check {
    /// The repository's folder, with its seedfarmer.yaml.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    options: ManifestArguments,
}

impl Check {
    pub fn run(self, ui: &Ui) -> Result<ExitCode> {
        let mut folder = Folder::open(&self.folder)?;
        let options = self.options.parse(None)?;
        // Offline, so the template's parameters are unknown.
        Ok(
            match manifest::check(&mut folder, &LoadContext::offline(&options)) {
                Ok(deployment) => {
                    show(&deployment, ui);
                    ExitCode::SUCCESS
                }
                Err(problems) => {
                    complain(&problems, ui);
                    ExitCode::FAILURE
                }
            },
        )
    }
}

fn complain(problems: &[Diagnostic], ui: &Ui) {
    for problem in problems {
        ui.say(problem.to_string());
    }
    let count = ui.paint(Tone::Bad, count(problems.len(), "problem"));
    ui.complain(&format!("{count}; nothing would be deployed"));
}

fn show(deployment: &Deployment, ui: &Ui) {
    ui.say(ui.paint(Tone::Bold, format!("{}/{}", deployment.project, deployment.name)));
    if let Some((account, region)) = &deployment.target {
        ui.say(format!("in account {account}, region {region}"));
    }
    for (i, group) in deployment.groups.iter().enumerate() {
        show_group(i + 1, group, ui);
    }
    if !deployment.warnings.is_empty() {
        ui.heading(&count(deployment.warnings.len(), "warning"));
    }
    for warning in &deployment.warnings {
        ui.say(warning.to_string());
    }
    let modules = deployment.groups.iter().map(|group| group.modules.len()).sum();
    let (modules, groups) = (count(modules, "module"), count(deployment.groups.len(), "group"));
    ui.say(format!("\n{} {modules} in {groups}", ui.paint(Tone::Good, "ok")));
}

fn show_group(number: usize, group: &Group, ui: &Ui) {
    let at_once = group
        .concurrency
        .map_or_else(String::new, |most| format!(", {most} at once"));
    ui.heading(&format!(
        "{number}. {} ({}{at_once})",
        group.name,
        count(group.modules.len(), "module")
    ));
    for module in &group.modules {
        let folder = if module.path.is_empty() { "." } else { &module.path };
        ui.say(format!(
            "  {}  {}",
            module.id.module,
            ui.paint(Tone::Quiet, folder)
        ));
        if let Some(consumes) = consumes(module) {
            ui.say(format!("    after {consumes}"));
        }
    }
}

fn consumes(module: &Module) -> Option<String> {
    let names: Vec<String> = module
        .consumes
        .iter()
        .map(|(group, module)| format!("{group}/{module}"))
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
