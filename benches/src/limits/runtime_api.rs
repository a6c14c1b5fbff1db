//! Lambda's Runtime API, as far as a function needs it: it asks for an event and posts its answer.
//!
//! One server serves one process. A channel delivers its actions and their times, in order.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// The longest time that Lambda gives a function.
const DEADLINE: Duration = Duration::from_secs(900);

/// An action of the function.
#[derive(Debug)]
pub enum Call {
    /// It asked for an event.
    Next(Instant),
    /// It answered one.
    Answer(Instant, Bytes),
    /// It reported an error, of an event or of its start.
    Error(Bytes),
}

/// A running server; it ends with this value.
pub struct RuntimeApi {
    address: SocketAddr,
    events: mpsc::UnboundedSender<String>,
    calls: mpsc::UnboundedReceiver<Call>,
    _listener: JoinSet<()>,
}

struct State {
    arn: String,
    events: Mutex<mpsc::UnboundedReceiver<String>>,
    calls: mpsc::UnboundedSender<Call>,
}

impl RuntimeApi {
    /// Starts a server for the function of that ARN.
    pub async fn start(arn: String) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        let (events, queue) = mpsc::unbounded_channel();
        let (log, calls) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            arn,
            events: Mutex::new(queue),
            calls: log,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(state, listener));
        Ok(Self {
            address,
            events,
            calls,
            _listener: tasks,
        })
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Delivers an event to the function, now or when it asks for one.
    pub fn send(&self, event: String) -> Result<()> {
        self.events.send(event).context("the Runtime API has ended")
    }

    /// The next action of the function.
    pub async fn next_call(&mut self) -> Result<Call> {
        self.calls.recv().await.context("the Runtime API has ended")
    }
}

async fn listen(state: Arc<State>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // An answer waits for nothing: the function itself is timed.
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        let service = service_fn(move |request| serve(Arc::clone(&state), request));
        let connection = hyper::server::conn::http1::Builder::new();
        let connection = connection.serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move { drop(connection.await) });
    }
}

async fn serve(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let answered = match (request.method(), request.uri().path().rsplit('/').next()) {
        (&Method::GET, Some("next")) => state.next().await,
        (&Method::POST, Some(kind @ ("response" | "error"))) => {
            let failed = kind == "error";
            let body = request.into_body().collect().await;
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            let _ = state.calls.send(if failed {
                Call::Error(body)
            } else {
                Call::Answer(Instant::now(), body)
            });
            status(StatusCode::ACCEPTED, "{\"status\":\"OK\"}")
        }
        _ => status(StatusCode::NOT_FOUND, "{}"),
    };
    Ok(answered)
}

impl State {
    async fn next(&self) -> Response<Full<Bytes>> {
        let _ = self.calls.send(Call::Next(Instant::now()));
        let Some(event) = self.events.lock().await.recv().await else {
            return status(StatusCode::INTERNAL_SERVER_ERROR, "{}");
        };
        let deadline = SystemTime::now() + DEADLINE;
        let deadline = deadline
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let response = Response::builder()
            .header("content-type", "application/json")
            .header(
                "lambda-runtime-aws-request-id",
                "00000000-0000-0000-0000-000000000000",
            )
            .header("lambda-runtime-invoked-function-arn", &self.arn)
            .header("lambda-runtime-deadline-ms", deadline.to_string())
            .body(Full::from(event));
        response.unwrap_or_else(|_| status(StatusCode::INTERNAL_SERVER_ERROR, "{}"))
    }
}

fn status(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
}
