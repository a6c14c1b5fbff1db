//! A taint: the next deployment deploys a module although nothing changed.
//!
//! The mark is part of the stored fingerprint, which only a success replaces. So it survives failures and crashes, and
//! every reader of the fingerprint sees it: the planner, and the check of the module's own execution. The module itself
//! has not changed, so its status becomes UNCHANGED.

use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::ids::ModuleId;
use crate::module::deployed_record::DeployedModule;
use crate::module::fingerprint::Fingerprint;
use crate::module::input::ModuleAction;
use crate::module::plan::Plan;
use crate::module::source::Source;
use crate::module::status::State;
use crate::module::stored_parameters::ModuleParameters;

/// The reason in the status of a module that was tainted.
pub const REASON: &str = "tainted: the next deployment deploys it, changed or not";

/// The plan that stores the taint of a module. It builds nothing, and its fingerprint is stored like one that names other
/// upstream modules than before.
///
/// # Errors
/// `InvalidInput` if there is nothing to taint: the module is not deployed, or is deployed anyway because its last deployment
/// did not succeed.
pub fn plan(
    module: &ModuleId,
    record: Option<DeployedModule>,
    stored: &ModuleParameters,
    now: Timestamp,
) -> Result<Plan> {
    let status = stored.status_of(module)?;
    let state = status.as_ref().map(|status| status.state);
    let (Some(record), Some(fingerprint), Some(State::Succeeded | State::Unchanged)) =
        (record, stored.fingerprint(), state)
    else {
        return Err(nothing_to_taint(module, state));
    };
    Ok(Plan {
        action: ModuleAction::Deploy,
        module: record.module.clone(),
        // Nothing reads it: there is no build.
        source: record.bundle.unwrap_or_else(|| Source {
            bucket: String::new(),
            key: module.kept_bundle_key(),
            version_id: None,
            path: String::new(),
        }),
        source_bytes: record.bundle_bytes,
        commit_info: record.commit_info,
        options: record.options,
        network: None,
        target_settings: None,
        deployspec: record.deployspec,
        module_stack: record.module_stack,
        former_names: record.former_names,
        fingerprint: Fingerprint {
            tainted_at: fingerprint.tainted_at.or(Some(now)),
            ..fingerprint
        },
        renews: true,
        keeps: false,
        previous_status: status,
        previous_metadata: stored.metadata_object().map(serde_json::Value::Object),
    })
}

fn nothing_to_taint(module: &ModuleId, state: Option<State>) -> Error {
    let found = match state {
        None | Some(State::Refused | State::Destroyed) => "nothing that is deployed".to_owned(),
        Some(State::Succeeded | State::Unchanged) => {
            "no record or no md5 of its last success, so the next deployment deploys it anyway".to_owned()
        }
        Some(state) => format!(
            "a last deployment that {}, so the next one deploys it anyway",
            state.did()
        ),
    };
    Error::field(
        "module",
        format!("{module} with {found}"),
        "a deployed module whose last deployment succeeded",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::error::ErrorName;
    use crate::ids::{BuildId, ExecutionArn};
    use crate::module::change_detection::decide;
    use crate::module::codebuild::request::tests;
    use crate::module::status::Status;
    use crate::workflow::build_outcome::{BuildOutcome, BuildStatus};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn record() -> DeployedModule {
        let plan = tests::plan(json!({}), true);
        DeployedModule::new(&plan, &ExecutionArn::new("e"), None, NOW)
    }

    fn stored(record: &DeployedModule, state: State) -> ModuleParameters {
        let build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
        let status = Status {
            state,
            ..Status::succeed(None, &record.module, &record.execution, &build, NOW)
        };
        ModuleParameters {
            md5: Some(json!(record.fingerprint).to_string()),
            status: Some(json!(status).to_string()),
            ..ModuleParameters::default()
        }
    }

    #[test]
    fn a_tainted_module_is_deployed_although_nothing_changed_until_a_success_replaces_the_mark() {
        let record = record();
        let stored = stored(&record, State::Succeeded);
        let plan = plan(&record.module, Some(record.clone()), &stored, NOW).unwrap();
        assert!(plan.renews, "the mark is stored without a build");
        let status = stored.status_of(&record.module).unwrap();
        let now = &record.fingerprint;
        let tainted = decide(now, Some(&plan.fingerprint), status.as_ref(), false);
        assert_eq!(tainted.reasons, ["tainted at 1970-01-01T00:00:00Z"]);
        assert!(tainted.changed);
        assert!(!decide(now, Some(now), status.as_ref(), false).changed);
    }

    #[test]
    fn what_is_deployed_anyway_or_not_deployed_is_not_tainted() {
        let record = record();
        let of = |found: Option<DeployedModule>, state: State| {
            plan(&record.module, found, &stored(&record, state), NOW).unwrap_err()
        };
        let failed = of(Some(record.clone()), State::Failed);
        assert_eq!(failed.name, ErrorName::InvalidInput);
        assert!(
            failed.message.contains("with a last deployment that failed"),
            "{failed}"
        );
        assert!(of(None, State::Succeeded).message.contains("no record"));
        let nothing = plan(&record.module, None, &ModuleParameters::default(), NOW).unwrap_err();
        assert!(nothing.message.contains("nothing that is deployed"), "{nothing}");
    }
}
