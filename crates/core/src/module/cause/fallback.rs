//! The cause of a failure with nothing known but the error's name and message.

use super::line::{line, one_line};
use crate::module::own_commands::{OWN_PART, is_own};

/// One sentence for people about an error, from its name and its message.
#[must_use]
pub fn of_error(error: &str, message: &str) -> String {
    let message = one_line(message);
    let said = match says_nothing(error, &message) {
        true => sentence(error).to_owned(),
        false => with_message(error, &message),
    };
    line(&said)
}

/// Whether a message has nothing to say: it is empty, or what Seedflow writes in the place of a missing one.
fn says_nothing(error: &str, message: &str) -> bool {
    message.is_empty() || message == error || message.ends_with(", without a cause")
}

/// What is known of an error by its name alone.
fn sentence(error: &str) -> &'static str {
    match error {
        "BuildFailed" => "The build failed, and CodeBuild gave no reason",
        "BuildTimedOut" => "The build took longer than its timeout",
        "BuildStopped" => "The build was stopped",
        "BuildFault" => "CodeBuild could not run the build",
        "ExecutionAborted" => "The execution was stopped before it ended",
        "DeploymentAborted" => "The deployment that this execution belongs to was stopped",
        "ExecutionFailed" => "The execution failed and could not record why",
        "States.Timeout" | "States.HeartbeatTimeout" => {
            "A step of the execution did not end within its time limit"
        }
        "States.DataLimitExceeded" => "A step of the execution returned more than Step Functions carries",
        "Sandbox.Timedout" => "A function of Seedflow did not end within its time limit",
        "AccessDenied" => "AWS denied access to something that the execution needs",
        "Throttled" => "AWS throttled a call and all its retries",
        "ServiceUnavailable" => "AWS did not answer a call or any of its retries",
        "AccountLimitExceeded" => "The account was at its limit of concurrent builds for too long",
        "LockLost" => "The execution no longer held its lock, so it wrote nothing",
        "BuildNotFound" => "CodeBuild no longer knows the build",
        _ if is_crash(error) => "A function of Seedflow crashed, also when it was repeated",
        _ if error.starts_with("States.") => "Step Functions could not run a step of the execution",
        _ => "It failed, and no message says why",
    }
}

/// The names by which Step Functions reports a function that ended without an answer.
fn is_crash(error: &str) -> bool {
    ["Lambda.", "Runtime.", "Sandbox.", "Function."]
        .iter()
        .any(|prefix| error.starts_with(prefix))
}

/// A sentence with what the message says.
fn with_message(error: &str, message: &str) -> String {
    match error {
        "BuildFailed" | "BuildFault" | "BuildTimedOut" | "BuildStopped" => build(error, message),
        "ExecutionAborted" | "DeploymentAborted" | "ExecutionFailed" => capital(message),
        // A timeout that ended the whole execution has a message of Seedflow; that of a step has one of Step Functions.
        "States.Timeout" if message.starts_with("the execution timed out") => capital(message),
        "InvalidInput" => format!("The input is not valid: {message}"),
        "InvalidManifest" => format!("The manifest is not valid: {message}"),
        "InvalidBundle" => format!("The bundle can't be used: {message}"),
        "InvalidDeployspec" => format!("The deployspec is not valid: {message}"),
        "InvalidModuleStack" => format!("The module's modulestack.yaml can't be used: {message}"),
        "ModuleStackFailed" => format!("The stack of the module's role failed: {message}"),
        "ModuleStackTimedOut" => format!("The stack of the module's role was not ready in time: {message}"),
        "SourceNotFound" => format!("The source was not found: {message}"),
        "SourceUnavailable" => format!("The source can't be fetched: {message}"),
        "DeniedByPolicy" => format!("The policy of the deployment does not allow it: {message}"),
        "PolicyNotEvaluated" => format!("The policy of the deployment can't be evaluated: {message}"),
        "AccessDenied" => format!("AWS denied access: {}", of_aws(message)),
        "Refused" => format!("A call was refused: {}", of_aws(message)),
        "Throttled" => format!("AWS throttled a call for too long: {}", of_aws(message)),
        "ServiceUnavailable" => format!("AWS was not available: {}", of_aws(message)),
        "AccountLimitExceeded" => format!(
            "The account's limit of concurrent builds was reached: {}",
            of_aws(message)
        ),
        _ if is_crash(error) || error.starts_with("States.") => {
            format!("{} ({error}: {message})", sentence(error))
        }
        _ => capital(message),
    }
}

/// AWS's answer without the code and the HTTP status between call and message: `S3 GetObject k: SlowDown (HTTP 503): text`.
fn of_aws(message: &str) -> String {
    let shortened = message.split_once(" (HTTP ").and_then(|(before, after)| {
        let (call, _code) = before.rsplit_once(": ")?;
        let (_status, text) = after.split_once("): ")?;
        Some(format!("{call}: {text}"))
    });
    shortened.unwrap_or_else(|| message.to_owned())
}

/// The failure of a build, from what [`crate::workflow::build_outcome::BuildOutcome::explain`] says about it.
fn build(error: &str, message: &str) -> String {
    let quoted = message.split_once("Error while executing command: ");
    let Some((_, quoted)) = quoted.filter(|_| error == "BuildFailed") else {
        return capital(&message.replacen(" in BUILD: ", " in its build phase: ", 1));
    };
    // CodeBuild may have cut what it says.
    let (command, reason) = quoted.rsplit_once(". Reason: ").unwrap_or((quoted, ""));
    let (reason, repair) = reason.split_once("; ").unwrap_or((reason, ""));
    let failed = match is_own(command) {
        true => OWN_PART.to_owned(),
        false => format!(
            "The command `{}`",
            crate::error::excerpt(command.trim_end(), MAX_COMMAND)
        ),
    };
    let with = |word: &str, text: &str| match text {
        "" => String::new(),
        text => format!("{word}{text}"),
    };
    format!("{failed} failed{}{}", with(" with ", reason), with("; ", repair))
}

/// The longest command in a cause.
const MAX_COMMAND: usize = 160;

/// The text with a capital letter, unless its first word is a name such as of a field or a file.
fn capital(text: &str) -> String {
    let first = text.split(' ').next().unwrap_or_default();
    let is_word = first.chars().all(|c| c.is_ascii_lowercase());
    match text.chars().next() {
        Some(c) if is_word => c.to_uppercase().chain(text.chars().skip(1)).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_cut_and_its_end_is_not() {
        let message = format!(
            "build failed in BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: {}. Reason: exit status 2; name a source",
            "x".repeat(900)
        );
        let command = "x".repeat(MAX_COMMAND);
        assert_eq!(
            of_error("BuildFailed", &message),
            format!("The command `{command}…` failed with exit status 2; name a source")
        );
    }

    #[test]
    fn neither_our_commands_nor_codebuilds_words_are_in_a_cause() {
        for (said, cause) in [
            (
                "aws cloudformation deploy --stack-name s\n. Reason: exit status 255",
                "The command `aws cloudformation deploy --stack-name s` failed with exit status 255",
            ),
            (
                "eval \"$SEEDFLOW_SETUP\". Reason: exit status 1",
                "Seedflow's own part of the build failed with exit status 1",
            ),
            ("make a lo", "The command `make a lo` failed"),
        ] {
            let message = format!(
                "build failed in BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: {said}"
            );
            assert_eq!(of_error("BuildFailed", &message), cause);
        }
    }

    #[test]
    fn every_kind_of_failure_has_a_sentence() {
        for (error, message, cause) in [
            (
                "BuildFailed",
                "build failed in BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: cdk deploy. Reason: exit status 1",
                "The command `cdk deploy` failed with exit status 1",
            ),
            (
                "BuildFailed",
                "build failed in DOWNLOAD_SOURCE: CLIENT_ERROR: no such key",
                "Build failed in DOWNLOAD_SOURCE: CLIENT_ERROR: no such key",
            ),
            (
                "BuildTimedOut",
                "build timed out in BUILD",
                "Build timed out in BUILD",
            ),
            ("BuildStopped", "", "The build was stopped"),
            (
                "States.Timeout",
                "States.Timeout, without a cause",
                "A step of the execution did not end within its time limit",
            ),
            (
                "ExecutionAborted",
                "the execution was stopped: wrong branch",
                "The execution was stopped: wrong branch",
            ),
            (
                "AccessDenied",
                "SSM GetParameters /a: AccessDeniedException (HTTP 400): User: x is not authorized to perform: ssm:GetParameters",
                "AWS denied access: SSM GetParameters /a: User: x is not authorized to perform: ssm:GetParameters",
            ),
            (
                "ServiceUnavailable",
                "SSM PutParameter /a: no answer from AWS: timed out",
                "AWS was not available: SSM PutParameter /a: no answer from AWS: timed out",
            ),
            (
                "InvalidBundle",
                "the zip is damaged",
                "The bundle can't be used: the zip is damaged",
            ),
            (
                "Runtime.ExitError",
                "RequestId: 1 Error: Runtime exited with error: signal: killed",
                "A function of Seedflow crashed, also when it was repeated (Runtime.ExitError: RequestId: 1 Error: Runtime exited with error: signal: killed)",
            ),
            ("Changed.My.Mind", "group: wrong\nbranch", "group: wrong branch"),
            ("Changed.My.Mind", "", "It failed, and no message says why"),
        ] {
            assert_eq!(of_error(error, message), cause, "{error}: {message}");
        }
    }

    #[test]
    fn no_name_of_an_error_is_without_a_sentence() {
        for name in crate::error::ErrorName::ALL {
            for message in ["", "\u{1b}[0m\n", "why"] {
                let cause = of_error(name.as_str(), message);
                assert!(
                    !cause.is_empty() && cause != message && cause != name.as_str(),
                    "{name}"
                );
            }
        }
    }
}
