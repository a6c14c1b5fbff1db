//! The AWS emulator, ministack, as a process of the stack's own.
//!
//! It enforces IAM: a function has the rights of its role and no others. Where its decisions differ
//! from AWS's, the Python package `corrections` corrects them, so that the template's roles are tested as on AWS.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::environment::{self, Folders};
use crate::codebuild::certificates;
use crate::process::child_guard::{self, ChildGuard, CleanupScope};
use crate::process::{output_tail, workspace};

/// The package that runs ministack with the corrections.
const PACKAGE: &str = "corrections";

/// Its modules.
const MODULES: [(&str, &str); 14] = [
    ("__init__.py", include_str!("corrections/__init__.py")),
    ("__main__.py", include_str!("corrections/__main__.py")),
    ("cloudformation.py", include_str!("corrections/cloudformation.py")),
    ("codebuild.py", include_str!("corrections/codebuild.py")),
    ("eventbridge.py", include_str!("corrections/eventbridge.py")),
    ("functions.py", include_str!("corrections/functions.py")),
    ("iam.py", include_str!("corrections/iam.py")),
    ("node_sdk.py", include_str!("corrections/node_sdk.py")),
    ("replacing.py", include_str!("corrections/replacing.py")),
    ("requests.py", include_str!("corrections/requests.py")),
    ("s3.py", include_str!("corrections/s3.py")),
    ("server.py", include_str!("corrections/server.py")),
    ("ssm.py", include_str!("corrections/ssm.py")),
    ("stepfunctions.py", include_str!("corrections/stepfunctions.py")),
];

/// How long the emulator may take to come up. It takes two seconds; on a busy machine more.
const UP: Duration = Duration::from_secs(90);

/// A running emulator. Dropping this ends it and the functions that it runs.
#[derive(Debug)]
pub struct Emulator {
    process: ChildGuard,
    log: std::path::PathBuf,
}

impl Emulator {
    /// Starts ministack on `address`; `endpoint` is what the functions in it call. The first of `tools` has its Python.
    pub fn start(
        address: SocketAddr,
        endpoint: &str,
        folders: &Folders,
        tools: &[&Path],
        extra: &[(String, String)],
    ) -> Result<Self> {
        write_package(&folders.root)?;
        let log = folders.log("emulator");
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let folder = std::env::var_os("SEEDFLOW_KEEP")
            .is_none()
            .then(|| folders.root.clone());
        let scope = CleanupScope {
            homes: folders.root.clone(),
            folder,
        };
        let python = tools
            .first()
            .context("no folder of Python's tools")?
            .join("python");
        let mut command = child_guard::command(python, Some(&scope))?;
        command
            .args(["-m", PACKAGE])
            .current_dir(&folders.root)
            .env_clear();
        command
            .envs(environment::base(folders, tools)?)
            .envs(environment::client(endpoint));
        command.envs([
            ("GATEWAY_PORT", address.port().to_string()),
            ("BIND_HOST", address.ip().to_string()),
            ("MINISTACK_HOST", address.ip().to_string()),
            ("MINISTACK_REGION", environment::REGION.to_owned()),
            ("MINISTACK_ACCOUNT_ID", environment::ACCOUNT.to_owned()),
            ("STATE_DIR", folders.state().to_string_lossy().into_owned()),
            ("AUTH", "true".to_owned()),
            // Listeners of services that nothing here uses.
            ("IOT_MTLS_ENABLED", "0".to_owned()),
            ("SFTP_ENABLED", "0".to_owned()),
        ]);
        command.envs(for_node()?);
        command.envs(extra.iter().map(|(name, value)| (name, value)));
        let errors = output.try_clone().context("cannot share the emulator's log")?;
        command.stdout(Stdio::from(output)).stderr(Stdio::from(errors));
        Ok(Self {
            process: ChildGuard::spawn(command)?,
            log,
        })
    }

    /// Waits until it answers.
    pub async fn ready(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + UP;
        while Instant::now() < deadline {
            if let Some(status) = self.process.ended()? {
                bail!(
                    "the emulator ended at once ({status}); its output:\n{}",
                    output_tail::of_file(&self.log)
                );
            }
            if is_healthy(address).await.unwrap_or(false) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "the emulator did not answer within {} s; its output:\n{}",
            UP.as_secs(),
            output_tail::of_file(&self.log)
        )
    }

    /// Waits until it ends by itself: only a broken one does.
    pub async fn ended(&mut self) -> Result<()> {
        let status = self.process.wait().await?;
        // The child guard may have removed the log with the stack's folder by now.
        bail!("the emulator ended by itself ({status}); SEEDFLOW_KEEP=1 keeps the logs of the next one")
    }

    /// Ends it and everything that belongs to the stack, and removes the stack's folder.
    pub fn end(&mut self) {
        self.process.end();
    }
}

/// Writes the package into a folder, from which Python then runs it.
fn write_package(folder: &Path) -> Result<()> {
    let package = folder.join(PACKAGE);
    std::fs::create_dir_all(&package).with_context(|| format!("cannot make {}", package.display()))?;
    for (name, text) in MODULES {
        let file = package.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// What functions in Node get: the folder of the AWS SDK that Lambda's runtimes contain, which `corrections/node_sdk.py` fills.
fn for_node() -> Result<Vec<(&'static str, String)>> {
    let sdk = workspace::root()?.join("target/tools/node-sdk/node_modules");
    std::fs::create_dir_all(&sdk).with_context(|| format!("cannot make {}", sdk.display()))?;
    let folder = ("NODE_PATH", sdk.to_string_lossy().into_owned());
    Ok(std::iter::once(folder).chain(certificates()).collect())
}

/// Asks the emulator's health page. By hand, since it is one request without a body.
async fn is_healthy(address: SocketAddr) -> std::io::Result<bool> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET /_ministack/health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        Ok(&answer == b"HTTP/1.1 200")
    };
    tokio::time::timeout(Duration::from_secs(2), ask).await?
}

/// A free port of loopback; held as long as this lives. Between its end and the start of its
/// user another process may take it: the user then fails with that message.
pub struct FreePort {
    _listener: TcpListener,
    address: SocketAddr,
}

impl FreePort {
    /// Lets the system choose one.
    pub fn find() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("loopback has no free port")?;
        let address = listener.local_addr().context("cannot find a free port")?;
        Ok(Self {
            _listener: listener,
            address,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
