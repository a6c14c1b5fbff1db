//! What seed-farmer 8 stores of a deployment, and how it detects that a module has changed since.
//!
//! All of it is in Parameter Store below `/{project}/{deployment}/{group}/{module}/`, as JSON: `manifest` and
//! `deployspec`, as they were deployed; `md5/bundle`, `md5/deployspec` and `md5/manifest`, each `{"hash": …}`; `metadata`,
//! what the module published. `md5/bundle` is removed before a build and written when it has succeeded, so without it the last
//! deployment did not succeed.

pub mod checksum;
pub mod files;
pub mod manifest;
pub mod roles;

use std::collections::BTreeMap;

use jiff::Timestamp;
use seedflow_aws::services::ssm::Found;
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::ModuleId;
use serde_json::{Map, Value};

/// What is stored of a module.
#[derive(Debug, Clone, Default)]
pub struct StoredModule {
    /// The MD5 of its files, where its last deployment succeeded.
    pub bundle: Option<String>,
    /// The MD5 of its `deployspec.yaml`.
    pub deployspec_md5: Option<String>,
    /// The MD5 of its manifest.
    pub manifest_md5: Option<String>,
    pub manifest: Option<Value>,
    pub deployspec: Option<Value>,
    /// What it published.
    pub metadata: Option<Value>,
    /// When its last deployment ended, if it succeeded.
    pub deployed_at: Option<Timestamp>,
    /// When its last deployment had read the values that it consumes.
    pub read_at: Option<Timestamp>,
    /// When its metadata was written.
    pub published_at: Option<Timestamp>,
}

impl StoredModule {
    /// Whether any deployment of it has succeeded.
    #[must_use]
    pub fn is_deployed(&self) -> bool {
        self.bundle.is_some() || self.metadata.is_some()
    }

    /// What it published, as an object.
    #[must_use]
    pub fn metadata_object(&self) -> Option<Map<String, Value>> {
        match &self.metadata {
            None => Some(Map::new()),
            Some(metadata) => metadata.as_object().cloned(),
        }
    }

    fn set(&mut self, kind: &str, found: &Found) {
        // A value that is not JSON was not written by seed-farmer, and counts as missing.
        let value: Option<Value> = serde_json::from_str(&found.text).ok();
        let hash = || Some(value.as_ref()?.get("hash")?.as_str()?.to_owned());
        match kind {
            "md5/bundle" => (self.bundle, self.deployed_at) = (hash(), found.modified),
            "md5/deployspec" => self.deployspec_md5 = hash(),
            "md5/manifest" => (self.manifest_md5, self.read_at) = (hash(), found.modified),
            "manifest" => self.manifest = value,
            "deployspec" => self.deployspec = value,
            "metadata" => (self.metadata, self.published_at) = (value, found.modified),
            _ => {}
        }
    }
}

/// What is stored of a deployment, by `{group}/{module}`.
#[derive(Debug, Default)]
pub struct Deployment(BTreeMap<String, StoredModule>);

impl Deployment {
    /// The path above everything that is stored of a deployment.
    #[must_use]
    pub fn path(deployment: &DeploymentId) -> String {
        format!("/{}/{}", deployment.project, deployment.deployment)
    }

    /// The parameter of what a module published.
    #[must_use]
    pub fn metadata_parameter(module: &ModuleId) -> String {
        format!("/{module}/metadata")
    }

    /// Sorts parameters by their modules.
    #[must_use]
    pub fn of(deployment: &DeploymentId, found: &[Found]) -> Self {
        let above = format!("{}/", Self::path(deployment));
        let mut modules: BTreeMap<String, StoredModule> = BTreeMap::new();
        for parameter in found {
            let parts = parameter
                .name
                .strip_prefix(&above)
                .map(|rest| rest.splitn(3, '/'));
            let parts: Vec<&str> = parts.into_iter().flatten().collect();
            if let [group, module, kind] = parts.as_slice() {
                let stored = modules.entry(format!("{group}/{module}")).or_default();
                stored.set(kind, parameter);
            }
        }
        Self(modules)
    }

    /// What is stored of a module.
    #[must_use]
    pub fn module(&self, module: &ModuleId) -> Option<&StoredModule> {
        self.0.get(&format!("{}/{}", module.group, module.module))
    }

    /// The modules that are deployed, as `{group}/{module}`.
    pub fn deployed(&self) -> impl Iterator<Item = &str> {
        let deployed = self.0.iter().filter(|(_, stored)| stored.is_deployed());
        deployed.map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn found(name: &str, text: &str) -> Found {
        Found {
            name: name.to_owned(),
            text: text.to_owned(),
            modified: Some(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn parameters_are_sorted_by_module() {
        let module = ModuleId::parse("shop", "dev", "net", "vpc").unwrap();
        let deployment = DeploymentId {
            project: module.project.clone(),
            deployment: module.deployment.clone(),
        };
        let stored = Deployment::of(
            &deployment,
            &[
                found("/shop/dev/manifest", "{}"),
                found("/shop/dev/manifest/deployed", "{}"),
                found("/shop/dev/net/vpc/md5/bundle", r#"{"hash": "b"}"#),
                found("/shop/dev/net/vpc/metadata", r#"{"VpcId": "vpc-1"}"#),
                found("/shop/dev/net/dns/md5/manifest", r#"{"hash": "m"}"#),
                found("/shop/develop/net/other/md5/bundle", r#"{"hash": "b"}"#),
            ],
        );
        assert_eq!(stored.deployed().collect::<Vec<_>>(), ["net/vpc"]);
        let vpc = stored.module(&module).unwrap();
        assert_eq!(vpc.bundle.as_deref(), Some("b"));
        assert_eq!(vpc.metadata_object().unwrap()["VpcId"], "vpc-1");
        assert_eq!(vpc.deployed_at, Some(Timestamp::UNIX_EPOCH));
        assert_eq!(
            Deployment::metadata_parameter(&module),
            "/shop/dev/net/vpc/metadata"
        );
    }
}
