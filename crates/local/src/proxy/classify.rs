//! Which service and operation a request is for.
//!
//! AWS has four protocols: a header (`X-Amz-Target`, the JSON protocol), a form field (`Action`, the
//! Query protocol), a path (`/service/…/operation/…`, the RPC protocols), and REST, where method, path and
//! query mean something else for each service. The service's name is the one that requests are signed for.

use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::http::request::Parts;

/// A named request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The signing name: `ssm`, `states`, `s3`.
    pub service: String,
    /// The operation: `PutParameter`; a REST call that isn't known is its method.
    pub operation: String,
    /// The request's protocol, in which an error has to be written.
    pub protocol: Protocol,
}

/// A protocol of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `X-Amz-Target` and JSON.
    Json,
    /// `Action=…` and XML.
    Query,
    /// REST with XML, which is S3.
    RestXml,
    /// REST with JSON.
    RestJson,
}

impl Call {
    /// `service:Operation`, as calls are counted.
    pub fn name(&self) -> String {
        format!("{}:{}", self.service, self.operation)
    }
}

/// The prefixes of targets, for requests that carry no credential scope.
const TARGETS: [(&str, &str); 12] = [
    ("AmazonSSM", "ssm"),
    ("AWSEvents", "events"),
    ("AWSStepFunctions", "states"),
    ("CodeBuild_20161006", "codebuild"),
    ("Logs_20140328", "logs"),
    ("secretsmanager", "secretsmanager"),
    ("DynamoDB_20120810", "dynamodb"),
    ("AmazonSQS", "sqs"),
    ("TrentService", "kms"),
    ("AWSScheduler", "scheduler"),
    ("GraniteServiceVersion20100801", "monitoring"),
    ("CertificateManager", "acm"),
];

/// Whether a request can only be named or checked with its body.
pub fn needs_body(head: &Parts) -> bool {
    is_form(head)
        || target(head).is_some_and(|(prefix, _)| ["AmazonSSM", "CodeBuild_20161006"].contains(&prefix))
}

/// Names a request.
pub fn classify(head: &Parts, body: &[u8]) -> Call {
    if let Some((prefix, operation)) = target(head) {
        let known = TARGETS
            .iter()
            .find(|(target, _)| *target == prefix)
            .map(|(_, service)| (*service).to_owned());
        let service = known
            .or_else(|| signed_service(head))
            .unwrap_or_else(|| prefix.to_owned());
        return Call {
            service,
            operation: operation.to_owned(),
            protocol: Protocol::Json,
        };
    }
    let query = query(head);
    if let Some(operation) = form_action(head, &query, body) {
        let service = signed_service(head).unwrap_or_else(|| "query".to_owned());
        return Call {
            service,
            operation,
            protocol: Protocol::Query,
        };
    }
    let path = head.uri.path();
    let service = signed_service(head).unwrap_or_else(|| guess_rest(path).to_owned());
    if let Some((_, operation)) = path.split_once("/operation/") {
        return Call {
            service,
            operation: operation.to_owned(),
            protocol: Protocol::RestJson,
        };
    }
    if service == "s3" {
        let operation = s3_operation(head, &query);
        return Call {
            service,
            operation,
            protocol: Protocol::RestXml,
        };
    }
    let operation = if service == "lambda" {
        lambda_operation(&head.method, path)
    } else {
        None
    };
    let operation = operation.unwrap_or(head.method.as_str()).to_owned();
    Call {
        service,
        operation,
        protocol: Protocol::RestJson,
    }
}

fn header(head: &Parts, name: impl hyper::header::AsHeaderName) -> Option<&str> {
    head.headers.get(name)?.to_str().ok()
}

fn target(head: &Parts) -> Option<(&str, &str)> {
    let target = header(head, "x-amz-target")?;
    target
        .rsplit_once('.')
        .map(|(prefix, operation)| (prefix.rsplit('.').next().unwrap_or(prefix), operation))
}

fn signed_service(head: &Parts) -> Option<String> {
    signature(head).map(|signed| signed.service)
}

/// What a request is signed with and for.
pub struct Signature {
    /// The access key.
    pub key: String,
    pub region: String,
    pub service: String,
}

/// `Credential=key/day/region/service/aws4_request`, of a header or a presigned query.
pub fn signature(head: &Parts) -> Option<Signature> {
    let in_query = || {
        head.uri
            .query()?
            .split('&')
            .find_map(|pair| pair.strip_prefix("X-Amz-Credential="))
    };
    let scope = header(head, AUTHORIZATION)
        .and_then(|value| value.split_once("Credential=").map(|(_, scope)| scope))
        .or_else(in_query)?;
    let scope = scope.split([',', '&']).next()?.replace("%2F", "/");
    let fields: Vec<&str> = scope.split('/').collect();
    let [key, .., region, service, _] = fields.as_slice() else {
        return None;
    };
    Some(Signature {
        key: (*key).to_owned(),
        region: (*region).to_owned(),
        service: (*service).to_owned(),
    })
}

fn is_form(head: &Parts) -> bool {
    head.method == Method::POST
        && header(head, CONTENT_TYPE)
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

fn query(head: &Parts) -> Vec<(&str, &str)> {
    pairs(head.uri.query().unwrap_or_default())
}

fn pairs(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .collect()
}

fn value<'a>(pairs: &[(&'a str, &'a str)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| *value)
}

fn form_action(head: &Parts, query: &[(&str, &str)], body: &[u8]) -> Option<String> {
    let in_query = value(query, "Action")
        .filter(|_| head.uri.path() == "/")
        .map(str::to_owned);
    let in_body = || {
        let body = std::str::from_utf8(body).ok().filter(|_| is_form(head))?;
        value(&pairs(body), "Action").map(str::to_owned)
    };
    in_query.or_else(in_body)
}

fn guess_rest(path: &str) -> &'static str {
    let is_lambda = ["/functions", "/event-source-mappings", "/layers"]
        .iter()
        .any(|part| path.contains(part));
    if is_lambda && path.starts_with("/20") {
        "lambda"
    } else {
        "s3"
    }
}

/// Buckets are in the path, or, where the host is a name, before the service's name in the host.
fn bucket_in_host(head: &Parts) -> bool {
    let host = header(head, HOST).or_else(|| head.uri.host()).unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    let labels: Vec<&str> = host.split('.').collect();
    let numeric = labels
        .iter()
        .all(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    !numeric && labels.len() > 1 && !labels[0].starts_with("s3")
}

fn s3_operation(head: &Parts, query: &[(&str, &str)]) -> String {
    let path = head.uri.path().trim_start_matches('/');
    let (bucket, key) = if bucket_in_host(head) {
        (true, !path.is_empty())
    } else {
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        (!bucket.is_empty(), !key.is_empty())
    };
    let has = |name: &str| query.iter().any(|(key, _)| *key == name);
    let method = head.method.as_str();
    if !bucket {
        return "ListBuckets".to_owned();
    }
    if key {
        return object_operation(method, has, header(head, "x-amz-copy-source").is_some());
    }
    let fixed = match method {
        "HEAD" => "HeadBucket",
        "POST" if has("delete") => "DeleteObjects",
        "GET" if has("list-type") => "ListObjectsV2",
        "GET" if has("versions") => "ListObjectVersions",
        "GET" if has("uploads") => "ListMultipartUploads",
        _ => return bucket_operation(method, query),
    };
    fixed.to_owned()
}

fn object_operation(method: &str, has: impl Fn(&str) -> bool, copies: bool) -> String {
    let operation = match method {
        "HEAD" => "HeadObject",
        "GET" if has("uploadId") => "ListParts",
        "GET" if has("tagging") => "GetObjectTagging",
        "GET" if has("acl") => "GetObjectAcl",
        "GET" if has("attributes") => "GetObjectAttributes",
        "GET" => "GetObject",
        "PUT" if has("partNumber") && copies => "UploadPartCopy",
        "PUT" if has("partNumber") => "UploadPart",
        "PUT" if has("tagging") => "PutObjectTagging",
        "PUT" if has("acl") => "PutObjectAcl",
        "PUT" if copies => "CopyObject",
        "PUT" => "PutObject",
        "DELETE" if has("uploadId") => "AbortMultipartUpload",
        "DELETE" if has("tagging") => "DeleteObjectTagging",
        "DELETE" => "DeleteObject",
        "POST" if has("uploads") => "CreateMultipartUpload",
        "POST" if has("uploadId") => "CompleteMultipartUpload",
        other => other,
    };
    operation.to_owned()
}

/// `PUT /bucket?versioning` is PutBucketVersioning; without a sub-resource it is about the bucket itself.
fn bucket_operation(method: &str, query: &[(&str, &str)]) -> String {
    let verb = match method {
        "GET" => "Get",
        "PUT" => "Put",
        "DELETE" => "Delete",
        other => return other.to_owned(),
    };
    let resource = query
        .iter()
        .find(|(key, value)| value.is_empty() && key.starts_with(|c: char| c.is_lowercase()));
    match (resource, verb) {
        (Some((resource, _)), _) => format!("{verb}Bucket{}", camel(resource)),
        (None, "Get") => "ListObjects".to_owned(),
        (None, "Put") => "CreateBucket".to_owned(),
        (None, _) => "DeleteBucket".to_owned(),
    }
}

fn camel(name: &str) -> String {
    let mut words = String::new();
    let mut upper = true;
    for letter in name.chars() {
        match letter {
            '-' => upper = true,
            _ if upper => {
                words.extend(letter.to_uppercase());
                upper = false;
            }
            _ => words.push(letter),
        }
    }
    words
}

fn lambda_operation(method: &Method, path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').skip(1).collect();
    Some(match (method.as_str(), parts.as_slice()) {
        ("POST", ["functions", _, "invocations"]) => "Invoke",
        ("GET", ["functions"]) => "ListFunctions",
        ("POST", ["functions"]) => "CreateFunction",
        ("GET", ["functions", _]) => "GetFunction",
        ("DELETE", ["functions", _]) => "DeleteFunction",
        ("GET", ["functions", _, "configuration"]) => "GetFunctionConfiguration",
        ("PUT", ["functions", _, "configuration"]) => "UpdateFunctionConfiguration",
        ("PUT", ["functions", _, "code"]) => "UpdateFunctionCode",
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hyper::Request;

    fn name(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> String {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        classify(&request.body(()).unwrap().into_parts().0, body.as_bytes()).name()
    }

    fn signed(service: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host"
        )
    }

    #[test]
    fn json_targets_and_forms_name_their_operation() {
        let json = |target: &str| name("POST", "/", &[("x-amz-target", target)], "{}");
        assert_eq!(json("AmazonSSM.PutParameter"), "ssm:PutParameter");
        assert_eq!(json("AWSStepFunctions.SendTaskSuccess"), "states:SendTaskSuccess");
        assert_eq!(json("CodeBuild_20161006.StartBuild"), "codebuild:StartBuild");
        assert_eq!(json("com.amazonaws.other.Do"), "other:Do");
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let headers = [
            ("content-type", form),
            ("authorization", &signed("cloudformation")),
        ];
        let body = "Version=2010-05-15&Action=DescribeStacks&StackName=x";
        assert_eq!(name("POST", "/", &headers, body), "cloudformation:DescribeStacks");
        let cbor = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
        assert_eq!(
            name("POST", cbor, &[("authorization", &signed("monitoring"))], ""),
            "monitoring:PutMetricData"
        );
    }

    #[test]
    fn s3_is_named_by_method_path_and_query() {
        for (method, uri, expected) in [
            ("GET", "/", "ListBuckets"),
            ("PUT", "/bucket", "CreateBucket"),
            ("PUT", "/bucket?versioning", "PutBucketVersioning"),
            (
                "GET",
                "/bucket?intelligent-tiering=",
                "GetBucketIntelligentTiering",
            ),
            ("GET", "/bucket?list-type=2&prefix=", "ListObjectsV2"),
            ("GET", "/bucket?prefix=a", "ListObjects"),
            ("POST", "/bucket?delete", "DeleteObjects"),
            ("GET", "/bucket/a/b?versionId=1", "GetObject"),
            ("PUT", "/bucket/a?x-id=PutObject", "PutObject"),
            ("PUT", "/bucket/a?partNumber=1&uploadId=u", "UploadPart"),
            ("POST", "/bucket/a?uploads", "CreateMultipartUpload"),
            ("POST", "/bucket/a?uploadId=u", "CompleteMultipartUpload"),
            ("DELETE", "/bucket/a", "DeleteObject"),
        ] {
            let headers = [("host", "127.0.0.1:4566"), ("authorization", &signed("s3"))];
            assert_eq!(
                name(method, uri, &headers, ""),
                format!("s3:{expected}"),
                "{method} {uri}"
            );
        }
        let copy = [("host", "127.0.0.1:1"), ("x-amz-copy-source", "a/b")];
        assert_eq!(name("PUT", "/bucket/key", &copy, ""), "s3:CopyObject");
        let virtual_host = [("host", "bucket.s3.us-east-1.amazonaws.com")];
        assert_eq!(name("GET", "/key", &virtual_host, ""), "s3:GetObject");
        let presigned = "/b/k?X-Amz-Credential=AKID%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=x";
        assert_eq!(
            name("GET", presigned, &[("host", "127.0.0.1:1")], ""),
            "s3:GetObject"
        );
    }

    #[test]
    fn lambda_is_named_by_its_path() {
        let headers = [("authorization", signed("lambda"))];
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(
            name("POST", "/2015-03-31/functions/f/invocations", &headers, ""),
            "lambda:Invoke"
        );
        assert_eq!(name("GET", "/2015-03-31/tags/arn", &headers, ""), "lambda:GET");
    }
}
