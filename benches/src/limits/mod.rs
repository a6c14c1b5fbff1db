//! The figures that have limits: the fingerprint, the release binaries, the AWS calls of deployments, and planning.

pub mod bundle;
pub mod calls;
mod check_md5;
mod fingerprint;
mod function;
mod functions;
pub mod memory;
mod planning;
mod release_build;
mod runtime_api;

use std::path::PathBuf;

use anyhow::Result;
use seedflow_local::stack::{Stack, StackOptions};
use seedflow_terminal::Ui;

use crate::bench_dir::bench_dir;
use crate::report::{Part, Section};
use release_build::Binary;

/// One of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measurement {
    Fingerprint,
    Functions,
    Calls,
    Planning,
}

/// Measures one, or all of them.
pub async fn measure(only: Option<Measurement>, ui: &Ui) -> Result<Part> {
    let wanted = |one| only.is_none_or(|only| only == one);
    let mut sections = Vec::new();
    // Everything is compiled before anything is timed.
    let functions = if wanted(Measurement::Functions) {
        release_build::build_functions(ui).await?
    } else {
        Vec::new()
    };
    let planner = match functions.iter().find(|built| built.name == "plan-deployment") {
        _ if !wanted(Measurement::Planning) => None,
        Some(built) => Some(built.clone()),
        None => Some(release_build::build_function("plan-deployment", ui).await?),
    };
    if wanted(Measurement::Fingerprint) {
        const FINGERPRINT: &str = "seedflow-fingerprint";
        let built = release_build::build(FINGERPRINT, &[FINGERPRINT], ui).await?;
        sections.push(fingerprint::measure(&built[0], &large_bundle(ui).await?, ui).await?);
    }
    if wanted(Measurement::Functions) || wanted(Measurement::Calls) {
        sections.append(&mut of_modules(&wanted, &functions, ui).await?);
    }
    if let Some(planner) = planner {
        sections.push(planning::measure(&planner, ui).await?);
    }
    Ok(Part {
        title: "Limits",
        about: "What the project promises. A missed limit fails the run.",
        sections,
    })
}

/// The measurements that need a deployed module.
async fn of_modules(
    wanted: &impl Fn(Measurement) -> bool,
    functions: &[Binary],
    ui: &Ui,
) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    let stack = Stack::start(&StackOptions::default(), ui).await?;
    let deployed = calls::measure(&stack, ui).await?;
    if wanted(Measurement::Functions) {
        sections.push(check_md5::measure(&stack, functions, &large_bundle(ui).await?, ui).await?);
        sections.push(functions::measure(&stack, functions, &deployed, ui).await?);
    }
    if wanted(Measurement::Calls) {
        sections.push(deployed.section);
    }
    stack.stop().await;
    Ok(sections)
}

async fn large_bundle(ui: &Ui) -> Result<PathBuf> {
    let task = ui.task("Bundle of 1,000 files and 500 MB");
    let folder = bench_dir()?;
    let path = tokio::task::spawn_blocking(move || bundle::made_in(&folder)).await??;
    task.done("ready");
    Ok(path)
}
