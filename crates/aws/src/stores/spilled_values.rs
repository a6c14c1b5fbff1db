//! Values of Parameter Store that were too long for it, read back from the work bucket.

use seedflow_core::error::Result;
use seedflow_core::module::stored_parameters::SpillReference;

use crate::services::s3::Bucket;

/// The longest value that is followed: what is stored has travelled through the states once, whose payloads end there.
const MAX_VALUE: u64 = 256 * 1024;

/// A parameter's text, or the one that it refers to. What isn't what was stored counts as edited by hand, which is
/// unreadable and no error.
pub async fn resolve(bucket: &Bucket, text: String) -> Result<String> {
    let Some(reference) = SpillReference::of(&text) else {
        return Ok(text);
    };
    let found = bucket.get(&reference.key, MAX_VALUE).await?;
    let whole = found
        .filter(|(bytes, _)| reference.holds(bytes))
        .and_then(|(bytes, _)| String::from_utf8(bytes).ok());
    Ok(whole.unwrap_or_default())
}
