//! The folder below `target` in which benchmarks work.

use std::path::PathBuf;

use anyhow::{Context, Result};
use seedflow_local::process::workspace;

/// The folder of everything that a run leaves for the next run.
pub fn bench_dir() -> Result<PathBuf> {
    let folder = workspace::root()?.join("target/bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}
