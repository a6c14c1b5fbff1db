//! Ending everything that a build has started.
//!
//! A process group is not enough: `setsid`, job control and daemons leave it, and a daemon's parent is no
//! longer ours. So a build's processes are those of its group, their descendants, and every process that
//! carries the build's ARN in its environment (readable where there is a `/proc`).

use std::collections::HashSet;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// Kills the processes of a build; `mark` is a `NAME=value` of its environment.
pub fn kill_tree(group: Option<u32>, mark: &str) {
    let group = group.and_then(|group| i32::try_from(group).ok());
    // A process may be born while the others are killed: look until none is left, but not for ever.
    for _ in 0..50 {
        if let Some(group) = group {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let found = members(group, mark);
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::yield_now();
    }
}

struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    /// Dead already, only not waited for.
    zombie: bool,
}

fn members(group: Option<i32>, mark: &str) -> Vec<i32> {
    let processes = list();
    let mut members: HashSet<i32> = processes
        .iter()
        .filter(|process| Some(process.group) == group || carries(process.pid, mark))
        .map(|process| process.pid)
        .collect();
    loop {
        let before = members.len();
        members.extend(
            processes
                .iter()
                .filter(|p| members.contains(&p.parent))
                .map(|p| p.pid)
                .collect::<Vec<_>>(),
        );
        if members.len() == before {
            break;
        }
    }
    processes
        .iter()
        .filter(|p| !p.zombie && members.contains(&p.pid))
        .map(|p| p.pid)
        .collect()
}

fn carries(pid: i32, mark: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == mark.as_bytes())
    })
}

fn list() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return list_by_ps();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| parse_stat(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

/// `pid (name) state parent group …`; the name may hold anything, so what follows its last bracket counts.
fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let zombie = fields.next()? == "Z";
    Some(Process {
        pid,
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        zombie,
    })
}

/// For systems without a `/proc`.
fn list_by_ps() -> Vec<Process> {
    let output = std::process::Command::new("ps")
        .args(["-A", "-o", "pid=,ppid=,pgid=,stat="])
        .output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [pid, parent, group, state] = fields.as_slice() else {
                return None;
            };
            let zombie = state.starts_with('Z');
            Some(Process {
                pid: pid.parse().ok()?,
                parent: parent.parse().ok()?,
                group: group.parse().ok()?,
                zombie,
            })
        })
        .collect()
}
