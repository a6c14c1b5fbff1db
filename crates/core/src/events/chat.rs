//! What a chat channel gets: a custom notification of Amazon Q Developer in chat applications, for Slack and Microsoft
//! Teams.
//!
//! An event that is sent to people carries it as its field `chat`, and the rule that mails the event's `message` sends
//! this to the topic of the channels, unchanged. The causes in it come from commands of modules and must not become a
//! link, a mention or other markup. So they are in a code block, without the characters that end such a block or that
//! Slack reads as markup there (`<!channel>`).

use serde::{Deserialize, Serialize};

use crate::error::excerpt;
use crate::module::refusal::Refusal;
use crate::started_by::StartedBy;

/// The longest title and description (Amazon Q Developer in chat applications administrator guide, "Custom notifications",
/// OpenAPI schema). The rest has none, and is short.
const MAX_TITLE: usize = 250;
const MAX_DESCRIPTION: usize = 8000;
/// The longest cause: more would not be read in a chat.
const MAX_CAUSE: usize = 1500;

/// A notification, as the guide's schema has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatNotification {
    version: String,
    source: String,
    content: Content,
    metadata: Metadata,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    text_type: String,
    title: String,
    description: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    next_steps: Vec<String>,
    keywords: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    /// What has the same one is shown as one thread.
    thread_id: String,
    summary: String,
}

/// What happened, for a notification.
#[derive(Debug, Default)]
pub struct Happened<'a> {
    /// Of what: `{project}/{deployment}` or `{project}/{deployment}/{group}/{module}`. Its notifications are one thread.
    pub of: String,
    /// What happened to it, such as `failed`.
    pub what: String,
    /// Why, in words that others may have written.
    pub cause: Option<String>,
    /// Who started the execution.
    pub started_by: Option<&'a StartedBy>,
    /// Where to look: a name, and an address of AWS's console.
    pub links: Vec<(&'static str, String)>,
    /// What to do now.
    pub commands: Vec<String>,
}

impl Happened<'_> {
    /// The notification.
    #[must_use]
    pub fn notification(&self) -> ChatNotification {
        let title = plain(&format!("{} {}", self.of, self.what), MAX_TITLE);
        let mut lines = Vec::new();
        if let Some(cause) = &self.cause {
            lines.push(format!("```\n{}\n```", plain(cause, MAX_CAUSE)));
        }
        if let Some(by) = self.started_by {
            lines.push(format!("Started by `{}`", plain(&by.to_string(), MAX_TITLE)));
        }
        for (name, url) in &self.links {
            lines.push(format!("{name}: {url}"));
        }
        // A description is required.
        if lines.is_empty() {
            lines.push(title.clone());
        }
        let commands = self.commands.iter();
        ChatNotification {
            version: "1.0".to_owned(),
            source: "custom".to_owned(),
            content: Content {
                text_type: "client-markdown".to_owned(),
                title: title.clone(),
                description: excerpt(&lines.join("\n"), MAX_DESCRIPTION - 1),
                next_steps: commands
                    .map(|command| format!("`{}`", plain(command, MAX_CAUSE)))
                    .collect(),
                keywords: self.of.split('/').take(2).map(str::to_owned).collect(),
            },
            metadata: Metadata {
                thread_id: self.of.clone(),
                summary: title,
            },
        }
    }
}

/// What to do after a request was refused with this error: to check the files if they are wrong, else to read the report.
pub fn after_refusal(error: Option<&str>, report: String) -> String {
    match Refusal::is_found_by_check(error) {
        true => "seedflow check .".to_owned(),
        false => report,
    }
}

/// A text without markup, of bounded length. Lines stay: a cause may have several.
fn plain(text: &str, limit: usize) -> String {
    let inert: String = text
        .chars()
        .map(|c| match c {
            '<' => '‹',
            '>' => '›',
            '`' => '\'',
            '\n' => '\n',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    excerpt(inert.trim(), limit - 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn shown(happened: &Happened<'_>) -> Value {
        serde_json::to_value(happened.notification()).unwrap()
    }

    #[test]
    fn a_notification_has_the_fields_of_the_guide() {
        let by = StartedBy::claim("arn:aws:iam::123456789012:user/ada").unwrap();
        let notification = shown(&Happened {
            of: "shop/prod/network/vpc".to_owned(),
            what: "failed".to_owned(),
            cause: Some("no space left".to_owned()),
            started_by: Some(&by),
            links: vec![("Log", "https://console.aws.amazon.com/x".to_owned())],
            commands: vec!["seedflow retry e-1".to_owned()],
        });
        assert_eq!(
            notification,
            json!({
                "version": "1.0",
                "source": "custom",
                "content": {
                    "textType": "client-markdown",
                    "title": "shop/prod/network/vpc failed",
                    "description": "```\nno space left\n```\nStarted by `arn:aws:iam::123456789012:user/ada (unproven)`\nLog: https://console.aws.amazon.com/x",
                    "nextSteps": ["`seedflow retry e-1`"],
                    "keywords": ["shop", "prod"],
                },
                "metadata": {"threadId": "shop/prod/network/vpc", "summary": "shop/prod/network/vpc failed"},
            })
        );
    }

    #[test]
    fn a_cause_mentions_nobody_and_leads_nowhere() {
        let notification = shown(&Happened {
            cause: Some("```<!channel> <https://evil.example|Approve>\u{7}".to_owned()),
            ..Happened::default()
        });
        let description = notification["content"]["description"].as_str().unwrap();
        assert_eq!(
            description,
            "```\n'''‹!channel› ‹https://evil.example|Approve›\n```"
        );
    }

    #[test]
    fn only_files_that_are_wrong_are_checked_after_a_refusal() {
        let after = |error| after_refusal(error, "report".to_owned());
        assert_eq!(after(Some("InvalidManifest")), "seedflow check .");
        assert_eq!(after(Some("InvalidDeployspec")), "seedflow check .");
        for other in [
            Some("DeniedByPolicy"),
            Some("DeploymentBusy"),
            Some("ApprovalRejected"),
            None,
        ] {
            assert_eq!(after(other), "report", "{other:?}");
        }
    }

    #[test]
    fn everything_stays_within_the_limits_of_the_guide() {
        let long = "x".repeat(20_000);
        let notification = shown(&Happened {
            what: long.clone(),
            cause: Some(long.clone()),
            links: vec![("Log", long.clone())],
            ..Happened::default()
        });
        let length = |field: &str| notification["content"][field].as_str().unwrap().chars().count();
        assert_eq!(
            (length("title"), length("description")),
            (MAX_TITLE, MAX_DESCRIPTION)
        );
        let nothing = shown(&Happened {
            of: "shop/dev".to_owned(),
            what: "was deployed".to_owned(),
            ..Happened::default()
        });
        assert_eq!(nothing["content"]["description"], "shop/dev was deployed");
        assert!(nothing["content"].get("nextSteps").is_none());
    }
}
