//! Parses the input of a module's execution.
//!
//! The input has two forms. People and programs write the four names, a source and options (docs/architecture.md,
//! "Input of an execution"). An upload produces only a source; the names are in its key, and the options in the
//! bundle's `manifest.yaml`. Both forms become one [`DeployInput`]. A value of this type is syntactically valid;
//! whether the source exists is known only after reading it. An input that destroys a module contains its names; the
//! commands are in the record of the last success, or in a newer source that repairs them.

mod options;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::{JsonFields, describe};
use crate::ids::{ExecutionArn, ExecutionName, ModuleId};
use crate::module::source::Source;
use crate::started_by::{REQUESTER, STARTED_BY, StartedBy};

pub(crate) use options::MAX_STACK_NAME;
pub use options::{Limits, Options};

/// The action of an execution on a module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModuleAction {
    /// Run its deploy phases if it changed.
    #[default]
    Deploy,
    /// Run its destroy phases and remove its stored state.
    Destroy,
}

/// An execution's input.
#[derive(Debug, Clone, PartialEq)]
pub enum ModuleInput {
    /// Deploy a module.
    Deploy(Box<DeployInput>),
    /// Destroy a module.
    Destroy(DestroyInput),
    /// Deploy what an earlier execution deployed.
    Rollback(RollbackInput),
    /// Mark a module, so that the next deployment deploys it.
    Taint(ModuleId),
}

impl ModuleInput {
    /// Parses the whole input.
    pub fn parse(input: &Value, limits: &Limits) -> Result<Self> {
        let mut fields = JsonFields::of("", input)?;
        part_of(input)?;
        StartedBy::of(input)?;
        match fields
            .choice("action", &["deploy", "destroy", "rollback", "taint"])?
            .as_deref()
        {
            Some("destroy") => DestroyInput::read(fields, limits).map(Self::Destroy),
            Some("rollback") => RollbackInput::read(fields).map(Self::Rollback),
            Some("taint") => tainted(fields).map(Self::Taint),
            _ => DeployInput::read(fields, limits).map(|request| Self::Deploy(Box::new(request))),
        }
    }

    /// The module that the input names.
    #[must_use]
    pub fn module(self) -> ModuleId {
        match self {
            Self::Deploy(request) => request.module,
            Self::Destroy(request) => request.module,
            Self::Rollback(request) => request.module,
            Self::Taint(module) => module,
        }
    }
}

/// An input that destroys a module.
#[derive(Debug, Clone, PartialEq)]
pub struct DestroyInput {
    /// The module.
    pub module: ModuleId,
    /// A newer source for its destroy phases; `None` for those that deployed it.
    pub source: Option<Source>,
}

impl DestroyInput {
    fn read(mut fields: JsonFields, limits: &Limits) -> Result<Self> {
        let module = required_module(names(&mut fields)?)?;
        let source = fields.any("source");
        let source = source.map(|source| Source::parse(&source, &limits.work_bucket));
        refuse_beside(&mut fields, &OPTIONS, OF_THE_LAST_SUCCESS)?;
        fields.finish()?;
        Ok(Self {
            module,
            source: source.transpose()?,
        })
    }
}

/// An input that deploys what an earlier execution deployed ([`crate::module::rollback`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackInput {
    /// The module.
    pub module: ModuleId,
    /// The execution; `None` for the last one that succeeded with something else than what is deployed now.
    pub to: Option<ExecutionName>,
    /// Whether it is deployed only if something differs from what is deployed, with the values that other modules publish
    /// now. The rollback of a whole deployment asks for that.
    pub only_changes: bool,
}

impl RollbackInput {
    fn read(mut fields: JsonFields) -> Result<Self> {
        let module = required_module(names(&mut fields)?)?;
        let to = fields.text("to")?;
        let to = to.map(|to| ExecutionName::parse(&to)).transpose()?;
        let only_changes = fields.flag("only_changes")?.unwrap_or(false);
        refuse_beside(&mut fields, &["source"], OF_THE_EARLIER)?;
        refuse_beside(&mut fields, &OPTIONS, OF_THE_EARLIER)?;
        fields.finish()?;
        Ok(Self {
            module,
            to,
            only_changes,
        })
    }
}

/// The module that an input taints.
fn tainted(mut fields: JsonFields) -> Result<ModuleId> {
    let module = required_module(names(&mut fields)?)?;
    refuse_beside(&mut fields, &["source", "to"], OF_A_TAINT)?;
    refuse_beside(&mut fields, &OPTIONS, OF_A_TAINT)?;
    fields.finish()?;
    Ok(module)
}

/// The fields of [`Options`].
const OPTIONS: [&str; 8] = [
    "parameters",
    "force_update",
    "bundle",
    "build",
    "stack_name",
    "redeploy_with_dependencies",
    "target",
    "renamed_from",
];
const OF_THE_LAST_SUCCESS: &str =
    "nothing beside \"action\": \"destroy\", which uses what the last successful deployment used";
const OF_THE_EARLIER: &str =
    "nothing beside \"action\": \"rollback\", which uses what the earlier deployment used";

const OF_A_TAINT: &str = "nothing beside \"action\": \"taint\", which only marks the module";

/// Refuses fields that an action doesn't use.
fn refuse_beside(fields: &mut JsonFields, keys: &[&'static str], allowed: &str) -> Result<()> {
    for key in keys {
        if let Some(value) = fields.any(key) {
            return Err(Error::field(key, describe(&value), allowed));
        }
    }
    Ok(())
}

/// An input that deploys a module.
#[derive(Debug, Clone, PartialEq)]
pub struct DeployInput {
    /// The module.
    pub module: ModuleId,
    /// The source of its bundle.
    pub source: Source,
    /// The options; `None` if an upload started the execution and the bundle's manifest has them.
    pub options: Option<Options>,
}

impl DeployInput {
    fn read(mut fields: JsonFields, limits: &Limits) -> Result<Self> {
        let module = module_of(&mut fields)?;
        let source = Source::parse(&fields.any("source").unwrap_or(Value::Null), &limits.work_bucket)?;
        match module {
            Some(module) => {
                let options = Options::read(&mut fields, &module, limits)?;
                fields.finish()?;
                Ok(Self {
                    module,
                    source,
                    options: Some(options),
                })
            }
            None => {
                let module = ModuleId::from_upload_key(&source.key)?.ok_or_else(|| no_names(&source.key))?;
                fields.finish()?;
                Ok(Self {
                    module,
                    source,
                    options: None,
                })
            }
        }
    }

    /// The module that an input names, even if the rest is invalid: the failure of an invalid input is recorded in that
    /// module's status.
    ///
    /// # Errors
    /// `InvalidInput` if the names themselves are invalid.
    pub fn module(input: &Value, limits: &Limits) -> Result<ModuleId> {
        match (module_named(input), ModuleInput::parse(input, limits)) {
            (Some(module), _) => Ok(module),
            (None, parsed) => parsed.map(ModuleInput::module),
        }
    }
}

/// The field that names the deployment's execution which started this one.
const PART_OF: &str = "part_of";
/// The longest ARN of an execution: both names in it have up to 80 characters.
const MAX_ARN: usize = 256;

/// The deployment's execution that started one with this input, if any.
///
/// # Errors
/// `InvalidInput` if it is not the ARN of an execution.
pub fn part_of(input: &Value) -> Result<Option<ExecutionArn>> {
    match input.get(PART_OF) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(arn)) if arn.contains(":execution:") && arn.len() <= MAX_ARN => {
            Ok(Some(ExecutionArn::new(arn)))
        }
        Some(other) => Err(Error::field(
            PART_OF,
            describe(other),
            "the ARN of the execution that deploys the whole deployment, or nothing; a deployment sets it by itself",
        )),
    }
}

/// The module that an input names, if its names are valid.
pub(crate) fn module_named(input: &Value) -> Option<ModuleId> {
    let text = |key: &str| input.get(key).and_then(Value::as_str);
    if ["project", "deployment", "group", "module"]
        .iter()
        .any(|key| input.get(key).is_some_and(|name| !name.is_null()))
    {
        return ModuleId::parse(
            text("project")?,
            text("deployment")?,
            text("group")?,
            text("module")?,
        )
        .ok();
    }
    ModuleId::from_upload_key(input.get("source")?.get("key")?.as_str()?).ok()?
}

/// The project, the deployment, the group and the module of an input, unparsed.
fn names(fields: &mut JsonFields) -> Result<[Option<String>; 4]> {
    let names = [
        fields.text("project")?,
        fields.text("deployment")?,
        fields.text("group")?,
        fields.text("module")?,
    ];
    // Allowed in every input; read by `part_of` and `StartedBy::of`.
    for field in [PART_OF, STARTED_BY, REQUESTER] {
        fields.any(field);
    }
    Ok(names)
}

fn required_module([project, deployment, group, module]: [Option<String>; 4]) -> Result<ModuleId> {
    let required = |field: &str, name: Option<String>| {
        name.ok_or_else(|| Error::field(field, "nothing", "a text; the field is required"))
    };
    // A missing name is reported before an invalid one.
    let (project, deployment) = (required("project", project)?, required("deployment", deployment)?);
    let (group, module) = (required("group", group)?, required("module", module)?);
    ModuleId::parse(&project, &deployment, &group, &module)
}

/// The module of the four names; `None` if all are absent.
pub(crate) fn module_of(fields: &mut JsonFields) -> Result<Option<ModuleId>> {
    let names = names(fields)?;
    if names.iter().all(Option::is_none) {
        return Ok(None);
    }
    required_module(names).map(Some)
}

pub(crate) fn no_names(key: &str) -> Error {
    let other_archive = match key.is_empty() || key.ends_with(".zip") {
        true => "",
        false => " (only zips are read, no other archives)",
    };
    Error::field(
        "project, deployment, group, module",
        format!("nothing, and source.key \"{}\"{other_archive}", excerpt(key, 120)),
        "the four names, or a key like sources/{project}/{deployment}/{group}/{module}.zip, which holds them",
    )
}

#[cfg(test)]
mod tests;
