//! Counts, rules and rates over HTTP, for whoever isn't Rust: `/_seedflow/calls`, `/_seedflow/rules` and
//! `/_seedflow/parameter-store`.
//!
//! GET reads each; DELETE resets the counts, removes the rules (`/_seedflow/rules/3` removes one) or lifts the
//! rates; POST adds a rule and answers its id; PUT sets the rates.

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::answer::response;
use super::rules::{Rule, RuleId};
use super::{Body, BodyExt, Calls, Response, State};

/// What the paths begin with.
pub const PREFIX: &str = "/_seedflow/";

/// Answers one request.
pub async fn serve(state: &State, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_start_matches(PREFIX).trim_end_matches('/');
    let answer = match (&head.method, path) {
        (&Method::GET, "calls") => Ok(json!(*state.calls.borrow())),
        (&Method::DELETE, "calls") => {
            state.calls.send_replace(Calls::default());
            Ok(json!({}))
        }
        (&Method::GET, "rules") => Ok(json!(state.rules.list())),
        (&Method::POST, "rules") => add_rule(state, &body.collect().await?.to_bytes()),
        (&Method::DELETE, "rules") => {
            state.rules.clear();
            Ok(json!({}))
        }
        (&Method::GET, "parameter-store") => {
            Ok(json!({"rates": state.rates.rates(), "traffic": state.rates.traffic()}))
        }
        (&Method::PUT, "parameter-store") => set_rates(state, &body.collect().await?.to_bytes()),
        (&Method::DELETE, "parameter-store") => {
            state.rates.set(None);
            Ok(json!({}))
        }
        (&Method::DELETE, path) => remove_rule(state, path),
        _ => Err((
            StatusCode::NOT_FOUND,
            "there are calls, rules and parameter-store here".to_owned(),
        )),
    };
    let (status, json) = match answer {
        Ok(json) => (StatusCode::OK, json),
        Err((status, message)) => (status, json!({"message": message})),
    };
    Ok(response(status, "application/json", json.to_string()))
}

fn add_rule(state: &State, body: &[u8]) -> Result<Value, (StatusCode, String)> {
    let rule: Rule = serde_json::from_slice(body).map_err(|e| (StatusCode::BAD_REQUEST, e.to_string()))?;
    Ok(json!({"id": state.rules.add(rule)}))
}

fn set_rates(state: &State, body: &[u8]) -> Result<Value, (StatusCode, String)> {
    let rates = serde_json::from_slice(body).map_err(|e| (StatusCode::BAD_REQUEST, e.to_string()))?;
    state.rates.set(Some(rates));
    Ok(json!({}))
}

fn remove_rule(state: &State, path: &str) -> Result<Value, (StatusCode, String)> {
    let id = path
        .strip_prefix("rules/")
        .and_then(|id| id.parse().ok())
        .map(RuleId);
    match id {
        Some(id) if state.rules.remove(id) => Ok(json!({})),
        _ => Err((StatusCode::NOT_FOUND, "there is no such rule".to_owned())),
    }
}
