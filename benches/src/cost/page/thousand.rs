//! What a changed and an unchanged module cost, line by line.

use anyhow::Result;

use super::super::alternatives::{PROVISIONING, build, build_minutes, push};
use super::super::counted::{ASSUMED_SECONDS, Durations};
use super::super::prices::{Item, Quantities};
use super::words::{amount, dollars, duration, paragraph_and_table};
use super::{BUILDS, Priced, THOUSAND};

impl Priced<'_> {
    pub(super) fn thousand(&self) -> Result<String> {
        let both = [&self.changed, &self.unchanged];
        let used = |line: &&Line| both.iter().any(|used| used.get(line.told) > 0.0);
        let mut rows: Vec<Vec<String>> = LINES
            .iter()
            .filter(used)
            .map(|line| {
                let cells = both.iter().flat_map(|used| line.cells(used));
                std::iter::once(line.name.to_owned()).chain(cells).collect()
            })
            .collect();
        let sum = |name: &str, [one, other]: [f64; 2]| -> Vec<String> {
            [
                name.to_owned(),
                String::new(),
                dollars(one),
                String::new(),
                dollars(other),
            ]
            .into()
        };
        rows.push(sum("**sum**", both.map(|used| used.dollars() * THOUSAND)));
        let measured = [&self.counts.changed, &self.counts.unchanged]
            .map(|counted| counted.quantities(Durations::Measured));
        let [changed, unchanged] = measured;
        let (changed, unchanged) = (changed?.dollars() * THOUSAND, unchanged?.dollars() * THOUSAND);
        rows.push(sum("sum, with durations as measured here", [changed, unchanged]));
        let push = push().dollars();
        rows.push(sum(
            "sum, started by a push",
            both.map(|used| (used.dollars() + push) * THOUSAND),
        ));
        for seconds in BUILDS {
            let with = (self.changed.dollars() + build(seconds).dollars()) * THOUSAND;
            let minutes = build_minutes(seconds + PROVISIONING);
            rows.push(vec![
                format!("sum, with builds of {}", duration(seconds)),
                format!("{minutes} minutes"),
                dollars(with),
                "none".to_owned(),
                dollars(self.unchanged.dollars() * THOUSAND),
            ]);
        }
        let about = format!(
            "A module with a bundle of 1 MB, deployed by itself. Each line has what one deployment uses, and what 1,000 of them \
             cost. Lambda is given twice, because the time that a function takes on the local stack is no measure of AWS: the \
             sum is with {:.0} ms for every invocation, each of them a cold start; below it stands the same with the durations of \
             this run (functions in the dev profile, the emulator's answers). It hardly matters: transitions do. A push through \
             `template-git.yaml` bills a minute of CodeBuild, however many modules it deploys; an upload costs nothing more. At \
             the end the same with the module's own builds on general1.small, by how long their commands take.",
            ASSUMED_SECONDS * 1e3
        );
        Ok(paragraph_and_table(
            &about,
            &["", "changed", "1,000 changed", "unchanged", "1,000 unchanged"],
            &rows,
        ))
    }
}

/// A line of the first table.
struct Line {
    name: &'static str,
    items: &'static [Item],
    /// Of how many what is told, and in which unit: times a factor.
    unit: &'static str,
    factor: f64,
    /// The item whose amount is told.
    told: Item,
}

const fn line(
    name: &'static str,
    items: &'static [Item],
    told: Item,
    unit: &'static str,
    factor: f64,
) -> Line {
    Line {
        name,
        items,
        unit,
        factor,
        told,
    }
}

const LINES: [Line; 10] = [
    line(
        "Step Functions",
        &[Item::Transition],
        Item::Transition,
        "transitions",
        1.0,
    ),
    line(
        "Lambda, invocations",
        &[Item::Invocation],
        Item::Invocation,
        "",
        1.0,
    ),
    line(
        "Lambda, duration",
        &[Item::GbSecond],
        Item::GbSecond,
        "GB-seconds",
        1.0,
    ),
    line("S3, writing requests", &[Item::S3Write], Item::S3Write, "", 1.0),
    line("S3, reading requests", &[Item::S3Read], Item::S3Read, "", 1.0),
    line(
        "S3, the bundle's storage",
        &[Item::S3Month],
        Item::S3Month,
        "MB-months",
        1000.0,
    ),
    line("EventBridge, custom events", &[Item::Event], Item::Event, "", 1.0),
    line("SQS", &[Item::QueueRequest], Item::QueueRequest, "requests", 1.0),
    line(
        "CloudWatch Logs",
        &[Item::LogGb, Item::LogMonth],
        Item::LogGb,
        "KB",
        1e6,
    ),
    line(
        "X-Ray, every trace recorded",
        &[Item::Trace],
        Item::Trace,
        "traces",
        1.0,
    ),
];

impl Line {
    fn cells(&self, used: &Quantities) -> [String; 2] {
        let told = used.get(self.told) * self.factor;
        if told == 0.0 {
            return [String::new(), String::new()];
        }
        [
            format!("{} {}", amount(told), self.unit).trim_end().to_owned(),
            dollars(used.dollars_for(self.items) * THOUSAND),
        ]
    }
}
