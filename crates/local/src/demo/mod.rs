//! `demo`: the whole workflow as a story that checks itself.
//!
//! It deploys `examples/` on a stack of its own and holds every step against what was to happen. A
//! step that went otherwise is told and the story goes on; in the end the demo fails.

mod check;
mod example;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::cli::progress;
use crate::deployment::{self, Finished};
use crate::stack::{Stack, StackOptions};
use crate::ui::{Tone, Ui, seconds};

use check::{Checks, Holds};
use example::Example;

/// Tells the story; an error if any of it went otherwise.
pub async fn run(port: Option<u16>, ui: &Ui) -> Result<()> {
    let begun = Instant::now();
    ui.heading("Setting up");
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
        checks: Checks::new(ui),
        steps: Vec::new(),
    };
    demo.tell().await?;
    demo.summary(begun).await?;
    let Demo { stack, checks, .. } = demo;
    stack.stop().await;
    checks.verdict()
}

struct Demo<'a> {
    stack: Stack,
    ui: &'a Ui,
    checks: Checks<'a>,
    /// What the summary lists: a step, its result, how long it took.
    steps: Vec<(String, String, Duration)>,
}

impl Demo<'_> {
    async fn tell(&mut self) -> Result<()> {
        let bucket = Example::load("cfn-bucket", &self.stack)?;
        let fragile = Example::load("fails-on-demand", &self.stack)?;
        self.first(&bucket).await?;
        self.again(&bucket).await?;
        self.changed(&bucket).await?;
        self.forced(&bucket).await?;
        self.failing(&fragile).await?;
        self.others().await
    }

    async fn first(&mut self, bucket: &Example) -> Result<()> {
        self.ui.heading("A first deployment: examples/cfn-bucket");
        let (finished, after) = self.deploy("first deployment", bucket, json!({})).await?;
        self.checks.state(&finished, "SUCCEEDED");
        self.checks.reason(&finished, "first deployment");
        self.checks
            .that("a build ran", finished.build["buildStatus"] == "SUCCEEDED");
        self.checks.that(
            "its stack's outputs are recorded",
            after.json("outputs")["BucketName"].is_string(),
        );
        self.checks.that(
            "md5, metadata and status are recorded",
            after.has(&["md5", "metadata", "status"]),
        );
        let kept = self.bundle_exists(bucket).await?;
        self.checks.that("the bundle is kept in the bundle bucket", kept);
        Ok(())
    }

    async fn again(&mut self, bucket: &Example) -> Result<()> {
        self.ui.heading("The same again");
        let before = Holds::read(&self.stack, &bucket.names).await?;
        let (finished, after) = self.deploy("the same again", bucket, json!({})).await?;
        self.checks.state(&finished, "UNCHANGED");
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
            .heading("One file changed: template.yaml gets another output");
        bucket.append("template.yaml", "  Purpose:\n    Value: demo\n")?;
        let (finished, after) = self.deploy("one file changed", bucket, json!({})).await?;
        self.checks.state(&finished, "SUCCEEDED");
        self.checks.reason(&finished, "bundle changed");
        self.checks.that(
            "the new output is recorded",
            after.json("outputs")["Purpose"] == "demo",
        );
        Ok(())
    }

    async fn forced(&mut self, bucket: &Example) -> Result<()> {
        self.ui.heading("Nothing changed, but forced");
        let before = Holds::read(&self.stack, &bucket.names).await?;
        let (finished, after) = self
            .deploy("forced", bucket, json!({"force_update": true}))
            .await?;
        self.checks.state(&finished, "SUCCEEDED");
        self.checks.reason(&finished, "forced");
        self.checks
            .that("a build ran", finished.build["buildStatus"] == "SUCCEEDED");
        self.checks.that(
            "the same md5 was not written again",
            after.same(&before, &["md5"]),
        );
        Ok(())
    }

    async fn failing(&mut self, fragile: &Example) -> Result<()> {
        self.ui
            .heading("A build that fails: examples/fails-on-demand, deployed well once before");
        let (finished, before) = self.deploy("before the failure", fragile, json!({})).await?;
        self.checks.state(&finished, "SUCCEEDED");
        let fail = json!({"parameters": {"fail-in": "build", "sleep-seconds": 0}});
        let (finished, after) = self.deploy("a build that fails", fragile, fail).await?;
        self.checks.state(&finished, "FAILED");
        self.checks.reason(&finished, "parameter fail-in changed");
        self.checks
            .that("the error names the phase", finished.cause.contains("BUILD"));
        let log = deployment::log_lines(&self.stack.api(), &finished.build, 50).await?;
        self.checks.that(
            "the log tells why",
            log.iter().any(|line| line.contains("giving up in phase build")),
        );
        self.checks.that(
            "the status says FAILED",
            after.json("status")["state"] == "FAILED",
        );
        self.checks.that(
            "md5 and outputs are those of before",
            after.same(&before, &["md5", "metadata", "outputs"]),
        );

        self.ui.heading("Recovery: the same module as before the failure");
        let (finished, after) = self.deploy("recovery", fragile, json!({})).await?;
        self.checks.state(&finished, "SUCCEEDED");
        self.checks.reason(&finished, "last deployment FAILED");
        self.checks.that(
            "the status says SUCCEEDED",
            after.json("status")["state"] == "SUCCEEDED",
        );
        Ok(())
    }

    /// The remaining examples, at once: they don't know of each other.
    async fn others(&mut self) -> Result<()> {
        self.ui
            .heading("Three more modules at once: metadata, parameters, and one by its upload");
        let (metadata, parameters, upload) = (
            Example::load("metadata", &self.stack)?,
            Example::load("parameters", &self.stack)?,
            Example::load("upload", &self.stack)?,
        );
        let prepared = async {
            parameters.prepare(&self.stack).await?;
            self.follow(&parameters, &json!({})).await
        };
        let none = json!({});
        let (one, two, three) = tokio::try_join!(
            self.follow(&metadata, &none),
            prepared,
            self.follow_upload(&upload)
        )?;
        for (example, finished) in [(&metadata, &one), (&parameters, &two), (&upload, &three)] {
            self.steps.push((
                example.names.module.clone(),
                finished.state().to_owned(),
                finished.took,
            ));
            self.checks.state(finished, "SUCCEEDED");
        }
        let found = Holds::read(&self.stack, &metadata.names).await?.json("metadata");
        self.checks.that(
            "metadata added and converted is recorded",
            found["Team"] == "platform" && found["TableName"].is_string(),
        );
        let found = Holds::read(&self.stack, &parameters.names)
            .await?
            .json("metadata");
        let arrived = found["LogLevel"] == "INFO" && found["SubnetIds"] == json!(["subnet-1", "subnet-2"]);
        self.checks.that(
            "lists and values of Parameter Store arrived in the build",
            arrived,
        );
        let found = Holds::read(&self.stack, &upload.names).await?.json("metadata");
        self.checks.that(
            "the upload took its parameters from manifest.yaml",
            found["Greeting"] == "hello",
        );
        Ok(())
    }

    /// Deploys an example to its end, tells about it, and reads what is recorded then.
    async fn deploy(&mut self, step: &str, example: &Example, more: Value) -> Result<(Finished, Holds)> {
        let finished = self.follow(example, &more).await?;
        self.steps
            .push((step.to_owned(), finished.state().to_owned(), finished.took));
        Ok((finished, Holds::read(&self.stack, &example.names).await?))
    }

    async fn follow(&self, example: &Example, more: &Value) -> Result<Finished> {
        let task = self.ui.task(example.names.to_string());
        let api = self.stack.api();
        let input = example.input(&self.stack, more).await?;
        let execution = deployment::start(&api, self.stack.connection(), &input).await?;
        let finished = progress::follow(&api, &execution, &task, self.ui).await?;
        progress::end(task, &finished);
        progress::tell_failure(&api, &finished, self.ui).await;
        Ok(finished)
    }

    async fn follow_upload(&self, example: &Example) -> Result<Finished> {
        let task = self.ui.task(format!("{} (by its upload)", example.names));
        let execution = example.upload_as_source(&self.stack).await?;
        let finished = progress::follow(&self.stack.api(), &execution, &task, self.ui).await?;
        progress::end(task, &finished);
        Ok(finished)
    }

    async fn bundle_exists(&self, example: &Example) -> Result<bool> {
        let key = example.bundle_key();
        let listed = self
            .stack
            .api()
            .list_objects(&self.stack.connection().bundle_bucket, &key)
            .await;
        Ok(listed.context("cannot list the bundle bucket")? == [key])
    }

    async fn summary(&self, begun: Instant) -> Result<()> {
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
        ui.heading("What Parameter Store holds");
        let parameters = deployment::parameters(&self.stack.api(), "/sf").await?;
        parameters
            .iter()
            .for_each(|parameter| progress::tell_parameter(parameter, ui));
        if parameters.is_empty() {
            bail!("Parameter Store holds nothing after all these deployments");
        }
        ui.say(format!(
            "\n{}",
            ui.paint(Tone::Quiet, format!("{} in all", seconds(begun.elapsed())))
        ));
        Ok(())
    }
}
