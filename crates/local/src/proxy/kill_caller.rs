//! Finding and killing the function that made a call.
//!
//! A function killed in the middle of its work is a fault that no answer of AWS can simulate. The process
//! is found by the call's connection: `/proc/net/tcp` has the socket of its far end, and
//! `/proc/*/fd` which process has that open. Only a process whose program is in the functions' folder is killed, so
//! a rule that matches another caller ends neither the emulator, nor a build, nor the test itself.
//!
//! What the state machine sees of it: here the task fails with `Runtime.ExitError`, and with
//! `Sandbox.Timedout` where a function doesn't end within its `Timeout`, which the emulator enforces. These
//! are the types that Lambda's runtimes report. Step Functions documents `Lambda.Unknown` for what a function
//! doesn't report itself, out of memory and time-outs included, and `Sandbox.Timedout` for newer runtimes
//! (<https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html> and
//! <https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html>). So a state machine
//! must not count on one name: `States.TaskFailed` and `States.ALL` catch them all. Under
//! `.waitForTaskToken` AWS fails the task at once as well, the emulator swallows the error, and the task ends
//! with `States.Timeout`.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Kills the functions that hold the far end (`peer`) of a connection to `here`, which is one.
///
/// # Errors
/// Where no process was killed: the caller isn't a function, or has ended already.
pub fn kill_caller(peer: SocketAddr, here: SocketAddr, functions: &Path) -> Result<(), String> {
    let none = |why: &str| format!("no process was killed: {why}");
    let inode = inode_of(peer, here).ok_or_else(|| none("the connection's socket is gone"))?;
    let socket = format!("socket:[{inode}]");
    // The kernel has programs by their real paths.
    let functions = functions
        .canonicalize()
        .map_err(|error| none(&format!("{}: {error}", functions.display())))?;
    let mut killed = false;
    for pid in pids() {
        if is_function(pid, &functions) && holds(pid, &socket) {
            let sent = kill(Pid::from_raw(pid), Signal::SIGKILL);
            sent.map_err(|error| none(&format!("process {pid}: {error}")))?;
            killed = true;
        }
    }
    if killed {
        Ok(())
    } else {
        Err(none("the call was not made by a function of this stack"))
    }
}

/// An address as `/proc/net/tcp` has it: the number as the kernel has it in memory, the port as people write it.
fn written(address: SocketAddr) -> Option<String> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    Some(format!(
        "{:08X}:{:04X}",
        u32::from_ne_bytes(ip.octets()),
        address.port()
    ))
}

/// The inode of the socket with these two ends, the first its own. One port can be its own end of several.
fn inode_of(own: SocketAddr, other: SocketAddr) -> Option<u64> {
    let (own, other) = (written(own)?, written(other)?);
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        if fields.next()? != own || fields.next()? != other {
            return None;
        }
        // What follows: state, queues, timer, retransmits, user, timeout, inode.
        fields.nth(6)?.parse().ok().filter(|inode| *inode != 0)
    })
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn is_function(pid: i32, functions: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program.starts_with(functions))
}

fn holds(pid: i32, socket: &str) -> bool {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| target.as_os_str().as_bytes() == socket.as_bytes())
}
