//! The few calls that the local stack itself makes to the emulator, without an SDK.
//!
//! AWS's JSON protocol is a POST with an `X-Amz-Target`, its Query protocol one of a form; S3 is a GET or PUT
//! of a path. Requests are signed as for AWS: the emulator takes the account's own key for root without
//! a check, but checks the signature of every other caller. Everything goes to one endpoint on loopback.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningInstructions, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

/// An error as AWS's protocols carry it: HTTP status, code and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// AWS's error code, for example `ResourceNotFoundException`.
    pub code: String,
    /// What went wrong, for people.
    pub message: String,
}

impl ApiError {
    /// A mistake of the caller: status 400.
    pub fn client(code: &str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// A failure that is not the caller's: status 500.
    pub fn server(code: &str, message: impl Into<String>) -> Self {
        Self {
            status: 500,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// The body of AWS's JSON protocol.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"__type": self.code, "message": self.message})
    }

    fn from_answer(status: StatusCode, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let parsed: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let field = |names: [&str; 2]| {
            names
                .iter()
                .find_map(|name| parsed[name].as_str())
                .map(str::to_owned)
        };
        let code = field(["__type", "code"]).or_else(|| between(&text, "<Code>", "</Code>"));
        let message = field(["message", "Message"]).or_else(|| between(&text, "<Message>", "</Message>"));
        // A prefix like "com.amazonaws.ssm#" is not part of the name.
        let code = code.map(|code| code.rsplit('#').next().unwrap_or_default().to_owned());
        Self {
            status: status.as_u16(),
            code: code.unwrap_or_else(|| format!("Http{}", status.as_u16())),
            message: message.unwrap_or_else(|| text.into_owned()),
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

fn between(text: &str, start: &str, end: &str) -> Option<String> {
    let from = text.find(start)? + start.len();
    let to = text[from..].find(end)? + from;
    Some(text[from..to].to_owned())
}

/// Who calls, and where.
#[derive(Clone)]
pub struct Credentials {
    /// The access key; a 12-digit one is the root of that account.
    pub access_key_id: String,
    pub secret_access_key: String,
    /// What comes with the keys of an assumed role.
    pub session_token: Option<String>,
    /// The region of every call.
    pub region: String,
}

/// Without the secrets.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({} in {})", self.access_key_id, self.region)
    }
}

/// How long the keys of a role last: twelve hours, AWS's maximum, since they aren't renewed here as CodeBuild does.
const SESSION_SECONDS: &str = "43200";

/// A client of one endpoint of the emulator (or of the proxy before it).
#[derive(Debug, Clone)]
pub struct AwsApi {
    endpoint: String,
    credentials: Credentials,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl AwsApi {
    /// A client of `endpoint`, for example `http://127.0.0.1:4566`.
    #[must_use]
    pub fn new(endpoint: impl Into<String>, credentials: Credentials) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            endpoint: endpoint.into(),
            credentials,
            client,
        }
    }

    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The same endpoint for another caller.
    #[must_use]
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        Self {
            credentials,
            ..self.clone()
        }
    }

    /// Calls an operation of a service of AWS's JSON protocol; `service` is its signing name
    /// and `target` the whole `X-Amz-Target`.
    pub async fn json(&self, service: &str, target: &str, input: &Value) -> Result<Value, ApiError> {
        let request = self
            .request(Method::POST, "/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(input.to_string().into());
        let answer = self.send(service, request).await?;
        let body = collect(answer).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body)
            .map_err(|e| ApiError::server("UnreadableAnswer", format!("{target} answered no JSON: {e}")))
    }

    /// Calls an operation of a service of AWS's Query protocol; the answer is its XML. The fields
    /// begin with `Action` and `Version`.
    pub async fn form(&self, service: &str, fields: &[(&str, &str)]) -> Result<String, ApiError> {
        let pair = |(name, value): &(&str, &str)| format!("{}={}", encode(name, false), encode(value, false));
        let form = fields.iter().map(pair).collect::<Vec<_>>().join("&");
        let request = self
            .request(Method::POST, "/")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(form.into());
        let body = collect(self.send(service, request).await?).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Assumes a role; the answer holds the credentials of the session.
    pub async fn assume_role(&self, role_arn: &str, session: &str) -> Result<Credentials, ApiError> {
        let longest = [("DurationSeconds", SESSION_SECONDS)];
        self.assume_role_with(role_arn, session, &longest).await
    }

    /// Assumes a role with an external id, for an hour.
    pub async fn assume_role_as(
        &self,
        role_arn: &str,
        session: &str,
        external_id: &str,
    ) -> Result<Credentials, ApiError> {
        self.assume_role_with(role_arn, session, &[("ExternalId", external_id)])
            .await
    }

    async fn assume_role_with(
        &self,
        role_arn: &str,
        session: &str,
        more: &[(&str, &str)],
    ) -> Result<Credentials, ApiError> {
        let fields = [
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", role_arn),
            ("RoleSessionName", session),
        ];
        let fields = [&fields, more].concat();
        let answer = self.form("sts", &fields).await?;
        let field = |name: &str| xml_field(&answer, name);
        Ok(Credentials {
            access_key_id: field("AccessKeyId")?,
            secret_access_key: field("SecretAccessKey")?,
            session_token: Some(field("SessionToken")?),
            region: self.credentials.region.clone(),
        })
    }

    /// Who may assume a role.
    pub async fn trust_policy(&self, role: &str) -> Result<Value, ApiError> {
        let fields = [
            ("Action", "GetRole"),
            ("Version", "2010-05-08"),
            ("RoleName", role),
        ];
        let document = xml_field(&self.form("iam", &fields).await?, "AssumeRolePolicyDocument")?;
        // IAM encodes policies as they would be encoded in a URL.
        let document = percent_encoding::percent_decode_str(&document).decode_utf8_lossy();
        serde_json::from_str(&document)
            .map_err(|e| ApiError::server("UnreadableAnswer", format!("the trust policy of {role}: {e}")))
    }

    /// Makes a customer-managed policy and answers its ARN.
    pub async fn create_policy(&self, name: &str, document: &Value) -> Result<String, ApiError> {
        let document = document.to_string();
        let fields = [
            ("Action", "CreatePolicy"),
            ("Version", "2010-05-08"),
            ("PolicyName", name),
            ("PolicyDocument", &document),
        ];
        xml_field(&self.form("iam", &fields).await?, "Arn")
    }

    /// Invokes a function and waits for its answer; an error is the function's own, by its `errorType`.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Value, ApiError> {
        let path = format!("/2015-03-31/functions/{}/invocations", encode(function, false));
        let request = self.request(Method::POST, &path).body(event.to_string().into());
        let answer = self.send("lambda", request).await?;
        let failed = answer.headers().contains_key("x-amz-function-error");
        let body: Value = serde_json::from_slice(&collect(answer).await?)
            .map_err(|e| ApiError::server("UnreadableAnswer", format!("{function} answered no JSON: {e}")))?;
        if failed {
            let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            return Err(ApiError::client(&text("errorType"), text("errorMessage")));
        }
        Ok(body)
    }

    /// Invokes a function asynchronously: the service retries it, and sends what fails in the end to its destination.
    pub async fn invoke_later(&self, function: &str, event: &Value) -> Result<(), ApiError> {
        let path = format!("/2015-03-31/functions/{}/invocations", encode(function, false));
        let request = self
            .request(Method::POST, &path)
            .header("x-amz-invocation-type", "Event")
            .body(event.to_string().into());
        self.send("lambda", request).await.map(drop)
    }

    /// Downloads an object into a file and returns its version.
    pub async fn get_object(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        file: &Path,
    ) -> Result<Option<String>, ApiError> {
        let version = version
            .map(|v| format!("?versionId={}", encode(v, false)))
            .unwrap_or_default();
        let path = format!("/{bucket}/{}{version}", encode(key, true));
        let request = self.request(Method::GET, &path).body(Bytes::new());
        let answer = self.send("s3", request).await?;
        let version = answer.headers().get("x-amz-version-id");
        let version = version
            .and_then(|version| version.to_str().ok())
            .filter(|version| *version != "null")
            .map(str::to_owned);
        let mut output = tokio::fs::File::create(file).await.map_err(local)?;
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(local)?.into_data() {
                output.write_all(&data).await.map_err(local)?;
            }
        }
        output.flush().await.map_err(local)?;
        Ok(version)
    }

    pub async fn put_object(&self, bucket: &str, key: &str, content: Vec<u8>) -> Result<(), ApiError> {
        self.put_object_with(bucket, key, content, &[]).await
    }

    /// Stores an object with metadata of its own.
    pub async fn put_object_with(
        &self,
        bucket: &str,
        key: &str,
        content: Vec<u8>,
        metadata: &[(&str, &str)],
    ) -> Result<(), ApiError> {
        let path = format!("/{bucket}/{}", encode(key, true));
        let mut request = self.request(Method::PUT, &path);
        for (name, value) in metadata {
            request = request.header(format!("x-amz-meta-{name}"), *value);
        }
        collect(self.send("s3", request.body(content.into())).await?)
            .await
            .map(drop)
    }

    /// An object's own metadata, by name.
    pub async fn object_metadata(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<BTreeMap<String, String>, ApiError> {
        let path = format!("/{bucket}/{}", encode(key, true));
        let request = self.request(Method::HEAD, &path).body(Bytes::new());
        let answer = self.send("s3", request).await?;
        let own = answer.headers().iter().filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("x-amz-meta-")?;
            Some((name.to_owned(), value.to_str().ok()?.to_owned()))
        });
        Ok(own.collect())
    }

    pub async fn delete_object(&self, bucket: &str, key: &str) -> Result<(), ApiError> {
        let path = format!("/{bucket}/{}", encode(key, true));
        let request = self.request(Method::DELETE, &path).body(Bytes::new());
        collect(self.send("s3", request).await?).await.map(drop)
    }

    /// Deletes one version of an object for good.
    pub async fn delete_version(&self, bucket: &str, key: &str, version: &str) -> Result<(), ApiError> {
        let path = format!(
            "/{bucket}/{}?versionId={}",
            encode(key, true),
            encode(version, false)
        );
        let request = self.request(Method::DELETE, &path).body(Bytes::new());
        collect(self.send("s3", request).await?).await.map(drop)
    }

    /// Gives up an upload in parts.
    pub async fn abort_upload(&self, bucket: &str, key: &str, upload: &str) -> Result<(), ApiError> {
        let upload = encode(upload, false);
        let path = format!("/{bucket}/{}?uploadId={upload}", encode(key, true));
        let request = self.request(Method::DELETE, &path).body(Bytes::new());
        collect(self.send("s3", request).await?).await.map(drop)
    }

    /// Reads a small object.
    pub async fn read_object(&self, bucket: &str, key: &str) -> Result<Vec<u8>, ApiError> {
        let path = format!("/{bucket}/{}", encode(key, true));
        let request = self.request(Method::GET, &path).body(Bytes::new());
        let answer = self.send("s3", request).await?;
        collect(answer).await.map(Vec::from)
    }

    /// The keys of a bucket that start with a prefix.
    pub async fn list_objects(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, ApiError> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let mut path = format!("/{bucket}?list-type=2&prefix={}", encode(prefix, false));
            if let Some(last) = keys.last() {
                path.push_str(&format!("&start-after={}", encode(last, false)));
            }
            let request = self.request(Method::GET, &path).body(Bytes::new());
            let answer = self.send("s3", request).await?;
            let listed = String::from_utf8_lossy(&collect(answer).await?).into_owned();
            // Keys with characters that XML escapes aren't used here.
            keys.extend(
                listed
                    .split("<Key>")
                    .skip(1)
                    .filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned())),
            );
            // An answer has a thousand keys at most (S3 API reference, ListObjectsV2).
            if !listed.contains("<IsTruncated>true</IsTruncated>") {
                return Ok(keys);
            }
        }
    }

    /// Lists the versions of the objects whose keys start with a prefix; the caller only wants to know whether it may.
    pub async fn list_versions(&self, bucket: &str, prefix: &str) -> Result<(), ApiError> {
        let path = format!("/{bucket}?versions&prefix={}", encode(prefix, false));
        let request = self.request(Method::GET, &path).body(Bytes::new());
        self.send("s3", request).await.map(drop)
    }

    /// A URL by which a browser, without any keys, can read an object for a while (S3 user guide, "Download and upload
    /// objects with presigned URLs").
    pub fn presigned(&self, bucket: &str, key: &str, lasts: Duration) -> Result<String, ApiError> {
        let url = format!("{}/{bucket}/{}", self.endpoint, encode(key, true));
        let mut settings = signing_settings("s3");
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(lasts);
        let signable = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::UnsignedPayload);
        let instructions = self.instructions("s3", settings, signable.map_err(local)?)?;
        let (_, query) = instructions.into_parts();
        let query = query
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name, false), encode(value, false)));
        Ok(format!("{url}?{}", query.collect::<Vec<_>>().join("&")))
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint))
    }

    async fn send(
        &self,
        service: &str,
        request: Result<Request<Bytes>, hyper::http::Error>,
    ) -> Result<Response<Incoming>, ApiError> {
        let signed = self.signed(service, request.map_err(local)?)?;
        let answer = self.client.request(signed.map(Full::new)).await.map_err(local)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        Err(ApiError::from_answer(status, &collect(answer).await?))
    }

    fn signed(&self, service: &str, mut request: Request<Bytes>) -> Result<Request<Bytes>, ApiError> {
        let uri = request.uri().to_string();
        let headers = request.headers().iter();
        let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let body = SignableBody::Bytes(request.body());
        let signable = SignableRequest::new(request.method().as_str(), uri, headers, body).map_err(local)?;
        let instructions = self.instructions(service, signing_settings(service), signable)?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }

    /// What has to be added to a request for its signature.
    fn instructions(
        &self,
        service: &str,
        settings: SigningSettings,
        request: SignableRequest<'_>,
    ) -> Result<SigningInstructions, ApiError> {
        let keys = &self.credentials;
        let identity = aws_credential_types::Credentials::new(
            &keys.access_key_id,
            &keys.secret_access_key,
            keys.session_token.clone(),
            None,
            "seedflow-local",
        )
        .into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&keys.region)
            .name(service)
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(local)?
            .into();
        Ok(sign(request, &parameters).map_err(local)?.into_parts().0)
    }
}

/// S3 signs a path as it is and wants the hash of the body in a header; the others normalise and encode again.
fn signing_settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    settings
}

fn xml_field(answer: &str, name: &str) -> Result<String, ApiError> {
    between(answer, &format!("<{name}>"), &format!("</{name}>"))
        .ok_or_else(|| ApiError::server("UnreadableAnswer", format!("the answer has no {name}")))
}

async fn collect(answer: Response<Incoming>) -> Result<Bytes, ApiError> {
    Ok(answer.into_body().collect().await.map_err(local)?.to_bytes())
}

/// A failure on this side of the connection.
fn local(error: impl std::error::Error) -> ApiError {
    let cause = error
        .source()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    ApiError::server("ServiceUnavailable", format!("{error}{cause}"))
}

/// Percent-encodes what AWS encodes in a URI; slashes stay where they part a key.
fn encode(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slash && byte == b'/');
        if plain {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_and_keep_their_slashes() {
        assert_eq!(encode("a b/ü+c", true), "a%20b/%C3%BC%2Bc");
        assert_eq!(encode("a/b", false), "a%2Fb");
    }

    #[test]
    fn a_presigned_url_has_all_that_a_browser_lacks_and_no_secret() {
        let credentials = Credentials {
            access_key_id: "123456789012".to_owned(),
            secret_access_key: "topsecret".to_owned(),
            session_token: None,
            region: "eu-west-1".to_owned(),
        };
        let api = AwsApi::new("http://127.0.0.1:1", credentials);
        let url = api
            .presigned("work", "reports/p/a b.html", Duration::from_secs(60))
            .unwrap_or_default();
        assert!(
            url.starts_with("http://127.0.0.1:1/work/reports/p/a%20b.html?"),
            "{url}"
        );
        for part in [
            "X-Amz-Signature=",
            "X-Amz-Expires=60",
            "X-Amz-Credential=123456789012%2F",
        ] {
            assert!(url.contains(part), "{url}");
        }
        assert!(!url.contains("topsecret"));
    }

    #[test]
    fn errors_of_both_protocols_are_read() {
        let json = br#"{"__type":"com.amazonaws.ssm#ParameterNotFound","message":"no"}"#;
        let error = ApiError::from_answer(StatusCode::BAD_REQUEST, json);
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("ParameterNotFound", "no")
        );
        let xml = b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>";
        let error = ApiError::from_answer(StatusCode::NOT_FOUND, xml);
        assert_eq!(
            (error.status, error.code.as_str(), error.message.as_str()),
            (404, "NoSuchKey", "gone")
        );
    }
}
