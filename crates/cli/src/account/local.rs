//! The local stack: the file that `seedflow-local up` writes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Where `seedflow-local up` writes the file, in its checkout.
const FILE: &str = "target/local/stack.json";
const START: &str = "start one with `cargo run -p seedflow-local -- up` in a checkout of Seedflow";
/// The longest time until a stack on the loopback takes a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the file has.
#[derive(Debug, Clone, Deserialize)]
pub struct LocalStack {
    pub endpoint: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub state_machine_arn: String,
    pub deploy_state_machine_arn: String,
    pub work_bucket: String,
}

impl LocalStack {
    /// Reads the file, and checks that something answers.
    pub async fn running(file: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!(
                    "no local stack is running ({} does not exist); {START}",
                    file.display()
                )
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let stack: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is not a stack file", file.display()))?;
        if !stack.answers().await {
            bail!(
                "the local stack of {} has ended (no answer at {}); {START}",
                file.display(),
                stack.endpoint
            );
        }
        Ok(stack)
    }

    async fn answers(&self) -> bool {
        let address = self.endpoint.trim_start_matches("http://").to_owned();
        let connecting = tokio::net::TcpStream::connect(address);
        matches!(tokio::time::timeout(PATIENCE, connecting).await, Ok(Ok(_)))
    }
}

/// The file of the checkout that the current directory is in.
pub fn default_file() -> Result<PathBuf> {
    let here = std::env::current_dir().context("cannot read the current directory")?;
    let found = here
        .ancestors()
        .map(|folder| folder.join(FILE))
        .find(|file| file.is_file());
    found.with_context(|| format!("no local stack is running: found no {FILE} here or above; {START}, or name its file by --stack-file"))
}

/// Whether the AWS CLI would find credentials here: in the environment, or in the files that it keeps.
pub fn has_aws_credentials() -> bool {
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let variables = [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "SEEDFLOW_STACK",
    ];
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    variables.iter().any(set)
        || ["config", "credentials"]
            .iter()
            .any(|file| home.join(".aws").join(file).is_file())
}
