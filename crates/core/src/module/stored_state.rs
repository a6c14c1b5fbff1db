//! The state by which a module is checked: its own parameters, the metadata of its upstream modules, and the versions of
//! the parameters that it refers to. All are read in the same calls of ten names.

use std::collections::BTreeMap;

use crate::ids::{ModuleId, ParameterKind};
use crate::module::fingerprint::{Version, Versions};
use crate::module::metadata_reference::{ModuleRef, UpstreamMetadata};
use crate::module::parameters::Parameters;
use crate::module::stored_parameters::ModuleParameters;

/// The module's own parameters that a check needs.
const OWN: [ParameterKind; 4] = [
    ParameterKind::Md5,
    ParameterKind::Metadata,
    ParameterKind::Status,
    ParameterKind::Renamed,
];

/// The state by which a module is checked.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredState {
    /// The module's own parameters.
    pub stored: ModuleParameters,
    /// The versions of the parameters that it refers to.
    pub versions: Versions,
    /// The metadata of its upstream modules.
    pub upstreams: UpstreamMetadata,
}

/// The names in Parameter Store of a module's state.
#[derive(Debug)]
pub struct StateNames<'a> {
    module: &'a ModuleId,
    upstreams: Vec<ModuleRef>,
    references: Vec<&'a str>,
}

impl<'a> StateNames<'a> {
    /// The names for a module with these parameters.
    #[must_use]
    pub fn new(module: &'a ModuleId, parameters: &'a Parameters) -> Self {
        Self {
            module,
            upstreams: parameters.upstreams(),
            references: parameters.parameter_store_names(),
        }
    }

    /// All names.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.written_by_us().chain(self.references()).collect()
    }

    /// The parameters that the module refers to: those of its target, which may have the names of ours.
    pub fn references(&self) -> impl Iterator<Item = String> {
        self.references.iter().map(|name| (*name).to_owned())
    }

    /// The parameters that Seedflow has written: their values may be in S3.
    pub fn written_by_us(&self) -> impl Iterator<Item = String> {
        let own = OWN.iter().map(|kind| self.module.parameter(*kind));
        own.chain(self.upstreams.iter().map(|upstream| self.metadata(upstream)))
    }

    /// Whether the module refers to parameters, for which the template has to grant the read.
    #[must_use]
    pub fn has_references(&self) -> bool {
        !self.references.is_empty()
    }

    /// The state, from what was found under our names, with the values that are in S3, and from the parameters that the
    /// module refers to.
    #[must_use]
    pub fn state(
        &self,
        found: &BTreeMap<String, (String, Version)>,
        referenced: &BTreeMap<String, (String, Version)>,
    ) -> StoredState {
        let text = |name: &str| found.get(name).map(|(text, _)| text.clone());
        let version = |name: &str| referenced.get(name).map(|(_, version)| *version);
        let metadata = |upstream: &ModuleRef| {
            let stored = ModuleParameters {
                metadata: text(&self.metadata(upstream)),
                ..ModuleParameters::default()
            };
            Some((upstream.clone(), stored.metadata_object()?))
        };
        let versions = self.references.iter();
        StoredState {
            stored: ModuleParameters::read(self.module, &OWN, text),
            versions: versions.map(|name| ((*name).to_owned(), version(name))).collect(),
            upstreams: self.upstreams.iter().filter_map(metadata).collect(),
        }
    }

    /// The metadata parameter of an upstream module.
    fn metadata(&self, upstream: &ModuleRef) -> String {
        upstream.id(self.module).parameter(ParameterKind::Metadata)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_state_is_read_from_the_names_of_the_module_its_upstreams_and_its_references() {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let parameters = json!({
            "vpc": {"module_metadata": {"group": "n", "module": "vpc"}},
            "dns": {"module_metadata": {"group": "n", "module": "dns"}},
            "ami": {"parameter_store": "/ami"},
            "gone": {"parameter_store": "/gone"},
        });
        let parameters = Parameters::parse("parameters", &parameters).unwrap();
        let names = StateNames::new(&module, &parameters);
        assert_eq!(
            names.all(),
            [
                "/sf/p/d/g-m/md5",
                "/sf/p/d/g-m/metadata",
                "/sf/p/d/g-m/status",
                "/sf/p/d/g-m/renamed",
                "/sf/p/d/n-dns/metadata",
                "/sf/p/d/n-vpc/metadata",
                "/ami",
                "/gone"
            ]
        );
        // The value of a reference is the user's, even if it looks like one of ours.
        assert_eq!(names.written_by_us().count(), 6);
        assert!(names.has_references());
        assert!(!StateNames::new(&module, &Parameters::default()).has_references());

        let version = Version {
            number: 7,
            modified: None,
        };
        let found = [
            ("/sf/p/d/g-m/md5", "own"),
            ("/sf/p/d/g-m/outputs", "not asked for"),
            ("/sf/p/d/n-vpc/metadata", "{\"VpcId\": 1}"),
            ("/sf/p/d/n-dns/metadata", "unreadable"),
            ("/ami", "a"),
        ];
        let found = found.map(|(name, text)| (name.to_owned(), (text.to_owned(), version)));
        let found = found.into();
        let state = names.state(&found, &found);
        let own = ModuleParameters {
            md5: Some("own".into()),
            ..ModuleParameters::default()
        };
        assert_eq!(state.stored, own);
        let versions = [("/ami", Some(version)), ("/gone", None)];
        assert_eq!(
            state.versions,
            versions.map(|(name, version)| (name.to_owned(), version)).into()
        );
        let upstreams = parameters.upstreams();
        assert_eq!(upstreams[0].module.as_str(), "dns");
        assert_eq!(state.upstreams.metadata(&upstreams[0]), None);
        assert_eq!(state.upstreams.metadata(&upstreams[1]).unwrap()["VpcId"], 1);
    }
}
