//! `check`: what a deployment manifest would deploy, in which order, or everything that is wrong with it, or with the folder
//! of a single module. It reads the repository's files, and fetches what the manifest names on other hosts.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_core::deployment::manifest;
use seedflow_core::deployment::manifest::{Deployment, Diagnostic, Group, LoadContext, Module};
use seedflow_core::deployment::manifest_options::ManifestOptions;
use seedflow_core::module::maximum::Maxima;

use super::settings::ManifestArguments;
use crate::checkout::repository::Folder;
use crate::checkout::sources::{Sources, fetch};
use seedflow_fetch::{Credentials, Fetcher, Limits};
use seedflow_terminal::{Tone, Ui};

/// Checks a repository's deployment manifest, or the folder of a single module, without a stack: shows the groups and modules
/// in their order, or all errors.
#[derive(Debug, Args)]
pub struct Check {
    /// The repository's folder, with its seedfarmer.yaml, or the folder of a single module.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    #[command(flatten)]
    options: ManifestArguments,
    /// Don't fetch the sources of other hosts (git::, archive::); their files are not looked at then.
    #[arg(long)]
    offline: bool,
    /// A file with the credentials of hosts, as in the secret that the template's GitCredentialsSecret names.
    #[arg(long, value_name = "FILE", conflicts_with = "offline")]
    credentials: Option<PathBuf>,
}

impl Check {
    pub fn run(self, ui: &Ui) -> Result<ExitCode> {
        let mut repository = Sources::new(Folder::open(&self.folder)?);
        let options = self.options.parse(None)?;
        if options == ManifestOptions::default() && manifest::is_module(&repository) {
            return Ok(check_module(&mut repository, ui));
        }
        // Without a stack, so the template's parameters are unknown.
        let given = LoadContext::offline(&options);
        let mut problems = Vec::new();
        if !self.offline {
            let sources = manifest::sources(&mut repository, &given);
            let credentials = Credentials::of_file(self.credentials.as_deref())?;
            let fetcher = Fetcher::new(credentials, Limits::default());
            problems = fetch(&mut repository, sources, &fetcher);
        }
        let mut problems: Vec<String> = problems.into_iter().map(|error| error.message).collect();
        let checked = manifest::check(&mut repository, &given);
        match checked {
            Ok(deployment) if problems.is_empty() => {
                show(&deployment, self.offline, ui);
                return Ok(ExitCode::SUCCESS);
            }
            Ok(_) => {}
            Err(found) => problems.extend(found.iter().map(Diagnostic::to_string)),
        }
        complain(&problems, ui);
        Ok(ExitCode::FAILURE)
    }
}

fn check_module(folder: &mut Sources, ui: &Ui) -> ExitCode {
    match manifest::check_module(folder, &Maxima::OF_AWS) {
        Ok(warnings) => {
            warn(&warnings, ui);
            ui.say(format!("{} the folder of one module", ui.paint(Tone::Good, "ok")));
            ExitCode::SUCCESS
        }
        Err(problems) => {
            let problems: Vec<String> = problems.iter().map(Diagnostic::to_string).collect();
            complain(&problems, ui);
            ExitCode::FAILURE
        }
    }
}

fn warn(warnings: &[Diagnostic], ui: &Ui) {
    if !warnings.is_empty() {
        ui.heading(&count(warnings.len(), "warning"));
    }
    for warning in warnings {
        ui.say(warning.to_string());
    }
}

fn complain(problems: &[String], ui: &Ui) {
    for problem in problems {
        ui.say(problem);
    }
    let count = ui.paint(Tone::Bad, count(problems.len(), "problem"));
    ui.complain(&format!("{count}; nothing would be deployed"));
}

fn show(deployment: &Deployment, offline: bool, ui: &Ui) {
    ui.say(ui.paint(Tone::Bold, format!("{}/{}", deployment.project, deployment.name)));
    let modules = deployment.groups.iter().flat_map(|group| &group.modules);
    let places: BTreeSet<_> = modules.filter_map(|module| module.place.as_ref()).collect();
    for (account, region) in places {
        ui.say(format!("in account {account}, region {region}"));
    }
    for (i, group) in deployment.groups.iter().enumerate() {
        show_group(i + 1, group, ui);
    }
    warn(&deployment.warnings, ui);
    if offline && !deployment.sources.is_empty() {
        let sources = &deployment.sources;
        ui.heading(&format!(
            "not looked at, because of --offline: {}",
            count(sources.len(), "source")
        ));
        for source in sources {
            ui.say(source.to_string());
        }
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
        let folder = module.folder.to_string();
        ui.say(format!(
            "  {}  {}",
            module.id.module,
            ui.paint(Tone::Quiet, &folder)
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
