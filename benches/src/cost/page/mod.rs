//! `docs/cost.md`, written from what was counted: every figure in it is computed here, none is typed.

mod compared;
mod month;
mod notes;
mod seen;
mod standing;
mod thousand;
mod words;

use anyhow::Result;

use super::alternatives::{Waiting, build, container_unchanged, waiting};
use super::counted::{Counted, Durations};
use super::prices::Quantities;
use super::run::{CHANGED, Counts, MODULES};
use super::template::Fixed;
use crate::report::wrapped;
use words::{bullet, dollars, percent, times};

/// How the page is written again.
const COMMAND: &str = "cargo run -p seedflow-benches cost --write";
const THOUSAND: f64 = 1000.0;
/// How long the commands of builds take in comparisons, in seconds.
const BUILDS: [f64; 3] = [60.0, 300.0, 1200.0];
/// The one of them that the summary and the example of a team have.
const USUAL: f64 = 300.0;

/// Where and when the counting was done.
pub struct Facts {
    /// The day.
    pub date: String,
    /// What was counted.
    pub commit: String,
    /// With which emulator.
    pub emulator: String,
}

/// What all tables are made of.
struct Priced<'a> {
    counts: &'a Counts,
    fixed: &'a Fixed,
    changed: Quantities,
    unchanged: Quantities,
    nothing: Quantities,
    some: Quantities,
}

/// The page.
pub fn document(counts: &Counts, fixed: &Fixed, facts: &Facts) -> Result<String> {
    let of = |counted: &Counted| counted.quantities(Durations::Assumed);
    let priced = Priced {
        counts,
        fixed,
        changed: of(&counts.changed)?,
        unchanged: of(&counts.unchanged)?,
        nothing: of(&counts.nothing)?,
        some: of(&counts.some)?,
    };
    let sections = [
        ("In short", priced.summary()),
        ("1,000 deployments and 1,000 skips", priced.thousand()?),
        ("Beside a check inside the build's container", priced.containers()),
        ("Beside polling", compared::polling()),
        ("Beside seed-farmer's client in CI", priced.client()),
        ("A team's month", priced.month()),
        ("What costs money although nobody deploys", priced.standing()),
        ("What was counted", priced.counted()),
        ("Assumptions", notes::assumptions()),
        ("Prices", notes::prices()),
    ];
    let head = format!(
        "Written by `{COMMAND}`, which deploys on the local stack, counts, and computes all of it again. Prices of us-east-1 \
         without any free tier, in dollars."
    );
    let mut page = format!(
        "# What it costs\n\n{}\n\n- Date: {}\n- Commit: {}\n- Emulator: {}\n",
        wrapped(&head),
        facts.date,
        facts.commit,
        facts.emulator
    );
    for (title, body) in sections {
        page += &format!("\n## {title}\n\n{}", body.trim_end());
        page.push('\n');
    }
    Ok(page)
}

impl Priced<'_> {
    fn summary(&self) -> String {
        let (changed, unchanged) = (self.changed.dollars(), self.unchanged.dollars());
        let container = container_unchanged().dollars();
        let [event, polled] =
            [Waiting::Event, Waiting::Polling(10.0)].map(|way| waiting(way, USUAL).dollars());
        let month = self.months();
        let points = [
            format!(
                "1,000 deployments of a changed module cost **{}** beside the minutes of their builds, 1,000 skips of an \
                 unchanged one **{}**. With builds of five minutes, the builds are {} of what 1,000 deployments cost.",
                dollars(changed * THOUSAND),
                dollars(unchanged * THOUSAND),
                percent(build(USUAL).dollars() / (build(USUAL).dollars() + changed)),
            ),
            format!(
                "A check inside the build's container bills a minute of CodeBuild to find out that nothing changed: **{}** for \
                 1,000 skips, {} times as much. {}",
                dollars(container * THOUSAND),
                times(container / unchanged),
                self.break_even_with_containers(),
            ),
            format!(
                "Where a whole repository is deployed, one execution skips all modules that didn't change: {} modules for {} \
                 in all, and {} with the check inside containers.",
                MODULES,
                dollars(self.nothing.dollars()),
                dollars(container * MODULES as f64),
            ),
            format!(
                "Waiting for 1,000 builds of five minutes costs {}; a loop that looks every 10 s costs {}, {} times as much, \
                 and notices the end five seconds late on average.",
                dollars(event * THOUSAND),
                dollars(polled * THOUSAND),
                times(polled / event),
            ),
            format!(
                "A team with {MODULES} modules and 20 deployments a working day, each of which changes {CHANGED}, pays {} a \
                 month: {} for the commands of its own builds, {} for handing its pushes over, {} for the workflow, and {} for \
                 alarms and the like. With the check inside the container it is {}, with seed-farmer's client in CI {}.",
                dollars(month[0].total()),
                dollars(month[0].builds),
                dollars(month[0].start),
                dollars(month[0].workflow),
                dollars(month[0].standing),
                dollars(month[1].total()),
                dollars(month[2].total()),
            ),
        ];
        points.map(|point| format!("{}\n", bullet(&point))).concat()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use seedflow_local::proxy::Caller;

    use super::*;
    use crate::cost::counted::{Execution, Invocation};

    /// A deployment of so many transitions and invocations, and writes to S3.
    fn counted(transitions: u64, invocations: usize, writes: u64) -> Counted {
        let invocation = Invocation {
            memory_mb: 1024,
            seconds: 0.1,
        };
        Counted {
            calls: vec![(Caller::Functions, "s3:PutObject".to_owned(), writes)],
            executions: vec![Execution {
                machine: "end-execution".to_owned(),
                states: transitions - 1,
                ..Execution::default()
            }],
            invocations: BTreeMap::from([("f".to_owned(), vec![invocation; invocations])]),
            ..Counted::default()
        }
    }

    fn page() -> String {
        let counts = Counts {
            changed: counted(20, 0, 0),
            unchanged: counted(10, 0, 0),
            nothing: counted(12, 0, 0),
            some: counted(100, 4, 2),
        };
        let facts = Facts {
            date: "2026-01-01".to_owned(),
            commit: "abc".to_owned(),
            emulator: "e".to_owned(),
        };
        let fixed = Fixed {
            alarms: 3,
            ..Fixed::default()
        };
        document(&counts, &fixed, &facts).unwrap()
    }

    #[test]
    fn the_page_says_what_was_counted_in_dollars() {
        let page = page();
        // 20 transitions and a trace, a thousand times: 0.50 + 0.005; 10: 0.25 + 0.005.
        assert!(page.contains("cost **$0.505** beside the minutes"), "{page}");
        let text = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("**$0.255**. With builds of five minutes"), "{page}");
        assert!(
            text.contains("**$5.00** for 1,000 skips, 20 times as much"),
            "{page}"
        );
        // 0.505 and 0.255 are below 0.933 and 5.
        assert!(
            text.contains("It costs more whatever share of the modules is unchanged."),
            "{page}"
        );
        assert!(page.contains("| alarms") && page.contains("| $0.300"), "{page}");
    }

    #[test]
    fn the_months_add_up() {
        let page = page();
        let sum = page
            .lines()
            .find(|line| line.starts_with("| sum without"))
            .unwrap();
        let cells: Vec<&str> = sum.split('|').map(str::trim).collect();
        // 440 * (100 transitions + a trace + 4 invocations of 0.5 GB-s + 2 writes) + 440 minutes + 3 alarms.
        let each = 0.0025 + 0.000_005 + 4.0 * (0.000_000_2 + 0.000_006_666_7) + 0.000_010;
        let log = 4.0 * 978.0 / 1e9 * (0.5 + 0.09);
        assert_eq!(cells[2], dollars(440.0 * (each + log + 0.005) + 0.3));
        // 880 builds with 11.2 s more, and 440 * 38 containers.
        assert_eq!(cells[3], dollars(880.0 * 11.2 / 60.0 * 0.005 + 16_720.0 * 0.005));
        // The same builds, and 440 jobs of 7 minutes (27.4 + 16.1 + 331.2 s).
        assert_eq!(
            cells[4],
            dollars(880.0 * 11.2 / 60.0 * 0.005 + 440.0 * 7.0 * 0.006)
        );
    }
}
