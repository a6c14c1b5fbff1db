//! The remote sources that a manifest names, and how many there may be.

use std::collections::BTreeSet;

use super::diagnostic::{Diagnostics, Location};
use super::{paths, remote_path};
use crate::deployment::remote_source::{RemoteSource, SourcePath};

/// The maximum number of remote sources of a deployment.
const MAX_SOURCES: usize = 100;
/// The maximum length of their addresses together: they travel through the states of an execution.
const MAX_ADDRESSES: usize = 64 << 10;

/// What a path of a manifest leads to; `None` if it is not valid.
#[must_use]
pub fn place_of(path: &str) -> Option<SourcePath> {
    let place = match remote_path::parse(path) {
        None => SourcePath::own(path),
        Some(parsed) => parsed.ok()?.place,
    };
    let path = paths::normal(&place.path)?;
    Some(SourcePath { path, ..place })
}

/// Refuses more remote sources than a deployment fetches.
pub(super) fn refuse_many(sources: &BTreeSet<RemoteSource>, at: &Location, problems: &mut Diagnostics) {
    let length = |source: &RemoteSource| match source {
        RemoteSource::Git { url, reference } => url.len() + reference.as_ref().map_or(0, String::len),
        RemoteSource::Archive { url } => url.len(),
    };
    let bytes: usize = sources.iter().map(length).sum();
    if sources.len() > MAX_SOURCES || bytes > MAX_ADDRESSES {
        problems.found(
            at,
            format!(
                "{} sources of modules and data files, with addresses of {bytes} bytes",
                sources.len()
            ),
            format!(
                "at most {MAX_SOURCES}, with {MAX_ADDRESSES} bytes; split the deployment, or use fewer branches and tags"
            ),
        );
    }
}
