//! `check`: what a deployment manifest would deploy, in which order, or everything that is wrong with it, or with the folder
//! of a single module. It reads the repository's files, and fetches what the manifest names on other hosts.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_core::deployment::manifest;
use seedflow_core::deployment::manifest::{Deployment, Diagnostic, Group, LoadContext, Module};
use seedflow_core::deployment::manifest_options::ManifestOptions;
use seedflow_core::module::maximum::Maxima;
use seedflow_fetch::{Credentials, Fetcher, Limits};
use seedflow_terminal::{Tone, Ui};
use serde_json::{Value, json};

use super::reading::print_json;
use super::settings::ManifestArguments;
use crate::checkout::repository::Folder;
use crate::checkout::sources::{Sources, fetch};

/// Checks a repository's deployment manifest, or the folder of a single module, without a stack: shows the groups and modules
/// in their order, or all errors.
#[derive(Debug, Args)]
pub struct Check {
    /// The repository's folder, with its seedfarmer.yaml, or the folder of a single module.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    #[command(flatten)]
    options: ManifestArguments,
    /// Does not fetch the sources of other hosts (git::, archive::). Their files are not checked then.
    #[arg(long)]
    offline: bool,
    /// A file with the credentials of hosts, as in the secret that the template's GitCredentialsSecret names.
    #[arg(long, value_name = "FILE", conflicts_with = "offline")]
    credentials: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub fn run(self, ui: &Ui) -> Result<ExitCode> {
        let mut repository = Sources::new(Folder::open(&self.folder)?);
        let options = self.options.clone().parse(None)?;
        let checked = if options == ManifestOptions::default() && manifest::is_module(&repository) {
            Checked::module(&mut repository)
        } else {
            self.manifest(&mut repository, &options)?
        };
        match self.json {
            true => print_json(checked.json(self.offline), ui)?,
            false => checked.show(self.offline, ui),
        }
        Ok(match checked.problems.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }

    fn manifest(&self, repository: &mut Sources, options: &ManifestOptions) -> Result<Checked> {
        // Without a stack, so the template's parameters are unknown.
        let given = LoadContext::offline(options);
        let mut unreachable = Vec::new();
        if !self.offline {
            let sources = manifest::sources(repository, &given);
            let credentials = Credentials::of_file(self.credentials.as_deref())?;
            let fetcher = Fetcher::new(credentials, Limits::default());
            unreachable = fetch(repository, sources, &fetcher);
        }
        let unreachable = unreachable
            .into_iter()
            .map(|error| Problem::Source(error.message));
        let (deployment, found) = match manifest::check(repository, &given) {
            Ok(deployment) => (Some(deployment), Vec::new()),
            Err(found) => (None, found),
        };
        Ok(Checked {
            deployment,
            warnings: Vec::new(),
            problems: unreachable.chain(found.into_iter().map(Problem::At)).collect(),
        })
    }
}

/// Something that is wrong.
#[derive(Debug)]
enum Problem {
    /// A source that can't be fetched.
    Source(String),
    /// At a place of a file.
    At(Diagnostic),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(message) => f.write_str(message),
            Self::At(found) => found.fmt(f),
        }
    }
}

impl Problem {
    fn json(&self) -> Value {
        match self {
            Self::Source(message) => json!({"message": message}),
            Self::At(found) => found_json(found),
        }
    }
}

fn found_json(found: &Diagnostic) -> Value {
    let field = Some(&found.field).filter(|field| !field.is_empty());
    json!({"file": found.file, "line": found.line, "field": field, "message": found.message})
}

/// What was found. Without problems and without a deployment it is the folder of one module.
#[derive(Debug, Default)]
struct Checked {
    deployment: Option<Deployment>,
    /// The warnings of a single module; those of a deployment are its own.
    warnings: Vec<Diagnostic>,
    problems: Vec<Problem>,
}

impl Checked {
    fn module(folder: &mut Sources) -> Self {
        match manifest::check_module(folder, &Maxima::OF_AWS) {
            Ok(warnings) => Self {
                warnings,
                ..Self::default()
            },
            Err(found) => Self {
                problems: found.into_iter().map(Problem::At).collect(),
                ..Self::default()
            },
        }
    }

    /// What it shows to people.
    fn show(&self, offline: bool, ui: &Ui) {
        match &self.deployment {
            _ if !self.problems.is_empty() => complain(&self.problems, ui),
            Some(deployment) => show(deployment, offline, ui),
            None => {
                warn(&self.warnings, ui);
                ui.say(format!("{} the folder of one module", ui.paint(Tone::Good, "ok")));
            }
        }
    }

    /// The same for programs. What has problems would not be deployed, so it has no groups.
    fn json(&self, offline: bool) -> Value {
        let problems: Vec<Value> = self.problems.iter().map(Problem::json).collect();
        let deployment = self.deployment.as_ref().filter(|_| problems.is_empty());
        let warnings = deployment.map_or(&self.warnings, |deployment| &deployment.warnings);
        let warnings: Vec<Value> = warnings.iter().map(found_json).collect();
        let mut json = json!({"problems": problems, "warnings": warnings});
        let Some(deployment) = deployment else {
            return json;
        };
        json["project"] = json!(deployment.project);
        json["deployment"] = json!(deployment.name);
        json["groups"] = deployment.groups.iter().map(group_json).collect();
        if offline && !deployment.sources.is_empty() {
            json["not_fetched"] = deployment.sources.iter().map(ToString::to_string).collect();
        }
        json
    }
}

fn group_json(group: &Group) -> Value {
    let modules: Vec<Value> = group.modules.iter().map(module_json).collect();
    json!({"group": group.name, "concurrency": group.concurrency, "modules": modules})
}

fn module_json(module: &Module) -> Value {
    let (account, region) = module
        .place
        .as_ref()
        .map(|(account, region)| (account, region))
        .unzip();
    json!({
        "module": module.id.module,
        "source": module.folder.to_string(),
        "account": account,
        "region": region,
        "after": upstreams(module),
    })
}

fn warn(warnings: &[Diagnostic], ui: &Ui) {
    if !warnings.is_empty() {
        ui.heading(&count(warnings.len(), "warning"));
    }
    for warning in warnings {
        ui.say(warning.to_string());
    }
}

fn complain(problems: &[Problem], ui: &Ui) {
    for problem in problems {
        ui.say(problem.to_string());
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
            "not checked, because of --offline: {}",
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
        let upstreams = upstreams(module);
        if !upstreams.is_empty() {
            ui.say(format!("    after {}", upstreams.join(", ")));
        }
    }
}

/// The modules whose values it consumes.
fn upstreams(module: &Module) -> Vec<String> {
    let upstreams = module.consumes.iter();
    upstreams
        .map(|(group, module)| format!("{group}/{module}"))
        .collect()
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn checked(files: &[(&str, &str)]) -> Value {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = folder.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let check = Check {
            folder: folder.path().to_owned(),
            options: ManifestArguments::default(),
            offline: true,
            credentials: None,
            json: true,
        };
        let mut repository = Sources::new(Folder::open(&check.folder).unwrap());
        let checked = match manifest::is_module(&repository) {
            true => Checked::module(&mut repository),
            false => check
                .manifest(&mut repository, &ManifestOptions::default())
                .unwrap(),
        };
        crate::view::json::without_nulls(checked.json(true))
    }

    const MODULE: (&str, &str) = (
        "modules/vpc/deployspec.yaml",
        "deploy: {phases: {build: {commands: [\"true\"]}}}",
    );

    #[test]
    fn a_program_reads_the_order_or_where_each_problem_is() {
        let settings = ("seedfarmer.yaml", "project: shop");
        let deployment = (
            "deployment.yaml",
            "name: dev\ngroups:\n  - name: network\n    path: network.yaml\n",
        );
        let group = |path: &str| format!("name: vpc\npath: {path}\n");
        let good = group("modules/vpc");
        let found = checked(&[settings, deployment, ("network.yaml", &good), MODULE]);
        assert_eq!(
            found["groups"],
            json!([{"group": "network", "modules": [{"module": "vpc", "source": "modules/vpc", "after": []}]}]),
            "{found}"
        );
        assert_eq!(
            (&found["project"], &found["problems"]),
            (&json!("shop"), &json!([]))
        );

        let bad = group("modules/none");
        let found = checked(&[settings, deployment, ("network.yaml", &bad), MODULE]);
        let problem = &found["problems"][0];
        assert_eq!(
            (&problem["file"], &problem["line"], &problem["field"]),
            (&json!("network.yaml"), &json!(2), &json!("modules[0].path")),
            "{found}"
        );
        assert!(
            problem["message"].is_string() && found.get("groups").is_none(),
            "{found}"
        );
    }

    #[test]
    fn the_folder_of_one_module_has_problems_or_none() {
        let found = checked(&[("deployspec.yaml", MODULE.1)]);
        assert_eq!(found, json!({"problems": [], "warnings": []}));
        let found = checked(&[("deployspec.yaml", "deploy: 1")]);
        assert_eq!(found["problems"][0]["file"], "deployspec.yaml", "{found}");
    }
}
