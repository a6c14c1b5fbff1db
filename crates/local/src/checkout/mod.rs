//! Folders of this machine as bundles and as repositories.

pub mod bundle;
pub mod repository;
pub mod sources;
