//! The proxy in front of the AWS emulator.
//!
//! Each caller (the functions, builds, the CodeBuild emulator, clients) has a port of its own, so that a call's caller
//! is known. A request is classified (`classify`), counted, matched with the rules (`rules`), and then answered:
//! operations on builds by the CodeBuild emulator if the AWS emulator allows the caller, violations of AWS's limits on
//! parameters by an error (`ssm`), calls above the quotas of their account and region (`quota_scope`) by another one (`quotas`), everything else by the AWS emulator.
//! Requests are signed, so they are forwarded unchanged. Bodies are streamed; only requests whose body has to be read are held in memory. Counts, rules
//! and quotas can be read and set over HTTP under `/_seedflow/` on every port.

mod answer;
mod aws_errors;
mod body;
mod calls;
mod classify;
mod control;
mod described_executions;
mod kill_caller;
mod parameter_writes;
mod quota_scope;
pub mod quotas;
mod rules;
mod ssm;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderName;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use crate::aws_api::ApiError;
use crate::codebuild::{CodeBuild, account_region};
use body::{Body, BoxError};
pub use calls::{Caller, Calls};
use classify::Call;
use control::Controls;
use described_executions::DescribedExecutions;
pub use parameter_writes::ObservedParameterWrite;
use parameter_writes::ParameterWrites;
use quota_scope::Accounts;
pub use quotas::{Count, Limit, Limited, Quota};
pub use rules::{Action, Rule, RuleId, When};
use ssm::SsmLimits;

/// The ports to listen on; 0 takes a free one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    pub functions: u16,
    pub builds: u16,
    /// For the CodeBuild emulator's own calls.
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

/// How a proxy is set up.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The ports to listen on.
    pub ports: Ports,
    /// The folder of the functions' programs, which rules may kill; without it nothing is killed.
    pub functions: Option<PathBuf>,
    /// The account's quotas.
    pub quotas: Vec<Quota>,
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
    controls: Controls,
    accounts: Accounts,
    ssm: SsmLimits,
    writes: ParameterWrites,
    described: DescribedExecutions,
    functions: Option<PathBuf>,
}

/// Where a request comes from.
#[derive(Clone, Copy)]
struct Origin {
    caller: Caller,
    /// The far end of its connection.
    peer: SocketAddr,
    /// Our end.
    here: SocketAddr,
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
    /// Starts the proxy before the emulator at `upstream`, and connects the CodeBuild emulator to it.
    pub async fn start(
        upstream: SocketAddr,
        codebuild: Arc<CodeBuild>,
        options: Options,
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
            controls: Controls::default(),
            accounts: Accounts::new(codebuild.account()),
            ssm: SsmLimits::default(),
            writes: ParameterWrites::default(),
            described: DescribedExecutions::default(),
            functions: options.functions,
        });
        state.controls.quotas.set(&options.quotas);
        let mut listeners = JoinSet::new();
        let mut ports = options.ports;
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
        self.state.controls.calls.borrow().clone()
    }

    /// The same, to wait on.
    #[must_use]
    pub fn watch_calls(&self) -> watch::Receiver<Calls> {
        self.state.controls.calls.subscribe()
    }

    /// Every parameter that is written from now on.
    #[must_use]
    pub fn watch_parameter_writes(&self) -> broadcast::Receiver<ObservedParameterWrite> {
        self.state.writes.subscribe()
    }

    /// Every execution that a function asks Step Functions about from now on, by its ARN. A function asks about an execution of
    /// a module or of a deployment as soon as it has ended, and about others at other times.
    #[must_use]
    pub fn watch_described_executions(&self) -> broadcast::Receiver<String> {
        self.state.described.subscribe()
    }

    /// Counts from zero again.
    pub fn reset_calls(&self) {
        self.state.controls.calls.send_replace(Calls::default());
    }

    /// Adds a rule; the first rule that matches a request is the one that counts.
    pub fn add_rule(&self, rule: Rule) -> RuleId {
        self.state.controls.rules.add(rule)
    }

    /// How often a rule was applied.
    #[must_use]
    pub fn rule_applied(&self, id: RuleId) -> u32 {
        self.state.controls.rules.applied(id)
    }

    /// Removes a rule, if it is there.
    pub fn remove_rule(&self, id: RuleId) -> bool {
        self.state.controls.rules.remove(id)
    }

    pub fn clear_rules(&self) {
        self.state.controls.rules.clear();
    }

    /// Holds the calls of all callers but clients to these quotas in each account and region, in place of earlier ones, and counts from zero.
    pub fn apply_quotas(&self, quotas: &[Quota]) {
        self.state.controls.quotas.set(quotas);
    }

    /// The calls of a quota since the quotas were set, by one of its operations.
    #[must_use]
    pub fn quota_count(&self, service: &str, operation: &str) -> Count {
        let limited = self.state.controls.quotas.limited();
        let found = limited.into_iter().find(|limited| {
            limited.quota.service == service && limited.quota.operations.iter().any(|o| o == operation)
        });
        found.map(|limited| limited.count).unwrap_or_default()
    }

    /// All quotas with their counts.
    #[must_use]
    pub fn quotas(&self) -> Vec<Limited> {
        self.state.controls.quotas.limited()
    }
}

async fn listen(state: Arc<State>, caller: Caller, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // The process may be out of descriptors until a connection ends.
                let Ok((stream, peer)) = accepted else { tokio::task::yield_now().await; continue };
                let Ok(here) = stream.local_addr() else { continue };
                // Head and body of an answer are two writes: without this the second waits for the caller's
                // delayed acknowledgement of the first, 40 ms.
                let _ = stream.set_nodelay(true);
                let state = Arc::clone(&state);
                let service = service_fn(move |request| serve(Arc::clone(&state), Origin { caller, peer, here }, request));
                let connection = hyper::server::conn::http1::Builder::new();
                let connection = connection.serve_connection(TokioIo::new(stream), service);
                // An error means that the client has disconnected, or that a rule dropped the connection.
                connections.spawn(async move { drop(connection.await) });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A request's body: passed on as it comes, or held in memory because a rule or a limit looks at it.
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
            Self::Whole(bytes) => body::full(bytes),
        }
    }
}

async fn serve(
    state: Arc<State>,
    origin: Origin,
    request: Request<Incoming>,
) -> Result<Response<Body>, BoxError> {
    if request.uri().path().starts_with(control::PREFIX) {
        return Ok(control::serve(&state.controls, request).await?);
    }
    let (head, body) = request.into_parts();
    let mut payload = Payload::Stream(body);
    if classify::needs_body(&head) || state.controls.rules.need_body() {
        payload = payload.hold().await?;
    }
    let call = classify::classify(&head, payload.bytes());
    let Origin { caller, .. } = origin;
    if state.described.wants(caller, &call) {
        payload = payload.hold().await?;
        state.described.publish(payload.bytes());
    }
    state
        .controls
        .calls
        .send_modify(|calls| calls.count(caller, &call.name()));
    let now = Instant::now();
    let action = state
        .controls
        .rules
        .decide(caller, &call, &head, payload.bytes(), now);
    let request = Named { origin, head, call };
    match action {
        None => state.answer(&request, payload).await,
        Some(action) => state.disturb(action, &request, payload).await,
    }
}

/// A request without its body.
struct Named {
    origin: Origin,
    head: Parts,
    call: Call,
}

impl Named {
    fn error(&self, error: &ApiError) -> Response<Body> {
        answer::error(&self.head, &self.call, error)
    }
}

impl State {
    /// Applies a rule's action to a request.
    async fn disturb(
        &self,
        action: Action,
        request: &Named,
        payload: Payload,
    ) -> Result<Response<Body>, BoxError> {
        match action {
            Action::Delay(time) => {
                tokio::time::sleep(time).await;
                self.answer(request, payload).await
            }
            Action::Refuse {
                status,
                code,
                message,
            } => Ok(request.error(&ApiError {
                status,
                code,
                message,
            })),
            Action::Drop => Err(Dropped.into()),
            Action::LoseAnswer => {
                self.finish(request, payload).await?;
                Err(Dropped.into())
            }
            Action::Discard => Ok(answer::discarded(&request.call, payload.bytes())),
            Action::FailEntries => Ok(answer::failed_entries(payload.bytes())),
            Action::Duplicate => {
                let Payload::Whole(bytes) = payload.hold().await? else {
                    return Err(Dropped.into());
                };
                let first = self.answer(request, Payload::Whole(bytes.clone())).await;
                self.finish(request, Payload::Whole(bytes)).await?;
                first
            }
            Action::Kill(When::Before) => self.kill(request),
            Action::Kill(When::After) => {
                self.finish(request, payload).await?;
                self.kill(request)
            }
        }
    }

    /// Answers a request to the end and drops the answer.
    async fn finish(&self, request: &Named, payload: Payload) -> Result<(), BoxError> {
        let answer = self.answer(request, payload).await?;
        answer.into_body().collect().await?;
        Ok(())
    }

    fn kill(&self, request: &Named) -> Result<Response<Body>, BoxError> {
        let functions = self.functions.as_deref();
        let killed = functions
            .ok_or_else(|| "no process was killed: the proxy has no folder of functions".to_owned())
            .and_then(|functions| {
                kill_caller::kill_caller(request.origin.peer, request.origin.here, functions)
            });
        match killed {
            Ok(()) => Err(Dropped.into()),
            Err(error) => Ok(request.error(&ApiError::client("NobodyKilled", error))),
        }
    }

    async fn answer(&self, request: &Named, payload: Payload) -> Result<Response<Body>, BoxError> {
        let call = &request.call;
        let admitted = self.controls.quotas.admit(
            request.origin.caller,
            self.accounts.scope(&request.head),
            call,
            Instant::now(),
        );
        if let Err(error) = admitted {
            return Ok(request.error(&error));
        }
        if call.service == "codebuild" && CodeBuild::serves(&call.operation) {
            return self.answer_build(request, payload).await;
        }
        if call.service == "ssm" {
            return self.answer_ssm(request, payload).await;
        }
        if Accounts::is_taught_by(call) {
            return self.answer_assume_role(request, payload).await;
        }
        self.forward(request, payload).await
    }

    /// Remembers in which account a role's keys are.
    async fn answer_assume_role(
        &self,
        request: &Named,
        payload: Payload,
    ) -> Result<Response<Body>, BoxError> {
        let (head, body) = self.forward(request, payload).await?.into_parts();
        let answer = body.collect().await?.to_bytes();
        self.accounts.learn(&answer);
        Ok(Response::from_parts(head, body::full(answer)))
    }

    /// Asks the emulator who the caller is and whether it may, since it knows the roles, and then the CodeBuild emulator.
    async fn answer_build(&self, request: &Named, payload: Payload) -> Result<Response<Body>, BoxError> {
        let Payload::Whole(body) = payload.hold().await? else {
            return Err(Dropped.into());
        };
        let asked = self.forward(request, Payload::Whole(body.clone())).await?;
        if !asked.status().is_success() {
            return Ok(asked);
        }
        let caller = account_region::of_answer(&asked.into_body().collect().await?.to_bytes());
        let operation = &request.call.operation;
        let answered = match (serde_json::from_slice(&body), caller) {
            (Ok(input), Some(caller)) => self.codebuild.handle_in(&caller, operation, input).await,
            (Ok(input), None) => self.codebuild.handle(operation, input).await,
            (Err(error), _) => Err(ApiError::client("SerializationException", error.to_string())),
        };
        Ok(answered.map_or_else(|e| request.error(&e), |json| answer::json(&json)))
    }

    /// Forwards what is within AWS's limits, and remembers which parameters it made advanced.
    async fn answer_ssm(&self, request: &Named, payload: Payload) -> Result<Response<Body>, BoxError> {
        let Named { origin, call, .. } = request;
        let effect = match self.ssm.check(&call.operation, payload.bytes()) {
            Err(error) => return Ok(request.error(&error)),
            Ok(effect) => effect,
        };
        let body = match &payload {
            Payload::Whole(body) if self.writes.has_subscribers() => body.clone(),
            _ => Bytes::new(),
        };
        let response = self.forward(request, payload).await?;
        if response.status().is_success() {
            self.ssm.apply(effect);
            if let Some(write) = ObservedParameterWrite::of(origin.caller, &call.operation, &body) {
                self.writes.publish(write);
            }
        }
        Ok(response)
    }

    async fn forward(&self, named: &Named, payload: Payload) -> Result<Response<Body>, BoxError> {
        let head = &named.head;
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
                return Ok(named.error(&error));
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
