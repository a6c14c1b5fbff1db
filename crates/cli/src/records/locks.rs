//! The locks: which execution deploys a module or a deployment, and which one waits.

use anyhow::Result;
use jiff::Timestamp;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::stores::stored_lock;
use seedflow_core::ids::{DeploymentId, ExecutionArn, ModuleId, Name};
use seedflow_core::storage_layout;
use seedflow_core::workflow::ending::Described;
use seedflow_core::workflow::lock::{Lock, Seen};
use serde::Serialize;

use super::target::Target;

/// A lock, for people. Tokens are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldLock {
    /// `deployment` or `deployment/group/module`.
    pub of: String,
    /// The execution that deploys.
    pub holder: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether the holder still runs; `None` if Step Functions doesn't know it (yet, or any more).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
    /// The execution of a whole deployment that the holder is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
    /// The execution that is next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiter: Option<String>,
    /// Since when it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Timestamp>,
}

impl HeldLock {
    /// A lock with what Step Functions says of its holder.
    #[must_use]
    pub fn new(of: String, lock: &Lock, seen: Seen) -> Self {
        let waiter = lock.waiter.as_ref().map(|waiter| &waiter.claimant);
        Self {
            of,
            holder: lock.holder.execution.as_str().to_owned(),
            since: lock.acquired_at.unwrap_or(lock.holder.started_at),
            running: match seen {
                Seen::Running => Some(true),
                Seen::Ended(_) => Some(false),
                Seen::Unknown => None,
            },
            part_of: lock
                .holder
                .part_of
                .as_ref()
                .map(|whole| whole.as_str().to_owned()),
            waiter: waiter.map(|waiter| waiter.execution.as_str().to_owned()),
            waiting_since: waiter.map(|waiter| waiter.started_at),
        }
    }

    /// The name of the execution that holds the lock.
    #[must_use]
    pub fn holder_name(&self) -> &str {
        name_of(&self.holder)
    }

    /// The name of the execution that waits.
    #[must_use]
    pub fn waiter_name(&self) -> Option<&str> {
        self.waiter.as_deref().map(name_of)
    }
}

fn name_of(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

/// What a lock is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locked {
    /// A module.
    Module(ModuleId),
    /// A whole deployment.
    Deployment(DeploymentId),
}

impl Locked {
    /// Parses the key of a lock; `None` for any other key.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let names = storage_layout::names_in_lock_key(key)?;
        match names.split('/').collect::<Vec<_>>().as_slice() {
            [project, deployment] => Some(Self::Deployment(DeploymentId {
                project: Name::parse("project", project).ok()?,
                deployment: Name::parse("deployment", deployment).ok()?,
            })),
            [project, deployment, group, module] => ModuleId::parse(project, deployment, group, module)
                .ok()
                .map(Self::Module),
            _ => None,
        }
    }

    /// What a target means: its module, or its deployment.
    ///
    /// # Errors
    /// `InvalidInput` for a group, which has no lock.
    pub fn of(target: &Target, project: &Name) -> seedflow_core::error::Result<Self> {
        match target.group {
            None => Ok(Self::Deployment(target.deployment(project))),
            Some(_) => target.module(project).map(Self::Module),
        }
    }

    /// The key of the lock.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Module(id) => id.lock_key(),
            Self::Deployment(id) => id.lock_key(),
        }
    }

    /// `deployment` or `deployment/group/module`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Module(id) => format!("{}/{}/{}", id.deployment, id.group, id.module),
            Self::Deployment(id) => id.deployment.to_string(),
        }
    }

    fn is_below(&self, target: Option<&Target>) -> bool {
        let Some(target) = target else { return true };
        match self {
            Self::Module(id) => target.covers(id.deployment.as_str(), id.group.as_str(), id.module.as_str()),
            Self::Deployment(id) => target.covers(id.deployment.as_str(), "", ""),
        }
    }
}

/// The stored lock; `None` if nothing holds it.
pub async fn find(bucket: &Bucket, of: &Locked) -> Result<Option<Lock>> {
    Ok(stored_lock::read(bucket, &of.key()).await?.map(|(lock, _)| lock))
}

/// What Step Functions says of an execution.
pub async fn seen(step_functions: &StepFunctions, execution: &ExecutionArn) -> Result<Seen> {
    let described = step_functions.describe(execution).await?;
    Ok(Described::seen(described.as_ref()))
}

/// The locks of a project that are held, by name.
pub async fn list(
    bucket: &Bucket,
    step_functions: &StepFunctions,
    project: &Name,
    target: Option<&Target>,
) -> Result<Vec<HeldLock>> {
    let mut held = Vec::new();
    for key in bucket.keys(&storage_layout::locks_of_project(project)).await? {
        let Some(of) = Locked::parse(&key).filter(|of| of.is_below(target)) else {
            continue;
        };
        if let Some(lock) = find(bucket, &of).await? {
            let seen = seen(step_functions, &lock.holder.execution).await?;
            held.push(HeldLock::new(of.name(), &lock, seen));
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_names_what_is_locked_and_a_group_has_no_lock() {
        let module = Locked::parse("locks/p/dev/g/m.json").unwrap();
        assert_eq!(
            (module.name().as_str(), module.key().as_str()),
            ("dev/g/m", "locks/p/dev/g/m.json")
        );
        let deployment = Locked::parse("locks/p/dev.json").unwrap();
        assert_eq!(deployment.name(), "dev");
        assert_eq!(Locked::parse("locks/p/dev/g.json"), None);
        let project = Name::parse("project", "p").unwrap();
        let of = |text: &str| Locked::of(&text.parse().unwrap(), &project);
        assert_eq!(of("dev/g/m").unwrap(), module);
        assert_eq!(of("dev").unwrap(), deployment);
        assert!(of("dev/g").is_err());
    }

    #[test]
    fn a_lock_shows_who_holds_it_and_who_waits_and_no_token() {
        let lock: Lock = serde_json::from_value(json!({
            "holder": {"execution": "arn:aws:states:r:1:execution:m:e1", "started_at": "2026-11-29T12:00:00Z"},
            "fence": 1, "run": "0".repeat(32), "acquired_at": "2026-11-29T12:01:00Z",
            "waiter": {"execution": "arn:aws:states:r:1:execution:m:e2", "started_at": "2026-11-29T12:02:00Z",
                "token": "secret-token", "entered_at": "2026-11-29T12:02:01Z", "attempt": 0},
        }))
        .unwrap();
        let held = HeldLock::new("dev/g/m".to_owned(), &lock, Seen::Running);
        assert_eq!((held.holder_name(), held.waiter_name()), ("e1", Some("e2")));
        let shown = serde_json::to_string(&held).unwrap();
        assert!(
            shown.contains("\"running\":true") && !shown.contains("secret-token"),
            "{shown}"
        );
    }
}
