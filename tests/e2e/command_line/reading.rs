//! What was deployed, as the commands show it.

use std::process::Stdio;

use seedflow_e2e::command_line::{command, seedflow};
use seedflow_e2e::{Module, TestStack, eventually, module_id, run};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use super::{deployed, read, shown};
use crate::deployment::STACK;

#[test]
fn what_was_deployed_and_what_failed_is_shown() {
    run(async {
        let stack = STACK.get().await;
        deployed(stack).await;

        let status = shown(stack, &["status"]).await;
        assert!(!status.out.contains('\u{1b}'), "plain text in a pipe: {status:?}");
        assert!(
            status
                .row("dev/network/vpc")
                .starts_with("dev/network/vpc deployed"),
            "{status:?}"
        );
        assert!(
            status.row("dev/data/store").starts_with("dev/data/store failed"),
            "{status:?}"
        );
        assert!(status.row("dev ").starts_with("dev failed"), "{status:?}");
        let failed = shown(stack, &["status", "dev/data", "--failed", "--json"])
            .await
            .json();
        let modules = failed["modules"].as_array().unwrap();
        assert_eq!(
            (modules.len(), &modules[0]["module"], &modules[0]["state"]),
            (1, &json!("store"), &json!("FAILED"))
        );
        assert!(
            modules[0]["cause"].is_string() && failed["deployments"] == json!([]),
            "{failed}"
        );
        let nothing = shown(stack, &["status", "dev/network", "--failed"]).await;
        assert!(nothing.out.starts_with("Nothing of"), "{nothing:?}");

        let history = shown(stack, &["history", "dev/data/store", "--json"])
            .await
            .json();
        let states: Vec<&Value> = history["executions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| &run["state"])
            .collect();
        assert_eq!(states, ["FAILED", "SUCCEEDED"]);
        let table = shown(stack, &["history", "dev"]).await;
        assert_eq!(
            table.out.lines().count(),
            1 + 2 + 3,
            "two of the deployment and three of modules: {table:?}"
        );

        let first = history["executions"][1]["execution"].as_str().unwrap();
        let report = shown(stack, &["report", "dev/data/store", "--execution", first]).await;
        for part in [
            "reading/dev/data/store deployed",
            first,
            "first deployment",
            "POST_BUILD",
        ] {
            assert!(report.out.contains(part), "{part} is missing: {report:?}");
        }
        let stored = shown(stack, &["report", "dev", "--json"]).await.json();
        assert_eq!(stored["status"]["state"], "FAILED", "{stored}");
        let unknown = read(stack, &["report", "dev", "--execution", "none"]).await;
        assert!(
            unknown.code == Some(4) && unknown.err.contains("seedflow history"),
            "{unknown:?}"
        );

        let diff = shown(stack, &["diff", "dev/data/store"]).await;
        for part in [
            "~ state: deployed -> failed",
            "~ deployspec changed",
            "~ file deployspec.yaml changed",
        ] {
            assert!(diff.out.contains(part), "{part}: {diff:?}");
        }
        let diff = shown(stack, &["diff", "dev", "--json"]).await.json();
        let changed = json!({"what": "network/vpc", "old": "SUCCEEDED", "new": "UNCHANGED"});
        assert!(
            diff["differences"].as_array().unwrap().contains(&changed),
            "{diff}"
        );
    });
}

#[test]
fn what_a_module_published_and_printed_is_shown() {
    run(async {
        let stack = STACK.get().await;
        deployed(stack).await;

        let value = shown(stack, &["metadata", "dev/network/vpc", "Value"]).await;
        let all = shown(stack, &["metadata", "dev/network/vpc", "--json"])
            .await
            .json();
        assert_eq!(all["Value"].as_str(), Some(value.out.trim_end()));
        let exported = shown(stack, &["metadata", "dev/network/vpc", "--export"]).await;
        let line = format!("export VALUE='{}'", value.out.trim_end());
        assert!(
            exported.out.lines().any(|exported| exported == line),
            "{exported:?}"
        );
        let outputs = shown(stack, &["outputs", "dev/network/vpc", "--json"]).await;
        assert_eq!(outputs.json(), json!({}));
        let missing = read(stack, &["metadata", "dev/network/vpc", "Nothing"]).await;
        assert!(
            missing.code == Some(4)
                && missing.err.contains("its metadata (")
                && missing.err.contains("Value"),
            "{missing:?}"
        );

        let log = shown(stack, &["logs", "dev/data/store"]).await;
        assert!(
            log.out.contains("$ echo no space left; exit 3\nno space left\n"),
            "{log:?}"
        );
        for noise in [
            "SEEDFLOW",
            "Entering phase",
            "Phase complete",
            "[Container]",
            "seedflow-collect",
        ] {
            assert!(!log.out.contains(noise), "{noise} is not from a module: {log:?}");
        }
        let more = shown(stack, &["logs", "data/store", "-vv"]).await;
        assert!(more.out.contains("Phase complete: BUILD"), "{more:?}");
        // Of a deployment those that its last execution built: network/vpc was unchanged.
        let all = shown(stack, &["logs", "dev"]).await;
        assert!(
            all.out.starts_with("data/store\n$ echo no space left; exit 3\n")
                && !all.out.contains("network/vpc\n"),
            "{all:?}"
        );
        let status = shown(stack, &["status", "dev", "--json"]).await.json();
        let execution = status["deployments"][0]["execution"]
            .as_str()
            .expect("an execution")
            .to_owned();
        let same = shown(stack, &["logs", &execution, "--json"]).await;
        assert!(
            same.out
                .lines()
                .any(|line| line == r#"{"module":"data/store","line":"no space left"}"#),
            "{same:?}"
        );
        let followed = read(stack, &["follow", "data/store"]).await;
        assert!(
            followed.code == Some(1) && followed.out.contains("store failed"),
            "{followed:?}"
        );
        let retried = read(stack, &["retry", "network/vpc"]).await;
        assert!(
            retried.code == Some(4) && retried.err.contains("expected a failed execution"),
            "{retried:?}"
        );
        let canceled = read(stack, &["cancel", "dev"]).await;
        assert!(
            canceled.code == Some(4) && canceled.err.contains("nothing was stopped"),
            "{canceled:?}"
        );
        let raw = shown(stack, &["logs", "dev/data/store", "--raw"]).await;
        assert!(raw.out.contains("Entering phase"), "{raw:?}");
    });
}

#[test]
fn a_mistake_is_reported_with_what_to_do() {
    run(async {
        let stack = STACK.get().await;
        deployed(stack).await;
        let target = read(stack, &["status", "reading/dev/network/vpc"]).await;
        assert!(
            target.code == Some(2) && target.err.contains("--project"),
            "{target:?}"
        );
        let group = read(stack, &["metadata", "dev/network"]).await;
        assert!(
            group.code == Some(2) && group.err.contains("DEPLOYMENT/GROUP/MODULE"),
            "{group:?}"
        );
        let report = read(stack, &["report", "dev/network"]).await;
        assert!(
            report.code == Some(2) && report.err.contains("found a group"),
            "{report:?}"
        );
        // An unknown name is the same mistake in every command.
        for command in [
            "status", "history", "report", "diff", "outputs", "metadata", "logs", "locks", "follow",
            "cancel", "retry", "rollback", "destroy",
        ] {
            let unknown = read(stack, &[command, "dev/data/stor"]).await;
            assert_eq!(unknown.code, Some(4), "{unknown:?}");
            let message =
                "found nothing called \"dev/data/stor\" in the project reading; did you mean dev/data/store?";
            assert!(unknown.err.contains(message), "{command}: {unknown:?}");
        }
        let execution = read(stack, &["follow", "apply-never"]).await;
        assert!(
            execution.code == Some(4) && execution.err.contains("found nothing called"),
            "{execution:?}"
        );
        let no_name = read(stack, &["logs", "apply never"]).await;
        assert!(
            no_name.code == Some(4) && no_name.err.contains("\"apply never\""),
            "{no_name:?}"
        );
        // So is an unknown project.
        for command in [
            &["status"][..],
            &["status", "dev"],
            &["history"],
            &["locks"],
            &["open", "--no-browser"],
            &["logs", "dev"],
            &["policy", "show", "dev"],
        ] {
            let unknown = seedflow(stack, &[command, &["--project", "readnig"]].concat()).await;
            assert!(
                unknown.code == Some(4)
                    && unknown
                        .err
                        .contains("found no project \"readnig\"; did you mean reading?"),
                "{unknown:?}"
            );
        }
        let group = read(stack, &["locks", "release", "dev/network", "--yes"]).await;
        assert!(
            group.code == Some(2) && group.err.contains("found a group; `seedflow locks dev/network "),
            "{group:?}"
        );
        let never = read(stack, &["policy", "show", "dve"]).await;
        assert!(
            never.code == Some(4) && never.err.contains("did you mean dev?"),
            "{never:?}"
        );
        let other = seedflow(stack, &["status", "--stack", "other"]).await;
        assert!(
            other.code == Some(1) && other.err.contains("--stack"),
            "{other:?}"
        );
    });
}

/// A command that goes on while something happens.
struct Followed {
    program: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

async fn follow(stack: &TestStack, arguments: &[&str]) -> Followed {
    let mut program = command(stack, arguments).await;
    let mut program = program.stdout(Stdio::piped()).spawn().expect("starting seedflow");
    let lines = BufReader::new(program.stdout.take().expect("a pipe")).lines();
    Followed { program, lines }
}

impl Followed {
    /// Reads up to the line with this text.
    async fn until(&mut self, text: &str) {
        while let Some(line) = self.lines.next_line().await.expect("output") {
            if line.contains(text) {
                return;
            }
        }
        panic!("the output ended before {text}");
    }
}

#[test]
fn locks_show_who_works_and_who_waits_and_only_what_was_left_behind_is_released() {
    run(async {
        let stack = STACK.get().await;
        let id = module_id("locked", "dev", "core", "slow");
        let folder = tempfile::tempdir().unwrap();
        let go = folder.path().join("go");
        let slow = format!("until test -e {}; do sleep 0.1; done; echo gone", go.display());
        let first = stack
            .input(&id, &Module::running("build", &[&slow]), json!({}))
            .await;
        let second = stack
            .input(&id, &Module::running("build", &["true"]), json!({}))
            .await;
        let first = stack.start(&first).await;
        stack.build_of(&first).await;
        let second = stack.start(&second).await;
        let name = |arn: &str| arn.rsplit(':').next().unwrap().to_owned();

        let waiting = eventually("a waiting execution", || async {
            let locks = seedflow(stack, &["locks", "--project", "locked", "--json"])
                .await
                .json();
            locks["locks"][0]["waiter"]
                .is_string()
                .then(|| locks["locks"][0].clone())
        })
        .await;
        assert_eq!(
            (&waiting["holder"], &waiting["waiter"]),
            (&json!(first), &json!(second))
        );
        assert_eq!(
            (&waiting["of"], &waiting["running"]),
            (&json!("dev/core/slow"), &json!(true))
        );
        let table = seedflow(stack, &["locks", "--project", "locked"]).await;
        assert!(
            table.out.contains(&name(&first)) && table.out.contains(&name(&second)),
            "{table:?}"
        );
        let release = ["locks", "release", "dev/core/slow", "--project", "locked"];
        let refused = seedflow(stack, &[&release[..], &["--yes"]].concat()).await;
        assert!(
            refused.code == Some(4) && refused.err.contains("still runs"),
            "{refused:?}"
        );

        let mut log = follow(stack, &["logs", "dev/core/slow", "--project", "locked", "-f"]).await;
        log.until("$ until test").await;
        let mut states = follow(stack, &["status", "--project", "locked", "--watch", "--json"]).await;
        states.until("IN_PROGRESS").await;
        std::fs::write(&go, "").unwrap();
        log.until("gone").await;
        assert_eq!(
            log.program.wait().await.unwrap().code(),
            Some(0),
            "it ends with the build"
        );
        states.until("SUCCEEDED").await;
        let (first, second) = (stack.finished(&first).await, stack.finished(&second).await);
        assert!(
            first.succeeded() && second.succeeded(),
            "{} {}",
            first.cause,
            second.cause
        );
        stack.released(&id).await;

        // What is left if the event of an execution's end is lost, and its clean-up too.
        let left = json!({"holder": {"execution": second.execution, "started_at": "2026-11-29T12:00:00Z"},
            "fence": 1, "run": "0".repeat(32), "acquired_at": "2026-11-29T12:00:00Z"});
        stack.put(&id.lock_key(), left.to_string().into_bytes()).await;
        let unasked = seedflow(stack, &release).await;
        assert!(
            unasked.code == Some(2) && unasked.err.contains("--yes"),
            "{unasked:?}"
        );
        let released = seedflow(stack, &[&release[..], &["--yes"]].concat()).await;
        assert!(
            released.code == Some(0) && released.out.contains("released"),
            "{released:?}"
        );
        stack.released(&id).await;
        let free = seedflow(stack, &["locks", "--project", "locked"]).await;
        assert!(free.out.contains("nothing is being deployed"), "{free:?}");
        assert_eq!(stack.parameter(&id, "status").await["state"], "SUCCEEDED");
    });
}
