//! The page of a project's index.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};

use super::components::{ago, cell, commit, time, untrusted};
use super::deployment_page::{counts, live_note};
use super::index::{Entry, Index, IndexedExecution, live_and_gone};
use super::layout::{Page, console_link};
use super::{PageContext, format, link, state};
use crate::deployment::current::RECOVERED;
use crate::ids::{ExecutionArn, Name};
use crate::storage_layout::{index_key, page_of};

/// The dimensions of the sparkline, in its own units.
const BAR: usize = 5;
const GAP: usize = 1;
const HEIGHT: usize = 20;

/// The filters: the id of each, which style.css knows, its text, and the classes of the states that it shows.
const FILTERS: [(&str, &str, &[&str]); 6] = [
    ("all", "All", &["bad", "warn", "refused", "busy", "good", "calm"]),
    ("trouble", "Failed, stopped or drifted", &["bad", "warn"]),
    ("refused", "Refused", &["refused"]),
    ("busy", "In progress", &["busy"]),
    ("good", "Succeeded", &["good"]),
    ("calm", "Unchanged", &["calm"]),
];

/// Renders an index.
#[must_use]
pub fn render(index: &Index, context: &PageContext<'_>, project: &Name) -> String {
    let table = Table { context, project };
    let (modules, gone) = live_and_gone(&index.modules);
    let (deployments, gone_deployments) = live_and_gone(&index.deployments);
    let rows = by_deployment(index, &modules);
    let modules: Vec<&Row<'_>> = rows.values().flatten().collect();
    let deployments: Vec<Row<'_>> = deployments
        .into_iter()
        .filter_map(|(name, entry)| Row::of(index, name, name, entry))
        .collect();
    let gone: Vec<_> = gone.into_iter().chain(gone_deployments).collect();
    let body = html! {
        header {
            h1 { span { span.kind { "Project" } " " (project) } }
            @if index.is_live() { (live_note(context.now)) } @else { p.note { "As of " (time(Some(context.now))) } }
            (counted("deployment", &deployments.iter().collect::<Vec<_>>()))
            (counted("module", &modules))
            (filters(deployments.iter().chain(modules.iter().copied())))
        }
        @if !deployments.is_empty() {
            section { h2 { "Deployments" } (table.render("Deployment", &deployments)) }
        }
        @if rows.is_empty() {
            p.note { "No module is deployed." }
        }
        @for (name, modules) in &rows {
            section { h2 { "Modules of " (name) } (table.render("Module", modules)) }
        }
        @if !gone.is_empty() {
            section {
                h2 { "Destroyed" }
                ul.gone {
                    @for (name, entry) in &gone {
                        @if let Some(run) = entry.newest() { (table.gone(name, run)) }
                    }
                }
            }
        }
        (PreEscaped(index.data()))
    };
    let key = index_key(project);
    let object = link::object(context.environment, context.bucket, &key);
    let footer = html! {
        p {
            "“Quoted” causes come from the modules' builds, not from Seedflow. "
            "Links to reports work in a copy of this page and the reports (" code { "aws s3 sync" } "). "
            (console_link(Some(&object), "This page in S3"))
        }
    };
    let title = format!("{project} · Seedflow");
    Page {
        title: &title,
        live: index.is_live(),
        body,
        footer,
    }
    .render()
}

/// How many deployments or modules there are, and how many in which state.
fn counted(what: &str, rows: &[&Row<'_>]) -> Markup {
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        *states.entry(row.state().to_owned()).or_default() += 1;
    }
    html! {
        @if !rows.is_empty() {
            p.counts {
                span.what { (rows.len()) " " (what) @if rows.len() != 1 { "s" } }
                (counts(&states))
            }
        }
    }
}

/// The filters by state, as far as they would leave anything out; style.css hides the rows.
fn filters<'a>(rows: impl Iterator<Item = &'a Row<'a>>) -> Markup {
    let classes: Vec<&str> = rows.flat_map(Row::classes).collect();
    let shown = |of: &&(&str, &str, &[&str])| classes.iter().any(|class| of.2.contains(class));
    let offered: Vec<_> = FILTERS.iter().filter(shown).collect();
    html! {
        @if offered.len() > 2 {
            fieldset.filters {
                legend { "Show" }
                @for (id, text, _) in offered {
                    label { input type="radio" name="show" id={ "show-" (id) } checked[*id == "all"]; " " (text) }
                }
            }
        }
    }
}

/// The modules of each deployment, by `{group}/{module}`; those that need attention come first.
fn by_deployment<'a>(index: &Index, modules: &[(&'a str, &'a Entry)]) -> BTreeMap<&'a str, Vec<Row<'a>>> {
    let mut deployments: BTreeMap<&str, Vec<Row<'_>>> = BTreeMap::new();
    for (whole, entry) in modules {
        let (deployment, name) = whole.split_once('/').unwrap_or(("", whole));
        if let Some(row) = Row::of(index, name, whole, entry) {
            deployments.entry(deployment).or_default().push(row);
        }
    }
    for modules in deployments.values_mut() {
        // A stable sort: within a rank the names stay in order.
        modules.sort_by_key(Row::rank);
    }
    deployments
}

/// A table row: a module or a deployment.
struct Row<'a> {
    /// The name on the page.
    name: &'a str,
    /// The name in the index.
    whole: &'a str,
    entry: &'a Entry,
    /// The newest execution, or the refusal if there never was one.
    run: &'a IndexedExecution,
    /// The refusal that nothing has followed.
    refusal: Option<&'a IndexedExecution>,
    /// Whether it is a failed deployment whose failed modules have succeeded since.
    recovered: bool,
}

impl<'a> Row<'a> {
    /// `None` if there is nothing but an outdated refusal.
    fn of(index: &Index, name: &'a str, whole: &'a str, entry: &'a Entry) -> Option<Self> {
        let refusal = index.refusal(whole, entry);
        Some(Self {
            recovered: index.has_recovered(whole),
            name,
            whole,
            entry,
            run: entry.newest().or(refusal)?,
            refusal,
        })
    }

    /// The state that is shown.
    fn state(&self) -> &str {
        if self.recovered {
            return RECOVERED;
        }
        &self.run.state
    }

    /// The classes of its states, by which it is filtered.
    fn classes(&self) -> Vec<&'static str> {
        let refused = self.refusal.map(|refusal| state::class(&refusal.state));
        let drifted = self.entry.drifted().map(|_| state::class("DRIFTED"));
        let all = [state::class(self.state())].into_iter();
        all.chain(refused).chain(drifted).collect()
    }

    /// Why it failed or was refused, or else why it ran.
    fn why(&self) -> Markup {
        match (self.refusal, self.recovered) {
            (Some(refusal), _) => why(refusal),
            (None, false) if state::rank(&self.run.state) > 1 && self.entry.drifted().is_some() => {
                let what = self.entry.drifted().map(|drift| drift.what.as_str());
                html! { "Drifted: " (untrusted(what)) }
            }
            (None, true) => {
                html! { "Its failed modules have succeeded since: " (self.run.failed.join(", ")) }
            }
            (None, false) => why(self.run),
        }
    }

    fn rank(&self) -> u8 {
        let refused = self.refusal.map(|refusal| state::rank(&refusal.state));
        let drifted = self.entry.drifted().map(|_| state::rank("DRIFTED"));
        let others = refused.into_iter().chain(drifted);
        others.fold(state::rank(self.state()), u8::min)
    }
}

struct Table<'a> {
    context: &'a PageContext<'a>,
    project: &'a Name,
}

impl Table<'_> {
    fn render(&self, what: &str, rows: &[Row<'_>]) -> Markup {
        html! {
            table.cards.index {
                thead {
                    tr {
                        th scope="col" { (what) } th scope="col" { "State" } th scope="col" { "When" }
                        th scope="col" { "Why, or cause" } th scope="col" { "Commit" } th scope="col" { "Took" }
                        th scope="col" { "Trend" }
                    }
                }
                tbody { @for row in rows { (self.row(row)) } }
            }
        }
    }

    fn row(&self, row: &Row<'_>) -> Markup {
        let run = row.run;
        let took = run.milliseconds.map_or_else(|| "–".to_owned(), format::duration);
        html! {
            tr.row.(row.classes().join(" ")) id=(row.whole) {
                th scope="row" { (self.linked(row)) }
                (cell("State", "state", &self.states(row)))
                (cell("When", "when", &self.when(row)))
                (cell("Why", "why", &row.why()))
                (cell("Commit", "by", &by(row.refusal.unwrap_or(run))))
                (cell("Took", "took", &html! { (took) }))
                (cell("Trend", "", &self.trend(row)))
            }
        }
    }

    /// The page of an execution, if it has one.
    fn page(&self, whole: &str, run: &IndexedExecution) -> Option<String> {
        let key = page_of(self.project, whole, &ExecutionArn::new(run.execution.as_str()));
        let key = key.filter(|_| run.page)?;
        Some(link::relative(&index_key(self.project), &key))
    }

    /// The page that a row's name leads to: that of its execution. Where nothing had changed it is the last report, and a
    /// module in progress has the page of its deployment.
    fn page_of_row(&self, row: &Row<'_>) -> Option<String> {
        let run = row.run;
        if let Some(page) = self.page(row.whole, run) {
            return Some(page);
        }
        if run.is_running() {
            let (deployment, _) = row.whole.split_once('/')?;
            let execution = ExecutionArn::new(run.part_of.as_deref()?);
            let key = page_of(self.project, deployment, &execution)?;
            return Some(link::relative(&index_key(self.project), &key));
        }
        let last = row.entry.newest_page().filter(|_| run.state == "UNCHANGED")?;
        self.page(row.whole, last)
    }

    fn linked(&self, row: &Row<'_>) -> Markup {
        html! {
            @match self.page_of_row(row) {
                Some(page) => a href=(page) { bdi { (row.name) } },
                None => {
                    bdi { (row.name) } " "
                    span.note { (self.execution(row.run)) }
                }
            }
        }
    }

    /// A link to an execution that has no page.
    fn execution(&self, run: &IndexedExecution) -> Markup {
        let execution = ExecutionArn::new(run.execution.as_str());
        console_link(
            Some(&self.context.environment.execution_url(&execution)),
            "execution",
        )
    }

    fn states(&self, row: &Row<'_>) -> Markup {
        let refusal = row.refusal.filter(|_| row.run.state != "REFUSED");
        let drift = row.entry.drifted();
        html! {
            (state::badge(row.state()))
            @if let Some(refusal) = refusal {
                " "
                @match self.page(row.whole, refusal) {
                    Some(page) => a href=(page) { (state::badge(&refusal.state)) },
                    None => (state::badge(&refusal.state)),
                }
            }
            @if let Some(drift) = drift { " " span title=(drift.what) { (state::badge("DRIFTED")) } }
        }
    }

    /// When the state was reached; for an unchanged module the tooltip also says when it was last deployed.
    fn when(&self, row: &Row<'_>) -> Markup {
        let deployed = row.entry.runs.iter().find(|run| run.state == "SUCCEEDED");
        let deployed = deployed.filter(|deployed| deployed.at != row.run.at);
        let said = deployed.map(|deployed| format!("last deployed {}", format::time(deployed.at)));
        html! { span title=[said] { (ago(row.run.at, self.context.now)) } }
    }

    /// A destroyed module or deployment, with the page of its end.
    fn gone(&self, name: &str, run: &IndexedExecution) -> Markup {
        html! {
            li {
                @match self.page(name, run) {
                    Some(page) => a href=(page) { bdi { (name) } },
                    None => bdi { (name) },
                }
                " " span.note { (ago(run.at, self.context.now)) }
            }
        }
    }

    /// The durations as bars that lead to their pages, the newest last; the text alternative has the same data.
    fn trend(&self, row: &Row<'_>) -> Markup {
        let known: Vec<(&IndexedExecution, i64)> = row
            .entry
            .trend()
            .into_iter()
            .filter_map(|run| Some((run, run.milliseconds?)))
            .collect();
        let Some(most) = known.iter().map(|(_, took)| *took).max() else {
            return html! { "–" };
        };
        let said = |(run, took): &(&IndexedExecution, i64)| {
            format!(
                "{} {}",
                format::duration(*took),
                state::word(&run.state).to_lowercase()
            )
        };
        let said: Vec<String> = known.iter().map(said).collect();
        let said = format!("The last {}, the newest last: {}", known.len(), said.join(", "));
        let width = super::index_entry::TREND * (BAR + GAP);
        html! {
            svg.trend viewBox=(format!("0 0 {width} {HEIGHT}")) width=(width) height=(HEIGHT) role="img" {
                title { (said) }
                @for (i, (run, took)) in known.iter().enumerate() {
                    @let drawn = bar(i * (BAR + GAP), run, *took, most);
                    @match self.page(row.whole, run) {
                        Some(page) => a href=(page) tabindex="-1" { (drawn) },
                        None => (drawn),
                    }
                }
            }
        }
    }
}

/// Why it failed or was refused, or else why it ran. A cause may quote the module's build.
fn why(run: &IndexedExecution) -> Markup {
    let cause = run.cause.as_deref().filter(|_| state::rank(&run.state) < 2);
    let said = cause.or(run.why.as_deref());
    html! {
        @if let Some(said) = said {
            @let quoted = cause.is_some() && run.state == "FAILED";
            span.line-clamp title=(said) { @if quoted { "“" } bdi { (said) } @if quoted { "”" } }
        } @else { "–" }
    }
}

/// The commit and its author.
fn by(run: &IndexedExecution) -> Markup {
    let author = run.author.as_deref().map(format::author);
    let on = run.branch.as_ref().map(|branch| format!("on {branch}"));
    html! {
        @if run.commit.is_some() || author.is_some() || on.is_some() {
            span.line-clamp title=[on] {
                (commit(run.commit.as_deref(), run.repository.as_deref())) " "
                span.note { (untrusted(author)) }
            }
        } @else { "–" }
    }
}

fn bar(x: usize, run: &IndexedExecution, took: i64, most: i64) -> Markup {
    let share = took as f64 / most.max(1) as f64;
    let height = (share * HEIGHT as f64).round().clamp(2.0, HEIGHT as f64) as usize;
    html! {
        rect class=(state::class(&run.state)) x=(x) y=(HEIGHT - height) width=(BAR) height=(height) rx="1" {
            title { (format::duration(took)) ", " (state::word(&run.state)) ", " (format::time(run.at)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::STYLE;
    use super::FILTERS;

    #[test]
    fn the_style_hides_the_rows_that_a_filter_leaves_out() {
        for (id, _, classes) in FILTERS.iter().filter(|(id, ..)| *id != "all") {
            let shown: Vec<String> = classes.iter().map(|class| format!(".{class}")).collect();
            let rule = format!("main:has(#show-{id}:checked) .row:not({})", shown.join(", "));
            assert!(STYLE.contains(&rule), "{rule}");
        }
    }
}
