//! The pages that people look at: the report of a module's execution, that of a deployment, and the index of a project.
//!
//! Each is one HTML file that stands for itself: its style is inside, it loads nothing, runs nothing, and says so to the
//! browser by its Content-Security-Policy. Everything that comes from outside is escaped by the templates, stands in an
//! element of its own direction, and becomes a link only where it leads to AWS's console ([`crate::console`]).
//!
//! Reports are read leniently ([`read`]): one of an older version says less, and then its page does too. The index keeps
//! its own data in the page, so page and data can't disagree, and the next update ([`index`]) reads it from there.

mod components;
pub mod deployment_page;
pub mod execution_event;
pub mod format;
pub mod index;
pub mod index_page;
mod layout;
pub mod link;
pub mod module_page;
pub mod report_view;
mod state;
mod timeline;

#[cfg(test)]
mod tests;

use crate::ids::AwsEnvironment;

/// The policy of every page: nothing is loaded or run, and the one style is known by its SHA-256.
pub const POLICY: &str = concat!(
    "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-",
    include_str!("style.sha256"),
    "'"
);

/// Where a report lies, for links to it and to what belongs to it.
#[derive(Debug, Clone)]
pub struct PageContext<'a> {
    /// Region and partition.
    pub place: &'a AwsEnvironment,
    /// The work bucket.
    pub bucket: &'a str,
}
