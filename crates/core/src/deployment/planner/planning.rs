//! What a plan is made from.

use crate::deployment::renames::Renames;
use crate::deployment::selection::Selection;
use crate::deployment::state::DeploymentState;
use crate::ids::{DeploymentId, ExecutionArn};
use crate::module::fingerprint::VersionsByTarget;

/// The inputs of the planner.
#[derive(Debug)]
pub struct Planning<'a> {
    /// The deployment.
    pub deployment: &'a DeploymentId,
    /// The execution that deploys.
    pub execution: &'a ExecutionArn,
    /// The stored state.
    pub state: &'a DeploymentState,
    /// The versions of the parameters that modules refer to, in the Parameter Store of each module's target.
    pub versions: &'a VersionsByTarget,
    /// The renames, after which the state is given.
    pub renames: &'a Renames,
    /// The selected modules.
    pub only: &'a Selection,
    /// The maximum number of modules that run at once.
    pub concurrency: u32,
}
