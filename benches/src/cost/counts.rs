//! The deployments that the page is about.

use super::usage::Usage;

/// The modules of the repository, in one group: simulated builds publish no values for another group.
pub const MODULES: usize = 40;
/// The changed ones of them.
pub const CHANGED: usize = 2;

/// The use of the deployments that the page is about.
pub struct Counts {
    /// A module by itself that changed.
    pub changed: Usage,
    /// The same, unchanged.
    pub unchanged: Usage,
    /// A repository in which nothing changed.
    pub nothing: Usage,
    /// The same with a few changed modules.
    pub some: Usage,
}

impl Counts {
    pub fn all(&self) -> [&Usage; 4] {
        [&self.changed, &self.unchanged, &self.nothing, &self.some]
    }
}
