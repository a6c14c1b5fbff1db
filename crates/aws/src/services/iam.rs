//! IAM: the roles of modules.

use aws_sdk_iam::Client;
use seedflow_core::error::{Error, ErrorName, Result};

use crate::runtime::failure::{SdkFailure, failure};

/// IAM in this account.
#[derive(Debug, Clone)]
pub struct Iam {
    client: Client,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// The ARN of its permissions boundary.
    pub boundary: Option<String>,
}

impl From<&aws_sdk_iam::types::Role> for Role {
    fn from(role: &aws_sdk_iam::types::Role) -> Self {
        let boundary = role.permissions_boundary();
        Self {
            arn: role.arn().to_owned(),
            boundary: boundary.and_then(|boundary| boundary.permissions_boundary_arn().map(str::to_owned)),
        }
    }
}

impl Iam {
    /// Creates the client.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// A role; `None` if it does not exist.
    pub async fn role(&self, name: &str) -> Result<Option<Role>> {
        match self.client.get_role().role_name(name).send().await {
            Ok(answer) => Ok(answer.role().map(Role::from)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failure(&format!("IAM GetRole {name}"), &error)),
        }
    }

    /// Creates a role. If a concurrent call created it first, the error is throttling: the next try then finds the role.
    pub async fn create_role(
        &self,
        path: &str,
        name: &str,
        trust: &str,
        boundary: Option<&str>,
    ) -> Result<Role> {
        let call = format!("IAM CreateRole {name}");
        let request = self.client.create_role().path(path).role_name(name);
        let request = request
            .assume_role_policy_document(trust)
            .description("What the builds of one module may do. Made and removed by Seedflow.")
            .set_permissions_boundary(boundary.map(str::to_owned));
        match request.send().await {
            Ok(answer) => answer.role().map(Role::from).ok_or_else(|| {
                Error::new(
                    ErrorName::ServiceUnavailable,
                    format!("{call}: the answer has no role"),
                )
            }),
            Err(error) if error.error_code() == Some("EntityAlreadyExists") => Err(Error::new(
                ErrorName::Throttled,
                format!("{call}: it was made at the same moment"),
            )),
            Err(error) => Err(failure(&call, &error)),
        }
    }

    /// Sets a role's permissions boundary.
    pub async fn put_boundary(&self, role: &str, arn: &str) -> Result<()> {
        let request = self.client.put_role_permissions_boundary();
        let sent = request.role_name(role).permissions_boundary(arn).send().await;
        sent.map(drop)
            .map_err(|e| of_role(&format!("IAM PutRolePermissionsBoundary {role}"), &e))
    }

    /// The ARNs of the managed policies that are attached to a role.
    pub async fn attached(&self, role: &str) -> Result<Vec<String>> {
        let request = self.client.list_attached_role_policies().role_name(role);
        let mut pages = request.into_paginator().send();
        let mut arns = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| of_role(&format!("IAM ListAttachedRolePolicies {role}"), &e))?;
            let policies = page.attached_policies.unwrap_or_default();
            arns.extend(policies.into_iter().filter_map(|policy| policy.policy_arn));
        }
        Ok(arns)
    }

    /// Attaches a managed policy to a role. One that is attached already is not an error.
    pub async fn attach(&self, role: &str, arn: &str) -> Result<()> {
        let request = self.client.attach_role_policy().role_name(role);
        let sent = request.policy_arn(arn).send().await;
        sent.map(drop)
            .map_err(|e| of_role(&format!("IAM AttachRolePolicy {role} {arn}"), &e))
    }

    /// Detaches a managed policy. One that isn't attached is not an error.
    pub async fn detach(&self, role: &str, arn: &str) -> Result<()> {
        let request = self.client.detach_role_policy().role_name(role);
        match request.policy_arn(arn).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(failure(&format!("IAM DetachRolePolicy {role} {arn}"), &error)),
        }
    }

    /// The names of a role's inline policies.
    pub async fn inline_policies(&self, role: &str) -> Result<Vec<String>> {
        let request = self.client.list_role_policies().role_name(role);
        let mut pages = request.into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failure(&format!("IAM ListRolePolicies {role}"), &e))?;
            names.extend(page.policy_names);
        }
        Ok(names)
    }

    /// Deletes an inline policy. A missing one is not an error.
    pub async fn delete_inline_policy(&self, role: &str, policy: &str) -> Result<()> {
        let request = self.client.delete_role_policy().role_name(role);
        match request.policy_name(policy).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(failure(&format!("IAM DeleteRolePolicy {role} {policy}"), &error)),
        }
    }

    /// Deletes a role. A missing one is not an error.
    pub async fn delete_role(&self, name: &str) -> Result<()> {
        match self.client.delete_role().role_name(name).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(delete_failure(&format!("IAM DeleteRole {name}"), &error)),
        }
    }
}

/// The error of a call about a role. A new role may not be visible everywhere yet (IAM user guide, "Changes that I make are
/// not always immediately visible"); the state machine's next try sees it. A missing policy stays missing.
fn of_role(call: &str, error: &impl SdkFailure) -> Error {
    let failed = failure(call, error);
    let role = error
        .error_message()
        .is_some_and(|message| message.to_lowercase().contains("role with name"));
    if is_missing(error) && role {
        return Error::new(ErrorName::ServiceUnavailable, failed.message);
    }
    failed
}

/// The error of DeleteRole. A role whose policies were just removed may still be refused with `DeleteConflict`, because IAM
/// is eventually consistent (API reference, DeleteRole); the state machine's next try deletes it.
fn delete_failure(call: &str, error: &impl SdkFailure) -> Error {
    let failed = failure(call, error);
    if error.error_code() == Some("DeleteConflict") {
        return Error::new(ErrorName::ServiceUnavailable, failed.message);
    }
    failed
}

/// Whether IAM answers that the entity does not exist.
fn is_missing(error: &impl SdkFailure) -> bool {
    error.error_code() == Some("NoSuchEntity")
}
