//! `policy`: what may not be deployed or destroyed in a deployment, by any kind of request (docs/guardrails.md).
//!
//! A policy is a document (`.json`), rules in Rego (`.rego`, [`super::rego`]), or both.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use seedflow_core::deployment::plan::changes_of;
use seedflow_core::deployment::plan_json::{PlanJson, has_changes};
use seedflow_core::error::ErrorName;
use seedflow_core::ids::DeploymentId;
use seedflow_core::policy::rego::{MAX_REGO_BYTES, RuleResult};
use seedflow_core::policy::{
    ApprovalRule, Decision, DeploymentPolicy, MAX_BYTES, Starts, StoredPolicy, version_of,
};
use seedflow_terminal::Ui;
use serde::Serialize;
use serde_json::{Value, json};

use super::reading::{OfProject, parse_target, print_json};
use super::rego;
use crate::account::{Account, StackArguments};
use crate::exit::{self, Refused, Wrong};
use crate::records::names;
use crate::records::target::Target;

/// Shows, checks, tries and stores the policy of a deployment: what may not be deployed or destroyed, by any kind of request
///
/// A policy is a JSON document, rules in Rego (.rego), or both (docs/guardrails.md). All fields of a document are optional:
///
///   protect       modules that are never destroyed: ["network/vpc", "data/*"]
///   max_destroys  the maximum number of modules that one deployment destroys: 2
///   freeze        times at which nothing is deployed: [{"start": "Fri 16:00", "end": "Mon 06:00", "time_zone": "Europe/Berlin"}]
///   stopped       the kill switch, with its reason for everybody: "incident 4711"
///   approval      which plans wait for a person: "never", "destroys", "changes" or "always"
///   approvers     who may decide: ["arn:aws:iam::111122223333:role/release-*"]
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Policy {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows the policy of a deployment, as it is stored.
    #[command(after_help = "Example: seedflow policy show prod --project shop")]
    Show(Show),
    /// Checks documents and rules, and stores them as the policy of a deployment. Needs credentials that AdministratorPrincipalArns names.
    #[command(after_help = "Example: seedflow policy set prod prod.json --project shop")]
    Set(Set),
    /// Checks a document or rules, offline.
    #[command(after_help = "Example: seedflow policy validate prod.json")]
    Validate(Validate),
    /// Tries a document, rules or both on a saved plan (`seedflow plan --json`), offline. Ends with 4 if the plan is refused.
    #[command(
        after_help = "Example: seedflow policy test prod.json --plan plan.json --at 2026-12-24T18:00:00Z"
    )]
    Test(Test),
}

/// The deployment.
#[derive(Debug, Args)]
struct Show {
    /// The deployment.
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
    /// The deployment.
    #[arg(value_name = "DEPLOYMENT", value_parser = parse_target)]
    deployment: Target,
    /// The document (.json; `{}` allows everything), the rules (.rego; `package seedflow` allows everything), or both. A
    /// part that you leave out stays as it is.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    project: OfProject,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Which document or rules.
#[derive(Debug, Args)]
struct Validate {
    /// A document (.json) or rules (.rego).
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Which document, and which plan.
#[derive(Debug, Args)]
struct Test {
    /// A document (.json), rules (.rego), or both.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The file with the output of `seedflow plan --json`.
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
                let texts = texts(&command.files)?;
                command.run(texts, &Account::find(stack, ui).await?, ui).await
            }
        }
    }
}

impl Show {
    async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let of = deployment(&self.deployment, &self.project, account).await?;
        let document = stored(account, &of, &of.policy_key(), MAX_BYTES).await?;
        let rules = stored(account, &of, &of.rego_key(), MAX_REGO_BYTES).await?;
        if document.is_none() && rules.is_none() {
            // A policy may be older than its deployment.
            self.project.meant(account, &self.deployment).await?;
        }
        let mut problems = Vec::new();
        if let Some(text) = &document {
            problems.extend(DeploymentPolicy::parse(text).err().unwrap_or_default());
        }
        let rules = rules.map(|text| String::from_utf8_lossy(&text).into_owned());
        if let Some(text) = &rules {
            problems.extend(rego::problem(&of.rego_key(), text));
        }
        if self.json {
            print_json(shown(&of, document.as_deref(), rules.as_deref(), &problems), ui)?;
        } else if document.is_none() && rules.is_none() {
            ui.say(format!("{of} has no policy: everything is allowed."));
        } else {
            let document = document.map(|text| String::from_utf8_lossy(&text).into_owned());
            for text in document.iter().chain(&rules) {
                ui.say(text.trim_end());
            }
        }
        if problems.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        ui.complain(&format!(
            "The policy is not valid, so nothing is allowed:\n{}",
            problems.join("\n")
        ));
        Ok(ExitCode::from(exit::FAILED))
    }
}

/// The policy as JSON. Without one it has only the deployment.
fn shown(of: &DeploymentId, document: Option<&[u8]>, rules: Option<&str>, problems: &[String]) -> Value {
    let mut shown = json!({"deployment": of});
    if let Some(text) = document {
        shown["policy"] = serde_json::from_slice(text).unwrap_or_default();
        shown["document"] = json!(of.policy_key());
        shown["version"] = json!(version_of(text));
    }
    if let Some(text) = rules {
        shown["rego"] =
            json!({"document": of.rego_key(), "version": version_of(text.as_bytes()), "rules": text});
    }
    if document.is_some() || rules.is_some() {
        shown["problems"] = json!(problems);
    }
    shown
}

/// A stored object of a policy.
async fn stored(account: &Account, of: &DeploymentId, key: &str, most: u64) -> Result<Option<Vec<u8>>> {
    let found = account.bucket().get(key, most).await;
    let found = found.map_err(|error| match error.name {
        ErrorName::AccessDenied => anyhow::anyhow!(
            "{of} has no policy, or these credentials may not read it: only a principal that AdministratorPrincipalArns names can learn which of both is true. {}",
            error.message
        ),
        _ => error.into(),
    })?;
    Ok(found.map(|(text, _)| text))
}

impl Set {
    async fn run(self, texts: Vec<Text>, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let of = deployment(&self.deployment, &self.project, account).await?;
        let mut stored = Vec::new();
        for text in texts {
            let (key, text, what) = match text {
                Text::Document(text) => (of.policy_key(), text, "this policy"),
                Text::Rules(text) => (of.rego_key(), text, "these rules"),
            };
            account.bucket().put(&key, text.clone()).await.with_context(|| {
                format!(
                    "cannot store s3://{}/{key}; the stack's AdministratorPrincipalArns has to name the caller, who needs s3:PutObject on policies/*",
                    account.work_bucket
                )
            })?;
            let version = version_of(text.as_bytes());
            if !self.json {
                ui.say(format!("{of} has {what} now, version {}.", &version[..12]));
            }
            stored.push(json!({"document": key, "version": version}));
        }
        if self.json {
            print_json(json!({"deployment": of, "stored": stored}), ui)?;
        }
        // It may come before the deployment, or be for none because of a misspelling.
        match self.project.meant(account, &self.deployment).await {
            Ok(_) => {}
            Err(unknown) if unknown.is::<Refused>() => ui.complain(&format!(
                "warning: {of} was never deployed, so the policy counts from its first deployment: {unknown}"
            )),
            Err(error) => ui.complain(&format!(
                "warning: it is not known whether {of} was ever deployed: {error:#}"
            )),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Validate {
    fn run(self, ui: &Ui) -> Result<ExitCode> {
        for file in &self.files {
            texts(std::slice::from_ref(file))?;
            if !self.json {
                ui.say(format!("{} is a valid policy.", file.display()));
            }
        }
        if self.json {
            print_json(json!({"valid": self.files}), ui)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the document and the rules say of a plan.
#[derive(Debug, Default, Serialize)]
struct Tested {
    #[serde(flatten)]
    decision: Option<Decision>,
    /// Why the plan would wait for an approval.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    approval: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rego: Option<RuleResult>,
}

impl Test {
    fn run(self, ui: &Ui) -> Result<ExitCode> {
        let now = self.at.unwrap_or_else(Timestamp::now);
        let plan = read(&self.plan)?;
        let plan: PlanJson = serde_json::from_str(&plan).with_context(|| {
            format!(
                "{}: expected the output of `seedflow plan --json`",
                self.plan.display()
            )
        })?;
        let tested = tested(&self.files, &plan, now)?;
        let decided = tested
            .decision
            .iter()
            .flat_map(|decision| decision.broken.clone());
        let found = tested.rego.iter().flat_map(RuleResult::broken);
        let broken: Vec<String> = decided.chain(found).collect();
        if self.json {
            print_json(json!(tested), ui)?;
        } else {
            for warning in tested.rego.iter().flat_map(|result| &result.findings.warn) {
                ui.say(format!("warning: {warning}"));
            }
            let rules = tested.rego.iter().flat_map(RuleResult::approvals);
            let rules = rules.map(|reason| format!("rules: {reason}"));
            let waits: Vec<String> = tested.approval.iter().cloned().chain(rules).collect();
            match (broken.is_empty(), waits.is_empty()) {
                (true, true) => ui.say("The policy allows the plan."),
                (true, false) => ui.say(format!(
                    "The policy allows the plan once it is approved:\n{}",
                    waits.join("\n")
                )),
                (false, _) => ui.say(format!("The policy refuses the plan:\n{}", broken.join("\n"))),
            }
        }
        Ok(match broken.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(exit::REFUSED),
        })
    }
}

fn tested(files: &[PathBuf], plan: &PlanJson, now: Timestamp) -> Result<Tested> {
    let mut tested = Tested::default();
    texts(files)?;
    for file in files {
        match rego::is_rego(file) {
            true => tested.rego = Some(rego::result(file, plan, now)?),
            false => {
                let text = document(file)?;
                tested.decision = Some(decide(&text, plan, now));
                tested.approval = waits(&text, plan);
            }
        }
    }
    Ok(tested)
}

fn decide(policy: &str, plan: &PlanJson, now: Timestamp) -> Decision {
    let policy = StoredPolicy::of(&plan.deployment, policy.as_bytes());
    policy.decide(&changes_of(&plan.modules), now)
}

/// Why a plan would wait for an approval by what the policy says. What applies without it is not included.
fn waits(policy: &str, plan: &PlanJson) -> Vec<String> {
    let rule = ApprovalRule::of(Some(&StoredPolicy::of(&plan.deployment, policy.as_bytes())));
    let may_start = has_changes(&plan.modules)
        || plan
            .modules
            .iter()
            .any(|module| !module.redeploy_if_changed.is_empty());
    let reasons = rule.reasons(&Starts {
        changes: &changes_of(&plan.modules),
        starts_anything: may_start,
        deployed: plan.modules.len(),
        destroys_by_request: false,
    });
    reasons.into_iter().filter(|_| rule.mode.is_some()).collect()
}

/// A part of a policy.
enum Text {
    Document(String),
    Rules(String),
}

/// The parts of a policy, which are valid, at most one of each kind.
fn texts(files: &[PathBuf]) -> Result<Vec<Text>> {
    let (rules, documents): (Vec<&PathBuf>, Vec<&PathBuf>) =
        files.iter().partition(|file| rego::is_rego(file));
    if rules.len() > 1 || documents.len() > 1 {
        bail!(Wrong(format!(
            "expected at most one document (.json) and one file of rules (.rego), found {} and {}",
            documents.len(),
            rules.len()
        )));
    }
    let documents = documents
        .into_iter()
        .map(|file| document(file).map(Text::Document));
    let rules = rules.into_iter().map(|file| rego::rules(file).map(Text::Rules));
    documents.chain(rules).collect()
}

async fn deployment(target: &Target, project: &OfProject, account: &Account) -> Result<DeploymentId> {
    if target.group.is_some() {
        return Err(Wrong(format!(
            "{target}: expected a deployment, found a part of one; a policy is for a whole deployment"
        ))
        .into());
    }
    let project = project.find_unchecked(account).await?;
    let project = project.ok_or_else(|| names::nothing(account))?;
    Ok(target.deployment(&project))
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
    match DeploymentPolicy::parse(text.as_bytes()) {
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
            let plan = serde_json::from_value(plan.clone()).unwrap();
            decide(&policy, &plan, time.parse().unwrap()).broken
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
    }

    #[test]
    fn a_policy_says_that_a_plan_would_wait() {
        let plan = json!({"deployment": {"project": "p", "deployment": "prod"}, "modules": [
            {"group": "network", "module": "vpc", "action": "deploy", "reasons": ["bundle changed"]}]});
        let plan: PlanJson = serde_json::from_value(plan).unwrap();
        let always = waits(r#"{"approval": "always"}"#, &plan);
        assert_eq!(always, ["approval: always: network/vpc to change"]);
        assert!(waits(r#"{"approval": "never"}"#, &plan).is_empty());
        assert!(waits("{}", &plan).is_empty());
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
