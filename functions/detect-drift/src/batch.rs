//! The batches of modules: which there are, and one step further with each module of one.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use seedflow_core::drift::check::{ModuleCheck, pause};
use seedflow_core::drift::phases::AT_ONCE;
use seedflow_core::drift::request::{Batch, DriftRequest, Listed};
use seedflow_core::error::Result;
use seedflow_core::ids::{AwsEnvironment, ExecutionArn};
use serde::Serialize;
use serde_json::Value;

use crate::handler::Handler;
use crate::stacks;

/// How long a step starts builds: the copy of a bundle may take most of the rest of the function's time.
const STARTING: Duration = Duration::from_secs(15);

/// What is left of a batch.
#[derive(Serialize)]
pub(crate) struct Left {
    began_at: Timestamp,
    checks: Vec<ModuleCheck>,
    /// When to look again; absent if nothing is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_seconds: Option<u32>,
}

impl Handler {
    /// Names the deployed modules of a request in batches, from where the part before ended.
    pub async fn list(&self, request: &Value, after: Option<&str>) -> Result<Listed> {
        let request = DriftRequest::parse(request)?;
        let keys = self.modules.work.keys(&request.prefix()).await?;
        let listed = request.list(keys, after);
        tracing::info!(batches = listed.batches.len(), "listed");
        Ok(listed)
    }

    /// Goes one step further with each module, and keeps those that are not done.
    pub async fn check(
        &self,
        execution: &ExecutionArn,
        batch: Batch,
        began_at: Timestamp,
        home: &AwsEnvironment,
        now: Timestamp,
    ) -> Result<Left> {
        let begins = Instant::now();
        let mut running = batch.builds();
        let mut checks = Vec::new();
        for ModuleCheck { module, begun } in batch.checks {
            // What begins now has to travel before its build is started.
            let may_build = begun.is_some() && running < AT_ONCE && begins.elapsed() < STARTING;
            let begun = match begun {
                Some(begun) => Some(begun),
                None => self.begin(&module).await?,
            };
            let Some(begun) = begun else { continue };
            let ran = begun.runs_a_build();
            let Some(mut begun) = self.advance_phases(&module, begun, may_build, home).await? else {
                continue;
            };
            running += usize::from(begun.runs_a_build());
            running -= usize::from(ran);
            let cloudformation = self.advance_stacks(&mut begun, home).await?;
            begun.give_up(began_at, now);
            if begun.is_settled() {
                let found = stacks::found(cloudformation.as_ref(), &begun).await?;
                self.record(execution, (&module, &begun), found, now).await?;
            } else {
                let begun = Some(begun);
                checks.push(ModuleCheck { module, begun });
            }
        }
        let wait_seconds = (!checks.is_empty()).then(|| pause(began_at, now));
        Ok(Left {
            began_at,
            checks,
            wait_seconds,
        })
    }
}
