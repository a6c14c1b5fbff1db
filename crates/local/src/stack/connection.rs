//! How to reach a running stack: the file `stack.json`, for this command and for any AWS client.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::aws_api::{AwsApi, Credentials};
use crate::process::workspace;

/// What a client needs to know of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The endpoint of every AWS service.
    pub endpoint: String,
    /// The region of everything.
    pub region: String,
    /// The account of everything.
    pub account: String,
    /// A key that is valid on the local stack only.
    pub access_key_id: String,
    pub secret_access_key: String,
    /// The workflow of a module.
    pub state_machine_arn: String,
    /// The workflow of a whole repository.
    pub deploy_state_machine_arn: String,
    /// Where bundles are uploaded to.
    pub work_bucket: String,
    /// Where the bundles of the last successes lie.
    pub bundle_bucket: String,
    /// The CodeBuild project of the builds.
    pub project_name: String,
}

impl Connection {
    /// The file that `up` writes by default.
    pub fn default_file() -> Result<PathBuf> {
        Ok(workspace::local_dir()?.join("stack.json"))
    }

    /// Reads the file and checks that something listens at the endpoint.
    pub async fn of_running_stack(file: &Path) -> Result<Self> {
        let advice = "start one with `cargo run -p seedflow-local -- up`, in another terminal";
        let Some(found) = Self::read(file)? else {
            bail!(
                "no local stack is running ({} does not exist): {advice}",
                file.display()
            );
        };
        if !found.answers().await {
            bail!(
                "the local stack of {} has ended (no answer at {}): {advice}",
                file.display(),
                found.endpoint
            );
        }
        found.is_the_stack().await.with_context(|| {
            format!(
                "{} names {}, where something else answers: {advice}",
                file.display(),
                found.endpoint
            )
        })?;
        Ok(found)
    }

    /// Checks that what answers knows the stack's state machine.
    async fn is_the_stack(&self) -> Result<()> {
        let asked = json!({"stateMachineArn": self.state_machine_arn});
        let call = self.api();
        let answer = call.json("states", "AWSStepFunctions.DescribeStateMachine", &asked);
        let answer = tokio::time::timeout(Duration::from_secs(20), answer)
            .await
            .context("no answer to a request within 20 seconds")?;
        match answer {
            Ok(found) if found["stateMachineArn"] == asked["stateMachineArn"] => Ok(()),
            Ok(_) => bail!("its answer is none of AWS's"),
            // A web server answers with a page, which nobody wants to read here.
            Err(error) if error.code.starts_with("Http") => {
                bail!("it answers with the HTTP status {}, and not as AWS", error.status)
            }
            Err(error) => bail!("it does not have {}: {error}", self.state_machine_arn),
        }
    }

    /// The content of the file; `None` where there is no file.
    pub fn read(file: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let found =
            serde_json::from_str(&text).with_context(|| format!("{} is not a stack file", file.display()))?;
        Ok(Some(found))
    }

    /// Writes the file; a reader sees all of it or nothing.
    pub fn write(&self, file: &Path) -> Result<()> {
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let draft = tempfile::NamedTempFile::new_in(folder).context("cannot write the stack file")?;
        serde_json::to_writer_pretty(&draft, self).context("cannot write the stack file")?;
        draft
            .persist(file)
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(())
    }

    /// Whether something listens at the endpoint.
    pub async fn answers(&self) -> bool {
        let address = self.endpoint.trim_start_matches("http://");
        let connect = tokio::net::TcpStream::connect(address);
        matches!(
            tokio::time::timeout(Duration::from_secs(2), connect).await,
            Ok(Ok(_))
        )
    }

    /// A client of the stack.
    pub fn api(&self) -> AwsApi {
        let credentials = Credentials {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
            session_token: None,
            region: self.region.clone(),
        };
        AwsApi::new(self.endpoint.clone(), credentials)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn connection(endpoint: &str) -> Connection {
        let text = |text: &str| text.to_owned();
        Connection {
            endpoint: text(endpoint),
            region: text("us-east-1"),
            account: text("111122223333"),
            access_key_id: text("111122223333"),
            secret_access_key: text("test"),
            state_machine_arn: text(
                "arn:aws:states:us-east-1:111122223333:stateMachine:seedflow-deploy-module",
            ),
            deploy_state_machine_arn: text(
                "arn:aws:states:us-east-1:111122223333:stateMachine:seedflow-deploy",
            ),
            work_bucket: text("work"),
            bundle_bucket: text("bundles"),
            project_name: text("seedflow"),
        }
    }

    #[tokio::test]
    async fn a_missing_stack_is_reported_with_how_to_start_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/stack.json");
        let none = Connection::of_running_stack(&file).await.unwrap_err().to_string();
        assert!(none.contains("does not exist") && none.contains("up`"), "{none}");
        let gone = connection("http://127.0.0.1:9");
        gone.write(&file).unwrap();
        assert_eq!(Connection::read(&file).unwrap(), Some(gone));
        let gone = Connection::of_running_stack(&file).await.unwrap_err().to_string();
        assert!(gone.contains("has ended") && gone.contains("up`"), "{gone}");
    }

    #[tokio::test]
    async fn what_is_no_stack_is_named_without_its_page() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let page = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 20\r\nConnection: close\r\n\r\n<html>no stack</html";
                let mut request = [0; 4096];
                let _ = client.read(&mut request).await;
                let _ = client.write_all(page.as_bytes()).await;
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stack.json");
        connection(&endpoint).write(&file).unwrap();
        let other = Connection::of_running_stack(&file).await.unwrap_err();
        let other = format!("{other:#}");
        for part in [&endpoint, "something else answers", "up`", "HTTP status 404"] {
            assert!(other.contains(part), "{other} / {part}");
        }
        assert!(!other.contains("<html"), "{other}");
    }
}
