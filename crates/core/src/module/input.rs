//! Parses the input of a module's execution.
//!
//! The input has two forms. People and programs write the four names, a source and options (docs/architecture.md,
//! "Input of an execution"). An upload produces only a source; the names are in its key, and the options in the
//! bundle's `manifest.yaml`. Both forms become one [`DeployInput`]. A value of this type is syntactically valid;
//! whether the source exists is known only after reading it. An input that destroys a module contains only its names;
//! the commands are in the record of the last success.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::{JsonFields, describe};
use crate::ids::{ExecutionArn, ModuleId};
use crate::module::maximum::{ComputeType, Maxima};
use crate::module::metadata_reference::UpstreamMetadata;
use crate::module::parameters::Parameters;
use crate::storage_layout;

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

/// The location of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The bucket.
    pub bucket: String,
    /// The key of the zip.
    pub key: String,
    /// The version. If the input names none, it is the version that was read first.
    pub version_id: Option<String>,
    /// The module's folder within the zip, `""` for the zip's root.
    pub path: String,
}

/// Settings of the build. `None` means the deployspec's or the template's value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSettings {
    /// The CodeBuild project.
    pub project_name: Option<String>,
    /// The build image.
    pub image: Option<String>,
    /// The compute type of the build's machine.
    pub compute_type: Option<ComputeType>,
    /// Minutes until CodeBuild ends the build.
    pub timeout_minutes: Option<u64>,
    /// Such as `LINUX_CONTAINER`.
    pub environment_type: Option<String>,
    /// Whether the build may run Docker.
    pub privileged: Option<bool>,
    /// Versions of runtimes by name; they override those of the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub runtimes: BTreeMap<String, String>,
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
    Destroy(ModuleId),
}

impl ModuleInput {
    /// Parses the whole input.
    pub fn parse(input: &Value, limits: &Limits) -> Result<Self> {
        let mut fields = JsonFields::of("", input)?;
        part_of(input)?;
        match fields.choice("action", &["deploy", "destroy"])?.as_deref() {
            Some("destroy") => destroyed(fields).map(Self::Destroy),
            _ => DeployInput::read(fields, limits).map(|request| Self::Deploy(Box::new(request))),
        }
    }

    /// The module that the input names.
    #[must_use]
    pub fn module(self) -> ModuleId {
        match self {
            Self::Deploy(request) => request.module,
            Self::Destroy(module) => module,
        }
    }
}

/// The module of an input that destroys.
fn destroyed(mut fields: JsonFields) -> Result<ModuleId> {
    let [project, deployment, group, module] = required_names(names(&mut fields)?)?;
    let module = ModuleId::parse(&project, &deployment, &group, &module)?;
    for key in [
        "source",
        "parameters",
        "force_update",
        "bundle",
        "build",
        "stack_name",
    ] {
        if let Some(value) = fields.any(key) {
            return Err(Error::field(
                key,
                describe(&value),
                "nothing beside \"action\": \"destroy\", which runs what the last successful deployment left",
            ));
        }
    }
    fields.finish()?;
    Ok(module)
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

const ENVIRONMENT_TYPES: [&str; 3] = ["LINUX_CONTAINER", "LINUX_GPU_CONTAINER", "ARM_CONTAINER"];

impl DeployInput {
    fn read(mut fields: JsonFields, limits: &Limits) -> Result<Self> {
        let module = module_of(&mut fields)?;
        let source = Source::parse(&fields.any("source").unwrap_or(Value::Null), limits)?;
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

/// A shortened input with only the names and a key: the whole input would not fit into a deployment's state. The
/// planner stores the whole input in the work bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredInput {
    /// The module that both inputs have to name.
    module: ModuleId,
    /// The key of the whole input.
    pub key: String,
}

impl StoredInput {
    /// The input that is sent instead of a long one.
    #[must_use]
    pub fn sent(module: &ModuleId, key: &str) -> Value {
        let mut sent = json!(module);
        sent["input_key"] = json!(key);
        sent
    }

    /// Reads a shortened input; `None` if it is a whole one.
    ///
    /// # Errors
    /// `InvalidInput` if it has more than the names and the key, or a key outside the planner's folder.
    pub fn of(input: &Value) -> Result<Option<Self>> {
        if input.get("input_key").is_none() {
            return Ok(None);
        }
        let mut fields = JsonFields::of("", input)?;
        let module = module_of(&mut fields)?.ok_or_else(|| no_names(""))?;
        let key = fields.required_text("input_key")?;
        fields.finish()?;
        if !storage_layout::is_stored_input(&key) {
            return Err(Error::field(
                "input_key",
                format!("\"{}\"", excerpt(&key, 120)),
                "a key under plans/, where the planner of a deployment stores inputs; give the input itself instead",
            ));
        }
        Ok(Some(Self { module, key }))
    }

    /// Checks the whole input that was loaded.
    ///
    /// # Errors
    /// `InvalidInput` if it names another module: the lock belongs to the module of the shortened input.
    pub fn check(&self, found: Value) -> Result<Value> {
        match module_named(&found) {
            Some(module) if module == self.module => Ok(found),
            _ => Err(Error::field(
                "input_key",
                format!("the input of another module in {}", self.key),
                format!("the input of {}", self.module),
            )),
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
fn module_named(input: &Value) -> Option<ModuleId> {
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
fn module_of(fields: &mut JsonFields) -> Result<Option<ModuleId>> {
    let names = names(fields)?;
    if names.iter().all(Option::is_none) {
        return Ok(None);
    }
    let [project, deployment, group, module] = required_names(names)?;
    ModuleId::parse(&project, &deployment, &group, &module).map(Some)
}

fn no_names(key: &str) -> Error {
    Error::field(
        "project, deployment, group, module",
        format!("nothing, and source.key \"{}\"", excerpt(key, 120)),
        "the four names, or a key like sources/{project}/{deployment}/{group}/{module}.zip, which holds them",
    )
}

impl Source {
    /// Reads the `source` of an input.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub(crate) fn parse(value: &Value, limits: &Limits) -> Result<Self> {
        if value.is_null() {
            return Err(Error::field(
                "source",
                "nothing",
                "{\"key\": \"uploads/…/module.zip\"} with optional bucket, version_id and path",
            ));
        }
        let mut fields = JsonFields::of("source", value)?;
        let source = Self {
            bucket: fields
                .text("bucket")?
                .unwrap_or_else(|| limits.work_bucket.clone()),
            key: fields.required_text("key")?,
            // In a bucket that had no versions yet, an object has the version "null".
            version_id: fields.text_or_empty("version_id")?,
            path: fields.text_or_empty("path")?.unwrap_or_default(),
        };
        fields.finish()?;
        source.check(limits)
    }

    fn check(mut self, limits: &Limits) -> Result<Self> {
        if self.bucket != limits.work_bucket {
            return Err(Error::field(
                "source.bucket",
                format!("\"{}\"", excerpt(&self.bucket, 80)),
                format!(
                    "{}, the only bucket that the functions and the builds may read; upload the bundle there",
                    limits.work_bucket
                ),
            ));
        }
        if !storage_layout::is_upload(&self.key) {
            return Err(Error::field(
                "source.key",
                format!("\"{}\"", excerpt(&self.key, 120)),
                "a key under sources/ or uploads/",
            ));
        }
        self.path = normal_path(&self.path).ok_or_else(|| {
            Error::field(
                "source.path",
                format!("\"{}\"", excerpt(&self.path, 120)),
                "a folder within the zip such as modules/vpc: no leading slash, no .., and of shell-safe characters (letters, digits, . _ - + @ and /)",
            )
        })?;
        Ok(self)
    }
}

/// A folder within a zip without `.` and trailing slashes; `None` if it leaves the zip, is absolute or contains
/// characters that are special in a shell.
pub(crate) fn normal_path(path: &str) -> Option<String> {
    let safe = |part: &&str| {
        part.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-+@".contains(&b))
            && *part != ".."
    };
    if path.starts_with('/') {
        return None;
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    parts.iter().all(safe).then(|| parts.join("/"))
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
        Ok(Self {
            consumed: consumed
                .map(|upstream| (upstream.to_string(), known.deployed_by(&upstream)))
                .collect(),
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
        let build = build.map(|value| BuildSettings::parse(&value, limits));
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
    let default = module.dashed();
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

impl BuildSettings {
    pub(crate) fn parse(value: &Value, limits: &Limits) -> Result<Self> {
        let mut fields = JsonFields::of("build", value)?;
        let maxima = &limits.maxima;
        let settings = Self {
            project_name: project_name(fields.text("project_name")?, limits)?,
            image: image(fields.text("image")?)?,
            compute_type: compute_type(&mut fields, maxima)?,
            timeout_minutes: timeout_minutes(&mut fields, maxima)?,
            environment_type: fields.choice("environment_type", &ENVIRONMENT_TYPES)?,
            privileged: fields.flag("privileged")?,
            runtimes: fields
                .any("runtimes")
                .map_or_else(|| Ok(BTreeMap::new()), |value| runtimes(&value))?,
        };
        fields.finish()?;
        Ok(settings)
    }
}

fn compute_type(fields: &mut JsonFields, maxima: &Maxima) -> Result<Option<ComputeType>> {
    let names = ComputeType::ALL.map(ComputeType::as_str);
    let asked = fields.choice("compute_type", &names)?;
    let Some(asked) = asked.as_deref().and_then(ComputeType::parse) else {
        return Ok(None);
    };
    let checked = maxima.compute_type(asked);
    checked
        .map(Some)
        .map_err(|above| above.in_field("build.compute_type"))
}

fn timeout_minutes(fields: &mut JsonFields, maxima: &Maxima) -> Result<Option<u64>> {
    // CodeBuild's own bounds (StartBuild, timeoutInMinutesOverride).
    let Some(asked) = fields.number("timeout_minutes", 5, Maxima::OF_AWS.timeout_minutes)? else {
        return Ok(None);
    };
    let checked = maxima.timeout_minutes(asked);
    checked
        .map(Some)
        .map_err(|above| above.in_field("build.timeout_minutes"))
}

fn project_name(given: Option<String>, limits: &Limits) -> Result<Option<String>> {
    let default = &limits.codebuild_project;
    match given {
        None => Ok(None),
        Some(name) => {
            let ours = name == *default
                || name
                    .strip_prefix(default.as_str())
                    .is_some_and(|rest| rest.starts_with('-'));
            let valid = name.len() <= 150
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if ours && valid {
                return Ok(Some(name));
            }
            Err(Error::field(
                "build.project_name",
                format!("\"{}\"", excerpt(&name, 80)),
                format!(
                    "{default}, or a name that starts with {default}-, up to 150 letters, digits, hyphens and underscores"
                ),
            ))
        }
    }
}

/// CodeBuild's `runtime-versions` (CodeBuild user guide, "Build specification reference"). CodeBuild knows the valid
/// names and versions, and refuses others when the build starts.
fn runtimes(value: &Value) -> Result<BTreeMap<String, String>> {
    const PATH: &str = "build.runtimes";
    let Value::Object(map) = value else {
        return Err(Error::field(
            PATH,
            describe(value),
            "an object from a runtime's name to its version",
        ));
    };
    let plain = |text: &str| {
        (1..=40).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let one = |(name, version): (&String, &Value)| match version {
        Value::String(text) if plain(name) && plain(text) => Ok((name.clone(), text.clone())),
        other => Err(Error::field(
            &format!("{PATH}.{}", excerpt(name, 40)),
            describe(other),
            "a name such as python with a text such as \"3.12\"; up to 40 letters, digits and . _ - each",
        )),
    };
    map.iter().map(one).collect()
}

fn image(given: Option<String>) -> Result<Option<String>> {
    match given {
        Some(image) if image.len() > 512 || image.contains(char::is_whitespace) => Err(Error::field(
            "build.image",
            format!("\"{}\"", excerpt(&image, 80)),
            "an image such as aws/codebuild/standard:7.0, without spaces",
        )),
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;

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
            ModuleInput::Destroy(module) => panic!("{module} would be destroyed"),
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
    fn any_input_may_say_whose_part_it_is() {
        let deployment = "arn:aws:states:r:1:execution:deploy:e";
        let part = |mut input: Value| {
            input["part_of"] = json!(deployment);
            input
        };
        let deploy = part(input(|_| ()));
        assert_eq!(part_of(&deploy), Ok(Some(ExecutionArn::new(deployment))));
        assert!(parse(&deploy).is_ok());
        let four = json!({"project": "p", "deployment": "d", "group": "g", "module": "m"});
        let destroy = part(
            json!({"action": "destroy", "project": "p", "deployment": "d", "group": "g", "module": "m"}),
        );
        assert!(ModuleInput::parse(&destroy, &limits()).is_ok());
        let module: ModuleId = serde_json::from_value(four).unwrap();
        assert!(
            StoredInput::of(&part(StoredInput::sent(&module, "plans/e/i.json")))
                .unwrap()
                .is_some()
        );
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
        let cases: [(Change, &str); 32] = [
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
                |v| v["build"] = json!({"timeout_minutes": 4}),
                "build.timeout_minutes: expected a whole number from 5 to 2160, found 4",
            ),
            (
                |v| v["build"] = json!({"timeout_minutes": 5.5}),
                "build.timeout_minutes: expected …found 5.5",
            ),
            (
                |v| v["build"] = json!({"timeout_minutes": 481}),
                "build.timeout_minutes: expected at most 480 (template parameter MaxBuildTimeoutMinutes), found 481",
            ),
            (
                |v| v["build"] = json!({"compute_type": "BUILD_GENERAL1_XLARGE"}),
                "build.compute_type: expected at most BUILD_GENERAL1_LARGE (template parameter MaxBuildComputeType), found BUILD_GENERAL1_XLARGE",
            ),
            (
                |v| v["build"] = json!({"project_name": "other"}),
                "build.project_name: expected seedflow…found \"other\"",
            ),
            (|v| v["build"] = json!({"image": "a b"}), "build.image"),
            (|v| v["build"] = json!({"privileged": "no"}), "build.privileged"),
            (
                |v| v["build"] = json!({"environment_type": "WINDOWS_CONTAINER"}),
                "build.environment_type",
            ),
            (
                |v| v["build"] = json!({"runtimes": {"python": 3.1}}),
                "build.runtimes.python: expected a name such as python with a text…found 3.1",
            ),
            (
                |v| v["build"] = json!({"runtimes": ["python"]}),
                "build.runtimes: expected …found a list",
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
    fn what_is_not_above_the_limits_is_taken() {
        let most = json!({"compute_type": "BUILD_GENERAL1_LARGE", "timeout_minutes": 480});
        let stack = |name: &str, prefix: &str| {
            let input = input(|v| v["stack_name"] = json!(name));
            let limits = Limits {
                stack_name_prefix: prefix.into(),
                ..limits()
            };
            let order = ModuleInput::parse(&input, &limits)?;
            let ModuleInput::Deploy(request) = order else {
                panic!("it would be destroyed")
            };
            Ok::<_, Error>(request.options.unwrap().stack_name)
        };
        let request = parse(&input(|v| v["build"] = most)).unwrap();
        let build = request.options.unwrap().build;
        assert_eq!(
            (build.compute_type, build.timeout_minutes),
            (Some(ComputeType::Large), Some(480))
        );
        assert_eq!(stack("p-other", "{project}-").unwrap(), "p-other");
        assert_eq!(stack("team-x-vpc", "team-x-").unwrap(), "team-x-vpc");
        // The module's default stack name is valid with any prefix.
        assert_eq!(stack("p-d-g-m", "team-x-").unwrap(), "p-d-g-m");
        assert!(stack("p-other", "team-x-").is_err());
    }

    #[test]
    fn an_upload_in_upper_case_is_nobodys() {
        let upload = json!({"source": {"key": "sources/PROJB/d/g/m.zip"}});
        let error = DeployInput::module(&upload, &limits()).unwrap_err();
        assert!(
            says(&error.message, "project: expected …found \"PROJB\""),
            "{error}"
        );
    }

    #[test]
    fn a_stored_input_is_read_only_from_its_place_and_for_its_module() {
        let module = DeployInput::module(&input(|_| ()), &limits()).unwrap();
        let sent = StoredInput::sent(&module, "plans/e/1.json");
        let stored = StoredInput::of(&sent).unwrap().unwrap();
        assert_eq!(stored.key, "plans/e/1.json");
        assert_eq!(stored.check(input(|_| ())), Ok(input(|_| ())));
        assert!(stored.check(input(|v| v["module"] = json!("other"))).is_err());
        assert_eq!(StoredInput::of(&input(|_| ())), Ok(None));
        for bad in [json!("callbacks/x"), json!(7), json!("")] {
            let bad = input(|v| v["input_key"] = bad);
            assert!(StoredInput::of(&bad).is_err());
        }
        let more = json!({"project": "p", "deployment": "d", "group": "g", "module": "m", "input_key": "plans/x", "bundle": true});
        assert!(StoredInput::of(&more).unwrap_err().message.starts_with("bundle"));
    }

    #[test]
    fn a_failure_is_recorded_where_the_names_are_valid_and_only_there() {
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
    fn who_wants_a_module_destroyed_gives_its_names_and_nothing_else() {
        let order = |change: fn(&mut Value)| {
            let mut input =
                json!({"action": "destroy", "project": "p", "deployment": "d", "group": "g", "module": "m"});
            change(&mut input);
            ModuleInput::parse(&input, &limits())
        };
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        assert_eq!(order(|_| ()), Ok(ModuleInput::Destroy(module)));
        for (change, part) in [
            (
                (|v| v["source"] = json!({"key": "uploads/x.zip"})) as fn(&mut Value),
                "source: expected nothing beside \"action\": \"destroy\"…found an object",
            ),
            (|v| v["bundle"] = json!(false), "bundle: expected …found false"),
            (|v| v["module"] = json!(null), "module: expected …found nothing"),
            (
                |v| v["other"] = json!(1),
                "other: expected …found an unknown field",
            ),
        ] {
            let error = order(change).unwrap_err();
            assert!(says(&error.message, part), "{} / {part}", error.message);
        }
        let explicit = ModuleInput::parse(&input(|v| v["action"] = json!("deploy")), &limits());
        assert!(matches!(explicit, Ok(ModuleInput::Deploy(_))));
    }
}
