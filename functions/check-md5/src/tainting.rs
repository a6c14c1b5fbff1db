//! The check of a module that is to be marked, so that its next deployment runs.

use jiff::Timestamp;
use seedflow_core::error::Result;
use seedflow_core::ids::ModuleId;
use seedflow_core::module::plan::CheckResult;
use seedflow_core::module::rename;
use seedflow_core::module::taint;

use crate::handler::{CurrentExecution, Handler};

impl Handler {
    /// Marks a module, which isn't deployed now ([`taint`]).
    pub async fn taint(&self, module: &ModuleId, at: CurrentExecution<'_>) -> Result<CheckResult> {
        let record = self.modules.record(module).await?;
        let stored = self.modules.stored(module).await?;
        rename::refuse_taken(module, &stored, None)?;
        let plan = taint::plan(module, record, &stored, Timestamp::now())?;
        let reasons = vec![taint::REASON.to_owned()];
        self.checked(false, reasons, (plan, None), at).await
    }
}
