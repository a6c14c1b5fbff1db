//! `status`: the parameters of each module in Parameter Store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::aws_api::AwsApi;
use crate::client::deployment::{self, Parameter};
use crate::client::pages;
use crate::stack::Connection;
use seedflow_terminal::{Tone, Ui};

/// Prints the modules of a project, or of all projects.
pub async fn run(file: &Path, project: Option<&str>, ui: &Ui) -> Result<()> {
    let stack = Connection::of_running_stack(file).await?;
    let path = project.map_or_else(|| "/sf".to_owned(), |project| format!("/sf/{project}"));
    let api = stack.api();
    let mut parameters = deployment::parameters(&api, &path).await?;
    for parameter in &mut parameters {
        parameter.value = deployment::value(&api, &stack.work_bucket, parameter).await?;
    }
    if parameters.is_empty() {
        let whose = project.map_or_else(String::new, |project| format!(" of {project}"));
        ui.say(format!("Nothing{whose} has been deployed on this stack yet."));
    }
    let modules = by_module(parameters);
    let projects: BTreeSet<String> = modules
        .keys()
        .filter_map(|module| Some(module.split_once('/')?.0.to_owned()))
        .collect();
    for (module, parameters) in modules {
        let status = parameters.get("status").map(parsed).unwrap_or_default();
        let state = status["state"].as_str().unwrap_or_default();
        let state = ui.paint(tone(state), state);
        ui.heading(&format!("{module} {state}{}", commit_info(&status)));
        for (name, parameter) in &parameters {
            let version = ui.paint(Tone::Quiet, format!("(version {})", parameter.version));
            ui.say(format!("  {name:8} {} {version}", parameter.value));
        }
    }
    show_pages(&api, &stack, &projects, ui).await
}

/// The links to the pages that there are of the projects.
async fn show_pages(api: &AwsApi, stack: &Connection, projects: &BTreeSet<String>, ui: &Ui) -> Result<()> {
    for project in projects {
        let links = pages::links(api, stack, project).await?;
        if !links.is_empty() {
            ui.heading(&format!("Pages of {project}"));
        }
        for (name, link) in links {
            ui.say(format!("  {name}\n    {}", ui.paint(Tone::Quiet, link)));
        }
    }
    Ok(())
}

/// Groups `/sf/{project}/{deployment}/{group}-{module}/{name}` by everything before the name.
fn by_module(parameters: Vec<Parameter>) -> BTreeMap<String, BTreeMap<String, Parameter>> {
    let mut modules: BTreeMap<String, BTreeMap<String, Parameter>> = BTreeMap::new();
    for parameter in parameters {
        if let Some((module, name)) = parameter.name.rsplit_once('/') {
            let module = module.strip_prefix("/sf/").unwrap_or(module).to_owned();
            modules
                .entry(module)
                .or_default()
                .insert(name.to_owned(), parameter.clone());
        }
    }
    modules
}

fn parsed(status: &Parameter) -> Value {
    serde_json::from_str(&status.value).unwrap_or_default()
}

/// Of which commit, for people: ` (0a4d55a8d778 of main by Jane Doe)`; nothing where it isn't known.
fn commit_info(status: &Value) -> String {
    let said = |field: &str, before: &str| {
        let value = status[field].as_str()?;
        Some(format!("{before}{value}"))
    };
    let commit = status["commit"].as_str();
    let commit = commit.map(|id| id.chars().take(12).collect());
    let parts = [commit, said("branch", "of "), said("author", "by ")];
    let known: Vec<String> = parts.into_iter().flatten().collect();
    if known.is_empty() {
        return String::new();
    }
    format!(" ({})", known.join(" "))
}

fn tone(state: &str) -> Tone {
    match state {
        "SUCCEEDED" | "UNCHANGED" => Tone::Good,
        "FAILED" | "ABORTED" => Tone::Bad,
        _ => Tone::Quiet,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_grouped_by_module() {
        let one = |name: &str| Parameter {
            name: name.into(),
            value: r#"{"state": "FAILED"}"#.into(),
            version: 1,
        };
        let modules = by_module(vec![
            one("/sf/p/d/g-m/md5"),
            one("/sf/p/d/g-m/status"),
            one("/sf/p/d/g-n/status"),
        ]);
        assert_eq!(modules.keys().collect::<Vec<_>>(), ["p/d/g-m", "p/d/g-n"]);
        assert_eq!(parsed(&modules["p/d/g-m"]["status"])["state"], "FAILED");
    }

    #[test]
    fn a_module_shows_its_commit() {
        let whole = json!({"commit": "0a4d55a8d778e5022fab701977c5d840bbc486d0", "author": "Jane Doe <j@x>", "branch": "main"});
        assert_eq!(commit_info(&whole), " (0a4d55a8d778 of main by Jane Doe <j@x>)");
        assert_eq!(commit_info(&json!({"commit": "c0ffee"})), " (c0ffee)");
        assert_eq!(commit_info(&json!({"state": "FAILED"})), "");
    }
}
