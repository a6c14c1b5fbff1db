//! The program `seedflow`, as a person would run it.

mod beginning;
mod bootstrap;
mod deploying;
mod reading;
mod serving;

use seedflow_e2e::command_line::{Ran, seedflow};
use seedflow_e2e::{Module, Repository, TestStack};
use serde_json::json;
use tokio::sync::OnceCell;

/// The project that all tests here read.
const PROJECT: &str = "reading";

/// Two deployments of two modules: of the second, `network/vpc` is unchanged and `data/store` fails.
async fn deployed(stack: &TestStack) {
    static ONCE: OnceCell<()> = OnceCell::const_new();
    let deploying = async {
        let groups = &[
            ("network", &[("vpc", &[][..])][..]),
            ("data", &[("store", &["network/vpc"][..])][..]),
        ];
        let repository = Repository::deploying(groups);
        let first = stack.deploy_repository(PROJECT, &repository, json!({})).await;
        assert!(first.succeeded(), "{}: {}", first.error, first.cause);
        stack.deployment_released(PROJECT).await;
        let failing = Module::running("build", &["echo no space left; exit 3"]);
        let broken = repository.module("modules/data-store", &failing);
        let second = stack.deploy_repository(PROJECT, &broken, json!({})).await;
        assert_eq!(second.error, "DeploymentFailed", "{}", second.cause);
        stack.deployment_released(PROJECT).await;
    };
    ONCE.get_or_init(|| deploying).await;
}

/// Runs a command on the project.
async fn read(stack: &TestStack, arguments: &[&str]) -> Ran {
    seedflow(stack, &[arguments, &["--project", PROJECT]].concat()).await
}

/// Runs a command that succeeds.
async fn shown(stack: &TestStack, arguments: &[&str]) -> Ran {
    let ran = read(stack, arguments).await;
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    ran
}
