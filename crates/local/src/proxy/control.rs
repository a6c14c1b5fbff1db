//! Counts, rules and quotas over HTTP, for clients in other languages: `/_seedflow/calls`, `/_seedflow/rules` and
//! `/_seedflow/quotas`.
//!
//! GET reads each; DELETE resets the counts, removes the rules (`/_seedflow/rules/3` removes one) or lifts the
//! quotas; POST adds a rule and answers its id; PUT sets the quotas.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::answer::response;
use super::body::Body;
use super::calls::Calls;
use super::quotas::{Limiter, Quota};
use super::rules::{Rule, RuleId, RuleSet};

/// What the paths begin with.
pub const PREFIX: &str = "/_seedflow/";

/// What can be read and set while the proxy runs.
pub struct Controls {
    pub calls: watch::Sender<Calls>,
    pub rules: RuleSet,
    pub quotas: Limiter,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            calls: watch::channel(Calls::default()).0,
            rules: RuleSet::default(),
            quotas: Limiter::default(),
        }
    }
}

pub async fn serve(controls: &Controls, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_start_matches(PREFIX).trim_end_matches('/');
    let answer = match (&head.method, path) {
        (&Method::GET, "calls") => Ok(json!(*controls.calls.borrow())),
        (&Method::DELETE, "calls") => {
            controls.calls.send_replace(Calls::default());
            Ok(json!({}))
        }
        (&Method::GET, "rules") => Ok(json!(controls.rules.list())),
        (&Method::POST, "rules") => add_rule(controls, &body.collect().await?.to_bytes()),
        (&Method::DELETE, "rules") => {
            controls.rules.clear();
            Ok(json!({}))
        }
        (&Method::GET, "quotas") => Ok(json!(controls.quotas.limited())),
        (&Method::PUT, "quotas") => set_quotas(controls, &body.collect().await?.to_bytes()),
        (&Method::DELETE, "quotas") => {
            controls.quotas.set(&[]);
            Ok(json!({}))
        }
        (&Method::DELETE, path) => remove_rule(controls, path),
        _ => Err((
            StatusCode::NOT_FOUND,
            "expected calls, rules or quotas".to_owned(),
        )),
    };
    let (status, json) = match answer {
        Ok(json) => (StatusCode::OK, json),
        Err((status, message)) => (status, json!({"message": message})),
    };
    Ok(response(status, "application/json", json.to_string()))
}

fn add_rule(controls: &Controls, body: &[u8]) -> Result<Value, (StatusCode, String)> {
    let rule: Rule = serde_json::from_slice(body).map_err(|e| (StatusCode::BAD_REQUEST, e.to_string()))?;
    Ok(json!({"id": controls.rules.add(rule)}))
}

fn set_quotas(controls: &Controls, body: &[u8]) -> Result<Value, (StatusCode, String)> {
    let quotas: Vec<Quota> =
        serde_json::from_slice(body).map_err(|e| (StatusCode::BAD_REQUEST, e.to_string()))?;
    controls.quotas.set(&quotas);
    Ok(json!({}))
}

fn remove_rule(controls: &Controls, path: &str) -> Result<Value, (StatusCode, String)> {
    let id = path
        .strip_prefix("rules/")
        .and_then(|id| id.parse().ok())
        .map(RuleId);
    match id {
        Some(id) if controls.rules.remove(id) => Ok(json!({})),
        _ => Err((StatusCode::NOT_FOUND, "no such rule".to_owned())),
    }
}
