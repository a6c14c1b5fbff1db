//! Fills in `page.md`: every figure of `docs/cost.md` is computed here, none is typed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::alternatives::{WAYS, build_minutes, event, job, polling, tooling};
use super::assumptions::{ASSUMPTIONS, TOOLING};
use super::fixed_costs;
use super::prices::Item::{AdvancedParameter, BuildMinute, Key};
use super::prices::PRICES;
use super::usage::{CHANGED, Counts, MODULES, Usage};
use crate::machine::Machine;
use crate::report::{fill, row, rows};
use crate::stats::{amount, dollars, percent, ratio, times};

/// The lengths of the builds' commands that are waited for, in seconds.
const BUILDS: [f64; 3] = [60.0, 300.0, 1200.0];
/// The length everywhere else.
const USUAL: f64 = 300.0;
/// The deployments of 22 working days.
const DEPLOYMENTS: f64 = 20.0 * 22.0;
/// The columns of a team's month: Seedflow, the check inside the container, seed-farmer's client in CI.
const TEAM: [&str; 3] = ["s", "c", "f"];

type Row = Vec<String>;

/// The values of the page by their names.
type Values = BTreeMap<String, String>;

pub fn document(counts: &Counts, machine: &Machine) -> Result<String> {
    let [changed, unchanged, nothing, some] = counts.each_ref().map(|usage| usage.bill.dollars());
    let metrics: BTreeSet<_> = counts.iter().flat_map(|usage| &usage.metrics).collect();
    let fixed = fixed_costs::month(metrics.len());
    let container = build(TOOLING);
    let (ours, containers) = ([changed, unchanged], [tooling(), container]);
    let free_polls = event(1.0) / polling(1.0, 1.0);
    let mut values = Values::new();
    let mut set = |name: &str, text: String| values.insert(name.to_owned(), text);
    set(
        "share of builds",
        percent(build(USUAL) / (build(USUAL) + changed)),
    );
    set("container ratio", ratio(container / unchanged));
    set("break-even", percent(break_even(ours, containers)));
    set("modules", MODULES.to_string());
    set("changed modules", CHANGED.to_string());
    set("polling ratio", ratio(polling(USUAL, 10.0) / event(USUAL)));
    set("dearer poll", amount(free_polls.floor() + 1.0));
    set("deployments", amount(DEPLOYMENTS));
    set(
        "skips",
        amount((fixed.dollars() / (container - unchanged)).ceil()),
    );
    set("items", rows(items([&counts[0], &counts[1]])));
    set("ways", rows(ways()));
    set("counted", rows(counted(counts)));
    set("prices", rows(prices()));
    set("assumptions", rows(assumptions()));
    for name in ["Date", "Commit", "Emulator"] {
        set(name, machine.fact(name).to_owned());
    }
    for (name, price) in [
        ("changed", changed),
        ("unchanged", unchanged),
        ("nothing", nothing),
        ("some", some),
        ("container", container),
        ("container for all", container * MODULES as f64),
        ("tooling", tooling()),
        ("waiting", event(USUAL)),
        ("polling", polling(USUAL, 10.0)),
        ("parameter", AdvancedParameter.dollars()),
        ("key", Key.dollars()),
    ] {
        add_price(&mut values, name, price);
    }
    for &(item, number) in &fixed.0 {
        values.insert(format!("number {item:?}"), amount(number));
        add_price(&mut values, &format!("{item:?}"), number * item.dollars());
    }
    add_team(&mut values, container, some, fixed.dollars());
    fill(include_str!("page.md"), &values)
}

/// Adds a price, and that of 1,000 as `1,000 name`.
fn add_price(values: &mut Values, name: &str, price: f64) {
    values.insert(name.to_owned(), dollars(price));
    values.insert(format!("1,000 {name}"), dollars(1000.0 * price));
}

/// Adds a team's month, with the prices of a container's check, of a deployment's workflow, and of what is fixed.
fn add_team(values: &mut Values, container: f64, workflow: f64, fixed: f64) {
    let deployed = DEPLOYMENTS * CHANGED as f64;
    let (builds, tooling) = (build(USUAL) * deployed, tooling() * deployed);
    let containers = container * DEPLOYMENTS * (MODULES - CHANGED) as f64;
    let (push, runner) = (BuildMinute.dollars() * DEPLOYMENTS, job(USUAL) * DEPLOYMENTS);
    let parts = [
        ("builds", [builds; 3]),
        ("tooling", [0.0, tooling, tooling]),
        ("containers", [0.0, containers, 0.0]),
        ("start", [push, 0.0, runner]),
        ("workflow", [workflow * DEPLOYMENTS, 0.0, 0.0]),
        ("fixed", [fixed, 0.0, 0.0]),
    ];
    for (at, column) in TEAM.iter().enumerate() {
        let sum: f64 = parts.iter().map(|(_, prices)| prices[at]).sum();
        let sums = [("month", sum), ("other", sum - builds)];
        for (name, price) in parts.map(|(name, prices)| (name, prices[at])).iter().chain(&sums) {
            add_price(values, &format!("{name} {column}"), *price);
        }
    }
}

/// What 1,000 changed and 1,000 unchanged modules use and cost: each item, and sums.
fn items(usages: [&Usage; 2]) -> Vec<Row> {
    let mut rows = Vec::new();
    for price in PRICES {
        let numbers = usages.map(|usage| 1000.0 * usage.bill.get(price.item));
        if numbers != [0.0; 2] {
            let unit = if price.per == 1.0 {
                format!(" ({})", price.unit)
            } else {
                String::new()
            };
            let cells = numbers.map(|number| [amount(number), dollars(number * price.item.dollars())]);
            rows.push(row(format!("{}{unit}", price.what), cells.into_iter().flatten()));
        }
    }
    let push = BuildMinute.dollars();
    let sums = [
        ("**sum**", [0.0; 2]),
        ("sum, started by a push", [push; 2]),
        ("sum, with the builds", [build(USUAL), 0.0]),
    ];
    rows.extend(sums.map(|(name, more)| {
        let sum = |at: usize| dollars(1000.0 * (usages[at].bill.dollars() + more[at]));
        row(name, [String::new(), sum(0), String::new(), sum(1)])
    }));
    rows
}

/// The share of unchanged modules from which one way is cheaper than another; infinite if it never is.
fn break_even(one: [f64; 2], other: [f64; 2]) -> f64 {
    let (more_if_changed, less_if_unchanged) = (one[0] - other[0], other[1] - one[1]);
    if less_if_unchanged <= 0.0 {
        return f64::INFINITY;
    }
    (more_if_changed / (more_if_changed + less_if_unchanged)).max(0.0)
}

fn ways() -> impl Iterator<Item = Row> {
    WAYS.into_iter().map(|(name, price)| {
        let prices = BUILDS.map(|seconds| dollars(1000.0 * price(seconds)));
        row(
            name,
            prices.into_iter().chain([times(price(USUAL) / event(USUAL))]),
        )
    })
}

/// The numbers of each of the four deployments, by kind and name.
fn counted(counts: &Counts) -> impl Iterator<Item = Row> {
    let kinds = "executions state invocations build client functions bytes";
    let kind = |name: &str| kinds.find(name.split([' ', ':']).next().unwrap_or_default());
    let names = counts.iter().flat_map(|usage| usage.counted.keys());
    let names: BTreeSet<_> = names.map(|name| (kind(name), name)).collect();
    names.into_iter().map(|(_, name)| {
        let numbers = counts.each_ref().map(|usage| usage.counted.get(name));
        row(
            name,
            numbers.map(|number| number.copied().map_or_else(String::new, amount)),
        )
    })
}

fn prices() -> impl Iterator<Item = Row> {
    PRICES.iter().map(|price| {
        let digits = price.dollars.to_string();
        let decimals = digits.split('.').nth(1).map_or(0, str::len).max(2);
        let published = format!("${:.decimals$}", price.dollars);
        [price.what, &published, price.unit, price.page, price.seen]
            .map(str::to_owned)
            .into()
    })
}

fn assumptions() -> impl Iterator<Item = Row> {
    ASSUMPTIONS
        .iter()
        .map(|(value, unit, what)| row(format!("{value} {unit}"), [(*what).to_owned()]))
}

/// The price of a build with commands of this length.
fn build(seconds: f64) -> f64 {
    build_minutes(seconds) * BuildMinute.dollars()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::prices::{Bill, Item};
    use super::*;

    #[test]
    fn the_page_has_what_was_counted_in_dollars() {
        let counts = [20.0, 10.0, 12.0, 100.0].map(|transitions| Usage {
            bill: Bill(vec![(Item::Transition, transitions)]),
            ..Usage::default()
        });
        let page = document(&counts, &Machine::default()).unwrap();
        for text in ["**$0.500**", "**$0.250**", "**$5.00** for 1,000 skips, 20 times"] {
            assert!(page.contains(text), "{text}: {page}");
        }
        let sums = page
            .lines()
            .find(|line| line.starts_with("| sum without"))
            .unwrap();
        let cells: Vec<&str> = sums.split('|').map(str::trim).collect();
        // 880 builds with 11.2 s more, and 440 * 38 containers or 440 jobs of 7 minutes (27.4 + 16.1 + 331.2 s).
        let tooling = 880.0 * 11.2 / 60.0 * 0.005;
        assert_eq!(cells[3], dollars(tooling + 16_720.0 * 0.005));
        assert_eq!(cells[4], dollars(tooling + 440.0 * 7.0 * 0.006));
    }

    #[test]
    fn both_cost_the_same_at_the_break_even() {
        // 3 and 1 against 1 and 2: at two thirds, 5/3 each.
        assert_eq!(break_even([3.0, 1.0], [1.0, 2.0]), 2.0 / 3.0);
        assert_eq!(break_even([1.0, 1.0], [1.0, 2.0]), 0.0);
        assert_eq!(break_even([2.0, 2.0], [1.0, 1.0]), f64::INFINITY);
    }
}
