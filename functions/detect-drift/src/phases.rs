//! The drift phases of one module: a read-only build of what is deployed.

use seedflow_aws::stores::read_only_builds::ReadOnlyBuilds;
use seedflow_core::drift::phases::{MAX_LINES, PhasesCheck, PhasesDrift};
use seedflow_core::error::{Error, Result};
use seedflow_core::ids::{AwsEnvironment, BuildFolder, BuildId};
use seedflow_core::module::codebuild::read_only::Section;
use seedflow_core::module::deployed_record::DeployedModule;

/// The check after its build was asked for. A call that fails for a moment is made again in the next step.
pub(crate) async fn start(
    builds: &ReadOnlyBuilds,
    check: PhasesCheck,
    deployed: DeployedModule,
    home: &AwsEnvironment,
) -> PhasesCheck {
    let next = match &check {
        PhasesCheck::Pending { run, .. } => started(builds, deployed, run, home).await,
        PhasesCheck::Running { .. } | PhasesCheck::Done { .. } => Ok(check.clone()),
    };
    next.unwrap_or_else(|error| failed(check, &error))
}

/// The check after a look at its build, if that runs.
pub(crate) async fn look(builds: &ReadOnlyBuilds, check: PhasesCheck, home: &AwsEnvironment) -> PhasesCheck {
    let next = match &check {
        PhasesCheck::Running { build } => looked(builds, build, home).await,
        PhasesCheck::Pending { .. } | PhasesCheck::Done { .. } => Ok(check.clone()),
    };
    next.unwrap_or_else(|error| failed(check, &error))
}

fn failed(check: PhasesCheck, error: &Error) -> PhasesCheck {
    tracing::warn!(error = error.name.as_str(), cause = %error.message, "drift phases not run");
    check.failed(error)
}

async fn started(
    builds: &ReadOnlyBuilds,
    deployed: DeployedModule,
    run: &BuildFolder,
    home: &AwsEnvironment,
) -> Result<PhasesCheck> {
    let settings = builds.settings(deployed.options.target.as_ref(), home).await?;
    let plan = deployed.into_check(settings)?;
    let build = builds.start(&plan, Section::Drift, run, home).await?;
    Ok(PhasesCheck::started(build))
}

async fn looked(builds: &ReadOnlyBuilds, build: &BuildId, home: &AwsEnvironment) -> Result<PhasesCheck> {
    let ended = builds.look(build, MAX_LINES, home).await?;
    Ok(ended.map_or_else(
        || PhasesCheck::started(Some(build.clone())),
        |ended| PhasesCheck::Done {
            found: PhasesDrift::of(&ended.ending, ended.output, ended.outcome.log_url),
        },
    ))
}
