//! The data of a deployment's rollback: the execution to go back to, and the failure before it.
//!
//! A rollback by request names the execution or nothing. A rollback that a failed deployment starts by itself
//! (`on_failure`) also names the failure. If the rollback fails too, both causes are reported.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::JsonFields;
use crate::ids::{DeploymentId, ExecutionArn, ExecutionName};
use crate::policy::version_of;

/// Longest cause of the failure that is passed on with a rollback.
const MAX_CAUSE: usize = 1000;
/// Longest part of that cause in the message about a failed rollback.
const MAX_FIRST: usize = 120;
/// Longest execution name that fits unshortened into its rollback's name.
const MAX_NAMED: usize = 66;

/// A rollback, in a plan and in a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentRollback {
    /// The name of the execution whose deployment is deployed again.
    pub to: String,
    /// When that had ended.
    pub ended_at: Timestamp,
    /// The failure after which it started by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
}

/// The deployment that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// Its execution.
    pub execution: ExecutionArn,
    /// When that was started.
    pub started_at: Timestamp,
    /// Why it failed, for people.
    pub cause: String,
}

impl After {
    /// Reads the field `after` of an input.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub fn parse(value: &Value) -> Result<Self> {
        let mut fields = JsonFields::of("after", value)?;
        let execution = fields.required_text("execution")?;
        let started_at = fields.required_text("started_at")?;
        let cause = fields.required_text("cause")?;
        fields.finish()?;
        let started_at = started_at.parse().map_err(|_| {
            Error::field(
                "after.started_at",
                format!("\"{}\"", excerpt(&started_at, 60)),
                "a time such as 2026-11-29T12:00:00Z",
            )
        })?;
        Ok(Self {
            execution: ExecutionArn::new(execution),
            started_at,
            cause: excerpt(&cause, MAX_CAUSE),
        })
    }

    /// The time by which the rollback takes its place among the executions that wait for the lock: after the execution that
    /// failed, which holds it, and before everything that was started since. A push that waits already is deployed in place
    /// of the rollback.
    #[must_use]
    pub fn place(&self, now: Timestamp) -> Timestamp {
        let next = self.started_at.checked_add(SignedDuration::from_millis(1));
        next.unwrap_or(now).min(now)
    }

    /// A message about the rollback's own failure, with the failure before it. That comes first and is short, so that both are
    /// in a cause, which has 400 characters.
    #[must_use]
    pub fn and_then(&self, failure: &str) -> String {
        format!(
            "{} failed: {}; its rollback failed, too: {failure}",
            self.execution.name(),
            excerpt(&self.cause, MAX_FIRST)
        )
    }

    /// The error of the rollback, with the failure before it.
    #[must_use]
    pub fn then(&self, error: Error) -> Error {
        Error::new(error.name, self.and_then(&error.message))
    }
}

/// A rollback that starts when a deployment has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextRollback {
    /// The name of its execution. It is the same each time, so that it is started once.
    pub name: String,
    /// Its input.
    pub input: Value,
}

impl NextRollback {
    /// The rollback of a deployment to an execution, after this failure.
    #[must_use]
    pub fn new(deployment: &DeploymentId, to: &str, after: &After) -> Self {
        let mut input = json!(deployment);
        input["action"] = json!("rollback");
        input["to"] = json!(to);
        input["after"] = json!(After {
            cause: excerpt(&after.cause, MAX_CAUSE),
            ..after.clone()
        });
        Self {
            name: Self::name_after(&after.execution),
            input,
        }
    }

    /// The name of the execution that rolls back what an execution deployed (Step Functions: up to 80 characters). One that
    /// has to be cut ends with a digest, because names may differ at their ends only.
    #[must_use]
    pub fn name_after(execution: &ExecutionArn) -> String {
        let of = execution.name();
        if of.chars().count() <= MAX_NAMED {
            return format!("rollback-of-{of}");
        }
        let digest = version_of(of.as_bytes());
        let start: String = of.chars().take(MAX_NAMED - 17).collect();
        format!("rollback-of-{start}-{}", &digest[..16])
    }
}

/// What is done if a deployment fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing; the next deployment goes on where it ended.
    #[default]
    Stop,
    /// The last success is deployed again.
    RollBack,
}

impl OnFailure {
    /// The values of the field `on_failure`.
    pub const ALLOWED: [&str; 2] = ["stop", "rollback"];

    /// Reads one of [`Self::ALLOWED`].
    #[must_use]
    pub fn of(text: &str) -> Self {
        match text {
            "rollback" => Self::RollBack,
            _ => Self::Stop,
        }
    }
}

/// The execution to go back to, as an input names it.
pub type To = Option<ExecutionName>;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Name;

    fn after() -> After {
        After {
            execution: ExecutionArn::new("arn:aws:states:r:1:execution:seedflow-deploy:bad"),
            started_at: "2026-11-29T12:00:00Z".parse().unwrap(),
            cause: "data/store failed: exit 3".to_owned(),
        }
    }

    #[test]
    fn the_rollback_that_starts_by_itself_names_the_failure() {
        let name = |text: &str| Name::parse("name", text).unwrap();
        let deployment = DeploymentId {
            project: name("p"),
            deployment: name("d"),
        };
        let next = NextRollback::new(&deployment, "good", &after());
        assert_eq!(next.name, "rollback-of-bad");
        assert_eq!(
            (&next.input["action"], &next.input["to"], &next.input["project"]),
            (&json!("rollback"), &json!("good"), &json!("p"))
        );
        assert_eq!(After::parse(&next.input["after"]), Ok(after()));
        let of_long = |end: &str| {
            let execution = ExecutionArn::new(format!("a:{}{end}", "x".repeat(79)));
            NextRollback::name_after(&execution)
        };
        assert_eq!((of_long("a").len(), of_long("b").len()), (78, 78));
        assert_ne!(of_long("a"), of_long("b"), "they differ at their ends only");
    }

    #[test]
    fn it_takes_its_place_right_after_the_failed_execution_and_never_in_the_future() {
        let now: Timestamp = "2026-11-29T13:00:00Z".parse().unwrap();
        let place = after().place(now);
        assert!(place > after().started_at && place < now, "{place}");
        let future = After {
            started_at: Timestamp::MAX,
            ..after()
        };
        assert_eq!(future.place(now), now);
    }

    #[test]
    fn both_causes_are_reported() {
        assert_eq!(
            after().and_then("apps/web failed: exit 1"),
            "bad failed: data/store failed: exit 3; its rollback failed, too: apps/web failed: exit 1"
        );
        let bad = After::parse(&json!({"execution": "e", "started_at": "soon", "cause": "c"})).unwrap_err();
        assert!(bad.message.starts_with("after.started_at: "), "{bad}");
    }
}
