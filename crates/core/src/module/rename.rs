//! A module gets another name or group, and keeps what it has deployed (decision 66).
//!
//! Nothing is destroyed or built for it: what is stored under the old name is written under the new one and then removed.
//! The execution then continues as for any deployed module, so the module is deployed again under its new name. Its
//! builds still see its first name ([`FormerNames`]).
//!
//! The old name gets a mark before anything is written. From then on no execution of the old name starts anything, and
//! the mark shows that the rename is to be completed. It stays as long as the module is deployed.

use jiff::Timestamp;

use crate::error::{Error, ErrorName, Result};
use crate::ids::{ExecutionArn, ModuleId, ParameterKind};
use crate::module::change_detection::RequestReason;
use crate::module::deployed_record::DeployedModule;
use crate::module::destroy;
use crate::module::destroy::TargetOrHome;
use crate::module::former_names::FormerNames;
use crate::module::metadata_reference::ModuleRef;
use crate::module::source::Source;
use crate::module::status::{State, Status, rename_reason};
use crate::module::stored_parameters::{EncodedParameter, ModuleParameters};
use crate::module::success::ParameterWrite;
use crate::target::Target;

/// Whether a module with `renamed_from` is to be renamed first. `own` and `old` are what is stored under its new name and
/// under the old one. Nothing is to be done if nothing is deployed under the old name: it was renamed before, or never
/// deployed.
///
/// # Errors
/// `InvalidInput` if both are deployed.
pub fn is_due(
    module: &ModuleId,
    own: &ModuleParameters,
    from: &ModuleRef,
    old: &ModuleParameters,
) -> Result<bool> {
    let none_is_stored = ParameterKind::ALL.iter().all(|kind| old.text(*kind).is_none());
    let is_anothers = old.status_of(&from.id(module)).is_err();
    if none_is_stored || is_anothers || old.is_refused_only() {
        return Ok(false);
    }
    if old.renamed_to() == Some(ModuleRef::from(module)) {
        // Begun by an earlier execution.
        return Ok(true);
    }
    let status = own.status_of(module)?;
    if destroy::is_never_deployed(own, status.as_ref()) && !destroy::may_have_left(status.as_ref()) {
        return Ok(true);
    }
    Err(Error::field(
        "renamed_from",
        format!(
            "{from}, while both it and {} are deployed",
            ModuleRef::from(module)
        ),
        "the former name of a module that is not deployed under its new one; leave out renamed_from, or destroy one of the two",
    ))
}

/// Refuses a name that another module had before it was renamed, and whose resources are still called after it. `renames`
/// is what is stored under the old name of a module that is to be renamed: it may get such a name back.
///
/// # Errors
/// `InvalidInput` with the module.
pub fn refuse_taken(
    module: &ModuleId,
    own: &ModuleParameters,
    renames: Option<(&ModuleRef, &ModuleParameters)>,
) -> Result<()> {
    let Some(to) = own.renamed_to() else {
        return Ok(());
    };
    let name = ModuleRef::from(module);
    if let Some((from, old)) = renames {
        let status = old.status_of(&from.id(module))?;
        if status.is_some_and(|status| status.former_names.contains(&name)) {
            return Ok(());
        }
    }
    Err(taken(&name, &to))
}

/// The error about a name that a renamed module had.
#[must_use]
pub fn taken(name: &ModuleRef, by: &ModuleRef) -> Error {
    Error::field(
        "group, module",
        format!("{name}, the former name of {by}, whose resources still have this name"),
        format!(
            "another name as long as {by} is deployed; what was deployed as {name} is now deployed, rolled back and destroyed as {by}"
        ),
    )
}

/// Refuses a rename of a module that moves to another account or region at the same time. It is destroyed there first, so
/// there is nothing to keep.
///
/// # Errors
/// `InvalidInput` with both places.
pub fn refuse_move(from: &ModuleRef, old: Option<&Status>, target: Option<&Target>) -> Result<()> {
    match destroy::moves_from(old, target) {
        None => Ok(()),
        Some(place) => Err(Error::field(
            "renamed_from",
            format!(
                "{from}, which is in {place} and is to be in {}",
                TargetOrHome(target)
            ),
            "a module that stays in its account and region; rename it first, and move it by the next deployment",
        )),
    }
}

/// The former names of a module with this status that is to be deployed in `target`. One that moves there is destroyed
/// first, and then has only the name that it has now.
#[must_use]
pub fn names_to_keep(status: Option<&Status>, target: Option<&Target>) -> FormerNames {
    match destroy::moves_from(status, target) {
        None => status
            .map(|status| status.former_names.clone())
            .unwrap_or_default(),
        Some(_) => FormerNames::default(),
    }
}

/// What an execution found that began with a rename, and why it deploys the module; `None` if it did not begin so, or
/// has begun to deploy since.
#[must_use]
pub fn before(
    status: &Status,
    from: &ModuleRef,
    execution: &ExecutionArn,
) -> Option<(Status, RequestReason)> {
    let reason = rename_reason(from);
    let is_renamed = status.state == State::InProgress
        && status.execution == *execution
        && status.reasons == std::slice::from_ref(&reason);
    is_renamed.then(|| {
        let before = Status {
            state: status.previous_state.unwrap_or(State::Succeeded),
            ..status.clone()
        };
        (before, RequestReason { reason, forces: true })
    })
}

/// What is stored of a module under both of its names.
#[derive(Debug, Clone, Copy)]
pub struct RenameState<'a> {
    /// The parameters under the new name.
    pub own: &'a ModuleParameters,
    /// The record under the new name.
    pub own_record: Option<&'a DeployedModule>,
    /// The parameters under the old name, with the values that are in S3.
    pub old: &'a ModuleParameters,
    /// The record under the old name.
    pub old_record: Option<&'a DeployedModule>,
}

/// One step of a rename.
#[derive(Debug, Clone, PartialEq)]
pub enum RenameStep {
    /// Copy this bundle beside the new record.
    KeepBundle(Source),
    /// Write this record, with the place of the bundle's copy. From here on a destruction of the new name finds what to
    /// destroy.
    Record(Box<DeployedModule>),
    /// Write a parameter under the new name.
    Parameter(ParameterWrite),
    /// Remove the mark of the new name: the module gets back a name that it had.
    Unmark,
    /// Remove the bundles of the old record.
    DropBundles,
    /// Remove the old record.
    DropRecord,
    /// Remove the parameters of a success under the old name.
    DropParameters,
    /// Remove the values of the old name that are too long for Parameter Store.
    DropValues,
    /// Remove the status under the old name. It is last: as long as there is one, the rename is not complete.
    DropStatus,
}

/// The steps that rename a module, in order, after the old name was marked. The new status is the last that is written, so
/// with it the rest is complete and only what is old remains to be removed.
///
/// # Errors
/// `SourceNotFound` if there is no record of what is deployed; `StateConflict` if the new name has a record of its own.
pub fn steps(
    module: &ModuleId,
    from: &ModuleRef,
    stored: RenameState<'_>,
    execution: &ExecutionArn,
    now: Timestamp,
) -> Result<Vec<RenameStep>> {
    let own_status = stored.own.status_of(module)?;
    let is_written = own_status.is_some_and(|status| status.former_names.contains(from));
    let mut steps = match is_written {
        true => Vec::new(),
        false => writes(module, from, stored, execution, now)?,
    };
    if stored.own.renamed.is_some() {
        steps.push(RenameStep::Unmark);
    }
    steps.extend([
        RenameStep::DropBundles,
        RenameStep::DropRecord,
        RenameStep::DropParameters,
        RenameStep::DropValues,
        RenameStep::DropStatus,
    ]);
    Ok(steps)
}

fn writes(
    module: &ModuleId,
    from: &ModuleRef,
    stored: RenameState<'_>,
    execution: &ExecutionArn,
    now: Timestamp,
) -> Result<Vec<RenameStep>> {
    let record = stored
        .old_record
        .ok_or_else(|| no_record(&from.id(module)))?
        .clone();
    if stored
        .own_record
        .is_some_and(|own| !own.attempt && !own.former_names.contains(from))
    {
        return Err(two_records(module, from));
    }
    let former_names = record.former_names.and(from.clone());
    let before = stored.old.status_of(&from.id(module))?;
    let status = Status::rename(
        before.as_ref(),
        from,
        former_names.clone(),
        module,
        execution,
        now,
    );
    let parameter = |kind: ParameterKind, text: &str| {
        RenameStep::Parameter(ParameterWrite {
            kind,
            encoded: EncodedParameter::new(module, kind, text),
        })
    };
    let mut steps: Vec<RenameStep> = record
        .bundle
        .clone()
        .map(RenameStep::KeepBundle)
        .into_iter()
        .collect();
    steps.push(RenameStep::Record(Box::new(renamed(
        record,
        module,
        former_names,
    ))));
    let success = destroy::OF_A_SUCCESS.into_iter();
    steps.extend(success.filter_map(|kind| Some(parameter(kind, stored.old.text(kind)?))));
    // A status has only text keys, so it always serialises.
    let status = serde_json::to_string(&status).unwrap_or_default();
    steps.push(parameter(ParameterKind::Status, &status));
    Ok(steps)
}

/// The record under the new name; the bundle's copy is added when it is made. No bundle is published under that name before
/// the next success.
fn renamed(record: DeployedModule, module: &ModuleId, former_names: FormerNames) -> DeployedModule {
    DeployedModule {
        module: module.clone(),
        former_names,
        bundle: None,
        published: None,
        ..record
    }
}

fn no_record(old: &ModuleId) -> Error {
    Error::new(
        ErrorName::SourceNotFound,
        format!(
            "{}: found no record of what is deployed as {}, so it can't be renamed; deploy it once more under its old name, or destroy it",
            old.record_key(),
            ModuleRef::from(old)
        ),
    )
}

fn two_records(module: &ModuleId, from: &ModuleRef) -> Error {
    Error::new(
        ErrorName::StateConflict,
        format!(
            "{}: found a record of a module that was never {from}, so {from} can't be renamed to it; destroy one of the two, or leave out renamed_from",
            module.record_key()
        ),
    )
}

#[cfg(test)]
mod tests;
