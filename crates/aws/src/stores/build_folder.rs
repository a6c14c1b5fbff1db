//! A build's folder in the bucket that builds read and write.

use seedflow_core::ids::BuildFolder;

/// A new folder, with an unguessable name.
#[must_use]
pub fn new_folder() -> BuildFolder {
    BuildFolder::from_random(uuid::Uuid::new_v4().into_bytes())
}
