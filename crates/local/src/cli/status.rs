//! `status`: what Parameter Store holds, module by module.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::deployment::{self, Parameter};
use crate::stack::Connection;
use crate::ui::{Tone, Ui};

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
    for (module, parameters) in by_module(parameters) {
        let state = parameters.get("status").map(state).unwrap_or_default();
        ui.heading(&format!("{module} {}", ui.paint(tone(&state), &state)));
        for (name, parameter) in &parameters {
            let version = ui.paint(Tone::Quiet, format!("(version {})", parameter.version));
            ui.say(format!("  {name:8} {} {version}", parameter.value));
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

fn state(status: &Parameter) -> String {
    let parsed: Value = serde_json::from_str(&status.value).unwrap_or_default();
    parsed["state"].as_str().unwrap_or_default().to_owned()
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
        assert_eq!(state(&modules["p/d/g-m"]["status"]), "FAILED");
    }
}
