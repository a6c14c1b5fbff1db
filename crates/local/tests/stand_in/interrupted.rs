//! Builds that are stopped, take too long, or are cut off by the end of the stack.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{World, failure, phases, spec, world, world_with};

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
fn stubborn(world: &World) -> Value {
    let file = |name: &str| world.file(name).display().to_string();
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

fn assert_all_gone(world: &World) {
    for name in ["child", "session", "orphan"] {
        assert!(is_gone(&world.file(name)), "{name} still runs");
    }
    assert_eq!(world.workspaces(), 0);
}

async fn started(world: &World) -> String {
    let id = world
        .start(json!({"buildspecOverride": spec(stubborn(world))}))
        .await
        .unwrap();
    world
        .emulator
        .until(|stored| stored.logs.values().flatten().any(|line| line == "ready"))
        .await;
    id
}

#[tokio::test]
async fn a_stopped_build_leaves_no_process() {
    let world = world().await;
    let id = started(&world).await;
    let answer = world.call("StopBuild", json!({"id": id})).await.unwrap();
    assert_eq!(answer["build"]["buildStatus"], "STOPPED");
    assert_eq!(
        phases(&answer["build"])[6..],
        ["BUILD STOPPED", "FINALIZING SUCCEEDED", "COMPLETED -"]
    );
    assert_all_gone(&world);
    let again = world.call("StopBuild", json!({"id": id})).await.unwrap();
    assert_eq!(
        again["build"]["buildStatus"], "STOPPED",
        "a build that has ended stays as it is"
    );
    let error = world
        .call("StopBuild", json!({"id": "p:none"}))
        .await
        .unwrap_err();
    assert_eq!(error.code, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_build_that_takes_too_long_is_timed_out_with_all_its_processes() {
    let world = world_with(|config| config.minute = Duration::from_millis(600)).await;
    let overrides = json!({"buildspecOverride": spec(stubborn(&world)), "timeoutInMinutesOverride": 5});
    let build = world.run(overrides).await;
    assert_eq!(build["buildStatus"], "TIMED_OUT");
    assert_eq!(
        phases(&build)[6..],
        ["BUILD TIMED_OUT", "FINALIZING SUCCEEDED", "COMPLETED -"]
    );
    assert_eq!(failure(&build), "BUILD_TIMED_OUT: Build has timed out. ");
    assert_eq!(build["timeoutInMinutes"], 5);
    assert_all_gone(&world);
}

#[tokio::test]
async fn the_end_of_the_stack_ends_all_builds() {
    let world = world().await;
    let id = started(&world).await;
    world.codebuild.shutdown().await;
    assert_eq!(world.codebuild.build(&id).unwrap()["buildStatus"], "STOPPED");
    assert_all_gone(&world);
    assert!(world.start(json!({})).await.is_err(), "nothing starts any more");
}
