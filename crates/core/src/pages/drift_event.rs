//! The module that an event about drift names, which is all that the pages take from it. Everything else is read from its
//! record, because anyone with the permission for PutEvents may send such an event.

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::events::{Event, ModuleDrift};
use crate::formats::json_fields::describe;
use crate::ids::ModuleId;

/// The names of the module, unparsed.
#[derive(Deserialize)]
struct DriftedModule {
    project: String,
    deployment: String,
    group: String,
    module: String,
}

/// The module of the event; `None` if it is another kind of event.
///
/// # Errors
/// `InvalidInput` if it has no names that can be.
pub fn drifted_module(event: &Value) -> Result<Option<ModuleId>> {
    if event["detail-type"] != ModuleDrift::DETAIL_TYPE {
        return Ok(None);
    }
    let detail = &event["detail"];
    let names: DriftedModule = serde_json::from_value(detail.clone()).map_err(|_| {
        Error::field(
            "detail",
            describe(detail),
            "an object with project, deployment, group and module",
        )
    })?;
    ModuleId::parse(&names.project, &names.deployment, &names.group, &names.module).map(Some)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_drift_event_names_a_module_and_others_none() {
        let event = |kind: &str, module: &str| json!({"detail-type": kind, "detail": {"project": "p", "deployment": "d", "group": "g", "module": module}});
        let module = drifted_module(&event("Seedflow Module Drift", "m"))
            .unwrap()
            .unwrap();
        assert_eq!(module.to_string(), "p/d/g/m");
        assert_eq!(
            drifted_module(&event("Seedflow Module State Change", "m")).unwrap(),
            None
        );
        assert!(drifted_module(&event("Seedflow Module Drift", "../m")).is_err());
    }
}
