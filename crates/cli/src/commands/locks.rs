//! `locks`: who deploys what, who waits, and the release of a lock that was left behind.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use seedflow_core::ids::Name;
use seedflow_core::workflow::lock::{Lock, Seen};
use seedflow_terminal::Ui;
use serde_json::json;

use super::confirm::{can_ask, confirmed};
use super::reading::{OfProject, found_group, parse_target, print_json};
use crate::account::Account;
use crate::exit::Refused;
use crate::records::locks::{self, HeldLock, Locked};
use crate::records::names;
use crate::records::target::Target;
use crate::view::moment::ago;
use crate::view::table::Table;

/// How long `end-execution` may take until a lock is free.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Shows which execution deploys a module or a deployment, and which one waits.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Locks {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only locks of this deployment, group or module.
    #[arg(value_name = "DEPLOYMENT[/GROUP[/MODULE]]", value_parser = parse_target)]
    target: Option<Target>,
    #[command(flatten)]
    project: OfProject,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Releases a lock whose holder has ended and left it behind. It asks first, and refuses while the holder runs.
    #[command(after_help = "Example: seedflow locks release dev/network/vpc --project shop")]
    Release(Release),
}

/// Which lock to release.
#[derive(Debug, Args)]
struct Release {
    /// The module, or the deployment.
    #[arg(value_name = "DEPLOYMENT[/GROUP/MODULE]", value_parser = parse_target)]
    target: Target,
    #[command(flatten)]
    project: OfProject,
    /// Does not ask for confirmation.
    #[arg(long, short)]
    yes: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl Locks {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        if let Some(Action::Release(release)) = self.action {
            return release.run(account, ui).await;
        }
        let project = project(&self.project, account).await?;
        let (bucket, step_functions) = (account.bucket(), account.step_functions());
        let mut held = locks::list(&bucket, &step_functions, &project, self.target.as_ref()).await?;
        if held.is_empty() {
            names::refuse_unknown_project(account, &project).await?;
        }
        let mut of = project.to_string();
        if let Some(target) = &self.target {
            of = format!("{project}/{target}");
            // A lock may be held before anything is recorded of its module.
            if held.is_empty() {
                let target = names::meant(account, &project, target).await?;
                held = locks::list(&bucket, &step_functions, &project, Some(&target)).await?;
                of = format!("{project}/{target}");
            }
        }
        if self.json {
            print_json(json!({"project": project, "locks": held}), ui)?;
        } else if held.is_empty() {
            ui.say(format!("No lock of {of} is held: nothing is being deployed."));
        } else {
            table(&held, Timestamp::now()).show(ui);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The project that is meant. A lock may be held before anything is recorded of its project.
async fn project(named: &OfProject, account: &Account) -> Result<Name> {
    let project = named.find_unchecked(account).await?;
    project.ok_or_else(|| names::nothing(account))
}

fn table(held: &[HeldLock], now: Timestamp) -> Table {
    let mut table = Table::new(["MODULE", "HELD", "BY", "WHICH", "NEXT"]);
    for lock in held {
        let state = match lock.running {
            Some(true) => "runs",
            Some(false) => "has ended",
            None => "is unknown to Step Functions",
        };
        let next = lock.waiter_name().zip(lock.waiting_since);
        let next = next.map(|(name, since)| format!("{name}, waiting since {}", ago(since, now)));
        table.row([
            lock.of.as_str().into(),
            ago(lock.since, now).into(),
            lock.holder_name().into(),
            state.into(),
            next.unwrap_or_default().into(),
        ]);
    }
    table
}

impl Release {
    async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let project = project(&self.project, account).await?;
        let (of, lock) = self.find(account, &project).await?;
        let Some(lock) = lock else {
            self.say(&of, None, "free", ui)?;
            return Ok(ExitCode::SUCCESS);
        };
        let seen = locks::seen(&account.step_functions(), &lock.holder.execution).await?;
        let cancel = account.command(&["cancel", lock.holder.execution.name()]);
        if let Some(why) = refusal(&lock, seen, Timestamp::now(), &cancel) {
            return Err(Refused(format!("{}: {why}", of.name())).into());
        }
        if !self.yes {
            can_ask("locks release")?;
            let (name, holder) = (of.name(), lock.holder.execution.name());
            let question = format!("Release the lock of {name}, whose holder {holder} has ended?");
            if !confirmed(&question).await? {
                return Err(Refused("nothing was released".to_owned()).into());
            }
        }
        self.release(account, &project, &of, &lock).await?;
        self.say(&of, Some(&lock), "released", ui)?;
        Ok(ExitCode::SUCCESS)
    }

    /// What is named, with its lock.
    async fn find(&self, account: &Account, project: &Name) -> Result<(Locked, Option<Lock>)> {
        let bucket = account.bucket();
        // A lock may be held before anything is recorded of its module.
        if let Ok(of) = Locked::of(&self.target, project)
            && let Some(lock) = locks::find(&bucket, &of).await?
        {
            return Ok((of, Some(lock)));
        }
        names::refuse_unknown_project(account, project).await?;
        let target = names::meant(account, project, &self.target).await?;
        let of = Locked::of(&target, project).map_err(|_| {
            let lists = account.command_about("locks", &target, project);
            found_group(&target, &lists, "shows the locks of its modules")
        })?;
        let lock = locks::find(&bucket, &of).await?;
        Ok((of, lock))
    }

    /// Starts `end-execution`, which stops what the holder left running, then releases the lock and wakes who waits.
    async fn release(&self, account: &Account, project: &Name, of: &Locked, lock: &Lock) -> Result<()> {
        let end = account
            .step_functions()
            .with_end_execution(account.end_execution_arn());
        let holder = &lock.holder.execution;
        match of {
            Locked::Module(id) => end.start_end(holder, id).await?,
            Locked::Deployment(id) => end.start_end(holder, id).await?,
        }
        let bucket = account.bucket();
        let gone = async {
            loop {
                let held = locks::find(&bucket, of).await?;
                if held.is_none_or(|held| held.fence != lock.fence) {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        match tokio::time::timeout(PATIENCE, gone).await {
            Ok(released) => released,
            Err(_) => bail!(
                "{}: the lock is still held after two minutes; the executions of {} say why (docs/operations.md), and `{}` shows when it is free",
                of.name(),
                account.end_execution_arn(),
                account.command(&["locks", "--project", project.as_str()])
            ),
        }
    }

    fn say(&self, of: &Locked, lock: Option<&Lock>, what: &str, ui: &Ui) -> Result<()> {
        if self.json {
            let holder = lock.map(|lock| lock.holder.execution.as_str());
            return print_json(json!({"of": of.name(), "lock": what, "holder": holder}), ui);
        }
        ui.say(format!("The lock of {} is {what}.", of.name()));
        Ok(())
    }
}

/// Why a lock may not be released.
fn refusal(lock: &Lock, seen: Seen, now: Timestamp, cancel: &str) -> Option<String> {
    let holder = lock.holder.execution.name();
    match seen {
        Seen::Running => Some(format!(
            "its holder {holder} still runs; `{cancel}` stops it, and then the lock is released by itself"
        )),
        _ if lock.has_ended(seen, now) => None,
        _ => Some(format!(
            "Step Functions doesn't know its holder {holder}, which may have just started; try again in ten minutes"
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lock_is_released_only_after_its_holder() {
        let lock: Lock = serde_json::from_value(json!({
            "holder": {"execution": "arn:aws:states:r:1:execution:m:e1", "started_at": "2026-11-29T12:00:00Z"},
            "fence": 1, "run": "0".repeat(32), "acquired_at": "2026-11-29T12:00:00Z",
        }))
        .unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (soon, later) = (at("2026-11-29T12:01:00Z"), at("2026-11-29T13:00:00Z"));
        let running = refusal(&lock, Seen::Running, later, "seedflow cancel e1").unwrap();
        assert!(
            running.contains("still runs") && running.contains("cancel e1"),
            "{running}"
        );
        assert!(
            refusal(&lock, Seen::Unknown, soon, "")
                .unwrap()
                .contains("ten minutes")
        );
        assert_eq!(refusal(&lock, Seen::Unknown, later, ""), None);
        assert_eq!(refusal(&lock, Seen::Ended(None), soon, ""), None);
    }
}
