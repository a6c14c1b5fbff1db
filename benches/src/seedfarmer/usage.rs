//! Processor time and memory of processes, as the kernel counts them.
//!
//! A process is inspected again and again while it runs: its use only grows, so the last inspection before its end misses
//! only the end.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use seedflow_local::stack::Stack;

use crate::limits::memory;

/// The kernel reports times in hundredths of a second, regardless of its own resolution (proc_pid_stat(5)).
const TICK: Duration = Duration::from_millis(10);

/// The use of a program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The largest memory that it and its children held at one time.
    pub peak: u64,
    /// The processor time of all of them.
    pub cpu: Duration,
}

/// A process and its children.
pub struct Tree {
    root: u32,
    used: Usage,
}

impl Tree {
    /// Of a process that has just been started.
    pub fn of(root: u32) -> Self {
        Self {
            root,
            used: Usage::default(),
        }
    }

    /// Inspects all running processes.
    pub fn look(&mut self) {
        let (mut peak, mut cpu) = (0, Duration::ZERO);
        let mut left = vec![self.root];
        while let Some(id) = left.pop() {
            // A process that has just ended holds nothing, and its time is counted as its parent's.
            peak += memory::peak(id).unwrap_or_default();
            cpu += Stat::read(id)
                .map(|stat| stat.own + stat.ended_children)
                .unwrap_or_default();
            left.extend(children(id));
        }
        self.used.peak = self.used.peak.max(peak);
        self.used.cpu = self.used.cpu.max(cpu);
    }

    /// The result of the inspections.
    pub fn used(&self) -> Usage {
        self.used
    }
}

fn children(id: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{id}/task"));
    let lists = threads
        .into_iter()
        .flatten()
        .flatten()
        .map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The content of `/proc/{id}/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// Its own processor time.
    own: Duration,
    /// That of its children that have ended.
    ended_children: Duration,
    /// When it was started: with its number, it identifies a process for ever.
    started: u64,
}

impl Stat {
    fn read(id: u32) -> Option<Self> {
        Self::of(&std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    fn of(text: &str) -> Option<Self> {
        // The program's name, in parentheses, may contain any character; the third field of proc_pid_stat(5) follows
        // it.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u32>().ok();
        Some(Self {
            own: TICK * (number(14)? + number(15)?),
            ended_children: TICK * (number(16)? + number(17)?),
            started: fields.get(22 - 3)?.parse().ok()?,
        })
    }
}

/// Processor time of the parts that AWS would run, and the largest memory of a function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    pub functions: Duration,
    pub emulator: Duration,
    pub peak: u64,
}

/// Reads what a stack's processes use from now on.
pub struct Meter {
    folder: PathBuf,
    seen: HashMap<(u32, u64), Seen>,
}

struct Seen {
    is_function: bool,
    before: Duration,
    last: Duration,
    peak: u64,
}

impl Meter {
    /// From now on.
    pub fn start(stack: &Stack) -> Result<Self> {
        let mut meter = Self {
            folder: stack.folder().canonicalize()?,
            seen: HashMap::new(),
        };
        meter.look();
        for ((id, _), seen) in &mut meter.seen {
            seen.before = seen.last;
            memory::forget_peak(*id);
            seen.peak = 0;
        }
        Ok(meter)
    }

    /// Inspects all running processes: a function may be gone the next time.
    pub fn look(&mut self) {
        let names = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = names.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        for id in ids {
            let Some(is_function) = self.is_function(id) else {
                continue;
            };
            let Some(stat) = Stat::read(id) else { continue };
            let seen = self.seen.entry((id, stat.started)).or_insert(Seen {
                is_function,
                before: Duration::ZERO,
                last: Duration::ZERO,
                peak: 0,
            });
            seen.last = stat.own;
            seen.peak = memory::peak(id).unwrap_or(seen.peak);
        }
    }

    /// Whether a process is a function or the emulator; `None` for any other. The emulator unpacks functions below its
    /// TMPDIR, and works in the stack's folder itself.
    fn is_function(&self, id: u32) -> Option<bool> {
        let link = |name: &str| std::fs::read_link(format!("/proc/{id}/{name}")).ok();
        if link("exe").is_some_and(|exe| exe.starts_with(self.folder.join("tmp"))) {
            return Some(true);
        }
        (link("cwd")? == self.folder).then_some(false)
    }

    /// The use up to now.
    pub fn served(&mut self) -> Served {
        self.look();
        let of = |functions| {
            let seen = self.seen.values().filter(|seen| seen.is_function == functions);
            seen.map(|seen| seen.last.saturating_sub(seen.before)).sum()
        };
        let functions = self.seen.values().filter(|seen| seen.is_function);
        Served {
            functions: of(true),
            emulator: of(false),
            peak: functions.map(|seen| seen.peak).max().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_read_behind_a_name_with_anything_in_it() {
        let text = "7 (a ) b) S 1 7 7 0 -1 4194304 1 2 3 4 250 30 5 6 20 0 1 0 9876 1 2\n";
        let stat = Stat::of(text).unwrap();
        assert_eq!(stat.own, Duration::from_millis(2800));
        assert_eq!(stat.ended_children, Duration::from_millis(110));
        assert_eq!(stat.started, 9876);
    }

    #[test]
    fn a_tree_has_its_children() {
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done & wait";
        let mut shell = std::process::Command::new("sh")
            .args(["-c", script])
            .spawn()
            .unwrap();
        let mut tree = Tree::of(shell.id());
        while shell.try_wait().unwrap().is_none() {
            tree.look();
        }
        // The shell itself only waits.
        assert!(tree.used().cpu >= TICK * 2, "{:?}", tree.used());
        assert!(tree.used().peak > 500_000, "{:?}", tree.used());
    }
}
