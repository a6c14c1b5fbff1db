//! `preview-modules`: runs the `preview` phases of a plan's modules, a step at a time (decision 68).
//!
//! A step looks at the builds that run, starts others until enough run at once, and stores how far they are beside the plan.
//! Between two steps the state machine waits. A step may run again: each build has a folder that is stored before it starts,
//! by which a repeated start finds it.
//!
//! What goes wrong with one module is the result of that module. What passes by itself is tried again by the next step, until
//! the time for all previews is over.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler};
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::stores::plans;
use seedflow_aws::stores::read_only_builds::ReadOnlyBuilds;
use seedflow_core::deployment::preview_builds::{Previews, Progress};
use seedflow_core::deployment::previews::{MAX_IN_ANSWER, Preview, shortened};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{AwsEnvironment, BuildFolder, BuildId, ExecutionArn};
use seedflow_core::module::codebuild::read_only::Section;
use seedflow_core::module::plan::Plan;
use serde::{Deserialize, Serialize};

/// How many lines of a module's output are kept.
const LINES: usize = 200;
/// How long a step starts builds: the copy of a bundle may take most of the rest of the function's time.
const STARTING: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
struct Event {
    /// The execution whose plan has the previews.
    execution: ExecutionArn,
}

/// What the state machine does next.
#[derive(Serialize)]
struct Answer {
    /// When to look again; 0 if all have ended.
    wait_seconds: u32,
    /// Whether previews are still to be run.
    preview: bool,
    /// The results, once all have ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    previews: Vec<Preview>,
}

struct Handler {
    work: Bucket,
    builds: ReadOnlyBuilds,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let function = Handler {
        work: Bucket::new(&aws, config::setting("WORK_BUCKET")?),
        builds: ReadOnlyBuilds::new(&aws)?,
    };
    handler::run(async |invocation| function.step(invocation, Timestamp::now()).await).await
}

impl Handler {
    async fn step(
        &self,
        Invocation { event, environment }: Invocation<Event>,
        now: Timestamp,
    ) -> Result<Answer> {
        let execution = event.execution;
        let found = plans::find_previews(&self.work, &execution).await?;
        let mut previews = found.unwrap_or_default();
        self.look(&mut previews, &environment).await;
        previews.give_up(now);
        self.start(&mut previews, &environment).await;
        plans::store_previews(&self.work, &execution, &previews).await?;
        let wait_seconds = previews.wait_seconds(now);
        tracing::info!(running = previews.running().count(), wait_seconds, "previewed");
        Ok(match wait_seconds {
            Some(wait_seconds) => Answer {
                wait_seconds,
                preview: true,
                previews: Vec::new(),
            },
            None => Answer {
                wait_seconds: 0,
                preview: false,
                previews: shortened(previews.results(), MAX_IN_ANSWER),
            },
        })
    }

    /// Looks at the builds that run, and notes which have ended.
    async fn look(&self, previews: &mut Previews, home: &AwsEnvironment) {
        let running = previews.running();
        let running: Vec<_> = running
            .map(|(module, build)| (module.clone(), build.clone()))
            .collect();
        for (module, build) in running {
            match self.builds.look(&build, LINES, home).await {
                Ok(None) => {}
                Ok(Some(ended)) => {
                    previews.set(&module, Progress::of(&ended.ending, &ended.output.join("\n")));
                }
                Err(error) if is_early(&error) => not_yet(&build, &error),
                Err(error) => previews.set(&module, Progress::failed(error.message, "")),
            }
        }
    }

    /// Starts builds until enough run at once, or the step has done so for long enough.
    async fn start(&self, previews: &mut Previews, home: &AwsEnvironment) {
        let begins = Instant::now();
        for module in previews.to_start() {
            if begins.elapsed() >= STARTING {
                break;
            }
            let Progress::Pending { plan, run } = &module.progress else {
                continue;
            };
            module.progress = match self.start_one(plan, run, home).await {
                Ok(Some(build)) => Progress::Running { build },
                Ok(None) => Progress::not_run("its deployspec has no preview phases"),
                Err(error) if error.name.passes() => {
                    not_yet(&module.module, &error);
                    continue;
                }
                Err(error) => Progress::failed(error.message, ""),
            };
        }
    }

    async fn start_one(
        &self,
        plan: &Plan,
        run: &BuildFolder,
        home: &AwsEnvironment,
    ) -> Result<Option<BuildId>> {
        let plan = Plan {
            target_settings: self.builds.settings(plan.target(), home).await?,
            ..plan.clone()
        };
        self.builds.start(&plan, Section::Preview, run, home).await
    }
}

/// Whether the next look may be answered. A build may not be visible in the first seconds.
fn is_early(error: &Error) -> bool {
    error.name.passes() || error.name == ErrorName::BuildNotFound
}

fn not_yet(what: &impl std::fmt::Display, error: &Error) {
    tracing::warn!(%what, error = error.name.as_str(), cause = %error.message, "tried again by the next step");
}
