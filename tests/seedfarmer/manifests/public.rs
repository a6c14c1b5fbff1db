//! Public repositories as they are: the folder that `SEEDFLOW_PUBLIC_REPOSITORIES` names has checkouts of them, such as
//! of awslabs/idf-modules. None is part of this repository, so without the variable there is nothing to test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use seedflow_cli::checkout::repository::Folder;
use seedflow_core::deployment::manifest::{LoadContext, check};
use seedflow_core::deployment::manifest_options::ManifestOptions;
use serde_json::Value;

use super::{SeedFarmer, shown};

/// Why we refuse what seed-farmer's models accept; docs/public-repositories.md has the reasons.
const DIFFERENCES: [&str; 7] = [
    "that of a page that shows",
    "a repository is fetched over https",
    "expected the 12 digits of an account",
    "duplicate key",
    "duplicate parameter",
    "groups is missing",
    // seed-farmer refuses it after its models have read the repository.
    "has no module",
];

#[test]
fn public_manifests_are_read_the_same() {
    let Some(folder) = std::env::var_os("SEEDFLOW_PUBLIC_REPOSITORIES").map(PathBuf::from) else {
        eprintln!("skipped: SEEDFLOW_PUBLIC_REPOSITORIES names no folder with checkouts");
        return;
    };
    let mut seed_farmer = SeedFarmer::start();
    let mut read = 0;
    for manifest in files(&folder, "deployment.yaml") {
        let Some(project) = manifest
            .ancestors()
            .find(|at| at.join("seedfarmer.yaml").is_file())
        else {
            continue;
        };
        let env = variables(project);
        let name = manifest.strip_prefix(project).unwrap().to_str().unwrap();
        let theirs = seed_farmer.read_manifest(project, name, &env);
        let ours = ours(project, name, &env);
        let manifest = manifest.display();
        eprintln!("{manifest}: {} / {}", said(&theirs), said(&ours));
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{manifest}"),
            (Err(ours), Ok(_)) => {
                let known = |problem: &str| DIFFERENCES.iter().any(|part| problem.contains(part));
                assert!(ours.lines().all(known), "{manifest}: {ours}");
            }
            // What we require less than seed-farmer, such as a toolchain's region.
            (_, Err(_)) => {}
        }
        read += 1;
    }
    assert!(read > 0, "no deployment manifest below {}", folder.display());
}

/// The absolute paths of the files of that name below a folder.
fn files(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = ignore::WalkBuilder::new(std::path::absolute(folder).unwrap()).build();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.file_name().is_some_and(|file| file == name))
        .collect();
    found.sort();
    found
}

/// What `check --offline` finds: the deployment, or its problems, one a line.
fn ours(project: &Path, manifest: &str, env: &BTreeMap<String, String>) -> Result<Value, String> {
    let options = ManifestOptions {
        manifest: Some(manifest.to_owned()),
        env: env.clone(),
        ..ManifestOptions::default()
    };
    let mut folder = Folder::open(project).unwrap();
    match check(&mut folder, &LoadContext::offline(&options)) {
        Ok(deployment) => Ok(shown(&deployment)),
        Err(problems) => Err(problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")),
    }
}

fn said(result: &Result<Value, String>) -> &str {
    result.as_ref().map_or_else(String::as_str, |_| "accepted")
}

/// A value for each variable that the project's manifests use, by what its name says.
fn variables(project: &Path) -> BTreeMap<String, String> {
    let entries = ignore::WalkBuilder::new(project).build();
    let paths = entries.map(|entry| entry.unwrap().into_path());
    let manifests = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let texts = manifests.filter_map(|path| std::fs::read_to_string(path).ok());
    let mut variables = BTreeMap::new();
    for text in texts {
        let names = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("envVariable:"));
        let inserted = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
        for name in names.chain(inserted.map(|(name, _)| name)).map(str::trim) {
            let value = match name {
                _ if name.contains("ACCOUNT") => "111111111111",
                _ if name.contains("REGION") => "us-east-1",
                _ => "demo",
            };
            variables.insert(name.to_owned(), value.to_owned());
        }
    }
    variables
}
