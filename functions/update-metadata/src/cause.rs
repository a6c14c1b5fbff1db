//! Reads why a build failed: once the end of its log, and once the events of the stack that failed.
//!
//! Nothing here may hide the failure itself: what can't be read is logged, and the cause is then made of less.

use std::time::Duration;

use jiff::Timestamp;
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::services::logs::LogGroup;
use seedflow_core::error::{Error, Result};
use seedflow_core::ids::{AwsEnvironment, ExecutionArn, ModuleId};
use seedflow_core::module::cause::{BuildLog, StackSearch};
use seedflow_core::module::status::{Failure, State, Status};
use seedflow_core::workflow::build_outcome::BuildOutcome;

use crate::handler::Handler;

/// The number of messages that are read of a log. A command that fails prints its errors last.
const MESSAGES: usize = 1000;
/// The longest time for all reads, so that a slow answer doesn't use up the function's time.
const LIMIT: Duration = Duration::from_secs(30);

impl Handler {
    /// The cause of a build that failed, if its log or its stack has one. Stacks are named after `module`. A repeated call reads
    /// nothing again, so that it writes what the first one wrote.
    pub(crate) async fn find_cause(
        &self,
        (module, execution): (&ModuleId, &ExecutionArn),
        failure: &Failure,
        before: Option<&Status>,
        home: &AwsEnvironment,
    ) -> Option<String> {
        let is_written = |status: &&Status| status.execution == *execution && status.state == State::Failed;
        if let Some(written) = before.filter(is_written) {
            return written.why.cause.clone();
        }
        let build = failure
            .outcome
            .as_ref()
            .filter(|build| build.failed_in_commands())?;
        match tokio::time::timeout(LIMIT, self.read_cause(module, build, home)).await {
            Ok(cause) => cause,
            Err(_) => {
                tracing::warn!(seconds = LIMIT.as_secs(), "the cause was not read in time");
                None
            }
        }
    }

    async fn read_cause(
        &self,
        module: &ModuleId,
        build: &BuildOutcome,
        home: &AwsEnvironment,
    ) -> Option<String> {
        let place = match self.place_of(build, home).await {
            Ok(place) => place,
            Err(error) => {
                not_read("the build's target", &error);
                return None;
            }
        };
        let log = BuildLog::read(&end_of_log(place.log.as_ref(), build).await);
        let of_stack = match build.started_at {
            Some(since) => cause_of_stack(&place.cloudformation, module, log.stack(module), since).await,
            None => None,
        };
        of_stack.or_else(|| log.cause())
    }

    /// The clients where a build was. In a target, the role of this function may read no log but those of builds.
    async fn place_of(&self, build: &BuildOutcome, home: &AwsEnvironment) -> Result<BuildClients> {
        let Some(target) = build.build_id.target() else {
            let ours = build.log_group.as_deref() == Some(self.build_log.name());
            return Ok(BuildClients {
                cloudformation: self.cloudformation.clone(),
                log: ours.then(|| self.build_log.clone()),
            });
        };
        let aws = self.places.at(Some(&target), home).await?;
        let group = build.log_group.clone();
        Ok(BuildClients {
            cloudformation: CloudFormation::new(&aws),
            log: group.map(|group| LogGroup::new(&aws, group)),
        })
    }
}

/// The clients where a build was.
struct BuildClients {
    cloudformation: CloudFormation,
    log: Option<LogGroup>,
}

/// The last messages of the build's log; none if it can't be read.
async fn end_of_log(log: Option<&LogGroup>, build: &BuildOutcome) -> Vec<String> {
    let (Some(log), Some(stream)) = (log, build.log_stream.as_deref()) else {
        return Vec::new();
    };
    match log.last(stream, MESSAGES).await {
        Ok(messages) => messages,
        Err(error) => {
            not_read("the build's log", &error);
            Vec::new()
        }
    }
}

/// The first failure of a stack since the build began, as far as events can be read.
async fn cause_of_stack(
    cloudformation: &CloudFormation,
    module: &ModuleId,
    stack: String,
    since: Timestamp,
) -> Option<String> {
    let (mut search, mut next) = (StackSearch::new(module, since), Some(stack));
    while let Some(stack) = next {
        next = match cloudformation.events(&stack, since).await {
            Ok(events) => search.look(&events),
            Err(error) => {
                not_read("the stack's events", &error);
                None
            }
        };
    }
    search.cause()
}

fn not_read(what: &str, error: &Error) {
    tracing::warn!(what, error = error.name.as_str(), cause = %error.message, "not read for the cause");
}
