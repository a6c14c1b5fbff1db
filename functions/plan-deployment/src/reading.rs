//! The repository to deploy, and beside it what is deployed.

use std::pin::pin;

use seedflow_aws::services::object_reader::ObjectReader;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_core::deployment::remote_source::RemoteSource;
use seedflow_core::deployment::repository::{Loaded, LoadedRepository};
use seedflow_core::deployment::state::DeploymentState;
use seedflow_core::error::Result;
use seedflow_core::ids::DeploymentId;

use crate::repository::{self, Asked, Stores};
use crate::state;

/// What was read.
pub(crate) enum Repository {
    /// All of it, with the state of the deployment.
    Whole(Box<(LoadedRepository<ObjectReader>, DeploymentState)>),
    /// These sources have to be fetched first.
    Needs(Vec<RemoteSource>),
}

/// Reads the repository and the state of the deployment at the same time, because Parameter Store answers few calls a second
/// (decision 54).
///
/// # Errors
/// The outer error ends the call. The inner one is of what the repository contains: it refuses the deployment.
pub(crate) async fn read(
    modules: &ModuleStore,
    deployment: &DeploymentId,
    stores: Stores<'_>,
    asked: &Asked<'_>,
) -> Result<Result<Repository>> {
    let (mut read, mut state) = (
        pin!(repository::read(stores, asked)),
        pin!(state::state(modules, deployment)),
    );
    let (found, state_so_far) = tokio::select! {
        found = &mut read => (found?, None),
        state = &mut state => (read.await?, Some(state)),
    };
    Ok(match found.of(deployment) {
        Ok(Loaded::Whole(read)) => {
            let state = match state_so_far {
                Some(state) => state?,
                None => state.await?,
            };
            Ok(Repository::Whole(Box::new((*read, state))))
        }
        Ok(Loaded::Needs(missing)) => Ok(Repository::Needs(missing)),
        Err(error) => Err(error),
    })
}
