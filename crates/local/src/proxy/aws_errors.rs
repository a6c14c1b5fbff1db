//! AWS's usual errors in each service's words, so that a test asks for "throttled" by name.

use super::rules::Action;
use crate::aws_api::ApiError;

/// The error of a caller that is too fast.
pub fn throttled(service: &str) -> ApiError {
    let (status, code, message) = match service {
        // https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        "s3" => (503, "SlowDown", "Please reduce your request rate."),
        // The Query protocol has names of its own:
        // https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html
        "cloudformation" | "iam" | "sts" => (400, "Throttling", "Rate exceeded"),
        // https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html, which
        // CodeBuild and Step Functions have in the same words.
        _ => (400, "ThrottlingException", "Rate exceeded"),
    };
    ApiError {
        status,
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

impl Action {
    /// The error of a caller that is too fast.
    #[must_use]
    pub fn throttled(service: &str) -> Self {
        let ApiError {
            status,
            code,
            message,
        } = throttled(service);
        Self::Refuse {
            status,
            code,
            message,
        }
    }

    /// A failure of the service itself: 5xx.
    #[must_use]
    pub fn unavailable(service: &str) -> Self {
        match service {
            // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
            "ssm" => refuse(
                500,
                "InternalServerError",
                "An error occurred on the server side.",
            ),
            // https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
            "s3" => refuse(
                500,
                "InternalError",
                "We encountered an internal error. Please try again.",
            ),
            // https://docs.aws.amazon.com/codebuild/latest/APIReference/CommonErrors.html, which
            // CloudFormation and Step Functions have in the same words.
            _ => refuse(
                503,
                "ServiceUnavailable",
                "The request has failed due to a temporary failure of the server.",
            ),
        }
    }
}

fn refuse(status: u16, code: &str, message: &str) -> Action {
    Action::Refuse {
        status,
        code: code.to_owned(),
        message: message.to_owned(),
    }
}
