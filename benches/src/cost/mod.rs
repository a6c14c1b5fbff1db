//! The cost of deployments on AWS: counted on a local stack, priced from one table, compared with other designs.
//!
//! `counter` deploys and counts, `usage` computes AWS's bill for it. `prices` and `assumptions` have the
//! numbers that nothing here measures, `alternatives` the bills of other designs, `fixed_costs` the cost without any
//! deployment. `page` fills in the tables of `page.md`, which becomes `docs/cost.md`.

mod alternatives;
mod assumptions;
mod counter;
mod fixed_costs;
mod page;
mod prices;
mod usage;

use std::time::Duration;

use anyhow::Result;
use seedflow_local::codebuild::SimulatedBuild;
use seedflow_local::stack::{Stack, StackOptions};
use seedflow_terminal::Ui;

use crate::machine::Machine;

/// Builds run no command: the work inside them costs the same with every tool.
const BUILD: SimulatedBuild = SimulatedBuild {
    lasts: Duration::from_secs(3),
    fails: false,
};

/// Deploys, counts, and returns the whole page.
pub async fn measure(machine: &Machine, ui: &Ui) -> Result<String> {
    let stack = Stack::start(&StackOptions::default(), ui).await?;
    stack.codebuild().simulate(Some(BUILD));
    let counts = counter::count(&stack, ui).await;
    stack.stop().await;
    page::document(&counts?, machine)
}
