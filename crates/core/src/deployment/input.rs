//! Parses the input of an execution that deploys a repository.
//!
//! The input has two forms, as for a module. People and programs write one of them. An upload to
//! `sources/{project}/repository.zip` produces the other, which has only a source.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::deployment::manifest_options::ManifestOptions;
use crate::deployment::rollback::{After, OnFailure, To};
use crate::deployment::selection::{Forced, Selection, refuse_unknown, selectors};
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::formats::json_fields::JsonFields;
use crate::ids::{DeploymentId, ExecutionArn, ExecutionName, ModuleId, Name};
use crate::module::input::Limits;
use crate::module::metadata_reference::ModuleRef;
use crate::module::source::Source;
use crate::started_by::{REQUESTER, STARTED_BY, StartedBy};
use crate::storage_layout::{deployment_of_repository, project_of_repository};
use crate::telemetry::log_context::LogContext;
use crate::telemetry::observed::Observed;

/// The parsed input of a deployment's execution.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentInput {
    /// The project.
    pub project: Name,
    /// The action.
    pub action: DeploymentAction,
    /// The selected modules.
    pub only: Selection,
    /// Only plan; change nothing.
    pub plan_only: bool,
    /// Whether a plan that is refused is recorded: it is the check of what is handed over next.
    pub record_refusal: bool,
    /// Whether the previews of a plan run, which changes nothing either. A deployment that waits for an approval runs them anyway.
    pub preview: bool,
    /// Who started the execution, if known.
    pub started_by: Option<StartedBy>,
}

/// The action on a deployment.
#[derive(Debug, Clone, PartialEq)]
pub enum DeploymentAction {
    /// Deploy the contents of the repository.
    Deploy {
        /// The repository.
        source: Source,
        /// Which manifest of it, and with which variables.
        options: ManifestOptions,
        /// The modules that are deployed even if nothing changed.
        force: Forced,
        /// What is done if a module fails.
        on_failure: OnFailure,
    },
    /// Destroy its modules.
    Destroy {
        /// The deployment's name: no repository is needed.
        deployment: Name,
    },
    /// Deploy what an earlier execution deployed.
    Rollback {
        /// The deployment's name: no repository is needed.
        deployment: Name,
        /// The execution; `None` for the last success that is not what is deployed now.
        to: To,
        /// Whether modules that did not exist then are destroyed.
        destroy_new: bool,
        /// The failure after which it started by itself.
        after: Option<After>,
    },
}

/// The module or deployment whose lock an execution holds or waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Locked {
    /// A module.
    Module(ModuleId),
    /// A whole deployment.
    Deployment(DeploymentId),
}

impl Locked {
    /// Its name in logs and metrics.
    #[must_use]
    pub fn log_context(&self, execution: &ExecutionArn) -> LogContext {
        match self {
            Self::Module(module) => module.log_context(Some(execution)),
            Self::Deployment(deployment) => deployment.log_context(Some(execution)),
        }
    }
}

impl DeploymentInput {
    /// The time by which the execution takes its place among those that wait, if it isn't that of its start: a rollback that
    /// starts by itself.
    #[must_use]
    pub fn place(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.action {
            DeploymentAction::Rollback { after, .. } => after.as_ref().map(|after| after.place(now)),
            DeploymentAction::Deploy { .. } | DeploymentAction::Destroy { .. } => None,
        }
    }

    /// Whether an error of planning concerns the deployment, so that its status has it. Temporary errors do not, nor do errors
    /// of an input that names a deployment: that may never have existed.
    #[must_use]
    pub fn is_decided_by(&self, error: &Error) -> bool {
        match error.name {
            ErrorName::Throttled | ErrorName::ServiceUnavailable => false,
            ErrorName::InvalidInput => matches!(self.action, DeploymentAction::Deploy { .. }),
            _ => true,
        }
    }

    /// Parses an execution's input.
    ///
    /// # Errors
    /// `InvalidInput` with the field, the value found and the values allowed.
    pub fn parse(input: &Value, limits: &Limits) -> Result<Self> {
        let mut fields = JsonFields::of("", input)?;
        let started_by = StartedBy::of(input)?;
        for field in [STARTED_BY, REQUESTER] {
            fields.any(field);
        }
        let project = fields.text("project")?;
        let only = Selection(selectors("only", fields.any("only"))?);
        let plan_only = fields.flag("plan_only")?.unwrap_or(false);
        let record_refusal = fields.flag("record_refusal")?.unwrap_or(false);
        if record_refusal && !plan_only {
            return Err(Error::field(
                "record_refusal",
                "true without plan_only",
                "true together with \"plan_only\": true; every other refusal is recorded anyway",
            ));
        }
        let preview = fields.flag("preview")?.unwrap_or(false);
        if preview && !plan_only {
            return Err(Error::field(
                "preview",
                "true without plan_only",
                "true together with \"plan_only\": true; a deployment that waits for an approval runs previews anyway",
            ));
        }
        let action = fields.choice("action", &["deploy", "destroy", "rollback"])?;
        if let (true, Some(other @ ("destroy" | "rollback"))) = (preview, action.as_deref()) {
            return Err(Error::field(
                "preview",
                format!("true in a {other}"),
                "true in a deployment only: nothing else runs previews",
            ));
        }
        let (project, action) = match action.as_deref() {
            Some("destroy") => destroy(project, &mut fields)?,
            Some("rollback") => roll_back(project, &mut fields)?,
            _ => deploy(project, &mut fields, limits)?,
        };
        fields.finish()?;
        Ok(Self {
            project,
            action,
            only,
            plan_only,
            record_refusal,
            preview,
            started_by,
        })
    }

    /// Refuses selected or forced names that do not exist.
    ///
    /// # Errors
    /// `InvalidInput` with the selector and the existing names.
    pub fn refuse_unknown(&self, known: &[ModuleRef]) -> Result<()> {
        refuse_unknown("only", &self.only.0, known)?;
        match &self.action {
            DeploymentAction::Deploy {
                force: Forced::Some(selectors),
                ..
            } => refuse_unknown("force_update", selectors, known),
            _ => Ok(()),
        }
    }

    /// Refuses a repository whose manifest describes another deployment than the key of its upload names: a person who
    /// may write to that key may deploy no other one.
    ///
    /// # Errors
    /// `InvalidInput` with both.
    pub fn check_deployment(&self, found: &DeploymentId) -> Result<()> {
        let DeploymentAction::Deploy { source, .. } = &self.action else {
            return Ok(());
        };
        match deployment_of_repository(&source.key) {
            Some((project, deployment))
                if (project, deployment) != (found.project.as_str(), found.deployment.as_str()) =>
            {
                Err(Error::field(
                    "source.key",
                    format!(
                        "\"{}\" with the manifest of {}/{}",
                        excerpt(&source.key, 160),
                        found.project,
                        found.deployment
                    ),
                    format!(
                        "a manifest of the project {project} and the deployment {deployment}, which the key names"
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whether the execution deploys everything in the repository. Such an execution may replace one that waits. One
    /// that does less, or something else, would cancel the other's work. A rollback that started by itself may wait, because
    /// everything that was started meanwhile comes before it ([`After::place`]).
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let waits = match &self.action {
            DeploymentAction::Deploy { .. } => true,
            DeploymentAction::Rollback { after, .. } => after.is_some(),
            DeploymentAction::Destroy { .. } => false,
        };
        self.only.is_everything() && waits
    }
}

fn deploy(
    project: Option<String>,
    fields: &mut JsonFields,
    limits: &Limits,
) -> Result<(Name, DeploymentAction)> {
    let source = Source::parse(&fields.any("source").unwrap_or(Value::Null), &limits.work_bucket)?;
    let own = deployment_of_repository(&source.key);
    let uploaded = project_of_repository(&source.key).or_else(|| own.map(|(project, _)| project));
    let project = match project.or_else(|| uploaded.map(str::to_owned)) {
        Some(project) => ModuleId::project(&project)?,
        None => {
            return Err(Error::field(
                "project",
                format!("nothing, and source.key \"{}\"", excerpt(&source.key, 120)),
                "the project, or a key like sources/{project}/repository.zip or own/{principal}/repositories/{project}/{deployment}.zip, which holds it",
            ));
        }
    };
    let options = ManifestOptions::take(fields)?;
    let force = match fields.any("force_update") {
        Some(Value::Bool(true)) => Forced::All,
        Some(Value::Bool(false)) | None => Forced::Some(Vec::new()),
        list => Forced::Some(selectors("force_update", list)?),
    };
    let on_failure = fields.choice("on_failure", &OnFailure::ALLOWED)?;
    let action = DeploymentAction::Deploy {
        source,
        options,
        force,
        on_failure: on_failure.as_deref().map(OnFailure::of).unwrap_or_default(),
    };
    Ok((project, action))
}

fn destroy(project: Option<String>, fields: &mut JsonFields) -> Result<(Name, DeploymentAction)> {
    let (project, deployment) = named(project, fields, "destroy")?;
    Ok((project, DeploymentAction::Destroy { deployment }))
}

fn roll_back(project: Option<String>, fields: &mut JsonFields) -> Result<(Name, DeploymentAction)> {
    let (project, deployment) = named(project, fields, "roll back")?;
    let to = fields.text("to")?;
    let after = fields.any("after");
    let action = DeploymentAction::Rollback {
        deployment,
        to: to.map(|to| ExecutionName::parse(&to)).transpose()?,
        destroy_new: fields.flag("destroy_new")?.unwrap_or(false),
        after: after.map(|after| After::parse(&after)).transpose()?,
    };
    Ok((project, action))
}

/// The two names of an input that needs no repository.
fn named(project: Option<String>, fields: &mut JsonFields, verb: &str) -> Result<(Name, Name)> {
    let needed = |field: &str| {
        let allowed = format!("a text; the field is required to {verb}");
        Error::field(field, "nothing", allowed)
    };
    let project = ModuleId::project(&project.ok_or_else(|| needed("project"))?)?;
    let deployment = fields.text("deployment")?.ok_or_else(|| needed("deployment"))?;
    Ok((project, Name::parse("deployment", &deployment)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;
    use serde_json::json;

    fn parse(input: Value) -> Result<DeploymentInput> {
        let limits = Limits::of_aws("work", "seedflow");
        DeploymentInput::parse(&input, &limits)
    }

    fn module(group: &str, module: &str) -> ModuleId {
        ModuleId::parse("p", "d", group, module).unwrap()
    }

    #[test]
    fn an_upload_to_an_own_folder_deploys_what_its_key_names() {
        let key = "own/AROAEXAMPLE:ada/repositories/shop/dev.zip";
        let request =
            parse(json!({"source": {"bucket": "work", "key": key}, "requester": "123456789012"})).unwrap();
        assert_eq!(request.project.as_str(), "shop");
        assert_eq!(request.started_by.as_ref().unwrap().principal, "AROAEXAMPLE:ada");
        let named = |project: &str, deployment: &str| DeploymentId {
            project: ModuleId::project(project).unwrap(),
            deployment: Name::parse("deployment", deployment).unwrap(),
        };
        assert_eq!(request.check_deployment(&named("shop", "dev")), Ok(()));
        for (project, deployment) in [("shop", "prod"), ("other", "dev")] {
            let error = request.check_deployment(&named(project, deployment)).unwrap_err();
            assert!(
                says(
                    &error.message,
                    &format!(
                        "source.key: expected …project shop and the deployment dev…manifest of {project}/{deployment}"
                    )
                ),
                "{error}"
            );
        }
        let elsewhere = parse(json!({"source": {"key": "sources/shop/repository.zip"}})).unwrap();
        assert_eq!(elsewhere.check_deployment(&named("shop", "prod")), Ok(()));
    }

    #[test]
    fn an_upload_deploys_the_whole_repository() {
        let request = parse(
            json!({"source": {"bucket": "work", "key": "sources/my/repository.zip", "version_id": "v"}}),
        )
        .unwrap();
        assert_eq!(request.project.as_str(), "my");
        let DeploymentAction::Deploy { options, .. } = &request.action else {
            panic!("no deployment")
        };
        assert_eq!(*options, ManifestOptions::default());
        assert!(request.is_whole() && !request.plan_only);
        let one_of_several = parse(json!({"source": {"key": "sources/my/prod/repository.zip"}})).unwrap();
        assert_eq!(one_of_several.project.as_str(), "my");
        assert!(request.only.covers(&module("g", "m")));
    }

    #[test]
    fn only_a_plan_may_ask_that_its_refusal_is_recorded() {
        let input = |plan_only: bool| {
            parse(
                json!({"project": "p", "source": {"key": "uploads/r.zip"}, "plan_only": plan_only, "record_refusal": true}),
            )
        };
        assert!(input(true).unwrap().record_refusal);
        let error = input(false).unwrap_err();
        assert!(error.message.starts_with("record_refusal: "), "{error}");
    }

    #[test]
    fn what_is_selected_and_forced_is_by_group_or_by_module() {
        let request = parse(json!({
            "project": "p", "source": {"key": "uploads/r.zip"}, "manifest": "a/./b.yaml", "plan_only": true,
            "only": ["g", "h/m"], "force_update": ["h"], "env": {"A": "x", "B": 1},
        }))
        .unwrap();
        let covered = [("g", "a"), ("h", "m"), ("h", "n")].map(|(g, m)| request.only.covers(&module(g, m)));
        assert_eq!(covered, [true, true, false]);
        assert!(!request.is_whole());
        let DeploymentAction::Deploy { options, force, .. } = request.action else {
            panic!("no deployment")
        };
        assert_eq!(
            (options.manifest.as_deref(), options.env["B"].as_str()),
            (Some("a/b.yaml"), "1")
        );
        assert_eq!(
            [("g", "a"), ("h", "n")].map(|(g, m)| force.covers(&module(g, m))),
            [false, true]
        );
    }

    #[test]
    fn what_is_selected_has_to_be_there() {
        let known = [
            ModuleRef::from(&module("g", "a")),
            ModuleRef::from(&module("h", "m")),
            // Of the manifest, and deployed.
            ModuleRef::from(&module("g", "a")),
        ];
        let of = |only: Value, force: Value| {
            let input = json!({"project": "p", "source": {"key": "uploads/r.zip"}, "only": only, "force_update": force});
            parse(input).unwrap().refuse_unknown(&known)
        };
        assert!(of(json!(["g", "h/m"]), json!(["g/a"])).is_ok());
        let error = of(json!(["g", "h/x"]), json!(false)).unwrap_err();
        assert_eq!(
            error.message,
            "only: expected a group or a module of g/a, h/m, found \"h/x\", which is neither in the manifest nor deployed; did you mean h/m?"
        );
        assert!(
            of(json!([]), json!(["x"]))
                .unwrap_err()
                .message
                .starts_with("force_update")
        );
    }

    #[test]
    fn destroying_needs_the_name_and_no_repository() {
        let request = parse(json!({"project": "p", "deployment": "d", "action": "destroy"})).unwrap();
        assert_eq!(
            request.action,
            DeploymentAction::Destroy {
                deployment: Name::parse("d", "d").unwrap()
            }
        );
        assert!(!request.is_whole());
    }

    #[test]
    fn a_rollback_needs_the_name_and_waits_only_if_it_started_by_itself() {
        let input = json!({"project": "p", "deployment": "d", "action": "rollback"});
        let request = parse(input.clone()).unwrap();
        let by_request = DeploymentAction::Rollback {
            deployment: Name::parse("d", "d").unwrap(),
            to: None,
            destroy_new: false,
            after: None,
        };
        assert_eq!(request.action, by_request);
        assert!(!request.is_whole());
        let mut by_itself = input.clone();
        by_itself["to"] = json!("arn:aws:states:r:1:execution:m:good");
        by_itself["after"] =
            json!({"execution": "bad", "started_at": "2026-11-29T12:00:00Z", "cause": "exit 3"});
        let request = parse(by_itself).unwrap();
        assert!(request.is_whole());
        let DeploymentAction::Rollback { to: Some(to), .. } = request.action else {
            panic!("no rollback")
        };
        assert_eq!(to.as_str(), "good");
        let mut beside = input;
        beside["force_update"] = json!(true);
        let error = parse(beside).unwrap_err();
        assert!(
            says(&error.message, "force_update: expected …found an unknown field"),
            "{error}"
        );
        let deploys = |on_failure: &str| {
            parse(json!({"project": "p", "source": {"key": "uploads/r.zip"}, "on_failure": on_failure}))
        };
        assert!(matches!(
            deploys("rollback").unwrap().action,
            DeploymentAction::Deploy {
                on_failure: OnFailure::RollBack,
                ..
            }
        ));
        assert!(deploys("retry").unwrap_err().message.starts_with("on_failure: "));
    }

    #[test]
    fn each_bad_field_is_named_with_what_is_allowed() {
        let source = json!({"key": "uploads/r.zip"});
        for (input, part) in [
            (json!({}), "source: expected …found nothing"),
            (
                json!({"source": source}),
                "project: expected …found nothing, and source.key",
            ),
            (
                json!({"source": {"key": "sources/a/b/c/repository.zip"}}),
                "project: expected …found nothing",
            ),
            (
                json!({"source": {"key": "sources/My/repository.zip"}}),
                "project: expected 1 to 64 letters in lower case, digits and hyphens, which start with a letter and don't end with a hyphen, found \"My\"; write my",
            ),
            (
                json!({"project": "1p", "source": source}),
                "project: expected …found \"1p\"",
            ),
            (
                json!({"project": "p", "source": source, "manifest": "../x"}),
                "manifest: expected …found \"../x\"",
            ),
            (
                json!({"project": "p", "source": source, "only": "g"}),
                "only: expected a list…found \"g\"",
            ),
            (
                json!({"project": "p", "source": source, "only": ["g/m/x"]}),
                "only[0]: expected …found \"m/x\"",
            ),
            (
                json!({"project": "p", "source": source, "force_update": [7]}),
                "force_update[0]: expected …found 7",
            ),
            (
                json!({"project": "p", "source": source, "env": {"A": [1]}}),
                "env.A: expected …found a list",
            ),
            (
                json!({"project": "p", "source": source, "deployment": "d"}),
                "deployment: expected …found an unknown field",
            ),
            (
                json!({"project": "p", "action": "destroy"}),
                "deployment: expected …found nothing",
            ),
            (
                json!({"project": "p", "deployment": "d", "action": "destroy", "source": source}),
                "source: expected …found an unknown field",
            ),
            (
                json!({"project": "p", "source": source, "action": "remove"}),
                "action: expected …found \"remove\"",
            ),
        ] {
            let error = parse(input).unwrap_err();
            assert!(says(&error.message, part), "{} / {part}", error.message);
        }
    }
}
