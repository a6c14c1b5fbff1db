//! Answers that don't come from the emulator, in the request's protocol.

use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::body::{Body, full};
use super::classify::{Call, Protocol};
use crate::aws_api::ApiError;

const JSON: &str = "application/x-amz-json-1.1";
const XML: &str = "application/xml";

/// A good answer in JSON.
pub fn json(body: &Value) -> Response<Body> {
    response(StatusCode::OK, JSON, body.to_string())
}

pub fn error(head: &Parts, call: &Call, error: &ApiError) -> Response<Body> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (code, message) = (escape(&error.code), escape(&error.message));
    let (kind, body) = match call.protocol {
        Protocol::Json | Protocol::RestJson => (JSON, error.to_json().to_string()),
        Protocol::RestXml => (
            XML,
            format!(
                "<Error><Code>{code}</Code><Message>{message}</Message><RequestId>seedflow</RequestId></Error>"
            ),
        ),
        Protocol::Query => {
            let side = if error.status < 500 { "Sender" } else { "Receiver" };
            let error = format!("<Type>{side}</Type><Code>{code}</Code><Message>{message}</Message>");
            let id = "<RequestId>seedflow</RequestId>";
            (
                XML,
                format!("<ErrorResponse><Error>{error}</Error>{id}</ErrorResponse>"),
            )
        }
    };
    let body = if head.method == Method::HEAD {
        String::new()
    } else {
        body
    };
    let mut response = response(status, kind, body);
    if let Ok(code) = error.code.parse() {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}

/// The answer to a discarded request: the service's success.
pub fn discarded(call: &Call, body: &[u8]) -> Response<Body> {
    if call.operation == "PutEvents" {
        let ids: Vec<Value> = (0..entries(body))
            .map(|_| json!({"EventId": uuid::Uuid::new_v4().to_string()}))
            .collect();
        return json(&json!({"FailedEntryCount": 0, "Entries": ids}));
    }
    match call.protocol {
        Protocol::Json | Protocol::RestJson => json(&json!({})),
        Protocol::RestXml => response(StatusCode::OK, XML, String::new()),
        Protocol::Query => {
            let name = format!("{}Response", call.operation);
            response(StatusCode::OK, XML, format!("<{name}></{name}>"))
        }
    }
}

/// EventBridge's answer when it accepts none of the events (API reference, PutEvents).
pub fn failed_entries(body: &[u8]) -> Response<Body> {
    let count = entries(body);
    let failed = json!({"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"});
    json(&json!({"FailedEntryCount": count, "Entries": vec![failed; count]}))
}

/// How many events a request has.
fn entries(body: &[u8]) -> usize {
    let request = serde_json::from_slice::<Value>(body).unwrap_or_default();
    request["Entries"].as_array().map_or(0, Vec::len)
}

/// An answer of any kind.
pub fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
