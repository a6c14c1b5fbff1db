//! The Python packages that the local stack and the tests use.
//!
//! Each set is a virtual environment below `target/tools/`, made from the pinned list `tools/{name}.txt`, which has the
//! hashes of all files that pip may take (`tools/pin` writes it).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use seedflow_terminal::Task;

use super::installation::{Installation, run};
use super::python::python;
use super::{child_guard, workspace};

/// The `bin` folder of the packages that `tools/{name}.txt` lists; installs them on the first call.
pub async fn venv(name: &str, task: &Task) -> Result<PathBuf> {
    let list = workspace::root()?.join("tools").join(format!("{name}.txt"));
    let pins = std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let marker = format!("{}\n{pins}", python()?.display());
    let tools = Installation::new(name, &marker, "bin/python")?;
    let folder = tools
        .install(task, async |folder| install(&list, folder, task).await)
        .await?;
    Ok(folder.join("bin"))
}

async fn install(list: &Path, folder: &Path, task: &Task) -> Result<()> {
    task.detail("making a virtual environment");
    let mut venv = child_guard::command(python()?, None)?;
    venv.args(["-m", "venv"]).arg(folder);
    run(venv, task).await.context(
        "cannot make a Python virtual environment; \
         if venv or pip is missing, install it (Debian, Ubuntu: `apt install python3-venv`)",
    )?;
    let mut pip = child_guard::command(folder.join("bin/python"), None)?;
    pip.args([
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        // The list is complete, and pip's resolver doesn't take a pin without its extras for one with them.
        "--require-hashes",
        "--no-deps",
        "--progress-bar",
        "off",
    ]);
    pip.arg("-r").arg(list).env_remove("PYTHONDONTWRITEBYTECODE");
    run(pip, task).await.with_context(|| {
        format!(
            "cannot install {}; this needs a package index that pip can reach",
            list.display()
        )
    })
}
