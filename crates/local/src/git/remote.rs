//! The bare repository that receives pushes.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use seedflow_core::deployment::manifest_options::ManifestOptions;
use tokio::process::Command;

use super::hand_over::{self, Hook, MARK, Phase, TEMPLATE};
use crate::process::workspace;
use crate::stack::Stack;

/// The longest `Variables` that template-git.yaml takes.
const MAX_VARIABLES: usize = 300;

/// Which repository is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its folder: a new or empty one, or one that was made for this before. Without one it is in the stack's own
    /// folder, and goes with the stack.
    pub folder: Option<PathBuf>,
    /// The project that what is pushed belongs to.
    pub project: String,
    /// The name of the hand-over, for one of several of the project.
    pub name: Option<String>,
    /// The branch whose pushes are handed over.
    pub branch: String,
    /// Which manifest, and with which variables.
    pub options: ManifestOptions,
}

impl Wanted {
    /// Refuses what can't be made, before anything is started for it.
    pub async fn check(&self) -> Result<()> {
        git(&["--version"]).await?;
        git(&["check-ref-format", "--branch", &self.branch])
            .await
            .with_context(|| format!("--branch {} is not a branch name", self.branch))?;
        match &self.folder {
            Some(folder) => check_folder(folder),
            None => Ok(()),
        }
    }
}

/// A repository whose pushes are handed over.
#[derive(Debug, Clone)]
pub struct Remote {
    folder: PathBuf,
}

impl Remote {
    /// Makes the repository, or takes the one that is there; its hooks are written again for this stack.
    pub async fn make(stack: &Stack, wanted: &Wanted) -> Result<Self> {
        Self::followed_by(stack, wanted, &[]).await
    }

    /// The same, and what a push has started is followed to its end by a command, unless it is pushed with
    /// `git push -o no-follow`. The command gets the execution as its last argument.
    pub async fn followed_by(stack: &Stack, wanted: &Wanted, command: &[String]) -> Result<Self> {
        wanted.check().await?;
        let folder = wanted.folder.clone();
        let folder = folder.unwrap_or_else(|| stack.folder().join("repository.git"));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let folder = folder
            .canonicalize()
            .with_context(|| format!("cannot resolve {}", folder.display()))?;
        let hooks = folder.join("hooks");
        // No template: it may bring hooks of its own. Done again it changes nothing.
        git_in(&folder, &["init", "--quiet", "--bare", "--template="]).await?;
        let branch = format!("refs/heads/{}", wanted.branch);
        git_in(&folder, &["symbolic-ref", "HEAD", &branch]).await?;
        // Said here, because a setting of the user's may name other hooks for all repositories.
        let path = hooks.to_string_lossy();
        git_in(&folder, &["config", "core.hooksPath", &path]).await?;
        git_in(&folder, &["config", "receive.advertisePushOptions", "true"]).await?;
        std::fs::create_dir_all(&hooks).with_context(|| format!("cannot make {}", hooks.display()))?;
        let [check, hand_over] = self::hooks(stack, wanted, &hand_over::follow(command))?;
        write_hook(&hooks.join("pre-receive"), &check)?;
        write_hook(&hooks.join("post-receive"), &hand_over)?;
        Ok(Self { folder })
    }

    /// What is pushed to.
    #[must_use]
    pub fn url(&self) -> &Path {
        &self.folder
    }
}

/// The hooks that check a push and hand it over, with what the second runs afterwards.
fn hooks(stack: &Stack, wanted: &Wanted, afterwards: &str) -> Result<[String; 2]> {
    let file = workspace::root()?.join(TEMPLATE);
    let template =
        std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut environment = stack.client_environment()?;
    let ManifestOptions {
        manifest,
        env,
        env_files,
        env_path,
    } = wanted.options.clone();
    let own = [
        ("PROJECT", wanted.project.clone()),
        ("NAME", wanted.name.clone().unwrap_or_default()),
        ("BRANCH", wanted.branch.clone()),
        ("WORK_BUCKET", stack.connection().work_bucket.clone()),
        (
            "DEPLOY_STATE_MACHINE",
            stack.connection().deploy_state_machine_arn.clone(),
        ),
        ("MANIFEST", manifest.unwrap_or_default()),
        ("VARIABLES", variables(&env)?),
        ("ENV_FILES", env_files.join(",")),
        ("ENV_PATH", env_path.unwrap_or_default()),
    ];
    environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
    let of = |phases: &[Phase]| hand_over::commands(&template, phases);
    let (check, hand_over) = (
        of(&[Phase::Prepare, Phase::Check])?,
        of(&[Phase::Prepare, Phase::HandOver])?,
    );
    let hook = |commands| Hook {
        commands,
        branch: &wanted.branch,
        environment: &environment,
    };
    Ok([hook(&check).check(), hook(&hand_over).hand_over(afterwards)])
}

/// Variables as the metadata of a zip has them. S3 takes two kilobytes of metadata in all.
fn variables(env: &BTreeMap<String, String>) -> Result<String> {
    if env.is_empty() {
        return Ok(String::new());
    }
    let text = serde_json::to_string(env)?;
    ensure!(
        text.len() <= MAX_VARIABLES,
        "--env: expected variables of at most {MAX_VARIABLES} bytes as JSON, found {}; put them into a file (--env-file)",
        text.len()
    );
    Ok(text)
}

fn write_hook(file: &Path, text: &str) -> Result<()> {
    let write = || {
        std::fs::write(file, text)?;
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755))
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

/// A folder may be new, empty, or a repository of ours: no other hook is replaced, and no work tree becomes a bare one.
fn check_folder(folder: &Path) -> Result<()> {
    let hook = std::fs::read_to_string(folder.join("hooks/post-receive"));
    if hook.is_ok_and(|hook| hook.contains(MARK)) {
        return Ok(());
    }
    match std::fs::read_dir(folder).map(Iterator::count) {
        Ok(1..) => bail!(
            "--git {}: the folder is not empty, and `up --git` did not make it; name a new or an empty one",
            folder.display()
        ),
        Ok(0) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("--git {}", folder.display())),
    }
}

async fn git(arguments: &[&str]) -> Result<()> {
    run("git", None, arguments).await
}

async fn git_in(folder: &Path, arguments: &[&str]) -> Result<()> {
    run("git", Some(folder), arguments).await
}

async fn run(program: &str, folder: Option<&Path>, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let output = command.output().await;
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("--git needs git, not found on the PATH: install it (Debian, Ubuntu: `apt install git`)")
        }
        other => other.context("cannot run git")?,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("git ended with {}: {}", output.status, said.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_missing_git_is_reported() {
        let error = run("no-such-git", None, &["--version"]).await.unwrap_err();
        assert!(error.to_string().contains("install it"), "{error}");
    }

    #[tokio::test]
    async fn a_folder_with_something_else_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = |branch: &str| Wanted {
            folder: Some(folder.path().to_owned()),
            project: "p".to_owned(),
            name: None,
            branch: branch.to_owned(),
            options: ManifestOptions::default(),
        };
        assert!(wanted("main").check().await.is_ok());
        let error = wanted("a b").check().await.unwrap_err();
        assert!(error.to_string().contains("not a branch name"), "{error}");
        std::fs::create_dir(folder.path().join("hooks")).unwrap();
        let hook = folder.path().join("hooks/post-receive");
        std::fs::write(&hook, "#!/bin/sh\n").unwrap();
        let error = wanted("main").check().await.unwrap_err();
        assert!(error.to_string().contains("not empty"), "{error}");
        std::fs::write(
            &hook,
            Hook {
                commands: &[],
                branch: "main",
                environment: &[],
            }
            .hand_over(""),
        )
        .unwrap();
        assert!(wanted("main").check().await.is_ok());
        let new = Wanted {
            folder: Some(folder.path().join("not/there/yet")),
            ..wanted("main")
        };
        assert!(new.check().await.is_ok());
    }
}
