//! A module's parameters in Parameter Store, and the encoding of their values.
//!
//! A parameter holds up to 4 KB (8 KB in the advanced tier, which Intelligent-Tiering picks, decision 8). A longer
//! value goes to S3, and the parameter holds a reference with the value's SHA-256, which readers follow. A text that
//! Seedflow did not write (edited by hand, cut off) is not an error but "unreadable": it cannot prove that nothing
//! changed, so the module is redeployed.
//!
//! Parameter Store refuses every value that contains `{{…}}`, whatever its origin. All stored values are JSON, and a
//! [`Text`] is JSON without `{{`, so only valid values can be encoded and written.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::formats::json_fields::is_too_deep;
use crate::ids::{DeploymentId, ModuleId, ParameterKind};
use crate::module::fingerprint::Fingerprint;
use crate::module::metadata_reference::ModuleRef;
use crate::module::status::{State, Status};
use crate::storage_layout;

/// The longest value inside a parameter (AWS Systems Manager: advanced parameters, 8 KB).
pub const MAX_INLINE: usize = 8192;

/// A JSON text that Parameter Store accepts: without `{{`.
///
/// "You can't include values wrapped in double brackets {{}} or {{ssm:parameter-name}} in a parameter value" (API
/// reference, PutParameter, `Value`). In JSON two braces are adjacent only inside strings, where the second can be
/// written as an escape. So a parser of the text reads the same value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Encodes a JSON text.
    #[must_use]
    pub fn of_json(json: &str) -> Self {
        Self(json.replace("{{", "{\\u007b"))
    }

    /// The text, as stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value, encoded for storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedParameter {
    /// The text of the parameter.
    pub parameter: Text,
    /// For a long value: its S3 key in the work bucket and its text, to write before the parameter.
    pub spilled: Option<(String, String)>,
}

impl EncodedParameter {
    /// Encodes a JSON value for one of a module's parameters.
    #[must_use]
    pub fn new(module: &ModuleId, kind: ParameterKind, json: &str) -> Self {
        Self::under(json, |sha256| module.spill_key(kind, sha256))
    }

    /// Encodes the status of a deployment.
    #[must_use]
    pub fn status_of_deployment(deployment: &DeploymentId, json: &str) -> Self {
        Self::under(json, |sha256| deployment.status_spill_key(sha256))
    }

    /// Encodes a JSON value; `key` gives the work bucket's key for a long value from its SHA-256.
    fn under(json: &str, key: impl FnOnce(&str) -> String) -> Self {
        let text = Text::of_json(json);
        if text.as_str().len() <= MAX_INLINE {
            return Self {
                parameter: text,
                spilled: None,
            };
        }
        let Text(value) = text;
        let sha256 = hex::encode(Sha256::digest(value.as_bytes()));
        let key = key(&sha256);
        let reference = json!({"stored_in_s3": {"key": key, "sha256": sha256, "bytes": value.len()}});
        Self {
            parameter: Text::of_json(&reference.to_string()),
            spilled: Some((key, value)),
        }
    }
}

/// A reference to a value in S3.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SpillReference {
    /// The key in the work bucket.
    pub key: String,
    /// The SHA-256 of the text, in hex.
    pub sha256: String,
}

impl SpillReference {
    /// Parses a parameter's text as a reference, if it is one.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wrapper {
            stored_in_s3: SpillReference,
        }
        // Module metadata may look like anything; only a key in Seedflow's own folder is a reference.
        let reference = serde_json::from_str::<Wrapper>(text).ok()?.stored_in_s3;
        storage_layout::is_spilled_value(&reference.key).then_some(reference)
    }

    /// Whether a text has the stored SHA-256.
    #[must_use]
    pub fn holds(&self, text: &[u8]) -> bool {
        hex::encode(Sha256::digest(text)) == self.sha256
    }
}

/// The raw texts of a module's parameters; `None` if a parameter does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleParameters {
    /// `…/md5`
    pub md5: Option<String>,
    /// `…/metadata`
    pub metadata: Option<String>,
    /// `…/outputs`
    pub outputs: Option<String>,
    /// `…/status`
    pub status: Option<String>,
    /// `…/renamed`
    pub renamed: Option<String>,
}

impl ModuleParameters {
    /// Parameters of these kinds; `text` gives the text of a parameter by its name.
    pub fn read(module: &ModuleId, kinds: &[ParameterKind], text: impl Fn(&str) -> Option<String>) -> Self {
        let mut read = Self::default();
        for &kind in kinds {
            if let Some(text) = text(&module.parameter(kind)) {
                read.set(kind, text);
            }
        }
        read
    }

    /// The text of a parameter.
    #[must_use]
    pub fn text(&self, kind: ParameterKind) -> Option<&str> {
        match kind {
            ParameterKind::Md5 => self.md5.as_deref(),
            ParameterKind::Metadata => self.metadata.as_deref(),
            ParameterKind::Outputs => self.outputs.as_deref(),
            ParameterKind::Status => self.status.as_deref(),
            ParameterKind::Renamed => self.renamed.as_deref(),
        }
    }

    /// Sets the text of a parameter.
    pub fn set(&mut self, kind: ParameterKind, text: String) {
        match kind {
            ParameterKind::Md5 => self.md5 = Some(text),
            ParameterKind::Metadata => self.metadata = Some(text),
            ParameterKind::Outputs => self.outputs = Some(text),
            ParameterKind::Status => self.status = Some(text),
            ParameterKind::Renamed => self.renamed = Some(text),
        }
    }

    /// The module to which this one was renamed, or is being renamed.
    #[must_use]
    pub fn renamed_to(&self) -> Option<ModuleRef> {
        serde_json::from_str(self.renamed.as_deref()?).ok()
    }

    /// The fingerprint of the last success, if it exists and is readable.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        serde_json::from_str(self.md5.as_deref()?).ok()
    }

    /// The last status, if it exists and is readable; an error if it belongs to another module. A module that was only ever
    /// refused owns no path.
    pub fn status_of(&self, module: &ModuleId) -> Result<Option<Status>> {
        let status: Option<Status> = self
            .status
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok());
        let owned = status
            .as_ref()
            .map_or(Ok(()), |status| status.check_owner(module));
        match owned {
            Err(_) if self.is_refused_only() => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(status),
        }
    }

    /// Whether only a request that was refused is stored of a module that was never deployed (decision 51): a success would
    /// have left more, and a status of anything else keeps its state.
    #[must_use]
    pub fn is_refused_only(&self) -> bool {
        let status = self.status.as_deref().unwrap_or_default();
        let is_refused =
            serde_json::from_str(status).is_ok_and(|status: Status| status.state == State::Refused);
        is_refused
            && [&self.md5, &self.metadata, &self.outputs]
                .into_iter()
                .all(Option::is_none)
    }

    /// The metadata of the last success, if they exist and are readable.
    #[must_use]
    pub fn metadata_object(&self) -> Option<Map<String, Value>> {
        let metadata = serde_json::from_str(self.metadata.as_deref()?).ok()?;
        match metadata {
            Value::Object(object) if !object.values().any(is_too_deep) => Some(object),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_of_8_kb_stays_and_one_byte_more_goes_to_s3_with_its_hash() {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let at_limit = EncodedParameter::new(&module, ParameterKind::Metadata, &"x".repeat(MAX_INLINE));
        assert_eq!(
            (at_limit.parameter.as_str().len(), at_limit.spilled),
            (MAX_INLINE, None)
        );
        let over = EncodedParameter::new(&module, ParameterKind::Metadata, &"x".repeat(MAX_INLINE + 1));
        let (key, text) = over.spilled.unwrap();
        let reference = SpillReference::of(over.parameter.as_str()).unwrap();
        assert_eq!(reference.key, key);
        assert!(key.starts_with("values/p/d/g/m/metadata/"));
        assert!(reference.holds(text.as_bytes()) && !reference.holds(b"other"));
    }

    #[test]
    fn a_status_of_a_deployment_that_is_too_long_goes_to_s3_too() {
        let name = |text: &str| crate::ids::Name::parse("name", text).unwrap();
        let deployment = DeploymentId {
            project: name("p"),
            deployment: name("d"),
        };
        let over = EncodedParameter::status_of_deployment(&deployment, &"x".repeat(MAX_INLINE + 1));
        let (key, text) = over.spilled.unwrap();
        assert!(key.starts_with("values/p/d/_status/"), "{key}");
        let reference = SpillReference::of(over.parameter.as_str()).unwrap();
        assert!(reference.key == key && reference.holds(text.as_bytes()));
    }

    #[test]
    fn two_braces_are_never_adjacent_and_the_value_stays_the_same() {
        for text in [
            "docker inspect -f '{{.State.Status}}' x",
            "{{{x}}}",
            "{{{{",
            "a{{}}b{{ssm:name}}c",
            "\\{{\\\\{{\"{{",
            "{\\u007b",
            "日{{本",
        ] {
            let value = json!({text: [{"deep": {"er": text}}, {}]});
            let stored = Text::of_json(&value.to_string());
            assert!(!stored.as_str().contains("{{"), "{}", stored.as_str());
            assert_eq!(serde_json::from_str::<Value>(stored.as_str()).unwrap(), value);
            // Encoding is idempotent, so an unchanged value is not written again.
            assert_eq!(Text::of_json(stored.as_str()), stored);
            assert_eq!(Text::of_json(&value.to_string()), stored);
        }
    }

    #[test]
    fn the_length_that_counts_is_that_of_the_stored_text() {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        // 8192 bytes of JSON, and five more in encoded form.
        let value = format!("\"{}{{{{\"", "x".repeat(MAX_INLINE - 4));
        assert_eq!(value.len(), MAX_INLINE);
        let encoded = EncodedParameter::new(&module, ParameterKind::Metadata, &value);
        let (_, spilled) = encoded.spilled.unwrap();
        assert_eq!(spilled.len(), MAX_INLINE + 5);
        assert!(encoded.parameter.as_str().len() < MAX_INLINE);
    }

    #[test]
    fn metadata_that_looks_like_a_reference_is_not_one() {
        assert_eq!(
            SpillReference::of(r#"{"stored_in_s3": {"key": "callbacks/x", "sha256": "y"}}"#),
            None
        );
        assert_eq!(SpillReference::of(r#"{"a": 1}"#), None);
    }

    #[test]
    fn a_module_that_was_only_ever_refused_owns_no_path() {
        let [module, same_path] = [("a-b", "c"), ("a", "b-c")]
            .map(|(group, module)| ModuleId::parse("p", "d", group, module).unwrap());
        let stored = |state: &str, md5: Option<&str>| {
            ModuleParameters {
            status: Some(
                json!({"state": state, "updated_at": "2026-11-29T12:00:00Z", "group": "a-b", "module": "c", "execution": "e"})
                    .to_string(),
            ),
            md5: md5.map(str::to_owned),
            ..ModuleParameters::default()
        }
        };
        let refused = stored("REFUSED", None);
        assert!(refused.is_refused_only());
        assert!(refused.status_of(&module).unwrap().is_some());
        assert_eq!(refused.status_of(&same_path), Ok(None));
        for deployed in [stored("FAILED", None), stored("REFUSED", Some("{}"))] {
            assert!(!deployed.is_refused_only());
            assert!(deployed.status_of(&same_path).is_err());
        }
    }

    #[test]
    fn a_value_edited_by_hand_is_unreadable_and_not_an_error() {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let stored = ModuleParameters {
            renamed: None,
            md5: Some("{\"hash\":".into()),
            status: Some("deployed by me".into()),
            metadata: Some("[1]".into()),
            outputs: None,
        };
        assert_eq!(stored.fingerprint(), None);
        assert_eq!(stored.status_of(&module), Ok(None));
        assert_eq!(stored.metadata_object(), None);
    }
}
