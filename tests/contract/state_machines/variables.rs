//! Each variable is assigned on every path that reads it. The check follows all transitions of a machine, including
//! errors.

use super::*;

/// A transition: its target, and whether the state's `Assign` has run on it.
fn arrows(state: &Value) -> Vec<(&str, bool)> {
    let next = |rule: &'static str, field: &'static str, assigned: bool| {
        list(state, rule)
            .iter()
            .filter_map(move |r| Some((r[field].as_str()?, assigned)))
    };
    let own = ["Next", "Default"]
        .into_iter()
        .filter_map(|field| Some((state[field].as_str()?, true)));
    own.chain(next("Choices", "Next", true))
        .chain(next("Catch", "Next", false))
        .collect()
}

/// The variables that a rule of `Catch` or `Choices` with the target `next` assigns; several rules must agree.
fn assigned_by_rule<'a>(state: &'a Value, rules: &str, next: &str) -> BTreeSet<&'a str> {
    let rules = list(state, rules).iter().filter(|rule| rule["Next"] == next);
    let names = |rule: &'a Value| -> BTreeSet<&'a str> {
        let assigned = rule["Assign"].as_object();
        assigned
            .into_iter()
            .flat_map(|a| a.keys().map(String::as_str))
            .collect()
    };
    rules
        .map(names)
        .reduce(|all, one| &all & &one)
        .unwrap_or_default()
}

/// The variables that are assigned on every path to each reachable state.
fn assigned<'a>(start: &'a str, states: &'a States) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut known = BTreeMap::from([(start, BTreeSet::new())]);
    let mut todo = vec![start];
    while let Some(name) = todo.pop() {
        let own = states[name]["Assign"]
            .as_object()
            .into_iter()
            .flat_map(|a| a.keys().map(String::as_str));
        let (before, own) = (known[name].clone(), own.collect::<BTreeSet<_>>());
        for (next, with_own) in arrows(&states[name]) {
            let here = if with_own {
                &(&before | &own) | &assigned_by_rule(&states[name], "Choices", next)
            } else {
                &before | &assigned_by_rule(&states[name], "Catch", next)
            };
            let merged = known.get(next).map_or(here.clone(), |there| there & &here);
            if known.get(next) != Some(&merged) {
                known.insert(next, merged);
                todo.push(next);
            }
        }
    }
    known
}

/// The variables that an expression reads: `$name` that is neither a call nor `$states`.
fn reads(expression: &str) -> BTreeSet<&str> {
    let words = expression.split('$').skip(1).map(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        rest.split_at(end)
    });
    words
        // A lone `$` is the end of a regular expression.
        .filter(|(name, rest)| !["", "states"].contains(name) && !rest.starts_with('('))
        .map(|(name, _)| name)
        .collect()
}

fn expressions<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if text.starts_with("{%") => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| expressions(field, found)),
        _ => {}
    }
}

fn undeclared(start: &str, states: &States) -> Vec<String> {
    let known = assigned(start, states);
    let mut problems = Vec::new();
    for (name, state) in states {
        let Some(known) = known.get(name.as_str()) else {
            problems.push(format!("{name} is never reached"));
            continue;
        };
        let mut found = Vec::new();
        expressions(state, &mut found);
        for variable in found
            .into_iter()
            .flat_map(reads)
            .filter(|variable| !known.contains(variable))
        {
            problems.push(format!("{name} reads ${variable}"));
        }
    }
    problems
}

#[test]
fn no_state_reads_a_variable_that_some_path_leaves_unassigned() {
    let (start, states) = machine("end-execution");
    let ending = ("end-execution", start, states);
    for (machine, start, states) in workflows().into_iter().chain([ending]) {
        assert_eq!(undeclared(&start, &states), Vec::<String>::new(), "{machine}");
    }
}

#[test]
fn that_check_finds_a_variable_that_a_caught_error_leaves_unassigned() {
    let mut states = states();
    states.get_mut("RecordFailure").unwrap()["Arguments"]["Payload"]["plan"] = "{% $plan %}".into();
    assert_eq!(undeclared(START, &states), ["RecordFailure reads $plan"]);
}
