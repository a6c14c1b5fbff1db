//! Builds that are stopped, take too long, or are cut off by the end of the stack.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::stack::{Stack, failure, phases, spec, stack, stack_with};

/// Whether the process whose id is in the file is dead (a dead one may still wait to be collected).
pub fn is_gone(pid_file: &Path) -> bool {
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let output = std::process::Command::new("ps")
        .args(["-o", "stat=", "-p", pid.trim()])
        .output()
        .unwrap();
    let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    state.is_empty() || state.starts_with('Z')
}

/// Phases whose build leaves three processes that hold on: a child, one in a session of its own, and one
/// that has lost its parent. The third one's id is written last.
fn stubborn(stack: &Stack) -> Value {
    let file = |name: &str| stack.file(name).display().to_string();
    let commands = [
        format!("sleep 1000 & echo $! > {}", file("child")),
        format!(
            "setsid bash -c 'echo $$ > {}; trap \"\" TERM; sleep 1000; sleep 1000' &",
            file("session")
        ),
        format!(
            "(setsid bash -c 'echo $$ > {}; exec sleep 1000' & )",
            file("orphan")
        ),
        format!(
            "until [ -s {} -a -s {} ]; do sleep 0.01; done; echo ready",
            file("session"),
            file("orphan")
        ),
        "sleep 1000".to_owned(),
    ];
    json!({"build": {"commands": commands}, "post_build": {"commands": ["echo never"]}})
}

fn assert_all_gone(stack: &Stack) {
    for name in ["child", "session", "orphan"] {
        assert!(is_gone(&stack.file(name)), "{name} still runs");
    }
    assert_eq!(stack.workspaces(), 0);
}

async fn started(stack: &Stack) -> String {
    let id = stack
        .start(json!({"buildspecOverride": spec(stubborn(stack))}))
        .await
        .unwrap();
    stack
        .emulator
        .until(|stored| stored.logs.values().flatten().any(|line| line == "ready"))
        .await;
    id
}

#[tokio::test]
async fn a_stopped_build_leaves_no_process() {
    let stack = stack().await;
    let id = started(&stack).await;
    let answer = stack.call("StopBuild", json!({"id": id})).await.unwrap();
    assert_eq!(answer["build"]["buildStatus"], "STOPPED");
    assert_eq!(
        phases(&answer["build"])[6..],
        ["BUILD STOPPED", "FINALIZING SUCCEEDED", "COMPLETED -"]
    );
    assert_all_gone(&stack);
    let again = stack.call("StopBuild", json!({"id": id})).await.unwrap();
    assert_eq!(
        again["build"]["buildStatus"], "STOPPED",
        "a build that has ended stays as it is"
    );
    let error = stack
        .call("StopBuild", json!({"id": "p:none"}))
        .await
        .unwrap_err();
    assert_eq!(error.code, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_build_that_takes_too_long_is_timed_out_with_all_its_processes() {
    let stack = stack_with(|config| config.minute = Duration::from_millis(600)).await;
    let overrides = json!({"buildspecOverride": spec(stubborn(&stack)), "timeoutInMinutesOverride": 5});
    let build = stack.run(overrides).await;
    assert_eq!(build["buildStatus"], "TIMED_OUT");
    assert_eq!(
        phases(&build)[6..],
        ["BUILD TIMED_OUT", "FINALIZING SUCCEEDED", "COMPLETED -"]
    );
    assert_eq!(failure(&build), "BUILD_TIMED_OUT: Build has timed out. ");
    assert_eq!(build["timeoutInMinutes"], 5);
    assert_all_gone(&stack);
}

#[tokio::test]
async fn the_end_of_the_stack_ends_all_builds() {
    let stack = stack().await;
    let id = started(&stack).await;
    stack.codebuild.shutdown().await;
    assert_eq!(stack.codebuild.build(&id).unwrap()["buildStatus"], "STOPPED");
    assert_all_gone(&stack);
    assert!(stack.start(json!({})).await.is_err(), "nothing starts any more");
}
