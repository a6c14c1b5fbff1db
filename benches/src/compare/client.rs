//! What starts a deployment by Seedflow from a shell: one `aws s3 cp` to `sources/`. It ends before the deployment does.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use seedflow_local::checkout::bundle;
use seedflow_local::stack::Stack;
use tokio::process::Command;

use super::usage::{Tree, Usage};
use crate::calls;
use crate::repository::{self, Repository};
use crate::stats::Spread;

const LOOK: Duration = Duration::from_millis(20);

/// What the command took.
pub struct Client {
    /// From its start to its end.
    pub wall: Spread,
    /// The most of its memory, and the median of its processor time.
    pub used: Usage,
}

impl Client {
    /// Uploads a bundle so many times; each upload starts a deployment, whose end is waited for.
    pub async fn measure(stack: &Stack, project: &str, rounds: usize) -> Result<Self> {
        let folder = stack.folder().join("client");
        Repository::new(project, "by-upload", 1, 1).write(&folder)?;
        let zip = stack.folder().join("client.zip");
        bundle::folder(&folder.join(repository::folder(0)), &zip)?;
        let bucket = &stack.connection().work_bucket;
        let names = [
            project,
            "by-upload",
            &repository::group_name(0),
            &repository::module_name(0),
        ];
        let target = format!("s3://{bucket}/sources/{}.zip", names.join("/"));
        let (mut walls, mut peak, mut times) = (Vec::new(), 0, Vec::new());
        for _ in 0..rounds {
            let mut command = Command::new(stack.bin().join("aws"));
            command
                .args(["s3", "cp", "--only-show-errors"])
                .arg(&zip)
                .arg(&target)
                .env_clear()
                .envs(stack.client_environment()?)
                .stdin(Stdio::null())
                .kill_on_drop(true);
            let (wall, used) = run(command).await?;
            walls.push(wall);
            peak = peak.max(used.peak);
            times.push(used.cpu);
            calls::settled(stack).await;
        }
        let cpu = super::run::median(times).unwrap_or_default();
        Ok(Self {
            wall: Spread::of(walls),
            used: Usage { peak, cpu },
        })
    }
}

async fn run(mut command: Command) -> Result<(Duration, Usage)> {
    let begun = Instant::now();
    let mut process = command.spawn().context("cannot start aws")?;
    let mut tree = Tree::of(process.id().context("aws has ended")?);
    loop {
        if let Ok(status) = tokio::time::timeout(LOOK, process.wait()).await {
            ensure!(status?.success(), "`aws s3 cp` failed");
            return Ok((begun.elapsed(), tree.used()));
        }
        tree.look();
    }
}
