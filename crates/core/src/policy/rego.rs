//! What the Rego of a deployment says of a plan (decision 60).
//!
//! The rules are one Rego module, `policies/{project}/{deployment}.rego` in the work bucket, beside the document. Only
//! the function `evaluate-policy` and the command line have the engine (`crates/rego`). All other code reads the
//! [`RuleResult`] here. The clock that the rules get is here, too. Rules that can't be evaluated allow nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::decision::denied;
use super::document::version_of;
use super::freeze::time_zone;
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::ids::{DeploymentId, ModuleId};

/// The longest module, in bytes.
pub const MAX_REGO_BYTES: u64 = 64 * 1024;
/// The most messages of a rule that are kept, and the longest one.
const MAX_MESSAGES: usize = 50;
const MAX_MESSAGE: usize = 500;

/// The messages of the rules that hold for a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Why it may not start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// What people should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warn: Vec<String>,
    /// Why somebody has to approve it first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require_approval: Vec<String>,
}

impl Findings {
    /// The same with as many messages as people read, each of a readable length.
    #[must_use]
    pub fn readable(self) -> Self {
        let short = |messages: Vec<String>| {
            let more = messages.len().saturating_sub(MAX_MESSAGES);
            let shown = messages.iter().take(MAX_MESSAGES);
            let mut shown: Vec<String> = shown.map(|message| excerpt(message, MAX_MESSAGE)).collect();
            if more > 0 {
                shown.push(format!("and {more} more"));
            }
            shown
        };
        Self {
            deny: short(self.deny),
            warn: short(self.warn),
            require_approval: short(self.require_approval),
        }
    }
}

/// What the rules of a deployment say of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleResult {
    /// The key of the rules in the work bucket.
    pub document: String,
    /// The SHA-256 of the rules.
    pub version: String,
    /// The messages.
    #[serde(flatten)]
    pub findings: Findings,
}

impl RuleResult {
    /// The result of a deployment's rules with this text.
    #[must_use]
    pub fn of(deployment: &DeploymentId, rules: &[u8], findings: Findings) -> Self {
        Self {
            document: deployment.rego_key(),
            version: version_of(rules),
            findings: findings.readable(),
        }
    }

    /// Why the plan has to be approved before it starts.
    #[must_use]
    pub fn approvals(&self) -> &[String] {
        &self.findings.require_approval
    }

    /// What refuses the plan.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let denied = self.findings.deny.iter();
        denied.map(|why| format!("deny: {why}")).collect()
    }

    /// Refuses a plan that the rules do not allow.
    ///
    /// # Errors
    /// `DeniedByPolicy` with every message, and who can change the rules.
    pub fn refuse(&self) -> Result<()> {
        denied(&self.document, &self.version, &self.broken())
    }
}

/// The refusal for rules that can't be evaluated: they must not let anything through.
#[must_use]
pub fn not_evaluated(deployment: &DeploymentId, why: &str) -> Error {
    Error::new(
        ErrorName::PolicyNotEvaluated,
        format!(
            "nothing was started, because the rules {} can't be evaluated: {}; an administrator (AdministratorPrincipalArns of the stack) can correct them: `seedflow policy test` tries them on a saved plan, `seedflow policy set` stores them",
            deployment.rego_key(),
            excerpt(why, 2000)
        ),
    )
}

/// The time as rules get it, by the clocks of a time zone.
///
/// # Errors
/// If the time zone is unknown.
pub fn clock(now: Timestamp, zone: &str) -> Result<Value, String> {
    let there = now.to_zoned(time_zone("time_zone", zone)?);
    Ok(json!({
        "time": there.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        "date": there.strftime("%Y-%m-%d").to_string(),
        "weekday": there.strftime("%A").to_string(),
        "hour": there.hour(), "minute": there.minute(), "time_zone": zone, "unix": now.as_second(),
    }))
}

/// The error of a request for one module that changes more than one thing (`what`: "moves", "is renamed"), where rules have
/// to be evaluated. They would see what comes first (the destruction, the rename) and the deployment one after the other,
/// and would refuse the second when the first is done. The plan of a deployment has both.
#[must_use]
pub fn alone(module: &ModuleId, what: &str) -> Error {
    Error::new(
        ErrorName::DeniedByPolicy,
        format!(
            "{module}: expected a module that {what} to be part of its deployment's plan, on which the rules {} are evaluated, found a separate request; start the whole deployment, with \"only\" for one module",
            DeploymentId::from(module).rego_key()
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Name;

    fn result(findings: Findings) -> RuleResult {
        let name = |text: &str| Name::parse("name", text).unwrap();
        let deployment = DeploymentId {
            project: name("p"),
            deployment: name("prod"),
        };
        RuleResult::of(&deployment, b"package seedflow", findings)
    }

    #[test]
    fn only_what_is_denied_is_refused() {
        let one = |text: &str| vec![text.to_owned()];
        let warned = result(Findings {
            warn: one("w"),
            require_approval: one("it destroys"),
            ..Findings::default()
        });
        assert!(warned.refuse().is_ok());
        assert_eq!(warned.approvals(), ["it destroys"]);
        let refused = result(Findings {
            deny: one("no Fridays"),
            ..Findings::default()
        });
        let error = refused.refuse().unwrap_err();
        assert_eq!(error.name, ErrorName::DeniedByPolicy);
        for part in [
            "nothing was started. deny: no Fridays",
            "policies/p/prod.rego",
            "seedflow policy set",
        ] {
            assert!(error.message.contains(part), "{part}: {}", error.message);
        }
    }

    #[test]
    fn messages_are_cut_to_what_people_read() {
        let many = Findings {
            deny: (0..60).map(|i| format!("{i}{}", "x".repeat(600))).collect(),
            ..Findings::default()
        };
        let shown = result(many).findings.deny;
        assert_eq!(shown.len(), 51);
        assert_eq!(shown[50], "and 10 more");
        assert_eq!(shown[0].chars().count(), 501);
    }

    #[test]
    fn the_clock_is_that_of_a_time_zone() {
        let now = "2026-12-04T23:30:05Z".parse().unwrap();
        let berlin = clock(now, "Europe/Berlin").unwrap();
        assert_eq!(
            berlin,
            json!({"time": "2026-12-05T00:30:05+01:00", "date": "2026-12-05", "weekday": "Saturday", "hour": 0, "minute": 30,
                   "time_zone": "Europe/Berlin", "unix": 1_796_427_005})
        );
        assert_eq!(clock(now, "UTC").unwrap()["weekday"], "Friday");
        let error = clock(now, "Berlin").unwrap_err();
        assert!(
            error.starts_with("time_zone: expected a time zone of the IANA database"),
            "{error}"
        );
    }
}
