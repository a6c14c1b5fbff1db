//! The location of a bundle or of a repository: a zip in the work bucket, and a folder in it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::JsonFields;
use crate::storage_layout;

/// The location of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The bucket.
    pub bucket: String,
    /// The key of the zip.
    pub key: String,
    /// The version. If the input names none, it is the version that was read first.
    pub version_id: Option<String>,
    /// The module's folder within the zip, `""` for the zip's root.
    pub path: String,
}

impl Source {
    /// Reads the `source` of an input. `work_bucket` is the bucket of all uploads.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub(crate) fn parse(value: &Value, work_bucket: &str) -> Result<Self> {
        if value.is_null() {
            return Err(Error::field(
                "source",
                "nothing",
                "{\"key\": \"uploads/…/module.zip\"} with optional bucket, version_id and path",
            ));
        }
        let mut fields = JsonFields::of("source", value)?;
        let source = Self {
            bucket: fields.text("bucket")?.unwrap_or_else(|| work_bucket.to_owned()),
            key: fields.required_text("key")?,
            // In a bucket that had no versions yet, an object has the version "null".
            version_id: fields.text_or_empty("version_id")?,
            path: fields.text_or_empty("path")?.unwrap_or_default(),
        };
        fields.finish()?;
        source.check(work_bucket)
    }

    fn check(mut self, work_bucket: &str) -> Result<Self> {
        if self.bucket != work_bucket {
            return Err(Error::field(
                "source.bucket",
                format!("\"{}\"", excerpt(&self.bucket, 80)),
                format!(
                    "{work_bucket}, the only bucket that the functions and the builds may read; upload the bundle there"
                ),
            ));
        }
        if !storage_layout::is_upload(&self.key) {
            return Err(Error::field(
                "source.key",
                format!("\"{}\"", excerpt(&self.key, 120)),
                "a key under sources/ or uploads/",
            ));
        }
        self.path = normal_path(&self.path).ok_or_else(|| {
            Error::field(
                "source.path",
                format!("\"{}\"", excerpt(&self.path, 120)),
                "a folder within the zip such as modules/vpc: no leading slash, no .., and of shell-safe characters (letters, digits, . _ - + @ and /)",
            )
        })?;
        Ok(self)
    }
}

/// A folder within a zip without `.` and trailing slashes; `None` if it leaves the zip, is absolute or contains
/// characters that are special in a shell.
pub(crate) fn normal_path(path: &str) -> Option<String> {
    let safe = |part: &&str| {
        part.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-+@".contains(&b))
            && *part != ".."
    };
    if path.starts_with('/') {
        return None;
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    parts.iter().all(safe).then(|| parts.join("/"))
}
