//! One build from its place in the queue to its end.
//!
//! `phases` runs the phases one after the other without regard to interruptions: `execute` drops it when
//! the build is stopped or its time is up, kills what it started, and ends the phase that was running.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::buildspec::{Buildspec, OnFailure, PhaseSpec};
use super::config::SimulatedBuild;
use super::events::Events;
use super::files::{self, Workspace};
use super::log::Log;
use super::model::{Build, Failure, PhaseKind, Status};
use super::plan::VariableKind;
use super::processes::kill_tree;
use super::queue::Ticket;
use super::registry::{Endpoints, Registry};
use super::shell::{Shell, ShellConfig};
use super::{environment, path_wrappers, role, variables};
use crate::aws_api::AwsApi;

/// The phases with commands, in their order.
const COMMAND_PHASES: [PhaseKind; 4] = [
    PhaseKind::Install,
    PhaseKind::PreBuild,
    PhaseKind::Build,
    PhaseKind::PostBuild,
];
/// A command in a message is cut here: an event holds 256 KB, a command may hold a whole script.
const LONGEST_COMMAND: usize = 2_000;

/// Runs a build to its end.
pub async fn run(
    registry: Arc<Registry>,
    build: Build,
    simulated: Option<SimulatedBuild>,
    mut ticket: Ticket,
    stop: watch::Receiver<bool>,
) {
    let (Ok(endpoints), Ok(service)) = (registry.endpoints(), registry.service(&build.at)) else {
        return;
    };
    let source = registry.config.event_source.clone();
    let events = Events::open(service.clone(), source, build.arn.clone());
    let mut runner = Runner {
        registry: &registry,
        endpoints,
        service,
        build,
        simulated,
        events,
        log: Log::disabled(),
        shell: None,
        secrets: Vec::new(),
        outside: None,
    };
    let status = runner.lead(&mut ticket, stop).await;
    drop(ticket);
    runner.complete(status).await;
}

struct Runner<'a> {
    registry: &'a Registry,
    endpoints: &'a Endpoints,
    /// Calls as CodeBuild itself, in the build's account and region.
    service: AwsApi,
    /// The record as it was submitted: its names and its plan. The living record is the registry's.
    build: Build,
    simulated: Option<SimulatedBuild>,
    events: Events,
    log: Log,
    shell: Option<Shell>,
    /// The names of the variables whose values are masked.
    secrets: Vec<String>,
    /// The build's folder outside of its workspace.
    outside: Option<PathBuf>,
}

impl Runner<'_> {
    async fn lead(&mut self, ticket: &mut Ticket, mut stop: watch::Receiver<bool>) -> Status {
        if let Some(details) = self.read(|build| (build.state_change(), build.phases.first().cloned())) {
            self.events.state_change(details.0);
            if let Some(submitted) = details.1 {
                self.phase_event(&submitted);
            }
        }
        let patience = self.registry.config.minute * self.build.plan.queued_timeout_minutes;
        let place = tokio::select! {
            biased;
            () = stopped(&mut stop) => Err(Status::Stopped),
            place = tokio::time::timeout(patience, ticket.may_run()) => place.map_err(|_| Status::TimedOut),
        };
        self.finish_as(place.err().unwrap_or(Status::Succeeded)).await;
        match place {
            Ok(()) => self.execute(stop).await,
            Err(status) => status,
        }
    }

    async fn execute(&mut self, mut stop: watch::Receiver<bool>) -> Status {
        self.begin(PhaseKind::Provisioning);
        let (workspace, api) = match self.provision().await {
            Ok(provided) => provided,
            Err((status, failure)) => {
                self.finish(status, Some(failure)).await;
                return status;
            }
        };
        if let Some(logs) = &self.build.plan.logs {
            let stream = logs.stream(self.build.uuid());
            self.log = Log::open(api.clone(), logs.group.clone(), stream);
            self.record(|build| build.log_is_there = true);
        }
        self.finish(Status::Succeeded, None).await;
        let time = self.registry.config.minute * self.build.plan.timeout_minutes;
        let outcome = tokio::select! {
            biased;
            () = stopped(&mut stop) => Err(Status::Stopped),
            outcome = tokio::time::timeout(time, self.phases(&workspace, &api)) => outcome.map_err(|_| Status::TimedOut),
        };
        self.kill().await;
        let status = match outcome {
            Ok(status) => status,
            Err(interrupted) => {
                self.finish_as(interrupted).await;
                interrupted
            }
        };
        self.finalize(workspace).await;
        status
    }

    /// A workspace, and a client with the build's role.
    async fn provision(&self) -> Result<(Workspace, AwsApi), (Status, Failure)> {
        let role = self.build.plan.service_role.as_str().unwrap_or_default();
        let keys = role::assume(&self.service, role, self.build.uuid()).await;
        let keys = keys.map_err(|failure| (Status::Failed, failure))?;
        let config = &self.registry.config;
        let workspace = Workspace::new(&config.work_dir)
            .and_then(|workspace| {
                path_wrappers::install(&workspace, config, self.build.plan.privileged()).map(|()| workspace)
            })
            .map_err(|error| {
                let failure = Failure::new("INTERNAL_ERROR", format!("no workspace: {error}"));
                (Status::Fault, failure)
            })?;
        Ok((workspace, AwsApi::new(&self.endpoints.builds_url, keys)))
    }

    /// The phases in the container; every failure is recorded where it happens.
    async fn phases(&mut self, workspace: &Workspace, api: &AwsApi) -> Status {
        if let Some(simulated) = self.simulated {
            let simulated = self.simulate(simulated, workspace, api).await;
            return simulated.map_or(Status::Failed, |()| Status::Succeeded);
        }
        let spec = match self.download_source(workspace, api).await {
            Ok(spec) => spec,
            Err(()) => return Status::Failed,
        };
        let mut succeeding = true;
        let mut built = false;
        for kind in COMMAND_PHASES {
            built |= kind == PhaseKind::Build;
            if self.command_phase(kind, spec.phase(kind)).await.is_err() {
                succeeding = false;
                if !goes_on(kind, spec.phase(kind)) {
                    break;
                }
                self.command("export CODEBUILD_BUILD_SUCCEEDING=0").await;
            }
        }
        // What was built is uploaded even if it failed; before BUILD there is nothing to upload.
        if built {
            self.export(&spec.exported).await;
            succeeding &= self.upload_artifacts(&spec, workspace, api).await.is_ok();
        }
        if succeeding {
            Status::Succeeded
        } else {
            Status::Failed
        }
    }

    /// The same phases for a simulated build: no source, no variables, no commands, empty artifacts.
    async fn simulate(
        &mut self,
        simulated: SimulatedBuild,
        workspace: &Workspace,
        api: &AwsApi,
    ) -> Result<(), ()> {
        self.begin(PhaseKind::DownloadSource);
        let spec = self.buildspec(&workspace.source(), api).await;
        let spec = spec.and_then(|text| Buildspec::parse(&text));
        let outcome = spec.as_ref().map(drop).map_err(Failure::clone);
        self.end(PhaseKind::DownloadSource, outcome).await?;
        for kind in COMMAND_PHASES {
            self.begin(kind);
            let mut outcome = Ok(());
            if kind == PhaseKind::Build {
                tokio::time::sleep(simulated.lasts).await;
                if simulated.fails {
                    let message = "Error while executing command: simulated. Reason: exit status 1";
                    outcome = Err(Failure::new("COMMAND_EXECUTION_ERROR", message));
                }
            }
            self.end(kind, outcome).await?;
        }
        let spec = spec.map_err(drop)?;
        if let Some(artifacts) = &spec.artifacts {
            self.outside = files::outside(artifacts);
            let made = files::simulate(artifacts, &workspace.source());
            made.map_err(|error| eprintln!("codebuild: no artifacts to hand back: {error}"))?;
        }
        self.upload_artifacts(&spec, workspace, api).await
    }

    async fn download_source(&mut self, workspace: &Workspace, api: &AwsApi) -> Result<Buildspec, ()> {
        self.begin(PhaseKind::DownloadSource);
        self.log.note("Waiting for agent ping").await;
        self.log.note("Waiting for DOWNLOAD_SOURCE").await;
        let prepared = self.prepare(workspace, api).await;
        let (spec, outcome) = match prepared {
            Ok(spec) => (Some(spec), Ok(())),
            Err(failure) => (None, Err(failure)),
        };
        self.end(PhaseKind::DownloadSource, outcome).await?;
        spec.ok_or(())
    }

    /// Source, buildspec, variables, and a shell that has them.
    async fn prepare(&mut self, workspace: &Workspace, api: &AwsApi) -> Result<Buildspec, Failure> {
        files::download(&self.build.plan.source, workspace, api).await?;
        let directory = workspace.source();
        self.log
            .note(format!("CODEBUILD_SRC_DIR={}", directory.display()))
            .await;
        let spec = Buildspec::parse(&self.buildspec(&directory, api).await?)?;
        self.outside = spec.artifacts.as_ref().and_then(files::outside);
        self.log.note("Processing environment variables").await;
        let declared = [spec.variables.as_slice(), &self.build.plan.variables].concat();
        let values = variables::resolve(&declared, api).await?;
        for variable in declared
            .iter()
            .filter(|variable| variable.kind != VariableKind::Plaintext)
        {
            self.log
                .mask(values.get(&variable.name).map_or("", String::as_str));
            self.secrets.push(variable.name.clone());
        }
        let environment = environment::complete(values, &self.build, workspace, &self.registry.config, api);
        self.log
            .note(format!("Moving to directory {}", directory.display()))
            .await;
        self.shell = Some(Shell::new(ShellConfig {
            kind: spec.shell,
            environment,
            directory,
            scratch: workspace.scratch(),
        }));
        self.log
            .note(format!("Phases found in YAML: {}", spec.phases.len()))
            .await;
        Ok(spec)
    }

    /// The buildspec's text: given, an object of S3 by its ARN, or a file of the source.
    async fn buildspec(&self, directory: &Path, api: &AwsApi) -> Result<String, Failure> {
        let given = self
            .build
            .plan
            .source
            .buildspec
            .as_deref()
            .filter(|text| !text.is_empty());
        let file = match given {
            Some(text) if text.contains('\n') || text.trim_start().starts_with('{') => {
                return Ok(text.to_owned());
            }
            Some(arn) if arn.starts_with("arn:") => return stored_buildspec(arn, api).await,
            file => file.unwrap_or("buildspec.yml"),
        };
        tokio::fs::read_to_string(directory.join(file))
            .await
            .map_err(|error| {
                Failure::new(
                    "YAML_FILE_ERROR",
                    format!("YAML file does not exist: {file}: {error}"),
                )
            })
    }

    async fn command_phase(&mut self, kind: PhaseKind, spec: Option<&PhaseSpec>) -> Result<(), ()> {
        self.begin(kind);
        self.log.note(format!("Entering phase {}", kind.name())).await;
        let mut outcome = Ok(());
        if let Some(spec) = spec {
            outcome = self.commands(&spec.commands).await;
            let finally = self.commands(&spec.finally).await;
            outcome = outcome.and(finally);
        }
        self.end(kind, outcome).await
    }

    /// Runs commands up to the first that fails.
    async fn commands(&mut self, commands: &[String]) -> Result<(), Failure> {
        for command in commands {
            self.log.note(format!("Running command {command}")).await;
            let status = self.command(command).await;
            if status != 0 {
                let reason = format!("exit status {status}");
                self.log
                    .note(format!("Command did not exit successfully {command} {reason}"))
                    .await;
                let message = format!(
                    "Error while executing command: {}. Reason: {reason}",
                    shortened(command)
                );
                return Err(Failure::new("COMMAND_EXECUTION_ERROR", message));
            }
        }
        Ok(())
    }

    /// A command's exit status; a bash that can't be started counts as 127, as a missing program does.
    async fn command(&mut self, command: &str) -> i32 {
        let Some(shell) = &mut self.shell else {
            return 127;
        };
        match shell.run(command, &self.log).await {
            Ok(status) => status,
            Err(error) => {
                self.log.note(format!("bash can't run: {error}")).await;
                127
            }
        }
    }

    /// Keeps the exported variables' values; secrets and AWS's own can't be exported.
    async fn export(&mut self, names: &[String]) {
        let mut names = names.to_vec();
        names.retain(|name| is_name(name) && !name.starts_with("AWS_") && !self.secrets.contains(name));
        let mut exported = Vec::new();
        for name in names {
            if let Some(shell) = &mut self.shell
                && let Ok(Some(value)) = shell.variable(&name, &self.log).await
            {
                exported.push((name, value));
            }
        }
        self.record(|build| build.exported = exported);
    }

    async fn upload_artifacts(
        &mut self,
        spec: &Buildspec,
        workspace: &Workspace,
        api: &AwsApi,
    ) -> Result<(), ()> {
        self.begin(PhaseKind::UploadArtifacts);
        let target = &self.build.plan.artifacts;
        let uploaded = match &spec.artifacts {
            Some(spec) if target.kind == "S3" => {
                let source = workspace.source();
                files::upload(spec, target, &source, self.build.uuid(), api)
                    .await
                    .map(Some)
            }
            _ => Ok(None),
        };
        let outcome = uploaded.map(|artifact| {
            if let Some(artifact) = artifact {
                self.record(|build| build.artifact = artifact);
            }
        });
        self.end(PhaseKind::UploadArtifacts, outcome).await
    }

    /// Kills the build's processes that still run: on AWS the container ends here.
    async fn kill(&mut self) {
        // Whatever it started, its shell did.
        let Some(shell) = self.shell.take() else {
            return;
        };
        let group = shell.process_group();
        let mark = format!("CODEBUILD_BUILD_ARN={}", self.build.arn);
        let _ = tokio::task::spawn_blocking(move || kill_tree(group, &mark)).await;
    }

    async fn finalize(&mut self, workspace: Workspace) {
        self.begin(PhaseKind::Finalizing);
        let outside = self.outside.take();
        let _ = tokio::task::spawn_blocking(move || workspace.remove(outside.as_deref())).await;
        if !self.registry.lock().closing {
            self.log.close().await;
        }
        self.finish(Status::Succeeded, None).await;
    }

    async fn complete(&mut self, status: Status) {
        let now = Timestamp::now();
        self.record(|build| {
            build.begin(PhaseKind::Completed, now);
            build.status = status;
            build.end = Some(now);
        });
        if self.registry.lock().closing {
            return;
        }
        if let Some(details) = self.read(|build| (build.state_change(), build.phases.last().cloned())) {
            self.events.state_change(details.0);
            if let Some(completed) = details.1 {
                self.phase_event(&completed);
            }
        }
        self.events.close().await;
    }

    fn begin(&mut self, kind: PhaseKind) {
        self.record(|build| build.begin(kind, Timestamp::now()));
    }

    /// Ends a phase of the container with what it came to, also in the log.
    async fn end(&mut self, kind: PhaseKind, outcome: Result<(), Failure>) -> Result<(), ()> {
        let status = if outcome.is_ok() {
            Status::Succeeded
        } else {
            Status::Failed
        };
        let failure = outcome.as_ref().err();
        self.log
            .note(format!(
                "Phase complete: {} State: {}",
                kind.name(),
                status.name()
            ))
            .await;
        let (code, message) = failure.map_or(("", ""), |f| (f.code.as_str(), f.message.as_str()));
        self.log
            .note(format!("Phase context status code: {code} Message: {message}"))
            .await;
        self.finish(status, failure.cloned()).await;
        outcome.map_err(drop)
    }

    /// Ends the running phase as an interruption ends it.
    async fn finish_as(&mut self, status: Status) {
        let timed_out = || Failure::new("BUILD_TIMED_OUT", "Build has timed out. ");
        self.finish(status, (status == Status::TimedOut).then(timed_out))
            .await;
    }

    async fn finish(&mut self, status: Status, failure: Option<Failure>) {
        let now = Timestamp::now();
        if let Some(Some(phase)) = self.record(|build| build.finish(status, failure, now)) {
            self.phase_event(&phase);
        }
    }

    fn phase_event(&self, phase: &super::model::Phase) {
        if let Some(detail) = self.read(|build| build.phase_change(phase)) {
            self.events.phase_change(detail);
        }
    }

    fn record<T>(&self, change: impl FnOnce(&mut Build) -> T) -> Option<T> {
        self.registry.update(&self.build.id, change)
    }

    fn read<T>(&self, view: impl FnOnce(&Build) -> T) -> Option<T> {
        self.registry
            .lock()
            .entries
            .get(&self.build.id)
            .map(|entry| view(&entry.build))
    }
}

async fn stored_buildspec(arn: &str, api: &AwsApi) -> Result<String, Failure> {
    let failure = |why: String| Failure::new("YAML_FILE_ERROR", format!("{arn}: {why}"));
    let object = arn.split(":::").nth(1).and_then(|object| object.split_once('/'));
    let (bucket, key) = object.ok_or_else(|| failure("not the ARN of an object".to_owned()))?;
    let content = api.read_object(bucket, key).await;
    let content = content.map_err(|error| failure(error.to_string()))?;
    String::from_utf8(content).map_err(|error| failure(error.to_string()))
}

/// Whether the phases after a failed one run.
fn goes_on(kind: PhaseKind, spec: Option<&PhaseSpec>) -> bool {
    match spec.map_or(OnFailure::Default, |spec| spec.on_failure) {
        OnFailure::Continue => true,
        OnFailure::Abort => false,
        OnFailure::Default => kind == PhaseKind::Build,
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The sender lives as long as the CodeBuild emulator; without it nothing can stop the build any more.
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn is_name(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
}

fn shortened(command: &str) -> String {
    let command = command.trim_end();
    match command.char_indices().nth(LONGEST_COMMAND) {
        Some((end, _)) => format!("{}…", &command[..end]),
        None => command.to_owned(),
    }
}
