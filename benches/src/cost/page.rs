//! Fills in `page.md`: every figure of `docs/cost.md` is computed here, none is typed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::alternatives::{WAYS, build_minutes, event, job, polling, tooling};
use super::assumptions::{ASSUMPTIONS, TOOLING};
use super::counts::{CHANGED, Counts, MODULES};
use super::fixed_costs::FixedCosts;
use super::prices::Item::{AdvancedParameter, ArmBuildMinute, BuildMinute, Key};
use super::prices::PRICES;
use crate::machine::Machine;
use crate::report::table;
use crate::stats::grouped;

/// The length of the builds' commands in comparisons, in seconds.
const BUILDS: [f64; 3] = [60.0, 300.0, 1200.0];
/// The length in the summary and in the example of a team.
const USUAL: f64 = 300.0;
/// The deployments of 22 working days.
const DEPLOYMENTS: f64 = 20.0 * 22.0;

/// The values of the page by their names.
#[derive(Default)]
struct Values(BTreeMap<String, String>);

impl Values {
    fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// A price, and that of 1,000 as `1,000 name`.
    fn price(&mut self, name: &str, price: f64) {
        self.add(name, dollars(price));
        self.add(format!("1,000 {name}"), dollars(1000.0 * price));
    }

    /// The rows of a table.
    fn rows(&mut self, name: &str, rows: impl IntoIterator<Item = Vec<String>>) {
        let rows = rows.into_iter().map(|cells| format!("| {} |", cells.join(" | ")));
        self.add(name, rows.collect::<Vec<_>>().join("\n"));
    }
}

pub fn document(counts: &Counts, fixed: &FixedCosts, machine: &Machine) -> Result<String> {
    let mut values = Values::default();
    for name in ["Date", "Commit", "Emulator"] {
        values.add(name, machine.fact(name));
    }
    let [changed, unchanged, nothing, some] = counts.all().map(|usage| usage.bill.dollars());
    for (name, price) in ["changed", "unchanged", "nothing", "some"]
        .into_iter()
        .zip([changed, unchanged, nothing, some])
    {
        values.price(name, price);
    }
    let metrics: BTreeSet<_> = counts
        .all()
        .into_iter()
        .flat_map(|usage| &usage.metrics)
        .collect();
    let fixed = fixed.month(metrics.len());
    for &(item, number) in &fixed.0 {
        values.add(format!("number {item:?}"), amount(number));
        values.price(&format!("{item:?}"), number * item.dollars());
    }
    let build = |commands| build_minutes(commands) * BuildMinute.dollars();
    let container = build_minutes(TOOLING) * BuildMinute.dollars();
    values.add(
        "share of builds",
        percent(build(USUAL) / (build(USUAL) + changed)),
    );
    values.price("container", container);
    values.price(
        "container on arm",
        build_minutes(TOOLING) * ArmBuildMinute.dollars(),
    );
    values.add("container ratio", ratio(container / unchanged));
    values.price("container for all", container * MODULES as f64);
    values.add(
        "break-even",
        percent(break_even([changed, unchanged], [tooling(), container])),
    );
    values.price("tooling", tooling());
    values.add("tooling minutes", format!("{:.2}", TOOLING / 60.0));
    values.add("modules", MODULES.to_string());
    values.add("changed modules", CHANGED.to_string());
    values.price("waiting", event(USUAL));
    values.price("polling", polling(USUAL, 10.0));
    values.add("polling ratio", ratio(polling(USUAL, 10.0) / event(USUAL)));
    let free_polls = event(1.0) / polling(1.0, 1.0);
    values.add("dearer poll", amount(free_polls.floor() + 1.0));
    values.add("deployments", amount(DEPLOYMENTS));
    values.add(
        "skips",
        amount((fixed.dollars() / (container - unchanged)).ceil()),
    );
    values.price("parameter", AdvancedParameter.dollars());
    values.price("key", Key.dollars());
    values.rows("items", items(counts, build));
    values.rows("shares", shares([changed, unchanged], [tooling(), container]));
    values.rows("ways", ways());
    values.rows("jobs", jobs(changed, unchanged));
    values.rows("counted", counted(counts));
    let prices = PRICES.iter().map(|price| {
        [
            price.what,
            &published(price.dollars),
            price.unit,
            price.page,
            price.seen,
        ]
        .map(str::to_owned)
        .into()
    });
    values.rows("prices", prices);
    let assumptions = ASSUMPTIONS
        .iter()
        .map(|(value, unit, what)| vec![format!("{value} {unit}"), (*what).to_owned()]);
    values.rows("assumptions", assumptions);
    // A team's month by the letters of its columns: Seedflow, check inside the container, seed-farmer's client in CI.
    let deployed = DEPLOYMENTS * CHANGED as f64;
    let parts = [
        ("builds", [build(USUAL) * deployed; 3]),
        ("tooling", [0.0, tooling() * deployed, tooling() * deployed]),
        (
            "containers",
            [0.0, container * DEPLOYMENTS * (MODULES - CHANGED) as f64, 0.0],
        ),
        (
            "start",
            [
                BuildMinute.dollars() * DEPLOYMENTS,
                0.0,
                job(Some(USUAL)) * DEPLOYMENTS,
            ],
        ),
        ("workflow", [some * DEPLOYMENTS, 0.0, 0.0]),
        ("fixed", [fixed.dollars(), 0.0, 0.0]),
    ];
    for (at, column) in ["s", "c", "f"].into_iter().enumerate() {
        for (name, prices) in parts {
            values.price(&format!("{name} {column}"), prices[at]);
        }
        let sum: f64 = parts.iter().map(|(_, prices)| prices[at]).sum();
        values.price(&format!("month {column}"), sum);
        values.price(&format!("other {column}"), sum - parts[0].1[at]);
    }
    fill(include_str!("page.md"), &values)
}

/// A template with each `{{name}}` replaced by its value, and its tables aligned.
fn fill(template: &str, values: &Values) -> Result<String> {
    let mut parts = template.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").context("page.md: `{{` without `}}`")?;
        text += values
            .0
            .get(name)
            .with_context(|| format!("page.md: unknown value {name}"))?;
        text += rest;
    }
    let (mut page, mut rows) = (String::new(), Vec::new());
    for line in text.lines().chain([""]) {
        if let Some(cells) = line.strip_prefix("| ") {
            let cells = cells.trim_end_matches(" |").split(" | ");
            rows.push(cells.map(|cell| cell.trim().to_owned()).collect::<Vec<_>>());
        } else if !line.starts_with("|-") {
            if !rows.is_empty() {
                let head = rows.remove(0);
                page += &table(&head.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
                rows.clear();
            }
            page = page + line + "\n";
        }
    }
    Ok(page.trim_end().to_owned() + "\n")
}

/// What 1,000 changed and 1,000 unchanged modules use and cost: each item, and sums.
fn items(counts: &Counts, build: impl Fn(f64) -> f64) -> Vec<Vec<String>> {
    let bills = [&counts.changed.bill, &counts.unchanged.bill];
    let mut rows = Vec::new();
    for price in PRICES {
        let [changed, unchanged] = bills.map(|bill| 1000.0 * bill.get(price.item));
        if changed + unchanged > 0.0 {
            let name = match price.per {
                1.0 => format!("{} ({})", price.what, price.unit),
                _ => price.what.to_owned(),
            };
            let prices = [changed, unchanged].map(|number| dollars(number * price.item.dollars()));
            let [first, second] = prices;
            rows.push(vec![name, amount(changed), first, amount(unchanged), second]);
        }
    }
    let push = BuildMinute.dollars();
    let mut sums = vec![
        ("**sum**".to_owned(), 0.0, 0.0),
        ("sum, started by a push".to_owned(), push, push),
    ];
    sums.extend(BUILDS.map(|seconds| {
        let (length, billed) = (minutes(seconds), build_minutes(seconds));
        let name = format!("sum, with builds whose commands take {length}, billed {billed}");
        (name, build(seconds), 0.0)
    }));
    rows.extend(sums.into_iter().map(|(name, changed, unchanged)| {
        let sums = [bills[0].dollars() + changed, bills[1].dollars() + unchanged];
        let [changed, unchanged] = sums.map(|price| dollars(1000.0 * price));
        vec![name, String::new(), changed, String::new(), unchanged]
    }));
    rows
}

/// 1,000 deployments of one module each, by the share of unchanged ones.
fn shares(ours: [f64; 2], containers: [f64; 2]) -> impl Iterator<Item = Vec<String>> {
    let shares = [0.0, 0.25, 0.5, 0.75, 0.9, 1.0];
    shares.into_iter().map(move |share| {
        let mixed = |[changed, unchanged]: [f64; 2]| 1000.0 * ((1.0 - share) * changed + share * unchanged);
        let (ours, theirs) = (mixed(ours), mixed(containers));
        vec![
            percent(share),
            dollars(ours),
            dollars(theirs),
            format!("{} times", ratio(theirs / ours)),
        ]
    })
}

/// The share of unchanged modules from which one way is cheaper than another; infinite if it never is.
fn break_even(one: [f64; 2], other: [f64; 2]) -> f64 {
    let (more_if_changed, less_if_unchanged) = (one[0] - other[0], other[1] - one[1]);
    if less_if_unchanged <= 0.0 {
        return f64::INFINITY;
    }
    (more_if_changed / (more_if_changed + less_if_unchanged)).max(0.0)
}

fn ways() -> impl Iterator<Item = Vec<String>> {
    WAYS.into_iter().map(|(name, price)| {
        let prices = BUILDS.map(|seconds| dollars(1000.0 * price(seconds)));
        let factor = format!("{} times", ratio(price(USUAL) / event(USUAL)));
        [name.to_owned()]
            .into_iter()
            .chain(prices)
            .chain([factor])
            .collect()
    })
}

fn jobs(changed: f64, unchanged: f64) -> impl Iterator<Item = Vec<String>> {
    let changed = BUILDS.map(|seconds| {
        (
            format!("changed, commands of {}", minutes(seconds)),
            changed,
            tooling(),
            job(Some(seconds)),
        )
    });
    let rows = changed
        .into_iter()
        .chain([("unchanged".to_owned(), unchanged, 0.0, job(None))]);
    rows.map(|(name, ours, tooling, job)| {
        let prices = [ours, ours + BuildMinute.dollars(), tooling, job, tooling + job];
        [name]
            .into_iter()
            .chain(prices.map(|price| dollars(1000.0 * price)))
            .collect()
    })
}

/// The numbers of each of the four deployments, by kind and name.
fn counted(counts: &Counts) -> Vec<Vec<String>> {
    let kinds = "executions state invocations build client functions bytes";
    let kind = |name: &str| kinds.find(name.split([' ', ':']).next().unwrap_or_default());
    let names = counts.all().into_iter().flat_map(|usage| usage.counted.keys());
    let names: BTreeSet<_> = names.map(|name| (kind(name), name)).collect();
    let row = |(_, name): (Option<usize>, &String)| {
        let cells = counts.all().map(|usage| {
            usage
                .counted
                .get(name)
                .map_or_else(String::new, |number| amount(*number))
        });
        [name.clone()].into_iter().chain(cells).collect()
    };
    names.into_iter().map(row).collect()
}

/// A price as published, at least to the cent.
fn published(dollars: f64) -> String {
    let digits = dollars.to_string();
    let decimals = digits.split('.').nth(1).map_or(0, str::len);
    format!("${dollars:.*}", decimals.max(2))
}

/// `$1,234`, `$12.30`, `$0.412`, `$0.00031`: three significant digits, at least to the cent.
fn dollars(amount: f64) -> String {
    match amount {
        0.0 => "$0".to_owned(),
        large if large >= 1000.0 => format!("${}", grouped(large.round() as u64)),
        large if large >= 1.0 => format!("${large:.2}"),
        small => format!("${small:.*}", (2.0 - small.log10().floor()) as usize),
    }
}

fn amount(number: f64) -> String {
    match number {
        large if large >= 100.0 || large.fract().abs() < 1e-9 => grouped(large.round() as u64),
        small if small >= 1.0 => format!("{small:.1}"),
        small => format!("{small:.4}"),
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
        minutes => format!("{minutes} minutes"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::prices::{Bill, Item};
    use super::super::usage::Usage;
    use super::*;

    #[test]
    fn the_page_has_what_was_counted_in_dollars() {
        let used = |transitions| Usage {
            bill: Bill(vec![(Item::Transition, transitions)]),
            ..Usage::default()
        };
        let counts = Counts {
            changed: used(20.0),
            unchanged: used(10.0),
            nothing: used(12.0),
            some: used(100.0),
        };
        let page = document(&counts, &FixedCosts::read(), &Machine::default()).unwrap();
        for text in ["**$0.500**", "**$0.250**", "**$5.00** for 1,000 skips, 20 times"] {
            assert!(page.contains(text), "{text}: {page}");
        }
        let sums = page
            .lines()
            .find(|line| line.starts_with("| sum without"))
            .unwrap();
        let cells: Vec<&str> = sums.split('|').map(str::trim).collect();
        // 880 builds with 11.2 s more, and 440 * 38 containers.
        assert_eq!(cells[3], dollars(880.0 * 11.2 / 60.0 * 0.005 + 16_720.0 * 0.005));
        // The same builds, and 440 jobs of 7 minutes (27.4 + 16.1 + 331.2 s).
        assert_eq!(
            cells[4],
            dollars(880.0 * 11.2 / 60.0 * 0.005 + 440.0 * 7.0 * 0.006)
        );
    }

    #[test]
    fn both_cost_the_same_at_the_break_even() {
        // 3 and 1 against 1 and 2: at two thirds, 5/3 each.
        assert_eq!(break_even([3.0, 1.0], [1.0, 2.0]), 2.0 / 3.0);
        assert_eq!(break_even([1.0, 1.0], [1.0, 2.0]), 0.0);
        assert_eq!(break_even([2.0, 2.0], [1.0, 1.0]), f64::INFINITY);
    }

    #[test]
    fn a_template_is_filled_and_its_tables_are_aligned() {
        let mut values = Values::default();
        values.rows("rows", [vec!["long name".to_owned(), "1".to_owned()]]);
        let page = fill("|  | n |\n|---|---|\n{{rows}}\n", &values).unwrap();
        assert_eq!(
            page,
            "|           | n   |\n| --------- | --- |\n| long name | 1   |\n"
        );
        assert!(fill("{{b}}", &values).is_err() && fill("{{rows", &values).is_err());
    }

    #[test]
    fn dollars_keep_the_digits_that_matter() {
        let written = [0.0, 0.000_312, 0.0254, 0.5, 1.0, 12.345, 999.9, 1234.5].map(dollars);
        assert_eq!(
            written.join(" "),
            "$0 $0.000312 $0.0254 $0.500 $1.00 $12.35 $999.90 $1,235"
        );
    }
}
