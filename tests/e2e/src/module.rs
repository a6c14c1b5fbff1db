//! Modules made in memory.

use serde_json::{Map, Value, json};

/// A module's files, in the order in which they are packed.
#[derive(Debug, Clone, Default)]
pub struct Module {
    files: Vec<(String, Vec<u8>)>,
}

impl Module {
    /// A module without files.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A module whose deployspec is this text.
    pub fn with_deployspec(deployspec: &str) -> Self {
        Self::empty().file("deployspec.yaml", deployspec)
    }

    /// A module with one phase (install, pre_build, build or post_build) of these commands.
    pub fn running(phase: &str, commands: &[&str]) -> Self {
        Self::with_phases(&[(phase, commands)])
    }

    /// A module with several phases.
    pub fn with_phases(phases: &[(&str, &[&str])]) -> Self {
        let phases: Map<String, Value> = phases
            .iter()
            .map(|(name, commands)| ((*name).to_owned(), json!({"commands": commands})))
            .collect();
        // JSON is YAML, so commands need no quoting rules.
        Self::with_deployspec(&json!({"deploy": {"phases": phases}}).to_string())
    }

    /// The same with a file added or replaced.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref().to_vec();
        match self.files.iter_mut().find(|(name, _)| name == path) {
            Some((_, old)) => *old = content,
            None => self.files.push((path.to_owned(), content)),
        }
        self
    }

    /// The same without a file.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.files.retain(|(name, _)| name != path);
        self
    }

    /// The files by their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .map(|(name, content)| (name.as_str(), content.as_slice()))
    }

    /// The bundle.
    pub fn zip(&self) -> Vec<u8> {
        seedflow_local::checkout::bundle::files(self.files()).expect("packing files of memory")
    }
}
