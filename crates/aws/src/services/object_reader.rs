//! A zip in S3 as a seekable reader, with constant memory and two requests.
//!
//! The first request reads the object's last megabyte: all of a small bundle, or the archive's directory of a large one.
//! The second streams the rest from front to back, the order in which the entries are read. Only a backward seek, which an
//! unusual archive may need, costs another request.
//!
//! Reads block, because the zip library's do. So they run on a thread of their own (`tokio::task::spawn_blocking`) while
//! the runtime moves the bytes.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::source::Source;
use tokio::runtime::Handle;

use crate::runtime::failure::{SdkFailure, failure};
use crate::services::s3::{Bucket, MAX_OBJECT};

/// Length of the first request.
const TAIL: u64 = 1 << 20;
/// Maximum forward seek by reading on; for a longer one a new request is cheaper.
const SKIP: u64 = 1 << 20;

/// An object that is being read.
pub struct ObjectReader {
    bucket: Bucket,
    key: String,
    version_id: Option<String>,
    tag: Option<String>,
    handle: Handle,
    size: u64,
    tail: Vec<u8>,
    position: u64,
    stream: Option<Stream>,
}

/// The object's headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The version that is read, if the bucket has versions.
    pub version_id: Option<String>,
    /// The object's size in bytes.
    pub size: u64,
    /// The commit of the object, from the object's own metadata.
    pub commit_info: CommitInfo,
    /// The object's own metadata.
    pub metadata: HashMap<String, String>,
}

struct Stream {
    body: ByteStream,
    position: u64,
    chunk: Vec<u8>,
    used: usize,
}

impl ObjectReader {
    /// Opens the object of a source.
    pub async fn open(bucket: &Bucket, source: &Source) -> Result<(Self, Opened)> {
        let request = bucket.client.get_object().bucket(&bucket.name).key(&source.key);
        let request = request
            .set_version_id(source.version_id.clone())
            .range(format!("bytes=-{TAIL}"));
        let object = request.send().await.map_err(|e| open_failure(source, &e))?;
        let size = whole_size(&object);
        if size > MAX_OBJECT {
            return Err(Error::new(
                ErrorName::InvalidBundle,
                format!("bundle: the object has {size} bytes; at most {MAX_OBJECT} are allowed"),
            ));
        }
        let opened = Opened {
            version_id: object
                .version_id()
                .map(str::to_owned)
                .or_else(|| source.version_id.clone()),
            size,
            commit_info: commit_info(&object),
            metadata: object.metadata().cloned().unwrap_or_default(),
        };
        let tag = object.e_tag().map(str::to_owned);
        let tail = object
            .body
            .collect()
            .await
            .map_err(|e| broke_off(&source.key, &e))?
            .to_vec();
        let reader = Self {
            bucket: bucket.clone(),
            key: source.key.clone(),
            version_id: opened.version_id.clone(),
            tag,
            handle: Handle::current(),
            size,
            tail,
            position: 0,
            stream: None,
        };
        Ok((reader, opened))
    }

    fn tail_start(&self) -> u64 {
        self.size - self.tail.len() as u64
    }

    fn read_tail(&mut self, buffer: &mut [u8]) -> usize {
        let from = (self.position - self.tail_start()).min(self.tail.len() as u64);
        let rest = &self.tail[usize::try_from(from).unwrap_or(self.tail.len())..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        length
    }

    /// The stream at the current position: the running one if it is at that position or shortly before, else a new one.
    fn stream(&mut self) -> Result<&mut Stream> {
        let near = self
            .stream
            .as_ref()
            .is_some_and(|s| s.position <= self.position && self.position - s.position <= SKIP);
        if !near {
            self.stream = Some(self.request()?);
        }
        let (handle, key, position) = (self.handle.clone(), self.key.clone(), self.position);
        match &mut self.stream {
            Some(stream) => {
                while stream.position < position {
                    let skip = usize::try_from(position - stream.position).unwrap_or(usize::MAX);
                    if stream.take(&handle, &key, skip)?.is_empty() {
                        return Err(broke_off(&key, &"it is shorter than its reported length"));
                    }
                }
                Ok(stream)
            }
            None => Err(broke_off(&key, &"the answer has no stream")),
        }
    }

    fn request(&self) -> Result<Stream> {
        let request = self
            .bucket
            .client
            .get_object()
            .bucket(&self.bucket.name)
            .key(&self.key);
        let request = request
            .set_version_id(self.version_id.clone())
            .set_if_match(self.tag.clone())
            .range(format!(
                "bytes={}-{}",
                self.position,
                self.tail_start().saturating_sub(1)
            ));
        let call = format!("S3 GetObject {}", self.key);
        let object = self
            .handle
            .block_on(request.send())
            .map_err(|e| failure(&call, &e))?;
        Ok(Stream {
            // Without the header the answer is the whole object: the emulator ignores the range of a request for a version.
            // The bytes before the position are skipped.
            position: object.content_range().map_or(0, |_| self.position),
            body: object.body,
            chunk: Vec::new(),
            used: 0,
        })
    }
}

impl Stream {
    /// Up to `length` of the next bytes; empty at the end.
    fn take(&mut self, handle: &Handle, key: &str, length: usize) -> Result<&[u8]> {
        if self.used == self.chunk.len() {
            let next = handle
                .block_on(self.body.next())
                .transpose()
                .map_err(|e| broke_off(key, &e))?;
            self.chunk = next.map(Vec::from).unwrap_or_default();
            self.used = 0;
        }
        let from = self.used;
        let length = length.min(self.chunk.len() - from);
        self.used += length;
        self.position += length as u64;
        Ok(&self.chunk[from..from + length])
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = if self.position >= self.tail_start() {
            self.read_tail(buffer)
        } else {
            let (handle, key) = (self.handle.clone(), self.key.clone());
            // The error passes through the zip library inside an I/O error, and is unwrapped from it again.
            let stream = self.stream().map_err(io::Error::other)?;
            let bytes = stream
                .take(&handle, &key, buffer.len())
                .map_err(io::Error::other)?;
            buffer[..bytes.len()].copy_from_slice(bytes);
            bytes.len()
        };
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

fn commit_info(object: &GetObjectOutput) -> CommitInfo {
    CommitInfo::from_metadata(|name| object.metadata()?.get(name).map(String::as_str))
}

/// The size after the slash of `Content-Range: bytes 10-19/20`; without the header the answer is the whole object.
fn whole_size(object: &GetObjectOutput) -> u64 {
    let length = || u64::try_from(object.content_length().unwrap_or_default()).unwrap_or_default();
    object
        .content_range()
        .and_then(|range| range.rsplit('/').next()?.parse().ok())
        .unwrap_or_else(length)
}

fn open_failure(source: &Source, error: &impl SdkFailure) -> Error {
    let version = source
        .version_id
        .as_ref()
        .map_or(String::new(), |version| format!(" (version {version})"));
    let place = format!("source: s3://{}/{}{version}", source.bucket, source.key);
    match error.http_status() {
        // 400 for an invalid version id, 403 for an object that may not be read, 405 for a delete marker.
        Some(400 | 403 | 404 | 405) => Error::new(
            ErrorName::SourceNotFound,
            format!(
                "{place}: {}; upload the bundle, or name the key and version of one that is there",
                error.error_code().unwrap_or("not found")
            ),
        ),
        // There is no last megabyte: the object is empty.
        Some(416) => Error::new(
            ErrorName::InvalidBundle,
            format!("bundle: {place} is empty; it has to be a zip file"),
        ),
        _ => failure(&place, error),
    }
}

fn broke_off(key: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorName::ServiceUnavailable,
        format!("S3 GetObject {key}: the answer broke off: {error}"),
    )
}

/// Runs code that reads a zip (`what`). The zip library blocks; on a thread of its own it leaves this one to move the
/// bytes.
pub async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        Error::new(
            ErrorName::InvalidBundle,
            format!("{what}: reading it ended in a panic: {e}"),
        )
    })?
}
