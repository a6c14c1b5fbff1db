//! A plain HTTP client for tests of the proxy.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Sends a request; an error is a connection that was closed instead of answered.
pub async fn send(
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), hyper_util::client::legacy::Error> {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await?;
    let status = answer.status();
    Ok((status, answer.into_body().collect().await.unwrap().to_bytes()))
}

/// Calls an operation of the JSON protocol.
pub async fn json_call(endpoint: &str, target: &str, input: &Value) -> Result<(StatusCode, Value), ()> {
    let request = Request::post(endpoint).header("x-amz-target", target);
    let (status, body) = send(request.body(Full::from(input.to_string())).unwrap())
        .await
        .map_err(drop)?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

/// Calls the proxy's own pages.
pub async fn control(method: &str, url: String, body: &Value) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .body(Full::from(body.to_string()))
        .unwrap();
    let (status, body) = send(request).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}
