//! The values in Parameter Store after all modules of a repository were deployed.

use std::collections::BTreeMap;
use std::io::Cursor;

use anyhow::{Result, anyhow};
use seedflow_core::deployment::archives::{Archives, Content, ModuleDigest};
use seedflow_core::deployment::manifest;
use seedflow_core::deployment::manifest::{LoadContext, Module};
use seedflow_core::deployment::manifest_options::ManifestOptions;
use seedflow_core::deployment::repository_zip::Repository;
use seedflow_core::ids::{ModuleId, ParameterKind};
use seedflow_core::module::fingerprint::{Fingerprint, Versions};
use seedflow_core::module::input::{Limits, Options};
use serde_json::{Map, Value, json};

/// The parameters by their names.
pub fn state(zip: &[u8], limits: &Limits) -> Result<BTreeMap<String, String>> {
    let repository = Repository::open(Cursor::new(zip), zip.len() as u64)?;
    let mut repository = Archives::new(repository);
    let options = ManifestOptions::default();
    let given = LoadContext {
        maxima: &limits.maxima,
        ..LoadContext::offline(&options)
    };
    let described = manifest::read(&mut repository, &given)
        .map_err(|problems| anyhow!("the repository can't be deployed: {problems:?}"))?;
    let modules: Vec<&Module> = described.groups.iter().flat_map(|group| &group.modules).collect();
    let contents: Vec<Content> = modules
        .iter()
        .map(|module| Content {
            folder: module.folder.clone(),
            data_files: module.data_files.clone(),
        })
        .collect();
    let mut stored = BTreeMap::new();
    for (module, files) in modules.iter().zip(repository.read(&contents)?) {
        for (kind, value) in deployed(module, &files, limits)? {
            stored.insert(module.id.parameter(kind), value.to_string());
        }
    }
    Ok(stored)
}

/// The four values that a success stores.
fn deployed(module: &Module, files: &ModuleDigest, limits: &Limits) -> Result<[(ParameterKind, Value); 4]> {
    let id = &module.id;
    let manifest = json!({"parameters": module.parameters, "build": module.build});
    let options = Options::from_manifest(&manifest, id, limits)?;
    let upstreams = options.parameters.upstreams().into_iter();
    let known = upstreams
        .map(|upstream| {
            let published = metadata(&upstream.id(id));
            (upstream, published)
        })
        .collect();
    let options = options.resolve(id, &known)?;
    let fingerprint = Fingerprint::new(&files.digest, &files.deployspec, &options, &Versions::new());
    let status = json!({
        "state": "SUCCEEDED", "updated_at": "2026-01-01T00:00:00Z", "group": id.group, "module": id.module,
        "execution": format!("arn:aws:states:us-east-1:111122223333:execution:seedflow-deploy-module:{id}"),
    });
    Ok([
        (ParameterKind::Md5, json!(fingerprint)),
        (ParameterKind::Metadata, Value::Object(metadata(id))),
        (ParameterKind::Outputs, json!({"Name": id.dashed()})),
        (ParameterKind::Status, status),
    ])
}

fn metadata(id: &ModuleId) -> Map<String, Value> {
    let published = [
        ("Value", format!("value-of-{}", id.dashed())),
        ("CodeBuildBuildId", format!("seedflow:{}", id.dashed())),
        ("SeedflowDeployed", "0.1.0".to_owned()),
    ];
    published
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Value::String(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use seedflow_fixtures::Repository;

    use super::*;

    #[test]
    fn a_numbered_repository_can_be_deployed() {
        let zip = Repository::numbered("p", "dev", 6, 2).zip();
        let stored = state(&zip, &Limits::of_aws("bucket", "project")).unwrap();
        assert_eq!(stored.len(), 24);
        assert!(
            stored["/sf/p/dev/group-02-module-005/metadata"].contains("value-of-"),
            "{stored:?}"
        );
    }
}
