//! The fingerprint that identifies an unchanged module: three MD5s, and one over them (decision 6).
//!
//! `bundle` covers the files, `deployspec` the commands' file, and `configuration` the execution's input (parameters,
//! build settings, stack name; references by name and version). To report *which* parameter changed, each part of the
//! configuration has its own short MD5, stored beside the three.

use std::collections::BTreeMap;

use jiff::Timestamp;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::module::input::Options;
use crate::target::Target;

/// The versions of the parameters in Parameter Store that a module refers to, by name; `None` if a parameter does not
/// exist.
pub type Versions = BTreeMap<String, Option<Version>>;

/// The versions in each target, and at home.
pub type VersionsByTarget = BTreeMap<Option<Target>, Versions>;

/// The version of a parameter. The number alone does not identify it: a parameter that was deleted and created again
/// begins at 1 (Parameter, `Version` and `LastModifiedDate`, of the Systems Manager API reference).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// The version number, counted from 1.
    pub number: i64,
    /// When this version was written; `None` if Parameter Store does not return it.
    pub modified: Option<Timestamp>,
}

/// The content of the `md5` parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// MD5 over the three below.
    pub hash: String,
    /// MD5 over every file's path and content.
    pub bundle: String,
    /// MD5 of the bytes of `deployspec.yaml`.
    pub deployspec: String,
    /// MD5 over the parts of the configuration.
    pub configuration: String,
    /// A short MD5 of each part of the configuration, by its name in the input.
    #[serde(default)]
    pub parts: BTreeMap<String, String>,
    /// When the version of each referenced parameter was written, by the parameter's name. It is stored beside the hash
    /// and is not part of it. So a fingerprint from an older Seedflow, which has no times, still matches an unchanged
    /// module.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modified: BTreeMap<String, Timestamp>,
    /// The modules, as `{group}/{module}`, whose values were deployed. They cannot be destroyed while they are
    /// consumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumes: Vec<String>,
    /// Since when somebody wants the module deployed again although nothing changed (a taint). The next
    /// success stores a fingerprint without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tainted_at: Option<Timestamp>,
}

impl Fingerprint {
    /// The fingerprint of a bundle (its digest), a deployspec and a configuration.
    #[must_use]
    pub fn new(bundle: &str, deployspec: &[u8], options: &Options, versions: &Versions) -> Self {
        Self::of_digests(bundle, &deployspec_digest(deployspec), options, versions)
    }

    /// The fingerprint of a bundle and a deployspec (their digests) and a configuration.
    #[must_use]
    pub fn of_digests(bundle: &str, deployspec: &str, options: &Options, versions: &Versions) -> Self {
        let parts: BTreeMap<String, String> = parts(options, versions)
            .into_iter()
            .map(|(name, value)| (name, md5_hex(canonical(&value).as_bytes())))
            .collect();
        let configuration = md5_hex(canonical(&json!(parts)).as_bytes());
        let hash = md5_hex(format!("{bundle}\n{deployspec}\n{configuration}").as_bytes());
        // `configuration` covers the full MD5s; eight digits are enough to name a difference.
        let parts = parts
            .into_iter()
            .map(|(name, md5)| (name, md5[..8].to_owned()))
            .collect();
        Self {
            hash,
            bundle: bundle.to_owned(),
            deployspec: deployspec.to_owned(),
            configuration,
            parts,
            modified: modified(options, versions),
            consumes: options.consumed.keys().cloned().collect(),
            tainted_at: None,
        }
    }

    /// The differences from an earlier fingerprint, for people.
    #[must_use]
    pub fn differences(&self, earlier: &Self) -> Vec<String> {
        let mut reasons = Vec::new();
        // The deployspec is also a file of the bundle. If only the deployspec changed, only that is reported.
        if self.deployspec != earlier.deployspec {
            reasons.push("deployspec changed".to_owned());
        } else if self.bundle != earlier.bundle {
            reasons.push("bundle changed".to_owned());
        }
        if self.configuration != earlier.configuration {
            reasons.extend(self.configuration_differences(earlier));
        }
        reasons.extend(self.written_again(earlier));
        reasons
    }

    /// Parameters that were deleted and created again until they had the previous version. If the time is not known on
    /// both sides, only the version counts.
    fn written_again(&self, earlier: &Self) -> Vec<String> {
        // Otherwise the parameter is among the differences.
        if self.configuration != earlier.configuration {
            return Vec::new();
        }
        let before = |name: &String| earlier.modified.get(name);
        let differing = self.modified.iter();
        differing
            .filter(|(name, now)| before(name).is_some_and(|then| then != *now))
            .map(|(name, _)| format!("parameter {name} was deleted and created again"))
            .collect()
    }

    fn configuration_differences(&self, earlier: &Self) -> Vec<String> {
        let mut names: Vec<&String> = self.parts.keys().chain(earlier.parts.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let differing: Vec<String> = names
            .into_iter()
            .filter_map(|name| match (earlier.parts.get(name), self.parts.get(name)) {
                (Some(old), Some(new)) if old == new => None,
                (Some(_), Some(_)) => Some(format!("{name} changed")),
                (None, _) => Some(format!("{name} added")),
                (_, None) => Some(format!("{name} removed")),
            })
            .collect();
        if differing.is_empty() {
            vec!["configuration changed".to_owned()]
        } else {
            differing
        }
    }
}

/// The digest of a deployspec's text.
#[must_use]
pub fn deployspec_digest(text: &[u8]) -> String {
    md5_hex(text)
}

/// The parts of the configuration, each under its name in a reason.
fn parts(options: &Options, versions: &Versions) -> Vec<(String, Value)> {
    let parameters = options.parameters.iter().map(|(name, value)| {
        let version = value.variable_type();
        let version = (version == crate::module::parameters::VariableType::ParameterStore)
            .then(|| versions.get(&value.text()).copied().flatten())
            .flatten()
            .map(|version| version.number);
        (format!("parameter {name}"), value.fingerprint_json(version))
    });
    parameters.chain(settings(options)).collect()
}

/// The parts of the configuration besides the parameters.
pub(crate) fn settings(options: &Options) -> Vec<(String, Value)> {
    let deployments = options
        .consumed
        .iter()
        .filter(|_| options.redeploy_with_dependencies);
    let deployments =
        deployments.map(|(upstream, build)| (format!("deployment of {upstream}"), json!(build)));
    let build = &options.build;
    let settings = [
        ("build.project_name", json!(build.project_name)),
        ("build.image", json!(build.image)),
        ("build.compute_type", json!(build.compute_type)),
        ("build.timeout_minutes", json!(build.timeout_minutes)),
        ("build.environment_type", json!(build.environment_type)),
        ("build.privileged", json!(build.privileged)),
        ("build.permissions_boundary", json!(build.permissions_boundary)),
        (
            "build.runtimes",
            if build.runtimes.is_empty() {
                Value::Null
            } else {
                json!(build.runtimes)
            },
        ),
        ("stack_name", json!(options.stack_name)),
        // Home is none, so that a module at home has the fingerprint that it had before there were targets.
        ("target", json!(options.target.as_ref().map(ToString::to_string))),
    ];
    let settings = settings
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value));
    deployments.chain(settings).collect()
}

/// When the versions of the parameters in `options` were written, if known.
fn modified(options: &Options, versions: &Versions) -> BTreeMap<String, Timestamp> {
    let names = options.parameters.parameter_store_names().into_iter();
    let known = names.filter_map(|name| Some((name.to_owned(), (*versions.get(name)?)?.modified?)));
    known.collect()
}

/// JSON with sorted keys: the order of an object's keys does not count.
fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => Value::Object(
                map.iter()
                    .map(|(k, v)| (k.clone(), sorted(v)))
                    .collect::<BTreeMap<_, _>>()
                    .into_iter()
                    .collect(),
            ),
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::ModuleId;
    use crate::module::input::Limits;

    fn options(manifest: Value) -> Options {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let limits = Limits::of_aws("w", "s");
        Options::from_manifest(&manifest, &module, &limits).unwrap()
    }

    fn of(manifest: Value) -> Fingerprint {
        Fingerprint::new("b", b"d", &options(manifest), &Versions::new())
    }

    #[test]
    fn each_component_is_named_when_it_differs() {
        let base = of(json!({"parameters": {"a": 1, "b": "x"}}));
        let changed = Fingerprint::new(
            "b2",
            b"d",
            &options(
                json!({"parameters": {"a": 2, "c": "x"}, "build": {"image": "i", "runtimes": {"python": "3.12"}}}),
            ),
            &Versions::new(),
        );
        assert_eq!(
            changed.differences(&base),
            [
                "bundle changed",
                "build.image added",
                "build.runtimes added",
                "parameter a changed",
                "parameter b removed",
                "parameter c added"
            ]
        );
        assert_eq!(
            Fingerprint::new(
                "b2",
                b"d2",
                &options(json!({"parameters": {"a": 1, "b": "x"}})),
                &Versions::new()
            )
            .differences(&base),
            ["deployspec changed"]
        );
        assert_ne!(changed.hash, base.hash);
    }

    #[test]
    fn the_order_of_keys_and_flags_of_a_run_do_not_count() {
        let base = of(json!({"parameters": {"a": {"x": 1, "y": 2}, "b": 1}}));
        assert_eq!(
            base,
            of(json!({"parameters": {"b": 1, "a": {"y": 2, "x": 1}}, "force_update": true, "bundle": false}))
        );
        // Where a build runs is not what it deploys.
        let network = json!({"vpc_id": "vpc-1", "subnet_ids": ["subnet-1"], "security_group_ids": ["sg-1"]});
        assert_eq!(of(json!({"build": {"network": network}})), of(json!({})));
        assert_ne!(
            base.hash,
            of(json!({"parameters": {"a": {"x": 1, "y": 2}, "b": "1"}})).hash
        );
    }

    #[test]
    fn a_reference_counts_by_name_and_version() {
        let reference = options(json!({"parameters": {"a": {"parameter_store": "/n"}}}));
        let with = |number: Option<i64>| {
            let version = number.map(|number| Version {
                number,
                modified: None,
            });
            let versions = Versions::from([("/n".to_owned(), version)]);
            Fingerprint::new("b", b"d", &reference, &versions)
        };
        assert_ne!(with(Some(1)).hash, with(Some(2)).hash);
        assert_ne!(with(Some(1)).hash, with(None).hash);
        assert_ne!(with(None).hash, of(json!({"parameters": {"a": "/n"}})).hash);
    }

    #[test]
    fn a_parameter_that_was_created_again_counts_also_with_the_same_version() {
        let reference = options(json!({"parameters": {"a": {"parameter_store": "/n"}}}));
        let at = |modified: Option<&str>| {
            let modified = modified.map(|text| text.parse().unwrap());
            let version = Some(Version { number: 1, modified });
            Fingerprint::new(
                "b",
                b"d",
                &reference,
                &Versions::from([("/n".to_owned(), version)]),
            )
        };
        let then = at(Some("2026-01-01T00:00:00.123Z"));
        let again = at(Some("2026-01-01T00:00:00.456Z"));
        assert_eq!(
            again.differences(&then),
            ["parameter /n was deleted and created again"]
        );
        // Reported once only: the stored fingerprint keeps the time.
        let stored: Fingerprint = serde_json::from_value(serde_json::to_value(&again).unwrap()).unwrap();
        assert_eq!(again.differences(&stored), [""; 0]);
        // A fingerprint from an older version has no times, and does not redeploy everything.
        assert_eq!(again.differences(&at(None)), [""; 0]);
        assert_eq!(again.hash, at(None).hash);
    }

    #[test]
    fn a_consumed_value_counts_by_itself_and_its_deployment_only_where_that_is_asked_for() {
        let of = |value: &str, build: &str, redeploy: bool| {
            let manifest = json!({"redeploy_with_dependencies": redeploy, "parameters": {
                "vpc-id": {"module_metadata": {"group": "network", "module": "vpc", "key": "VpcId"}}}});
            let module = ModuleId::parse("p", "d", "g", "m").unwrap();
            let options = options(manifest);
            let metadata = json!({"VpcId": value, "CodeBuildBuildId": build});
            let vpc = options.parameters.upstreams().remove(0);
            let known = [(vpc, metadata.as_object().unwrap().clone())]
                .into_iter()
                .collect();
            let options = options.resolve(&module, &known).unwrap();
            Fingerprint::new("b", b"d", &options, &Versions::new())
        };
        assert_eq!(of("vpc-1", "p:1", false).hash, of("vpc-1", "p:2", false).hash);
        assert_eq!(of("vpc-1", "p:1", false).consumes, ["network/vpc"]);
        let changed = of("vpc-2", "p:2", false).differences(&of("vpc-1", "p:1", false));
        assert_eq!(changed, ["parameter vpc-id changed"]);
        let again = of("vpc-1", "p:2", true).differences(&of("vpc-1", "p:1", true));
        assert_eq!(again, ["deployment of network/vpc changed"]);
    }

    #[test]
    fn what_an_older_version_stored_can_still_be_read() {
        let old: Fingerprint = serde_json::from_value(
            json!({"hash": "h", "bundle": "b", "deployspec": "d", "configuration": "c"}),
        )
        .unwrap();
        assert!(
            of(json!({}))
                .differences(&old)
                .iter()
                .any(|reason| reason.contains("added"))
        );
    }
}
