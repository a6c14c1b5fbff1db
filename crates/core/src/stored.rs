//! What Parameter Store holds of a module, and how values are laid into it.
//!
//! A parameter holds up to 4 KB (8 KB in the advanced tier, which Intelligent-Tiering picks). A longer value
//! goes to S3, and the parameter holds a reference with the value's SHA-256; whoever reads follows it.
//! A text that isn't what we write (edited by hand, cut off) is not an error but "unreadable": it can't say
//! that nothing changed, so the module is deployed again.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::fields::is_too_deep;
use crate::fingerprint::Fingerprint;
use crate::ids::{ModuleId, Slot};
use crate::status::Status;

/// The longest value that goes into a parameter itself (AWS Systems Manager: advanced parameters, 8 KB).
pub const MAX_INLINE: usize = 8192;

/// A value in the shape in which it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Laid {
    /// The text of the parameter.
    pub parameter: String,
    /// For a long value: the S3 key in the work bucket and its text, to be written before the parameter.
    pub spilled: Option<(String, String)>,
}

impl Laid {
    /// Lays out a value for one of a module's parameters.
    #[must_use]
    pub fn new(module: &ModuleId, slot: Slot, value: String) -> Self {
        if value.len() <= MAX_INLINE {
            return Self {
                parameter: value,
                spilled: None,
            };
        }
        let sha256 = hex::encode(Sha256::digest(value.as_bytes()));
        let key = module.spill_key(slot, &sha256);
        let reference = json!({"stored_in_s3": {"key": key, "sha256": sha256, "bytes": value.len()}});
        Self {
            parameter: reference.to_string(),
            spilled: Some((key, value)),
        }
    }
}

/// A reference to a value in S3.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reference {
    /// The key in the work bucket.
    pub key: String,
    /// The SHA-256 of the text, in hex.
    pub sha256: String,
}

impl Reference {
    /// The reference that a parameter's text is, if it is one.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wrapper {
            stored_in_s3: Reference,
        }
        // Module metadata is free to look like anything; only a key in our place is a reference.
        let reference = serde_json::from_str::<Wrapper>(text).ok()?.stored_in_s3;
        reference.key.starts_with("values/").then_some(reference)
    }

    /// Whether a text is the one that was stored.
    #[must_use]
    pub fn holds(&self, text: &[u8]) -> bool {
        hex::encode(Sha256::digest(text)) == self.sha256
    }
}

/// The raw texts of a module's parameters; `None` where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// `…/md5`
    pub md5: Option<String>,
    /// `…/metadata`
    pub metadata: Option<String>,
    /// `…/outputs`
    pub outputs: Option<String>,
    /// `…/status`
    pub status: Option<String>,
}

impl Stored {
    /// The text of a slot.
    #[must_use]
    pub fn text(&self, slot: Slot) -> Option<&str> {
        match slot {
            Slot::Md5 => self.md5.as_deref(),
            Slot::Metadata => self.metadata.as_deref(),
            Slot::Outputs => self.outputs.as_deref(),
            Slot::Status => self.status.as_deref(),
        }
    }

    /// Puts in the text of a slot.
    pub fn set(&mut self, slot: Slot, text: String) {
        match slot {
            Slot::Md5 => self.md5 = Some(text),
            Slot::Metadata => self.metadata = Some(text),
            Slot::Outputs => self.outputs = Some(text),
            Slot::Status => self.status = Some(text),
        }
    }

    /// The fingerprint of the last success, if it is there and readable.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        serde_json::from_str(self.md5.as_deref()?).ok()
    }

    /// The last status, if it is there and readable; an error if it is another module's.
    pub fn status_of(&self, module: &ModuleId) -> Result<Option<Status>> {
        let status: Option<Status> = self
            .status
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok());
        status
            .as_ref()
            .map_or(Ok(()), |status| status.check_owner(module))?;
        Ok(status)
    }

    /// The metadata of the last success, if it is there and readable.
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
        let at_limit = Laid::new(&module, Slot::Metadata, "x".repeat(MAX_INLINE));
        assert_eq!((at_limit.parameter.len(), at_limit.spilled), (MAX_INLINE, None));
        let over = Laid::new(&module, Slot::Metadata, "x".repeat(MAX_INLINE + 1));
        let (key, text) = over.spilled.unwrap();
        let reference = Reference::of(&over.parameter).unwrap();
        assert_eq!(reference.key, key);
        assert!(key.starts_with("values/p/d/g/m/metadata/"));
        assert!(reference.holds(text.as_bytes()) && !reference.holds(b"other"));
    }

    #[test]
    fn metadata_that_looks_like_a_reference_is_none() {
        assert_eq!(
            Reference::of(r#"{"stored_in_s3": {"key": "callbacks/x", "sha256": "y"}}"#),
            None
        );
        assert_eq!(Reference::of(r#"{"a": 1}"#), None);
    }

    #[test]
    fn what_was_edited_by_hand_is_unreadable_and_no_error() {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let stored = Stored {
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
