//! S3: the objects of the two buckets.

use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{DisplayErrorContext, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::workflow::callback::ETag;

use crate::runtime::failure::{SdkFailure, failure};

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// Maximum size of a bundle's zip in bytes. PutObject accepts no more (S3 user guide, "Uploading objects").
pub const MAX_OBJECT: u64 = 5 << 30;
/// Timeout of a file's upload. The client's timeout for an answer starts with the request, so it has to cover the upload,
/// too. The SDK itself detects an upload that has stopped moving (stalled stream protection).
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(600);

/// The objects of one bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub(crate) client: Client,
    /// Reads what is copied into the bucket: it is in the region of the configuration.
    pub(crate) sources: Client,
    pub(crate) name: String,
}

/// The result of a conditional write or delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conditional {
    /// Done, with the new ETag of a write.
    Done(ETag),
    /// The object does not match the condition.
    Conflict,
}

/// The condition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// There is no object.
    Nothing,
    /// The object has this ETag.
    Tag(ETag),
}

impl Bucket {
    /// A bucket by its name.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, name: String) -> Self {
        let client = Client::new(config);
        Self {
            sources: client.clone(),
            client,
            name,
        }
    }

    /// A bucket of another region.
    #[must_use]
    pub fn in_region(config: &aws_config::SdkConfig, name: String, region: String) -> Self {
        let sources = Client::new(config);
        let config = config
            .to_builder()
            .region(aws_config::Region::new(region))
            .build();
        Self {
            sources,
            client: Client::new(&config),
            name,
        }
    }

    /// The bucket's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn call(&self, operation: &str, key: &str) -> String {
        format!("S3 {operation} s3://{}/{key}", self.name)
    }

    /// The content of an object of at most `limit` bytes, and its ETag; `None` if it does not exist.
    pub async fn get(&self, key: &str, limit: u64) -> Result<Option<(Vec<u8>, ETag)>> {
        self.get_version(key, None, limit).await
    }

    /// The content of one version of an object, or of the newest.
    pub async fn get_version(
        &self,
        key: &str,
        version: Option<String>,
        limit: u64,
    ) -> Result<Option<(Vec<u8>, ETag)>> {
        let call = self.call("GetObject", key);
        let request = self.client.get_object().bucket(&self.name).key(key);
        let object = match request.set_version_id(version).send().await {
            Ok(object) => object,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(failure(&call, &error)),
        };
        let tag = ETag(object.e_tag().unwrap_or_default().to_owned());
        let length = u64::try_from(object.content_length().unwrap_or_default()).unwrap_or(u64::MAX);
        if length > limit {
            return Err(Error::new(
                ErrorName::Refused,
                format!("{call}: expected an object of at most {limit} bytes, found {length}"),
            ));
        }
        let bytes = object.body.collect().await.map_err(|e| {
            Error::new(
                ErrorName::ServiceUnavailable,
                format!("{call}: the answer broke off: {e}"),
            )
        })?;
        Ok(Some((bytes.to_vec(), tag)))
    }

    /// An address that gives its holder this object, by the right of the caller, for `duration`. No request is sent.
    pub async fn presigned(&self, key: &str, duration: Duration) -> Result<String> {
        let failed = |e: &dyn std::fmt::Display| {
            let message = format!(
                "{}: the address can't be signed: {e}",
                self.call("GetObject", key)
            );
            Error::new(ErrorName::ServiceUnavailable, message)
        };
        let terms = PresigningConfig::expires_in(duration).map_err(|e| failed(&e))?;
        let request = self.client.get_object().bucket(&self.name).key(key);
        let signed = request.presigned(terms).await;
        signed
            .map(|request| request.uri().to_owned())
            .map_err(|e| failed(&DisplayErrorContext(&e)))
    }

    /// Writes a JSON object.
    pub async fn put(&self, key: &str, text: String) -> Result<()> {
        self.put_typed(key, text, JSON).await
    }

    /// Writes an HTML page.
    pub async fn put_page(&self, key: &str, page: String) -> Result<()> {
        self.put_typed(key, page, HTML).await
    }

    async fn put_typed(&self, key: &str, text: String, content_type: &str) -> Result<()> {
        let request = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type(content_type);
        let sent = request.body(ByteStream::from(text.into_bytes())).send().await;
        sent.map(drop)
            .map_err(|e| failure(&self.call("PutObject", key), &e))
    }

    /// Uploads a file for the time of a deployment, with its commit. The template's lifecycle rule removes the object by
    /// its tag.
    pub async fn put_planned(&self, key: &str, file: &Path, commit_info: &CommitInfo) -> Result<()> {
        let call = self.call("PutObject", key);
        let body = body(&call, file).await?;
        let request = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .body(body)
            .tagging("seedflow=planned");
        let request = commit_info
            .metadata()
            .fold(request, |request, (name, value)| request.metadata(name, value));
        let sent = request.customize().config_override(patient()).send().await;
        sent.map(drop).map_err(|e| failure(&call, &e))
    }

    /// Uploads a file that is kept, and returns the version of the object.
    pub async fn put_file(&self, key: &str, file: &Path) -> Result<Option<String>> {
        let call = self.call("PutObject", key);
        let request = self.client.put_object().bucket(&self.name).key(key);
        let request = request.body(body(&call, file).await?).customize();
        let sent = request.config_override(patient()).send().await;
        sent.map(|put| put.version_id().map(str::to_owned))
            .map_err(|e| failure(&call, &e))
    }

    /// Uploads a file with metadata of its own, in ASCII.
    pub async fn put_with_metadata(
        &self,
        key: &str,
        file: &Path,
        metadata: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<()> {
        let call = self.call("PutObject", key);
        let request = self.client.put_object().bucket(&self.name).key(key);
        let request = request.body(body(&call, file).await?);
        let request = metadata
            .into_iter()
            .fold(request, |request, (name, value)| request.metadata(name, value));
        let sent = request.customize().config_override(patient()).send().await;
        sent.map(drop).map_err(|e| failure(&call, &e))
    }

    /// Writes a JSON object if the stored one matches `expect` (S3 user guide, "Conditional writes").
    pub async fn put_if(&self, key: &str, text: String, expect: Expect) -> Result<Conditional> {
        self.put_typed_if(key, text, JSON, expect).await
    }

    /// Writes a page under the same condition.
    pub async fn put_page_if(&self, key: &str, page: String, expect: Expect) -> Result<Conditional> {
        self.put_typed_if(key, page, HTML, expect).await
    }

    async fn put_typed_if(
        &self,
        key: &str,
        text: String,
        content_type: &str,
        expect: Expect,
    ) -> Result<Conditional> {
        let request = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type(content_type);
        let request = match expect {
            Expect::Nothing => request.if_none_match("*"),
            Expect::Tag(tag) => request.if_match(tag.0),
        };
        match request.body(ByteStream::from(text.into_bytes())).send().await {
            Ok(put) => Ok(Conditional::Done(ETag(
                put.e_tag().unwrap_or_default().to_owned(),
            ))),
            Err(error) if is_conflict(&error) => Ok(Conditional::Conflict),
            Err(error) => Err(failure(&self.call("PutObject", key), &error)),
        }
    }

    /// Deletes an object if it has this ETag; a missing one counts as deleted.
    pub async fn delete_if(&self, key: &str, tag: &ETag) -> Result<Conditional> {
        match self
            .client
            .delete_object()
            .bucket(&self.name)
            .key(key)
            .if_match(&tag.0)
            .send()
            .await
        {
            Ok(_) => Ok(Conditional::Done(tag.clone())),
            Err(error) if error.http_status() == Some(404) => Ok(Conditional::Done(tag.clone())),
            Err(error) if is_conflict(&error) => Ok(Conditional::Conflict),
            Err(error) => Err(failure(&self.call("DeleteObject", key), &error)),
        }
    }

    /// Deletes an object unconditionally.
    pub async fn delete(&self, key: &str) -> Result<()> {
        let deleted = self
            .client
            .delete_object()
            .bucket(&self.name)
            .key(key)
            .send()
            .await;
        deleted
            .map(drop)
            .map_err(|e| failure(&self.call("DeleteObject", key), &e))
    }

    /// The current version of an object; `None` if it does not exist.
    pub async fn version(&self, key: &str) -> Result<Option<String>> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(head) => Ok(head.version_id().map(str::to_owned)),
            Err(error) if error.http_status() == Some(404) => Ok(None),
            Err(error) => Err(failure(&self.call("HeadObject", key), &error)),
        }
    }

    /// When an object was last written; `None` if it does not exist.
    pub async fn written_at(&self, key: &str) -> Result<Option<SystemTime>> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(head) => Ok(head.last_modified().and_then(|at| SystemTime::try_from(*at).ok())),
            Err(error) if error.http_status() == Some(404) => Ok(None),
            Err(error) => Err(failure(&self.call("HeadObject", key), &error)),
        }
    }

    /// The keys below a prefix, and when each object was last written.
    pub async fn keys_by_time(&self, prefix: &str) -> Result<Vec<(String, SystemTime)>> {
        let request = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
        let mut pages = request.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failure(&self.call("ListObjectsV2", prefix), &e))?;
            let objects = page.contents.unwrap_or_default().into_iter();
            keys.extend(
                objects.filter_map(|object| {
                    Some((object.key?, SystemTime::try_from(object.last_modified?).ok()?))
                }),
            );
        }
        Ok(keys)
    }

    /// The keys below a prefix.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let request = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
        let mut pages = request.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failure(&self.call("ListObjectsV2", prefix), &e))?;
            keys.extend(
                page.contents
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|o| o.key),
            );
        }
        Ok(keys)
    }

    /// The versions of an object, at most `limit` of them, the newest first (S3 API, ListObjectVersions).
    pub async fn versions(&self, key: &str, limit: i32) -> Result<Vec<String>> {
        let request = self.client.list_object_versions().bucket(&self.name);
        let sent = request.prefix(key).max_keys(limit).send().await;
        let page = sent.map_err(|e| failure(&self.call("ListObjectVersions", key), &e))?;
        // Keys that are longer than the prefix come after it.
        let versions = page.versions.unwrap_or_default().into_iter();
        Ok(versions
            .filter(|version| version.key.as_deref() == Some(key))
            .filter_map(|version| version.version_id)
            .collect())
    }
}

/// The client settings of an upload.
fn patient() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder()
        .timeout_config(TimeoutConfig::builder().read_timeout(UPLOAD_TIMEOUT).build())
}

/// A file as the body of a request.
async fn body(call: &str, file: &Path) -> Result<ByteStream> {
    ByteStream::from_path(file).await.map_err(|e| {
        Error::new(
            ErrorName::ServiceUnavailable,
            format!("{call}: reading the file to upload: {e}"),
        )
    })
}

fn is_missing(error: &SdkError<GetObjectError>) -> bool {
    error
        .as_service_error()
        .is_some_and(GetObjectError::is_no_such_key)
        || error.http_status() == Some(404)
}

/// 412 if the condition does not hold, 409 if a concurrent conditional write was faster.
fn is_conflict(error: &impl SdkFailure) -> bool {
    matches!(error.http_status(), Some(409 | 412))
        // If-Match on a missing object.
        || error.error_code() == Some("NoSuchKey")
}
