//! `deploy`: packs a folder into a bundle, starts an execution with it, and follows the execution.

use std::path::Path;

use anyhow::{Context, Result, bail};
use seedflow_core::ids::ModuleId;

use super::parameters::Settings;
use crate::checkout::bundle;
use crate::client::deployment::{self, Finished};
use crate::client::{pages, progress};
use crate::stack::Connection;
use seedflow_terminal::Ui;

/// Deploys a folder and shows its progress, with a summary at the end.
pub async fn deploy_folder(
    stack: &Connection,
    module: &ModuleId,
    folder: &Path,
    settings: &Settings,
    ui: &Ui,
) -> Result<Finished> {
    if folder.is_dir() && !folder.join("deployspec.yaml").is_file() {
        bail!(
            "{} has no deployspec.yaml: give the folder of a module",
            folder.display()
        );
    }
    let api = stack.api();
    let draft = tempfile::NamedTempFile::new().context("cannot write the bundle")?;
    let bundle = bundle::folder(folder, draft.path())?;
    ui.say(format!(
        "Packed {}: {} files, {}, md5 {}",
        folder.display(),
        bundle.files,
        size(bundle.size),
        bundle.md5
    ));
    let source = deployment::upload(&api, stack, module, &bundle).await?;
    let task = ui.task(module.to_string());
    let input = deployment::input(module, &source, &settings.parameters, settings.force);
    let execution = deployment::start(&api, stack, &input).await?;
    task.step(format!("execution {execution}"));
    let finished = progress::follow(&api, &execution, &task, ui).await?;
    progress::end(task, &finished);
    progress::show_failure(&api, module, &finished, ui).await;
    progress::summary(&api, module, &finished, ui).await?;
    if let Some(link) = pages::link(&api, stack, module, &finished).await? {
        ui.heading("Report");
        ui.say(format!("  {link}"));
    }
    Ok(finished)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MB", bytes as f64 / 1_048_576.0),
    }
}
