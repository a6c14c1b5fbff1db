//! Repositories made in memory.

use std::collections::BTreeMap;
use std::path::Path;

use seedflow_local::stack::environment::{ACCOUNT, REGION};
use serde_json::{Value, json};

use crate::module::Module;

/// A repository's files by their paths.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    files: BTreeMap<String, Vec<u8>>,
}

/// A group of a manifest: its name, and its modules with the modules that each consumes, as `group/module`.
pub type Group<'a> = (&'a str, &'a [(&'a str, &'a [&'a str])]);

impl Repository {
    /// A repository whose deployment `dev` has these groups. Each module publishes the content of its file `value.txt`
    /// under the key `Value`. It takes the `Value` of each consumed module as a parameter of the name
    /// `of-{group}-{module}`.
    pub fn deploying(groups: &[Group<'_>]) -> Self {
        let mut repository = Self::default().file("deployment.yaml", manifest(groups).to_string());
        for (group, modules) in groups {
            for (module, consumed) in *modules {
                repository = repository.module(&format!("modules/{group}-{module}"), &publishing(consumed));
            }
        }
        repository
    }

    /// The same with a file added or replaced.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.insert(path.to_owned(), content.as_ref().to_vec());
        self
    }

    /// The same with a file moved.
    #[must_use]
    pub fn moved(mut self, from: &str, to: &str) -> Self {
        let content = self.files.remove(from).expect("a file to move");
        self.file(to, content)
    }

    /// The same with the files of another repository.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        self
    }

    /// The same with everything in a folder.
    #[must_use]
    pub fn within(self, folder: &str) -> Self {
        let files = self.files.into_iter();
        Self {
            files: files
                .map(|(path, content)| (format!("{folder}/{path}"), content))
                .collect(),
        }
    }

    /// The same with a module's files in a folder.
    #[must_use]
    pub fn module(mut self, folder: &str, module: &Module) -> Self {
        for (path, content) in module.files() {
            self = self.file(&format!("{folder}/{path}"), content);
        }
        self
    }

    /// The same with another value published by one of its modules.
    #[must_use]
    pub fn publishing(self, group: &str, module: &str, value: &str) -> Self {
        self.file(&format!("modules/{group}-{module}/value.txt"), value)
    }

    /// The same with another manifest.
    #[must_use]
    pub fn with_groups(self, groups: &[Group<'_>]) -> Self {
        self.file("deployment.yaml", manifest(groups).to_string())
    }

    /// The same with the additions for seed-farmer: its project, and the target account of the modules.
    #[must_use]
    pub fn of_seed_farmer(self, project: &str) -> Self {
        let manifest = self.files.get("deployment.yaml").expect("a manifest");
        let mut manifest: Value = serde_json::from_slice(manifest).expect("a manifest of JSON");
        manifest["toolchainRegion"] = json!(REGION);
        manifest["targetAccountMappings"] = json!([{"alias": "primary", "accountId": ACCOUNT, "default": true,
            "regionMappings": [{"region": REGION, "default": true}]}]);
        self.file("deployment.yaml", manifest.to_string())
            .file("seedfarmer.yaml", format!("project: {project}\n"))
    }

    /// Writes the files into a folder, over existing ones.
    pub fn write(&self, folder: &Path) {
        for (path, content) in &self.files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("making a folder");
            std::fs::write(&path, content).expect("writing a file");
        }
    }

    /// The zip.
    pub fn zip(&self) -> Vec<u8> {
        let files = self
            .files
            .iter()
            .map(|(name, content)| (name.as_str(), content.as_slice()));
        seedflow_local::checkout::bundle::files(files).expect("packing files of memory")
    }
}

/// A module that publishes the content of its file, and a module whose destruction leaves a trace.
fn publishing(consumed: &[&str]) -> Module {
    let shown: Vec<String> = consumed
        .iter()
        .map(|of| {
            let name = of.replace(['/', '-'], "_").to_uppercase();
            format!("echo \"{of}=$SEEDFARMER_PARAMETER_OF_{name}\"")
        })
        .collect();
    let mut build: Vec<&str> = shown.iter().map(String::as_str).collect();
    build.push("seedfarmer metadata add -k Value -v \"$(cat value.txt)\"");
    let phases = json!({"phases": {"build": {"commands": build}}});
    let destroy =
        json!({"phases": {"build": {"commands": ["echo destroyed; test ! -e fails-to-be-destroyed"]}}});
    Module::with_deployspec(&json!({"deploy": phases, "destroy": destroy}).to_string())
        .file("value.txt", "one")
}

/// A manifest as JSON, which is YAML.
fn manifest(groups: &[Group<'_>]) -> Value {
    let module = |group: &str, (module, consumed): &(&str, &[&str])| {
        let parameters: Vec<Value> = consumed
            .iter()
            .map(|of| {
                let (group, module) = of.split_once('/').expect("group/module");
                json!({"name": format!("of-{group}-{module}"),
                    "valueFrom": {"moduleMetadata": {"group": group, "name": module, "key": "Value"}}})
            })
            .collect();
        json!({"name": module, "path": format!("modules/{group}-{module}"), "parameters": parameters})
    };
    let groups: Vec<Value> = groups
        .iter()
        .map(|(group, modules)| {
            let modules: Vec<Value> = modules.iter().map(|one| module(group, one)).collect();
            json!({"name": group, "modules": modules})
        })
        .collect();
    json!({"name": "dev", "groups": groups})
}
