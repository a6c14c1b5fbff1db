//! The document of a policy, parsed once: a [`DeploymentPolicy`] is valid.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::approval::{ApprovalMode, ApprovalRule, DEFAULT_EXPIRY, duration};
use super::freeze::{Freeze, MAX_REASON};
use super::pattern::Pattern;
use super::principal::PrincipalPattern;
use crate::error::{Result, expected};
use crate::formats::json_fields::{JsonFields, describe};

/// The longest document, in bytes.
pub const MAX_BYTES: u64 = 64 * 1024;
/// The most patterns, and the most freezes.
const MAX_ENTRIES: usize = 200;
/// The highest number of destructions that can be written.
const MAX_DESTROYS: u64 = 100_000;

/// The policy of a deployment.
#[derive(Debug, Clone, Default)]
pub struct DeploymentPolicy {
    /// The modules that are never destroyed.
    pub protect: Vec<Pattern>,
    /// The most modules that one deployment destroys.
    pub max_destroys: Option<usize>,
    /// When nothing is deployed or destroyed.
    pub freeze: Vec<Freeze>,
    /// Why nothing starts; running builds finish.
    pub stopped: Option<String>,
    /// Which plans wait for a person, and who that may be.
    pub approval: ApprovalRule,
    /// Whether a deployment that fails is rolled back.
    pub rolls_back: bool,
}

/// The values of `on_failure`.
const ON_FAILURE: [&str; 2] = ["stop", "rollback"];

impl DeploymentPolicy {
    /// Parses a document.
    ///
    /// # Errors
    /// Everything that is wrong with it, each beginning with the field.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<String>> {
        let value: Value =
            serde_json::from_slice(text).map_err(|e| vec![format!("expected a JSON document, found {e}")])?;
        let mut fields = JsonFields::of("policy", &value).map_err(|e| vec![e.message])?;
        let mut problems = Vec::new();
        let protect = list(fields.any("protect"), "protect", &mut problems, |path, value| {
            Pattern::parse(path, value).map_err(|problem| vec![problem])
        });
        let max_destroys = keep(fields.number("max_destroys", 0, MAX_DESTROYS), &mut problems);
        let freeze = list(fields.any("freeze"), "freeze", &mut problems, Freeze::parse);
        let stopped = keep(fields.text("stopped"), &mut problems);
        if let Some(stopped) = stopped.as_ref().filter(|text| text.chars().count() > MAX_REASON) {
            let found = format!("{} characters", stopped.chars().count());
            let allowed = format!("at most {} characters", MAX_REASON);
            problems.push(format!("policy.stopped: {}", expected(found, allowed)));
        }
        let approval = approval(&mut fields, &mut problems);
        let on_failure = keep(fields.choice("on_failure", &ON_FAILURE), &mut problems);
        if let Err(unknown) = fields.finish() {
            problems.push(unknown.message);
        }
        if !problems.is_empty() {
            // The names of fields as they are in the document.
            let plain = |problem: String| {
                problem
                    .strip_prefix("policy.")
                    .map(str::to_owned)
                    .unwrap_or(problem)
            };
            return Err(problems.into_iter().map(plain).collect());
        }
        Ok(Self {
            protect,
            max_destroys: max_destroys.and_then(|most| usize::try_from(most).ok()),
            freeze,
            stopped,
            approval,
            rolls_back: on_failure.as_deref() == Some("rollback"),
        })
    }
}

/// The version of a document: the SHA-256 of its text.
#[must_use]
pub fn version_of(text: &[u8]) -> String {
    hex::encode(Sha256::digest(text))
}

/// What the document says of approvals.
fn approval(fields: &mut JsonFields, problems: &mut Vec<String>) -> ApprovalRule {
    let mode = keep(fields.choice("approval", &ApprovalMode::NAMES), problems);
    let mode = mode.as_deref().and_then(ApprovalMode::parse);
    let approvers = list(fields.any("approvers"), "approvers", problems, |path, value| {
        PrincipalPattern::parse(path, value).map_err(|problem| vec![problem])
    });
    let four_eyes = keep(fields.flag("four_eyes"), problems);
    let expires_after = keep(fields.text("approval_expires_after"), problems);
    let expires_after = expires_after.map_or(Some(DEFAULT_EXPIRY), |text| {
        let found = duration(&text);
        if found.is_none() {
            problems.push(format!(
                "approval_expires_after: {}",
                expected(
                    describe(&Value::String(text)),
                    "a time of up to 7d, such as 90s, 30m, 12h or 3d"
                )
            ));
        }
        found
    });
    ApprovalRule {
        mode,
        approvers,
        four_eyes: four_eyes.unwrap_or(mode.is_some_and(|mode| mode != ApprovalMode::Never)),
        expires_after: expires_after.unwrap_or(DEFAULT_EXPIRY),
        approve_values: keep(fields.flag("approve_values"), problems).unwrap_or_default(),
    }
}

/// A value, or its error among the problems.
fn keep<T>(value: Result<Option<T>>, problems: &mut Vec<String>) -> Option<T> {
    value.map_err(|error| problems.push(error.message)).ok().flatten()
}

/// The entries of a list, and the problems of those that aren't valid.
fn list<T>(
    value: Option<Value>,
    field: &str,
    problems: &mut Vec<String>,
    parse: impl Fn(&str, &Value) -> Result<T, Vec<String>>,
) -> Vec<T> {
    let entries = match value {
        None => return Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(other) => {
            problems.push(format!("{field}: {}", expected(describe(&other), "a list")));
            return Vec::new();
        }
    };
    if entries.len() > MAX_ENTRIES {
        let found = entries.len();
        problems.push(format!(
            "{field}: {}",
            expected(found, format!("at most {MAX_ENTRIES} entries"))
        ));
        return Vec::new();
    }
    let mut parsed = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        match parse(&format!("{field}[{i}]"), entry) {
            Ok(entry) => parsed.push(entry),
            Err(found) => problems.extend(found),
        }
    }
    parsed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn parse(value: &Value) -> Result<DeploymentPolicy, Vec<String>> {
        DeploymentPolicy::parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_policy_has_all_its_fields_or_none() {
        let policy = parse(&json!({
            "protect": ["data/*"], "max_destroys": 0, "stopped": "incident 7", "on_failure": "rollback",
            "freeze": [{"start": "Fri 16:00", "end": "Mon 06:00", "time_zone": "Europe/Berlin", "reason": "weekend"}],
        }))
        .unwrap();
        assert_eq!((policy.protect.len(), policy.freeze.len()), (1, 1));
        assert_eq!(policy.max_destroys, Some(0));
        assert_eq!(policy.stopped.as_deref(), Some("incident 7"));
        assert!(policy.rolls_back);
        let empty = parse(&json!({})).unwrap();
        assert!(!empty.rolls_back);
        assert!(empty.protect.is_empty() && empty.max_destroys.is_none() && empty.stopped.is_none());
    }

    #[test]
    fn approvals_have_four_eyes_and_expire_unless_the_document_says_otherwise() {
        let of = |value: Value| parse(&value).unwrap().approval;
        assert_eq!(of(json!({})), ApprovalRule::default());
        let anna = "arn:aws:iam::111122223333:user/anna";
        let rule = of(json!({"approval": "destroys", "approvers": [anna]}));
        assert_eq!(
            (rule.mode, rule.four_eyes, rule.expires_after, rule.approve_values),
            (Some(ApprovalMode::Destroys), true, DEFAULT_EXPIRY, false)
        );
        assert_eq!(rule.approvers_shown(), [anna]);
        let rule = of(
            json!({"approval": "always", "four_eyes": false, "approval_expires_after": "90m", "approve_values": true}),
        );
        assert_eq!(
            (rule.four_eyes, rule.expires_after.as_secs(), rule.approve_values),
            (false, 5400, true)
        );
        assert!(!of(json!({"approval": "never"})).four_eyes);
        assert!(of(json!({"four_eyes": true})).four_eyes);
        let found = parse(
            &json!({"approval": "sometimes", "approvers": ["anna"], "four_eyes": 2, "approval_expires_after": "8d", "approve_values": "no"}),
        );
        let found = found.unwrap_err();
        let fields = [
            "approval: expected never, destroys, changes, always, found ",
            "approvers[0]: expected the ARN ",
            "four_eyes: expected true or false, found 2",
            "approval_expires_after: expected a time of up to 7d, such as 90s, 30m, 12h or 3d, found \"8d\"",
            "approve_values: expected true or false, found ",
        ];
        assert_eq!(found.len(), fields.len(), "{found:?}");
        for (found, field) in found.iter().zip(fields) {
            assert!(found.starts_with(field), "{found}");
        }
    }

    #[test]
    fn every_problem_of_a_document_is_named() {
        let found = parse(&json!({
            "protect": ["data", 7], "max_destroys": -1, "freeze": {"start": "x"}, "stopped": true, "protected": [],
        }))
        .unwrap_err();
        assert_eq!(
            found,
            [
                "protect[0]: expected a pattern GROUP/MODULE of letters, digits, - _ . and *, found \"data\"; every module is */*",
                "protect[1]: expected a pattern GROUP/MODULE of letters, digits, - _ . and *, found 7; every module is */*",
                "max_destroys: expected a whole number from 0 to 100000, found -1",
                "freeze: expected a list, found an object",
                "stopped: expected a text that isn't empty, found true",
                "protected: expected one of protect, max_destroys, freeze, stopped, approval, approvers, four_eyes, approval_expires_after, approve_values, on_failure, found an unknown field",
            ]
        );
        assert!(
            DeploymentPolicy::parse(b"{").unwrap_err()[0].starts_with("expected a JSON document, found ")
        );
        assert_eq!(
            parse(&json!([])).unwrap_err(),
            ["policy: expected a JSON object, found a list"]
        );
        let many = parse(&json!({"protect": vec!["a/b"; 201], "stopped": "x".repeat(501)})).unwrap_err();
        assert_eq!(
            many,
            [
                "protect: expected at most 200 entries, found 201",
                "stopped: expected at most 500 characters, found 501 characters",
            ]
        );
    }
}
