//! Parses the input of a module's execution.
//!
//! The input has two forms. People and programs write the four names, a source and options (docs/architecture.md,
//! "Input of an execution"). An upload produces only a source; the names are in its key, and the options in the
//! bundle's `manifest.yaml`. Both forms become one [`DeployInput`]. A value of this type is syntactically valid;
//! whether the source exists is known only after reading it. An input that destroys a module contains its names; the
//! commands are in the record of the last success, or in a newer source that repairs them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::{JsonFields, describe};
use crate::ids::{ExecutionArn, ExecutionName, ModuleId};
use crate::module::build_settings::BuildSettings;
use crate::module::maximum::Maxima;
use crate::module::metadata_reference::UpstreamMetadata;
use crate::module::parameters::Parameters;
use crate::module::source::Source;

/// The template's settings and the limits of an input.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The bucket of the bundles; the functions may not read any other.
    pub work_bucket: String,
    /// The default CodeBuild project. Others are named `{default}-…`, as the functions' permissions require.
    pub codebuild_project: String,
    /// The maxima for a build.
    pub maxima: Maxima,
    /// The required prefix of an input's `stack_name` (the template's `StackNamePrefix`); `{project}` is the module's
    /// project.
    pub stack_name_prefix: String,
}

impl Limits {
    /// Limits with AWS's own maxima, for callers to which the template's are unknown or irrelevant.
    #[must_use]
    pub fn of_aws(work_bucket: impl Into<String>, codebuild_project: impl Into<String>) -> Self {
        Self {
            work_bucket: work_bucket.into(),
            codebuild_project: codebuild_project.into(),
            maxima: Maxima::OF_AWS,
            stack_name_prefix: String::new(),
        }
    }
}

/// The options of an input; a `manifest.yaml` can contain them as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// The module's parameters.
    pub parameters: Parameters,
    /// Whether to deploy even if nothing changed.
    pub force_update: bool,
    /// Whether to keep a copy of the bundle of the last success.
    pub bundle: bool,
    /// Settings of the build.
    pub build: BuildSettings,
    /// The CloudFormation stack with the outputs to record.
    pub stack_name: String,
    /// Whether to redeploy whenever an upstream module was redeployed, even if its values are the same (seed-farmer's
    /// `forceDependencyRedeploy`).
    #[serde(default)]
    pub redeploy_with_dependencies: bool,
    /// The upstream modules, with the builds that published their values; filled when references are resolved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub consumed: BTreeMap<String, Option<String>>,
}

/// The action of an execution on a module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
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
}

impl ModuleInput {
    /// Parses the whole input.
    pub fn parse(input: &Value, limits: &Limits) -> Result<Self> {
        let mut fields = JsonFields::of("", input)?;
        part_of(input)?;
        match fields
            .choice("action", &["deploy", "destroy", "rollback"])?
            .as_deref()
        {
            Some("destroy") => DestroyInput::read(fields, limits).map(Self::Destroy),
            Some("rollback") => RollbackInput::read(fields).map(Self::Rollback),
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
        let [project, deployment, group, module] = required_names(names(&mut fields)?)?;
        let module = ModuleId::parse(&project, &deployment, &group, &module)?;
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
}

impl RollbackInput {
    fn read(mut fields: JsonFields) -> Result<Self> {
        let [project, deployment, group, module] = required_names(names(&mut fields)?)?;
        let module = ModuleId::parse(&project, &deployment, &group, &module)?;
        let to = fields.text("to")?;
        let to = to.map(|to| ExecutionName::parse(&to)).transpose()?;
        refuse_beside(&mut fields, &["source"], OF_THE_EARLIER)?;
        refuse_beside(&mut fields, &OPTIONS, OF_THE_EARLIER)?;
        fields.finish()?;
        Ok(Self { module, to })
    }
}

/// The fields of [`Options`].
const OPTIONS: [&str; 6] = [
    "parameters",
    "force_update",
    "bundle",
    "build",
    "stack_name",
    "redeploy_with_dependencies",
];
const OF_THE_LAST_SUCCESS: &str =
    "nothing beside \"action\": \"destroy\", which uses what the last successful deployment used";
const OF_THE_EARLIER: &str =
    "nothing beside \"action\": \"rollback\", which uses what the earlier deployment used";

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

/// The four names, unparsed or parsed.
type Names<T> = [T; 4];

fn names(fields: &mut JsonFields) -> Result<Names<Option<String>>> {
    let names = [
        fields.text("project")?,
        fields.text("deployment")?,
        fields.text("group")?,
        fields.text("module")?,
    ];
    // Allowed in every input that has names; read by `part_of`.
    fields.any(PART_OF);
    Ok(names)
}

fn required_names([project, deployment, group, module]: Names<Option<String>>) -> Result<Names<String>> {
    let needed = |name: &str, value: Option<String>| {
        value.ok_or_else(|| Error::field(name, "nothing", "a text; the field is required"))
    };
    Ok([
        needed("project", project)?,
        needed("deployment", deployment)?,
        needed("group", group)?,
        needed("module", module)?,
    ])
}

/// The four names; `None` if all are absent.
pub(crate) fn module_of(fields: &mut JsonFields) -> Result<Option<ModuleId>> {
    let names = names(fields)?;
    if names.iter().all(Option::is_none) {
        return Ok(None);
    }
    let [project, deployment, group, module] = required_names(names)?;
    ModuleId::parse(&project, &deployment, &group, &module).map(Some)
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

impl Options {
    /// Reads a bundle's `manifest.yaml` after its conversion to JSON.
    pub fn from_manifest(manifest: &Value, module: &ModuleId, limits: &Limits) -> Result<Self> {
        let empty = json!({});
        let mut fields = JsonFields::of("", if manifest.is_null() { &empty } else { manifest })?;
        let options = Self::read(&mut fields, module, limits)?;
        fields.finish()?;
        Ok(options)
    }

    /// The defaults of all options, for a module with this stack.
    pub(crate) fn of_stack(stack_name: String) -> Self {
        Self {
            parameters: Parameters::default(),
            force_update: false,
            bundle: true,
            build: BuildSettings::default(),
            stack_name,
            redeploy_with_dependencies: false,
            consumed: BTreeMap::new(),
        }
    }

    /// Resolves references to upstream modules in the options of `module`.
    ///
    /// # Errors
    /// `InvalidInput` if a value does not exist.
    pub fn resolve(self, module: &ModuleId, known: &UpstreamMetadata) -> Result<Self> {
        let consumed = self.parameters.upstreams().into_iter();
        let consumed = consumed.map(|upstream| (upstream.to_string(), known.deployed_by(&upstream)));
        Ok(Self {
            // Options of a record are resolved already, and keep what they consumed.
            consumed: self.consumed.into_iter().chain(consumed).collect(),
            parameters: self.parameters.resolve(module, known)?,
            ..self
        })
    }

    fn read(fields: &mut JsonFields, module: &ModuleId, limits: &Limits) -> Result<Self> {
        let parameters = fields.any("parameters");
        let parameters = parameters.map(|value| Parameters::parse("parameters", &value));
        let parameters = parameters.transpose()?;
        let force_update = fields.flag("force_update")?;
        let bundle = fields.flag("bundle")?;
        let build = fields.any("build");
        let build =
            build.map(|value| BuildSettings::parse(&value, &limits.codebuild_project, &limits.maxima));
        let build = build.transpose()?;
        let default = Self::of_stack(stack_name(fields.text("stack_name")?, module, limits)?);
        let redeploy = fields.flag("redeploy_with_dependencies")?;
        Ok(Self {
            parameters: parameters.unwrap_or(default.parameters),
            force_update: force_update.unwrap_or(default.force_update),
            bundle: bundle.unwrap_or(default.bundle),
            build: build.unwrap_or(default.build),
            redeploy_with_dependencies: redeploy.unwrap_or(default.redeploy_with_dependencies),
            ..default
        })
    }
}

/// The longest name of a stack (CloudFormation, CreateStack, `StackName`).
pub(crate) const MAX_STACK_NAME: usize = 128;

/// The stack with the outputs to record. The outputs are shown on the module's page, so an input may not name every
/// stack.
fn stack_name(given: Option<String>, module: &ModuleId, limits: &Limits) -> Result<String> {
    let default = module.stack_name();
    let prefix = limits
        .stack_name_prefix
        .replace("{project}", module.project.as_str());
    let name = given.unwrap_or_else(|| default.clone());
    // The rule of CloudFormation's stack names (CreateStack, `StackName`).
    let valid = name.len() <= MAX_STACK_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let refused = |allowed: String| {
        Err(Error::field(
            "stack_name",
            format!("\"{}\"", excerpt(&name, 140)),
            allowed,
        ))
    };
    if !valid {
        return refused("1 to 128 letters, digits and hyphens, starting with a letter; where the default {project}-{deployment}-{group}-{module} is longer, give a shorter one".to_owned());
    }
    if name != default && !name.starts_with(&prefix) {
        return refused(format!(
            "a name that starts with {prefix} (template parameter StackNamePrefix), or nothing, which is {default}"
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;
    use crate::module::maximum::ComputeType;

    fn limits() -> Limits {
        Limits {
            maxima: Maxima {
                timeout_minutes: 480,
                compute_type: ComputeType::Large,
                ..Maxima::OF_AWS
            },
            stack_name_prefix: "{project}-".into(),
            ..Limits::of_aws("work", "seedflow")
        }
    }

    fn input(change: impl FnOnce(&mut Value)) -> Value {
        let mut input = json!({"project": "p", "deployment": "d", "group": "g", "module": "m", "source": {"key": "uploads/x.zip"}});
        change(&mut input);
        input
    }

    fn parse(input: &Value) -> Result<DeployInput> {
        match ModuleInput::parse(input, &limits())? {
            ModuleInput::Deploy(request) => Ok(*request),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_shortest_input_gets_the_defaults() {
        let request = parse(&input(|_| ())).unwrap();
        let options = request.options.unwrap();
        assert_eq!(request.source.bucket, "work");
        assert_eq!((options.force_update, options.bundle), (false, true));
        assert_eq!(options.stack_name, "p-d-g-m");
    }

    #[test]
    fn an_upload_has_its_names_in_its_key() {
        let upload = json!({"source": {"bucket": "work", "key": "sources/p/d/g/m.zip", "version_id": "v1"}});
        let request = parse(&upload).unwrap();
        assert_eq!(request.module.to_string(), "p/d/g/m");
        assert_eq!(request.options, None);
        assert_eq!(DeployInput::module(&upload, &limits()), Ok(request.module));
    }

    #[test]
    fn any_input_may_name_the_deployments_execution() {
        let deployment = "arn:aws:states:r:1:execution:deploy:e";
        let part = |mut input: Value| {
            input["part_of"] = json!(deployment);
            input
        };
        let deploy = part(input(|_| ()));
        assert_eq!(part_of(&deploy), Ok(Some(ExecutionArn::new(deployment))));
        assert!(parse(&deploy).is_ok());
        let destroy = part(
            json!({"action": "destroy", "project": "p", "deployment": "d", "group": "g", "module": "m"}),
        );
        assert!(ModuleInput::parse(&destroy, &limits()).is_ok());
        assert_eq!(part_of(&input(|_| ())), Ok(None));
        for bad in [
            json!(7),
            json!("deploy"),
            json!(format!("{deployment}{}", "e".repeat(300))),
        ] {
            let error = parse(&input(|v| v["part_of"] = bad)).unwrap_err();
            assert!(error.message.starts_with("part_of: expected "), "{error}");
            assert!(says(&error.message, "found "), "{error}");
        }
    }

    #[test]
    fn each_bad_field_is_named_with_what_is_allowed() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 22] = [
            (
                |v| v["action"] = json!("remove"),
                "action: expected deploy, destroy, found \"remove\"",
            ),
            (
                |v| v["force_update"] = json!("yes"),
                "force_update: expected true or false, found \"yes\"",
            ),
            (
                |v| v["forceupdate"] = json!(true),
                "forceupdate: expected one of action, project, deployment…found an unknown field",
            ),
            (
                |v| v["project"] = json!("P"),
                "project: expected a name in lower case, found \"P\"; write p, under which",
            ),
            (|v| v["group"] = json!("a/b"), "group: expected …found \"a/b\""),
            (|v| v["group"] = json!(7), "group: expected a text…found 7"),
            (|v| v["group"] = json!(null), "group: expected …found nothing"),
            (|v| v["source"] = json!(null), "source: expected …found nothing"),
            (
                |v| v["source"] = json!("s3://x"),
                "source: expected a JSON object, found \"s3://x\"",
            ),
            (
                |v| v["source"]["bucket"] = json!("other"),
                "source.bucket: expected work…found \"other\"",
            ),
            (
                |v| v["source"]["key"] = json!("callbacks/x"),
                "source.key: expected …found \"callbacks/x\"",
            ),
            (
                |v| v["source"]["key"] = json!(""),
                "source.key: expected …found \"\"",
            ),
            (
                |v| v["source"]["path"] = json!("../x"),
                "source.path: expected …found \"../x\"",
            ),
            (|v| v["source"]["path"] = json!("/x"), "source.path"),
            (|v| v["source"]["path"] = json!("a$(id)"), "source.path"),
            (
                |v| v["source"]["version"] = json!("1"),
                "source.version: expected …found an unknown field",
            ),
            (
                |v| v["parameters"] = json!([]),
                "parameters: expected …found a list",
            ),
            (
                |v| v["build"] = json!({"compute_type": "HUGE"}),
                "build.compute_type: expected BUILD_GENERAL1_SMALL…found \"HUGE\"",
            ),
            (
                |v| v["stack_name"] = json!("1x"),
                "stack_name: expected …found \"1x\"",
            ),
            (
                |v| v["stack_name"] = json!("another-stack"),
                "stack_name: expected a name that starts with p- (template parameter StackNamePrefix), or nothing, which is p-d-g-m, found \"another-stack\"",
            ),
            (
                |v| v["stack_name"] = json!("P-stack"),
                "stack_name: expected a name that starts with p-…found \"P-stack\"",
            ),
            (|v| v["bundle"] = json!(1), "bundle: expected …found 1"),
        ];
        for (change, part) in cases {
            let error = parse(&input(change)).unwrap_err();
            assert!(says(&error.message, part), "{} / {part}", error.message);
        }
        assert!(parse(&json!([])).unwrap_err().message.contains("found a list"));
        assert!(parse(&json!({"source": {"key": "uploads/x.zip"}})).is_err());
    }

    #[test]
    fn a_stack_name_is_the_default_or_has_the_prefix() {
        let stack = |name: &str, prefix: &str| {
            let input = input(|v| v["stack_name"] = json!(name));
            let limits = Limits {
                stack_name_prefix: prefix.into(),
                ..limits()
            };
            let parsed = ModuleInput::parse(&input, &limits)?;
            let ModuleInput::Deploy(request) = parsed else {
                panic!("it would be destroyed")
            };
            Ok::<_, Error>(request.options.unwrap().stack_name)
        };
        assert_eq!(stack("p-other", "{project}-").unwrap(), "p-other");
        assert_eq!(stack("team-x-vpc", "team-x-").unwrap(), "team-x-vpc");
        // The module's default stack name is valid with any prefix.
        assert_eq!(stack("p-d-g-m", "team-x-").unwrap(), "p-d-g-m");
        assert!(stack("p-other", "team-x-").is_err());
    }

    #[test]
    fn an_upload_with_a_name_in_upper_case_is_refused() {
        let upload = json!({"source": {"key": "sources/PROJB/d/g/m.zip"}});
        let error = DeployInput::module(&upload, &limits()).unwrap_err();
        assert!(
            says(&error.message, "project: expected …found \"PROJB\""),
            "{error}"
        );
    }

    #[test]
    fn an_upload_without_names_is_refused_with_what_is_wrong_with_its_key() {
        let refused = |key: &str| {
            let upload = json!({"source": {"key": key}});
            DeployInput::module(&upload, &limits()).unwrap_err().message
        };
        let names =
            "expected the four names, or a key like sources/{project}/{deployment}/{group}/{module}.zip";
        for key in ["sources/p/d/m.zip", "sources/p/d/g/m.tar.gz"] {
            let message = refused(key);
            assert!(message.contains(names) && message.contains(key), "{message}");
            assert_eq!(
                message.contains("only zips are read"),
                !key.ends_with(".zip"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_module_is_found_in_an_invalid_input_if_its_names_are_valid() {
        let bad = input(|v| v["source"] = json!(7));
        assert_eq!(
            DeployInput::module(&bad, &limits()).unwrap().to_string(),
            "p/d/g/m"
        );
        let unnamed = DeployInput::module(&input(|v| v["module"] = json!("a/b")), &limits()).unwrap_err();
        assert!(unnamed.message.starts_with("module: expected "), "{unnamed}");
        assert!(says(&unnamed.message, "found \"a/b\""), "{unnamed}");
        assert!(DeployInput::module(&json!("x"), &limits()).is_err());
    }

    #[test]
    fn an_input_that_destroys_or_goes_back_has_the_four_names_and_at_most_a_source_or_an_execution() {
        let destroying = |change: fn(&mut Value)| {
            let mut input =
                json!({"action": "destroy", "project": "p", "deployment": "d", "group": "g", "module": "m"});
            change(&mut input);
            ModuleInput::parse(&input, &limits())
        };
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let destroyed = |source| {
            Ok(ModuleInput::Destroy(DestroyInput {
                module: module.clone(),
                source,
            }))
        };
        assert_eq!(destroying(|_| ()), destroyed(None));
        let source = Source::parse(&json!({"key": "uploads/x.zip"}), "work").unwrap();
        let named = destroying(|v| v["source"] = json!({"key": "uploads/x.zip"}));
        assert_eq!(named, destroyed(Some(source)));
        for (change, part) in [
            (
                (|v| v["parameters"] = json!({})) as fn(&mut Value),
                "parameters: expected nothing beside \"action\": \"destroy\"…found an object",
            ),
            (|v| v["bundle"] = json!(false), "bundle: expected …found false"),
            (|v| v["module"] = json!(null), "module: expected …found nothing"),
            (
                |v| v["other"] = json!(1),
                "other: expected …found an unknown field",
            ),
        ] {
            let error = destroying(change).unwrap_err();
            assert!(says(&error.message, part), "{} / {part}", error.message);
        }
        let rolled_back = |change: fn(&mut Value)| {
            let mut input = json!({"action": "rollback", "project": "p", "deployment": "d", "group": "g",
                "module": "m", "part_of": null, "to": "arn:aws:states:r:1:execution:deploy-module:e"});
            change(&mut input);
            ModuleInput::parse(&input, &limits())
        };
        let to = Some(ExecutionName::parse("e").unwrap());
        let expected = RollbackInput { module, to };
        assert_eq!(rolled_back(|_| ()), Ok(ModuleInput::Rollback(expected)));
        for (change, part) in [
            (
                (|v| v["source"] = json!({"key": "uploads/x.zip"})) as fn(&mut Value),
                "source: expected nothing beside \"action\": \"rollback\"…found an object",
            ),
            (
                |v| v["force_update"] = json!(true),
                "force_update: expected nothing beside …found true",
            ),
            (
                |v| v["to"] = json!("a/b"),
                "to: expected the name or the ARN of an execution…found \"a/b\"",
            ),
        ] {
            let error = rolled_back(change).unwrap_err();
            assert!(says(&error.message, part), "{} / {part}", error.message);
        }
        let explicit = ModuleInput::parse(&input(|v| v["action"] = json!("deploy")), &limits());
        assert!(matches!(explicit, Ok(ModuleInput::Deploy(_))));
    }
}
