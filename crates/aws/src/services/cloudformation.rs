//! CloudFormation: outputs and events of a module's stack, and the stack of the module's own role.

mod drift;

use std::collections::BTreeMap;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack, StackEvent};
use jiff::Timestamp;
use seedflow_core::error::{Error, ErrorName, Result, excerpt};
use seedflow_core::module::cause;
use seedflow_core::module::role::ModuleStack;
use serde_json::{Map, Value};

use crate::runtime::failure::{SdkFailure, failure};

/// CloudFormation in this account and region.
#[derive(Debug, Clone)]
pub struct CloudFormation {
    client: Client,
}

impl CloudFormation {
    /// Creates the client.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// The outputs of a stack by name; none if the stack does not exist, since a module need not have one.
    pub async fn outputs(&self, stack: &str) -> Result<Map<String, Value>> {
        let described = self.describe(stack).await?;
        let outputs = described.and_then(|stack| stack.outputs).unwrap_or_default();
        Ok(outputs
            .into_iter()
            .filter_map(|o| Some((o.output_key?, Value::String(o.output_value?))))
            .collect())
    }

    /// The values of a stack's parameters by name; `None` if the stack does not exist.
    pub async fn parameters(&self, stack: &str) -> Result<Option<BTreeMap<String, String>>> {
        let Some(stack) = self.describe(stack).await? else {
            return Ok(None);
        };
        let parameters = stack.parameters.unwrap_or_default().into_iter();
        let values = parameters.filter_map(|p| Some((p.parameter_key?, p.parameter_value?)));
        Ok(Some(values.collect()))
    }

    async fn describe(&self, stack: &str) -> Result<Option<Stack>> {
        match self.client.describe_stacks().stack_name(stack).send().await {
            Ok(answer) => Ok(answer.stacks.unwrap_or_default().into_iter().next()),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failure(&format!("CloudFormation DescribeStacks {stack}"), &error)),
        }
    }

    /// The status of a stack; `None` if it does not exist.
    pub async fn status(&self, stack: &str) -> Result<Option<String>> {
        let described = self.describe(stack).await?;
        Ok(described
            .and_then(|stack| stack.stack_status)
            .map(|status| status.as_str().to_owned()))
    }

    /// Starts to create a stack. A stack that exists already is not an error: the next call reads its status.
    pub async fn create(&self, NewStack { stack, service_role }: NewStack<'_>) -> Result<()> {
        let name = &stack.names.stack;
        let request = self.client.create_stack().stack_name(name);
        let request = request
            .template_body(&stack.template)
            .set_parameters(Some(parameters(stack)))
            .role_arn(service_role)
            .capabilities(Capability::CapabilityNamedIam);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.error_code() == Some("AlreadyExistsException") => Ok(()),
            Err(error) => Err(about_template("CreateStack", name, &error)),
        }
    }

    /// Starts to update a stack; `false` if there is nothing to update.
    pub async fn update(&self, NewStack { stack, service_role }: NewStack<'_>) -> Result<bool> {
        let name = &stack.names.stack;
        let request = self.client.update_stack().stack_name(name);
        let request = request
            .template_body(&stack.template)
            .set_parameters(Some(parameters(stack)))
            .role_arn(service_role)
            .capabilities(Capability::CapabilityNamedIam);
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if says(&error, "No updates are to be performed") => Ok(false),
            Err(error) => Err(about_template("UpdateStack", name, &error)),
        }
    }

    /// Starts to create a stack of a template, or to update it; `false` if there is nothing to update. Parameters that are not
    /// given keep their values.
    pub async fn put(&self, template: &NamedTemplate<'_>) -> Result<bool> {
        let name = &template.stack;
        let Some(before) = self.parameters(name).await? else {
            let request = self.client.create_stack().stack_name(name);
            let request = request
                .template_body(template.body)
                .set_parameters(Some(template.parameters(&BTreeMap::new())))
                .capabilities(Capability::CapabilityNamedIam);
            let created = request.send().await;
            return created
                .map(|_| true)
                .map_err(|e| failure(&format!("CloudFormation CreateStack {name}"), &e));
        };
        let request = self.client.update_stack().stack_name(name);
        let request = request
            .template_body(template.body)
            .set_parameters(Some(template.parameters(&before)))
            .capabilities(Capability::CapabilityNamedIam);
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if says(&error, "No updates are to be performed") => Ok(false),
            Err(error) => Err(failure(&format!("CloudFormation UpdateStack {name}"), &error)),
        }
    }

    /// Starts to delete a stack, with the role that deployed it.
    pub async fn delete(&self, stack: &str) -> Result<()> {
        let sent = self.client.delete_stack().stack_name(stack).send().await;
        sent.map(drop)
            .map_err(|e| failure(&format!("CloudFormation DeleteStack {stack}"), &e))
    }

    /// The newest events of a stack, at least those since `since` unless there are very many; none if the stack does not exist.
    pub async fn events(&self, stack: &str, since: Timestamp) -> Result<Vec<cause::StackEvent>> {
        let (mut events, mut token) = (Vec::new(), None);
        for _ in 0..EVENT_PAGES {
            let request = self.client.describe_stack_events().stack_name(stack);
            let answer = match request.set_next_token(token).send().await {
                Ok(answer) => answer,
                Err(error) if is_missing(&error) => return Ok(events),
                Err(error) => {
                    let call = format!("CloudFormation DescribeStackEvents {stack}");
                    return Err(failure(&call, &error));
                }
            };
            events.extend(answer.stack_events.unwrap_or_default().into_iter().map(plain));
            let reached = events
                .last()
                .is_some_and(|oldest| oldest.at.is_some_and(|at| at < since));
            token = answer.next_token.filter(|_| !reached);
            if token.is_none() {
                break;
            }
        }
        Ok(events)
    }

    /// The resource that failed first in the last operation on a stack, and why. It is among the newest events, which the
    /// first page contains: a module's stack has few resources.
    pub async fn failed_resource(&self, stack: &str) -> Result<Option<String>> {
        let request = self.client.describe_stack_events().stack_name(stack);
        let answer = request.send().await;
        let answer =
            answer.map_err(|e| failure(&format!("CloudFormation DescribeStackEvents {stack}"), &e))?;
        Ok(first_failure(stack, &answer.stack_events.unwrap_or_default()))
    }
}

/// A template that a person deploys.
#[derive(Debug, Clone)]
pub struct NamedTemplate<'a> {
    /// The stack's name.
    pub stack: String,
    /// The template's text.
    pub body: &'a str,
    /// Values of its parameters.
    pub parameters: BTreeMap<String, String>,
}

impl NamedTemplate<'_> {
    /// The given values, and the previous ones of the other parameters that the template still has.
    fn parameters(&self, before: &BTreeMap<String, String>) -> Vec<Parameter> {
        let given = self.parameters.iter().map(|(name, value)| {
            Parameter::builder()
                .parameter_key(name)
                .parameter_value(value)
                .build()
        });
        let kept = before.keys().filter(|name| {
            !self.parameters.contains_key(*name) && self.body.contains(&format!("\n  {name}:\n"))
        });
        let kept = kept.map(|name| {
            Parameter::builder()
                .parameter_key(name)
                .use_previous_value(true)
                .build()
        });
        given.chain(kept).collect()
    }
}

/// Maximum number of pages of events that are read; one has up to 100.
const EVENT_PAGES: usize = 5;

fn plain(event: StackEvent) -> cause::StackEvent {
    cause::StackEvent {
        at: event
            .timestamp
            .and_then(|at| Timestamp::from_millisecond(at.to_millis().ok()?).ok()),
        stack_id: event.stack_id.unwrap_or_default(),
        logical_id: event.logical_resource_id.unwrap_or_default(),
        physical_id: event.physical_resource_id.unwrap_or_default(),
        resource_type: event.resource_type.unwrap_or_default(),
        status: event
            .resource_status
            .map(|status| status.as_str().to_owned())
            .unwrap_or_default(),
        reason: event.resource_status_reason.unwrap_or_default(),
    }
}

/// A module's stack that is to be deployed.
#[derive(Debug, Clone, Copy)]
pub struct NewStack<'a> {
    /// Its template and parameters.
    pub stack: &'a ModuleStack,
    /// The role with which CloudFormation deploys it.
    pub service_role: &'a str,
}

fn parameters(stack: &ModuleStack) -> Vec<Parameter> {
    let parameter = |(name, value): &(String, String)| {
        Parameter::builder()
            .parameter_key(name)
            .parameter_value(value)
            .build()
    };
    stack.parameters.iter().map(parameter).collect()
}

/// The first failure since the last operation on the stack began; the events are ordered newest first.
fn first_failure(stack: &str, newest_first: &[StackEvent]) -> Option<String> {
    let begun = |event: &&StackEvent| {
        let status = event.resource_status().map_or("", |status| status.as_str());
        let begins = ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"].contains(&status);
        !(event.logical_resource_id() == Some(stack) && begins)
    };
    let failed = |event: &&StackEvent| {
        event
            .resource_status()
            .is_some_and(|status| status.as_str().ends_with("_FAILED"))
    };
    let first = newest_first.iter().take_while(begun).filter(failed).last()?;
    Some(format!(
        "{} ({}) {}: {}",
        first.logical_resource_id().unwrap_or_default(),
        first.resource_type().unwrap_or_default(),
        first.resource_status().map_or("", |status| status.as_str()),
        excerpt(first.resource_status_reason().unwrap_or("no reason given"), 600)
    ))
}

/// An error of CloudFormation about a template. ValidationError is its code for a template that it refuses.
fn about_template(operation: &str, stack: &str, error: &impl SdkFailure) -> Error {
    let failed = failure(&format!("CloudFormation {operation} {stack}"), error);
    match error.error_code() {
        Some("ValidationError") => Error::new(
            ErrorName::InvalidModuleStack,
            format!("modulestack.yaml: {}", failed.message),
        ),
        _ => failed,
    }
}

fn says(error: &impl SdkFailure, part: &str) -> bool {
    error
        .error_message()
        .is_some_and(|message| message.contains(part))
}

/// Whether the stack is missing: DescribeStacks then answers with the code ValidationError and a specific message.
fn is_missing(error: &impl SdkFailure) -> bool {
    error.error_code() == Some("ValidationError") && says(error, "does not exist")
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_cloudformation::types::ResourceStatus;

    fn event(resource: &str, status: &str, reason: &str) -> StackEvent {
        StackEvent::builder()
            .logical_resource_id(resource)
            .resource_type("AWS::IAM::Policy")
            .resource_status(ResourceStatus::from(status))
            .resource_status_reason(reason)
            .build()
    }

    #[test]
    fn a_failure_names_the_resource_that_failed_first() {
        let newest_first = [
            event("stack", "ROLLBACK_COMPLETE", ""),
            event("Second", "CREATE_FAILED", "Resource creation cancelled"),
            event("First", "CREATE_FAILED", "no such role"),
            event("First", "CREATE_IN_PROGRESS", ""),
            event("stack", "CREATE_IN_PROGRESS", "User Initiated"),
            event("First", "DELETE_FAILED", "of an operation before"),
        ];
        assert_eq!(
            first_failure("stack", &newest_first).as_deref(),
            Some("First (AWS::IAM::Policy) CREATE_FAILED: no such role")
        );
        assert_eq!(first_failure("stack", &newest_first[..1]), None);
    }
}
