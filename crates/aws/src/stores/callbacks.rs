//! Runs the core's callback protocol with S3 and Step Functions (decision 9).

use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::BuildId;
use seedflow_core::workflow::build_outcome::BuildOutcome;
use seedflow_core::workflow::callback::{CallbackStep, Command, ETag, End, Party, Registration, Reply};

use crate::services::s3::{Bucket, Conditional, Expect};
use crate::services::sfn::StepFunctions;

/// A registration is a token of at most 2 KB and two short fields.
const MAX_REGISTRATION: u64 = 16 * 1024;

/// Stores registrations and sends answers.
#[derive(Debug, Clone)]
pub struct Callbacks {
    bucket: Bucket,
    step_functions: StepFunctions,
}

impl Callbacks {
    /// Callbacks of the work bucket.
    #[must_use]
    pub fn new(bucket: Bucket, step_functions: StepFunctions) -> Self {
        Self {
            bucket,
            step_functions,
        }
    }

    /// Runs one party of the protocol to its end. `read` reads the build's status, for the party that asks for it.
    pub async fn run(
        &self,
        build: &BuildId,
        (mut party, mut command): (impl Party, Command),
        read: impl AsyncFn() -> Result<Option<BuildOutcome>>,
    ) -> Result<End> {
        loop {
            let reply = match command {
                Command::ReadBuild => Reply::Build(read().await?.map(Box::new)),
                other => self.perform(&build.callback_key(), other).await?,
            };
            match party.next(reply) {
                CallbackStep::Do(next) => command = next,
                CallbackStep::Done(end) => return Ok(end),
            }
        }
    }

    async fn perform(&self, key: &str, command: Command) -> Result<Reply> {
        match command {
            Command::Create(registration) => self.store(key, &registration, Expect::Nothing).await,
            Command::Replace(registration, tag) => self.store(key, &registration, Expect::Tag(tag)).await,
            Command::Find => self.find(key).await,
            Command::Answer(token, outcome) => {
                self.step_functions.answer(&token, &outcome).await?;
                Ok(Reply::Answered)
            }
            Command::Delete(tag) => match self.bucket.delete_if(key, &tag).await? {
                Conditional::Done(_) => Ok(Reply::Deleted),
                Conditional::Conflict => Ok(Reply::Conflict),
            },
            Command::ReadBuild => Ok(Reply::Build(None)),
        }
    }

    async fn store(&self, key: &str, registration: &Registration, expect: Expect) -> Result<Reply> {
        let text = serde_json::to_string(registration).map_err(|_| unreadable(key))?;
        match self.bucket.put_if(key, text, expect).await? {
            Conditional::Done(tag) => Ok(Reply::Stored(tag)),
            Conditional::Conflict => Ok(Reply::Conflict),
        }
    }

    async fn find(&self, key: &str) -> Result<Reply> {
        let found: Option<(Vec<u8>, ETag)> = self.bucket.get(key, MAX_REGISTRATION).await?;
        let read = |(bytes, tag): (Vec<u8>, ETag)| {
            serde_json::from_slice(&bytes)
                .map(|r| (r, tag))
                .map_err(|_| unreadable(key))
        };
        Ok(Reply::Found(found.map(read).transpose()?))
    }
}

/// The error has the key but not the content, which may be half a token.
fn unreadable(key: &str) -> Error {
    Error::new(
        ErrorName::Refused,
        format!(
            "{key}: the object is not a registration of a task; delete it, and the execution registers anew"
        ),
    )
}
