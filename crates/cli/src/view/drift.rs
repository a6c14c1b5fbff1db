//! What drift detection found, for people.

use jiff::Timestamp;
use seedflow_core::drift::difference::ResourceDrift;
use seedflow_core::drift::record::{DriftRecord, DriftState, StackDrift};
use seedflow_terminal::Tone;

use super::moment::ago;
use super::table::{Cell, Table};

/// A module, and its record if it was checked since it was deployed.
pub type Row<'a> = (String, Option<&'a DriftRecord>);

/// A state in a table.
#[must_use]
pub fn cell(state: DriftState) -> Cell {
    let tone = match state {
        DriftState::InSync => Tone::Good,
        DriftState::Drifted => Tone::Bad,
        DriftState::Unknown => Tone::Quiet,
    };
    Cell::toned(state.word(), Some(tone))
}

/// One row for each module.
#[must_use]
pub fn table(rows: &[Row<'_>], now: Timestamp) -> Table {
    let mut table = Table::new(["MODULE", "DRIFT", "SINCE", "CHECKED", "WHAT"]);
    for (module, record) in rows {
        match record {
            Some(record) => table.row([
                module.into(),
                cell(record.known.state),
                ago(record.known.since, now).into(),
                ago(record.checked_at, now).into(),
                record.line().into(),
            ]),
            None => table.row([
                module.into(),
                Cell::toned("not checked", Some(Tone::Quiet)),
                "".into(),
                "".into(),
                "".into(),
            ]),
        }
    }
    table
}

/// The resources of a module that differ, with their properties: a line each.
#[must_use]
pub fn details(record: &DriftRecord) -> Table {
    let mut table = Table::new(["STACK", "RESOURCE", "PROPERTY", "EXPECTED", "ACTUAL"]);
    for stack in &record.stacks {
        for resource in &stack.resources {
            add(&mut table, stack, resource);
        }
        if stack.left_out > 0 {
            table.note(format!(
                "and {} more resources of {}",
                stack.left_out, stack.stack
            ));
        }
    }
    table
}

/// What the drift phases of a module printed, if somebody has to look at it.
#[must_use]
pub fn phases(record: &DriftRecord) -> Vec<String> {
    let found = record.phases.as_ref().filter(|found| !found.output.is_empty());
    let Some(found) = found else { return Vec::new() };
    let title = format!("Its drift phases ({}) printed:", found.state.word());
    let lines = found.output.iter().map(|line| format!("  {line}"));
    std::iter::once(title).chain(lines).collect()
}

fn add(table: &mut Table, stack: &StackDrift, resource: &ResourceDrift) {
    let name = format!("{} ({})", resource.logical_id, resource.resource_type);
    if resource.properties.is_empty() {
        let word = Cell::toned(resource.state.word(), Some(Tone::Bad));
        table.row([
            stack.stack.as_str().into(),
            name.as_str().into(),
            word,
            "".into(),
            "".into(),
        ]);
    }
    for property in &resource.properties {
        table.row([
            stack.stack.as_str().into(),
            name.as_str().into(),
            property.path.as_str().into(),
            property.expected.as_str().into(),
            property.actual.as_str().into(),
        ]);
    }
    if resource.left_out > 0 {
        table.note(format!("and {} more properties", resource.left_out));
    }
}
