//! The proxy in front of the emulator.
//!
//! Each caller (the functions, builds, the CodeBuild stand-in, clients) has a port of its own, so that a
//! call's caller is known. A request is named (`classify`), counted, held against the rules (`rules`), and
//! then answered: operations on builds by the stand-in if the emulator lets the caller, what breaks AWS's limits
//! on parameters by an error (`ssm`), everything else by the emulator. Requests are signed, so they are passed on
//! as they came. Bodies are streamed; only requests whose body has to be looked at are held in memory. Counts and rules can be read and set over HTTP under `/_seedflow/` on every port.

mod answer;
mod calls;
mod classify;
mod control;
mod rules;
mod ssm;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderName;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::codebuild::CodeBuild;
use crate::emulator_api::ApiError;
pub use calls::{Caller, Calls};
use classify::Call;
use rules::RuleSet;
pub use rules::{Action, Rule, RuleId};
use ssm::SsmLimits;

/// What bodies may fail with.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A body of either direction.
type Body = UnsyncBoxBody<Bytes, BoxError>;

/// The ports to listen on; 0 takes a free one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// For the functions.
    pub functions: u16,
    /// For builds.
    pub builds: u16,
    /// For the CodeBuild stand-in's own calls.
    pub codebuild: u16,
    /// For sam, the command line and tests.
    pub clients: u16,
}

impl Ports {
    fn of(&self, caller: Caller) -> u16 {
        match caller {
            Caller::Functions => self.functions,
            Caller::Builds => self.builds,
            Caller::Codebuild => self.codebuild,
            Caller::Clients => self.clients,
        }
    }
}

/// The running proxy; it ends with this value.
pub struct Proxy {
    state: Arc<State>,
    ports: Ports,
    _listeners: JoinSet<()>,
}

struct State {
    upstream: SocketAddr,
    codebuild: Arc<CodeBuild>,
    client: Client<HttpConnector, Body>,
    calls: watch::Sender<Calls>,
    rules: RuleSet,
    ssm: SsmLimits,
}

/// The connection is closed instead of answered.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped by a rule")
    }
}

impl std::error::Error for Dropped {}

impl Proxy {
    /// Starts the proxy before the emulator at `upstream`, and connects the stand-in to it.
    pub async fn start(
        upstream: SocketAddr,
        codebuild: Arc<CodeBuild>,
        ports: Option<Ports>,
    ) -> anyhow::Result<Self> {
        // The emulator may close a connection that it finds idle, so none is kept for the next request.
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        let state = Arc::new(State {
            upstream,
            codebuild: Arc::clone(&codebuild),
            client,
            calls: watch::channel(Calls::default()).0,
            rules: RuleSet::default(),
            ssm: SsmLimits::default(),
        });
        let mut listeners = JoinSet::new();
        let mut ports = ports.unwrap_or_default();
        for caller in Caller::ALL {
            let port = ports.of(caller);
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
            let listener = listener.with_context(|| format!("the proxy can't listen on 127.0.0.1:{port}"))?;
            let bound = listener.local_addr()?.port();
            match caller {
                Caller::Functions => ports.functions = bound,
                Caller::Builds => ports.builds = bound,
                Caller::Codebuild => ports.codebuild = bound,
                Caller::Clients => ports.clients = bound,
            }
            listeners.spawn(listen(Arc::clone(&state), caller, listener));
        }
        let proxy = Self {
            state,
            ports,
            _listeners: listeners,
        };
        codebuild.connect(
            &proxy.endpoint(Caller::Builds),
            &proxy.endpoint(Caller::Codebuild),
        );
        Ok(proxy)
    }

    /// The URL for a caller.
    #[must_use]
    pub fn endpoint(&self, caller: Caller) -> String {
        format!("http://127.0.0.1:{}", self.ports.of(caller))
    }

    /// What was called so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.state.calls.borrow().clone()
    }

    /// The same, to wait on.
    #[must_use]
    pub fn watch_calls(&self) -> watch::Receiver<Calls> {
        self.state.calls.subscribe()
    }

    /// Counts from zero again.
    pub fn reset_calls(&self) {
        self.state.calls.send_replace(Calls::default());
    }

    /// Adds a rule; the first rule that matches a request is the one that counts.
    pub fn add_rule(&self, rule: Rule) -> RuleId {
        self.state.rules.add(rule)
    }

    /// How often a rule was applied.
    #[must_use]
    pub fn rule_applied(&self, id: RuleId) -> u32 {
        self.state.rules.applied(id)
    }

    /// Removes a rule, if it is there.
    pub fn remove_rule(&self, id: RuleId) -> bool {
        self.state.rules.remove(id)
    }

    /// Removes all rules.
    pub fn clear_rules(&self) {
        self.state.rules.clear();
    }
}

async fn listen(state: Arc<State>, caller: Caller, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Running out of descriptors is over as soon as a connection ends.
                let Ok((stream, _)) = accepted else { tokio::task::yield_now().await; continue };
                // Head and body of an answer are two writes: without this the second waits for the caller's
                // delayed acknowledgement of the first, 40 ms.
                let _ = stream.set_nodelay(true);
                let state = Arc::clone(&state);
                let service = service_fn(move |request| serve(Arc::clone(&state), caller, request));
                let connection = hyper::server::conn::http1::Builder::new();
                let connection = connection.serve_connection(TokioIo::new(stream), service);
                // An error is the client's going away, or a rule's will.
                connections.spawn(async move { drop(connection.await) });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A request's body: passed on as it comes, or held because somebody has to look at it.
enum Payload {
    Stream(Incoming),
    Whole(Bytes),
}

impl Payload {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Stream(_) => &[],
            Self::Whole(bytes) => bytes,
        }
    }

    async fn hold(self) -> Result<Self, hyper::Error> {
        Ok(match self {
            Self::Stream(body) => Self::Whole(body.collect().await?.to_bytes()),
            whole => whole,
        })
    }

    fn into_body(self) -> Body {
        match self {
            Self::Stream(body) => body.map_err(Into::into).boxed_unsync(),
            Self::Whole(bytes) => answer::full(bytes),
        }
    }
}

async fn serve(
    state: Arc<State>,
    caller: Caller,
    request: Request<Incoming>,
) -> Result<Response<Body>, BoxError> {
    if request.uri().path().starts_with(control::PREFIX) {
        return Ok(control::serve(&state, request).await?);
    }
    let (head, body) = request.into_parts();
    let mut payload = Payload::Stream(body);
    if classify::needs_body(&head) || state.rules.need_body() {
        payload = payload.hold().await?;
    }
    let call = classify::classify(&head, payload.bytes());
    state.calls.send_modify(|calls| calls.count(caller, &call.name()));
    match state.rules.decide(caller, &call, &head.uri, payload.bytes()) {
        None => state.answer(&head, &call, payload).await,
        Some(Action::Delay(time)) => {
            tokio::time::sleep(time).await;
            state.answer(&head, &call, payload).await
        }
        Some(Action::Refuse {
            status,
            code,
            message,
        }) => Ok(answer::error(
            &head,
            &call,
            &ApiError {
                status,
                code,
                message,
            },
        )),
        Some(Action::Drop) => Err(Dropped.into()),
        Some(Action::LoseAnswer) => {
            state
                .answer(&head, &call, payload)
                .await?
                .into_body()
                .collect()
                .await?;
            Err(Dropped.into())
        }
        Some(Action::Discard) => Ok(answer::discarded(&call, payload.bytes())),
        Some(Action::Duplicate) => {
            let Payload::Whole(bytes) = payload.hold().await? else {
                return Err(Dropped.into());
            };
            let first = state.answer(&head, &call, Payload::Whole(bytes.clone())).await;
            state
                .answer(&head, &call, Payload::Whole(bytes))
                .await?
                .into_body()
                .collect()
                .await?;
            first
        }
    }
}

impl State {
    async fn answer(&self, head: &Parts, call: &Call, payload: Payload) -> Result<Response<Body>, BoxError> {
        if call.service == "codebuild" && CodeBuild::serves(&call.operation) {
            return self.answer_build(head, call, payload).await;
        }
        if call.service == "ssm" {
            return self.answer_ssm(head, call, payload).await;
        }
        self.forward(head, call, payload).await
    }

    /// Asks the emulator whether the caller may, since it knows the roles, and then the stand-in.
    async fn answer_build(
        &self,
        head: &Parts,
        call: &Call,
        payload: Payload,
    ) -> Result<Response<Body>, BoxError> {
        let Payload::Whole(body) = payload.hold().await? else {
            return Err(Dropped.into());
        };
        let asked = self.forward(head, call, Payload::Whole(body.clone())).await?;
        if !asked.status().is_success() {
            return Ok(asked);
        }
        let answered = match serde_json::from_slice(&body) {
            Ok(input) => self.codebuild.handle(&call.operation, input).await,
            Err(error) => Err(ApiError::client("SerializationException", error.to_string())),
        };
        Ok(answered.map_or_else(|e| answer::error(head, call, &e), |json| answer::json(&json)))
    }

    /// Forwards what is within AWS's limits, and remembers which parameters it made advanced.
    async fn answer_ssm(
        &self,
        head: &Parts,
        call: &Call,
        payload: Payload,
    ) -> Result<Response<Body>, BoxError> {
        let effect = match self.ssm.check(&call.operation, payload.bytes()) {
            Err(error) => return Ok(answer::error(head, call, &error)),
            Ok(effect) => effect,
        };
        let response = self.forward(head, call, payload).await?;
        if response.status().is_success() {
            self.ssm.apply(effect);
        }
        Ok(response)
    }

    async fn forward(&self, head: &Parts, call: &Call, payload: Payload) -> Result<Response<Body>, BoxError> {
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let uri: Uri = format!("http://{}{target}", self.upstream).parse()?;
        // To AWS this would be TLS: the policies of the buckets ask for it.
        let mut request = Request::builder()
            .method(head.method.clone())
            .uri(uri)
            .header("x-forwarded-proto", "https");
        for (name, value) in &head.headers {
            if !is_hop_by_hop(name) {
                request = request.header(name, value);
            }
        }
        let answer = match self.client.request(request.body(payload.into_body())?).await {
            Ok(answer) => answer,
            Err(error) => {
                let error = ApiError {
                    status: 503,
                    code: "ServiceUnavailable".to_owned(),
                    message: format!("the emulator does not answer: {error}"),
                };
                return Ok(answer::error(head, call, &error));
            }
        };
        let (mut head, body) = answer.into_parts();
        let hop_by_hop: Vec<HeaderName> = head
            .headers
            .keys()
            .filter(|name| is_hop_by_hop(name))
            .cloned()
            .collect();
        for name in hop_by_hop {
            head.headers.remove(name);
        }
        Ok(Response::from_parts(
            head,
            body.map_err(Into::into).boxed_unsync(),
        ))
    }
}

/// Headers of one connection; `Expect` is answered by the proxy itself when it reads the body.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    [
        header::CONNECTION,
        header::EXPECT,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ]
    .contains(name)
        || name == "keep-alive"
}
