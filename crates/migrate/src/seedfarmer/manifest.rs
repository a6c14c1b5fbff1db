//! The manifest of a module as seed-farmer stored it: is it what was deployed, and does the repository have the same?
//!
//! seed-farmer takes an MD5 over its own model of the manifest, with the deployspec in it, and stores model, deployspec
//! and MD5 apart. So the stored model is known to be the deployed one if the MD5 is that of the two put together,
//! whatever fields the model of that version had. Its content is then compared with the repository in Seedflow's terms:
//! another source of the same files or another name of the account is not a difference.

use std::collections::BTreeMap;

use seedflow_core::deployment::manifest::{Module, place_of};
use seedflow_core::deployment::remote_source::FetchedSource;
use seedflow_core::formats::python_json;
use seedflow_core::module::fingerprint::Versions;
use serde_json::{Map, Value, json};

use super::StoredModule;
use super::checksum::md5_hex;

/// The fields of the models of seed-farmer 8 that may be null. A manifest of more than 8 KB is stored without its nulls.
const OF_MODULE: [&str; 14] = [
    "bundle_md5",
    "manifest_md5",
    "deployspec_md5",
    "deploy_spec",
    "target_account",
    "target_region",
    "codebuild_image",
    "runtime_overrides",
    "data_files",
    "commit_hash",
    "npm_mirror",
    "npm_mirror_secret",
    "pypi_mirror",
    "pypi_mirror_secret",
];
const OF_PARAMETER: [&str; 5] = [
    "value_from",
    "value",
    "version",
    "disableEnvVarResolution",
    "resolved_value",
];
const OF_SOURCE: [&str; 5] = [
    "module_metadata",
    "env_variable",
    "parameter_store",
    "secrets_manager",
    "parameter_value",
];

/// Whether the stored manifest is the one that was deployed.
#[must_use]
pub fn is_deployed(stored: &StoredModule) -> bool {
    let (Some(manifest), Some(deployspec), Some(md5)) =
        (&stored.manifest, &stored.deployspec, &stored.manifest_md5)
    else {
        return false;
    };
    let is_its = |manifest: &Value| {
        let mut model = manifest.clone();
        let Some(fields) = model.as_object_mut() else {
            return false;
        };
        // As they are when the MD5 is taken.
        fields.insert("deploy_spec".to_owned(), deployspec.clone());
        for unset in ["manifest_md5", "deployspec_md5"] {
            fields.insert(unset.to_owned(), Value::Null);
        }
        md5_hex(python_json::dumps(&sorted(&model)).as_bytes()) == *md5
    };
    let of_these_files = manifest["bundle_md5"].as_str() == stored.bundle.as_deref();
    of_these_files && (is_its(manifest) || is_its(&with_nulls(manifest)))
}

/// The differences between the repository and the stored manifest; `versions` are those of the parameters in Parameter Store
/// that modules refer to, `fetched` the remote sources.
#[must_use]
pub fn differences(
    stored: &Value,
    module: &Module,
    versions: &Versions,
    fetched: &[FetchedSource],
) -> Vec<String> {
    let mut differences = parameter_differences(stored, module, versions);
    differences.extend(data_file_differences(stored, module, fetched));
    for (field, own, name) in [
        ("codebuild_image", "image", "codebuildImage"),
        ("runtime_overrides", "runtimes", "runtimeOverrides"),
    ] {
        let (then, now) = (&stored[field], module.own_build.get(own).unwrap_or(&Value::Null));
        let none = |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
        if then != now && !(none(then) && none(now)) {
            differences.push(format!("{name} changed"));
        }
    }
    differences
}

/// The data files by their paths in the bundle. Those from git have the commit that was deployed.
fn data_file_differences(stored: &Value, module: &Module, fetched: &[FetchedSource]) -> Vec<String> {
    let then: Vec<(Option<String>, Option<&str>)> = items(&stored["data_files"])
        .map(|file| {
            let place = file["file_path"].as_str().and_then(place_of);
            (place.map(|place| place.path), file["commit_hash"].as_str())
        })
        .collect();
    let paths = then.iter().map(|(path, _)| path.as_deref());
    if !paths.eq(module.data_files.iter().map(|file| Some(file.path.as_str()))) {
        return vec!["dataFiles changed".to_owned()];
    }
    let pairs = module.data_files.iter().zip(&then);
    let differs = pairs.filter_map(|(file, (_, then))| {
        let source = file.source.as_ref()?;
        let now = fetched.iter().find(|fetched| fetched.source == *source)?;
        let (then, now) = ((*then)?, now.commit.as_deref()?);
        (then != now).then(|| {
            format!(
                "data file {}: its source has commit {now}, and commit {then} was deployed",
                file.path
            )
        })
    });
    differs.collect()
}

fn parameter_differences(stored: &Value, module: &Module, versions: &Versions) -> Vec<String> {
    let mut differences = Vec::new();
    let mut then = BTreeMap::new();
    for parameter in items(&stored["parameters"]) {
        let name = parameter["name"].as_str().unwrap_or_default();
        then.insert(name, deployed_value(parameter));
        differences.extend(version_difference(name, parameter, versions));
    }
    let mut names: Vec<&str> = module.parameters.keys().map(String::as_str).collect();
    names.extend(then.keys());
    names.sort_unstable();
    names.dedup();
    differences.extend(names.into_iter().filter_map(|name| {
        match (then.get(name), module.parameters.get(name)) {
            (Some(then), Some(now)) if then == now => None,
            (Some(_), Some(_)) => Some(format!("parameter {name} changed")),
            (None, _) => Some(format!("parameter {name} added")),
            (_, None) => Some(format!("parameter {name} removed")),
        }
    }));
    differences
}

/// A parameter as the input of an execution would have it.
fn deployed_value(parameter: &Value) -> Value {
    let source = &parameter["value_from"];
    if let Some(name) = source["parameter_store"].as_str() {
        return json!({"parameter_store": name});
    }
    if let Some(name) = source["secrets_manager"].as_str() {
        return json!({"secrets_manager": name});
    }
    if let Some(of) = source["module_metadata"].as_object() {
        let mut metadata = json!({"group": of.get("group"), "module": of.get("name")});
        if let Some(key) = of.get("key").filter(|key| !key.is_null()) {
            metadata["key"] = key.clone();
        }
        return json!({"module_metadata": metadata});
    }
    // A variable, or a value of the mappings.
    if source.is_object() {
        return parameter["resolved_value"].clone();
    }
    parameter["value"].clone()
}

/// A referenced parameter that was written since. Of a SecureString seed-farmer knows no version, nor of most secrets.
fn version_difference(name: &str, parameter: &Value, versions: &Versions) -> Option<String> {
    let referenced = parameter["value_from"]["parameter_store"].as_str()?;
    let then = parameter["version"].as_i64()?;
    let now = versions.get(referenced).copied().flatten()?.number;
    (then != now)
        .then(|| format!("parameter {name}: {referenced} has version {now}, and version {then} was deployed"))
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The manifest with the nulls that it was stored without.
fn with_nulls(manifest: &Value) -> Value {
    let mut manifest = manifest.clone();
    fill(&mut manifest, &OF_MODULE);
    for parameter in manifest["parameters"].as_array_mut().into_iter().flatten() {
        fill(parameter, &OF_PARAMETER);
        fill(&mut parameter["value_from"], &OF_SOURCE);
        if let Some(metadata) = parameter.pointer_mut("/value_from/module_metadata") {
            fill(metadata, &["key"]);
        }
    }
    for file in manifest["data_files"].as_array_mut().into_iter().flatten() {
        fill(file, &["commit_hash"]);
    }
    manifest
}

fn fill(value: &mut Value, fields: &[&str]) {
    if let Some(object) = value.as_object_mut() {
        for field in fields {
            object.entry(*field).or_insert(Value::Null);
        }
    }
}

/// The same with sorted keys (`sort_keys=True`).
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let entries: BTreeMap<&String, Value> =
                map.iter().map(|(key, value)| (key, sorted(value))).collect();
            entries
                .into_iter()
                .map(|(key, value)| (key.clone(), value))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use seedflow_core::deployment::manifest;
    use seedflow_core::deployment::manifest::{LoadContext, Repository};
    use seedflow_core::deployment::manifest_options::ManifestOptions;
    use seedflow_core::module::fingerprint::Version;

    /// What seed-farmer 8.0.9 stores of a module that uses everything that a manifest offers, and the MD5 that it takes.
    fn real() -> Value {
        serde_json::from_str(include_str!("stored.json")).unwrap()
    }

    fn stored(manifest: &Value) -> StoredModule {
        let real = real();
        StoredModule {
            bundle: Some("0123456789abcdef0123456789abcdef".to_owned()),
            manifest_md5: real["md5"].as_str().map(str::to_owned),
            manifest: Some(manifest.clone()),
            deployspec: Some(real["deployspec"].clone()),
            ..StoredModule::default()
        }
    }

    #[test]
    fn the_md5_is_seed_farmers_with_nulls_and_without() {
        for manifest in ["manifest", "without_nulls"] {
            assert!(is_deployed(&stored(&real()[manifest])), "{manifest}");
        }
    }

    #[test]
    fn a_manifest_that_was_stored_but_not_deployed_is_known() {
        let mut other = real()["manifest"].clone();
        other["parameters"][0]["value"] = json!(4);
        assert!(!is_deployed(&stored(&other)));
        // That of other files.
        let mut built = stored(&real()["manifest"]);
        built.bundle = Some("f".repeat(32));
        assert!(!is_deployed(&built));
        built.manifest = None;
        assert!(!is_deployed(&built));
    }

    struct Files(&'static str);

    impl Repository for Files {
        fn text(&mut self, path: &str) -> seedflow_core::error::Result<Option<String>> {
            let changed = |text: &str| text.replace("@CHANGE@", self.0);
            Ok(match path {
                "seedfarmer.yaml" => Some("project: shop".to_owned()),
                ".env" => Some("ZONE=shop.example.com".to_owned()),
                "deployment.yaml" => Some(changed(MANIFEST)),
                _ => None,
            })
        }
        fn has_file(&self, path: &str) -> bool {
            path.ends_with(".yaml") || path.starts_with("data/")
        }
        fn has_folder(&self, _: &str) -> bool {
            true
        }
        fn files(&self) -> Vec<String> {
            Vec::new()
        }
    }

    const MANIFEST: &str = "
name: dev
targetAccountMappings:
- alias: primary
  accountId: '111122223333'
  default: true
  parametersGlobal: {}
  regionMappings:
  - region: us-east-1
    default: true
    parametersRegional: {cidr: [10.0.0.0/16]}
groups:
- name: net
  modules:
  - {name: vpc, path: modules/vpc}
- name: apps
  modules:
  - name: web
    path: moved/web
    codebuildImage: aws/codebuild/standard:7.0
    runtimeOverrides: {python: '3.12'}
    dataFiles: [{filePath: data/names.txt}]
    parameters:
    - {name: size, value: 3.5}
    - {name: text, value: 'caf\u{e9} ${ZONE}'}
    - {name: map, value: {a: x, b: [1, true, null]}}
    - {name: zone, valueFrom: {envVariable: ZONE}}
    - {name: cidr, valueFrom: {parameterValue: cidr}}
    - {name: ami, valueFrom: {parameterStore: /ami}}
    - {name: key, valueFrom: {secretsManager: 'api:key'}}
    - {name: vpc-id, valueFrom: {moduleMetadata: {group: net, name: vpc, key: VpcId}}}
    - {name: all, valueFrom: {moduleMetadata: {group: net, name: vpc}}}
@CHANGE@
";

    fn module(change: &'static str) -> Module {
        let options = ManifestOptions::default();
        let mut read = manifest::read(&mut Files(change), &LoadContext::offline(&options)).unwrap();
        read.groups.remove(1).modules.remove(0)
    }

    fn at(number: i64) -> Versions {
        let modified = None;
        [("/ami".to_owned(), Some(Version { number, modified }))].into()
    }

    #[test]
    fn the_same_manifest_has_no_differences_wherever_the_files_are() {
        for manifest in ["manifest", "without_nulls"] {
            assert_eq!(differences(&real()[manifest], &module(""), &at(3), &[]), [""; 0]);
        }
    }

    #[test]
    fn a_data_file_from_git_is_the_same_at_the_same_commit_and_path() {
        use seedflow_core::deployment::remote_source::{RemoteSource, SourcePath};
        let source = RemoteSource::Git {
            url: "https://h/r".to_owned(),
            reference: None,
        };
        let mut manifest = real()["manifest"].clone();
        manifest["data_files"] =
            json!([{"file_path": "git::https://h/r.git//data/names.txt", "commit_hash": "c0ffee"}]);
        let mut here = module("");
        here.data_files = vec![SourcePath {
            source: Some(source.clone()),
            path: "data/names.txt".to_owned(),
        }];
        let at_commit = |commit: &str| {
            let fetched = FetchedSource {
                source: source.clone(),
                commit: Some(commit.to_owned()),
                key: String::new(),
            };
            differences(&manifest, &here, &at(3), &[fetched])
        };
        assert_eq!(at_commit("c0ffee"), [""; 0]);
        assert_eq!(
            at_commit("decaf"),
            ["data file data/names.txt: its source has commit decaf, and commit c0ffee was deployed"]
        );
        // A copy in the repository is at the same path in the bundle.
        assert_eq!(differences(&manifest, &module(""), &at(3), &[]), [""; 0]);
    }

    #[test]
    fn what_changed_since_is_named() {
        let manifest = &real()["manifest"];
        let added = module("    - {name: new, value: 1}");
        assert_eq!(
            differences(manifest, &added, &at(3), &[]),
            ["parameter new added"]
        );
        let version = differences(manifest, &module(""), &at(4), &[]);
        assert_eq!(
            version,
            ["parameter ami: /ami has version 4, and version 3 was deployed"]
        );
        let mut changed = module("");
        changed.parameters.insert("size".to_owned(), json!(3));
        changed.parameters.remove("key");
        changed.data_files.clear();
        changed.own_build.remove("image");
        assert_eq!(
            differences(manifest, &changed, &at(3), &[]),
            [
                "parameter key removed",
                "parameter size changed",
                "dataFiles changed",
                "codebuildImage changed"
            ]
        );
    }
}
