//! The granted calls of each role, by the service that they are about.

mod account;
mod buckets;
mod builds;
mod executions;
mod logs;
mod module_roles;
mod parameters;

use std::collections::BTreeMap;

use super::table::{Fixtures, Row};

/// All rows; those that end the waiting execution are last.
pub fn rows(fixtures: &Fixtures, functions: &BTreeMap<String, String>) -> Vec<Row> {
    let mut rows = parameters::parameters();
    rows.extend(buckets::work_bucket(&fixtures.work_bucket));
    rows.extend(buckets::bundle_bucket(&fixtures.bundle_bucket));
    rows.extend(logs::logs(functions));
    rows.extend(executions::invocations(functions));
    rows.extend(account::account(fixtures));
    rows.extend(module_roles::roles_of_modules(fixtures));
    rows.extend(builds::projects(fixtures));
    rows.extend(executions::executions(fixtures));
    rows
}
