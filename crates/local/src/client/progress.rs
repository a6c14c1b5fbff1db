//! A deployment on the terminal: its states and build phases as they happen, and its summary.

use std::time::Duration;

use anyhow::Result;
use seedflow_cli::work::{End, Phase};
use seedflow_core::ids::ModuleId;

use crate::aws_api::AwsApi;
use crate::client::deployment::{self, Finished, Happening, Parameter};
use seedflow_terminal::{Task, Tone, Ui, seconds};

/// How many lines of a failed build's log are shown.
const LOG_LINES: usize = 15;

/// Follows an execution, shows what happens, and returns how it ended.
pub async fn follow(api: &AwsApi, execution: &str, task: &Task, ui: &Ui) -> Result<Finished> {
    deployment::follow(api, execution, None, |happening| show(happening, task, ui)).await
}

/// Follows an execution, and shows only the state that it is in.
pub async fn follow_quietly(api: &AwsApi, execution: &str, task: &Task) -> Result<Finished> {
    deployment::follow(api, execution, None, |happening| {
        if let Happening::Entered(state) = happening {
            task.detail(Phase::of_state(state).as_str());
        }
    })
    .await
}

/// How an execution ended, and why it deployed or failed.
pub async fn in_words(api: &AwsApi, module: &ModuleId, finished: &Finished) -> Result<String> {
    let end = End {
        state: finished.state().to_owned(),
        cause: None,
        took: None,
        has_success: true,
    };
    let why = match finished.succeeded() {
        true => finished.reasons.join(", "),
        false => deployment::cause(api, module, finished).await?,
    };
    Ok(format!("{}: {why}", end.word()))
}

fn show(happening: &Happening, task: &Task, ui: &Ui) {
    let took = |duration: &Duration| ui.paint(Tone::Quiet, format!("({})", seconds(*duration)));
    match happening {
        Happening::Entered(state) => task.detail(state),
        Happening::Exited(state, duration) => task.step(format!("{state} {}", took(duration))),
        Happening::Reasons(reasons) => task.step(format!("because: {}", reasons.join(", "))),
        Happening::Build(id) => task.step(format!("build {id}")),
        Happening::Phase(name, status, duration) => {
            let tone = if status == "SUCCEEDED" {
                Tone::Good
            } else {
                Tone::Bad
            };
            task.step(format!("  {name} {} {}", ui.paint(tone, status), took(duration)));
        }
    }
}

/// Ends the task with the state of the module and the reasons.
pub fn end(task: Task, finished: &Finished) {
    let replaced = finished.output["superseded_by"].as_str();
    let reasons = match replaced {
        Some(by) => format!("a newer execution deploys in its place: {by}"),
        None => finished.reasons.join(", "),
    };
    let result = if reasons.is_empty() {
        finished.state().to_owned()
    } else {
        format!("{} ({reasons})", finished.state())
    };
    if finished.succeeded() {
        task.done(&result)
    } else {
        task.failed(&result)
    }
}

/// Shows why a deployment failed: its cause, the error as it was reported, and the last lines of the build's log.
pub async fn show_failure(api: &AwsApi, module: &ModuleId, finished: &Finished, ui: &Ui) {
    if finished.succeeded() {
        return;
    }
    match deployment::cause(api, module, finished).await {
        Ok(cause) => ui.say(format!("  {}", ui.paint(Tone::Bad, cause))),
        Err(error) => ui.say(format!("  (the status can't be shown: {error:#})")),
    }
    ui.say(ui.paint(Tone::Quiet, format!("  {} {}", finished.error, finished.cause)));
    let failed = !finished.build.is_null() && finished.build["buildStatus"] != "SUCCEEDED";
    if failed {
        match deployment::log_lines(api, &finished.build, LOG_LINES).await {
            Ok(lines) => {
                ui.say("  the build's last lines:");
                lines
                    .iter()
                    .for_each(|line| ui.say(ui.paint(Tone::Quiet, format!("    | {line}"))));
            }
            Err(error) => ui.say(format!("  (the build's log can't be shown: {error:#})")),
        }
    }
}

/// The summary: durations, then what Parameter Store holds.
pub async fn summary(api: &AwsApi, module: &ModuleId, finished: &Finished, ui: &Ui) -> Result<()> {
    ui.heading("Durations");
    let width = finished
        .states
        .iter()
        .map(|(state, _)| state.len())
        .max()
        .unwrap_or_default();
    for (state, took) in &finished.states {
        ui.say(format!("  {state:width$}  {:>8}", seconds(*took)));
    }
    ui.say(format!("  {:width$}  {:>8}", "in all", seconds(finished.took)));
    ui.heading("Parameters");
    let parameters = deployment::parameters(api, &module.parameter_path()).await?;
    if parameters.is_empty() {
        ui.say("  none");
    }
    parameters
        .iter()
        .for_each(|parameter| show_parameter(parameter, ui));
    Ok(())
}

/// One parameter: its name, version and value.
pub fn show_parameter(parameter: &Parameter, ui: &Ui) {
    let version = ui.paint(Tone::Quiet, format!("(version {})", parameter.version));
    ui.say(format!("  {} {version}", parameter.name));
    ui.say(format!("    {}", parameter.value));
}
