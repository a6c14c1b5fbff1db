//! The pages for people: the report of a module's execution, the report of a deployment's execution, and the index of a
//! project (decision 30).
//!
//! Each page is one self-contained HTML file: its style is inline, it loads nothing and runs nothing, and its
//! Content-Security-Policy enforces that. Templates escape every value from outside and put it into an element that
//! isolates its text direction. A value becomes a link only if it leads to AWS's console ([`crate::console`]) or to a commit on
//! a known code host ([`link::commit`]).
//!
//! Reports are parsed leniently ([`report_view`]): a report of an older version has fewer fields, and its page shows fewer.
//! The index keeps its own data in its page, so page and data can't disagree. The next update ([`index`]) reads the data
//! from there. While a deployment runs, its page is made of the report that was written at its start and of the index.

mod advice;
mod components;
pub mod deployment_page;
mod deployment_rows;
pub mod drift_event;
mod drift_section;
pub mod execution_event;
pub mod format;
pub mod index;
mod index_entry;
pub mod index_page;
mod layout;
pub mod link;
pub mod module_page;
mod preview_section;
pub mod report_view;
mod state;
mod timeline;

#[cfg(test)]
mod index_tests;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::ids::AwsEnvironment;

/// The policy of every page: it loads and runs nothing, and allows its one style by its SHA-256.
pub const POLICY: &str = concat!(
    "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-",
    include_str!("style.sha256"),
    "'"
);

/// Where a report is stored, for links to it and to related files.
#[derive(Debug, Clone)]
pub struct PageContext<'a> {
    /// Region and partition.
    pub environment: &'a AwsEnvironment,
    /// The work bucket.
    pub bucket: &'a str,
    /// When the page is written.
    pub now: Timestamp,
}
