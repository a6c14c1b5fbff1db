//! Node, jq and a browser: this machine's own, or else from package registries.
//!
//! What is missing is installed below `target/tools/`, once, in a version that `tools/` pins with its hash: Node and the
//! library of jq from PyPI, Chromium from npm. Nothing else on the machine changes, and no question is asked. Packages of the
//! operating system come last: they need root, and change the machine.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use seedflow_terminal::Task;

use super::installation::{Installation, run};
use super::python::python;
use super::{child_guard, python_tools, workspace};

/// The names under which a browser of this machine is found.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// A program of the `PATH`.
#[must_use]
pub fn installed(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|file| {
            file.metadata()
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
}

/// The folder of `node`, `npm` and `npx` that has to be on a `PATH` for them to be found; `None` where this machine has them.
pub async fn node(task: &Task) -> Result<Option<PathBuf>> {
    if installed("node").is_some() && installed("npm").is_some() {
        return Ok(None);
    }
    let bin = python_tools::venv("node", task).await?;
    // A folder of its own: `bin` has a Python as well, which must not come before the machine's.
    let folder = bin.join("../programs");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for name in ["node", "npm", "npx"] {
        link(&bin.join(name), &folder.join(name))?;
    }
    Ok(Some(folder))
}

/// The same for `jq`; where the machine has none, only `jq PROGRAM` works.
pub async fn jq(task: &Task) -> Result<Option<PathBuf>> {
    if installed("jq").is_some() {
        return Ok(None);
    }
    let bin = python_tools::venv("jq", task).await?;
    let marker = format!("{}\n{}", bin.display(), include_str!("jq.py"));
    let programs = Installation::new("jq-program", &marker, "jq")?;
    let folder = programs
        .install(task, async |folder| {
            std::fs::write(folder.join("jq.py"), include_str!("jq.py"))?;
            wrapper(&folder.join("jq"), &bin.join("python"), &folder.join("jq.py"))
        })
        .await?;
    Ok(Some(folder))
}

/// A Chromium: `SEEDFLOW_CHROMIUM`, one that is installed, npm's, or the operating system's.
pub async fn browser(task: &Task) -> Result<PathBuf> {
    let chosen = std::env::var_os("SEEDFLOW_CHROMIUM").map(PathBuf::from);
    if let Some(found) = chosen.or_else(|| BROWSERS.iter().find_map(|name| installed(name))) {
        return Ok(found);
    }
    let no_package = match browser_from_npm(task).await {
        Ok(browser) => return Ok(browser),
        Err(error) => error,
    };
    match browser_from_system(task).await {
        Ok(browser) => Ok(browser),
        Err(error) => bail!(
            "no browser: none is installed (Debian: `apt-get install chromium`; SEEDFLOW_CHROMIUM names another one); \
             npm's: {no_package:#}; the operating system's: {error:#}"
        ),
    }
}

async fn browser_from_npm(task: &Task) -> Result<PathBuf> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("npm has one for x86_64 only");
    }
    let tools = workspace::root()?.join("tools/browser");
    let lock = std::fs::read_to_string(tools.join("package-lock.json")).context("no pinned browser")?;
    let node = node(task).await?;
    let marker = format!("{lock}{}{}", include_str!("chromium.py"), python()?.display());
    let browser = Installation::new("browser", &marker, "chromium")?;
    let folder = browser
        .install(task, async |folder| {
            for name in ["package.json", "package-lock.json", ".npmrc"] {
                std::fs::copy(tools.join(name), folder.join(name))?;
            }
            std::fs::write(folder.join("unpack.mjs"), include_str!("unpack.mjs"))?;
            std::fs::write(folder.join("chromium.py"), include_str!("chromium.py"))?;
            std::fs::create_dir(folder.join("unpacked"))?;
            let all = [
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ];
            run(with_node("npm", node.as_deref(), &all, folder)?, task).await?;
            let mut unpack = with_node("node", node.as_deref(), &["unpack.mjs"], folder)?;
            unpack.env("TMPDIR", folder.join("unpacked"));
            run(unpack, task).await?;
            std::fs::remove_dir_all(folder.join("node_modules"))?;
            wrapper(&folder.join("chromium"), python()?, &folder.join("chromium.py"))
        })
        .await
        .context("cannot install @sparticuz/chromium; this needs a registry that npm can reach")?;
    let program = folder.join("chromium");
    starts(&program)?;
    Ok(program)
}

/// A command line of Node's, in a folder.
fn with_node(
    name: &str,
    node: Option<&Path>,
    arguments: &[&str],
    folder: &Path,
) -> Result<tokio::process::Command> {
    let program = node.map_or_else(|| PathBuf::from(name), |node| node.join(name));
    let mut command = child_guard::command(program, None)?;
    if let Some(node) = node {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(node.to_owned()).chain(std::env::split_paths(&inherited));
        command.env("PATH", std::env::join_paths(all)?);
    }
    command.args(arguments).current_dir(folder);
    Ok(command)
}

/// Installs Debian's package where that needs no password.
async fn browser_from_system(task: &Task) -> Result<PathBuf> {
    let apt = installed("apt-get").context("apt-get not found")?;
    let mut program = apt.clone();
    let mut before = Vec::new();
    if !nix::unistd::geteuid().is_root() {
        program = installed("sudo").context("installing a package needs root")?;
        before = vec!["-n".into(), apt.into_os_string()];
    }
    for arguments in [&["update", "-qq"][..], &["install", "-y", "-qq", "chromium"]] {
        let mut command = child_guard::command(&program, None)?;
        command
            .args(&before)
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        run(command, task).await?;
    }
    let found = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].map(PathBuf::from);
    let found = found.into_iter().find(|file| file.is_file());
    found.context("the package has no program")
}

/// An error if a browser doesn't start, for want of a library of the machine.
fn starts(browser: &Path) -> Result<()> {
    let output = std::process::Command::new(browser)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", browser.display()))?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// A program that runs a script of Python.
fn wrapper(program: &Path, python: &Path, script: &Path) -> Result<()> {
    let quote = |path: &Path| format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"));
    let text = format!("#!/bin/sh\nexec {} -I {} \"$@\"\n", quote(python), quote(script));
    std::fs::write(program, text)?;
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn link(from: &Path, to: &Path) -> Result<()> {
    match std::os::unix::fs::symlink(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot link {}", to.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_the_path_or_not_at_all() {
        assert!(installed("sh").is_some_and(|sh| sh.is_absolute()));
        assert!(installed("no-such-program").is_none());
    }
}
