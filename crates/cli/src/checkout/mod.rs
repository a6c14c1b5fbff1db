//! Folders of this machine as bundles and as repositories.

pub mod bundle;
pub mod commit;
pub mod repository;
pub mod sources;
