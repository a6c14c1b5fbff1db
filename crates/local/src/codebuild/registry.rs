//! All builds, and what each of them needs: the configuration and the endpoints of the proxy.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use seedflow_core::target::Target;
use serde_json::Value;
use tokio::sync::watch;

use super::account_region;
use super::config::Config;
use super::model::Build;
use crate::aws_api::{ApiError, AwsApi};

/// What the service and its builds share.
pub struct Registry {
    /// How the CodeBuild emulator is set up.
    pub config: Config,
    endpoints: OnceLock<Endpoints>,
    builds: Mutex<Builds>,
    changes: watch::Sender<u64>,
}

/// The proxy's two ports that the CodeBuild emulator uses.
pub struct Endpoints {
    /// What builds have in `AWS_ENDPOINT_URL`, and where the CodeBuild emulator calls with a build's role: source,
    /// artifacts, variables, logs.
    pub builds_url: String,
    /// For the service's calls in its own account and region; `Registry::service` has those in others.
    service: AwsApi,
}

/// All builds, by their ids and in the order in which they were started.
#[derive(Default)]
pub struct Builds {
    pub entries: HashMap<String, Entry>,
    pub order: Vec<String>,
    /// By account, region and token.
    pub tokens: HashMap<(Target, String), Token>,
    /// By account, region and project.
    pub numbers: HashMap<(Target, String), u64>,
    pub closing: bool,
}

/// A build, and how it is stopped.
pub struct Entry {
    pub build: Build,
    pub stop: watch::Sender<bool>,
}

/// What an idempotency token was used for.
pub struct Token {
    pub input: Value,
    pub build_id: String,
    pub since: Instant,
}

/// How long CodeBuild remembers an idempotency token.
const TOKEN_LIFE: Duration = Duration::from_secs(5 * 60);
impl Registry {
    /// A registry without builds.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            endpoints: OnceLock::new(),
            builds: Mutex::default(),
            changes: watch::channel(0).0,
        }
    }

    /// Sets the proxy's ports for builds and for the service itself. The first call counts.
    pub fn connect(&self, builds_url: &str, service_url: &str) {
        self.endpoints.get_or_init(|| Endpoints {
            builds_url: builds_url.to_owned(),
            service: AwsApi::new(service_url, self.config.credentials.clone()),
        });
    }

    /// A number that grows with every change of any build.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The proxy's ports, once it has connected.
    pub fn endpoints(&self) -> Result<&Endpoints, ApiError> {
        let missing = || {
            ApiError::server(
                "ServiceUnavailableException",
                "the CodeBuild emulator has no proxy yet",
            )
        };
        self.endpoints.get().ok_or_else(missing)
    }

    /// A client for the service's calls in an account and region: projects, roles and events.
    pub fn service(&self, at: &Target) -> Result<AwsApi, ApiError> {
        let keys = account_region::root(at, &self.config.credentials.secret_access_key);
        Ok(self.endpoints()?.service.with_credentials(keys))
    }

    /// The builds, for as long as the guard lives.
    pub fn lock(&self) -> MutexGuard<'_, Builds> {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a build's record and notifies its waiters.
    pub fn update<T>(&self, id: &str, change: impl FnOnce(&mut Build) -> T) -> Option<T> {
        let result = self
            .lock()
            .entries
            .get_mut(id)
            .map(|entry| change(&mut entry.build));
        self.changes.send_modify(|count| *count += 1);
        result
    }
}

impl Builds {
    /// A build of an account and region.
    pub fn of(&self, at: &Target, id: &str) -> Option<&Entry> {
        self.entries.get(id).filter(|entry| entry.build.at == *at)
    }

    /// The build that a token has started, if it has. The token may not be used for anything else.
    pub fn already_started(
        &mut self,
        at: &Target,
        token: Option<&str>,
        input: &Value,
    ) -> Result<Option<String>, ApiError> {
        self.tokens.retain(|_, used| used.since.elapsed() < TOKEN_LIFE);
        let used = |token: &str| self.tokens.get(&(at.clone(), token.to_owned()));
        match token.and_then(|token| Some((token, used(token)?))) {
            Some((_, used)) if used.input == *input => Ok(Some(used.build_id.clone())),
            Some((token, _)) => Err(ApiError::client(
                "InvalidInputException",
                format!("Request parameter mismatch for idempotency token {token}"),
            )),
            None => Ok(None),
        }
    }
}
