//! The groups and modules that a deployment is planned from: those of a repository, or of what an earlier execution left.

use serde_json::Value;

use crate::ids::{ModuleId, Name};
use crate::module::input::Options;

/// A group of the repository.
#[derive(Debug, Clone)]
pub struct PlannableGroup {
    /// Its name.
    pub name: Name,
    /// How many of its modules run at once; unlimited if `None`.
    pub concurrency: Option<u32>,
    /// Its modules.
    pub modules: Vec<PlannableModule>,
}

/// A module of the repository.
#[derive(Debug, Clone)]
pub struct PlannableModule {
    /// The module.
    pub id: ModuleId,
    /// Its options, with unresolved references to upstream modules.
    pub options: Options,
    /// The digest of its bundle.
    pub digest: String,
    /// The text of its deployspec; empty if only its digest is known.
    pub deployspec: Vec<u8>,
    /// The digest of its deployspec.
    pub deployspec_digest: String,
    /// The input of the execution that deploys it.
    pub input: Value,
}
