//! Drift detection (CloudFormation user guide, "Detect unmanaged configuration changes to stacks and resources with drift
//! detection").
//!
//! CloudFormation reads the resources with the rights of the caller, so the caller needs the right to read each of them.

use aws_sdk_cloudformation::types::{
    PropertyDifference, StackDriftDetectionStatus, StackResourceDrift, StackResourceDriftStatus,
};
use seedflow_core::drift::check::{Detection, Started};
use seedflow_core::drift::difference::{self, ResourceDrift, ResourceState};
use seedflow_core::error::{Error, ErrorName, Result};

use super::{CloudFormation, is_missing};
use crate::runtime::failure::{SdkFailure, failure};

/// The type of a nested stack.
const NESTED: &str = "AWS::CloudFormation::Stack";

impl CloudFormation {
    /// The ARNs of the stacks that are nested in a stack; `None` if the stack does not exist.
    pub async fn nested(&self, stack: &str) -> Result<Option<Vec<String>>> {
        let request = self.client.list_stack_resources().stack_name(stack);
        let mut pages = request.into_paginator().send();
        let mut nested = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => {
                    return Err(failure(
                        &format!("CloudFormation ListStackResources {stack}"),
                        &error,
                    ));
                }
            };
            let resources = page.stack_resource_summaries.unwrap_or_default().into_iter();
            let stacks = resources.filter(|resource| resource.resource_type.as_deref() == Some(NESTED));
            nested.extend(stacks.filter_map(|resource| resource.physical_resource_id));
        }
        Ok(Some(nested))
    }

    /// Starts to compare a stack with its template.
    pub async fn detect_drift(&self, stack: &str) -> Result<Started> {
        let call = format!("CloudFormation DetectStackDrift {stack}");
        match self.client.detect_stack_drift().stack_name(stack).send().await {
            Ok(answer) => {
                let id = answer.stack_drift_detection_id;
                id.map(Started::Detection).ok_or_else(|| without(&call, "an id"))
            }
            Err(error) if is_missing(&error) => Ok(Started::Missing),
            Err(error) if is_busy(&error) => Ok(Started::Busy(
                error.error_message().unwrap_or_default().to_owned(),
            )),
            Err(error) => Err(failure(&call, &error)),
        }
    }

    /// How far a detection is.
    pub async fn detection(&self, id: &str) -> Result<Detection> {
        let request = self.client.describe_stack_drift_detection_status();
        let call = format!("CloudFormation DescribeStackDriftDetectionStatus {id}");
        let sent = request.stack_drift_detection_id(id).send().await;
        let answer = sent.map_err(|e| failure(&call, &e))?;
        let is_running = answer.detection_status == Some(StackDriftDetectionStatus::DetectionInProgress);
        if is_running {
            return Ok(Detection::Running);
        }
        let has_failed = answer.detection_status == Some(StackDriftDetectionStatus::DetectionFailed);
        let why = answer.detection_status_reason;
        Ok(Detection::Ended {
            state: answer
                .stack_drift_status
                .map_or_else(|| "UNKNOWN".to_owned(), |state| state.as_str().to_owned()),
            why: has_failed.then(|| why.unwrap_or_else(|| "CloudFormation gives no reason".to_owned())),
        })
    }

    /// The resources of a stack that differed when it was compared last.
    pub async fn drifted_resources(&self, stack: &str) -> Result<Vec<ResourceDrift>> {
        let request = self.client.describe_stack_resource_drifts().stack_name(stack);
        let request = request
            .stack_resource_drift_status_filters(StackResourceDriftStatus::Modified)
            .stack_resource_drift_status_filters(StackResourceDriftStatus::Deleted);
        let mut pages = request.into_paginator().send();
        let mut drifted = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page
                .map_err(|e| failure(&format!("CloudFormation DescribeStackResourceDrifts {stack}"), &e))?;
            drifted.extend(
                page.stack_resource_drifts
                    .unwrap_or_default()
                    .into_iter()
                    .map(plain),
            );
        }
        Ok(drifted)
    }
}

/// Whether the stack is being changed or compared by somebody else: CloudFormation has no code of its own for it.
fn is_busy(error: &impl SdkFailure) -> bool {
    let message = error.error_message().unwrap_or_default();
    error.error_code() == Some("ValidationError")
        && message.to_uppercase().replace(' ', "_").contains("IN_PROGRESS")
}

fn without(call: &str, what: &str) -> Error {
    Error::new(
        ErrorName::ServiceUnavailable,
        format!("{call}: AWS answered without {what}"),
    )
}

fn plain(resource: StackResourceDrift) -> ResourceDrift {
    let is_deleted = resource.stack_resource_drift_status == Some(StackResourceDriftStatus::Deleted);
    ResourceDrift {
        logical_id: resource.logical_resource_id.unwrap_or_default(),
        physical_id: resource.physical_resource_id.unwrap_or_default(),
        resource_type: resource.resource_type.unwrap_or_default(),
        state: match is_deleted {
            true => ResourceState::Deleted,
            false => ResourceState::Modified,
        },
        properties: resource
            .property_differences
            .unwrap_or_default()
            .into_iter()
            .map(property)
            .collect(),
        left_out: 0,
    }
}

fn property(found: PropertyDifference) -> difference::PropertyDifference {
    difference::PropertyDifference {
        path: found.property_path.unwrap_or_default(),
        difference: found
            .difference_type
            .map(|kind| kind.as_str().to_owned())
            .unwrap_or_default(),
        expected: found.expected_value.unwrap_or_default(),
        actual: found.actual_value.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Answer(&'static str, &'static str);

    impl SdkFailure for Answer {
        fn error_code(&self) -> Option<&str> {
            Some(self.0)
        }
        fn error_message(&self) -> Option<&str> {
            Some(self.1)
        }
        fn http_status(&self) -> Option<u16> {
            Some(400)
        }
        fn cause(&self) -> String {
            String::new()
        }
    }

    #[test]
    fn a_stack_that_is_worked_on_is_waited_for_and_another_refusal_is_not() {
        for (code, message, waits) in [
            (
                "ValidationError",
                "Stack [p] is in UPDATE_IN_PROGRESS state",
                true,
            ),
            (
                "ValidationError",
                "Drift detection is already in progress for stack p",
                true,
            ),
            (
                "ValidationError",
                "Stack [p] is in ROLLBACK_COMPLETE state",
                false,
            ),
            ("ValidationError", "Stack with id p does not exist", false),
            ("AccessDenied", "not authorized while in progress", false),
        ] {
            assert_eq!(is_busy(&Answer(code, message)), waits, "{message}");
        }
    }

    #[test]
    fn a_resource_is_taken_over_with_its_differences() {
        let difference = PropertyDifference::builder()
            .property_path("/VisibilityTimeout")
            .expected_value("30")
            .actual_value("31")
            .difference_type(aws_sdk_cloudformation::types::DifferenceType::NotEqual)
            .build();
        let found = StackResourceDrift::builder()
            .logical_resource_id("Queue")
            .stack_resource_drift_status(StackResourceDriftStatus::Modified)
            .property_differences(difference)
            .build();
        let taken = plain(found);
        assert_eq!(
            (taken.logical_id.as_str(), taken.state),
            ("Queue", ResourceState::Modified)
        );
        let [property] = taken.properties.as_slice() else {
            panic!("{taken:?}")
        };
        assert_eq!(
            [
                &property.path,
                &property.difference,
                &property.expected,
                &property.actual
            ],
            ["/VisibilityTimeout", "NOT_EQUAL", "30", "31"]
        );
    }
}
