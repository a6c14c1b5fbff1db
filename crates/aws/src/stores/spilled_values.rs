//! Resolves parameters whose value was too long for Parameter Store and is stored in the work bucket (decision 8).

use seedflow_core::error::Result;
use seedflow_core::module::stored_parameters::SpillReference;

use crate::services::s3::Bucket;

/// Maximum length of a resolved value: a stored value has passed through a state's payload, which is limited to this.
const MAX_VALUE: u64 = 256 * 1024;

/// A parameter's value, or the value to which it refers. A stored value with a different hash counts as edited by hand: it
/// is unreadable, which is not an error.
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
