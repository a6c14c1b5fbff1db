//! The decision about a module, from what both sides store and what the repository contains.
//!
//! A module that has not changed since seed-farmer deployed it gets everything that a deployment by Seedflow would have
//! written: bundle, record, outputs, metadata, `md5` and status, in that order, so that the next deployment finds it
//! unchanged. One that has changed gets what its consumers need but no `md5`, so that the next deployment deploys it.
//! What Seedflow wrote itself is never touched.

use jiff::Timestamp;
use seedflow_core::deployment::manifest;
use seedflow_core::deployment::planner::PlannableModule;
use seedflow_core::deployment::remote_source::FetchedSource;
use seedflow_core::error::Result;
use seedflow_core::ids::{ExecutionArn, ModuleId};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::deployed_record::DeployedModule;
use seedflow_core::module::deployspec::Deployspec;
use seedflow_core::module::fingerprint::{Fingerprint, Versions};
use seedflow_core::module::former_names::FormerNames;
use seedflow_core::module::input::Options;
use seedflow_core::module::maximum::Maxima;
use seedflow_core::module::role::ModuleStack;
use seedflow_core::module::status::{State, Status};
use seedflow_core::module::stored_parameters::ModuleParameters;
use seedflow_core::module::success;
use seedflow_core::module::success::ParameterWrite;
use serde_json::{Map, Value};

use crate::seedfarmer::files::{self, Files};
use crate::seedfarmer::{self, manifest as manifests};

/// The name in place of an execution's in everything that was taken over.
pub const MARK: &str = "seedflow-migrate";

/// What the repository has of a module.
#[derive(Debug)]
pub struct Here<'a> {
    /// As Seedflow plans it.
    pub module: &'a PlannableModule,
    /// By its manifest.
    pub manifest: &'a manifest::Module,
    /// Its files.
    pub files: Files,
    /// The remote sources of the manifest.
    pub fetched: &'a [FetchedSource],
    /// The versions of the parameters that modules refer to.
    pub versions: &'a Versions,
}

/// Whether the status is that of a module which Seedflow itself has deployed, or tried to. A request that was refused
/// before anything ran deploys nothing.
#[must_use]
pub fn is_seedflows_own(status: &Status) -> bool {
    status.execution.as_str() != MARK && status.state != State::Refused
}

/// What has changed since seed-farmer deployed a module; nothing where it would report "up to date".
#[must_use]
pub fn changes(stored: &seedfarmer::StoredModule, here: &Here<'_>) -> Vec<String> {
    if stored.bundle.is_none() {
        return vec!["its last deployment by seed-farmer did not succeed".to_owned()];
    }
    if !manifests::is_deployed(stored) {
        return vec!["the manifest that seed-farmer stored is not the one that it deployed last".to_owned()];
    }
    let mut changes = Vec::new();
    let deployspec = seedfarmer::checksum::md5_hex(&here.module.deployspec);
    if stored.deployspec_md5.as_ref() != Some(&deployspec) {
        changes.push("deployspec.yaml changed".to_owned());
    } else {
        changes.extend(files::difference(stored, &here.files));
    }
    let manifest = stored.manifest.as_ref().unwrap_or(&Value::Null);
    changes.extend(manifests::differences(
        manifest,
        here.manifest,
        here.versions,
        here.fetched,
    ));
    changes
}

/// A module that is taken over.
#[derive(Debug)]
pub struct TakeOver {
    pub id: ModuleId,
    /// What has changed; the next deployment deploys it then.
    pub changes: Vec<String>,
    /// The record of what is deployed, without the place of the bundle, where it is to be written.
    pub record: Option<Box<DeployedModule>>,
    /// Whether `md5` and record of an earlier run are removed, because seed-farmer has deployed something else since.
    pub removes_record: bool,
    /// The parameters to write, in order.
    pub writes: Vec<ParameterWrite>,
}

impl TakeOver {
    /// Whether all of it is there already.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.record.is_none() && !self.removes_record && self.writes.is_empty()
    }
}

/// What a module is taken over with.
#[derive(Debug)]
pub struct Parts<'a> {
    pub module: &'a PlannableModule,
    /// What has changed since it was deployed.
    pub changes: Vec<String>,
    /// Its options with the values that it consumes.
    pub options: Result<Options>,
    /// The stack of its own role.
    pub stack: Option<ModuleStack>,
    /// What it published.
    pub metadata: &'a Map<String, Value>,
    /// The outputs of its stack.
    pub outputs: &'a Map<String, Value>,
    /// When it was deployed.
    pub deployed_at: Option<Timestamp>,
    /// The versions of the parameters that modules refer to.
    pub versions: &'a Versions,
    /// What Seedflow has stored of it.
    pub stored: &'a ModuleParameters,
    /// The record that is there.
    pub recorded: Option<&'a DeployedModule>,
}

/// Decides what is written of a module.
///
/// # Errors
/// Where its deployspec can't be read.
pub fn take_over(parts: Parts<'_>, now: Timestamp) -> Result<TakeOver> {
    let Parts {
        module,
        mut changes,
        options,
        stack,
        metadata,
        outputs,
        deployed_at,
        versions,
        stored,
        recorded,
    } = parts;
    let id = module.id.clone();
    let options = match options {
        Ok(options) if changes.is_empty() => Some(options),
        Ok(_) => None,
        Err(error) => {
            changes.push(error.message);
            None
        }
    };
    let deployed_at = deployed_at.unwrap_or(now);
    let mut record = None;
    if let Some(options) = options {
        record = Some(DeployedModule {
            bundle_bytes: None,
            module: id.clone(),
            execution: ExecutionArn::new(MARK),
            deployed_at,
            attempt: false,
            bundle: None,
            published: None,
            commit_info: CommitInfo::default(),
            fingerprint: Fingerprint::new(&module.digest, &module.deployspec, &options, versions),
            deployspec: Deployspec::parse(&module.deployspec, &Maxima::OF_AWS)?,
            options,
            module_stack: stack,
            former_names: FormerNames::default(),
        });
    }
    let fingerprint = record.as_ref().map(|record| record.fingerprint.clone());
    let removes_record = record.is_none() && (stored.md5.is_some() || recorded.is_some());
    let status = Status {
        target: module.options.target.clone(),
        ..status(&id, &changes, deployed_at, now)
    };
    Ok(TakeOver {
        writes: success::parameters(&id, stored, outputs, metadata, fingerprint.as_ref(), &status),
        record: record
            .filter(|record| !is_recorded(record, recorded))
            .map(Box::new),
        id,
        changes,
        removes_record,
    })
}

fn is_recorded(record: &DeployedModule, recorded: Option<&DeployedModule>) -> bool {
    recorded.is_some_and(|recorded| {
        let same = DeployedModule {
            bundle: recorded.bundle.clone(),
            published: recorded.published.clone(),
            bundle_bytes: recorded.bundle_bytes,
            deployed_at: recorded.deployed_at,
            ..record.clone()
        };
        recorded.bundle.is_some() && same == *recorded
    })
}

fn status(module: &ModuleId, changes: &[String], deployed_at: Timestamp, now: Timestamp) -> Status {
    let reason = match changes.len() {
        0 => "taken over from seed-farmer",
        _ => "taken over from seed-farmer; changed since, so it is deployed next time",
    };
    Status {
        state: State::Succeeded,
        started_at: None,
        deployed_at: Some(deployed_at),
        ..Status::start(None, module, &ExecutionArn::new(MARK), &[reason.to_owned()], now)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use seedflow_core::error::Error;
    use seedflow_core::ids::ParameterKind;
    use seedflow_core::module::change_detection::decide;
    use seedflow_core::module::fingerprint::deployspec_digest;
    use seedflow_core::module::input::Limits;
    use seedflow_core::module::source::Source;
    use serde_json::json;

    const DEPLOYSPEC: &[u8] = b"deploy: {phases: {build: {commands: [make]}}}";

    fn module() -> PlannableModule {
        let id = ModuleId::parse("shop", "dev", "net", "vpc").unwrap();
        let limits = Limits::of_aws("work", "seedflow");
        PlannableModule {
            options: Options::from_manifest(&json!({"parameters": {"cidr": "10.0.0.0/16"}}), &id, &limits)
                .unwrap(),
            id,
            digest: "digest".to_owned(),
            deployspec: DEPLOYSPEC.to_vec(),
            deployspec_digest: deployspec_digest(DEPLOYSPEC),
            input: Value::Null,
        }
    }

    fn taken(changes: &[&str], stored: &ModuleParameters, recorded: Option<&DeployedModule>) -> TakeOver {
        let module = module();
        let metadata = json!({"VpcId": "vpc-1"});
        let parts = Parts {
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
            options: Ok(module.options.clone()),
            stack: None,
            metadata: metadata.as_object().unwrap(),
            outputs: &Map::new(),
            deployed_at: Some(Timestamp::UNIX_EPOCH),
            versions: &Versions::new(),
            stored,
            recorded,
            module: &module,
        };
        take_over(parts, Timestamp::UNIX_EPOCH).unwrap()
    }

    fn kinds(taken: &TakeOver) -> Vec<ParameterKind> {
        taken.writes.iter().map(|write| write.kind).collect()
    }

    fn applied(taken: &TakeOver) -> (ModuleParameters, DeployedModule) {
        let mut stored = ModuleParameters::default();
        for write in &taken.writes {
            stored.set(write.kind, write.encoded.parameter.as_str().to_owned());
        }
        let mut record = *taken.record.clone().unwrap();
        record.bundle = Some(Source {
            bucket: "work".to_owned(),
            key: taken.id.kept_bundle_key(),
            version_id: Some("v1".to_owned()),
            path: String::new(),
        });
        (stored, record)
    }

    #[test]
    fn what_has_not_changed_is_unchanged_for_the_planner_after_the_last_write_and_not_before() {
        let taken = taken(&[], &ModuleParameters::default(), None);
        assert_eq!(
            kinds(&taken),
            [
                ParameterKind::Outputs,
                ParameterKind::Metadata,
                ParameterKind::Md5,
                ParameterKind::Status
            ]
        );
        let module = module();
        let now = Fingerprint::new("digest", DEPLOYSPEC, &module.options, &Versions::new());
        let mut stored = ModuleParameters::default();
        for write in &taken.writes {
            let status = stored.status_of(&module.id).unwrap();
            assert!(decide(&now, stored.fingerprint().as_ref(), status.as_ref(), false).changed);
            stored.set(write.kind, write.encoded.parameter.as_str().to_owned());
        }
        let status = stored.status_of(&module.id).unwrap();
        let decision = decide(&now, stored.fingerprint().as_ref(), status.as_ref(), false);
        assert!(!decision.changed, "{decision:?}");
        assert!(!is_seedflows_own(&status.unwrap()));
    }

    #[test]
    fn a_module_that_was_only_refused_can_still_be_taken_over() {
        let own = Status::start(
            None,
            &module().id,
            &ExecutionArn::new("e"),
            &[],
            Timestamp::UNIX_EPOCH,
        );
        let refused = Status {
            state: State::Refused,
            ..own.clone()
        };
        assert!(is_seedflows_own(&own) && !is_seedflows_own(&refused));
    }

    #[test]
    fn what_has_changed_gets_its_metadata_and_is_deployed_next_time() {
        let taken = taken(&["its files changed"], &ModuleParameters::default(), None);
        assert_eq!(
            kinds(&taken),
            [
                ParameterKind::Outputs,
                ParameterKind::Metadata,
                ParameterKind::Status
            ]
        );
        assert!(taken.record.is_none() && !taken.removes_record);
    }

    #[test]
    fn a_second_run_changes_nothing_and_one_after_another_deployment_takes_back_what_is_not_true_any_more() {
        let (stored, record) = applied(&taken(&[], &ModuleParameters::default(), None));
        assert!(taken(&[], &stored, Some(&record)).is_done());
        let changed = taken(&["its files changed"], &stored, Some(&record));
        assert!(changed.removes_record && !changed.is_done());
        // A run that ended before the record had its bundle.
        let half = DeployedModule {
            bundle: None,
            ..record
        };
        assert!(taken(&[], &stored, Some(&half)).record.is_some());
    }

    #[test]
    fn a_value_that_is_not_there_makes_it_one_that_changed() {
        let module = module();
        let parts = Parts {
            changes: Vec::new(),
            options: Err(Error::field("parameters.id", "no metadata of a/b", "it")),
            stack: None,
            metadata: &Map::new(),
            outputs: &Map::new(),
            deployed_at: None,
            versions: &Versions::new(),
            stored: &ModuleParameters::default(),
            recorded: None,
            module: &module,
        };
        let taken = take_over(parts, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            kinds(&taken),
            [
                ParameterKind::Outputs,
                ParameterKind::Metadata,
                ParameterKind::Status
            ]
        );
        assert!(taken.changes[0].contains("no metadata of a/b"));
    }
}
