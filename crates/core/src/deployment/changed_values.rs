//! The values that change when a module is deployed again, old and new, for people.
//!
//! The record of the last success has the options that were used, so its values are compared with those of the plan.
//! Parameter Store and Secrets Manager are never read for this: a reference is shown by its name, and a reference to
//! Parameter Store also by the time of its version. A value whose name says that it is secret is hidden, because the
//! manifest may have taken it from a variable.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{excerpt, without_credentials};
use crate::formats::python_json::dumps;
use crate::module::commit_info::CommitInfo;
use crate::module::deployed_record::DeployedModule;
use crate::module::fingerprint::{Versions, settings};
use crate::module::hidden::{HIDDEN, is_secret, without_secrets};
use crate::module::input::Options;
use crate::module::parameters::ParameterValue;

/// The most values of a module that are listed, and the most characters of each.
const MAX_LISTED: usize = 20;
const MAX_LENGTH: usize = 100;

/// A value that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedValue {
    /// What it is, in the words of the reasons, such as `parameter size`, `build.image` or `commit`.
    pub what: String,
    /// The value of the last success; `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The planned value; `None` if it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// What is planned for a module.
#[derive(Debug)]
pub struct PlannedInputs<'a> {
    /// Its options, resolved as far as possible.
    pub options: &'a Options,
    /// The versions of the parameters that it refers to.
    pub versions: &'a Versions,
    /// The digest of its bundle.
    pub digest: &'a str,
    /// The commit of its files.
    pub commit_info: &'a CommitInfo,
}

impl PlannedInputs<'_> {
    /// The values that differ from those of a record, by name; at most as many as people read.
    #[must_use]
    pub fn changed_since(&self, record: &DeployedModule) -> Vec<ChangedValue> {
        let modified = |name: &str| self.versions.get(name).copied().flatten()?.modified;
        let new = shown(self.options, modified);
        let old = shown(&record.options, |name| {
            record.fingerprint.modified.get(name).copied()
        });
        let commit = self.commit(record).into_iter();
        let mut changed: Vec<ChangedValue> = commit.chain(differing(&old, &new)).collect();
        let more = changed.len().saturating_sub(MAX_LISTED);
        if more > 0 {
            changed.truncate(MAX_LISTED);
            changed.push(ChangedValue {
                what: format!("and {more} more values"),
                old: None,
                new: None,
            });
        }
        changed
    }

    /// The commits, if the files differ.
    fn commit(&self, record: &DeployedModule) -> Option<ChangedValue> {
        let (old, new) = (record.commit_info.commit(), self.commit_info.commit());
        let differs = self.digest != record.fingerprint.bundle && old != new;
        differs.then(|| ChangedValue {
            what: "commit".to_owned(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        })
    }
}

/// A value: what is compared, and its text for people; `None` for what is only known once another module was deployed.
type Shown = Option<(Value, String)>;

fn differing(old: &BTreeMap<String, Shown>, new: &BTreeMap<String, Shown>) -> Vec<ChangedValue> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let changed = names.into_iter().filter_map(|name| {
        let (before, after) = (old.get(name), new.get(name));
        let is_known = !matches!(before, Some(None)) && !matches!(after, Some(None));
        let (before, after) = (before.and_then(Option::as_ref), after.and_then(Option::as_ref));
        let (old, new) = texts(before, after);
        (is_known && before.map(|(raw, _)| raw) != after.map(|(raw, _)| raw)).then(|| ChangedValue {
            what: excerpt(name, MAX_LENGTH),
            old,
            new,
        })
    });
    changed.collect()
}

/// The texts of two values, with their types if they would look the same: 2 and "2".
fn texts(
    before: Option<&(Value, String)>,
    after: Option<&(Value, String)>,
) -> (Option<String>, Option<String>) {
    let texts = |kind: &dyn Fn(&Value) -> &'static str| {
        let text = |shown: &(Value, String)| format!("{}{}", shown.1, kind(&shown.0["value"]));
        (before.map(text), after.map(text))
    };
    let (old, new) = texts(&|_| "");
    let is_same =
        old == new && before.map(|(raw, _)| kind(&raw["value"])) != after.map(|(raw, _)| kind(&raw["value"]));
    if is_same { texts(&kind) } else { (old, new) }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => " (text)",
        Value::Number(_) => " (number)",
        Value::Bool(_) => " (boolean)",
        _ => "",
    }
}

/// The values of options by their names in reasons. `modified` is when the version of a parameter was written.
fn shown(options: &Options, modified: impl Fn(&str) -> Option<Timestamp>) -> BTreeMap<String, Shown> {
    let parameters = options.parameters.iter().map(|(name, value)| {
        let shown = match value {
            ParameterValue::Value(value) => Some((json!({"value": value}), plain(name, value))),
            ParameterValue::ParameterStore(of) => {
                let at = modified(of);
                let written = at.map_or_else(String::new, |at| format!(", written {at:.0}"));
                Some((
                    json!({"parameter_store": of, "at": at}),
                    format!("the parameter {of}{written}"),
                ))
            }
            ParameterValue::SecretsManager(of) => Some((json!({"secret": of}), format!("the secret {of}"))),
            ParameterValue::ModuleMetadata(_) => None,
        };
        (format!("parameter {name}"), shown)
    });
    let settings = settings(options).into_iter();
    let settings = settings.map(|(name, value)| {
        let text = text(&value);
        (name, Some((value, text)))
    });
    parameters.chain(settings).collect()
}

/// The text of a parameter's value, or what is shown in its place.
pub(super) fn plain(name: &str, value: &Value) -> String {
    match is_secret(name) {
        true => HIDDEN.to_owned(),
        false => text(&without_secrets(value)),
    }
}

fn text(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => dumps(other),
    };
    excerpt(&without_credentials(&text), MAX_LENGTH)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::ModuleId;
    use crate::module::fingerprint::{Fingerprint, Version};
    use crate::module::input::Limits;
    use crate::module::maximum::Maxima;

    fn options(parameters: &Value, build: &Value) -> Options {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let manifest = json!({"parameters": parameters, "build": build});
        Options::from_manifest(&manifest, &module, &Limits::of_aws("w", "s")).unwrap()
    }

    fn versions(at: &str) -> Versions {
        let version = Version {
            number: 1,
            modified: Some(at.parse().unwrap()),
        };
        Versions::from([("/n".to_owned(), Some(version))])
    }

    /// A record of these options, of the commit `c1`, with the digest `b`.
    fn record(options: &Options) -> DeployedModule {
        let fingerprint = Fingerprint::new("b", b"d", options, &versions("2026-01-01T00:00:00Z"));
        serde_json::from_value(json!({
            "module": ModuleId::parse("p", "d", "g", "m").unwrap(), "execution": "e",
            "deployed_at": "2026-01-01T00:00:00Z", "bundle": null, "commit_info": {"commit": "c1"},
            "options": options, "fingerprint": fingerprint,
            "deployspec": crate::module::deployspec::Deployspec::parse(b"deploy: {phases: {}}", &Maxima::OF_AWS).unwrap(),
        }))
        .unwrap()
    }

    fn changed(options: &Options, digest: &str, record: &DeployedModule) -> Vec<String> {
        let commit_info = CommitInfo::of_commit(Some("c2"), None);
        let planned = PlannedInputs {
            options,
            versions: &versions("2026-02-02T00:00:00Z"),
            digest,
            commit_info: &commit_info,
        };
        let changed = planned.changed_since(record).into_iter();
        let side = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        changed
            .map(|one| format!("{}: {} {}", one.what, side(one.old), side(one.new)))
            .collect()
    }

    #[test]
    fn values_are_shown_old_and_new_and_secrets_are_not() {
        let old = json!({"size": 2, "same-look": 2, "gone": "x", "same": [1], "db-password": "hunter2", "at": {"parameter_store": "/n"},
            "db": {"secrets_manager": "db/old"}, "json": {"a": 1, "apiKey": "k1"}, "url": "https://me:hunter2@h"});
        let new = json!({"size": 3, "same-look": "2", "added": true, "same": [1], "db-password": "hunter3", "at": {"parameter_store": "/n"},
            "db": {"secrets_manager": "db/new"}, "json": {"a": 1, "apiKey": "k2"}, "url": "https://me:hunter3@h"});
        let record = record(&options(&old, &json!({"image": "i:1"})));
        let changed = changed(&options(&new, &json!({"image": "i:2"})), "b2", &record);
        assert_eq!(
            changed,
            [
                "commit: c1 c2",
                "build.image: i:1 i:2",
                "parameter added: - true",
                "parameter at: the parameter /n, written 2026-01-01T00:00:00Z the parameter /n, written 2026-02-02T00:00:00Z",
                "parameter db: the secret db/old the secret db/new",
                "parameter db-password: (hidden) (hidden)",
                "parameter gone: x -",
                "parameter json: {\"a\": 1, \"apiKey\": \"(hidden)\"} {\"a\": 1, \"apiKey\": \"(hidden)\"}",
                "parameter same-look: 2 (number) 2 (text)",
                "parameter size: 2 3",
                "parameter url: …@h …@h",
            ]
        );
    }

    #[test]
    fn a_value_that_is_not_known_yet_and_an_unchanged_one_are_left_out() {
        let published = json!({"of": {"module_metadata": {"group": "g", "module": "n", "key": "Value"}}});
        let record = record(&options(&json!({"of": "one"}), &json!({})));
        assert_eq!(changed(&options(&published, &json!({})), "b", &record), [""; 0]);
        // Another commit with the same files deploys nothing else.
        assert_eq!(
            changed(&options(&json!({"of": "one"}), &json!({})), "b", &record),
            [""; 0]
        );
    }

    #[test]
    fn a_long_list_and_a_long_value_are_cut() {
        let many: serde_json::Map<String, Value> = (0..30)
            .map(|i| (format!("p{i}"), json!("x".repeat(1000))))
            .collect();
        let record = record(&options(&json!({}), &json!({})));
        let changed = changed(&options(&Value::Object(many), &json!({})), "b", &record);
        assert_eq!(changed.len(), MAX_LISTED + 1);
        assert_eq!(changed.last().unwrap(), "and 10 more values: - -");
        assert!(changed[0].chars().count() < 130, "{}", changed[0]);
    }
}
