//! The stacks of one module: one call of CloudFormation for each step, and what was found in the end.

use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_core::drift::check::{Begun, Progress, StackCheck, Started};
use seedflow_core::drift::record::StackDrift;
use seedflow_core::error::{Error, Result};

/// Goes one step further with each stack. A call that fails for a moment is made again in the next step.
pub(crate) async fn step(cloudformation: &CloudFormation, begun: &mut Begun) {
    // Nested stacks are found on the way, and come last.
    let mut position = 0;
    while let Some(StackCheck { stack, progress }) = begun.stacks.get(position).cloned() {
        let next = match &progress {
            Progress::Pending { .. } => start(cloudformation, &stack, begun).await,
            Progress::Running { detection } => {
                let looked = cloudformation.detection(detection).await;
                looked.map(|answer| progress.clone().looked(answer))
            }
            Progress::Compared { .. } | Progress::Missing | Progress::Unchecked { .. } => {
                Ok(progress.clone())
            }
        };
        if let Err(error) = &next {
            tracing::warn!(stack, error = error.name.as_str(), cause = %error.message, "not checked");
        }
        begun.stacks[position].progress = next.unwrap_or_else(|error| progress.failed(&error));
        position += 1;
    }
}

/// CloudFormation doesn't compare the stacks that are nested in one: each is checked for itself.
async fn start(cloudformation: &CloudFormation, stack: &str, begun: &mut Begun) -> Result<Progress> {
    let Some(nested) = cloudformation.nested(stack).await? else {
        return Ok(Progress::started(Started::Missing));
    };
    begun.add(nested.iter().map(String::as_str));
    cloudformation.detect_drift(stack).await.map(Progress::started)
}

/// What CloudFormation has found in the stacks. One that can't be read is a result, too: it may have been deleted meanwhile.
/// Without a client nothing was compared.
pub(crate) async fn found(cloudformation: Option<&CloudFormation>, begun: &Begun) -> Result<Vec<StackDrift>> {
    let mut stacks = Vec::new();
    for check in begun.reported() {
        let resources = match (&check.progress, cloudformation) {
            (Progress::Compared { .. }, Some(cloudformation)) => {
                cloudformation.drifted_resources(&check.stack).await
            }
            _ => Ok(Vec::new()),
        };
        stacks.push(match resources {
            Ok(resources) => StackDrift::of(check, resources),
            Err(error) if error.name.passes() => return Err(error),
            Err(error) => StackDrift::of(&refusal(check, &error), Vec::new()),
        });
    }
    Ok(stacks)
}

fn refusal(check: &StackCheck, error: &Error) -> StackCheck {
    StackCheck {
        stack: check.stack.clone(),
        progress: Progress::Unchecked {
            why: error.message.clone(),
        },
    }
}
