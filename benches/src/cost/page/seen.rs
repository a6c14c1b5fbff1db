//! What the run did, as it was counted.

use std::collections::BTreeSet;

use seedflow_local::proxy::Caller;

use super::super::counted::Counted;
use super::super::run::{CHANGED, Counts, MODULES};
use super::Priced;
use super::words::paragraph_and_table;
use crate::stats::grouped;

impl Priced<'_> {
    pub(super) fn counted(&self) -> String {
        let Counts {
            changed,
            unchanged,
            nothing,
            some,
        } = self.counts;
        let all = [changed, unchanged, nothing, some];
        let row = |name: &str, of: &dyn Fn(&Counted) -> u64| -> Vec<String> {
            let cells = all.iter().map(|counted| of(counted)).map(|number| {
                if number == 0 {
                    String::new()
                } else {
                    grouped(number)
                }
            });
            std::iter::once(name.to_owned()).chain(cells).collect()
        };
        let names = |of: &dyn Fn(&Counted) -> Vec<String>| -> BTreeSet<String> {
            all.iter().flat_map(|counted| of(counted)).collect()
        };
        let mut rows = Vec::new();
        for machine in names(&|counted| counted.executions.iter().map(|one| one.machine.clone()).collect()) {
            rows.push(row(&format!("executions of {machine}"), &|counted| {
                counted.executions_of(&machine)
            }));
        }
        rows.push(row("state transitions", &Counted::transitions));
        for function in names(&|counted| counted.invocations.keys().cloned().collect()) {
            rows.push(row(&format!("invocations of {function}"), &|counted| {
                counted
                    .invocations
                    .get(&function)
                    .map_or(0, |all| all.len() as u64)
            }));
        }
        let named = |(caller, name, _): &(Caller, String, u64)| format!("{}: {name}", who(*caller));
        for call in names(&|counted| counted.calls.iter().map(named).collect()) {
            rows.push(row(&call, &|counted| {
                let of_it = counted.calls.iter().filter(|one| named(one) == call);
                of_it.map(|(.., count)| count).sum()
            }));
        }
        rows.push(row("bytes of logs", &Counted::log_bytes));
        let about = format!(
            "One deployment each. Calls are those of the functions, of CodeBuild for a build, and the upload; events of builds and of \
             executions come from AWS and are free. Builds are pretended: they fetch nothing and run no command. Transitions are every state that was entered, \
             each retry, and one for an execution's start, to be on the safe side; of the states inside a Map the emulator tells \
             nothing, so each of its executions counts as one. {MODULES} modules stand in one repository, deployed by `deploy`."
        );
        let columns = [
            "".to_owned(),
            "a changed module".to_owned(),
            "an unchanged module".to_owned(),
            format!("{MODULES} unchanged modules"),
            format!("{MODULES}, of which {CHANGED} changed"),
        ];
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let counts = paragraph_and_table(&about, &columns, &rows);
        format!("{counts}\n{}", self.durations())
    }

    /// What the functions took here.
    fn durations(&self) -> String {
        let mut rows = Vec::new();
        let counts = [
            &self.counts.changed,
            &self.counts.unchanged,
            &self.counts.nothing,
            &self.counts.some,
        ];
        let functions: BTreeSet<&String> = counts
            .iter()
            .flat_map(|counted| counted.invocations.keys())
            .collect();
        for function in functions {
            let all: Vec<_> = counts
                .iter()
                .filter_map(|counted| counted.invocations.get(function))
                .flatten()
                .collect();
            let seconds: f64 = all.iter().map(|one| one.seconds).sum();
            rows.push(vec![
                function.clone(),
                all.first()
                    .map_or_else(String::new, |one| format!("{} MB", one.memory_mb)),
                all.len().to_string(),
                format!("{:.0} ms", seconds / all.len() as f64 * 1e3),
            ]);
        }
        let about = "The functions in all four of them, as the emulator measured them, in the dev profile: for orientation. \
                     docs/benchmarks.md has the release binaries.";
        paragraph_and_table(about, &["function", "memory", "invocations", "on average"], &rows)
    }
}

fn who(caller: Caller) -> &'static str {
    match caller {
        Caller::Functions => "functions",
        Caller::Clients => "client",
        Caller::Builds | Caller::Codebuild => "build",
    }
}
