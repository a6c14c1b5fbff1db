//! The figures as a part of the page.

use std::collections::BTreeMap;
use std::time::Duration;

use super::build_overhead::BuildOverhead;
use super::case::Tool;
use super::run::{Figures, Run, Series};
use super::targets;
use crate::report::{Part, Section};
use crate::stats::{Spread, megabytes, seconds};

/// The cases whose calls are shown by service.
const COUNTED: [&str; 6] = [
    "changed-3",
    "changed-60",
    "unchanged",
    "failed",
    "50-changed",
    "50-unchanged",
];

/// All sections for which there are figures.
pub fn part(figures: &Figures) -> Part {
    let all = [times(figures), calls(figures), build_overhead(figures)];
    Part {
        title: "Compared with seed-farmer",
        about: "Targets: ratios of the medians below, of the same run. A missed target fails nothing; it is something to work on.",
        sections: all
            .into_iter()
            .filter(|section| !section.rows.is_empty())
            .collect(),
    }
}

fn times(figures: &Figures) -> Section {
    let series = figures.series.iter().filter(|series| !series.runs.is_empty());
    Section {
        title: "Times",
        about: ABOUT_TIMES.to_owned(),
        columns: vec![
            "",
            "rounds",
            "wall",
            "overhead",
            "build's end to stored status",
            "client's memory",
            "client's CPU",
            "functions' CPU",
            "emulator's CPU",
        ],
        rows: series.map(time).collect(),
        limits: targets::all(figures),
    }
}

const ABOUT_TIMES: &str = "`benches/compare`: Seedflow, with its functions in the release profile, and the command line of \
    seed-farmer 8.0.9 deploy the same modules in turn, on one local stack: the same emulator, proxy and CodeBuild emulator, whose \
    builds are simulated: they last, and run no command. Medians (shortest to longest). Wall: Seedflow's from the packing to the \
    execution's end, as Step Functions reports it; seed-farmer's from its start to its end. Overhead: wall without a build's \
    length, from submission to completion, as CodeBuild reports it. Build's end to stored status: until Parameter Store has answered \
    the write of the final status that names the build. seed-farmer stores no status of a module, so until it has answered the last \
    write of its client, the manifest of what is deployed; of several modules the median; of a failure seed-farmer stores nothing. \
    seed-farmer sleeps 12 s in every run, even if nothing changed; without its fixed wait means with exactly that sleep removed. One \
    module is an execution of the module workflow, several are one of the deployment workflow. Client: what the user has to keep \
    running, with all that it starts, the most memory of any run, and processor time. The functions' and the emulator's processor \
    time is AWS's on AWS: the emulator, one Python process on the same cores, replaces Step Functions, Lambda, EventBridge and all \
    other services, so Seedflow's walls contain its time, and those of 50 modules consist mostly of it.";

fn time(series: &Series) -> Vec<String> {
    let spread = |of: &dyn Fn(&Run) -> Option<Duration>| {
        let all: Vec<Duration> = series.runs.iter().filter_map(of).collect();
        if all.is_empty() {
            String::new()
        } else {
            Spread::of(all).seconds()
        }
    };
    let built = series.case.builds() > 0;
    let middle = |of: fn(&Run) -> Duration| seconds(series.median(|run| Some(of(run))).unwrap_or_default());
    let peak = series.runs.iter().map(|run| run.client.peak).max();
    let [memory, cpu] = match peak.unwrap_or_default() {
        0 => ["nothing runs".to_owned(), String::new()],
        peak => [megabytes(peak), middle(|run| run.client.cpu)],
    };
    vec![
        format!("{}: {}", series.case.title(), series.tool.name()),
        series.runs.len().to_string(),
        spread(&|run| Some(run.wall)),
        spread(&|run| built.then(|| run.overhead())),
        spread(&|run| run.stored),
        memory,
        cpu,
        middle(|run| run.served.functions),
        middle(|run| run.served.emulator),
    ]
}

fn calls(figures: &Figures) -> Section {
    let shown = COUNTED
        .iter()
        .flat_map(|case| [Tool::Seedflow, Tool::SeedFarmer].map(|tool| (*case, tool)));
    // A name, the number of modules if it is a deployment, and the calls by service.
    let mut counts: Vec<_> = shown
        .filter_map(|(case, tool)| figures.of(case, tool))
        .map(|series| {
            let name = format!("{}: {}", series.case.title(), series.tool.name());
            (name, Some(series.case.modules), by_service(&series.calls()))
        })
        .collect();
    counts.extend(figures.build_overhead.iter().map(|(tool, overhead)| {
        let name = format!("and inside each build: {}", released(*tool));
        (name, None, by_service(&overhead.calls))
    }));
    let called = |service: &&str| counts.iter().any(|(.., calls)| calls.contains_key(service));
    let services: Vec<&'static str> = SERVICES.into_iter().filter(called).collect();
    let row = |(name, modules, calls): &(String, Option<usize>, BTreeMap<&str, u64>)| {
        let sum: u64 = calls.values().sum();
        let share = modules.map(|modules| format!("{:.1}", sum as f64 / modules as f64));
        let count = |service| calls.get(service).map_or_else(String::new, u64::to_string);
        let sums = [name.clone(), format!("**{sum}**"), share.unwrap_or_default()];
        sums.into_iter().chain(services.iter().map(count)).collect()
    };
    let mut columns = vec!["", "sum", "per module"];
    columns.extend(&services);
    Section {
        title: "AWS calls",
        about: "Counted by the proxy, retries included: of Seedflow, the calls of the functions and the two of a client that uploads \
                and starts; of seed-farmer, its client's; of the run with the median. Calls between AWS services (Step Functions to a \
                function, EventBridge to a state machine) are not API calls. Inside each build: the calls of the commands that each \
                tool adds to a build, in a real one, with the download of the source and the upload of its results, without the log."
            .to_owned(),
        columns,
        rows: counts.iter().map(row).collect(),
        limits: Vec::new(),
    }
}

/// The services after which a column is named.
const SERVICES: [&str; 11] = [
    "cloudformation",
    "codebuild",
    "events",
    "iam",
    "logs",
    "s3",
    "secretsmanager",
    "ssm",
    "states",
    "sts",
    OTHER,
];
/// All others.
const OTHER: &str = "other";

fn by_service(calls: &BTreeMap<String, u64>) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for (name, count) in calls {
        let service = name.split(':').next().unwrap_or_default();
        let known = SERVICES.into_iter().find(|known| *known == service);
        *sums.entry(known.unwrap_or(OTHER)).or_default() += count;
    }
    sums
}

/// The name of the tool, with or without its fixed wait.
fn released(tool: Tool) -> &'static str {
    match tool {
        Tool::Seedflow => Tool::Seedflow.name(),
        Tool::SeedFarmer | Tool::SeedFarmerWithoutWait => Tool::SeedFarmer.name(),
    }
}

fn build_overhead(figures: &Figures) -> Section {
    let row = |(tool, overhead): (&Tool, &BuildOverhead)| {
        vec![
            released(*tool).to_owned(),
            Spread::of(overhead.took.clone()).seconds(),
            megabytes(overhead.bytes),
            overhead.packages.to_string(),
            overhead.calls.values().sum::<u64>().to_string(),
        ]
    };
    Section {
        title: "Inside each build",
        about: "What the commands that each tool adds around a module's own take in a real build on the CodeBuild emulator, with \
                nothing installed and nothing cached: seed-farmer installs uv, a virtual environment and itself, and starts its \
                command for each value that it stores; Seedflow writes a script, makes a virtual environment and collects the \
                results. The module's own two commands print a word and call `seedfarmer metadata add`. From the first command to \
                the last; bytes written, as files fill blocks of the disk. On AWS a user pays for these seconds in every build."
            .to_owned(),
        columns: vec!["", "time in a build", "written", "packages installed", "AWS calls"],
        rows: figures.build_overhead.iter().map(row).collect(),
        limits: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_summed_by_service() {
        let calls = [
            ("ssm:PutParameter", 4),
            ("ssm:GetParameters", 2),
            ("s3:GetObject", 1),
            ("x:Y", 3),
        ];
        let calls = calls.map(|(name, count)| (name.to_owned(), count)).into();
        assert_eq!(by_service(&calls), [("s3", 1), ("ssm", 6), (OTHER, 3)].into());
        assert!(part(&Figures::default()).sections.is_empty());
    }
}
