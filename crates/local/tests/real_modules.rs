//! Public modules as they are: a checkout of awslabs/idf-modules, whose folder is in `SEEDFLOW_IDF_MODULES`.
//! It is not part of this repository, so without the variable there is nothing to test.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use seedflow_cli::checkout::repository::Folder;
use seedflow_core::deployment::manifest;
use seedflow_core::deployment::manifest::{Diagnostic, LoadContext};
use seedflow_core::deployment::manifest_options::ManifestOptions;
use seedflow_core::module::build_settings::BuildSettings;
use seedflow_core::module::codebuild::buildspec;
use seedflow_core::module::deployspec::Deployspec;
use seedflow_core::module::maximum::Maxima;
use serde_json::Value;

/// The folder, if there is one; the message shows in a run with `--nocapture`.
fn checkout() -> Option<PathBuf> {
    let folder = std::env::var_os("SEEDFLOW_IDF_MODULES").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: SEEDFLOW_IDF_MODULES names no checkout of awslabs/idf-modules");
    }
    folder
}

/// The files of that name below a folder.
fn files(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ignore::WalkBuilder::new(folder)
        .build()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.file_name().is_some_and(|file| file == name))
        .collect();
    found.sort();
    found
}

#[test]
fn every_deployspec_composes_into_a_buildspec() {
    let Some(folder) = checkout() else { return };
    let specs = files(&folder.join("modules"), "deployspec.yaml");
    assert!(
        specs.len() >= 19,
        "{} deployspecs in {}",
        specs.len(),
        folder.display()
    );
    for path in specs {
        let name = path.display();
        let spec = Deployspec::parse(&std::fs::read(&path).unwrap(), &Maxima::OF_AWS)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(spec.generic_variables, "{name}");
        let text = buildspec::compose(&buildspec::Content {
            phases: &spec.deploy,
            root: "module",
            own: "/tmp/own",
            variables: &[],
            image: "aws/codebuild/standard:7.0",
            settings: &BuildSettings::default(),
        });
        let buildspec: Value = serde_json::from_str(&text).unwrap();
        for (phase, commands) in [
            ("install", &spec.deploy.install),
            ("pre_build", &spec.deploy.pre_build),
            ("build", &spec.deploy.build),
            ("post_build", &spec.deploy.post_build),
        ] {
            let composed = buildspec["phases"][phase]["commands"].as_array().unwrap();
            let composed: Vec<&str> = composed.iter().map(|command| command.as_str().unwrap()).collect();
            let ours = commands.iter().map(String::as_str).collect::<Vec<_>>();
            assert!(
                ours.is_empty() || composed.windows(ours.len()).any(|part| part == ours),
                "{name}: {phase}"
            );
        }
        assert!(
            !spec.deploy.install.is_empty() && !spec.deploy.build.is_empty(),
            "{name}"
        );
    }
}

#[test]
fn every_sample_manifest_can_be_deployed_but_for_what_is_fetched_from_elsewhere() {
    let Some(folder) = checkout() else { return };
    let manifests = files(&folder.join("manifests"), "deployment.yaml");
    let mut whole = 0;
    for path in &manifests {
        let manifest = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        match modules_of(&folder, manifest) {
            Ok(modules) => whole += modules.min(1),
            Err(problems) => {
                for problem in problems {
                    let known = KNOWN.iter().any(|part| problem.message.contains(part));
                    assert!(known, "{manifest}: {problem}");
                }
            }
        }
    }
    assert!(whole > 0, "none of {} manifests can be deployed", manifests.len());
}

/// What may be wrong with a sample: it needs what Seedflow does not support.
const KNOWN: [&str; 1] = ["not supported yet"];

/// How many modules a manifest deploys, with a value for each variable that the manifests use.
fn modules_of(folder: &Path, manifest: &str) -> Result<usize, Vec<Diagnostic>> {
    let options = ManifestOptions {
        manifest: Some(manifest.to_owned()),
        env: variables(&folder.join("manifests")),
        ..ManifestOptions::default()
    };
    let mut folder = Folder::open(folder).unwrap();
    let deployment = manifest::check(&mut folder, &LoadContext::offline(&options))?;
    Ok(deployment.groups.iter().map(|group| group.modules.len()).sum())
}

/// An account's number fits wherever a manifest uses a variable.
fn variables(folder: &Path) -> BTreeMap<String, String> {
    let entries = ignore::WalkBuilder::new(folder).build();
    let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
    let mut variables = BTreeMap::new();
    for text in texts {
        let names = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("envVariable:"));
        variables.extend(names.map(|name| (name.trim().to_owned(), "111111111111".to_owned())));
    }
    variables
}
