//! `demo`: the whole workflow step by step, with its own checks.
//!
//! It deploys `examples/` on a stack of its own and checks the result of every step. After a
//! failed check the demo goes on, and fails in the end.

mod check;
mod example;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use seedflow_cli::account::Account;
use seedflow_cli::records::project;
use seedflow_cli::view::status::table;
use seedflow_cli::work::clock;
use seedflow_core::ids::ModuleId;
use seedflow_core::storage_layout::STATE;
use serde_json::{Value, json};

use crate::client::deployment::{self, Finished};
use crate::client::pages;
use crate::client::progress;
use crate::process::workspace;
use crate::stack::{Stack, StackOptions};
use seedflow_terminal::{Tone, Ui, seconds};

use check::{Checks, Holds};
use example::Example;

/// The project of the examples.
const PROJECT: &str = "seedflow";

/// What to try after the demo.
const NEXT: [&str; 3] = [
    "cargo install --path crates/cli --locked  # the command `seedflow`",
    "cargo run -p seedflow-local -- up         # a stack that stays, in another terminal",
    "seedflow init project first --project first && seedflow apply first --local",
];

/// Runs the demo; an error if a check failed. `verbose` shows each state, phase, check and parameter.
pub async fn run(port: Option<u16>, verbose: bool, ui: &Ui) -> Result<()> {
    let begun = Instant::now();
    let stack = Stack::start(
        &StackOptions {
            port,
            ..StackOptions::default()
        },
        ui,
    )
    .await?;
    let mut demo = Demo {
        stack,
        ui,
        verbose,
        checks: Checks::new(verbose, ui),
        steps: Vec::new(),
    };
    demo.deploy_all().await?;
    demo.summary(begun).await?;
    let Demo { stack, checks, .. } = demo;
    stack.stop().await;
    checks.verdict()
}

struct Demo<'a> {
    stack: Stack,
    ui: &'a Ui,
    verbose: bool,
    checks: Checks<'a>,
    /// What the summary lists: a step, its result, how long it took.
    steps: Vec<(String, String, Duration)>,
}

/// The modules of `examples/`.
struct Examples {
    bucket: Example,
    fragile: Example,
    metadata: Example,
    parameters: Example,
    upload: Example,
}

impl Examples {
    fn load(stack: &Stack) -> Result<Self> {
        Ok(Self {
            bucket: Example::load("cfn-bucket", stack)?,
            fragile: Example::load("fails-on-demand", stack)?,
            metadata: Example::load("metadata", stack)?,
            parameters: Example::load("parameters", stack)?,
            upload: Example::load("upload", stack)?,
        })
    }
}

impl Demo<'_> {
    async fn deploy_all(&mut self) -> Result<()> {
        let examples = Examples::load(&self.stack)?;
        self.first(&examples).await?;
        self.again(&examples.bucket).await?;
        self.changed(&examples.bucket).await?;
        self.forced(&examples.bucket).await?;
        self.failing(&examples.fragile).await?;
        self.recovery(&examples.fragile).await
    }

    /// The first deployment of every example, at once: they are independent.
    async fn first(&mut self, examples: &Examples) -> Result<()> {
        self.ui
            .heading("First deployments: five modules of examples/ at once, one of them by its upload");
        let Examples {
            bucket,
            fragile,
            metadata,
            parameters,
            upload,
        } = examples;
        let nothing = json!({});
        let prepared = async {
            parameters.prepare(&self.stack).await?;
            self.follow(parameters, &nothing).await
        };
        let finished = tokio::try_join!(
            self.follow(bucket, &nothing),
            self.follow(fragile, &nothing),
            self.follow(metadata, &nothing),
            prepared,
            self.follow_upload(upload),
        )?;
        let (one, two, three, four, five) = &finished;
        let all = [
            (bucket, one),
            (fragile, two),
            (metadata, three),
            (parameters, four),
            (upload, five),
        ];
        for (example, finished) in all {
            self.steps.push((
                format!("first: {}", example.id.module),
                finished.state().to_owned(),
                finished.took,
            ));
            self.checks
                .state(example.id.module.as_str(), finished, "SUCCEEDED");
        }
        self.checks.reason(one, "first deployment");
        self.recorded_of_bucket(bucket, one).await?;
        self.recorded_of_others(examples).await
    }

    async fn recorded_of_bucket(&mut self, bucket: &Example, finished: &Finished) -> Result<()> {
        let holds = Holds::read(&self.stack, &bucket.id).await?;
        self.checks
            .detail("its build ran", finished.build["buildStatus"] == "SUCCEEDED");
        self.checks.that(
            "its stack's outputs are recorded",
            holds.json("outputs")["BucketName"].is_string(),
        );
        self.checks.that(
            "md5, metadata and status are recorded",
            holds.has(&["md5", "metadata", "status"]),
        );
        let kept = self.bundle_exists(bucket).await?;
        self.checks.that("the bundle is kept in the bundle bucket", kept);
        Ok(())
    }

    async fn recorded_of_others(&mut self, examples: &Examples) -> Result<()> {
        let found = Holds::read(&self.stack, &examples.metadata.id)
            .await?
            .json("metadata");
        let both = found["Team"] == "platform" && found["TableName"].is_string();
        self.checks
            .that("what a module added and converted is in its metadata", both);
        let found = Holds::read(&self.stack, &examples.parameters.id)
            .await?
            .json("metadata");
        let arrived = found["LogLevel"] == "INFO" && found["SubnetIds"] == json!(["subnet-1", "subnet-2"]);
        self.checks.that(
            "lists and values of Parameter Store arrived in the build",
            arrived,
        );
        let found = Holds::read(&self.stack, &examples.upload.id)
            .await?
            .json("metadata");
        self.checks.that(
            "the upload took its parameters from manifest.yaml",
            found["Greeting"] == "hello",
        );
        Ok(())
    }

    async fn again(&mut self, bucket: &Example) -> Result<()> {
        self.ui.heading("The same again");
        let before = Holds::read(&self.stack, &bucket.id).await?;
        let (finished, after) = self.deploy("the same again", bucket, json!({})).await?;
        self.checks.state("it", &finished, "UNCHANGED");
        self.checks.that("no build was started", finished.build.is_null());
        self.checks.that(
            "md5, metadata and outputs were not touched",
            after.same(&before, &["md5", "metadata", "outputs"]),
        );
        self.checks.that(
            "the status has a new timestamp",
            !after.same(&before, &["status"]),
        );
        Ok(())
    }

    async fn changed(&mut self, bucket: &Example) -> Result<()> {
        self.ui
            .heading("One file changed: the bucket of template.yaml gets a tag, and the stack an output");
        let tag = "      Tags:\n        - Key: purpose\n          Value: demo\n";
        let changed = format!("{tag}\nOutputs:\n  Purpose:\n    Value: demo\n");
        bucket.replace("template.yaml", "\nOutputs:\n", &changed)?;
        let (finished, after) = self.deploy("one file changed", bucket, json!({})).await?;
        self.checks.state("it", &finished, "SUCCEEDED");
        self.checks.reason(&finished, "bundle changed");
        self.checks.that(
            "the new output is recorded",
            after.json("outputs")["Purpose"] == "demo",
        );
        Ok(())
    }

    async fn forced(&mut self, bucket: &Example) -> Result<()> {
        self.ui.heading("Nothing changed, but forced");
        let before = Holds::read(&self.stack, &bucket.id).await?;
        let (finished, after) = self
            .deploy("forced", bucket, json!({"force_update": true}))
            .await?;
        self.checks.state("it", &finished, "SUCCEEDED");
        self.checks.reason(&finished, "forced");
        self.checks
            .detail("a build ran", finished.build["buildStatus"] == "SUCCEEDED");
        self.checks.that(
            "the same md5 was not written again",
            after.same(&before, &["md5"]),
        );
        Ok(())
    }

    async fn failing(&mut self, fragile: &Example) -> Result<()> {
        self.ui
            .heading("A build that fails: examples/fails-on-demand, set to fail in its build phase");
        let before = Holds::read(&self.stack, &fragile.id).await?;
        let fail = json!({"parameters": {"fail-in": "build", "sleep-seconds": 0}});
        let (finished, after) = self.deploy("a build that fails", fragile, fail).await?;
        self.checks.state("it", &finished, "FAILED");
        self.checks.reason(&finished, "parameter fail-in changed");
        self.checks
            .detail("the error names the phase", finished.cause.contains("BUILD"));
        let cause = after.json("status")["cause"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        self.checks.that(
            "the cause is what the module said",
            cause.contains("giving up in phase build"),
        );
        // A log that can't be read fails the check.
        let log = deployment::log_lines(&self.stack.api(), &finished.build, 50)
            .await
            .unwrap_or_default();
        self.checks.detail(
            "the log has the reason",
            log.iter().any(|line| line.contains("giving up in phase build")),
        );
        self.checks
            .detail("the status is FAILED", after.json("status")["state"] == "FAILED");
        let kept = after.same(&before, &["md5", "metadata", "outputs"]);
        self.checks.that("md5, metadata and outputs are unchanged", kept);
        Ok(())
    }

    async fn recovery(&mut self, fragile: &Example) -> Result<()> {
        self.ui.heading("Recovery: the same module as before the failure");
        let (finished, after) = self.deploy("recovery", fragile, json!({})).await?;
        self.checks.state("it", &finished, "SUCCEEDED");
        self.checks.reason(&finished, "last deployment failed");
        let (api, about) = (self.stack.api(), self.stack.connection());
        let shown = pages::indexed(&api, about, fragile.id.project.as_str(), &finished.execution).await?;
        self.checks.that("the project's page lists it", shown);
        self.checks.detail(
            "the status is SUCCEEDED",
            after.json("status")["state"] == "SUCCEEDED",
        );
        Ok(())
    }

    /// Deploys an example to its end, shows its progress, and reads what is recorded then.
    async fn deploy(&mut self, step: &str, example: &Example, more: Value) -> Result<(Finished, Holds)> {
        let finished = self.follow(example, &more).await?;
        self.steps
            .push((step.to_owned(), finished.state().to_owned(), finished.took));
        Ok((finished, Holds::read(&self.stack, &example.id).await?))
    }

    async fn follow(&self, example: &Example, more: &Value) -> Result<Finished> {
        let input = example.input(&self.stack, more).await?;
        let execution = deployment::start(&self.stack.api(), self.stack.connection(), &input).await?;
        self.follow_execution(example, &execution).await
    }

    async fn follow_upload(&self, example: &Example) -> Result<Finished> {
        let execution = example.upload_as_source(&self.stack).await?;
        self.follow_execution(example, &execution).await
    }

    /// Shows an execution as `seedflow apply` does, or each of its steps.
    async fn follow_execution(&self, example: &Example, execution: &str) -> Result<Finished> {
        let (api, ui, name) = (self.stack.api(), self.ui, example.id.module.as_str());
        if !self.verbose {
            let task = ui.quiet_task(format!("    {name}"));
            let finished = progress::follow_quietly(&api, execution, &task).await?;
            let words = progress::in_words(&api, &example.id, &finished).await?;
            task.ended(finished.succeeded(), &words, Some(clock(finished.took)));
            return Ok(finished);
        }
        let task = ui.task_among(example.id.to_string(), name);
        let finished = progress::follow(&api, execution, &task, ui).await?;
        progress::end(task, &finished);
        progress::show_failure(&api, &example.id, &finished, ui).await;
        Ok(finished)
    }

    async fn bundle_exists(&self, example: &Example) -> Result<bool> {
        let key = example.id.bundle_key();
        let listed = self
            .stack
            .api()
            .list_objects(&self.stack.connection().bundle_bucket, &key)
            .await;
        Ok(listed.context("cannot list the bundle bucket")? == [key])
    }

    async fn summary(&self, begun: Instant) -> Result<()> {
        let ui = self.ui;
        if self.verbose {
            self.details().await?;
        }
        let took = ui.paint(Tone::Quiet, format!("({} in all)", clock(begun.elapsed())));
        ui.heading(&format!("`seedflow status` {took}"));
        let file = self.stack.folder().join("stack.json");
        self.stack.connection().write(&file)?;
        let account = Account::of_file(&file).await?;
        let project = ModuleId::project(PROJECT)?;
        let state = project::read(&account.parameters(), &account.bucket(), &project).await?;
        table(&state, Timestamp::now(), |arguments| account.command(arguments)).show(ui);
        ui.say("");
        self.pages().await?;
        ui.heading("To try next");
        NEXT.iter().for_each(|command| ui.say(format!("  {command}")));
        Ok(())
    }

    /// The duration of each step, and all parameters.
    async fn details(&self) -> Result<()> {
        let ui = self.ui;
        ui.heading("What happened");
        let width = self
            .steps
            .iter()
            .map(|(step, ..)| step.len())
            .max()
            .unwrap_or_default();
        for (step, state, took) in &self.steps {
            ui.say(format!("  {step:width$}  {state:9}  {:>8}", seconds(*took)));
        }
        ui.heading("Parameter Store");
        let parameters = deployment::parameters(&self.stack.api(), STATE).await?;
        parameters
            .iter()
            .for_each(|parameter| progress::show_parameter(parameter, ui));
        if parameters.is_empty() {
            bail!("expected parameters in Parameter Store after these deployments, found none");
        }
        Ok(())
    }

    /// Copies the pages to a folder, because the stack ends with the demo.
    async fn pages(&self) -> Result<()> {
        let folder = workspace::local_dir()?.join("pages");
        let indexes = pages::copy(&self.stack.api(), self.stack.connection(), &folder).await?;
        for index in indexes {
            self.ui
                .say(format!("Pages for a browser: file://{}", index.display()));
        }
        Ok(())
    }
}
