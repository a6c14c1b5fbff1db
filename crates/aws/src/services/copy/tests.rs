#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Tests with an S3 emulator that answers a copy when it is complete, at 20 MiB a second. The local stack's emulator can't
//! do this: it copies at once, and needs the gigabytes. Time runs twenty times as fast here, for the client and for S3.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use aws_smithy_types::timeout::TimeoutConfig;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const SCALE: u32 = 20;
const BYTES_A_SECOND: u64 = 20 << 20;
const ETAG: &str = "<ETag>&quot;t&quot;</ETag>";

/// The source object, and the requests received.
struct S3 {
    bytes: u64,
    /// The part whose copy is refused.
    refuses: Option<&'static str>,
    requests: Mutex<Vec<String>>,
}

/// A request line with the relevant headers.
struct Request {
    line: String,
    headers: Vec<(String, String)>,
}

impl Request {
    async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
        let headers = headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let request = Self {
            line: lines[0].clone(),
            headers,
        };
        let length = request.header("content-length").parse().unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        Ok(Some(request))
    }

    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value)
    }
}

impl S3 {
    async fn serve(self: Arc<Self>, stream: TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(request) = Request::read(&mut stream).await? {
            let answer = self.answer(&request).await;
            stream.write_all(answer.as_bytes()).await?;
        }
        Ok(())
    }

    async fn answer(&self, request: &Request) -> String {
        let (method, target) = request.line.split_once(' ').unwrap();
        let has = |name: &str| target.contains(name);
        let range = request.header("x-amz-copy-source-range");
        let copied = match (range, request.header("x-amz-copy-source")) {
            ("", "") => 0,
            ("", _) => self.bytes,
            (range, _) => length(range),
        };
        let operation = match method {
            "HEAD" => format!("head {target}"),
            "GET" => "tags".to_owned(),
            "DELETE" => "abort".to_owned(),
            "POST" if has("uploads") => format!(
                "begin {} {} {}",
                request.header("content-type"),
                request.header("x-amz-meta-commit"),
                request.header("x-amz-tagging")
            ),
            "POST" => "complete".to_owned(),
            _ if range.is_empty() => "copy".to_owned(),
            _ => format!("part {range} of {}", request.header("x-amz-copy-source")),
        };
        self.requests.lock().unwrap().push(operation);
        let seconds = u32::try_from(copied / BYTES_A_SECOND).unwrap();
        tokio::time::sleep(Duration::from_secs(1) / SCALE * seconds).await;
        match method {
            "HEAD" => {
                let headers =
                    "content-type: application/zip\r\nx-amz-meta-commit: c\r\nx-amz-version-id: v\r\n";
                format!(
                    "HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n",
                    self.bytes
                )
            }
            "GET" => ok("<Tagging><TagSet><Tag><Key>a b</Key><Value>c</Value></Tag></TagSet></Tagging>"),
            "DELETE" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            "POST" if has("uploads") => {
                ok("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
            }
            "POST" => ok(&format!(
                "<CompleteMultipartUploadResult>{ETAG}</CompleteMultipartUploadResult>"
            )),
            _ if self.refuses.is_some_and(has) => {
                let body = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
                let length = body.len();
                format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {length}\r\n\r\n{body}")
            }
            _ if range.is_empty() => ok(&format!("<CopyObjectResult>{ETAG}</CopyObjectResult>")),
            _ => ok(&format!("<CopyPartResult>{ETAG}</CopyPartResult>")),
        }
    }
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nx-amz-version-id: copied\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// Number of bytes in a range.
fn length(range: &str) -> u64 {
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    last.parse::<u64>().unwrap() - first.parse::<u64>().unwrap() + 1
}

/// Copies an object of `bytes` bytes; returns the result and the requests.
async fn copy(
    bytes: u64,
    known: Option<u64>,
    refuses: Option<&'static str>,
) -> (Result<Option<String>>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let s3 = Arc::new(S3 {
        bytes,
        refuses,
        requests: Mutex::default(),
    });
    let served = Arc::clone(&s3);
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(Arc::clone(&served).serve(stream));
        }
    });
    let timeouts = TimeoutConfig::builder().read_timeout(config::READ_TIMEOUT / SCALE);
    let aws = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "k", "s", None, None, "test",
        )))
        .endpoint_url(endpoint)
        .http_client(Builder::new().build_http())
        .timeout_config(timeouts.build())
        .build();
    let source = Source {
        bucket: "from".to_owned(),
        key: "a b/c.zip".to_owned(),
        version_id: None,
        path: String::new(),
    };
    let copied = Bucket::new(&aws, "to".to_owned())
        .copy_from(&source, known, "k")
        .await;
    serving.abort();
    let requests = std::mem::take(&mut *s3.requests.lock().unwrap());
    (copied, requests)
}

#[tokio::test]
async fn the_largest_bundle_is_copied_although_s3_sends_no_header_before_a_copy_is_done() {
    let (copied, requests) = copy(MAX_OBJECT, Some(MAX_OBJECT), None).await;
    assert_eq!(copied.unwrap().as_deref(), Some("copied"));
    assert!(requests[0].starts_with("head "), "{}", requests[0]);
    assert_eq!(requests[1..3], ["tags", "begin application/zip c a%20b=c"]);
    assert_eq!(requests.last().unwrap(), "complete");
    // Every byte once, all from the version that HeadObject returned.
    let parts: BTreeSet<&str> = requests[3..requests.len() - 1]
        .iter()
        .map(String::as_str)
        .collect();
    let expected: BTreeSet<String> = ranges(MAX_OBJECT)
        .map(|range| format!("part {range} of from/a%20b/c.zip?versionId=v"))
        .collect();
    assert_eq!(parts, expected.iter().map(String::as_str).collect());
    assert_eq!(
        ranges(MAX_OBJECT).map(|range| length(&range)).sum::<u64>(),
        MAX_OBJECT
    );
    assert_eq!(ranges(PART + 1).last().unwrap(), format!("bytes={PART}-{PART}"));
}

#[tokio::test]
async fn a_small_bundle_is_copied_with_one_call_where_its_size_is_known_and_two_where_not() {
    let (copied, requests) = copy(PART, Some(PART), None).await;
    assert_eq!(
        (copied.unwrap().as_deref(), requests),
        (Some("copied"), vec!["copy".to_owned()])
    );
    let (copied, requests) = copy(PART, None, None).await;
    assert!(
        copied.is_ok() && requests.len() == 2 && requests[1] == "copy",
        "{requests:?}"
    );
}

#[tokio::test]
async fn the_parts_of_a_copy_that_fails_are_removed() {
    let (copied, requests) = copy(10 * PART, None, Some("partNumber=7&")).await;
    assert_eq!(copied.unwrap_err().name, ErrorName::AccessDenied);
    assert_eq!(requests.last().unwrap(), "abort");
}

#[test]
fn the_function_runs_longer_than_the_longest_copy() {
    let template = seedflow_core::formats::yaml::parse_template(include_str!("../../../../../template.yaml"));
    let template = template.unwrap().to_json();
    let timeout = template["Resources"]["UpdateMetadataFunction"]["Properties"]["Timeout"].as_u64();
    assert!(LONGEST < Duration::from_secs(timeout.unwrap()), "{LONGEST:?}");
}
