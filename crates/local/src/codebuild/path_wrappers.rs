//! The programs that a build finds first: wrappers that keep what it does inside its workspace.
//!
//! A container brings an image's programs and is thrown away with what was installed into it. A local build
//! uses this machine's programs instead, so what it installs goes into the workspace: pip into a virtual
//! environment that is made when it is first needed, `npm install -g` to a prefix. Version 1 of the AWS
//! CLI sends the calls of SQS to AWS in spite of `AWS_ENDPOINT_URL`, so its wrapper adds the endpoint to the command
//! line.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::files::Workspace;

/// Where `npm install -g` puts things.
pub fn npm_prefix(workspace: &Workspace) -> PathBuf {
    workspace.home().join(".npm-global")
}

fn python_home(workspace: &Workspace) -> PathBuf {
    workspace.home().join(".python")
}

/// The wrappers, what a build installs, the given tools, and what this machine has in place of an image.
pub fn path(workspace: &Workspace, config: &Config) -> String {
    let installed = [
        python_home(workspace).join("bin"),
        npm_prefix(workspace).join("bin"),
    ];
    let folders = std::iter::once(workspace.bin())
        .chain(installed)
        .chain(host_path(config));
    folders
        .map(|folder| folder.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(":")
}

fn host_path(config: &Config) -> Vec<PathBuf> {
    let host = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    config
        .tools
        .iter()
        .cloned()
        .chain(std::env::split_paths(&host))
        .collect()
}

/// Writes the wrappers of the programs that there are.
pub fn install(workspace: &Workspace, config: &Config) -> std::io::Result<()> {
    let find = |name: &str| {
        host_path(config)
            .into_iter()
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    };
    if let Some(aws) = find("aws") {
        let script = format!("exec {} --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"", quote(&aws));
        write(workspace, "aws", &script)?;
    }
    if let Some(python) = find("python3") {
        let own = python_home(workspace);
        let (python, own_python) = (quote(&python), quote(&own.join("bin/python3")));
        let make = format!(
            "[ -x {own_python} ] || {python} -m venv --system-site-packages {} || exit 1",
            quote(&own)
        );
        let pip = format!("{make}\nexec {own_python} -m pip \"$@\"");
        let run = format!(
            "case \"$1 $2\" in '-m pip') {make};; esac\n\
             [ -x {own_python} ] && exec {own_python} \"$@\"\n\
             exec {python} \"$@\""
        );
        for (name, script) in [("pip", &pip), ("pip3", &pip), ("python", &run), ("python3", &run)] {
            write(workspace, name, script)?;
        }
    }
    Ok(())
}

fn write(workspace: &Workspace, name: &str, script: &str) -> std::io::Result<()> {
    let file = workspace.bin().join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755))
}

/// A path as one word of a shell.
pub fn quote(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}
