//! The page of one execution of a whole deployment.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::components::{cell, code, commit, facts, failure, from_module, untrusted};
use super::format;
use super::layout::{Page, console_link};
use super::report_view::{Deployment, FetchedSource, Module, ModuleResult, PlannedModule, Status};
use super::{PageContext, link, state};
use crate::deployment::outcome::FAILED;
use crate::ids::DeploymentId;
use crate::ids::{ExecutionArn, Name};
use crate::storage_layout::{index_key, page_key};

/// Reports of the deployment's modules, by group and module.
pub type Reports = BTreeMap<(String, String), Module>;

/// Maximum number of module reports to read; those of failed modules come first.
pub const MAX_REPORTS: usize = 300;

/// The modules whose executions wrote reports, with the keys of the reports; failed modules come first.
#[must_use]
pub fn reports_of(id: &DeploymentId, report: &Deployment) -> Vec<((String, String), String)> {
    let mut ended: Vec<&ModuleResult> = report
        .results
        .iter()
        .filter(|ended| wrote(&ended.state))
        .collect();
    ended.sort_by_key(|ended| state::rank(&ended.state));
    let key = |ended: &&ModuleResult| Some((names(ended), report_key(id, ended)?));
    ended.iter().filter_map(key).take(MAX_REPORTS).collect()
}

fn wrote(state: &str) -> bool {
    matches!(state, "SUCCEEDED" | "FAILED" | "DESTROYED")
}

fn names(ended: &ModuleResult) -> (String, String) {
    (ended.group.clone(), ended.module.clone())
}

fn report_key(id: &DeploymentId, ended: &ModuleResult) -> Option<String> {
    let name = |text: &str| Name::parse("name", text).ok();
    let module = id.module(name(&ended.group)?, name(&ended.module)?);
    let execution = ended.execution.as_deref()?;
    Some(module.report_key(&ExecutionArn::new(execution)))
}

/// Renders the page of the report stored at `key`.
#[must_use]
pub fn render(
    context: &PageContext<'_>,
    id: &DeploymentId,
    key: &str,
    report: &Deployment,
    modules: &Reports,
) -> String {
    let title = format!("{} · {id}", state::word(&report.status.state));
    let rows = Rows {
        id,
        key,
        report,
        modules,
    };
    let body = html! {
        (heading(context, id, key, report))
        (failure(&report.status, quotes_modules(&report.status), None))
        (rows.attention())
        (rows.plan())
        (sources(&report.sources))
        (warnings(&report.warnings))
    };
    let page = page_key(key).unwrap_or_default();
    let object = link::object(context.environment, context.bucket, key);
    let footer = html! {
        p {
            a href=(link::relative(&page, key)) { "This report as JSON" } " "
            (console_link(Some(&object), "and in S3"))
        }
    };
    Page {
        title: &title,
        body,
        footer,
    }
    .render()
}

fn heading(context: &PageContext<'_>, id: &DeploymentId, key: &str, report: &Deployment) -> Markup {
    let page = page_key(key).unwrap_or_default();
    let took = report
        .span()
        .map(|(from, to)| format::duration(format::between(from, to)));
    let execution = context
        .environment
        .execution_url(&ExecutionArn::new(report.execution.as_str()));
    html! {
        header {
            nav aria-label="Where this is" {
                a href=(link::relative(&page, &index_key(&id.project))) { (id.project) }
            }
            h1 { (id.deployment) " " (state::badge(&report.status.state)) }
            (facts(&[
                ("Ended", untrusted(report.written_at.map(format::time).as_deref())),
                ("Took", untrusted(took.as_deref())),
                ("Commit", commit(report.status.commit.as_deref())),
                ("Author", untrusted(report.status.author.as_deref())),
                ("Branch", untrusted(report.status.branch.as_deref())),
                ("Modules", counts(&report.status.modules)),
            ]))
            nav.links aria-label="In AWS's console" { (console_link(Some(&execution), "Execution")) }
        }
    }
}

/// The number of modules by final state.
pub(super) fn counts(counts: &BTreeMap<String, usize>) -> Markup {
    html! {
        @for (state, count) in counts {
            span.count { (count) " " (state::badge(state)) } " "
        }
    }
}

/// The sources that other hosts store, with their commits.
fn sources(sources: &[FetchedSource]) -> Markup {
    html! {
        @if !sources.is_empty() {
            section {
                h2 { "Sources of other hosts" }
                table.cards {
                    thead { tr { th scope="col" { "Address" } th scope="col" { "Reference" } th scope="col" { "Commit" } } }
                    tbody { @for source in sources { (source_row(source)) } }
                }
            }
        }
    }
}

fn source_row(source: &FetchedSource) -> Markup {
    html! {
        tr {
            th scope="row" { bdi { (source.url) } }
            (cell("Reference", "", &untrusted(source.r#ref.as_deref())))
            (cell("Commit", "", &commit(source.commit.as_deref())))
        }
    }
}

fn warnings(warnings: &[String]) -> Markup {
    html! {
        @if !warnings.is_empty() {
            section { h2 { "Warnings" } ul.reasons { @for warning in warnings { li { bdi { (warning) } } } } }
        }
    }
}

/// Whether the reason of the failure quotes reasons of modules, which their commands may have written.
fn quotes_modules(status: &Status) -> bool {
    status.error.as_deref() == Some(FAILED)
}

struct Rows<'a> {
    id: &'a DeploymentId,
    key: &'a str,
    report: &'a Deployment,
    modules: &'a Reports,
}

impl Rows<'_> {
    /// The failures, at the top of the page.
    fn attention(&self) -> Markup {
        let failed: Vec<&ModuleResult> = self
            .report
            .results
            .iter()
            .filter(|ended| state::rank(&ended.state) == 0)
            .collect();
        html! {
            @if !failed.is_empty() {
                section {
                    h2 { "Failed modules" }
                    (self.table(failed.iter().copied().map(|ended| (ended, true))))
                }
            }
        }
    }

    /// All modules, by group, in the order of the groups.
    fn plan(&self) -> Markup {
        let mut groups: Vec<&str> = Vec::new();
        for ended in &self.report.results {
            if !groups.contains(&ended.group.as_str()) {
                groups.push(&ended.group);
            }
        }
        html! {
            section {
                h2 { "Modules by group" }
                @for group in groups {
                    h3 { bdi { (group) } }
                    (self.table(self.report.results.iter().filter(|ended| ended.group == group).map(|ended| (ended, false))))
                }
            }
        }
    }

    fn table<'r>(&self, rows: impl Iterator<Item = (&'r ModuleResult, bool)>) -> Markup {
        html! {
            table.cards.modules {
                thead {
                    tr {
                        th scope="col" { "Module" } th scope="col" { "Result" }
                        th scope="col" { "Why" } th scope="col" { "Took" }
                    }
                }
                tbody { @for (ended, with_group) in rows { (self.row(ended, with_group)) } }
            }
        }
    }

    fn row(&self, ended: &ModuleResult, with_group: bool) -> Markup {
        let name = if with_group {
            format!("{}/{}", ended.group, ended.module)
        } else {
            ended.module.clone()
        };
        let module = self.modules.get(&names(ended));
        let took = module.and_then(Module::took).map(format::duration);
        html! {
            tr {
                th scope="row" { (self.linked(ended, &name, module.is_some())) }
                (cell("Result", "", &state::badge(&ended.state)))
                (cell("Why", "why", &self.why(ended, module)))
                (cell("Took", "took", &html! { (took.as_deref().unwrap_or("–")) }))
            }
        }
    }

    fn linked(&self, ended: &ModuleResult, name: &str, is_there: bool) -> Markup {
        let page = report_key(self.id, ended)
            .and_then(|key| page_key(&key))
            .filter(|_| is_there);
        let here = page_key(self.key).unwrap_or_default();
        html! {
            @match page {
                Some(page) => a href=(link::relative(&here, &page)) { bdi { (name) } },
                None => bdi { (name) },
            }
        }
    }

    /// Why the module failed, or else why it was deployed.
    fn why(&self, ended: &ModuleResult, module: Option<&Module>) -> Markup {
        let failed = module.filter(|_| state::rank(&ended.state) == 0);
        if let Some((module, reason)) = failed.and_then(|m| Some((m, m.status.reason.as_deref()?))) {
            let reason = untrusted(Some(reason));
            return html! {
                @if let Some(error) = &module.status.error { (code(error)) " " }
                @if module.was_built() { (from_module(&reason)) } @else { (reason) }
            };
        }
        let planned = self.report.plan.iter().find(|planned| planned.is(ended));
        untrusted(planned.map(|planned| planned.reasons.join(", ")).as_deref())
    }
}

impl PlannedModule {
    fn is(&self, ended: &ModuleResult) -> bool {
        self.group == ended.group && self.module == ended.module
    }
}
