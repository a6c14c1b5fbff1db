//! `soak`: many executions of few modules under random faults, then a check of the invariants.
//!
//! A seed decides everything beforehand (`plan`): which module is deployed when, with changed or unchanged content, and
//! whether its build succeeds. It also decides which calls of functions are throttled, refused, cut off or left without an
//! answer, when functions die, which events get lost (`faults`), and which executions and builds are stopped. The soak
//! runs this on a stack of its own (`stack`), switches the faults off and waits until nothing runs any more
//! (`quiescence`). Then it reads every execution, build and parameter (`observation`) and checks them (`invariants`).
//! The result is a table (`report`).
//!
//! The same seed makes the same decisions. Their timing depends on the machine, so a run with the same seed repeats the
//! schedule and is not an exact replay.
//!
//! The emulator differs from AWS where that would break an invariant for the wrong reason; `stack/corrections` corrects
//! that: Lambda retries an event and then puts it into the queue of failed events, and a stopped execution makes no more
//! calls and stays ABORTED. One difference remains, and only takes longer: an error of a function that was called with a
//! task token is lost until the timeout, which is short here.

mod faults;
mod invariants;
mod module;
mod observation;
mod plan;
mod quiescence;
mod report;
mod stack;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use invariants::{Broken, Invariant};
pub use plan::Size;
pub use report::Report;

use observation::Module;
use plan::{Build, Content};
use seedflow_terminal::{Tone, Ui};
use stack::{Done, SoakStack};

/// How many executions run at once at most. Two cores do no more in the same time.
const AT_ONCE: usize = 10;
/// How many modules there are for each of them: with fewer, most would only replace each other.
const MODULES_FOR_EACH: usize = 2;
/// How often the count of ended executions is shown.
const TELL_EVERY: usize = 25;

/// Runs a soak; after `limit` no further execution is started.
pub async fn run(size: Size, limit: Option<Duration>, ui: &Ui) -> Result<Report> {
    ui.heading("Setting up");
    let soak = Arc::new(SoakStack::start(ui).await?);
    let report = Soak {
        soak: Arc::clone(&soak),
        ui,
        size,
    }
    .report(limit)
    .await;
    let report = report.with_context(|| format!("the soak with --seed {} came to no end", size.seed));
    // Nobody else has it: all steps have ended.
    if let Some(soak) = Arc::into_inner(soak) {
        soak.stop().await;
    }
    report
}

struct Soak<'a> {
    soak: Arc<SoakStack>,
    ui: &'a Ui,
    size: Size,
}

impl Soak<'_> {
    async fn report(self, limit: Option<Duration>) -> Result<Report> {
        let begun = Instant::now();
        self.ui.heading(&format!("Soaking: seed {}", self.size.seed));
        let done = self.steps(limit).await?;
        let struck = self.soak.disarm();
        let (mut rest, modules) = self.look(&done).await?;
        let mut broken: Vec<Broken> = modules.iter().flat_map(invariants::check).collect();
        broken.extend(self.once_more(&modules, &done).await?);
        let after = quiescence::wait_for_quiescence(&self.soak, self.size.modules).await?;
        rest.left.extend(after.left);
        broken.extend(rest.left.into_iter().map(|found| Broken {
            invariant: Invariant::NothingLeft,
            found,
        }));
        self.show(&broken);
        Ok(Report {
            size: Size {
                executions: done.len(),
                ..self.size
            },
            ends: count(modules.iter().flat_map(|module| &module.executions).map(end)),
            struck,
            stopped: done.iter().filter(|one| one.stopped).count(),
            builds_stopped: done.iter().filter(|one| one.build_stopped).count(),
            builds: count(
                modules
                    .iter()
                    .flat_map(|module| &module.builds)
                    .map(|build| build.status.clone()),
            ),
            run_again: rest.run_again + after.run_again,
            took: begun.elapsed(),
            broken,
        })
    }

    /// Starts what is planned, a few at once, and waits for the end of each.
    async fn steps(&self, limit: Option<Duration>) -> Result<Vec<Done>> {
        let begun = Instant::now();
        let task = self.ui.task(format!(
            "{} executions over {} modules",
            self.size.executions, self.size.modules
        ));
        let at_once = self.size.modules.div_ceil(MODULES_FOR_EACH).min(AT_ONCE);
        let places = Arc::new(Semaphore::new(at_once));
        let (mut running, mut done) = (JoinSet::new(), Vec::new());
        for step in plan::schedule(self.size) {
            if limit.is_some_and(|limit| begun.elapsed() > limit) {
                task.step("the time is up: no further executions");
                break;
            }
            tokio::time::sleep(step.pause).await;
            let place = Arc::clone(&places).acquire_owned().await?;
            let soak = Arc::clone(&self.soak);
            running.spawn(async move {
                let done = soak.run(step).await;
                drop(place);
                done
            });
            while let Some(ended) = running.try_join_next() {
                done.push(ended??);
                show_count(&task, done.len());
            }
        }
        while let Some(ended) = running.join_next().await {
            done.push(ended??);
            show_count(&task, done.len());
        }
        task.done(&format!("{} executions ended", done.len()));
        Ok(done)
    }

    /// Waits until nothing runs any more and reads everything.
    async fn look(&self, done: &[Done]) -> Result<(quiescence::Quiescence, Vec<Module>)> {
        let task = self.ui.task("Faults off, waiting until nothing runs");
        let rest = quiescence::wait_for_quiescence(&self.soak, self.size.modules).await?;
        task.done("");
        let mut modules = Vec::new();
        for number in 0..self.size.modules {
            modules.push(self.soak.see(number, done).await?);
        }
        Ok((rest, modules))
    }

    /// Deploys each module once more, with what is recorded of it.
    async fn once_more(&self, modules: &[Module], done: &[Done]) -> Result<Vec<Broken>> {
        let task = self.ui.task("Each module once more, without faults");
        let mut broken = Vec::new();
        let mut started = Vec::new();
        for (number, module) in modules.iter().enumerate() {
            let content = recorded_content(module, done);
            started.push(self.soak.deploy(number, &content, "once-more").await?);
        }
        for ((number, module), execution) in modules.iter().enumerate().zip(started) {
            self.soak.ended(&execution).await?;
            let ended = observation::Execution::read(self.soak.api(), &execution, number, "").await?;
            let stored = self.soak.stored(number).await?;
            let expected = if module.stored.is_good() {
                "UNCHANGED"
            } else {
                "SUCCEEDED"
            };
            if ended.state != expected || stored.state() != expected {
                broken.push(Broken {
                    invariant: Invariant::OnceMore,
                    found: format!(
                        "{execution}: {} was stored, so {expected} was to come, not {} ({} stored)",
                        module.stored.state(),
                        end(&ended),
                        stored.state()
                    ),
                });
            }
        }
        task.done("");
        Ok(broken)
    }

    fn show(&self, broken: &[Broken]) {
        for Broken { invariant, found } in broken {
            let mark = self.ui.paint(Tone::Bad, "broken");
            self.ui.say(format!("  {mark} {}: {found}", invariant.text()));
        }
    }
}

fn show_count(task: &seedflow_terminal::Task, count: usize) {
    task.detail(&format!("{count} ended"));
    if count.is_multiple_of(TELL_EVERY) {
        task.step(format!("{count} executions ended"));
    }
}

/// What a module that never was deployed is deployed with, and any other with what it was deployed with.
fn recorded_content(module: &Module, done: &[Done]) -> Content {
    let recorded = invariants::recorded(module);
    let recorded = recorded.and_then(|recorded| done.iter().find(|one| one.execution == recorded.arn));
    recorded.map_or_else(
        || Content {
            tag: "once-more".to_owned(),
            text: 0,
            build: Build::Quick,
        },
        |recorded| recorded.step.content.clone(),
    )
}

fn end(execution: &observation::Execution) -> String {
    if execution.state.is_empty() {
        execution.status.clone()
    } else {
        execution.state.clone()
    }
}

fn count(names: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}
