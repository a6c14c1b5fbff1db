//! The stored lock: it is read here, and checked before each write.
//!
//! Parameter Store has no compare-and-set, so only this check keeps a function from writing after its execution has ended;
//! decision 21 describes the remaining window.

use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::ExecutionArn;
use seedflow_core::workflow::callback::ETag;
use seedflow_core::workflow::lock::{Lease, Lock, Lockable};

use crate::services::s3::Bucket;

/// A lock holds two tokens of at most 2 KB each and a few names.
const MAX_LOCK: u64 = 32 * 1024;

/// Refuses a write for an execution that no longer holds its lock.
pub async fn ensure_held<S: Lockable>(
    bucket: &Bucket,
    held: &Lease<S>,
    execution: &ExecutionArn,
) -> Result<()> {
    let found = read(bucket, &held.of.lock_key()).await?;
    Lock::check(found.as_ref().map(|(lock, _)| lock), held, execution)
}

/// Reads the stored lock.
pub async fn read(bucket: &Bucket, key: &str) -> Result<Option<(Lock, ETag)>> {
    let found = bucket.get(key, MAX_LOCK).await?;
    let parse = |(bytes, tag): (Vec<u8>, ETag)| match serde_json::from_slice(&bytes) {
        Ok(lock) => Ok((lock, tag)),
        // The error leaves the content out: it may be half a token.
        Err(_) => Err(Error::new(
            ErrorName::Refused,
            format!(
                "{key}: the object is not a lock; see that no execution of the module runs, then delete it"
            ),
        )),
    };
    found.map(parse).transpose()
}
