//! The result of a soak as a table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::faults::Kind;
use super::invariants::{Broken, Invariant};
use super::plan::Size;
use seedflow_terminal::seconds;

/// The result of a soak.
#[derive(Debug, Clone)]
pub struct Report {
    /// How large it was; `executions` is how many were started.
    pub size: Size,
    /// Executions by how they ended.
    pub ends: BTreeMap<String, usize>,
    /// How often each fault struck.
    pub struck: BTreeMap<Kind, u32>,
    /// How many executions were stopped by StopExecution while they ran.
    pub stopped: usize,
    /// How many builds were stopped in CodeBuild while they ran.
    pub builds_stopped: usize,
    /// Builds by how they ended.
    pub builds: BTreeMap<String, usize>,
    /// How many failed events were run again.
    pub run_again: usize,
    /// From the first execution to the last invariant.
    pub took: Duration,
    /// What doesn't hold.
    pub broken: Vec<Broken>,
}

impl Report {
    #[must_use]
    pub fn holds(&self) -> bool {
        self.broken.is_empty()
    }

    /// The report in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Size {
            executions,
            modules,
            seed,
        } = self.size;
        let mut text = String::from("| soak | |\n|---|---|\n");
        let mut row = |name: &str, value: String| {
            // Writing into a string doesn't fail.
            let _ = writeln!(text, "| {name} | {value} |");
        };
        row("seed", seed.to_string());
        row("executions, modules", format!("{executions}, {modules}"));
        row("executions by end", counts(&self.ends));
        row("builds by end", counts(&self.builds));
        row("faults that struck", counts(&self.faults()));
        row("failed events run again", self.run_again.to_string());
        row("wall time", seconds(self.took));
        for invariant in Invariant::ALL {
            row(invariant.text(), self.verdict(invariant));
        }
        text
    }

    fn faults(&self) -> BTreeMap<&str, usize> {
        let struck = self
            .struck
            .iter()
            .map(|(kind, times)| (kind.name(), *times as usize));
        let by_hand = [
            ("execution stopped", self.stopped),
            ("build stopped", self.builds_stopped),
        ];
        struck.chain(by_hand).filter(|(_, times)| *times > 0).collect()
    }

    fn verdict(&self, invariant: Invariant) -> String {
        match self
            .broken
            .iter()
            .filter(|broken| broken.invariant == invariant)
            .count()
        {
            0 => "holds".to_owned(),
            times => format!("**broken {times} times**"),
        }
    }
}

fn counts<K: AsRef<str>>(counts: &BTreeMap<K, usize>) -> String {
    let shown: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{count} {}", name.as_ref()))
        .collect();
    if shown.is_empty() {
        "none".to_owned()
    } else {
        shown.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_what_happened_and_what_broke() {
        let report = Report {
            size: Size {
                executions: 3,
                modules: 2,
                seed: 42,
            },
            ends: [("SUCCEEDED".to_owned(), 2), ("FAILED".to_owned(), 1)].into(),
            struck: [(Kind::Throttled, 5), (Kind::EventLost, 0)].into(),
            stopped: 1,
            builds_stopped: 0,
            builds: [("SUCCEEDED".to_owned(), 2)].into(),
            run_again: 0,
            took: Duration::from_secs(61),
            broken: vec![Broken {
                invariant: Invariant::NoOverlap,
                found: "a and b".to_owned(),
            }],
        };
        let table = report.markdown();
        for row in [
            "| seed | 42 |",
            "| executions by end | 1 FAILED, 2 SUCCEEDED |",
            "| faults that struck | 5 call throttled, 1 execution stopped |",
            "| builds of one module never overlap | **broken 1 times** |",
            "| no build runs on | holds |",
        ] {
            assert!(table.contains(row), "{row} is missing in\n{table}");
        }
        assert!(!report.holds());
    }
}
