//! Requests to hosts: redirects, credentials, time limits, and attempts.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use seedflow_core::error::{Error, Result, excerpt};
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use ureq::http::{Method, Request, Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, AsSendBody, Body, BodyReader};

use crate::address::{CheckedResolver, ForbiddenAddress};
use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::url::RemoteUrl;

/// As many redirects as git follows at most.
const MAX_REDIRECTS: usize = 20;
/// The part of a host's text that messages quote.
const MAX_QUOTED: u64 = 300;

/// How long hosts are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// For the next part of an answer.
    pub silence: Duration,
    /// For a whole answer.
    pub answer: Duration,
    /// How often a failing host is asked.
    pub attempts: u32,
    /// The pause before the second attempt; each further one is twice as long.
    pub pause: Duration,
}

impl Default for Limits {
    /// A host that hangs is given up after a minute and a half, one that sends slowly after twelve minutes: both before
    /// Lambda's own limit, so that the message can name the host.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            answer: Duration::from_secs(240),
            attempts: 3,
            pause: Duration::from_secs(1),
        }
    }
}

/// A client of hosts.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    credentials: Credentials,
    limits: Limits,
}

/// A host's answer to a request that it did not refuse.
pub(crate) struct Answer {
    /// Where the answer came from, after redirects.
    pub(crate) url: RemoteUrl,
    pub(crate) content_type: String,
    pub(crate) body: BodyReader<'static>,
}

impl Client {
    pub(crate) fn new(credentials: Credentials, limits: Limits) -> Self {
        let config = Agent::config_builder()
            .user_agent("git/seedflow")
            // A proxy would resolve the names by itself, and to addresses that nobody checks.
            .proxy(None)
            // Redirects are followed here, where each is checked.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_recv_response(Some(limits.silence))
            .timeout_per_read(Some(limits.silence))
            .timeout_global(Some(limits.answer))
            .tls_config(tls())
            .build();
        Self {
            agent: Agent::with_parts(config, DefaultConnector::default(), CheckedResolver::default()),
            credentials,
            limits,
        }
    }

    /// Asks a host, and asks again if it fails. `source` begins the message of an error.
    pub(crate) fn attempts<T>(
        &self,
        source: &str,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T> {
        let (mut tries, mut pause) = (1, self.limits.pause);
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(Failure { passes: true, error }) if tries < self.limits.attempts => {
                    tracing::info!(source, tries, cause = %error.message, "the host is asked again");
                    std::thread::sleep(pause);
                    (tries, pause) = (tries + 1, pause * 2);
                }
                Err(Failure { passes, error }) => {
                    let times = match passes {
                        true => format!(" (asked {tries} times)"),
                        false => String::new(),
                    };
                    return Err(Error::new(
                        error.name,
                        format!("{source}: {}{times}", error.message),
                    ));
                }
            }
        }
    }

    /// Gets a document, where redirects lead.
    pub(crate) fn get(&self, url: &RemoteUrl, headers: &[(&str, &str)]) -> Result<Answer, Failure> {
        let mut here = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(Method::GET, &here, url, headers, ())?;
            match redirect(&response) {
                Some(location) => {
                    here = here
                        .redirected(location)
                        .map_err(|e| Failure::refused(format!("the host redirects to {}", e.message)))?;
                }
                None => return self.answer(here, response),
            }
        }
        Err(Failure::refused(format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// Posts to an address that has no redirects; the host that was `named` gets its credentials.
    pub(crate) fn post(
        &self,
        url: &RemoteUrl,
        named: &RemoteUrl,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Failure> {
        let response = self.send(Method::POST, url, named, headers, body)?;
        self.answer(url.clone(), response)
    }

    /// Sends a request, with credentials if the host is the one that was named: none are sent where a redirect leads.
    fn send(
        &self,
        method: Method,
        url: &RemoteUrl,
        named: &RemoteUrl,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
    ) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(method).uri(url.uri().clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let credentials = self.credentials.authorization(url.host());
        if let Some(credentials) = credentials.filter(|_| url.host() == named.host()) {
            request = request.header(AUTHORIZATION, credentials);
        }
        let request = request
            .body(body)
            .map_err(|e| Failure::refused(format!("no request: {e}")))?;
        self.agent.run(request).map_err(no_answer)
    }

    fn answer(&self, url: RemoteUrl, response: Response<Body>) -> Result<Answer, Failure> {
        let (head, body) = response.into_parts();
        let content_type = head
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let answer = Answer {
            url,
            content_type,
            body: body.into_reader(),
        };
        if head.status.is_success() {
            return Ok(answer);
        }
        Err(self.refusal(head.status, answer))
    }

    fn refusal(&self, status: StatusCode, answer: Answer) -> Failure {
        let host = answer.url.host().to_owned();
        let known = self.credentials.authorization(&host).is_some();
        let advice = match status.as_u16() {
            401 | 403 | 404 if known => {
                format!(
                    "; check the address, and the credentials for {host} in the secret that GitCredentialsSecret names"
                )
            }
            401 | 403 | 404 => {
                format!(
                    "; check the address, or, if it is not public, add credentials for {host} to the secret that GitCredentialsSecret names"
                )
            }
            _ => String::new(),
        };
        let said = quoted(answer);
        let message = format!("the host answers HTTP {status}{said}{advice}");
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Failure::passing(message)
        } else {
            Failure::refused(message)
        }
    }
}

/// Trusts what this machine trusts, by the code that the SDKs' client links as well.
fn tls() -> TlsConfig {
    let found = rustls_native_certs::load_native_certs().certs;
    let certificates = found
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned());
    TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::from(certificates))
        .build()
}

fn redirect(response: &Response<Body>) -> Option<&str> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308).then_some(location)
}

/// What a host says to a person. Documents for programs are not quoted: S3 repeats the parts of a signature.
fn quoted(answer: Answer) -> String {
    if !answer.content_type.starts_with("text/plain") {
        return String::new();
    }
    let mut text = Vec::new();
    let read = answer.body.take(MAX_QUOTED).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .collect();
    let text = words.join(" ");
    match (read, text.trim()) {
        (Err(_), _) | (_, "") => String::new(),
        (_, text) => format!(": {}", excerpt(text, 200)),
    }
}

/// The failure of a request without an answer. The text of an error that may have the address is left out.
fn no_answer(error: ureq::Error) -> Failure {
    match error {
        ureq::Error::Other(cause) if cause.is::<ForbiddenAddress>() => {
            Failure::refused(format!("{cause}; sources are fetched from public hosts only"))
        }
        ureq::Error::Rustls(cause) => Failure::refused(format!("no TLS connection: {cause}")),
        ureq::Error::Timeout(part) => Failure::passing(format!("the host does not answer in time ({part})")),
        ureq::Error::HostNotFound => Failure::passing("the host's name has no address"),
        ureq::Error::Io(cause) => Failure::passing(format!("no connection to the host: {cause}")),
        ureq::Error::Protocol(cause) => Failure::passing(format!("the host does not speak HTTP: {cause}")),
        _ => Failure::passing("no connection to the host"),
    }
}
