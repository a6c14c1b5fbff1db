//! Deployments by Seedflow, as a client without git starts them: pack, upload, start. No client has to wait. This
//! program waits for the end in a way that takes no time from the measured processes.
//!
//! One module is an execution of the module workflow with the module's bundle, several are one of the deployment workflow
//! with the packed repository.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use seedflow_cli::checkout::bundle;
use seedflow_core::ids::{DeploymentId, ModuleId, ParameterKind};
use seedflow_fixtures::{Repository, cidr, group_name, module_folder, module_name, start_deployment};
use seedflow_local::aws_api::AwsApi;
use seedflow_local::client::deployment;
use seedflow_local::proxy::{Caller, ObservedParameterWrite};
use seedflow_local::stack::Stack;
use serde_json::{Value, json};

use super::case::{Case, Copy, PROJECT, Work};
use super::run::{Build, Recorder, Run, between, timestamp};
use super::usage::Usage;
use crate::limits::calls;
use crate::stats::median;

/// The interval between checks near the expected end.
const SOON: Duration = Duration::from_millis(25);
/// The interval before that. It is long, so that checks take no time from the measured processes.
const SELDOM: Duration = Duration::from_secs(1);
/// The longest time of a deployment, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(2400);

/// Seedflow with a copy of the repository.
pub struct SeedflowSide {
    pub copy: Copy,
    /// The first module.
    module: ModuleId,
}

impl SeedflowSide {
    pub fn new(stack: &Stack, deployment: &str, modules: usize, repository: Repository) -> Result<Self> {
        let folder = stack.folder().join(format!("seedflow-{deployment}"));
        Ok(Self {
            copy: Copy::new(folder, repository, modules),
            module: ModuleId::parse(PROJECT, deployment, &group_name(0), &module_name(0))?,
        })
    }

    /// Deploys the repository. The time is from the packing to the execution's end.
    pub async fn deploy(&self, stack: &Stack, case: &Case) -> Result<Run> {
        let api = stack.api();
        let mut recorder = Recorder::start(stack)?;
        let begun = Timestamp::now();
        let execution = self.start(stack, &api, case.work).await?;
        let (ended, written) = self.wait(&api, &execution, &mut recorder).await?;
        let served = recorder.meter.served();
        let expected = match case.work {
            Work::Changed | Work::Unchanged | Work::Planned => "SUCCEEDED",
            Work::Failed => "FAILED",
        };
        let (status, cause) = (&ended["status"], &ended["cause"]);
        ensure!(
            status == expected,
            "expected Seedflow's deployment to end as {expected}, found {status}: {cause}"
        );
        let end = timestamp(&ended["stopDate"]).context("the ended execution has no end")?;
        let counted = calls::settled(stack).await;
        let builds = recorder.builds()?;
        Ok(Run {
            wall: between(begun, end),
            stored: stored(&builds, &written)?,
            builds,
            calls: counts(&counted),
            // The client that starts a deployment doesn't wait for it.
            client: Usage::default(),
            served,
            output: ended["output"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// Waits for an execution's end; returns its description and what was written until then.
    async fn wait(
        &self,
        api: &AwsApi,
        execution: &str,
        recorder: &mut Recorder<'_>,
    ) -> Result<(Value, Vec<ObservedParameterWrite>)> {
        let last = self.last_parameter();
        let (mut written, mut near) = (Vec::new(), false);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let pause = if near { SOON } else { SELDOM };
            let write = tokio::time::timeout(pause, recorder.writes.recv()).await;
            recorder.meter.look();
            if let Ok(write) = write {
                let write = write.context("cannot follow what is written")?;
                near |= write.name == last && state(&write).is_some_and(|state| state != "IN_PROGRESS");
                written.push(write);
                continue;
            }
            let call = json!({"executionArn": execution});
            let described = api
                .json("states", "AWSStepFunctions.DescribeExecution", &call)
                .await
                .context("cannot read the execution")?;
            if described["status"] != "RUNNING" {
                written.append(&mut recorder.written()?);
                return Ok((described, written));
            }
        }
        bail!("Seedflow's deployment still runs after {} s", PATIENCE.as_secs())
    }

    /// The parameter that is written last.
    fn last_parameter(&self) -> String {
        match self.copy.modules {
            1 => self.module.parameter(ParameterKind::Status),
            _ => DeploymentId {
                project: self.module.project.clone(),
                deployment: self.module.deployment.clone(),
            }
            .status_parameter(),
        }
    }

    async fn start(&self, stack: &Stack, api: &AwsApi, work: Work) -> Result<String> {
        if self.copy.modules == 1 {
            self.start_module(stack, api).await
        } else {
            start_deployment(stack, PROJECT, &self.copy.folder, work == Work::Planned).await
        }
    }

    async fn start_module(&self, stack: &Stack, api: &AwsApi) -> Result<String> {
        let module = self.copy.folder.join(module_folder(0));
        let bundle = bundle::folder(&module, &stack.folder().join("seedflow-module.zip"))?;
        let source = deployment::upload(api, stack.connection(), &self.module, &bundle).await?;
        let parameters = [("vpc-cidr".to_owned(), Value::from(cidr(0)))];
        let input = deployment::input(&self.module, &source, &parameters.into_iter().collect(), false);
        deployment::start(api, stack.connection(), &input).await
    }
}

fn counts(counted: &seedflow_local::proxy::Calls) -> BTreeMap<String, u64> {
    let of_client = calls::CLIENT.map(|name| (name, 1));
    let mut counts = BTreeMap::new();
    for (name, count) in counted.of(Caller::Functions).chain(of_client) {
        *counts.entry(name.to_owned()).or_default() += count;
    }
    counts
}

fn state(write: &ObservedParameterWrite) -> Option<String> {
    let value: Value = serde_json::from_str(&write.value).ok()?;
    Some(value["state"].as_str()?.to_owned())
}

/// From each build's end to the final status that names it; the median.
fn stored(builds: &[Build], written: &[ObservedParameterWrite]) -> Result<Option<Duration>> {
    let of = |build: &Build| {
        let status = written.iter().find(|write| {
            let value: Value = serde_json::from_str(&write.value).unwrap_or_default();
            let ended = value["state"] == "SUCCEEDED" || value["state"] == "FAILED";
            write.name.ends_with("/status") && ended && value["build_id"] == build.id.as_str()
        });
        let status = status.with_context(|| format!("build {} has no final status", build.id))?;
        Ok(between(build.end, status.at))
    };
    let all: Vec<Duration> = builds.iter().map(of).collect::<Result<_>>()?;
    Ok(median(all))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_build_is_stored_with_the_final_status_that_names_it() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let build = Build {
            id: "p:1".to_owned(),
            start: at(0),
            end: at(10),
        };
        let write = |name: &str, value: Value, second| ObservedParameterWrite {
            caller: Caller::Functions,
            name: name.to_owned(),
            value: value.to_string(),
            at: at(second),
        };
        let written = [
            write(
                "/sf/a/status",
                json!({"state": "IN_PROGRESS", "build_id": "p:1"}),
                1,
            ),
            write(
                "/sf/b/status",
                json!({"state": "SUCCEEDED", "build_id": "p:2"}),
                11,
            ),
            write("/sf/a/md5", json!({"hash": "x"}), 12),
            write(
                "/sf/a/status",
                json!({"state": "SUCCEEDED", "build_id": "p:1"}),
                13,
            ),
        ];
        let builds = [build];
        assert_eq!(stored(&builds, &written).unwrap(), Some(Duration::from_secs(3)));
        assert!(stored(&builds, &written[..3]).is_err());
        assert_eq!(stored(&[], &written).unwrap(), None);
    }
}
