//! The options of a module: what an input or an uploaded bundle's `manifest.yaml` says beside the names and the source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::JsonFields;
use crate::ids::{AwsEnvironment, ModuleId};
use crate::module::build_settings::BuildSettings;
use crate::module::former_names;
use crate::module::former_names::FormerNames;
use crate::module::maximum::Maxima;
use crate::module::metadata_reference::{MetadataReference, ModuleRef, UpstreamMetadata};
use crate::module::parameters::Parameters;
use crate::target::Target;

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
    /// The references to upstream modules that were replaced with their values, by parameter: the rollback of a deployment
    /// reads them again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, MetadataReference>,
    /// Where the module is deployed; at home if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The module that this one was, if it was renamed. What was deployed under that name stays, and is this module's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<ModuleRef>,
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
            references: BTreeMap::new(),
            target: None,
            renamed_from: None,
        }
    }

    /// The options of `module`, whose resources are named after the first of its names: so is the stack with its outputs,
    /// if the input names no other.
    #[must_use]
    pub fn named_after(self, former_names: &FormerNames, module: &ModuleId) -> Self {
        let stack_name = match self.stack_name == module.stack_name() {
            true => former_names.of_resources(module).stack_name(),
            false => self.stack_name,
        };
        Self { stack_name, ..self }
    }

    /// Refuses a target that modules may not be deployed in, and home itself: limits that hold there would not apply.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub fn check_target(&self, home: &AwsEnvironment, maxima: &Maxima) -> Result<()> {
        match &self.target {
            Some(target) if home.is(target) => Err(Error::field(
                "target",
                format!("{target}, where Seedflow itself runs"),
                "another account or region, or nothing",
            )),
            Some(target) if !maxima.may_target(target.account()) => Err(Error::field(
                "target.account",
                target.account(),
                format!(
                    "an account that the template parameter TargetAccounts names ({})",
                    maxima.targets_shown()
                ),
            )),
            _ => Ok(()),
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
            references: self
                .references
                .into_iter()
                .chain(self.parameters.references())
                .collect(),
            parameters: self.parameters.resolve(module, known)?,
            ..self
        })
    }

    /// The options with their references to upstream modules in place of the values, as they were before
    /// [`Self::resolve`]. Records of older versions have no references, so their values stay.
    #[must_use]
    pub fn unresolved(self) -> Self {
        Self {
            parameters: self.parameters.referring_to(&self.references),
            ..self
        }
    }

    pub(super) fn read(fields: &mut JsonFields, module: &ModuleId, limits: &Limits) -> Result<Self> {
        let parameters = fields.any("parameters");
        let parameters = parameters.map(|value| Parameters::parse("parameters", &value));
        let parameters = parameters.transpose()?;
        let force_update = fields.flag("force_update")?;
        let bundle = fields.flag("bundle")?;
        let target = fields.any("target").map(|value| target(&value)).transpose()?;
        let maxima = match target {
            Some(_) => &limits.maxima.of_a_target(),
            None => &limits.maxima,
        };
        let build = fields.any("build");
        let build = build.map(|value| BuildSettings::parse(&value, &limits.codebuild_project, maxima));
        let build = build.transpose()?;
        let default = Self::of_stack(stack_name(fields.text("stack_name")?, module, limits)?);
        let redeploy = fields.flag("redeploy_with_dependencies")?;
        let renamed_from = fields.text("renamed_from")?;
        let renamed_from = renamed_from
            .map(|from| former_names::parse(&from, module))
            .transpose()?;
        Ok(Self {
            parameters: parameters.unwrap_or(default.parameters),
            force_update: force_update.unwrap_or(default.force_update),
            bundle: bundle.unwrap_or(default.bundle),
            build: build.unwrap_or(default.build),
            redeploy_with_dependencies: redeploy.unwrap_or(default.redeploy_with_dependencies),
            target,
            renamed_from,
            ..default
        })
    }
}

/// The `target` of an input.
fn target(value: &Value) -> Result<Target> {
    let mut fields = JsonFields::of("target", value)?;
    let (account, region) = (fields.text("account")?, fields.text("region")?);
    fields.finish()?;
    match (account, region) {
        (Some(account), Some(region)) => Target::parse("target", &account, &region),
        _ => Err(Error::field(
            "target",
            "one without account or region",
            "both, such as {\"account\": \"222222222222\", \"region\": \"eu-west-1\"}",
        )),
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
