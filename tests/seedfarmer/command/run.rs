//! Runs one case through a `seedfarmer` command and returns the result.
//!
//! Both commands get the same module folder, files, variables and calls. The real one finds the folder by the
//! `seedfarmer.yaml` above it, ours by `SEEDFLOW_MODULE_ROOT`. The real one reads the prefix from the deployspec, ours
//! from `SEEDFLOW_PREFIX`. Nothing else differs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use seedflow_local::process::programs;
use seedflow_terminal::Ui;
use serde_json::{Value, json};

use super::case::Case;
use crate::driver::Driver;

/// The result of a case: each call's end, and the metadata file after it.
#[derive(Debug, PartialEq)]
pub struct Step {
    pub exit: i32,
    pub stdout: String,
    pub stored: Stored,
}

/// The metadata file; two texts of the same JSON are the same.
#[derive(Debug, PartialEq)]
pub enum Stored {
    Nothing,
    Json(Value),
    Text(Vec<u8>),
}

/// A way to run `seedfarmer`.
pub trait Seedfarmer {
    fn call(&mut self, args: &[String], cwd: &Path, env: &BTreeMap<String, String>) -> (i32, String);
}

/// A program called `seedfarmer`, started for every call.
pub struct Program(pub PathBuf);

impl Seedfarmer for Program {
    fn call(&mut self, args: &[String], cwd: &Path, env: &BTreeMap<String, String>) -> (i32, String) {
        let output = Command::new(&self.0)
            .args(args)
            .current_dir(cwd)
            .env_clear()
            .envs(env)
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }
}

/// The real seed-farmer, imported once (`driver.py`).
pub struct SeedFarmer(Driver);

impl SeedFarmer {
    /// Starts the driver with the Python of the environment that has this `bin` folder.
    pub fn start(bin: &Path) -> Self {
        let mut python = Command::new(bin.join("python"));
        python.env_clear().envs(sealed());
        Self(Driver::start(&mut python, "command/driver.py"))
    }
}

impl Seedfarmer for SeedFarmer {
    fn call(&mut self, args: &[String], cwd: &Path, env: &BTreeMap<String, String>) -> (i32, String) {
        let answer = self.0.ask(&json!({"args": args, "cwd": cwd, "env": env}));
        (
            answer["exit"].as_i64().unwrap() as i32,
            answer["stdout"].as_str().unwrap().to_owned(),
        )
    }
}

/// The `PATH`, with a jq at its end if the machine has none.
fn path() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = std::env::var("PATH").unwrap();
        let jq = tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(programs::jq(&Ui::silent().task("jq")));
        jq.unwrap()
            .map_or(path.clone(), |jq| format!("{path}:{}", jq.display()))
    })
}

/// An environment that reaches no AWS service: nothing listens on the discard port.
fn sealed() -> BTreeMap<String, String> {
    let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut env: BTreeMap<_, _> = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ACCESS_KEY_ID", "none"),
        ("AWS_SECRET_ACCESS_KEY", "none"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("LANG", "C.UTF-8"),
    ]
    .into_iter()
    .map(text)
    .collect();
    // For env, python3 and jq.
    env.insert("PATH".to_owned(), path().to_owned());
    env
}

/// Our command under its name in builds.
pub fn install_ours(name: &str, folder: &Path) -> PathBuf {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/core/src/module/codebuild/seedfarmer.py");
    let program = folder.join(name);
    // A link instead of a copy: a program that another thread's fork still holds open for writing can't be started.
    std::os::unix::fs::symlink(script.canonicalize().unwrap(), &program).unwrap();
    program
}

/// The folder of a case: `seedfarmer.yaml`, and `module/` with its files.
pub struct Stage {
    folder: tempfile::TempDir,
    prefix: &'static str,
    env: BTreeMap<String, String>,
}

impl Stage {
    pub fn set(case: &Case) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let prefix = if case.generic { "SEEDFARMER" } else { "MY_PROJECT" };
        std::fs::write(folder.path().join("seedfarmer.yaml"), "project: my-project\n").unwrap();
        let mut stage = Self {
            folder,
            prefix,
            env: sealed(),
        };
        std::fs::create_dir_all(stage.module().join(case.cwd)).unwrap();
        if case.deployspec {
            let text = format!(
                "publishGenericEnvVariables: {}\ndeploy: {{phases: {{}}}}\n",
                case.generic
            );
            std::fs::write(stage.module().join("deployspec.yaml"), text).unwrap();
        }
        for (path, content) in &case.files {
            let path = stage.module().join(stage.filled(path));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        stage.variables(case);
        stage
    }

    fn variables(&mut self, case: &Case) {
        let names = ["PROJECT_NAME", "DEPLOYMENT_NAME", "MODULE_NAME"];
        for (name, value) in names.into_iter().zip(["my-project", "dev", "networking-vpc"]) {
            self.env
                .insert(format!("{}_{name}", self.prefix), value.to_owned());
        }
        self.env
            .insert("SEEDFLOW_PREFIX".to_owned(), self.prefix.to_owned());
        self.env.insert(
            "SEEDFLOW_MODULE_ROOT".to_owned(),
            self.module().display().to_string(),
        );
        for (name, value) in &case.env {
            self.env.insert(self.filled(name), value.clone());
        }
        for name in &case.unset {
            self.env.remove(&self.filled(name));
        }
    }

    pub fn module(&self) -> PathBuf {
        self.folder.path().join("module")
    }

    fn filled(&self, text: &str) -> String {
        text.replace("{P}", self.prefix)
            .replace("{module}", &self.module().display().to_string())
    }

    fn stored(&self) -> Stored {
        let Ok(bytes) = std::fs::read(self.module().join(self.filled("{P}_MODULE_METADATA"))) else {
            return Stored::Nothing;
        };
        serde_json::from_slice(&bytes).map_or(Stored::Text(bytes), Stored::Json)
    }

    /// Our `seedflow-collect`, which writes beside its own folder.
    pub fn collector(&self) -> Program {
        let bin = self.folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        Program(install_ours("seedflow-collect", &bin))
    }

    /// The output of `seedflow-collect`.
    pub fn collected(&self) -> Option<Value> {
        let bytes = std::fs::read(self.folder.path().join("out/metadata.json")).ok()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    /// What a program says on standard error in the module's folder.
    pub fn said(&self, program: &Program) -> String {
        let output = Command::new(&program.0)
            .current_dir(self.module())
            .env_clear()
            .envs(&self.env)
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    }

    pub fn step(&self, command: &mut dyn Seedfarmer, args: &[String], cwd: &str) -> Step {
        let args: Vec<_> = args.iter().map(|arg| self.filled(arg)).collect();
        let (exit, stdout) = command.call(&args, &self.module().join(cwd), &self.env);
        // The two usages are different texts on purpose.
        let stdout = if stdout.starts_with("Usage: ") {
            "Usage: ".to_owned()
        } else {
            stdout
        };
        Step {
            exit,
            stdout,
            stored: self.stored(),
        }
    }
}

/// Runs a case in a fresh folder.
pub fn run(case: &Case, command: &mut dyn Seedfarmer) -> Vec<Step> {
    let stage = Stage::set(case);
    case.calls
        .iter()
        .map(|call| stage.step(command, &call.args, case.cwd))
        .collect()
}
