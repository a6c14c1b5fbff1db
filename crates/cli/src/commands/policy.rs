//! `policy`: what may not be deployed or destroyed in a deployment, by any kind of request (docs/guardrails.md).

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use seedflow_core::deployment::plan::{PlannedModule, changes_of};
use seedflow_core::error::ErrorName;
use seedflow_core::ids::DeploymentId;
use seedflow_core::policy::{Decision, MAX_BYTES, Policy as Document, StoredPolicy, version_of};
use seedflow_terminal::Ui;
use serde::Deserialize;
use serde_json::{Value, json};

use super::reading::{OfProject, parse_target, print_json};
use crate::account::{Account, StackArguments};
use crate::exit::{self, Wrong};
use crate::records::target::Target;

/// Shows, checks, tries and stores the policy of a deployment: what may not be deployed or destroyed, by any kind of request.
#[derive(Debug, Args)]
pub struct Policy {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows the policy of a deployment, as it is stored.
    Show(Show),
    /// Checks a document and stores it as the policy of a deployment. Needs credentials that AdministratorPrincipalArns names.
    Set(Set),
    /// Checks a document, offline.
    Validate(Validate),
    /// Decides by a document on a saved plan (`seedflow plan --json`), offline. Ends with 4 if the plan is refused.
    Test(Test),
}

/// Of which deployment.
#[derive(Debug, Args)]
struct Show {
    #[arg(value_name = "DEPLOYMENT", value_parser = parse_target)]
    deployment: Target,
    #[command(flatten)]
    project: OfProject,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Which document for which deployment.
#[derive(Debug, Args)]
struct Set {
    #[arg(value_name = "DEPLOYMENT", value_parser = parse_target)]
    deployment: Target,
    /// The document; `{}` allows everything.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    project: OfProject,
}

/// Which document.
#[derive(Debug, Args)]
struct Validate {
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Which document, and which plan.
#[derive(Debug, Args)]
struct Test {
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What `seedflow plan --json` printed.
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// The time to decide for, such as 2026-12-24T18:00:00Z [default: now].
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl Policy {
    /// Runs the command.
    pub async fn run(self, stack: &StackArguments, ui: &Ui) -> Result<ExitCode> {
        match self.action {
            Action::Validate(command) => command.run(ui),
            Action::Test(command) => command.run(ui),
            Action::Show(command) => command.run(&Account::find(stack, ui).await?, ui).await,
            Action::Set(command) => {
                let text = document(&command.file)?;
                command.run(&text, &Account::find(stack, ui).await?, ui).await
            }
        }
    }
}

impl Show {
    async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let of = deployment(&self.deployment, &self.project, account).await?;
        let found = account.bucket().get(&of.policy_key(), MAX_BYTES).await;
        let found = found.map_err(|error| match error.name {
            ErrorName::AccessDenied => anyhow::anyhow!(
                "{of} has no policy, or these credentials may not read it: S3 gives the difference only to a principal that AdministratorPrincipalArns names. {}",
                error.message
            ),
            _ => error.into(),
        })?;
        let Some((text, _)) = found else {
            match self.json {
                true => print_json(json!({"deployment": of, "policy": null}), ui)?,
                false => ui.say(format!("{of} has no policy: everything is allowed.")),
            }
            return Ok(ExitCode::SUCCESS);
        };
        if self.json {
            let policy: Value = serde_json::from_slice(&text).unwrap_or_default();
            let shown = json!({
                "deployment": of, "document": of.policy_key(), "version": version_of(&text), "policy": policy,
                "problems": Document::parse(&text).err().unwrap_or_default(),
            });
            print_json(shown, ui)?;
        } else {
            ui.say(String::from_utf8_lossy(&text).trim_end());
        }
        if let Err(problems) = Document::parse(&text) {
            ui.complain(&format!(
                "The document is not valid, so nothing is allowed:\n{}",
                problems.join("\n")
            ));
            return Ok(ExitCode::from(exit::FAILED));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Set {
    async fn run(self, text: &str, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let of = deployment(&self.deployment, &self.project, account).await?;
        let key = of.policy_key();
        account.bucket().put(&key, text.to_owned()).await.with_context(|| {
            format!(
                "cannot store s3://{}/{key}; it takes a principal that AdministratorPrincipalArns of the stack names, with s3:PutObject on policies/*",
                account.work_bucket
            )
        })?;
        ui.say(format!(
            "{of} has this policy now, version {}.",
            &version_of(text.as_bytes())[..12]
        ));
        Ok(ExitCode::SUCCESS)
    }
}

impl Validate {
    fn run(self, ui: &Ui) -> Result<ExitCode> {
        document(&self.file)?;
        ui.say(format!("{} is a valid policy.", self.file.display()));
        Ok(ExitCode::SUCCESS)
    }
}

impl Test {
    fn run(self, ui: &Ui) -> Result<ExitCode> {
        let text = document(&self.file)?;
        let decision = decide(&text, &read(&self.plan)?, self.at.unwrap_or_else(Timestamp::now))
            .with_context(|| {
                format!(
                    "{}: expected what `seedflow plan --json` prints",
                    self.plan.display()
                )
            })?;
        if self.json {
            print_json(json!(decision), ui)?;
        } else if decision.broken.is_empty() {
            ui.say("The policy allows the plan.");
        } else {
            ui.say(format!(
                "The policy refuses the plan:\n{}",
                decision.broken.join("\n")
            ));
        }
        Ok(match decision.broken.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(exit::REFUSED),
        })
    }
}

/// A plan as `seedflow plan --json` prints it.
#[derive(Deserialize)]
struct SavedPlan {
    deployment: DeploymentId,
    modules: Vec<PlannedModule>,
}

fn decide(policy: &str, plan: &str, now: Timestamp) -> serde_json::Result<Decision> {
    let plan: SavedPlan = serde_json::from_str(plan)?;
    let policy = StoredPolicy::of(&plan.deployment, policy.as_bytes());
    Ok(policy.decide(&changes_of(&plan.modules), now))
}

async fn deployment(target: &Target, project: &OfProject, account: &Account) -> Result<DeploymentId> {
    if target.group.is_some() {
        return Err(Wrong(format!(
            "{target}: expected a deployment, found a part of one; a policy is that of a whole deployment"
        ))
        .into());
    }
    Ok(target.deployment(&project.find(account).await?))
}

/// A document that is a valid policy.
fn document(file: &Path) -> Result<String> {
    let text = read(file)?;
    if text.len() as u64 > MAX_BYTES {
        bail!(
            "{}: expected at most {MAX_BYTES} bytes, found {}",
            file.display(),
            text.len()
        );
    }
    match Document::parse(text.as_bytes()) {
        Ok(_) => Ok(text),
        Err(problems) => bail!(
            "{} is not a valid policy:\n{}",
            file.display(),
            problems.join("\n")
        ),
    }
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_saved_plan_is_decided_on_for_a_given_time() {
        let policy = json!({
            "protect": ["data/*"],
            "freeze": [{"start": "Fri 16:00", "end": "Mon 06:00", "time_zone": "Europe/Berlin"}],
        })
        .to_string();
        let plan = json!({
            "deployment": {"project": "p", "deployment": "prod"}, "changes": true, "counts": {},
            "modules": [
                {"group": "network", "module": "vpc", "action": "deploy", "reasons": ["bundle changed"]},
                {"group": "data", "module": "store", "action": "unchanged", "reasons": []},
            ],
        });
        let at = |plan: &Value, time: &str| {
            let decision = decide(&policy, &plan.to_string(), time.parse().unwrap()).unwrap();
            decision.broken
        };
        assert!(at(&plan, "2026-12-08T12:00:00Z").is_empty());
        let friday = at(&plan, "2026-12-04T15:00:00Z");
        assert!(friday[0].starts_with("freeze[0]: "), "{friday:?}");
        let mut emptied = plan.clone();
        emptied["modules"][1]["action"] = json!("destroy");
        let refused = at(&emptied, "2026-12-08T12:00:00Z");
        assert_eq!(
            refused,
            ["protect[0]: expected data/* to stay, found data/store to be destroyed"]
        );
        assert!(decide(&policy, "{}", Timestamp::UNIX_EPOCH).is_err());
    }

    #[test]
    fn a_document_is_validated_offline_and_every_problem_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prod.json");
        let validated = |text: &str| {
            std::fs::write(&file, text).unwrap();
            document(&file).map_err(|error| error.to_string())
        };
        let good = r#"{"protect": ["data/*"], "max_destroys": 0, "stopped": "why"}"#;
        assert_eq!(validated(good).as_deref(), Ok(good));
        let problems = validated(r#"{"protekt": [], "max_destroys": -1}"#).unwrap_err();
        for part in ["prod.json is not a valid policy:", "protekt", "max_destroys"] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
        let long = validated(&" ".repeat(70_000)).unwrap_err();
        assert!(
            long.contains("expected at most 65536 bytes, found 70000"),
            "{long}"
        );
        let missing = document(&folder.path().join("none.json"))
            .unwrap_err()
            .to_string();
        assert!(
            missing.starts_with("cannot read ") && missing.contains("none.json"),
            "{missing}"
        );
    }
}
