//! The programs that a build finds first: wrappers that keep what it does inside its workspace.
//!
//! A container brings an image's programs and is thrown away with what was installed into it. A local build
//! uses this machine's programs instead, so what it installs goes into the workspace: pip into a virtual
//! environment that is made when it is first needed, `npm install -g` to a prefix. Version 1 of the AWS
//! CLI sends the calls of SQS to AWS in spite of `AWS_ENDPOINT_URL`, so its wrapper adds the endpoint to the command
//! line. Version 2 of the AWS SDK for Node knows no such variable, so the wrapper of `node` loads a script first that
//! redirects its calls. Nor does boto3 before 1.28: a `sitecustomize` on `PYTHONPATH` does the same in every Python, also
//! in those of virtual environments, which have no wrapper.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::files::Workspace;

/// Redirects what Node sends to AWS.
const AWS_ENDPOINT: &str = include_str!("aws_endpoint.cjs");

/// Redirects what an old boto3 sends to AWS.
const BOTO3_ENDPOINT: &str = include_str!("sitecustomize.py");

/// Where Python finds what redirects an old boto3.
pub fn python_path(workspace: &Workspace) -> PathBuf {
    workspace.scratch().join("python")
}

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

/// Writes the wrappers of the programs that there are. A build without privileged mode finds a `docker` that reaches no
/// daemon, as in an image, also where the machine has none.
pub fn install(workspace: &Workspace, config: &Config, privileged: bool) -> std::io::Result<()> {
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
    if let Some(node) = find("node") {
        let preload = workspace.scratch().join("aws_endpoint.cjs");
        std::fs::write(&preload, AWS_ENDPOINT)?;
        // Not once for the whole build: commands set NODE_OPTIONS, for example for more memory.
        let script = format!(
            "case \"$NODE_OPTIONS\" in *aws_endpoint.cjs*) ;; *) export NODE_OPTIONS=\"--require \\\"\"{}\"\\\" $NODE_OPTIONS\";; esac\n\
             exec {} \"$@\"",
            quote(&preload),
            quote(&node)
        );
        write(workspace, "node", &script)?;
    }
    if !privileged && find("docker").is_none() {
        let script = "echo \"Cannot connect to the Docker daemon at $DOCKER_HOST. Is the docker daemon running?\" >&2\nexit 1";
        write(workspace, "docker", script)?;
    }
    if let Some(python) = find("python3") {
        let preload = python_path(workspace);
        std::fs::create_dir_all(&preload)?;
        std::fs::write(preload.join("sitecustomize.py"), BOTO3_ENDPOINT)?;
        // Commands set PYTHONPATH, for example for a module's own packages.
        let keep = format!(
            "case \":$PYTHONPATH:\" in *:{0}:*) ;; *) export PYTHONPATH={0}\"${{PYTHONPATH:+:$PYTHONPATH}}\";; esac",
            quote(&preload)
        );
        let own = python_home(workspace);
        let (python, own_python) = (quote(&python), quote(&own.join("bin/python3")));
        let make = format!(
            "[ -x {own_python} ] || {python} -m venv --system-site-packages {} || exit 1",
            quote(&own)
        );
        let pip = format!("{keep}\n{make}\nexec {own_python} -m pip \"$@\"");
        let run = format!(
            "{keep}\n\
             case \"$1 $2\" in '-m pip') {make};; esac\n\
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
