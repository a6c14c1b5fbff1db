//! What a module's execution deployed, or tried to: its fingerprint, and the files of its bundle.
//!
//! The report of a success has both. That of a failure has neither, but Step Functions keeps the plan of each execution for
//! 90 days, and the bucket the bundle.

use std::collections::BTreeMap;
use std::io::Cursor;

use anyhow::{Context, Result};
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::stores::plans;
use seedflow_core::error::ErrorName;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::fingerprint::Fingerprint;
use seedflow_core::module::plan::Plan;
use seedflow_core::module::source::Source;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::account::Account;

/// The largest bundle whose files are compared.
const MAX_BUNDLE: u64 = 64 * 1024 * 1024;

/// What an execution deployed, or tried to, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Tried {
    /// The fingerprint.
    pub fingerprint: Option<Fingerprint>,
    /// The files of the bundle with their checksums; `None` if it is gone, too large, or may not be read.
    pub files: Option<BTreeMap<String, u32>>,
}

/// What the execution of a module's report deployed, or tried to.
pub async fn tried(account: &Account, execution: &str, report: &Value) -> Result<Tried> {
    let of_report = (field(report, "source")?, field(report, "fingerprint")?);
    let (source, fingerprint): (Option<Source>, Option<Fingerprint>) = match of_report {
        (Some(source), fingerprint) => (Some(source), fingerprint),
        (None, _) => {
            let plan = plan(account, &account.module_execution(execution)).await?;
            plan.map(|plan| (plan.source, plan.fingerprint)).unzip()
        }
    };
    let files = match source {
        Some(source) => files(account, &source).await?,
        None => None,
    };
    Ok(Tried { fingerprint, files })
}

/// A field of a report; `None` if the report has none.
fn field<T: DeserializeOwned>(report: &Value, name: &str) -> Result<Option<T>> {
    let found = report.get(name).filter(|value| !value.is_null());
    found
        .map(T::deserialize)
        .transpose()
        .with_context(|| format!("{name}: expected that of a report, found something else"))
}

/// The last plan of a module's execution; `None` if it failed before there was one, or is too old.
async fn plan(account: &Account, execution: &ExecutionArn) -> Result<Option<Plan>> {
    let sfn = account.step_functions();
    if sfn.describe(execution).await?.is_none() {
        return Ok(None);
    }
    let events = sfn.history(execution).await?;
    let outputs = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event.output.as_deref()?).ok());
    let mut plans = outputs.map(|mut output| output["Payload"]["plan"].take());
    let Some(handle) = plans.find(|plan| !plan.is_null()) else {
        return Ok(None);
    };
    let handle = serde_json::from_value(handle).with_context(|| {
        format!(
            "{}: expected a module's plan, found something else",
            execution.name()
        )
    })?;
    match plans::load(&account.bucket(), handle).await {
        Ok(plan) => Ok(Some(plan)),
        // One that was too long for a state is kept for some days only, and not for everybody.
        Err(error) if matches!(error.name, ErrorName::Refused | ErrorName::AccessDenied) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn files(account: &Account, source: &Source) -> Result<Option<BTreeMap<String, u32>>> {
    let bucket = Bucket::new(&account.config, source.bucket.clone());
    let got = bucket
        .get_version(&source.key, source.version_id.clone(), MAX_BUNDLE)
        .await;
    match got {
        Ok(Some((bytes, _))) => listed(bytes, &source.path)
            .map(Some)
            .with_context(|| format!("{}: expected a zip", source.key)),
        Ok(None) => Ok(None),
        // Too large, or not for these credentials.
        Err(error) if matches!(error.name, ErrorName::Refused | ErrorName::AccessDenied) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The files of a zip below a folder, with the checksums that the zip has of them.
fn listed(zip: Vec<u8>, folder: &str) -> Result<BTreeMap<String, u32>> {
    let mut zip = zip::ZipArchive::new(Cursor::new(zip))?;
    let below = match folder.trim_matches('/') {
        "" => String::new(),
        folder => format!("{folder}/"),
    };
    let mut files = BTreeMap::new();
    for position in 0..zip.len() {
        let file = zip.by_index_raw(position)?;
        if let (false, Some(name)) = (file.is_dir(), file.name()?.strip_prefix(&below)) {
            files.insert(name.to_owned(), file.crc32());
        }
    }
    Ok(files)
}

/// What differs between the files of two bundles: `file a.yaml changed`.
#[must_use]
pub fn differing(old: &BTreeMap<String, u32>, new: &BTreeMap<String, u32>) -> Vec<String> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let of = |name: &String| match (old.get(name), new.get(name)) {
        (Some(before), Some(after)) if before == after => None,
        (Some(_), Some(_)) => Some(format!("file {name} changed")),
        (None, _) => Some(format!("file {name} added")),
        (_, None) => Some(format!("file {name} removed")),
    };
    names.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    fn zip(files: &[(&str, &str)]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in files {
            zip.start_file(*name, zip::write::SimpleFileOptions::default())
                .unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn the_files_of_two_bundles_differ_by_name_and_content() {
        let old = zip(&[
            ("m/deployspec.yaml", "1"),
            ("m/gone", "1"),
            ("m/same", "1"),
            ("other", "1"),
        ]);
        let new = zip(&[("deployspec.yaml", "2"), ("same", "1"), ("src/new.py", "1")]);
        let (old, new) = (listed(old, "m").unwrap(), listed(new, "").unwrap());
        assert_eq!(
            differing(&old, &new),
            [
                "file deployspec.yaml changed",
                "file gone removed",
                "file src/new.py added"
            ]
        );
        assert!(differing(&new, &new).is_empty());
    }
}
