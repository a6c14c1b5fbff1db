//! Copies S3 objects, up to the largest bundle.
//!
//! S3 answers a copy when it is complete, and sends no header before; the client waits for headers only for
//! [`config::READ_TIMEOUT`]. So no call copies more than [`PART`]: a larger object is copied in parts, [`AT_ONCE`] of them
//! at a time (S3 user guide, "Copying an object using multipart upload"; a part may have 5 MiB to 5 GiB, and an upload up
//! to 10,000 parts: "Amazon S3 multipart upload limits"). The object is visible once all parts are copied. The parts of a
//! failed copy are removed here, or by the buckets' lifecycle rules if the function crashed.

use std::time::Duration;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, MetadataDirective, Tag};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::module::source::Source;
use tokio::task::JoinSet;

use crate::runtime::config;
use crate::runtime::failure::{SdkFailure, failure};
use crate::services::s3::{Bucket, MAX_OBJECT};

/// Maximum bytes that one call copies: at 3.2 MiB a second it finishes in time. AWS expects 85 to 90 MB a second for one
/// request (S3 user guide, "Performance design patterns for Amazon S3").
const PART: u64 = 64 << 20;
/// Number of parts that are copied concurrently.
const AT_ONCE: usize = 20;
/// The calls before and after the parts, one after the other: HeadObject, GetObjectTagging, CreateMultipartUpload,
/// CompleteMultipartUpload.
const CALLS_AROUND: u64 = 4;

/// Duration of the largest copy if every call takes as long as the client waits, and none is retried. The functions that
/// copy have a longer timeout.
pub const LONGEST: Duration = {
    let rounds = MAX_OBJECT.div_ceil(PART).div_ceil(AT_ONCE as u64);
    Duration::from_secs(config::READ_TIMEOUT.as_secs() * (rounds + CALLS_AROUND))
};

impl Bucket {
    /// Copies a source into this bucket, with its metadata and tags, and returns the version of the copy. `bytes` is the
    /// source's size, if known: a small object then needs one call only.
    ///
    /// # Errors
    /// `SourceNotFound` if the object no longer exists.
    pub async fn copy_from(&self, source: &Source, bytes: Option<u64>, key: &str) -> Result<Option<String>> {
        let copying = Copying {
            to: self,
            source,
            key,
        };
        if bytes.is_some_and(|bytes| bytes <= PART) && !copying.is_onto_itself() {
            return copying.whole(None).await;
        }
        let head = copying.head().await?;
        let bytes = u64::try_from(head.content_length().unwrap_or_default()).unwrap_or(u64::MAX);
        if bytes <= PART {
            return copying.whole(Some(&head)).await;
        }
        // All parts are of the same version, even if the source names none.
        let source = Source {
            version_id: source.version_id.clone().or_else(|| head.version_id.clone()),
            ..source.clone()
        };
        Copying {
            source: &source,
            ..copying
        }
        .in_parts(&head, bytes)
        .await
    }
}

/// A copy in progress.
struct Copying<'a> {
    to: &'a Bucket,
    source: &'a Source,
    key: &'a str,
}

impl Copying<'_> {
    async fn head(&self) -> Result<HeadObjectOutput> {
        let request = self.to.sources.head_object();
        let request = request.bucket(&self.source.bucket).key(&self.source.key);
        let sent = request
            .set_version_id(self.source.version_id.clone())
            .send()
            .await;
        sent.map_err(|e| self.source_failure("HeadObject", &e))
    }

    /// A rollback keeps the bundle that was kept before: a version of the same object.
    fn is_onto_itself(&self) -> bool {
        self.source.bucket == self.to.name && self.source.key == self.key
    }

    /// Copies in one call. Onto itself, S3 copies an object only if the request gives its metadata anew (S3 API,
    /// CopyObject, `x-amz-metadata-directive`).
    async fn whole(&self, head: Option<&HeadObjectOutput>) -> Result<Option<String>> {
        let mut request = self.to.client.copy_object().copy_source(copy_source(self.source));
        if let Some(head) = head.filter(|_| self.is_onto_itself()) {
            request = request
                .metadata_directive(MetadataDirective::Replace)
                .set_metadata(head.metadata.clone())
                .set_content_type(head.content_type.clone());
        }
        let copied = request.bucket(&self.to.name).key(self.key).send().await;
        copied
            .map(|copied| copied.version_id)
            .map_err(|e| self.source_failure("CopyObject", &e))
    }

    async fn in_parts(&self, head: &HeadObjectOutput, bytes: u64) -> Result<Option<String>> {
        let tags = self.tags().await?;
        let upload = self.begin(head, tags).await?;
        let copied = match self.parts(&upload, bytes).await {
            Ok(parts) => self.complete(&upload, parts).await,
            Err(error) => Err(error),
        };
        if copied.is_err() {
            self.give_up(&upload).await;
        }
        copied
    }

    /// The source's tags as a query string; `None` if it has none.
    async fn tags(&self) -> Result<Option<String>> {
        let request = self.to.sources.get_object_tagging();
        let request = request.bucket(&self.source.bucket).key(&self.source.key);
        let sent = request
            .set_version_id(self.source.version_id.clone())
            .send()
            .await;
        let tags = sent
            .map_err(|e| self.source_failure("GetObjectTagging", &e))?
            .tag_set;
        let pair = |tag: &Tag| format!("{}={}", url_encoded(&tag.key), url_encoded(&tag.value));
        Ok((!tags.is_empty()).then(|| tags.iter().map(pair).collect::<Vec<_>>().join("&")))
    }

    /// Starts the multipart upload and returns its id.
    async fn begin(&self, head: &HeadObjectOutput, tags: Option<String>) -> Result<String> {
        let call = self.to.call("CreateMultipartUpload", self.key);
        let request = self.to.client.create_multipart_upload();
        let request = request.bucket(&self.to.name).key(self.key).set_tagging(tags);
        let request = request
            .set_metadata(head.metadata.clone())
            .set_content_type(head.content_type.clone());
        let begun = request.send().await.map_err(|e| failure(&call, &e))?;
        begun
            .upload_id
            .ok_or_else(|| Error::new(ErrorName::ServiceUnavailable, format!("{call}: no upload id")))
    }

    /// Copies all parts; the first failure cancels the others.
    async fn parts(&self, upload: &str, bytes: u64) -> Result<Vec<CompletedPart>> {
        let mut running = JoinSet::new();
        let mut parts = Vec::new();
        for (number, range) in (1..).zip(ranges(bytes)) {
            if running.len() >= AT_ONCE {
                parts.extend(finished(running.join_next().await)?);
            }
            let request = self.to.client.upload_part_copy();
            let request = request.bucket(&self.to.name).key(self.key).upload_id(upload);
            let request = request
                .copy_source(copy_source(self.source))
                .copy_source_range(range);
            let sending = request.part_number(number).send();
            let call = self.to.call("UploadPartCopy", self.key);
            running.spawn(async move {
                let copied = sending.await.map_err(|e| failure(&call, &e))?;
                let tag = copied.copy_part_result.and_then(|result| result.e_tag);
                let part = CompletedPart::builder().part_number(number).set_e_tag(tag);
                Ok(part.build())
            });
        }
        while !running.is_empty() {
            parts.extend(finished(running.join_next().await)?);
        }
        parts.sort_by_key(CompletedPart::part_number);
        Ok(parts)
    }

    /// Completes the upload and returns the version of the object.
    async fn complete(&self, upload: &str, parts: Vec<CompletedPart>) -> Result<Option<String>> {
        let call = self.to.call("CompleteMultipartUpload", self.key);
        let request = self.to.client.complete_multipart_upload();
        let request = request.bucket(&self.to.name).key(self.key).upload_id(upload);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        match request.multipart_upload(parts).send().await {
            Ok(done) => Ok(done.version_id),
            // A try whose answer was lost has completed the upload, or it was removed: the next copy finds out.
            Err(error) if error.error_code() == Some("NoSuchUpload") => Err(Error::new(
                ErrorName::ServiceUnavailable,
                format!("{call}: expected an upload that waits for its completion, found none"),
            )),
            Err(error) => Err(failure(&call, &error)),
        }
    }

    /// Removes the parts of a failed copy. After an error here, the lifecycle rule removes them.
    async fn give_up(&self, upload: &str) {
        let request = self.to.client.abort_multipart_upload();
        let request = request.bucket(&self.to.name).key(self.key).upload_id(upload);
        if let Err(error) = request.send().await {
            let error = failure(&self.to.call("AbortMultipartUpload", self.key), &error);
            tracing::warn!(%error, "the parts of a copy are left to the bucket's lifecycle rule");
        }
    }

    fn source_failure(&self, operation: &str, error: &impl SdkFailure) -> Error {
        if error.http_status() != Some(404) {
            return failure(&self.to.call(operation, self.key), error);
        }
        let Source { bucket, key, .. } = self.source;
        let version = version_query(self.source);
        Error::new(
            ErrorName::SourceNotFound,
            format!(
                "source: s3://{bucket}/{key}{version} is not there any more; upload the bundle again and deploy it"
            ),
        )
    }
}

fn finished(
    done: Option<std::result::Result<Result<CompletedPart>, tokio::task::JoinError>>,
) -> Result<Option<CompletedPart>> {
    let panicked = |e: tokio::task::JoinError| {
        Error::new(
            ErrorName::ServiceUnavailable,
            format!("copying a part ended in a panic: {e}"),
        )
    };
    done.map(|done| done.map_err(panicked)?).transpose()
}

/// The byte ranges of the parts, as UploadPartCopy takes them: first and last byte, both inclusive.
fn ranges(bytes: u64) -> impl Iterator<Item = String> {
    (0..bytes.div_ceil(PART)).map(move |part| {
        let first = part * PART;
        format!("bytes={first}-{}", bytes.min(first + PART) - 1)
    })
}

/// A source as a header value, with the key URL-encoded (CopyObject, x-amz-copy-source).
fn copy_source(source: &Source) -> String {
    let encoded: Vec<String> = source.key.split('/').map(url_encoded).collect();
    format!("{}/{}{}", source.bucket, encoded.join("/"), version_query(source))
}

fn version_query(source: &Source) -> String {
    source
        .version_id
        .as_ref()
        .map_or(String::new(), |version| format!("?versionId={version}"))
}

fn url_encoded(part: &str) -> String {
    part.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
