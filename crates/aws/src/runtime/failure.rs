//! Maps an SDK's error to an error with a name.
//!
//! AWS's error code decides, then the HTTP status, then whether there was an answer at all. The message contains AWS's code
//! and message.

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use seedflow_core::error::{Error, ErrorName, excerpt};

/// The parts of an SDK's error that [`failure`] needs, for any operation.
pub trait SdkFailure {
    /// The error code of AWS's answer.
    fn error_code(&self) -> Option<&str>;
    /// The message of AWS's answer.
    fn error_message(&self) -> Option<&str>;
    /// The HTTP status of the answer, if there was one.
    fn http_status(&self) -> Option<u16>;
    /// The cause, if there was no answer.
    fn cause(&self) -> String;
}

impl<E> SdkFailure
    for aws_smithy_runtime_api::client::result::SdkError<E, aws_smithy_runtime_api::http::Response>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn error_code(&self) -> Option<&str> {
        self.as_service_error().and_then(ProvideErrorMetadata::code)
    }

    fn error_message(&self) -> Option<&str> {
        self.as_service_error().and_then(ProvideErrorMetadata::message)
    }

    fn http_status(&self) -> Option<u16> {
        self.raw_response().map(|response| response.status().as_u16())
    }

    fn cause(&self) -> String {
        let mut cause: &dyn std::error::Error = self;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        cause.to_string()
    }
}

/// AWS's error codes for throttling (SDKs and Tools reference guide, "Retry behavior", throttling errors).
const THROTTLED: [&str; 14] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "TooManyUpdates",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "SlowDown",
    "PriorRequestNotComplete",
    // IAM's answer to two concurrent changes of one role: "wait a few minutes and submit your request again" (API
    // reference, CreateRole and DeleteRole).
    "ConcurrentModification",
];

/// The error of a call; `call` is for example `"SSM PutParameter /sf/…"`.
#[must_use]
pub fn failure(call: &str, error: &impl SdkFailure) -> Error {
    let Some(status) = error.http_status() else {
        let cause = excerpt(&error.cause(), 300);
        return Error::new(
            ErrorName::ServiceUnavailable,
            format!("{call}: no answer from AWS: {cause}"),
        );
    };
    let code = error.error_code().unwrap_or("no code");
    let message = excerpt(error.error_message().unwrap_or("no message"), 600);
    Error::new(
        name_of(code, status),
        format!("{call}: {code} (HTTP {status}): {message}"),
    )
}

fn name_of(code: &str, status: u16) -> ErrorName {
    match code {
        "AccountLimitExceededException" => ErrorName::AccountLimitExceeded,
        _ if THROTTLED.contains(&code) || status == 429 => ErrorName::Throttled,
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "Forbidden" => {
            ErrorName::AccessDenied
        }
        // S3 closed a connection that was idle for too long; HTTP 400 (S3 API reference, "Error responses").
        "RequestTimeout" | "RequestTimeoutException" => ErrorName::ServiceUnavailable,
        _ if status >= 500 => ErrorName::ServiceUnavailable,
        _ if status == 403 => ErrorName::AccessDenied,
        _ => ErrorName::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Answer(Option<&'static str>, Option<u16>);

    impl SdkFailure for Answer {
        fn error_code(&self) -> Option<&str> {
            self.0
        }
        fn error_message(&self) -> Option<&str> {
            Some("Rate exceeded")
        }
        fn http_status(&self) -> Option<u16> {
            self.1
        }
        fn cause(&self) -> String {
            "connection refused".to_owned()
        }
    }

    #[test]
    fn aws_answers_have_the_names_that_the_state_machine_decides_by() {
        for (code, status, name) in [
            (Some("ThrottlingException"), 400, ErrorName::Throttled),
            (Some("TooManyUpdates"), 400, ErrorName::Throttled),
            (Some("ConcurrentModification"), 409, ErrorName::Throttled),
            (Some("SlowDown"), 503, ErrorName::Throttled),
            (None, 429, ErrorName::Throttled),
            (Some("InternalServerError"), 500, ErrorName::ServiceUnavailable),
            (None, 503, ErrorName::ServiceUnavailable),
            (Some("RequestTimeout"), 400, ErrorName::ServiceUnavailable),
            (Some("AccessDeniedException"), 400, ErrorName::AccessDenied),
            (Some("AccessDenied"), 403, ErrorName::AccessDenied),
            (
                Some("AccountLimitExceededException"),
                400,
                ErrorName::AccountLimitExceeded,
            ),
            (Some("ValidationException"), 400, ErrorName::Refused),
        ] {
            let error = failure("SSM PutParameter", &Answer(code, Some(status)));
            assert_eq!(error.name, name, "{error}");
            assert!(error.message.starts_with("SSM PutParameter: "), "{error}");
        }
        assert_eq!(
            failure("c", &Answer(None, None)).name,
            ErrorName::ServiceUnavailable
        );
    }
}
