//! What deployments cost on AWS: counted on the local stack, priced from one table, beside other ways to do the same.
//!
//! `run` deploys and counts, `counted` says what AWS bills for it, `prices` has the prices, `alternatives` the arithmetic
//! of what it is compared with, `template` what costs money all the time, and `page` writes `docs/cost.md`.

mod alternatives;
mod counted;
mod page;
mod prices;
mod run;
mod template;

use anyhow::Result;
use seedflow_terminal::Ui;

use crate::machine::Machine;
use page::Facts;

/// The whole page.
pub async fn measure(machine: &Machine, ui: &Ui) -> Result<String> {
    let (counts, fixed) = run::count(ui).await?;
    let facts = Facts {
        date: machine.fact("Date").to_owned(),
        commit: machine.fact("Commit").to_owned(),
        emulator: machine.fact("Emulator").to_owned(),
    };
    page::document(&counts, &fixed, &facts)
}
