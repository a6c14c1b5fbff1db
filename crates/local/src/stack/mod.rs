//! The local stack: the emulator, the proxy and the CodeBuild emulator, with the real template
//! deployed by the real `sam deploy` and the real functions.
//!
//! Every stack has a folder of its own under `target/local/stacks/` and ports of its own, so several
//! run side by side. Its processes and its folder are removed when the [`Stack`] is dropped or when this
//! process ends, however it ends (see [`crate::process::child_guard`]).

mod connection;
mod emulator;
pub mod environment;
mod options;
mod package;
mod sam;
mod targets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

pub use connection::Connection;
use emulator::Emulator;
use environment::Folders;
use options::{BUILD_POLICY, MODULE_POLICY};
pub use options::{EVENT_SOURCE, StackOptions};
pub use targets::TargetStack;

use crate::aws_api::{AwsApi, Credentials};
use crate::codebuild::{self, CodeBuild, account_region};
use crate::process::cargo_build::{self, Profile};
use crate::process::{programs, python_tools, workspace};
use crate::proxy::{self, Caller, Ports, Proxy};
use seedflow_core::target::Target;
use seedflow_terminal::Ui;

/// A running stack.
pub struct Stack {
    codebuild: Arc<CodeBuild>,
    proxy: Proxy,
    emulator: Emulator,
    connection: Connection,
    outputs: BTreeMap<String, String>,
    targets: Vec<TargetStack>,
    folders: Folders,
    bin: PathBuf,
}

/// What a stack is made from: the tools and the built functions.
struct Parts {
    bin: PathBuf,
    /// Where Node is, if the machine has none: builds of CDK modules need it.
    node: Option<PathBuf>,
    packages: BTreeMap<String, PathBuf>,
}

impl Stack {
    /// Sets up what is missing, starts everything and deploys the template.
    pub async fn start(options: &StackOptions, ui: &Ui) -> Result<Self> {
        targets::accounts(&options.targets)?;
        let parts = Parts::prepare(options.profile, ui).await?;
        let folders = Folders { root: new_folder()? };
        let running = Running::start(options, &parts, &folders, ui).await?;
        let outputs = running.deploy(options, &parts, &folders, ui).await?;
        let connection = connection(running.proxy.endpoint(Caller::Clients), &outputs)?;
        let targets = targets::deploy(options, &parts.bin, &folders, &connection.api(), ui).await?;
        let Running {
            codebuild,
            proxy,
            emulator,
        } = running;
        Ok(Self {
            codebuild,
            proxy,
            emulator,
            connection,
            outputs,
            targets,
            folders,
            bin: parts.bin,
        })
    }

    /// How to reach it.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// A client of it.
    pub fn api(&self) -> AwsApi {
        self.connection.api()
    }

    /// A client of it as root of any account, in any region.
    pub fn api_in(&self, at: &Target) -> AwsApi {
        self.api()
            .with_credentials(account_region::root(at, environment::SECRET))
    }

    /// The targets, as they were named.
    pub fn targets(&self) -> &[TargetStack] {
        &self.targets
    }

    /// The proxy in front of the emulator.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Where the programs of the tools are, `aws` among them.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The CodeBuild emulator.
    pub fn codebuild(&self) -> &CodeBuild {
        &self.codebuild
    }

    /// A folder of the stack's own; it goes with the stack.
    pub fn folder(&self) -> &Path {
        &self.folders.root
    }

    /// The environment in which the tools on its `PATH` (`aws`, `sam`, `python`) work on this stack.
    pub fn client_environment(&self) -> Result<Vec<(String, String)>> {
        let mut variables = environment::base(&self.folders, &[&self.bin])?;
        variables.extend(environment::client(&self.connection.endpoint));
        Ok(variables)
    }

    /// Ends builds first and in good order, then everything else. Dropping does the same at once.
    pub async fn stop(self) {
        self.codebuild.shutdown().await;
    }

    /// Waits until the emulator ends by itself, and returns that as an error.
    pub async fn ended(&mut self) -> Result<()> {
        self.emulator.ended().await
    }

    /// An output of the deployed template.
    pub fn output(&self, name: &str) -> Option<&str> {
        self.outputs.get(name).map(String::as_str)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // With the emulator go its functions and the builds: the child guard finds them by their HOME.
        self.emulator.end();
    }
}

impl Parts {
    /// Installs the tools and builds the functions, both only where needed, side by side.
    async fn prepare(profile: Profile, ui: &Ui) -> Result<Self> {
        let tools = async {
            let task = ui.task("Tools");
            let bin = python_tools::venv("local-stack", &task).await?;
            let node = programs::node(&task).await?;
            task.done("ready");
            anyhow::Ok((bin, node))
        };
        let functions = async {
            let task = ui.task("Functions");
            let built = cargo_build::build_functions(profile, &task).await?;
            task.detail("packaging");
            let cache = workspace::local_dir()?.join("packages");
            let packages = tokio::task::spawn_blocking(move || package::functions(&built, &cache)).await??;
            task.done("built");
            anyhow::Ok(packages)
        };
        let ((bin, node), packages) = tokio::try_join!(tools, functions)?;
        Ok(Self { bin, node, packages })
    }
}

/// The processes of a stack before anything is deployed on it.
struct Running {
    codebuild: Arc<CodeBuild>,
    proxy: Proxy,
    emulator: Emulator,
}

impl Running {
    async fn start(options: &StackOptions, parts: &Parts, folders: &Folders, ui: &Ui) -> Result<Self> {
        let task = ui.task("Emulator");
        // Held until the proxy has its ports, or it might be given this one.
        let port = emulator::FreePort::find()?;
        let address = port.address();
        let proxied = proxy::Options {
            ports: Ports {
                clients: options.port.unwrap_or_default(),
                ..Ports::default()
            },
            // The emulator unpacks functions there; its own program and the builds' lie elsewhere.
            functions: Some(folders.tmp()),
            quotas: options.quotas.clone(),
        };
        let codebuild = codebuild_emulator(options, parts, folders);
        let proxy = Proxy::start(address, Arc::clone(&codebuild), proxied).await?;
        let functions = proxy.endpoint(Caller::Functions);
        drop(port);
        // From here on the emulator's child guard removes them.
        folders.create()?;
        // Functions in Node run by the machine's Node, or by the one that was installed.
        let tools: Vec<&Path> = std::iter::once(&parts.bin)
            .chain(&parts.node)
            .map(PathBuf::as_path)
            .collect();
        let mut emulator = Emulator::start(address, &functions, folders, &tools, &options.emulator())?;
        emulator.ready(address).await?;
        task.done(&format!("listens on {}", proxy.endpoint(Caller::Clients)));
        Ok(Self {
            codebuild,
            proxy,
            emulator,
        })
    }

    /// Deploys the template and returns its outputs.
    async fn deploy(
        &self,
        options: &StackOptions,
        parts: &Parts,
        folders: &Folders,
        ui: &Ui,
    ) -> Result<BTreeMap<String, String>> {
        let task = ui.task("sam deploy");
        let root = workspace::root()?;
        let template = package::template(
            &root,
            &parts.packages,
            &package::Timeouts {
                awaiting: options.await_timeout,
                function: options.function_timeout,
            },
            &folders.template(),
        )?;
        let endpoint = self.proxy.endpoint(Caller::Clients);
        let api = AwsApi::new(&endpoint, credentials());
        // An empty key: the path is the bucket's own, and a PUT of that makes it.
        api.put_object(sam::PACKAGE_BUCKET, "", Vec::new())
            .await
            .context("cannot make a bucket for the functions' packages")?;
        let deployment = sam::Deployment {
            account: environment::ACCOUNT,
            region: environment::REGION,
            stack_name: sam::STACK_NAME,
            bucket: sam::PACKAGE_BUCKET,
            template: &template,
            parameters: &parameters(options, &api).await?,
        };
        let outputs = sam::deploy(&deployment, &endpoint, folders, &parts.bin, &task).await?;
        task.done(&format!("{} outputs", outputs.len()));
        Ok(outputs)
    }
}

/// The parameters that the template is deployed with.
async fn parameters(options: &StackOptions, api: &AwsApi) -> Result<BTreeMap<String, String>> {
    let mut parameters = options.parameters.clone();
    let mut set = |name: &str, value: &str| parameters.insert(name.to_owned(), value.to_owned());
    set("EventSource", EVENT_SOURCE);
    set("FunctionArchitecture", architecture()?);
    // The emulator doesn't have AWS::Logs::AccountPolicy.
    set("NoMetricsFromBuilds", "false");
    if let Some(policy) = &options.build_policy {
        let made = api.create_policy(BUILD_POLICY, policy).await;
        set(
            "BuildManagedPolicyArns",
            &made.context("cannot make the policy of the builds")?,
        );
    }
    if let Some(policy) = options.wanted_module_policy() {
        let made = api.create_policy(MODULE_POLICY, policy).await;
        set(
            "ModuleRoleManagedPolicyArns",
            &made.context("cannot make the policy of the modules' roles")?,
        );
    }
    if let Some(accounts) = targets::accounts(&options.targets)? {
        set("TargetAccounts", &accounts);
    }
    Ok(parameters)
}

fn codebuild_emulator(options: &StackOptions, parts: &Parts, folders: &Folders) -> Arc<CodeBuild> {
    let mut config = codebuild::Config::new(environment::ACCOUNT, credentials(), folders.builds());
    config.tools = std::iter::once(parts.bin.clone())
        .chain(parts.node.clone())
        .collect();
    config.event_source = EVENT_SOURCE.to_owned();
    config.minute = options.minute;
    config.concurrent_builds = options.concurrent_builds;
    config.queued_builds = 5 * options.concurrent_builds;
    CodeBuild::new(config)
}

fn credentials() -> Credentials {
    Credentials {
        access_key_id: environment::ACCOUNT.to_owned(),
        secret_access_key: environment::SECRET.to_owned(),
        session_token: None,
        region: environment::REGION.to_owned(),
    }
}

/// A folder that no other stack has: the name has the process's number, and a counter for
/// the stacks of one process.
fn new_folder() -> Result<PathBuf> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let folder = workspace::local_dir()?.join(format!("stacks/{}-{number}", std::process::id()));
    if folder.exists() {
        // Left by a process of the same number that ended before its child guard had started.
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(folder)
}

/// The architecture of this machine, by its name in the template.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("x86_64"),
        "aarch64" => Ok("arm64"),
        other => {
            bail!(
                "expected a machine of x86_64 or aarch64, found {other}: the template has no functions for it"
            )
        }
    }
}

fn connection(endpoint: String, outputs: &BTreeMap<String, String>) -> Result<Connection> {
    let output = |name: &str| {
        outputs
            .get(name)
            .cloned()
            .with_context(|| format!("the deployed template has no output {name}"))
    };
    Ok(Connection {
        endpoint,
        region: environment::REGION.to_owned(),
        account: environment::ACCOUNT.to_owned(),
        access_key_id: environment::ACCOUNT.to_owned(),
        secret_access_key: environment::SECRET.to_owned(),
        state_machine_arn: output("StateMachineArn")?,
        deploy_state_machine_arn: output("DeployStateMachineArn")?,
        work_bucket: output("WorkBucketName")?,
        bundle_bucket: output("BundleBucketName")?,
        project_name: output("CodeBuildProjectName")?,
    })
}
