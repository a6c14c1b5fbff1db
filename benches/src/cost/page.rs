//! Fills in `page.md`: every figure of `docs/cost.md` is computed here, none is typed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use seedflow_local::proxy::Caller;

use super::alternatives::{
    CLIENT, CLIENT_UNCHANGED, JOB, PROVISIONING, TOOLING, Waiting, break_even, build, build_minutes,
    container_changed, container_unchanged, extra_minutes, job, waiting,
};
use super::counters::{ASSUMED_SECONDS, BUNDLE, BUNDLE_MONTHS, HISTORY_LOG, LOG_MONTHS, PLATFORM_LOG, Usage};
use super::counts::{CHANGED, Counts, MODULES};
use super::fixed_costs::FixedCosts;
use super::prices::{Item, PRICES, Quantities};
use crate::machine::Machine;
use crate::report::table;
use crate::stats::grouped;

const TEMPLATE: &str = include_str!("page.md");
const THOUSAND: f64 = 1000.0;
/// The length of the builds' commands in comparisons, in seconds.
const BUILDS: [f64; 3] = [60.0, 300.0, 1200.0];
/// The length in the summary and in the example of a team.
const USUAL: f64 = 300.0;
/// The deployments of 22 working days.
const DEPLOYMENTS: f64 = 20.0 * 22.0;

type Values = BTreeMap<&'static str, String>;

pub fn document(counts: &Counts, fixed: &FixedCosts, machine: &Machine) -> Result<String> {
    let [changed, unchanged, nothing, some] = counts.all().map(Usage::quantities);
    let (changed, unchanged, nothing, some) = (changed?, unchanged?, nothing?, some?);
    let both = (changed.dollars(), unchanged.dollars());
    let metrics: BTreeSet<&String> = counts
        .all()
        .into_iter()
        .flat_map(|usage| &usage.metrics)
        .collect();
    let fixed = fixed.month(metrics.len() as u64);
    let container = container_unchanged(Item::BuildMinute).dollars();
    let event = waiting(Waiting::Event, USUAL).dollars();
    let polling = waiting(Waiting::Polling(10.0), USUAL).dollars();
    let months = months(some.dollars(), fixed.dollars());
    let sums = months.map(|month| month.iter().sum::<f64>());
    let skips = fixed.dollars() / (container - both.1);
    let values = BTreeMap::from([
        ("date", machine.fact("Date").to_owned()),
        ("commit", machine.fact("Commit").to_owned()),
        ("emulator", machine.fact("Emulator").to_owned()),
        ("changed", dollars(both.0 * THOUSAND)),
        ("unchanged", dollars(both.1 * THOUSAND)),
        (
            "share of builds",
            percent(build(USUAL).dollars() / (build(USUAL).dollars() + both.0)),
        ),
        ("container", dollars(container * THOUSAND)),
        (
            "container on arm",
            dollars(container_unchanged(Item::ArmBuildMinute).dollars() * THOUSAND),
        ),
        ("container ratio", ratio(container / both.1)),
        ("container for all", dollars(container * MODULES as f64)),
        ("break-even", break_even_with_containers(both, container)),
        ("modules", MODULES.to_string()),
        ("changed modules", CHANGED.to_string()),
        ("unchanged modules", (MODULES - CHANGED).to_string()),
        ("nothing", dollars(nothing.dollars())),
        ("some", dollars(some.dollars())),
        ("waiting", dollars(event * THOUSAND)),
        ("polling", dollars(polling * THOUSAND)),
        ("polling ratio", ratio(polling / event)),
        ("polls", first_dearer_poll()),
        ("month", dollars(sums[0])),
        ("month builds", dollars(months[0][0])),
        ("month start", dollars(months[0][3])),
        ("month workflow", dollars(months[0][4])),
        ("month fixed", dollars(months[0][5])),
        ("month container", dollars(sums[1])),
        ("month client", dollars(sums[2])),
        ("deployments", grouped(DEPLOYMENTS as u64)),
        ("executions", counts.some.executions.len().to_string()),
        ("transitions", counts.some.transitions().to_string()),
        ("skips", grouped(skips.ceil() as u64)),
        ("invocation", format!("{:.0}", ASSUMED_SECONDS * 1e3)),
        ("provisioning", PROVISIONING.to_string()),
        ("tooling", TOOLING.to_string()),
        ("tooling minutes", format!("{:.2}", extra_minutes(TOOLING))),
        ("job", JOB.to_string()),
        ("client", CLIENT.to_string()),
        ("client unchanged", CLIENT_UNCHANGED.to_string()),
        ("platform bytes", PLATFORM_LOG.0.to_string()),
        ("platform lines", PLATFORM_LOG.1.to_string()),
        ("history bytes", HISTORY_LOG.to_string()),
        ("log months", LOG_MONTHS.to_string()),
        ("bundle", (BUNDLE / 1e6).to_string()),
        ("bundle months", BUNDLE_MONTHS.to_string()),
        ("advanced parameter", dollars(Item::AdvancedParameter.dollars())),
        ("key", dollars(Item::Key.dollars())),
        ("table: thousand", thousand(&changed, &unchanged)),
        ("table: containers", containers(both, container)),
        ("table: polling", polling_table()),
        ("table: client", client(both)),
        ("table: month", month_table(&months, &sums)),
        ("table: fixed", fixed_table(&fixed)),
        ("table: counted", counted(counts)),
        ("table: prices", prices()),
    ]);
    fill(TEMPLATE, values)
}

/// A template with each `{{name}}` replaced by its value. A name without a value is an error, and so is an unused value.
fn fill(template: &str, mut values: Values) -> Result<String> {
    let mut parts = template.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut used = BTreeSet::new();
    for part in parts {
        let (name, rest) = part.split_once("}}").context("page.md: `{{` without `}}`")?;
        let value = values
            .get(name)
            .with_context(|| format!("page.md: unknown value {name}"))?;
        text += value.trim_end();
        text += rest;
        used.insert(name);
    }
    values.retain(|name, _| !used.contains(name));
    ensure!(values.is_empty(), "page.md doesn't use {:?}", values.keys());
    Ok(text)
}

fn row(name: impl Into<String>, cells: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(name.into()).chain(cells).collect()
}

fn thousand(changed: &Quantities, unchanged: &Quantities) -> String {
    use Item::*;
    // A name, the items of its price, and the displayed amount: of the first item, in this unit.
    let lines: [(&str, &[Item], &str, f64); 10] = [
        ("Step Functions", &[Transition], "transitions", 1.0),
        ("Lambda, invocations", &[Invocation], "", 1.0),
        ("Lambda, duration", &[GbSecond], "GB-seconds", 1.0),
        ("S3, writing requests", &[S3Write], "", 1.0),
        ("S3, reading requests", &[S3Read], "", 1.0),
        ("S3, the bundle's storage", &[S3Month], "MB-months", 1e3),
        ("EventBridge, custom events", &[Event], "", 1.0),
        ("SQS", &[QueueRequest], "requests", 1.0),
        ("CloudWatch Logs", &[LogGb, LogMonth], "KB", 1e6),
        ("X-Ray, every trace recorded", &[Trace], "traces", 1.0),
    ];
    let both = [changed, unchanged];
    let mut rows = Vec::new();
    for (name, items, unit, factor) in lines {
        let cells = both.iter().flat_map(|used| match used.get(items[0]) * factor {
            0.0 => [String::new(), String::new()],
            shown => [
                format!("{} {unit}", amount(shown)).trim_end().to_owned(),
                dollars(used.dollars_for(items) * THOUSAND),
            ],
        });
        rows.push(row(name, cells));
    }
    let sum = |name: String, minutes: [String; 2], more: [f64; 2]| {
        let [one, other] = minutes;
        let prices = [changed.dollars() + more[0], unchanged.dollars() + more[1]];
        let [first, second] = prices.map(|price| dollars(price * THOUSAND));
        row(name, [one, first, other, second])
    };
    rows.push(sum("**sum**".to_owned(), Default::default(), [0.0; 2]));
    let push = Item::BuildMinute.dollars();
    rows.push(sum(
        "sum, started by a push".to_owned(),
        Default::default(),
        [push; 2],
    ));
    for seconds in BUILDS {
        rows.push(sum(
            format!("sum, with builds of {}", minutes(seconds)),
            [
                format!("{} minutes", build_minutes(seconds + PROVISIONING)),
                "none".to_owned(),
            ],
            [build(seconds).dollars(), 0.0],
        ));
    }
    table(
        &["", "changed", "1,000 changed", "unchanged", "1,000 unchanged"],
        &rows,
    )
}

fn containers(ours: (f64, f64), container: f64) -> String {
    let theirs = (container_changed().dollars(), container);
    let rows = [0.0, 0.25, 0.5, 0.75, 0.9, 1.0].map(|share| {
        let mixed = |(changed, unchanged): (f64, f64)| (1.0 - share) * changed + share * unchanged;
        let (ours, theirs) = (mixed(ours), mixed(theirs));
        let factor = format!("{} times", ratio(theirs / ours));
        row(
            percent(share),
            [dollars(ours * THOUSAND), dollars(theirs * THOUSAND), factor],
        )
    });
    table(
        &["unchanged", "Seedflow", "check inside the container", "factor"],
        &rows,
    )
}

fn break_even_with_containers(ours: (f64, f64), container: f64) -> String {
    let theirs = (container_changed().dollars(), container);
    match break_even(ours, theirs) {
        Some(0.0) => "It costs more whatever share of the modules is unchanged.".to_owned(),
        Some(share) => format!(
            "Seedflow is cheaper from {} of unchanged modules on; below that the check inside the container is, which adds \
             {} to the builds of 1,000 changed modules and has no workflow to pay for.",
            percent(share),
            dollars(theirs.0 * THOUSAND)
        ),
        None => "It is cheaper nevertheless.".to_owned(),
    }
}

fn polling_table() -> String {
    let ways = [
        ("event and task token (Seedflow)", Waiting::Event),
        ("Wait, function, Choice, every 5 s", Waiting::Polling(5.0)),
        ("every 10 s", Waiting::Polling(10.0)),
        ("every 30 s", Waiting::Polling(30.0)),
        (
            "every 10 s, without a function",
            Waiting::PollingWithoutFunction(10.0),
        ),
        ("a function of 128 MB that sleeps", Waiting::Sleeping),
        ("Step Functions' `startBuild.sync`", Waiting::Integration),
    ];
    let rows = ways.map(|(name, way)| {
        let factor = waiting(way, USUAL).dollars() / waiting(Waiting::Event, USUAL).dollars();
        let prices = BUILDS.map(|seconds| dollars(waiting(way, seconds).dollars() * THOUSAND));
        row(
            name,
            prices.into_iter().chain([format!("{} times", ratio(factor))]),
        )
    });
    let columns = [
        "",
        "1 minute",
        "5 minutes",
        "20 minutes",
        "5 minutes, compared with Seedflow",
    ];
    table(&columns, &rows)
}

/// The poll from which on a loop costs more than waiting for an event.
fn first_dearer_poll() -> String {
    let poll = waiting(Waiting::Polling(1.0), 1.0).dollars();
    match (waiting(Waiting::Event, 1.0).dollars() / poll).floor() + 1.0 {
        1.0 => "its first poll".to_owned(),
        polls => format!("{polls} polls"),
    }
}

fn client((changed, unchanged): (f64, f64)) -> String {
    let line = |name: String, ours: f64, tooling: f64, job: f64| {
        let prices = [
            ours,
            ours + Item::BuildMinute.dollars(),
            tooling,
            job,
            tooling + job,
        ];
        row(name, prices.map(|price| dollars(price * THOUSAND)))
    };
    let mut rows = Vec::new();
    for seconds in BUILDS {
        let job = job(Some(seconds + PROVISIONING + TOOLING)).dollars();
        let name = format!("changed, commands of {}", minutes(seconds));
        rows.push(line(name, changed, container_changed().dollars(), job));
    }
    rows.push(line("unchanged".to_owned(), unchanged, 0.0, job(None).dollars()));
    let columns = [
        "",
        "Seedflow",
        "started by a push",
        "seed-farmer: tooling in builds",
        "runner",
        "together",
    ];
    table(&columns, &rows)
}

const MONTH: [&str; 6] = [
    "the modules' own commands",
    "tooling in their builds",
    "containers of unchanged modules",
    "what starts it: the build that hands a push over, the runner",
    "the workflow",
    "alarms, dashboards, metrics, queues",
];

/// A team's month, by the lines of `MONTH`: Seedflow, the check inside the container, seed-farmer's client in CI.
fn months(deployment: f64, fixed: f64) -> [[f64; 6]; 3] {
    let deployed = DEPLOYMENTS * CHANGED as f64;
    let skipped = DEPLOYMENTS * (MODULES - CHANGED) as f64;
    let builds = build(USUAL).dollars() * deployed;
    let tooling = container_changed().dollars() * deployed;
    let push = Item::BuildMinute.dollars() * DEPLOYMENTS;
    let containers = container_unchanged(Item::BuildMinute).dollars() * skipped;
    let runner = job(Some(USUAL + PROVISIONING + TOOLING)).dollars() * DEPLOYMENTS;
    [
        [builds, 0.0, 0.0, push, deployment * DEPLOYMENTS, fixed],
        [builds, tooling, containers, 0.0, 0.0, 0.0],
        [builds, tooling, 0.0, runner, 0.0, 0.0],
    ]
}

fn month_table(months: &[[f64; 6]; 3], sums: &[f64; 3]) -> String {
    let line = |at: usize| row(MONTH[at], months.map(|month| dollars(month[at])));
    let mut rows: Vec<Vec<String>> = (0..MONTH.len()).map(line).collect();
    rows.push(row("**sum**", sums.map(dollars)));
    let others = [0, 1, 2].map(|way| dollars(sums[way] - months[way][0]));
    rows.push(row("sum without the modules' own commands", others));
    let columns = [
        "a month",
        "Seedflow",
        "check inside the container",
        "seed-farmer's client in CI",
    ];
    table(&columns, &rows)
}

fn fixed_table(month: &Quantities) -> String {
    let lines = [
        ("alarms", Item::Alarm),
        ("dashboards", Item::Dashboard),
        ("metrics of our own", Item::Metric),
        (
            "requests with which Lambda polls empty queues",
            Item::QueueRequest,
        ),
    ];
    let rows = lines.map(|(name, item)| {
        row(
            name,
            [amount(month.get(item)), dollars(month.dollars_for(&[item]))],
        )
    });
    let sum = row("**sum**", [String::new(), dollars(month.dollars())]);
    table(&["", "number", "a month"], &[&rows[..], &[sum]].concat())
}

/// The use of each of the four deployments, by name.
fn counted(counts: &Counts) -> String {
    let mut rows: Vec<(String, [u64; 4])> = Vec::new();
    let mut add = |name: String, at: usize, count: u64| {
        let found = rows.iter().position(|(known, _)| *known == name);
        let found = found.unwrap_or_else(|| {
            rows.push((name, [0; 4]));
            rows.len() - 1
        });
        rows[found].1[at] += count;
    };
    for (at, usage) in counts.all().into_iter().enumerate() {
        add("state transitions".to_owned(), at, usage.transitions());
        for execution in &usage.executions {
            add(format!("executions of {}", execution.machine), at, 1);
        }
        for (function, all) in &usage.invocations {
            add(format!("invocations of {function}"), at, all.len() as u64);
        }
        for (caller, name, count) in &usage.calls {
            let caller = match caller {
                Caller::Functions => "functions",
                Caller::Clients => "client",
                Caller::Builds | Caller::Codebuild => "build",
            };
            add(format!("{caller}: {name}"), at, *count);
        }
        add("bytes of logs".to_owned(), at, usage.log_bytes());
    }
    let kinds = [
        "executions",
        "state",
        "invocations",
        "build",
        "client",
        "functions",
        "bytes",
    ];
    rows.sort_by_key(|(name, _)| (kinds.iter().position(|kind| name.starts_with(kind)), name.clone()));
    let cell = |count| if count == 0 { String::new() } else { grouped(count) };
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(name, all)| row(name, all.map(cell)))
        .collect();
    let repository = [
        format!("{MODULES} unchanged modules"),
        format!("{MODULES}, {CHANGED} of them changed"),
    ];
    table(
        &[
            "",
            "a changed module",
            "an unchanged module",
            &repository[0],
            &repository[1],
        ],
        &rows,
    )
}

fn prices() -> String {
    let rows = PRICES.map(|price| {
        let digits = price.dollars.to_string();
        let decimals = digits.split('.').nth(1).map_or(0, str::len);
        let dollars = format!("${:.*}", decimals.max(2), price.dollars);
        row(
            price.what,
            [
                dollars,
                price.unit.to_owned(),
                price.page.to_owned(),
                price.seen.to_owned(),
            ],
        )
    });
    table(&["", "dollars", "for", "published on", "confirmed"], &rows)
}

/// `$1,234`, `$12.30`, `$0.412`, `$0.00031`: three significant digits, at least to the cent.
fn dollars(amount: f64) -> String {
    if amount == 0.0 {
        return "$0".to_owned();
    }
    if amount >= 1000.0 {
        return format!("${}", grouped(amount.round() as u64));
    }
    let decimals = if amount >= 1.0 {
        2
    } else {
        2 - amount.log10().floor() as i32
    };
    format!("${amount:.*}", usize::try_from(decimals).unwrap_or(2))
}

fn amount(number: f64) -> String {
    match number {
        whole if whole.fract().abs() < 1e-9 => grouped(whole.round() as u64),
        large if large >= 10.0 => format!("{large:.1}"),
        small => format!("{small:.2}"),
    }
}

fn ratio(ratio: f64) -> String {
    format!("{ratio:.*}", usize::from(ratio < 10.0))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn minutes(seconds: f64) -> String {
    match seconds / 60.0 {
        1.0 => "1 minute".to_owned(),
        minutes => format!("{minutes:.0} minutes"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::counters::Execution;
    use super::*;

    /// A deployment with these numbers of transitions, invocations of 1 GB, and writes to S3.
    fn usage(transitions: u64, invocations: usize, writes: u64) -> Usage {
        Usage {
            calls: vec![(Caller::Functions, "s3:PutObject".to_owned(), writes)],
            executions: vec![Execution {
                machine: "end-execution".to_owned(),
                transitions,
                ..Execution::default()
            }],
            invocations: BTreeMap::from([("f".to_owned(), vec![1024; invocations])]),
            ..Usage::default()
        }
    }

    fn page() -> String {
        let counts = Counts {
            changed: usage(20, 0, 0),
            unchanged: usage(10, 0, 0),
            nothing: usage(12, 0, 0),
            some: usage(100, 4, 2),
        };
        let fixed = FixedCosts {
            alarms: 3,
            ..FixedCosts::default()
        };
        document(&counts, &fixed, &Machine::default()).unwrap()
    }

    #[test]
    fn the_page_has_what_was_counted_in_dollars() {
        let page = page();
        // 20 transitions and a trace, a thousand times: 0.50 + 0.005; 10: 0.25 + 0.005.
        assert!(page.contains("cost **$0.505** in addition to"), "{page}");
        assert!(page.contains("of an unchanged one **$0.255**."), "{page}");
        assert!(
            page.contains("**$5.00** for 1,000 skips, 20 times as much"),
            "{page}"
        );
        // 0.505 and 0.255 are below 0.933 and 5.
        assert!(
            page.contains("It costs more whatever share of the modules is unchanged."),
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

    #[test]
    fn a_template_uses_each_value() {
        let fill = |template| fill(template, BTreeMap::from([("a", "1".to_owned())]));
        assert_eq!(fill("{{a}} of {{a}}").unwrap(), "1 of 1");
        for (template, error) in [
            ("{{a}} {{b}}", "unknown value b"),
            ("{a}", "doesn't use"),
            ("{{a", "without"),
        ] {
            assert!(fill(template).unwrap_err().to_string().contains(error));
        }
    }

    #[test]
    fn dollars_keep_the_digits_that_matter() {
        let written = [0.0, 0.000_312, 0.0254, 0.5, 1.0, 12.345, 999.9, 1234.5].map(dollars);
        let expected = [
            "$0",
            "$0.000312",
            "$0.0254",
            "$0.500",
            "$1.00",
            "$12.35",
            "$999.90",
            "$1,235",
        ];
        assert_eq!(written, expected);
    }
}
