//! Enough of an emulator for a build: S3 objects, parameters, secrets, logs, events, projects and a role.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Everything that the emulator was given, and what it answers.
#[derive(Debug, Default)]
pub struct Stored {
    /// Versions of objects by `bucket/key`; a version's id is its number from 1.
    pub objects: BTreeMap<String, Vec<Bytes>>,
    /// Lines by `group/stream`.
    pub logs: HashMap<String, Vec<String>>,
    /// Entries of PutEvents.
    pub events: Vec<Value>,
    /// Parameters by name.
    pub parameters: HashMap<String, String>,
    /// Secrets by id.
    pub secrets: HashMap<String, String>,
    /// Projects by name.
    pub projects: HashMap<String, Value>,
    /// Every request: `POST AmazonSSM.GetParameters`, `PUT /bucket/key`.
    pub requests: Vec<String>,
    /// How many entries of PutEvents fail from now on.
    pub failing_events: u32,
    /// The service that every role trusts, in place of CodeBuild.
    pub trusted_service: Option<String>,
    /// Targets that no caller may call.
    pub forbidden: HashSet<String>,
    /// The body of the last PutParameter.
    pub last_put: Value,
}

pub struct Emulator {
    pub address: SocketAddr,
    pub stored: watch::Sender<Stored>,
    server: JoinSet<()>,
}

impl Emulator {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stored = watch::channel(Stored::default()).0;
        let mut server = JoinSet::new();
        let store = Arc::new(stored.clone());
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let store = Arc::clone(&store);
                let service = service_fn(move |request| serve(Arc::clone(&store), request));
                let connection = hyper::server::conn::http1::Builder::new();
                let connection = connection.serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move { drop(connection.await) });
            }
        });
        Self {
            address,
            stored,
            server,
        }
    }

    /// Waits until what is stored is as wanted.
    pub async fn until(&self, wanted: impl FnMut(&Stored) -> bool) -> watch::Ref<'_, Stored> {
        let mut stored = self.stored.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(20), stored.wait_for(wanted)).await;
        drop(waited.expect("the emulator never got there").unwrap());
        self.stored.borrow()
    }

    pub async fn stop(&mut self) {
        self.server.shutdown().await;
    }

    pub fn object(&self, path: &str) -> Option<Bytes> {
        self.stored
            .borrow()
            .objects
            .get(path)
            .and_then(|versions| versions.last())
            .cloned()
    }

    pub fn change(&self, change: impl FnOnce(&mut Stored)) {
        self.stored.send_modify(change);
    }
}

type Answer = Result<(StatusCode, Vec<(&'static str, String)>, Bytes), std::convert::Infallible>;

async fn serve(
    store: Arc<watch::Sender<Stored>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = head
        .headers
        .get("x-amz-target")
        .map(|target| target.to_str().unwrap().to_owned());
    let what = target.clone().unwrap_or_else(|| head.uri.path().to_owned());
    let mut answer = None;
    store.send_modify(|stored| {
        stored.requests.push(format!("{} {what}", head.method));
        answer = Some(match &target {
            Some(target) => json_call(
                stored,
                target,
                serde_json::from_slice(&body).unwrap_or(Value::Null),
            ),
            None if head.uri.path() == "/" => form_call(stored, &body),
            None => object_call(stored, &head, body),
        });
    });
    let (status, headers, body) = answer.unwrap().unwrap();
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(body)).unwrap())
}

/// The two calls by which CodeBuild gets a role: GetRole and AssumeRole.
fn form_call(stored: &Stored, form: &[u8]) -> Answer {
    let answer = if form.starts_with(b"Action=GetRole") {
        let service = stored
            .trusted_service
            .as_deref()
            .unwrap_or("codebuild.amazonaws.com");
        let policy = json!({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}]});
        let policy = policy.to_string().replace('"', "%22");
        format!("<AssumeRolePolicyDocument>{policy}</AssumeRolePolicyDocument>")
    } else {
        "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>"
            .to_owned()
    };
    Ok((StatusCode::OK, Vec::new(), answer.into()))
}

fn object_call(stored: &mut Stored, head: &hyper::http::request::Parts, body: Bytes) -> Answer {
    let path = head.uri.path().trim_start_matches('/').to_owned();
    if head.method == Method::PUT {
        stored.objects.entry(path).or_default().push(body);
        return Ok((StatusCode::OK, Vec::new(), Bytes::new()));
    }
    let version = head
        .uri
        .query()
        .and_then(|query| query.strip_prefix("versionId="));
    let versions = stored.objects.get(&path).map(Vec::as_slice).unwrap_or_default();
    let number = version.map_or(versions.len(), |version| version.parse().unwrap_or(0));
    match number.checked_sub(1).and_then(|index| versions.get(index)) {
        Some(object) => Ok((
            StatusCode::OK,
            vec![("x-amz-version-id", number.to_string())],
            object.clone(),
        )),
        None => {
            let error =
                "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
            Ok((
                StatusCode::NOT_FOUND,
                Vec::new(),
                Bytes::from_static(error.as_bytes()),
            ))
        }
    }
}

fn json_call(stored: &mut Stored, target: &str, input: Value) -> Answer {
    if stored.forbidden.contains(target) {
        return refuse("AccessDeniedException", "User: x is not authorized");
    }
    let answer = match target {
        "Logs_20140328.PutLogEvents" => {
            let stream = format!(
                "{}/{}",
                text(&input, "logGroupName"),
                text(&input, "logStreamName")
            );
            let lines = input["logEvents"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| text(event, "message"));
            stored
                .logs
                .entry(stream)
                .or_default()
                .extend(lines.map(|line| line.trim_end().to_owned()));
            json!({})
        }
        "AWSEvents.PutEvents" => put_events(stored, &input),
        "AmazonSSM.GetParameters" => {
            let names = input["Names"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap());
            let found = names.filter_map(|name| Some((name, stored.parameters.get(name)?)));
            json!({"Parameters": found.map(|(n, v)| json!({"Name": n, "Value": v})).collect::<Vec<_>>()})
        }
        "AmazonSSM.PutParameter" => {
            stored.last_put = input;
            json!({"Version": 1})
        }
        "secretsmanager.GetSecretValue" => match stored.secrets.get(&text(&input, "SecretId")) {
            Some(secret) => json!({"SecretString": secret}),
            None => {
                return refuse(
                    "ResourceNotFoundException",
                    "Secrets Manager can't find the specified secret.",
                );
            }
        },
        "CodeBuild_20161006.BatchGetProjects" => {
            let names = input["names"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap());
            let found: Vec<&Value> = names.filter_map(|name| stored.projects.get(name)).collect();
            json!({"projects": found})
        }
        "Logs_20140328.CreateLogGroup" => return refuse("ResourceAlreadyExistsException", "it is there"),
        _ => json!({}),
    };
    Ok((StatusCode::OK, Vec::new(), answer.to_string().into()))
}

fn put_events(stored: &mut Stored, input: &Value) -> Value {
    let mut answers = Vec::new();
    for entry in input["Entries"].as_array().unwrap() {
        if stored.failing_events > 0 {
            stored.failing_events -= 1;
            answers.push(json!({"ErrorCode": "InternalFailure", "ErrorMessage": "no"}));
            continue;
        }
        let mut entry = entry.clone();
        entry["Detail"] = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        stored.events.push(entry);
        answers.push(json!({"EventId": "1"}));
    }
    let failed = answers
        .iter()
        .filter(|answer| answer["ErrorCode"].is_string())
        .count();
    json!({"FailedEntryCount": failed, "Entries": answers})
}

fn refuse(code: &str, message: &str) -> Answer {
    let body = json!({"__type": code, "message": message}).to_string();
    Ok((StatusCode::BAD_REQUEST, Vec::new(), body.into()))
}

fn text(json: &Value, field: &str) -> String {
    json[field].as_str().unwrap().to_owned()
}
