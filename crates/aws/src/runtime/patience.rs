//! How often a call without any answer is repeated for a person who waits.
//!
//! The SDK repeats a call after throttling and after a lost connection equally often. For a person these differ:
//! throttling ends by itself after some minutes, but an address at which nothing answers is wrong. So the number of tries
//! is the one for throttling, and the connector stops a call without an answer earlier.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;

/// How often a call without an answer is made. The SDK pauses for less than three seconds in between.
const TRIES: u32 = 3;
/// The header in which the SDK counts: `attempt=2; max=12` (AWS SDKs and Tools reference guide, "Retry behavior").
const COUNT: &str = "amz-sdk-request";

/// The same client, which gives up after a few tries without an answer: the SDK doesn't repeat the last one.
pub(super) fn for_people(client: SharedHttpClient) -> SharedHttpClient {
    http_client_fn(move |settings, components| {
        SharedHttpConnector::new(GivesUp(client.http_connector(settings, components)))
    })
}

#[derive(Debug)]
struct GivesUp(SharedHttpConnector);

impl HttpConnector for GivesUp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let is_last = attempt(&request) >= TRIES;
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            // An error of an unknown kind is not repeated.
            let end = |error: ConnectorError| match is_last {
                true => ConnectorError::other(error.into_source(), None),
                false => error,
            };
            answer.await.map_err(end)
        })
    }
}

/// Which try a request is; the first if nothing counts.
fn attempt(request: &HttpRequest) -> u32 {
    let count = request.headers().get(COUNT).and_then(|count| {
        let number = count
            .split(';')
            .find_map(|part| part.trim().strip_prefix("attempt="));
        number?.parse().ok()
    });
    count.unwrap_or(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aws_smithy_types::body::SdkBody;

    /// Nothing answers.
    #[derive(Debug)]
    struct Nobody;

    impl HttpConnector for Nobody {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::ready(Err(ConnectorError::io("connection refused".into())))
        }
    }

    #[tokio::test]
    async fn a_call_without_an_answer_is_repeated_a_few_times_only() {
        for (count, is_repeated) in [
            (None, true),
            (Some("attempt=1; max=12"), true),
            (Some("attempt=2; max=12"), true),
            (Some("ttl=20261129T120000Z; attempt=3; max=12"), false),
            (Some("attempt=11; max=12"), false),
        ] {
            let mut request = HttpRequest::new(SdkBody::empty());
            if let Some(count) = count {
                request.headers_mut().insert(COUNT, count);
            }
            let connector = GivesUp(SharedHttpConnector::new(Nobody));
            let error = connector.call(request).await.unwrap_err();
            assert_eq!(error.is_io(), is_repeated, "{count:?}");
            assert!(format!("{:?}", error).contains("connection refused"), "{error:?}");
        }
    }
}
