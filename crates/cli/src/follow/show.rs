//! Shows an execution while it runs, and how it ended.
//!
//! On a terminal each running module is a live line with its phase and time, under its group; in a pipe each end is a
//! line.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use seedflow_core::approval::ApprovalNeeded;
use seedflow_core::deployment::rollback::NextRollback;
use seedflow_core::ids::{DeploymentId, ExecutionArn};
use seedflow_core::workflow::ending::{Described, ExecutionStatus};
use seedflow_terminal::{Task, Tone, Ui};
use serde_json::{Value, json};

use crate::account::Account;
use crate::exit::{self, is_refusal};
use crate::view::json::without_nulls;
use crate::view::moment::short;
use crate::view::state::word;
use crate::work::{Module, Phase, Progress, Subject, Work, between, clock};

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Nothing, because the output is JSON.
    None,
    /// The modules.
    Modules,
    /// Each phase of each module too, and what its build prints.
    Output,
    /// The states of each module's execution too.
    States,
}

/// What is on the terminal.
pub(super) struct Shown<'a> {
    detail: Detail,
    ui: &'a Ui,
    /// Whether it was said that another execution deploys.
    waits: bool,
    /// Whether it was said that the plan waits for an approval.
    waits_for_approval: bool,
    groups: BTreeSet<String>,
    running: BTreeMap<String, Task>,
    /// The states that were shown last, by execution.
    states: BTreeMap<String, String>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(detail: Detail, ui: &'a Ui) -> Self {
        Self {
            detail,
            ui,
            waits: false,
            waits_for_approval: false,
            groups: BTreeSet::new(),
            running: BTreeMap::new(),
            states: BTreeMap::new(),
        }
    }

    pub(super) fn detail(&self) -> Detail {
        self.detail
    }

    pub(super) fn ui(&self) -> &'a Ui {
        self.ui
    }

    /// AWS doesn't answer: said once in a row.
    pub(super) fn unanswered(&self, is_first: bool) {
        if is_first {
            self.ui
                .complain("AWS doesn't answer; trying again for a minute. The execution goes on.");
        }
    }

    /// A newer execution deploys in the place of this one, and is shown next.
    pub(super) fn superseded(&self, execution: &str, by: &str, commit: Option<&str>) {
        if self.detail == Detail::None {
            return;
        }
        let commit = commit.map(|commit| format!(" of the commit {}", short(Some(commit))));
        let commit = commit.unwrap_or_default();
        let word = self.ui.paint(Tone::Bold, word(SUPERSEDED));
        self.ui.say(format!(
            "{word} {execution}: it did nothing. The newer execution {by}{commit} runs in its place:"
        ));
    }

    pub(super) fn deployment(&self, deployment: &DeploymentId) {
        if self.detail > Detail::None {
            self.ui.say(self.ui.paint(Tone::Bold, deployment.to_string()));
        }
    }

    /// Another execution deploys: said once, because it may take hours.
    pub(super) fn waiting(&mut self) {
        if self.detail > Detail::None && !std::mem::replace(&mut self.waits, true) {
            self.ui.say(format!("  {}", Phase::Waiting.as_str()));
        }
    }

    /// Whether it still has to be said if the plan waits for an approval.
    pub(super) fn may_wait_for_approval(&self) -> bool {
        self.detail > Detail::None && !self.waits_for_approval
    }

    /// The plan waits for a person: said once, with how to approve it.
    pub(super) fn waiting_for_approval(
        &mut self,
        execution: &ExecutionArn,
        needed: &ApprovalNeeded,
        account: &Account,
    ) {
        self.waits_for_approval = true;
        self.ui.say(self.ui.paint(Tone::Bold, "  waits for an approval"));
        for reason in &needed.reasons {
            self.ui.say(format!("    {reason}"));
        }
        let command = account.command(&needed.arguments(execution));
        self.ui.say(format!("    {command}"));
    }

    pub(super) fn module(&mut self, module: &Module) {
        if self.detail == Detail::None {
            return;
        }
        match &module.progress {
            Progress::Pending => {}
            Progress::Running(phase) => {
                self.task(module).detail(phase.as_str());
                if self.detail > Detail::Modules {
                    let line = format!("    {} {}", module.name.module, phase.as_str());
                    self.ui.say(self.ui.paint(Tone::Quiet, line));
                }
            }
            Progress::Ended(end) => {
                let words = match (&end.cause, end.is_good()) {
                    (Some(cause), false) => format!("{}: {cause}", end.word()),
                    _ => end.word(),
                };
                self.task(module);
                if let Some(task) = self.running.remove(&module.execution) {
                    task.ended(end.is_good(), &words, end.took.map(clock));
                }
            }
        }
    }

    /// A line that the build of a module has printed.
    pub(super) fn output(&mut self, module: &Module, line: &str) {
        self.task(module);
        let name = self
            .ui
            .paint(Tone::Quiet, format!("    {} |", module.name.module));
        self.ui.say(format!("{name} {line}"));
    }

    /// What builds print can't be read: said once.
    pub(super) fn no_output(&self, error: &anyhow::Error) {
        self.ui
            .complain(&format!("cannot show what the builds print: {error:#}"));
    }

    /// The state of a module's execution, for people who look at the workflow itself.
    pub(super) fn state(&mut self, module: &Module, state: Option<&str>) {
        let (Some(state), Detail::States) = (state, self.detail) else {
            return;
        };
        let before = self.states.insert(module.execution.clone(), state.to_owned());
        if before.as_deref() != Some(state) {
            self.task(module);
            let line = format!("    {} [{state}]", module.name.module);
            self.ui.say(self.ui.paint(Tone::Quiet, line));
        }
    }

    fn task(&mut self, module: &Module) -> &Task {
        let group = module.name.group.to_string();
        if self.groups.insert(group.clone()) {
            self.ui.say(format!("  {group}"));
        }
        let ui = self.ui;
        self.running
            .entry(module.execution.clone())
            .or_insert_with(|| ui.quiet_task(format!("    {}", module.name.module)))
    }
}

/// The state of an execution that a newer one has replaced.
const SUPERSEDED: &str = "SUPERSEDED";

/// How a followed execution ended.
#[derive(Debug)]
pub struct Outcome {
    execution: ExecutionArn,
    /// `None` if Ctrl-C ended the following.
    ended: Option<Ended>,
}

/// How the execution ended that superseded another one.
#[derive(Debug)]
pub(super) struct Replacement {
    outcome: Box<Outcome>,
    /// What was asked of the older execution, and is not done by this one.
    left_undone: Vec<String>,
}

impl Replacement {
    pub(super) fn new(outcome: Outcome, left_undone: Vec<String>) -> Self {
        Self {
            outcome: Box::new(outcome),
            left_undone,
        }
    }

    /// Whether the newer execution has done everything that was asked of the older one.
    fn is_good(&self) -> bool {
        self.left_undone.is_empty() && self.outcome.ended.as_ref().is_some_and(Ended::is_good)
    }
}

#[derive(Debug)]
struct Ended {
    subject: Subject,
    work: Work,
    described: Described,
    replacement: Option<Replacement>,
    /// Whether the lines of the modules were shown.
    is_shown: bool,
}

impl Outcome {
    /// How an execution ended whose modules were shown with this detail.
    pub(super) fn new(
        execution: ExecutionArn,
        subject: Subject,
        work: Work,
        described: &Described,
        detail: Detail,
    ) -> Self {
        Self {
            execution,
            ended: Some(Ended {
                subject,
                work,
                described: described.clone(),
                replacement: None,
                is_shown: detail > Detail::None,
            }),
        }
    }

    pub(super) fn replaced_by(mut self, replacement: Option<Replacement>) -> Self {
        if let Some(ended) = &mut self.ended {
            ended.replacement = replacement;
        }
        self
    }

    pub(super) fn detached(execution: &ExecutionArn) -> Self {
        Self {
            execution: execution.clone(),
            ended: None,
        }
    }

    /// Whether it has ended, and everything was done that was asked.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.ended.as_ref().is_some_and(Ended::is_good)
    }

    /// Shows the end with what to do next, and returns the exit code.
    pub fn show(&self, account: &Account, as_json: bool, ui: &Ui) -> ExitCode {
        let name = self.execution.name();
        let Some(ended) = &self.ended else {
            ui.complain(&format!(
                "\nDetached; the deployment goes on.\n  {}\n  {}",
                account.command(&["follow", name]),
                account.command(&["cancel", name])
            ));
            return ExitCode::from(exit::INTERRUPTED);
        };
        if as_json {
            ui.say(without_nulls(ended.json(&self.execution)).to_string());
        } else if let Some(replacement) = &ended.replacement {
            replacement.outcome.show(account, false, ui);
            replacement.left_undone(name, account, ui);
        } else {
            ended.summary(ui);
            ended.what_to_do(name, account, ui);
        }
        ended.code()
    }
}

impl Replacement {
    /// Says what the older execution was asked for in vain, and how to ask again.
    fn left_undone(&self, execution: &str, account: &Account, ui: &Ui) {
        if self.left_undone.is_empty() {
            return;
        }
        let undone = ui.paint(Tone::Bad, "not carried out");
        for one in &self.left_undone {
            ui.say(format!("{undone} of {execution}: {one}"));
        }
        ui.say(ui.paint(Tone::Quiet, "To ask for it again:"));
        ui.say(format!("  {}", account.command(&["retry", execution])));
    }
}

impl Ended {
    /// Whether everything was done that was asked. Step Functions calls a superseded execution a success.
    fn is_good(&self) -> bool {
        match &self.replacement {
            Some(replacement) => replacement.is_good(),
            None => self.described.status == ExecutionStatus::Succeeded,
        }
    }

    fn state(&self) -> &str {
        let state = self.described.output["state"].as_str();
        state.unwrap_or(match self.described.status {
            ExecutionStatus::Succeeded => "SUCCEEDED",
            ExecutionStatus::Aborted => "ABORTED",
            ExecutionStatus::TimedOut => "TIMED_OUT",
            _ if self.is_refused() => "REFUSED",
            _ => "FAILED",
        })
    }

    /// Whether nothing ran. A deployment that is refused has no modules yet; a module says so itself.
    fn is_refused(&self) -> bool {
        let error = self.described.error.as_deref().unwrap_or_default();
        match &self.subject {
            Subject::Module(_) => self.work.failed().iter().any(|(_, end)| end.state == "REFUSED"),
            Subject::Deployment(_) => !self.work.has_started() && is_refusal(error),
        }
    }

    fn code(&self) -> ExitCode {
        match (self.is_good(), self.is_refused()) {
            (true, _) => ExitCode::SUCCESS,
            (false, true) => ExitCode::from(exit::REFUSED),
            (false, false) => ExitCode::from(exit::FAILED),
        }
    }

    /// What the execution is about, for people.
    fn name(&self) -> String {
        match &self.subject {
            Subject::Module(module) => module.to_string(),
            Subject::Deployment(Some(deployment)) => deployment.to_string(),
            Subject::Deployment(None) => "the deployment".to_owned(),
        }
    }

    fn summary(&self, ui: &Ui) {
        let took = between(self.described.started_at, self.described.stopped_at).map(clock);
        let took = took.map_or_else(String::new, |took| ui.paint(Tone::Quiet, format!(" ({took})")));
        if self.is_good() {
            let words = match self.counts() {
                counts if counts.is_empty() => "nothing to do".to_owned(),
                counts => counts,
            };
            ui.say(format!(
                "{} {}: {words}{took}",
                ui.paint(Tone::Good, "ok"),
                self.name()
            ));
            return;
        }
        let verb = match self.state() {
            "REFUSED" => "refused",
            "ABORTED" => "stopped",
            _ => "failed",
        };
        let counts = self.counts();
        let counts = if counts.is_empty() {
            String::new()
        } else {
            format!(": {counts}")
        };
        ui.say(format!(
            "{} {}{counts}{took}",
            ui.paint(Tone::Bad, verb),
            self.name()
        ));
        let failed = self.work.failed();
        // The line of a single module has just said it.
        let is_said = self.is_shown && matches!(self.subject, Subject::Module(_));
        for (name, end) in failed.iter().filter(|_| !is_said) {
            ui.say(format!(
                "  {name}: {}",
                end.cause.clone().unwrap_or_else(|| end.word())
            ));
        }
        if let (true, Some(cause)) = (failed.is_empty(), &self.described.cause) {
            cause.lines().for_each(|line| ui.say(format!("  {line}")));
        }
    }

    fn counts(&self) -> String {
        let reported = self.described.output["modules"].as_object();
        let counts: Vec<String> = match reported {
            Some(reported) => reported
                .iter()
                .filter_map(|(state, count)| Some(format!("{} {}", count.as_u64()?, word(state))))
                .collect(),
            None => {
                let counts = self.work.counts().into_iter();
                counts.map(|(word, count)| format!("{count} {word}")).collect()
            }
        };
        counts.join(", ")
    }

    fn what_to_do(&self, execution: &str, account: &Account, ui: &Ui) {
        if self.is_good() {
            return;
        }
        let mut commands = Vec::new();
        let project = match &self.subject {
            Subject::Module(module) => Some((&module.project, &module.deployment)),
            Subject::Deployment(deployment) => deployment.as_ref().map(|d| (&d.project, &d.deployment)),
        };
        if let (Some((project, deployment)), false) = (project, self.is_refused()) {
            if let Some((name, end)) = self.work.failed().first() {
                let module = format!("{deployment}/{name}");
                commands.push(account.command_about("logs", &module, project));
                if end.has_success {
                    commands.push(account.command_about("rollback", &module, project));
                }
            }
            commands.push(account.command(&["retry", execution]));
            let rollback = NextRollback::name_after(&ExecutionArn::new(execution));
            let cause = self.described.cause.as_deref().unwrap_or_default();
            if cause.contains(&rollback) {
                // It has started by itself.
                commands.push(account.command(&["follow", &rollback]));
            }
        }
        if !commands.is_empty() {
            ui.say(ui.paint(Tone::Quiet, "What to do now:"));
            commands.iter().for_each(|command| ui.say(format!("  {command}")));
        }
    }

    fn json(&self, execution: &ExecutionArn) -> Value {
        // What a newer execution does instead has not failed here.
        let failed = match self.replacement {
            Some(_) => Vec::new(),
            None => self.work.failed(),
        };
        let failed: Vec<Value> = failed
            .iter()
            .map(|(name, end)| json!({"group": name.group, "module": name.module, "state": end.state, "cause": end.cause}))
            .collect();
        let mut ended = json!({
            "execution": execution, "of": self.name(), "state": self.state(), "modules": self.work.counts(),
            "failed": failed, "error": self.described.error, "cause": self.described.cause,
        });
        if let Some(Replacement { outcome, left_undone }) = &self.replacement {
            let newer = outcome.ended.as_ref();
            ended["superseded_by"] = newer.map_or(Value::Null, |newer| newer.json(&outcome.execution));
            ended["left_undone"] = json!(left_undone);
        }
        ended
    }
}
