//! The same deployments by seed-farmer, whose process is watched.

use std::fs::File;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use seedflow_fixtures::{FixedWait, Repository, SeedFarmer, group_name, module_name};
use seedflow_local::process::output_tail;
use seedflow_local::proxy::{Caller, ObservedParameterWrite};
use seedflow_local::stack::Stack;
use seedflow_terminal::Task;

use super::case::{Case, Copy, PROJECT, Work};
use super::run::{Build, Recorder, Run, between};
use super::usage::{Meter, Tree, Usage};
use crate::bench_dir::bench_dir;
use crate::stats::median;

/// How often the process is inspected.
const INTERVAL: Duration = Duration::from_millis(20);
/// The emulator and the functions are inspected once in this many intervals.
const METERED: u32 = 25;
const PATIENCE: Duration = Duration::from_secs(600);

/// seed-farmer with a copy of the repository.
pub struct SeedFarmerSide {
    pub copy: Copy,
    seed_farmer: SeedFarmer,
}

impl SeedFarmerSide {
    pub async fn new(
        stack: &Stack,
        deployment: &str,
        modules: usize,
        repository: Repository,
        task: &Task,
    ) -> Result<Self> {
        let seed_farmer = SeedFarmer::set_up(stack, PROJECT, deployment, &repository, task).await?;
        Ok(Self {
            copy: Copy::new(seed_farmer.folder().to_owned(), repository, modules),
            seed_farmer,
        })
    }

    pub async fn bootstrap(&self, stack: &Stack) -> Result<()> {
        self.seed_farmer.bootstrap(stack).await
    }

    pub async fn deploy(&self, stack: &Stack, case: &Case, wait: FixedWait) -> Result<Run> {
        let log = bench_dir()?.join("seed-farmer.log");
        let mut recorder = Recorder::start(stack)?;
        let begun = Instant::now();
        let (status, client) = self
            .apply(stack, (case.work, wait), &mut recorder.meter, &log)
            .await?;
        let wall = begun.elapsed();
        let served = recorder.meter.served();
        let counted = stack.proxy().calls();
        let fails = case.work == Work::Failed;
        ensure!(
            status.success() != fails,
            "seed-farmer ended with {status}:\n{}",
            output_tail::of_file(&log)
        );
        let builds = recorder.builds()?;
        if !fails && !builds.is_empty() {
            for module in 0..self.copy.modules {
                let module = format!("{}/{}", group_name(0), module_name(module));
                self.seed_farmer.record_md5(stack, &module).await?;
                self.seed_farmer.publish(stack, &module, "one").await?;
            }
        }
        let calls = counted.of(Caller::Clients);
        Ok(Run {
            wall,
            stored: stored(&builds, &recorder.written()?),
            builds,
            calls: calls.map(|(name, count)| (name.to_owned(), count)).collect(),
            client,
            served,
            output: std::fs::read_to_string(&log).unwrap_or_default(),
        })
    }

    /// Runs the command line to its end and returns its cost.
    async fn apply(
        &self,
        stack: &Stack,
        (work, wait): (Work, FixedWait),
        meter: &mut Meter,
        log: &Path,
    ) -> Result<(ExitStatus, Usage)> {
        let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = self
            .seed_farmer
            .command(stack, wait, &["apply", "deployment.yaml"])?;
        if work == Work::Planned {
            command.arg("--dry-run");
        }
        command.stdout(output.try_clone()?).stderr(output);
        let mut process = command.spawn().context("cannot start seed-farmer")?;
        let mut tree = Tree::of(process.id().context("seed-farmer has ended")?);
        let deadline = Instant::now() + PATIENCE;
        let mut looks = 0;
        while Instant::now() < deadline {
            match tokio::time::timeout(INTERVAL, process.wait()).await {
                Ok(status) => return Ok((status?, tree.used())),
                Err(_) => tree.look(),
            }
            if looks % METERED == 0 {
                meter.look();
            }
            looks += 1;
        }
        bail!(
            "seed-farmer still runs after {} s:\n{}",
            PATIENCE.as_secs(),
            output_tail::of_file(log)
        )
    }
}

/// From each build's end to the last parameter that the client writes after all builds: the manifest of the deployed
/// state. The client writes nothing about single modules after their builds, so this is the first stored sign of their
/// end.
fn stored(builds: &[Build], written: &[ObservedParameterWrite]) -> Option<Duration> {
    let mut of_client = written
        .iter()
        .rev()
        .filter(|write| write.caller == Caller::Clients);
    let last = of_client.next()?;
    let is_after = builds.iter().all(|build| build.end < last.at);
    let all = builds.iter().map(|build| between(build.end, last.at));
    is_after.then(|| median(all.collect())).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_write_before_a_builds_end_is_not_its_status() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let builds = [3, 9].map(|end| Build {
            id: String::new(),
            start: at(1),
            end: at(end),
        });
        let write = |second| ObservedParameterWrite {
            caller: Caller::Clients,
            name: "/p/dev/manifest/deployed".to_owned(),
            value: "{}".to_owned(),
            at: at(second),
        };
        assert_eq!(stored(&builds, &[write(2), write(8)]), None);
        let after = stored(&builds, &[write(2), write(11)]);
        assert_eq!(after, Some(Duration::from_secs(8)));
    }
}
