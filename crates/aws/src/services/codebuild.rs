//! CodeBuild: projects and builds.

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::types::{
    ArtifactNamespace, ArtifactPackaging, ArtifactsType, Build, BuildPhase, CacheType, CloudWatchLogsConfig,
    ComputeType, EnvironmentType, EnvironmentVariable, EnvironmentVariableType, ImagePullCredentialsType,
    LogsConfig, LogsConfigStatusType, ProjectArtifacts, ProjectCache, ProjectEnvironment, ProjectSource,
    ProjectVisibilityType, SourceType, VpcConfig,
};
use jiff::Timestamp;
use seedflow_core::console::LogUrl;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{BuildFolder, BuildId};
use seedflow_core::module::codebuild::environment::Variable;
use seedflow_core::module::codebuild::project::Project;
use seedflow_core::module::codebuild::request::BuildRequest;
use seedflow_core::module::network::Network;
use seedflow_core::module::parameters::VariableType;
use seedflow_core::workflow::build_outcome::{BuildOutcome, BuildStatus, Phase, is_blank_context};

use crate::runtime::failure::{SdkFailure, failure};

/// The buildspec of a project that is created here, for users who start it by hand.
const BY_HAND: &str = "{\"version\": 0.2, \"phases\": {\"build\": {\"commands\": [\"echo 'Builds of this project are started by Seedflow, which brings source and buildspec.' && exit 1\"]}}}";

/// Where the log of a build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLocation {
    /// Whether the build still runs.
    pub is_running: bool,
    /// The log group; `None` as long as the build has no log.
    pub group: Option<String>,
    /// The log stream.
    pub stream: Option<String>,
}

/// CodeBuild in one account and region. It takes ids of builds with their target, and gives new ones without.
#[derive(Debug, Clone)]
pub struct CodeBuild {
    client: Client,
}

impl CodeBuild {
    /// Creates the client.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// Starts a build, and creates its project first if it is missing. `role` is the ARN of the role of all builds, which a
    /// new project gets.
    pub async fn start(&self, build: &BuildRequest, role: &str) -> Result<BuildId> {
        match self.start_build(build, role).await {
            Err(error) if error.project_is_missing => {
                self.create_project(build, role).await?;
                self.start_build(build, role).await.map_err(|e| e.error)
            }
            started => started.map_err(|e| e.error),
        }
    }

    /// Starts a build that has the role of its project, which exists.
    pub async fn start_in_project(&self, build: &BuildRequest) -> Result<BuildId> {
        self.start_build(build, "").await.map_err(|e| e.error)
    }

    async fn start_build(&self, build: &BuildRequest, role: &str) -> Result<BuildId, StartError> {
        let minutes = |minutes: u64| i32::try_from(minutes).unwrap_or(i32::MAX);
        let request = self
            .client
            .start_build()
            .project_name(&build.project)
            .idempotency_token(&build.idempotency_token)
            .source_type_override(SourceType::S3)
            .source_location_override(&build.source_location)
            .buildspec_override(&build.buildspec)
            .set_environment_variables_override(Some(
                build.variables.iter().map(variable).collect::<Result<_>>()?,
            ))
            .image_override(&build.image)
            .image_pull_credentials_type_override(pull_credentials(&build.image))
            .compute_type_override(ComputeType::from(build.compute_type.as_str()))
            // A cache would pass files of one module to the next.
            .cache_override(no_cache()?)
            // A retry by CodeBuild would be a build for which no execution waits.
            .auto_retry_limit_override(0)
            .environment_type_override(EnvironmentType::from(build.environment_type.as_str()))
            .privileged_mode_override(build.privileged)
            .timeout_in_minutes_override(minutes(build.timeout_minutes))
            .queued_timeout_in_minutes_override(minutes(build.queued_timeout_minutes))
            .set_service_role_override(build.service_role.clone())
            .artifacts_override(artifacts(build.artifact_bucket.as_deref(), &build.run)?)
            .logs_config_override(logs(&build.log_group)?);
        let answer = request.send().await.map_err(|e| StartError {
            project_is_missing: e.error_code() == Some("ResourceNotFoundException"),
            error: start_failure(build, role, &e),
        })?;
        let id = answer.build_value.and_then(|build| build.id).unwrap_or_default();
        Ok(BuildId::parse(&id)?)
    }

    /// A project; `None` if it does not exist.
    pub async fn project(&self, name: &str) -> Result<Option<Project>> {
        let read = self.client.batch_get_projects().names(name).send().await;
        let read = read.map_err(|e| failure(&format!("CodeBuild BatchGetProjects {name}"), &e))?;
        Ok(read
            .projects
            .unwrap_or_default()
            .into_iter()
            .next()
            .map(described))
    }

    /// Creates the project. If a concurrent call created it first, that is not an error.
    async fn create_project(&self, build: &BuildRequest, role: &str) -> Result<()> {
        let environment = ProjectEnvironment::builder()
            .r#type(EnvironmentType::from(build.environment_type.as_str()))
            .image(&build.image)
            .compute_type(ComputeType::from(build.compute_type.as_str()))
            .build()
            .map_err(unbuildable)?;
        let source = ProjectSource::builder()
            .r#type(SourceType::NoSource)
            .buildspec(BY_HAND)
            .build()
            .map_err(unbuildable)?;
        let request = self
            .client
            .create_project()
            .name(&build.project)
            .description("Builds of Seedflow");
        let request = request
            .source(source)
            .artifacts(no_artifacts()?)
            .environment(environment)
            .service_role(role)
            .set_vpc_config(build.network.as_ref().map(vpc_config))
            .logs_config(logs(&build.log_group)?);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.error_code() == Some("ResourceAlreadyExistsException") => Ok(()),
            Err(error) => Err(failure(
                &format!("CodeBuild CreateProject {}", build.project),
                &error,
            )),
        }
    }

    /// Where the log of a build is, also while it runs; `None` if CodeBuild doesn't know the build.
    pub async fn log(&self, id: &BuildId) -> Result<Option<LogLocation>> {
        let read = self.client.batch_get_builds().ids(id.in_codebuild()).send().await;
        let read = read.map_err(|e| failure(&format!("CodeBuild BatchGetBuilds {id}"), &e))?;
        let build = read.builds.unwrap_or_default().into_iter().next();
        Ok(build.map(|build| {
            let runs = build.build_status.as_ref().map(|status| status.as_str());
            let logs = build.logs;
            LogLocation {
                is_running: runs == Some(BuildStatus::InProgress.as_str()),
                group: logs.as_ref().and_then(|logs| logs.group_name.clone()),
                stream: logs.and_then(|logs| logs.stream_name),
            }
        }))
    }

    /// The outcome of a build, or `None` while it runs.
    pub async fn read(&self, id: &BuildId) -> Result<Option<BuildOutcome>> {
        let call = format!("CodeBuild BatchGetBuilds {id}");
        let answer = self
            .client
            .batch_get_builds()
            .ids(id.in_codebuild())
            .send()
            .await
            .map_err(|e| failure(&call, &e))?;
        let Some(build) = answer.builds.unwrap_or_default().into_iter().next() else {
            return Err(Error::new(
                ErrorName::BuildNotFound,
                format!(
                    "{call}: CodeBuild doesn't know the build; it keeps builds for a year, so it was deleted by hand or isn't visible yet"
                ),
            ));
        };
        ended(id, build)
    }
}

impl CodeBuild {
    /// Stops a build; `true` if it has ended by now. A running build ends a moment later. A build that has ended already
    /// stays as it is, and StopBuild returns it.
    pub async fn stop(&self, id: &BuildId) -> Result<bool> {
        let stopped = self.client.stop_build().id(id.in_codebuild()).send().await;
        let answer = stopped.map_err(|e| failure(&format!("CodeBuild StopBuild {id}"), &e))?;
        Ok(answer.build_value.is_some_and(|build| build.build_complete))
    }

    /// The build of an execution, found among the project's newest builds by its source, which is in the execution's build
    /// folder. One page of a hundred is enough, since the build was requested a few minutes ago.
    pub async fn find(&self, project: &str, run: &BuildFolder) -> Result<Option<BuildId>> {
        let call = format!("CodeBuild ListBuildsForProject {project}");
        let request = self.client.list_builds_for_project().project_name(project);
        // No sort order: without one the newest builds come first. With one CodeBuild refuses the call once the project has
        // more than 100 builds (API reference, ListBuildsForProject, `sortOrder`).
        let listed = match request.send().await {
            Ok(listed) => listed,
            // start-build had not created the project yet.
            Err(error) if error.error_code() == Some("ResourceNotFoundException") => return Ok(None),
            Err(error) => return Err(failure(&call, &error)),
        };
        let Some(ids) = listed.ids.filter(|ids| !ids.is_empty()) else {
            return Ok(None);
        };
        let call = format!("CodeBuild BatchGetBuilds of {} builds of {project}", ids.len());
        let request = self.client.batch_get_builds().set_ids(Some(ids));
        let read = request.send().await.map_err(|e| failure(&call, &e))?;
        let key = run.source_key();
        let ours = |build: &Build| {
            let location = build
                .source
                .as_ref()
                .and_then(|source| source.location.as_deref());
            location.is_some_and(|location| location.ends_with(&key))
        };
        let found = read.builds.unwrap_or_default().into_iter().find(ours);
        found
            .and_then(|build| build.id)
            .map(|id| BuildId::parse(&id))
            .transpose()
    }
}

/// The outcome of a build, from its description.
fn ended(id: &BuildId, build: Build) -> Result<Option<BuildOutcome>> {
    // An unknown status must not count as a running build: the execution would wait for it without end.
    let word = build
        .build_status
        .as_ref()
        .map_or("none", |status| status.as_str());
    let status = BuildStatus::parse(word).ok_or_else(|| {
        let known = BuildStatus::ALL.map(BuildStatus::as_str).join(", ");
        Error::new(
            ErrorName::Refused,
            format!("CodeBuild BatchGetBuilds {id}: found the status {word}; known are {known}"),
        )
    })?;
    if status == BuildStatus::InProgress {
        return Ok(None);
    }
    let logs = build
        .logs
        .unwrap_or_else(|| aws_sdk_codebuild::types::LogsLocation::builder().build());
    let outcome = BuildOutcome {
        log_url: logs.deep_link.as_deref().and_then(LogUrl::parse),
        log_group: logs.group_name,
        log_stream: logs.stream_name,
        started_at: build.start_time.as_ref().and_then(at),
        ended_at: build.end_time.as_ref().and_then(at),
        ..BuildOutcome::ended(id.clone(), status)
    };
    let phases = build.phases.unwrap_or_default();
    Ok(Some(
        outcome.with_phases(phases.iter().filter_map(phase).collect()),
    ))
}

/// The error of StartBuild. A new role can't be assumed everywhere at once. CodeBuild then answers with
/// InvalidInputException and these words (CodeBuild user guide, "Troubleshooting AWS CodeBuild", "not authorized to
/// perform: sts:AssumeRole"). The role of all builds is not new, so this answer about it is permanent.
fn start_failure(build: &BuildRequest, role: &str, error: &impl SdkFailure) -> Error {
    let failed = failure(&format!("CodeBuild StartBuild {}", build.project), error);
    let not_yet = error.error_code() == Some("InvalidInputException")
        && error
            .error_message()
            .is_some_and(|message| message.contains("not authorized to perform: sts:AssumeRole"));
    if not_yet && build.service_role.as_deref().is_some_and(|own| own != role) {
        return Error::new(ErrorName::RoleNotReady, failed.message);
    }
    failed
}

struct StartError {
    project_is_missing: bool,
    error: Error,
}

impl From<Error> for StartError {
    fn from(error: Error) -> Self {
        Self {
            project_is_missing: false,
            error,
        }
    }
}

fn variable(variable: &Variable) -> Result<EnvironmentVariable> {
    let kind = match variable.kind {
        VariableType::Plaintext => EnvironmentVariableType::Plaintext,
        VariableType::ParameterStore => EnvironmentVariableType::ParameterStore,
        VariableType::SecretsManager => EnvironmentVariableType::SecretsManager,
    };
    EnvironmentVariable::builder()
        .name(&variable.name)
        .value(&variable.value)
        .r#type(kind)
        .build()
        .map_err(unbuildable)
}

/// The build's folder in the work bucket. The name "/" puts the files into the folder itself (API reference,
/// `ProjectArtifacts`, `name`). The bucket encrypts them like everything else; CodeBuild would use a key of KMS, for which
/// the build role and ours would need permissions (`encryptionDisabled`).
fn artifacts(bucket: Option<&str>, run: &BuildFolder) -> Result<ProjectArtifacts> {
    let Some(bucket) = bucket else {
        return no_artifacts();
    };
    ProjectArtifacts::builder()
        .r#type(ArtifactsType::S3)
        .location(bucket)
        .path(run.folder())
        .namespace_type(ArtifactNamespace::None)
        .name("/")
        .packaging(ArtifactPackaging::None)
        .encryption_disabled(true)
        .build()
        .map_err(unbuildable)
}

fn no_artifacts() -> Result<ProjectArtifacts> {
    ProjectArtifacts::builder()
        .r#type(ArtifactsType::NoArtifacts)
        .build()
        .map_err(unbuildable)
}

fn no_cache() -> Result<ProjectCache> {
    ProjectCache::builder()
        .r#type(CacheType::NoCache)
        .build()
        .map_err(unbuildable)
}

/// The properties of a project that all its builds get and that StartBuild can't remove (API reference, `StartBuild` beside
/// `Project`). An override of a fleet or of secondary sources replaces them by others, but can't remove them.
fn described(project: aws_sdk_codebuild::types::Project) -> Project {
    let has_some = |list: Option<usize>| list.unwrap_or_default() > 0;
    let environment = project.environment.as_ref();
    let all = [
        (
            "file systems",
            has_some(project.file_system_locations.as_ref().map(Vec::len)),
        ),
        (
            "environment variables",
            environment.is_some_and(|e| !e.environment_variables().is_empty()),
        ),
        (
            "secondary sources",
            has_some(project.secondary_sources.as_ref().map(Vec::len)),
        ),
        (
            "fleet",
            environment
                .and_then(|e| e.fleet())
                .is_some_and(|fleet| fleet.fleet_arn().is_some()),
        ),
        (
            "Docker server",
            environment.is_some_and(|e| e.docker_server().is_some()),
        ),
        (
            "registry credential",
            environment.is_some_and(|e| e.registry_credential().is_some()),
        ),
        (
            "public visibility",
            project.project_visibility == Some(ProjectVisibilityType::PublicRead),
        ),
    ];
    let brings = all.into_iter().filter(|(_, has)| *has).map(|(what, _)| what);
    Project {
        brings: brings.collect(),
        network: project.vpc_config.and_then(network),
        name: project.name.unwrap_or_default(),
        service_role: project.service_role.unwrap_or_default(),
    }
}

fn vpc_config(network: &Network) -> VpcConfig {
    VpcConfig::builder()
        .vpc_id(&network.vpc_id)
        .set_subnets(Some(network.subnet_ids.iter().cloned().collect()))
        .set_security_group_ids(Some(network.security_group_ids.iter().cloned().collect()))
        .build()
}

/// The network of a project; without a VPC there is none.
fn network(config: VpcConfig) -> Option<Network> {
    Some(Network {
        vpc_id: config.vpc_id.filter(|id| !id.is_empty())?,
        subnet_ids: config.subnets.unwrap_or_default().into_iter().collect(),
        security_group_ids: config
            .security_group_ids
            .unwrap_or_default()
            .into_iter()
            .collect(),
    })
}

fn logs(group: &str) -> Result<LogsConfig> {
    let logs = CloudWatchLogsConfig::builder()
        .status(LogsConfigStatusType::Enabled)
        .group_name(group)
        .build()
        .map_err(unbuildable)?;
    Ok(LogsConfig::builder().cloud_watch_logs(logs).build())
}

/// CodeBuild pulls its own images with its own credentials; all other images need the build's role (API reference,
/// `imagePullCredentialsType`).
fn pull_credentials(image: &str) -> ImagePullCredentialsType {
    if image.starts_with("aws/codebuild/") {
        ImagePullCredentialsType::Codebuild
    } else {
        ImagePullCredentialsType::ServiceRole
    }
}

/// The error of an SDK's builder for a missing field; ours set all fields.
fn unbuildable(error: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorName::Refused,
        format!("CodeBuild: the request can't be composed: {error}"),
    )
}

fn phase(phase: &BuildPhase) -> Option<Phase> {
    let context = phase.contexts().iter().map(|c| {
        format!(
            "{}: {}",
            c.status_code().unwrap_or_default(),
            c.message().unwrap_or_default()
        )
    });
    Some(Phase {
        name: phase.phase_type()?.as_str().to_owned(),
        status: phase.phase_status().map(|status| status.as_str().to_owned()),
        started_at: phase.start_time().and_then(at),
        seconds: phase.duration_in_seconds(),
        context: context.into_iter().find(|text| !is_blank_context(text)),
    })
}

/// Converts a time of the SDK.
fn at(time: &aws_sdk_codebuild::primitives::DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aws_sdk_codebuild::types::StatusType;

    fn end_of(status: Option<StatusType>) -> Result<Option<BuildOutcome>> {
        let id = BuildId::parse("p:u").unwrap();
        ended(&id, Build::builder().set_build_status(status).build())
    }

    #[test]
    fn a_status_that_nobody_knows_is_an_error_and_no_running_build() {
        assert_eq!(end_of(Some(StatusType::InProgress)).unwrap(), None);
        let stopped = end_of(Some(StatusType::Stopped)).unwrap().unwrap();
        assert_eq!(stopped.status, BuildStatus::Stopped);
        for (status, word) in [(Some(StatusType::from("PAUSED")), "PAUSED"), (None, "none")] {
            let error = end_of(status).unwrap_err();
            assert_eq!(error.name, ErrorName::Refused);
            assert!(
                error
                    .message
                    .contains(&format!("found the status {word}; known are SUCCEEDED")),
                "{error}"
            );
        }
    }
}
