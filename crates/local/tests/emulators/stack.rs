//! A CodeBuild emulator, a proxy and an emulator, and what tests do with them.

use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use seedflow_local::aws_api::{ApiError, Credentials};
use seedflow_local::codebuild::{CodeBuild, Config};
use seedflow_local::proxy::{self, Proxy};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::emulator::Emulator;

pub const ACCOUNT: &str = "123456789012";
pub const REGION: &str = "us-east-1";

/// How long a test waits for anything; a busy machine takes long to set up a build's Python.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Stack {
    pub emulator: Emulator,
    pub codebuild: Arc<CodeBuild>,
    pub proxy: Proxy,
    pub folder: TempDir,
}

/// A stack with one project, `p`.
pub async fn stack() -> Stack {
    stack_with(|_| {}).await
}

pub async fn stack_with(configure: impl FnOnce(&mut Config)) -> Stack {
    let emulator = Emulator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let credentials = Credentials {
        access_key_id: ACCOUNT.to_owned(),
        secret_access_key: "test".to_owned(),
        session_token: None,
        region: REGION.to_owned(),
    };
    let mut config = Config::new(ACCOUNT, credentials, folder.path().join("work"));
    configure(&mut config);
    let codebuild = CodeBuild::new(config);
    // Functions lie in a folder of their own, apart from the workspaces of builds.
    let options = proxy::Options {
        functions: Some(folder.path().join("functions")),
        ..proxy::Options::default()
    };
    let proxy = Proxy::start(emulator.address, Arc::clone(&codebuild), options)
        .await
        .unwrap();
    emulator.change(|stored| {
        let project = json!({
            "name": "p",
            "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [\"true\"]}}"},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {
                "type": "LINUX_CONTAINER", "image": "an-image", "computeType": "BUILD_GENERAL1_SMALL",
                "environmentVariables": [{"name": "OF_PROJECT", "value": "project", "type": "PLAINTEXT"}],
            },
            "serviceRole": "arn:aws:iam::123456789012:role/build",
            "timeoutInMinutes": 60,
        });
        stored.projects.insert("p".to_owned(), project);
    });
    Stack {
        emulator,
        codebuild,
        proxy,
        folder,
    }
}

impl Stack {
    /// Starts a build with these overrides and answers its id.
    pub async fn start(&self, overrides: Value) -> Result<String, ApiError> {
        let mut input = json!({"projectName": "p"});
        for (field, value) in overrides.as_object().unwrap() {
            input[field] = value.clone();
        }
        let answer = self.codebuild.handle("StartBuild", input).await?;
        Ok(answer["build"]["id"].as_str().unwrap().to_owned())
    }

    /// Runs a build to its end.
    pub async fn run(&self, overrides: Value) -> Value {
        let id = self.start(overrides).await.unwrap();
        self.ended(&id).await
    }

    /// Runs a build with these phases.
    pub async fn run_phases(&self, phases: Value) -> Value {
        self.run(json!({"buildspecOverride": spec(phases)})).await
    }

    pub async fn ended(&self, id: &str) -> Value {
        self.until(id, |build| build["buildComplete"] == true).await
    }

    /// Waits until a build is as wanted.
    pub async fn until(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut changes = self.codebuild.changes();
        let build = || self.codebuild.build(id).unwrap();
        let waited = changes.wait_for(|_| wanted(&build()));
        tokio::time::timeout(PATIENCE, waited)
            .await
            .unwrap_or_else(|_| panic!("never happened: {:#}", build()))
            .unwrap();
        build()
    }

    pub async fn call(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        self.codebuild.handle(operation, input).await
    }

    /// The log of a build that has ended.
    pub fn log(&self, build: &Value) -> Vec<String> {
        let name = |field: &str| build["logs"][field].as_str().unwrap().to_owned();
        let stream = format!("{}/{}", name("groupName"), name("streamName"));
        self.emulator
            .stored
            .borrow()
            .logs
            .get(&stream)
            .cloned()
            .unwrap_or_default()
    }

    /// The lines that commands wrote.
    pub fn output(&self, build: &Value) -> Vec<String> {
        self.log(build)
            .into_iter()
            .filter(|line| !line.starts_with("[Container]"))
            .collect()
    }

    /// A file outside of every workspace.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The workspaces that are there.
    pub fn workspaces(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("work")).map_or(0, Iterator::count)
    }
}

/// A buildspec in JSON, as start-build writes it.
pub fn spec(phases: Value) -> String {
    json!({"version": 0.2, "env": {"shell": "bash"}, "phases": phases}).to_string()
}

/// A zip with these files and their modes.
pub fn zip(files: &[(&str, &str, u32)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content, mode) in files {
        zip.start_file(
            *name,
            zip::write::SimpleFileOptions::default().unix_permissions(*mode),
        )
        .unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// `PHASE STATUS` of each phase.
pub fn phases(build: &Value) -> Vec<String> {
    let phase = |phase: &Value| {
        format!(
            "{} {}",
            phase["phaseType"].as_str().unwrap(),
            phase["phaseStatus"].as_str().unwrap_or("-")
        )
    };
    build["phases"].as_array().unwrap().iter().map(phase).collect()
}

/// `CODE: message` of the phase that failed.
pub fn failure(build: &Value) -> String {
    let failed = |phase: &&Value| !matches!(phase["phaseStatus"].as_str(), None | Some("SUCCEEDED"));
    let phase = build["phases"].as_array().unwrap().iter().find(failed).unwrap();
    let context = &phase["contexts"][0];
    format!(
        "{}: {}",
        context["statusCode"].as_str().unwrap_or(""),
        context["message"].as_str().unwrap_or("")
    )
}
