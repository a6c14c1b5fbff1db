//! The record of a deployed module, kept as long as the module is deployed (decision 24).
//!
//! Every success leaves a [`DeployedModule`] in the work bucket, where builds cannot read or write it. It pins the
//! inputs of the build (the kept bundle by its version, the deployspec, the options that were used). So the module can
//! be destroyed with what deployed it, even if its source or the values of its parameters have changed since.
//! References to Parameter Store and Secrets Manager stay references.
//!
//! Two executions write the record before their build (decision 46): a deployment of a module that was never deployed,
//! which may fail and leave resources, and a destruction that names a newer source for broken destroy phases.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorName, Result};
use crate::ids::{ExecutionArn, ModuleId};
use crate::module::commit_info::CommitInfo;
use crate::module::deployspec::Deployspec;
use crate::module::fingerprint::Fingerprint;
use crate::module::former_names::FormerNames;
use crate::module::input::{ModuleAction, Options};
use crate::module::plan::Plan;
use crate::module::role::ModuleStack;
use crate::module::source::Source;
use crate::module::stored_parameters::ModuleParameters;
use crate::module::target_settings::TargetSettings;

/// The maximum size of a record: it contains as much as a plan.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// What to do if destroy phases are broken.
pub const REPAIR: &str = "name a newer source of the module, whose destroy phases work, in the input that destroys it (\"action\": \"destroy\" with \"source\")";

/// A deployed module: what its last success deployed, or what its last attempt tried to deploy if there was no success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeployedModule {
    /// The module.
    pub module: ModuleId,
    /// The execution that deployed it.
    pub execution: ExecutionArn,
    /// When its build succeeded; for an attempt, when it began.
    pub deployed_at: Timestamp,
    /// Whether no deployment had succeeded when this was written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attempt: bool,
    /// The kept bundle, with its version; `None` if the input disabled it. It is stored beside the record, where only
    /// this module's success writes (decision 24). Older records name the published copy here.
    pub bundle: Option<Source>,
    /// The copy under seed.md's path; another project's module with the same names may have replaced it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Source>,
    /// The size of the bundle's zip; missing in older records.
    #[serde(default)]
    pub bundle_bytes: Option<u64>,
    /// The commit of the bundle, if known.
    #[serde(default)]
    pub commit_info: CommitInfo,
    /// The parameters and settings that were used.
    pub options: Options,
    /// The module's commands.
    pub deployspec: Deployspec,
    /// The fingerprint that is stored as `md5`.
    pub fingerprint: Fingerprint,
    /// The stack of the module's own role, if it has one.
    #[serde(default)]
    pub module_stack: Option<ModuleStack>,
    /// The names that the module had before it was renamed.
    #[serde(default, skip_serializing_if = "FormerNames::is_empty")]
    pub former_names: FormerNames,
}

/// The locations of a kept bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The module's own copy.
    pub bundle: Source,
    /// The copy under seed.md's path.
    pub published: Source,
}

impl DeployedModule {
    /// The record of a plan after its successful build; `kept` has the locations of its bundle.
    #[must_use]
    pub fn new(plan: &Plan, execution: &ExecutionArn, kept: Option<Kept>, now: Timestamp) -> Self {
        let kept = kept.map(|kept| (kept.bundle, kept.published));
        let (bundle, published) = kept.unzip();
        Self {
            module: plan.module.clone(),
            execution: execution.clone(),
            deployed_at: now,
            attempt: false,
            bundle,
            published,
            bundle_bytes: plan.source_bytes,
            commit_info: plan.commit_info.clone(),
            options: plan.options.clone(),
            deployspec: plan.deployspec.clone(),
            fingerprint: plan.fingerprint.clone(),
            module_stack: plan.module_stack.clone(),
            former_names: plan.former_names.clone(),
        }
    }

    /// The record to write before the build of a plan that [keeps](Plan::keeps) its bundle. `stored` is the record so far,
    /// and `bundle` the kept copy.
    #[must_use]
    pub fn before_build(
        plan: &Plan,
        execution: &ExecutionArn,
        stored: Option<Self>,
        bundle: Option<Source>,
        now: Timestamp,
    ) -> Self {
        let new = Self {
            attempt: true,
            bundle,
            ..Self::new(plan, execution, None, now)
        };
        match stored {
            Some(stored) if plan.action == ModuleAction::Destroy => Self {
                bundle: new.bundle,
                ..stored.repaired(
                    plan.source.clone(),
                    new.bundle_bytes,
                    new.deployspec,
                    new.module_stack,
                )
            },
            _ => new,
        }
    }

    /// The same record with a newer source for its destroy phases, and with the template of its role if the source has
    /// one.
    #[must_use]
    pub fn repaired(
        self,
        bundle: Source,
        bundle_bytes: Option<u64>,
        deployspec: Deployspec,
        module_stack: Option<ModuleStack>,
    ) -> Self {
        Self {
            bundle: Some(bundle),
            bundle_bytes,
            deployspec,
            module_stack: module_stack.or(self.module_stack),
            ..self
        }
    }

    /// The plan for a read-only build of the recorded module, in a target with these settings.
    ///
    /// # Errors
    /// If the bundle was not kept.
    pub fn into_check(self, target_settings: Option<TargetSettings>) -> Result<Plan> {
        let source = self.bundle.ok_or_else(|| {
            Error::new(
                ErrorName::SourceNotFound,
                "found no bundle, because the module was deployed with \"bundle\": false; deploy it once more with \"bundle\": true",
            )
        })?;
        Ok(Plan {
            action: ModuleAction::Deploy,
            previous_status: None,
            previous_metadata: None,
            module: self.module,
            source,
            source_bytes: self.bundle_bytes,
            commit_info: self.commit_info,
            options: self.options,
            network: None,
            target_settings,
            deployspec: self.deployspec,
            fingerprint: self.fingerprint,
            renews: false,
            keeps: false,
            module_stack: None,
            former_names: self.former_names,
        })
    }

    /// The plan that destroys the recorded module.
    ///
    /// # Errors
    /// If the bundle was not kept, or the deployspec has no destroy phases.
    pub fn into_destruction(self, stored: &ModuleParameters) -> Result<Plan> {
        let source = self.bundle.ok_or_else(|| no_bundle(&self.module))?;
        if self.deployspec.destroy.is_none() {
            return Err(no_phases(&self.module));
        }
        Ok(Plan {
            action: ModuleAction::Destroy,
            previous_status: stored.status_of(&self.module)?,
            previous_metadata: stored.metadata_object().map(serde_json::Value::Object),
            module: self.module,
            source,
            source_bytes: self.bundle_bytes,
            commit_info: self.commit_info,
            options: self.options,
            network: None,
            target_settings: None,
            deployspec: self.deployspec,
            fingerprint: self.fingerprint,
            renews: false,
            keeps: false,
            module_stack: self.module_stack,
            former_names: self.former_names,
        })
    }
}

fn no_bundle(module: &ModuleId) -> Error {
    Error::new(
        ErrorName::SourceNotFound,
        format!(
            "{}: found no bundle, because the module was deployed with \"bundle\": false; deploy it once more with \"bundle\": true, then destroy it, or {}",
            module.record_key(),
            REPAIR
        ),
    )
}

fn no_phases(module: &ModuleId) -> Error {
    Error::new(
        ErrorName::InvalidDeployspec,
        format!(
            "deployspec.yaml: destroy.phases is missing in the bundle that {module} was deployed with; add the commands that destroy it (or an empty destroy: {{phases: {{}}}} where there is nothing to destroy), deploy it, then destroy it, or {}",
            REPAIR
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::module::codebuild::request::tests::plan;
    use serde_json::json;

    fn record(kept: Option<Kept>) -> DeployedModule {
        let plan = plan(
            json!({"parameters": {"a": 1, "key": {"secrets_manager": "api"}}}),
            true,
        );
        DeployedModule::new(&plan, &ExecutionArn::new("e"), kept, Timestamp::UNIX_EPOCH)
    }

    fn source(bucket: &str, key: &str) -> Source {
        Source {
            bucket: bucket.into(),
            key: key.into(),
            version_id: Some("v7".into()),
            path: "modules/vpc".into(),
        }
    }

    fn kept() -> Kept {
        Kept {
            bundle: source("work", "deployed/my-project/prod/networking/vpc.zip"),
            published: source("bundles", "prod/networking/vpc/bundle.zip"),
        }
    }

    #[test]
    fn a_record_from_before_there_were_two_copies_destroys_by_the_published_one() {
        let mut old = serde_json::to_value(record(Some(kept()))).unwrap();
        old["bundle"] = old["published"].take();
        old.as_object_mut().unwrap().remove("published");
        let old: DeployedModule = serde_json::from_value(old).unwrap();
        assert_eq!(old.published, None);
        let destruction = old.into_destruction(&ModuleParameters::default()).unwrap();
        assert_eq!(destruction.source, kept().published);
    }

    #[test]
    fn a_module_is_destroyed_by_what_deployed_it() {
        let text = serde_json::to_string(&record(Some(kept()))).unwrap();
        assert!(text.contains("{\"secrets_manager\":\"api\"}"), "{text}");
        let read: DeployedModule = serde_json::from_str(&text).unwrap();
        let stored = ModuleParameters {
            metadata: Some("{\"Key\": 1}".into()),
            ..ModuleParameters::default()
        };
        let destruction = read.into_destruction(&stored).unwrap();
        let mut expected = plan(
            json!({"parameters": {"a": 1, "key": {"secrets_manager": "api"}}}),
            true,
        );
        expected.action = ModuleAction::Destroy;
        expected.source = kept().bundle;
        expected.previous_metadata = Some(json!({"Key": 1}));
        assert_eq!(destruction, expected);
    }

    #[test]
    fn a_module_that_cannot_be_destroyed_is_reported_with_what_to_do() {
        let stored = ModuleParameters::default();
        let error = record(None).into_destruction(&stored).unwrap_err();
        assert_eq!(error.name, ErrorName::SourceNotFound);
        assert!(
            error
                .message
                .contains("deploy it once more with \"bundle\": true"),
            "{error}"
        );
        let mut record = record(Some(kept()));
        record.deployspec.destroy = None;
        let error = record.into_destruction(&stored).unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidDeployspec);
        assert!(
            error.message.contains("add the commands that destroy it"),
            "{error}"
        );
    }
}
