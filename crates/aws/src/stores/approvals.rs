//! Plans that wait for an approval, in the work bucket (decision 59): the request, the one verdict on it, and the task token of
//! the execution that waits.
//!
//! The waiting execution stores its token and then looks for a verdict. An approver stores the verdict and then looks for
//! a token. So the later of both answers the task. Every later call repeats a lost answer, and Step Functions refuses all
//! answers but the first.

use seedflow_core::approval::{ApprovalRequest, Verdict};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{DeploymentId, ExecutionArn};
#[cfg(feature = "sfn")]
use seedflow_core::workflow::callback::Registration;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(feature = "sfn")]
use crate::services::s3::Conditional;
use crate::services::s3::{Bucket, Expect};
#[cfg(feature = "sfn")]
use crate::services::sfn::StepFunctions;

/// The longest request: its reasons name ten modules each, and its approvers are two hundred ARNs.
const MAX_STORED: u64 = 512 * 1024;

/// The most conflicting writes of a registration: a state's attempts are few.
#[cfg(feature = "sfn")]
const MAX_CONFLICTS: usize = 10;

/// The waiting plan of an execution.
#[derive(Debug, Clone, Copy)]
pub struct Approval<'a> {
    /// The work bucket.
    pub bucket: &'a Bucket,
    /// The deployment.
    pub deployment: &'a DeploymentId,
    /// The execution whose plan waits.
    pub execution: &'a ExecutionArn,
}

impl Approval<'_> {
    /// The request; `None` if the execution's plan needed none.
    pub async fn request(&self) -> Result<Option<ApprovalRequest>> {
        self.read(&self.deployment.approval_request_key(self.execution))
            .await
    }

    /// What was decided.
    pub async fn verdict(&self) -> Result<Option<Verdict>> {
        self.read(&self.deployment.approval_verdict_key(self.execution))
            .await
    }

    /// Stores a request unless there is one, and returns the stored one.
    pub async fn store_request(&self, request: ApprovalRequest) -> Result<ApprovalRequest> {
        let key = self.deployment.approval_request_key(self.execution);
        self.store_first(&key, request).await
    }

    /// Stores a verdict unless there is one, and returns the stored one.
    pub async fn store_verdict(&self, verdict: Verdict) -> Result<Verdict> {
        let key = self.deployment.approval_verdict_key(self.execution);
        self.store_first(&key, verdict).await
    }

    async fn store_first<T: Serialize + DeserializeOwned>(&self, key: &str, value: T) -> Result<T> {
        let text = serde_json::to_string(&value).map_err(|e| Error::unwritable(key, &e))?;
        self.bucket.put_if(key, text, Expect::Nothing).await?;
        self.read(key).await?.ok_or_else(|| unreadable(key, "it is gone"))
    }

    async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let found = self.bucket.get(key, MAX_STORED).await?;
        let parse = |(bytes, _): (Vec<u8>, _)| {
            serde_json::from_slice(&bytes).map_err(|e| unreadable(key, &e.to_string()))
        };
        found.map(parse).transpose()
    }
}

#[cfg(feature = "sfn")]
impl Approval<'_> {
    /// Registers the task that waits. Of several attempts the newest stays.
    pub async fn register(&self, registration: &Registration) -> Result<()> {
        let key = self.deployment.approval_token_key(self.execution);
        let text = serde_json::to_string(registration).map_err(|_| no_token(&key))?;
        for _ in 0..MAX_CONFLICTS {
            let found = self.bucket.get(&key, MAX_STORED).await?;
            let expect = match found {
                None => Expect::Nothing,
                Some((bytes, tag)) => {
                    let there: Registration = serde_json::from_slice(&bytes).map_err(|_| no_token(&key))?;
                    if there == *registration || there.is_newer_than(registration) {
                        return Ok(());
                    }
                    Expect::Tag(tag)
                }
            };
            if let Conditional::Done(_) = self.bucket.put_if(&key, text.clone(), expect).await? {
                return Ok(());
            }
        }
        Err(Error::new(
            ErrorName::ServiceUnavailable,
            format!("{key}: {MAX_CONFLICTS} writes in a row found the object changed; it is tried again"),
        ))
    }

    /// Answers the waiting task, if it is registered. One that doesn't wait any more is left alone.
    pub async fn answer(&self, verdict: &Verdict, step_functions: &StepFunctions) -> Result<()> {
        let key = self.deployment.approval_token_key(self.execution);
        let Some((bytes, _)) = self.bucket.get(&key, MAX_STORED).await? else {
            return Ok(());
        };
        let registration: Registration = serde_json::from_slice(&bytes).map_err(|_| no_token(&key))?;
        step_functions
            .answer(&registration.token, &verdict.answer())
            .await?;
        Ok(())
    }

    /// Decides, unless that was done before, and answers the task. Returns what was decided.
    pub async fn settle(&self, verdict: Verdict, step_functions: &StepFunctions) -> Result<Verdict> {
        let decided = self.store_verdict(verdict).await?;
        self.answer(&decided, step_functions).await?;
        Ok(decided)
    }
}

fn unreadable(key: &str, why: &str) -> Error {
    Error::new(
        ErrorName::Refused,
        format!("{key}: the object can't be read: {why}; start a new execution"),
    )
}

/// The error has the key but not the content, which may be half a token.
#[cfg(feature = "sfn")]
fn no_token(key: &str) -> Error {
    unreadable(key, "it is not the registration of a task")
}
