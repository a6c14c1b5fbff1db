//! Deployments of whole repositories: how planning grows with the modules, and whole deployments beside seed-farmer's.

mod peer;
mod planning;
pub mod repository;
pub mod seedflow;
mod stored;
mod versus;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use seedflow_local::stack::{Stack, StackOptions};
use seedflow_local::ui::Ui;

use crate::cargo::Binary;
use crate::report::Section;

/// One deployment.
pub struct Run {
    /// From its start to its end.
    pub took: Duration,
    /// The AWS calls by their names.
    pub calls: BTreeMap<String, u64>,
    /// The most memory of the client, where one runs to the end.
    pub peak: Option<u64>,
}

impl Run {
    fn total(&self) -> u64 {
        self.calls.values().sum()
    }
}

/// Measures planning with the planner's release binary, and deployments.
pub async fn measure(planner: &Binary, ui: &Ui) -> Result<Vec<Section>> {
    let options = StackOptions {
        pretend_builds: Some(versus::BUILD),
        ..StackOptions::default()
    };
    let stack = Stack::start(&options, ui).await?;
    let mut sections = vec![planning::measure(&stack, planner, ui).await?];
    stack.stop().await;
    // Another one, so that Parameter Store holds nothing of the deployments that were planned.
    let stack = Stack::start(&options, ui).await?;
    sections.append(&mut versus::measure(&stack, ui).await?);
    stack.stop().await;
    Ok(sections)
}
