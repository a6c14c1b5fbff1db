//! A repository's life from the command line: planned, applied, failed, rolled back, destroyed; and the live view.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use seedflow_e2e::command_line::{Ran, command, seedflow};
use seedflow_e2e::{Action, Caller, Module, Repository, Rule, TestStack, eventually, run};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::deployment::STACK;

/// What a terminal sends for Ctrl-C.
const CTRL_C: &[u8] = b"\x03";

/// Two groups; the second takes a value from the first.
fn repository() -> Repository {
    Repository::deploying(&[
        ("network", &[("vpc", &[])]),
        ("data", &[("store", &["network/vpc"])]),
    ])
}

/// Runs a command on a checked out repository of a project.
async fn on(stack: &TestStack, verb: &str, folder: &Path, project: &str, more: &[&str]) -> Ran {
    let folder = folder.to_str().expect("a path of text");
    seedflow(stack, &[&[verb, folder, "--project", project], more].concat()).await
}

#[track_caller]
fn ended(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    for part in parts {
        assert!(
            ran.out.contains(part) || ran.err.contains(part),
            "{part} is missing: {ran:?}"
        );
    }
}

/// The name of the execution that `--detach --json` has started.
fn name_of(started: &Ran) -> String {
    let json = started.json();
    let execution = json["execution"].as_str().expect("an execution");
    execution.rsplit(':').next().expect("a name").to_owned()
}

/// The arguments of a command that an output names for the person to run.
fn named(ran: &Ran, verb: &str) -> Vec<String> {
    let begin = format!("seedflow {verb} ");
    let line = ran
        .out
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with(&begin));
    let line = line.unwrap_or_else(|| panic!("{begin}is missing: {ran:?}"));
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_repository_is_planned_applied_rolled_back_after_a_failure_and_destroyed() {
    run(async {
        let (stack, project) = (STACK.get().await, "applied");
        let checkout = tempfile::tempdir().unwrap();
        let folder = checkout.path();
        repository().write(folder);

        let plan = on(stack, "plan", folder, project, &["--detailed-exitcode"]).await;
        ended(&plan, 3, &["applied/dev", "2 to deploy"]);
        assert!(
            plan.row("deploy  network/vpc").contains("first deployment"),
            "{plan:?}"
        );
        let applied = on(stack, "apply", folder, project, &[]).await;
        ended(
            &applied,
            0,
            &[
                "applied/dev",
                "  network\n",
                "vpc deployed (",
                "ok applied/dev: 2 deployed",
            ],
        );
        assert!(
            !applied.out.contains('\u{1b}'),
            "plain text in a pipe: {applied:?}"
        );
        stack.deployment_released(project).await;
        let plan = on(stack, "plan", folder, project, &["--detailed-exitcode", "--json"]).await;
        ended(&plan, 0, &[]);
        assert_eq!(plan.json()["changes"], json!(false), "{plan:?}");
        let unchanged = on(stack, "apply", folder, project, &["--json"]).await;
        assert_eq!(
            unchanged.json()["modules"],
            json!({"unchanged": 2}),
            "{unchanged:?}"
        );
        stack.deployment_released(project).await;
        let uploaded = stack.keys(&format!("uploads/{project}/")).await;
        std::fs::write(folder.join("more"), "not uploaded").unwrap();
        for option in ["--only", "--force"] {
            let unknown = on(stack, "apply", folder, project, &[option, "data/stor"]).await;
            ended(
                &unknown,
                4,
                &[
                    option,
                    "of data/store, network/vpc, found \"data/stor\"",
                    "did you mean data/store?",
                ],
            );
        }
        assert_eq!(
            stack.keys(&format!("uploads/{project}/")).await,
            uploaded,
            "found before anything is uploaded"
        );

        repository()
            .module(
                "modules/data-store",
                &Module::running("build", &["echo no space left; exit 3"]),
            )
            .write(folder);
        let plan = on(stack, "plan", folder, project, &["--markdown", "--only", "data"]).await;
        ended(&plan, 0, &["| deploy | `data/store` |"]);
        plans_values_without_secrets(stack, project).await;
        let failed = on(stack, "apply", folder, project, &["--only", "data/store"]).await;
        ended(&failed, 1, &["store failed: ", "What to do now:"]);
        stack.deployment_released(project).await;
        let retry = named(&failed, "retry");
        let retried = seedflow(stack, &["retry", "dev", "--project", project, "--json"]).await;
        ended(&retried, 1, &[]);
        assert!(!retried.out.contains("null"), "{retried:?}");
        let failure = &retried.json()["failed"][0];
        assert_eq!(
            (&failure["module"], &failure["state"]),
            (&json!("store"), &json!("FAILED"))
        );
        assert!(failure["cause"].is_string(), "{retried:?}");
        stack.deployment_released(project).await;

        let rollback = named(&failed, "rollback");
        let mut rollback: Vec<&str> = rollback.iter().map(String::as_str).collect();
        let unasked = seedflow(stack, &rollback).await;
        ended(&unasked, 2, &["--yes"]);
        let never = [&rollback[..], &["--to", "apply-never"]].concat();
        ended(&seedflow(stack, &never).await, 4, &["the execution apply-never"]);
        rollback.push("--yes");
        rollback.push("-v");
        let back = seedflow(stack, &rollback).await;
        ended(
            &back,
            0,
            &[
                "    store | network/vpc=one\n",
                "ok applied/dev/data/store: 1 deployed",
            ],
        );
        let status = seedflow(stack, &["status", "dev", "--project", project]).await;
        assert!(status.row("dev ").starts_with("dev recovered"), "{status:?}");
        let failed = seedflow(stack, &["status", "--failed", "--project", project]).await;
        ended(&failed, 0, &["Nothing of applied has failed."]);
        // The status is now that of the rollback; the cause of the failure is still that of its own execution.
        let followed = seedflow(stack, &["follow", retry[1].as_str()]).await;
        ended(
            &followed,
            1,
            &["no space left (`echo no space left; exit 3` failed"],
        );
        let value = seedflow(
            stack,
            &["metadata", "dev/data/store", "Value", "--project", project],
        )
        .await;
        assert_eq!(value.out.trim_end(), "one", "{value:?}");

        let one = ["destroy", "dev/network/vpc", "--project", project, "--yes"];
        ended(
            &seedflow(stack, &one).await,
            4,
            &["while data/store consumes its values"],
        );
        stack.deployment_released(project).await;
        let part = seedflow(stack, &["destroy", "dev/data", "--project", project, "--yes"]).await;
        ended(&part, 0, &["store destroyed ("]);
        stack.deployment_released(project).await;
        let history = seedflow(stack, &["history", "dev", "-n", "3", "--project", project]).await;
        let whole = |line: &&str| line.split_whitespace().any(|word| word == "dev");
        let newest = history.out.lines().find(whole).unwrap_or_default();
        assert!(newest.contains(" destroyed "), "it deployed nothing: {history:?}");
        let destroyed = seedflow(stack, &["destroy", "dev", "--project", project, "--yes"]).await;
        ended(&destroyed, 0, &["vpc destroyed ("]);
        stack.deployment_released(project).await;
        let left = seedflow(stack, &["status", "dev/data", "--project", project, "--json"]).await;
        assert!(!left.out.contains("SUCCEEDED"), "{left:?}");
        // What was destroyed still has a last execution.
        for (command, code, part) in [
            ("follow", 0, "vpc destroyed ("),
            ("logs", 0, "network/vpc"),
            ("retry", 4, "expected a failed execution"),
            ("cancel", 4, "nothing was stopped"),
        ] {
            let ran = seedflow(stack, &[command, "dev", "--project", project]).await;
            ended(&ran, code, &[part]);
        }
        let log = seedflow(stack, &["logs", "dev/data/store", "--project", project]).await;
        assert_eq!(log.code, Some(0), "{log:?}");
    });
}

/// Plans a change of the parameters of `data/store`: values are shown, secrets are not.
async fn plans_values_without_secrets(stack: &TestStack, project: &str) {
    let checkout = tempfile::tempdir().unwrap();
    let changed = repository().replacing(
        "deployment.yaml",
        "\"name\":\"of-network-vpc\"",
        "\"name\":\"size\",\"value\":3},{\"name\":\"db-password\",\"value\":\"hunter2\"},{\"name\":\"of-vpc\"",
    );
    changed.write(checkout.path());
    let plan = on(stack, "plan", checkout.path(), project, &[]).await;
    ended(
        &plan,
        0,
        &[
            "+ parameter size: 3",
            "- parameter of-network-vpc: one",
            "+ parameter db-password: (hidden)",
        ],
    );
    let plan = on(stack, "plan", checkout.path(), project, &["--json"]).await;
    let modules = plan.json()["modules"].clone();
    let changes = modules[1]["changes"].as_array().expect("changes").clone();
    assert!(
        changes.contains(&json!({"what": "parameter size", "new": "3"})),
        "{plan:?}"
    );
    assert!(!plan.out.contains("hunter2"), "{plan:?}");
}

#[test]
fn a_bad_manifest_is_refused_before_anything_is_uploaded() {
    run(async {
        let (stack, project) = (STACK.get().await, "mistaken");
        let checkout = tempfile::tempdir().unwrap();
        repository()
            .replacing("deployment.yaml", "modules/data-store", "modules/data-stores")
            .write(checkout.path());
        for verb in ["plan", "apply"] {
            let refused = on(stack, verb, checkout.path(), project, &[]).await;
            ended(&refused, 4, &["modules/data-stores"]);
        }
        assert_eq!(
            stack.keys(&format!("uploads/{project}/")).await,
            Vec::<String>::new()
        );
        let folder = checkout.path().to_str().unwrap();
        let names = [
            "--project",
            project,
            "--deployment",
            "dev",
            "--group",
            "g",
            "--module",
            "m",
        ];
        let deploy = [&["deploy", folder][..], &names].concat();
        let no_module = seedflow(stack, &deploy).await;
        ended(&no_module, 4, &["deployspec.yaml"]);
        std::fs::write(checkout.path().join("deployspec.yaml"), "deploy: 3").unwrap();
        let refused = seedflow(stack, &deploy).await;
        ended(&refused, 4, &["refused mistaken/dev/g/m", "deployspec.yaml"]);
    });
}

/// A program on a terminal of its own.
struct Terminal {
    program: tokio::process::Child,
    shown: String,
}

impl Terminal {
    async fn start(stack: &TestStack, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let program = command(stack, arguments).await;
        let program = program.as_std();
        let mut line = quoted(program.get_program().to_str().expect("a path of text"));
        for argument in program.get_args() {
            write!(line, " {}", quoted(argument.to_str().expect("text"))).expect("a text");
        }
        let mut script = tokio::process::Command::new("script");
        script
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env_clear();
        for (name, value) in program.get_envs() {
            script.env(name, value.expect("a set variable"));
        }
        let script = script
            .env("TERM", "xterm")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        Self {
            program: script.kill_on_drop(true).spawn().expect("starting script"),
            shown: String::new(),
        }
    }

    /// Reads until a text is shown.
    async fn shows(&mut self, text: &str) {
        let out = self.program.stdout.as_mut().expect("a terminal");
        let mut bytes = [0; 4096];
        while !self.shown.contains(text) {
            let count = out.read(&mut bytes).await.expect("output");
            assert!(count > 0, "{text} is missing: {}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    /// Presses Ctrl-C, and reads until a text is shown and the program ends.
    async fn interrupt(&mut self, text: &str) -> Option<i32> {
        let keys = self.program.stdin.as_mut().expect("a keyboard");
        keys.write_all(CTRL_C).await.expect("a key");
        self.shows(text).await;
        self.program.wait().await.expect("an end").code()
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[test]
fn a_terminal_shows_the_work_live_and_ctrl_c_leaves_it_running() {
    run(async {
        let (stack, project) = (STACK.get().await, "watched");
        let checkout = tempfile::tempdir().unwrap();
        let go = checkout.path().join("go");
        let slow = format!("until test -e {}; do sleep 0.1; done", go.display());
        let folder = checkout.path().join("repository");
        repository()
            .module("modules/network-vpc", &Module::running("build", &[&slow]))
            .with_groups(&[("network", &[("vpc", &[])])])
            .write(&folder);
        let text = folder.to_str().unwrap();

        // Ctrl-C in a plan stops it. The planner answers later than anybody waits.
        let read_state = Rule::new(
            "ssm",
            "GetParametersByPath",
            Action::Delay(Duration::from_secs(60)),
        );
        let held = stack.rule(read_state.contains("/sf/watched/dev").caller(Caller::Functions));
        let mut terminal = Terminal::start(stack, &["plan", text, "--project", project], &[]).await;
        terminal.shows("planning").await;
        eventually("the planner at work", || async {
            (held.applied() > 0).then_some(())
        })
        .await;
        let code = terminal.interrupt("Stopped planning").await;
        assert_eq!(code, Some(130), "{}", terminal.shown);
        drop(held);
        let machine = &stack.about().deploy_state_machine_arn;
        let stopped = json!({"stateMachineArn": machine, "statusFilter": "ABORTED"});
        let stopped = stack
            .call("states", "AWSStepFunctions.ListExecutions", stopped)
            .await;
        let stopped = stopped["executions"].as_array().expect("executions");
        let is_plan = |execution: &&Value| {
            execution["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("plan-"))
        };
        assert_eq!(stopped.iter().filter(is_plan).count(), 1, "{stopped:?}");
        assert_eq!(stack.deployment_status(project, "dev").await, Value::Null);

        let mut terminal = Terminal::start(stack, &["apply", text, "--project", project, "-vv"], &[]).await;
        for work in ["building", "[AwaitBuild]", " $ until test"] {
            terminal.shows(work).await;
        }
        assert!(terminal.shown.contains("vpc"), "{}", terminal.shown);
        let code = terminal.interrupt("seedflow cancel ").await;
        assert_eq!(code, Some(130), "{}", terminal.shown);
        let (_, execution) = terminal
            .shown
            .split_once("seedflow follow ")
            .expect("how to come back");
        let execution = execution
            .split_whitespace()
            .next()
            .expect("an execution")
            .to_owned();
        std::fs::write(&go, "").unwrap();
        let followed = seedflow(stack, &["follow", &execution]).await;
        ended(&followed, 0, &["vpc deployed (", "ok watched/dev: 1 deployed"]);
        stack.deployment_released(project).await;
        for (no_color, is_coloured) in [("", true), ("1", false)] {
            let status = ["status", "--project", project];
            let mut terminal = Terminal::start(stack, &status, &[("NO_COLOR", no_color)]).await;
            terminal.shows("network/vpc").await;
            let shown = terminal.shown.contains("\u{1b}[2m");
            assert_eq!(shown, is_coloured, "{}", terminal.shown);
        }

        std::fs::remove_file(&go).unwrap();
        let started = on(
            stack,
            "apply",
            &folder,
            project,
            &["--detach", "--force=network", "--json"],
        )
        .await;
        ended(&started, 0, &[]);
        let execution = started.json()["execution"]
            .as_str()
            .expect("an execution")
            .to_owned();
        eventually("the module at work", || async {
            let status = seedflow(
                stack,
                &["status", "dev/network/vpc", "--project", project, "--json"],
            )
            .await;
            let state: &Value = &status.json()["modules"][0]["state"];
            (state == "IN_PROGRESS").then_some(())
        })
        .await;
        // Of those that wait the newest is next, and nobody forces for the one before it.
        let forced = on(
            stack,
            "apply",
            &folder,
            project,
            &["--detach", "--force=network", "--json"],
        )
        .await;
        let forced = name_of(&forced);
        let waits = async |name: &str| {
            eventually(&format!("{name} as the waiting execution"), || async {
                let locks = seedflow(stack, &["locks", "dev", "--project", project, "--json"])
                    .await
                    .json();
                let waiter = locks["locks"][0]["waiter"].as_str()?;
                waiter.ends_with(name).then_some(())
            })
            .await;
        };
        waits(&forced).await;
        let newest = name_of(&on(stack, "apply", &folder, project, &["--detach", "--json"]).await);
        // Before that the other one would get the lock that is released next.
        waits(&newest).await;
        let canceled = seedflow(stack, &["cancel", "dev", "--project", project]).await;
        let name = execution.rsplit(':').next().expect("a name");
        ended(&canceled, 0, &["Stopped", name]);
        let followed = seedflow(stack, &["follow", &execution]).await;
        ended(&followed, 1, &["stopped watched/dev"]);
        std::fs::write(&go, "").unwrap();
        let followed = seedflow(stack, &["follow", &forced]).await;
        let superseded = format!("superseded {forced}");
        let undone = format!("not carried out of {forced}: --force");
        let again = format!("  seedflow retry {forced}");
        ended(
            &followed,
            1,
            &[
                &superseded,
                &newest,
                "ok watched/dev: 1 deployed",
                &undone,
                &again,
            ],
        );
        let followed = seedflow(stack, &["follow", &forced, "--json"]).await;
        let json = followed.json();
        assert_eq!(
            (&json["state"], &json["superseded_by"]["state"], followed.code),
            (&json!("SUPERSEDED"), &json!("SUCCEEDED"), Some(1)),
            "{json}"
        );
        stack.deployment_released(project).await;
    });
}
