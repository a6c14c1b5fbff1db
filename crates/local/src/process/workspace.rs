//! The root of the checkout, and the functions in it.
//!
//! The local stack always runs from a checkout: it needs the template, the state machine and the functions' sources.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The package of all functions.
pub const FUNCTIONS_PACKAGE: &str = "seedflow-functions";

/// The functions of the workflow: the binaries of their package.
pub const FUNCTIONS: [&str; 17] = [
    "acquire-lock",
    "check-md5",
    "module-stack",
    "start-build",
    "check-status",
    "update-metadata",
    "build-event",
    "end-execution",
    "plan-deployment",
    "evaluate-policy",
    "fetch-sources",
    "record-deployment",
    "request-approval",
    "approve",
    "publish-report",
    "detect-drift",
    "preview-modules",
];

/// The root of the checkout that this program was built from.
pub fn root() -> Result<PathBuf> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let here = std::env::current_dir().context("cannot read the current directory")?;
    let candidates = std::iter::once(built_from.as_path()).chain(here.ancestors());
    for candidate in candidates {
        if candidate.join("statemachine").is_dir() && candidate.join("functions").is_dir() {
            return candidate
                .canonicalize()
                .with_context(|| format!("cannot resolve {}", candidate.display()));
        }
    }
    bail!(
        "no Seedflow checkout found: the folder that this program was built from ({}) doesn't exist any more; run it inside a checkout",
        built_from.display()
    )
}

/// The folder for everything that the local stack writes: never anything outside `target/`.
pub fn local_dir() -> Result<PathBuf> {
    Ok(root()?.join("target/local"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_root_holds_the_template_parts() {
        let root = root().unwrap();
        assert!(root.join("Cargo.lock").is_file());
    }
}
