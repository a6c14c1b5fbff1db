//! What the output of a command says about its failure: the last error of the AWS CDK, of Terraform, or of any other program.

use super::stack_events::readable;

/// What the output says in one line, if it says anything.
#[must_use]
pub fn error_in(output: &[String]) -> Option<String> {
    cdk(output)
        .or_else(|| terraform(output))
        .or_else(|| last_error(output))
}

/// The line with which the CDK ends: `❌  data-queue failed: ToolkitError: The stack named data-queue failed to deploy:
/// UPDATE_ROLLBACK_COMPLETE: why`.
fn cdk(output: &[String]) -> Option<String> {
    let said = output.iter().find_map(|line| line.trim().strip_prefix('❌'))?;
    let said = said.trim();
    let Some((stack, why)) = said.split_once(" failed: ") else {
        return Some(said.to_owned());
    };
    let why = without_error_name(why);
    let why = after_state(why).map_or(why.to_owned(), readable);
    Some(format!("{stack} failed: {why}"))
}

/// `ToolkitError: why`, `_ToolkitError: why` and `Error: why` are `why`; a `ValidationError` keeps its name.
fn without_error_name(why: &str) -> &str {
    let bare = |name: &str| why.trim_start_matches('_').strip_prefix(name);
    ["ToolkitError: ", "DeploymentError: ", "Error: "]
        .into_iter()
        .find_map(bare)
        .unwrap_or(why)
}

/// The reason that follows the state in which a stack has ended, such as `ROLLBACK_COMPLETE: why`.
fn after_state(why: &str) -> Option<&str> {
    let ends = [
        "ROLLBACK_COMPLETE: ",
        "ROLLBACK_FAILED: ",
        "CREATE_FAILED: ",
        "UPDATE_FAILED: ",
        "DELETE_FAILED: ",
    ];
    let after = ends
        .iter()
        .filter_map(|end| why.split_once(end).map(|(_, after)| after));
    after
        .min_by_key(|after| after.len())
        .filter(|after| !after.trim().is_empty())
}

/// The name of the stack that failed, as the CDK, the SAM CLI or the AWS CLI say it. Of `Data/Queue (data-queue)` the second is
/// the stack's name.
#[must_use]
pub fn failed_stack(output: &[String]) -> Option<&str> {
    output
        .iter()
        .find_map(|line| named_stack(line))
        .filter(|name| !name.is_empty())
}

fn named_stack(line: &str) -> Option<&str> {
    if let Some(said) = line.trim().strip_prefix('❌') {
        let name = said.trim().split_once(" failed")?.0;
        return Some(match name.rsplit_once(" (") {
            Some((_, real)) => real.strip_suffix(')').unwrap_or(real),
            None => name,
        });
    }
    let words = ["create/update the stack: ", "describe-stack-events --stack-name "];
    let after = words.iter().find_map(|words| Some(line.split_once(words)?.1))?;
    after.split([' ', ',']).next()
}

/// The first block of Terraform's errors, `Error: summary`, with the file and line that the block names, and its explanation.
/// Each line begins with `│` unless the output has no such signs.
fn terraform(output: &[String]) -> Option<String> {
    let plain = |line: &String| line.trim_start_matches(['│', '╷', '╵', '|']).trim().to_owned();
    let is_start = |line: &String| line.trim_start().starts_with('│') && plain(line).starts_with("Error: ");
    let start = output.iter().position(is_start)?;
    let block: Vec<String> = output[start..]
        .iter()
        .take_while(|line| line.trim_start().starts_with('│'))
        .map(plain)
        .collect();
    let summary = block[0].strip_prefix("Error: ").unwrap_or(&block[0]);
    let place = block.iter().find_map(|line| {
        let (file, rest) = line.strip_prefix("on ")?.split_once(" line ")?;
        let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
        (!number.is_empty()).then(|| format!("{file} line {number}: "))
    });
    // After the place come the quoted line of the file and a blank line, then the explanation.
    let is_explanation =
        |line: &&String| !line.is_empty() && !line.starts_with("on ") && !line.starts_with("with ");
    let quoted = block.iter().position(|line| {
        line.split_once(": ")
            .is_some_and(|(number, _)| number.parse::<u32>().is_ok())
    });
    let explanation: Vec<&str> = block[quoted.unwrap_or(0) + 1..]
        .iter()
        .filter(is_explanation)
        .map(String::as_str)
        .collect();
    let explanation = explanation.join(" ");
    let detail = match explanation.as_str() {
        "" => String::new(),
        text => format!(": {text}"),
    };
    Some(format!("{}{summary}{detail}", place.unwrap_or_default()))
}

/// The last line that names an error, or else the last line that says anything.
fn last_error(output: &[String]) -> Option<String> {
    let said = || {
        output
            .iter()
            .map(|line| line.trim())
            .filter(|line| says_something(line))
    };
    let named = said().rfind(|line| names_error(line));
    named.or_else(|| said().next_back()).map(str::to_owned)
}

/// Whether a line begins with the name of an error, such as `ValidationError: `, `botocore.exceptions.ClientError: ` or
/// `error: `.
fn names_error(line: &str) -> bool {
    let Some((name, rest)) = line.split_once(':') else {
        return false;
    };
    let is_name = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'));
    let ends = ["Error", "Exception", "error", "ERROR"]
        .iter()
        .any(|end| name.ends_with(end));
    is_name && ends && !rest.trim().is_empty()
}

/// Whether a line says more than that something else has failed, or where in a program.
fn says_something(line: &str) -> bool {
    let frame = line.starts_with("at ") || line.starts_with("File \"") || line.starts_with("Traceback (");
    let noise = [
        "Subprocess exited with error",
        "npm notice",
        "npm ERR! A complete log",
        "npm error A complete log",
        "[notice] ",
        "Node.js v",
        "To perform exactly these actions",
        "to fetch the list of events leading up to the failure",
        "aws cloudformation describe-stack-events",
    ];
    let is_drawn = !line.chars().any(char::is_alphanumeric);
    !(frame || is_drawn || noise.iter().any(|words| line.contains(words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_cdks_last_words_are_recognised() {
        for (output, stack, cause) in [
            (
                "p-d-g-m | 2/4 | 10:17:25 AM | CREATE_FAILED        | AWS::SQS::Queue | Queue (Queue4A7E3555) bad\n\n ❌  p-d-g-m failed: ToolkitError: The stack named p-d-g-m failed creation, it may need to be manually deleted from the AWS console: ROLLBACK_COMPLETE: Resource handler returned message: \"Value 5 for parameter MessageRetentionPeriod is invalid. Reason: Must be between 60 and 1209600. (Service: Sqs, Status Code: 400, Request ID: 1)\" (RequestToken: 2, HandlerErrorCode: InvalidRequest)\n    at FullCloudFormationDeployment.monitorDeployment (/usr/local/lib/node_modules/aws-cdk/lib/index.js:451:10568)",
                Some("p-d-g-m"),
                "p-d-g-m failed: Value 5 for parameter MessageRetentionPeriod is invalid. Reason: Must be between 60 and 1209600.",
            ),
            (
                " ❌  Data/Queue (p-d-g-m-queue) failed: _ToolkitError: The stack named p-d-g-m-queue failed to deploy: UPDATE_ROLLBACK_COMPLETE: why\n",
                Some("p-d-g-m-queue"),
                "Data/Queue (p-d-g-m-queue) failed: why",
            ),
            (
                "❌ p-d-g-m failed: Error: The stack named p-d-g-m failed to deploy: UPDATE_ROLLBACK_COMPLETE",
                Some("p-d-g-m"),
                "p-d-g-m failed: The stack named p-d-g-m failed to deploy: UPDATE_ROLLBACK_COMPLETE",
            ),
            (
                " ❌  p-d-g-m failed: ValidationError: Template format error: Unresolved resource dependencies [Vpc] in the Resources block of the template",
                Some("p-d-g-m"),
                "p-d-g-m failed: ValidationError: Template format error: Unresolved resource dependencies [Vpc] in the Resources block of the template",
            ),
            (
                "/w/node_modules/aws-cdk-lib/aws-ec2/lib/vpc.js:1\n\nValidationError: 'vpcId' is required\n    at path [Stack/Vpc] in aws-cdk-lib.aws_ec2.Vpc\n\nNode.js v20.11.0\nSubprocess exited with error 1",
                None,
                "ValidationError: 'vpcId' is required",
            ),
        ] {
            let output = lines(output);
            assert_eq!(failed_stack(&output), stack);
            assert_eq!(error_in(&output).as_deref(), Some(cause));
        }
    }

    #[test]
    fn a_stack_is_named_by_the_command_lines_of_aws_too() {
        for said in [
            "Failed to create/update the stack. Run the following command\nto fetch the list of events leading up to the failure\naws cloudformation describe-stack-events --stack-name p-d-g-m",
            "Error: Failed to create/update the stack: p-d-g-m, Waiter StackCreateComplete failed: Waiter encountered a terminal failure state",
        ] {
            assert_eq!(failed_stack(&lines(said)), Some("p-d-g-m"));
        }
        assert_eq!(
            failed_stack(&lines("❌ failed\n❌  failed: x\n--stack-name")),
            None
        );
    }

    #[test]
    fn terraforms_errors_are_recognised() {
        for (output, cause) in [
            (
                "aws_sqs_queue.queue: Creating...\n╷\n│ Error: expected message_retention_seconds to be in the range (60 - 1209600), got 5\n│ \n│   with aws_sqs_queue.queue,\n│   on main.tf line 3, in resource \"aws_sqs_queue\" \"queue\":\n│    3:   message_retention_seconds = 5\n│ \n╵",
                "main.tf line 3: expected message_retention_seconds to be in the range (60 - 1209600), got 5",
            ),
            (
                "╷\n│ Error: Reference to undeclared input variable\n│ \n│   on net/vpc.tf line 12, in resource \"aws_vpc\" \"this\":\n│   12:   cidr_block = var.cidr\n│ \n│ An input variable with the name \"cidr\" has not been declared. This variable\n│ can be declared with a variable \"cidr\" {} block.\n╵\n╷\n│ Error: second\n╵",
                "net/vpc.tf line 12: Reference to undeclared input variable: An input variable with the name \"cidr\" has not been declared. This variable can be declared with a variable \"cidr\" {} block.",
            ),
            (
                "│ Error: No valid credential sources found\n",
                "No valid credential sources found",
            ),
        ] {
            assert_eq!(error_in(&lines(output)).as_deref(), Some(cause));
        }
    }

    #[test]
    fn other_programs_have_their_last_words() {
        for (output, cause) in [
            (
                "Traceback (most recent call last):\n  File \"/w/app.py\", line 3, in <module>\n    main()\nbotocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the GetObject operation: no\nnpm notice",
                Some(
                    "botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the GetObject operation: no",
                ),
            ),
            (
                "one\nmake: *** [all] Error 1\n-----",
                Some("make: *** [all] Error 1"),
            ),
            (
                "Failed to create/update the stack. Run the following command\nto fetch the list of events leading up to the failure\naws cloudformation describe-stack-events --stack-name s",
                Some("Failed to create/update the stack. Run the following command"),
            ),
            ("error: file not found\nbye", Some("error: file not found")),
            ("\n---\n", None),
            ("", None),
        ] {
            assert_eq!(error_in(&lines(output)).as_deref(), cause, "{output}");
        }
    }
}
