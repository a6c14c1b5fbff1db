//! The real seed-farmer, by its own command line, on a stack whose builds are simulated.
//!
//! The values that its commands inside a build would write to Parameter Store are written by this module.

use std::path::PathBuf;
use std::process::Stdio;

use seedflow_local::process::python_tools;
use seedflow_local::stack::environment::ACCOUNT;
use seedflow_terminal::Ui;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::repository::Repository;
use crate::stack::TestStack;

/// Its command line without the one wait that is always twelve seconds: it compares the results of two kinds of lists.
const PROGRAM: &str = "
import sys, time
from types import SimpleNamespace
from seedfarmer.__main__ import main
from seedfarmer.commands import _stack_commands
_stack_commands.time = SimpleNamespace(sleep=lambda seconds: None if seconds == 12 else time.sleep(seconds))
sys.argv[0] = 'seedfarmer'
sys.exit(main())
";

/// seed-farmer with a folder of its own.
pub struct SeedFarmer {
    python: PathBuf,
    project: String,
    /// The folder of its repository.
    pub folder: PathBuf,
}

impl SeedFarmer {
    /// Makes the roles that seed-farmer uses.
    pub async fn new(stack: &TestStack, project: &str, repository: &Repository) -> Self {
        let folder = stack.folder().join(project);
        repository.write(&folder);
        let bin = python_tools::venv("peer", &Ui::silent().task("seed-farmer")).await;
        let seed_farmer = Self {
            python: bin.expect("installing seed-farmer").join("python"),
            project: project.to_owned(),
            folder,
        };
        let principal = format!("arn:aws:iam::{ACCOUNT}:root");
        seed_farmer
            .run(
                stack,
                &[
                    "bootstrap",
                    "toolchain",
                    "-p",
                    project,
                    "-t",
                    &principal,
                    "--as-target",
                ],
            )
            .await;
        seed_farmer
    }

    /// Deploys the folder; each module, as `group/module`, publishes the value `one`. The values exist from the start,
    /// since a simulated build can't publish them for the next group.
    pub async fn deploy(&self, stack: &TestStack, modules: &[&str]) {
        for module in modules {
            self.publish(stack, module, "one").await;
        }
        self.run(stack, &["apply", "deployment.yaml"]).await;
        for module in modules {
            let manifest = self.get(stack, &format!("{module}/manifest")).await;
            let md5 = manifest["bundle_md5"].as_str().expect("the MD5 of the files");
            self.put(stack, module, "md5/bundle", &json!({"hash": md5})).await;
        }
    }

    /// Writes the metadata of a module, as the end of its build does.
    pub async fn publish(&self, stack: &TestStack, module: &str, value: &str) {
        let metadata = json!({"Value": value, "SeedFarmerDeployed": "8.0.9"});
        self.put(stack, module, "metadata", &metadata).await;
    }

    async fn put(&self, stack: &TestStack, module: &str, slot: &str, value: &Value) {
        let name = format!("/{}/dev/{module}/{slot}", self.project);
        stack.put_parameter(&name, &value.to_string()).await;
    }

    async fn get(&self, stack: &TestStack, name: &str) -> Value {
        let call = json!({"Name": format!("/{}/dev/{name}", self.project)});
        let answer = stack.call("ssm", "AmazonSSM.GetParameter", call).await;
        let text = answer["Parameter"]["Value"].as_str().expect("a value");
        serde_json::from_str(text).expect("seed-farmer stores JSON")
    }

    async fn run(&self, stack: &TestStack, arguments: &[&str]) {
        let ran = Command::new(&self.python)
            .args(["-c", PROGRAM])
            .args(arguments)
            .current_dir(&self.folder)
            .env_clear()
            .envs(stack.client_environment().expect("an environment"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .expect("starting seed-farmer");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "seed-farmer {arguments:?}:\n{said}");
    }
}
