//! The figures as sections of the page.

use std::collections::BTreeMap;
use std::time::Duration;

use super::case::By;
use super::inside::Inside;
use super::run::{Run, median};
use super::usage::Usage;
use super::{Figures, Series, goals};
use crate::report::Section;
use crate::stats::{Spread, megabytes};

/// The titles of the sections.
pub const TIMES: &str = "Beside seed-farmer: times";
/// See above.
pub const CALLS: &str = "Beside seed-farmer: AWS calls";
/// See above.
pub const INSIDE: &str = "Beside seed-farmer: inside each build";
/// See above.
pub const STEPS: &str = "Beside seed-farmer: where Seedflow's time goes";

/// The cases whose calls are shown by service.
const COUNTED: [&str; 6] = [
    "changed-3",
    "changed-60",
    "unchanged",
    "failed",
    "50-changed",
    "50-unchanged",
];
/// The case whose steps are shown.
const STEPPED: &str = "changed-3";

/// Those sections that there are figures for.
pub fn sections(figures: &Figures) -> Vec<Section> {
    let all = [
        goals::section(figures),
        times(figures),
        calls(figures),
        inside(figures),
        steps(figures),
    ];
    all.into_iter()
        .filter(|section| !section.rows.is_empty())
        .collect()
}

fn times(figures: &Figures) -> Section {
    let mut rows: Vec<Vec<String>> = figures
        .series
        .iter()
        .filter(|series| !series.runs.is_empty())
        .map(time)
        .collect();
    if let Some(client) = &figures.client {
        let name = "a client that starts Seedflow and ends: `aws s3 cp`".to_owned();
        let mut row = vec![name, figures.rounds.to_string(), client.wall.seconds()];
        row.extend([String::new(), String::new()]);
        row.extend(used(client.used));
        row.extend([String::new(), String::new()]);
        rows.push(row);
    }
    Section {
        title: TIMES,
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
        rows,
        limits: Vec::new(),
    }
}

const ABOUT_TIMES: &str = "`benches/compare`: Seedflow, with its functions in the release profile, and the command line of seed-farmer \
    8.0.9 deploy the same modules in turn, on one local stack: the same emulator, proxy and CodeBuild stand-in, whose builds pretend: they \
    last, and run no command. Medians (shortest to longest). Wall: Seedflow's from the packing to the execution's end, as Step Functions \
    tells it; seed-farmer's from its start to its end. Overhead: wall without a build's length, from submission to completion, as CodeBuild \
    tells it. Build's end to stored status: until Parameter Store has answered the write of the status that names the build and says how it \
    went; seed-farmer stores no status of a module, so until it has answered the last write of its client, the manifest of what is \
    deployed; of several modules the median; of a failure seed-farmer stores nothing. seed-farmer sleeps 12 s in every run, also where \
    nothing changed; without its fixed wait means with exactly that sleep taken out. One module is an execution of the module workflow, \
    several are one of the deployment workflow. Client: what the user has to keep running, with all that it starts, the most memory of any \
    run, and processor time. The functions' and the emulator's processor time is AWS's on AWS: the emulator, one Python process on the \
    same cores, stands for Step Functions, Lambda, EventBridge and all else, so Seedflow's walls contain its time, and those of 50 modules \
    are mostly that.";

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
    let mut row = vec![
        format!("{}: {}", series.case.title(), series.by.name()),
        series.runs.len().to_string(),
        spread(&|run| Some(run.wall)),
        spread(&|run| built.then(|| run.overhead())),
        spread(&|run| run.stored),
    ];
    let middle = |of: fn(&Run) -> Duration| median(series.runs.iter().map(of).collect()).unwrap_or_default();
    row.extend(used(Usage {
        peak: series
            .runs
            .iter()
            .map(|run| run.client.peak)
            .max()
            .unwrap_or_default(),
        cpu: middle(|run| run.client.cpu),
    }));
    row.push(processor(middle(|run| run.served.functions)));
    row.push(processor(middle(|run| run.served.emulator)));
    row
}

fn used(usage: Usage) -> [String; 2] {
    if usage == Usage::default() {
        return ["nothing runs".to_owned(), String::new()];
    }
    [megabytes(usage.peak), processor(usage.cpu)]
}

fn processor(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn calls(figures: &Figures) -> Section {
    let shown = COUNTED
        .iter()
        .flat_map(|case| [By::Seedflow, By::Peer].map(|by| (*case, by)));
    let mut counts: Vec<Counts> = shown
        .filter_map(|(case, by)| figures.of(case, by))
        .map(|series| Counts {
            name: format!("{}: {}", series.case.title(), series.by.name()),
            modules: Some(series.case.modules),
            by_service: by_service(&series.calls()),
        })
        .collect();
    counts.extend(figures.inside.iter().map(|(by, inside)| Counts {
        name: format!("and inside each build: {}", tool(*by)),
        modules: None,
        by_service: by_service(&inside.calls),
    }));
    let called = |service: &&str| {
        counts
            .iter()
            .any(|counts| counts.by_service.contains_key(service))
    };
    let services: Vec<&'static str> = SERVICES.into_iter().filter(called).collect();
    let mut columns = vec!["", "sum", "a module"];
    columns.extend(&services);
    Section {
        title: CALLS,
        about: ABOUT_CALLS.to_owned(),
        columns,
        rows: counts.iter().map(|counts| counts.row(&services)).collect(),
        limits: Vec::new(),
    }
}

const ABOUT_CALLS: &str = "Counted by the proxy, retries too: of Seedflow the functions' and the two of a client that uploads and starts, of \
    seed-farmer its client's; of the run with the median. What one service of AWS calls of another by itself (Step Functions a \
    function, EventBridge a state machine) is no API call. Inside each build: what the commands that each tool puts into a build call in \
    a real one, with the download of the source and the upload of what is handed back; the log isn't counted.";

/// A row of calls.
struct Counts {
    name: String,
    /// How many modules they are for, where it is a deployment.
    modules: Option<usize>,
    by_service: BTreeMap<&'static str, u64>,
}

impl Counts {
    fn row(&self, services: &[&str]) -> Vec<String> {
        let sum: u64 = self.by_service.values().sum();
        let share = |modules| format!("{:.1}", sum as f64 / modules as f64);
        let mut row = vec![
            self.name.clone(),
            format!("**{sum}**"),
            self.modules.map_or_else(String::new, share),
        ];
        row.extend(services.iter().map(|service| {
            let count = self.by_service.get(service);
            count.map_or_else(String::new, u64::to_string)
        }));
        row
    }
}

/// The services that either calls, as columns are named by them.
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

/// The tool, whichever way it was run.
fn tool(by: By) -> &'static str {
    match by {
        By::Seedflow => By::Seedflow.name(),
        By::Peer | By::Hurried => By::Peer.name(),
    }
}

fn inside(figures: &Figures) -> Section {
    let row = |by: By, inside: &Inside| {
        vec![
            tool(by).to_owned(),
            Spread::of(inside.took.clone()).seconds(),
            megabytes(inside.bytes),
            inside.packages.to_string(),
            inside.total().to_string(),
        ]
    };
    Section {
        title: INSIDE,
        about: "What the commands that each tool puts around a module's own take in a real build on the stand-in, with nothing \
                installed and nothing cached: seed-farmer installs uv, a virtual environment and itself and starts its command for each thing \
                that it stores; Seedflow writes a script, makes a virtual environment and collects what is handed back. The module's \
                own two commands print a word and call `seedfarmer metadata add`. From the first command to the last; bytes written, as \
                files fill blocks of the disk. On AWS a user pays these seconds in every build."
            .to_owned(),
        columns: vec!["", "time in a build", "written", "packages installed", "AWS calls"],
        rows: figures.inside.iter().map(|(by, inside)| row(*by, inside)).collect(),
        limits: Vec::new(),
    }
}

fn steps(figures: &Figures) -> Section {
    let runs = figures
        .of(STEPPED, By::Seedflow)
        .map(|series| series.runs.as_slice());
    let runs = runs.unwrap_or_default();
    let names: Vec<&String> = runs
        .first()
        .into_iter()
        .flat_map(|run| run.steps.iter().map(|(name, _)| name))
        .collect();
    let time = |run: &Run, name: &str| {
        run.steps
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, time)| *time)
    };
    let row = |name: &&String| {
        let all: Vec<Duration> = runs.iter().filter_map(|run| time(run, name)).collect();
        vec![(*name).clone(), Spread::of(all).millis()]
    };
    Section {
        title: STEPS,
        about: "One changed module with a build of 3 s, by its execution's history: a state holds the emulator's own time for it, the \
                function's start where it isn't warm, and its AWS calls."
            .to_owned(),
        columns: vec!["step", "time"],
        rows: names.iter().map(row).collect(),
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
    }

    #[test]
    fn without_figures_there_are_no_sections() {
        assert!(sections(&Figures::default()).is_empty());
    }
}
