//! The template and packages that `sam build` would write, from the binaries that cargo has already built.
//!
//! `sam build` compiles release binaries for minutes. The stack needs the same template with the
//! same functions from the dev profile, so this writes a copy of `template.yaml` whose `CodeUri` and
//! `DefinitionUri` name absolute paths. It edits lines of text and parses no YAML: the intrinsic
//! functions (`!Sub`, `!GetAtt`) stay as they are written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The timeout of the states that wait for an event, as the definition writes it.
const TIMEOUT: &str = "\"TimeoutSeconds\": 600";

/// Zips each function's binary as `bootstrap`; one that is zipped already is left as it is.
pub fn functions(built: &BTreeMap<String, PathBuf>, cache: &Path) -> Result<BTreeMap<String, PathBuf>> {
    std::fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    built
        .iter()
        .map(|(name, binary)| Ok((name.clone(), function(name, binary, cache)?)))
        .collect()
}

fn function(name: &str, binary: &Path, cache: &Path) -> Result<PathBuf> {
    let about = binary
        .metadata()
        .with_context(|| format!("cannot read {}", binary.display()))?;
    let changed = about.modified().context("this system keeps no time of change")?;
    let age = changed.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // Builds differ by length and time of change, as for cargo.
    let target = cache.join(format!("{name}-{}-{}.zip", about.len(), age.as_nanos()));
    if target.exists() {
        return Ok(target);
    }
    remove_older(name, cache);
    let draft = tempfile::NamedTempFile::new_in(cache).context("cannot write the package of a function")?;
    let mut zip = ZipWriter::new(draft);
    // Level 1: the package travels over loopback only.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1))
        .unix_permissions(0o755);
    zip.start_file("bootstrap", options)
        .context("cannot write the package of a function")?;
    let mut content = BufReader::new(File::open(binary).with_context(|| format!("cannot read {name}"))?);
    std::io::copy(&mut content, &mut zip).with_context(|| format!("cannot package {name}"))?;
    let draft = zip.finish().with_context(|| format!("cannot package {name}"))?;
    draft
        .persist(&target)
        .context("cannot keep the package of a function")?;
    Ok(target)
}

/// Removes packages of older builds, but none of the last hour: another stack that is just being
/// deployed may be about to read it.
fn remove_older(name: &str, cache: &Path) {
    const RECENT: Duration = Duration::from_secs(3600);
    let prefix = format!("{name}-");
    for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        let age = entry
            .metadata()
            .and_then(|about| about.modified())
            .map(|time| time.elapsed().unwrap_or_default());
        if entry.file_name().to_string_lossy().starts_with(&prefix) && age.is_ok_and(|age| age > RECENT) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Timeouts in place of the template's.
#[derive(Debug, Default)]
pub struct Timeouts {
    /// The state machine's for what it waits for by a token.
    pub awaiting: Option<Duration>,
    /// The longest of a function.
    pub function: Option<Duration>,
}

/// Writes the template and the definitions of the state machines into `target`; returns the template.
pub fn template(
    root: &Path,
    functions: &BTreeMap<String, PathBuf>,
    timeouts: &Timeouts,
    target: &Path,
) -> Result<PathBuf> {
    let text = read(&root.join("template.yaml"))?;
    for definition in definitions(&text) {
        let copy = read(&root.join(definition))?;
        write(
            &target.join(file_name(definition)),
            &with_timeout(&copy, timeouts.awaiting),
        )?;
    }
    let packaged = packaged(&text, functions, target)?;
    let packaged = match timeouts.function {
        Some(longest) => with_function_timeout(&packaged, longest)?,
        None => packaged,
    };
    let path = target.join("template.yaml");
    write(&path, &packaged)?;
    Ok(path)
}

fn definitions(template: &str) -> impl Iterator<Item = &str> {
    template
        .lines()
        .filter_map(|line| line.trim().strip_prefix("DefinitionUri: "))
        .map(str::trim)
}

fn file_name(uri: &str) -> &str {
    uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

fn packaged(template: &str, functions: &BTreeMap<String, PathBuf>, definitions: &Path) -> Result<String> {
    let mut packaged = String::with_capacity(template.len());
    let mut replaced = 0;
    // All functions are built from one folder. A function's metadata, which names its binary, is before its properties.
    let mut binary = "";
    for line in template.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if let Some(name) = line.trim().strip_prefix("Binary: ") {
            binary = name.trim();
        }
        if line.trim().starts_with("CodeUri: ") {
            let package = functions
                .get(binary)
                .with_context(|| format!("template.yaml names an unknown function {binary:?}"))?;
            packaged += &format!("{indent}CodeUri: {}\n", quoted(package));
            replaced += 1;
        } else if let Some(definition) = line.trim().strip_prefix("DefinitionUri: ") {
            let copy = definitions.join(file_name(definition.trim()));
            packaged += &format!("{indent}DefinitionUri: {}\n", quoted(&copy));
        } else {
            packaged += line;
            packaged.push('\n');
        }
    }
    if replaced != functions.len() {
        bail!(
            "template.yaml names {replaced} functions, cargo built {}",
            functions.len()
        );
    }
    Ok(packaged)
}

/// A YAML string in single quotes, in which only the quote itself is special.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "''"))
}

/// The emulator's SFN_WAIT_SCALE doesn't reach TimeoutSeconds, so a test that waits for a timeout has them shortened
/// here.
fn with_timeout(definition: &str, wanted: Option<Duration>) -> String {
    let Some(wanted) = wanted else {
        return definition.to_owned();
    };
    let seconds = wanted.as_secs().max(1);
    definition.replace(TIMEOUT, &format!("\"TimeoutSeconds\": {seconds}"))
}

/// The template's limits on how long a function may run: its timeout, and the settings that depend on the longest.
const FUNCTION_TIMEOUTS: [&str; 3] = ["Timeout: ", "LONGEST_WRITE_SECONDS: ", "TAKE_OVER_SECONDS: "];

/// No function of the template may run longer than `longest`: a test that waits for a function's timeout
/// doesn't wait for minutes.
fn with_function_timeout(template: &str, longest: Duration) -> Result<String> {
    let longest = longest.as_secs().max(1);
    let shortened = |line: &str| {
        let mut fields = FUNCTION_TIMEOUTS.iter();
        let found = fields.find_map(|field| Some((*field, line.trim_start().strip_prefix(*field)?)));
        let Some((field, seconds)) = found else {
            return Ok(line.to_owned());
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let digits = seconds.trim_matches('"');
        let number: u64 = digits
            .parse()
            .with_context(|| format!("template.yaml: {field}expected a number, found {seconds}"))?;
        let shorter = seconds.replace(digits, &number.min(longest).to_string());
        Ok(format!("{indent}{field}{shorter}"))
    };
    let lines: Result<Vec<String>> = template.lines().map(shortened).collect();
    Ok(lines?.join("\n"))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::process::workspace;

    fn packages() -> BTreeMap<String, PathBuf> {
        workspace::FUNCTIONS
            .map(|name| (name.to_owned(), format!("/it's/{name}.zip").into()))
            .into()
    }

    #[test]
    fn only_the_paths_of_the_real_template_change() {
        let target = tempfile::tempdir().unwrap();
        let root = workspace::root().unwrap();
        let path = template(&root, &packages(), &Timeouts::default(), target.path()).unwrap();
        let before = read(&root.join("template.yaml")).unwrap();
        let after = read(&path).unwrap();
        let changed: Vec<&str> = before
            .lines()
            .zip(after.lines())
            .filter(|(old, new)| old != new)
            .map(|(_, new)| new.trim())
            .collect();
        assert_eq!(before.lines().count(), after.lines().count());
        assert_eq!(changed[0], "CodeUri: '/it''s/acquire-lock.zip'");
        // Each state machine has a definition of its own.
        let definitions: BTreeSet<&&str> = changed
            .iter()
            .filter(|line| line.starts_with("DefinitionUri: '/"))
            .collect();
        assert_eq!(
            definitions.len(),
            before.matches("DefinitionUri: statemachine/").count()
        );
        assert_eq!(changed.len(), workspace::FUNCTIONS.len() + definitions.len());
    }

    #[test]
    fn timeouts_are_shortened() {
        let target = tempfile::tempdir().unwrap();
        let root = workspace::root().unwrap();
        let short = Timeouts {
            awaiting: Some(Duration::from_secs(3)),
            function: Some(Duration::from_secs(40)),
        };
        let path = template(&root, &packages(), &short, target.path()).unwrap();
        let timeouts: BTreeSet<String> = read(&path)
            .unwrap()
            .lines()
            .filter_map(|line| {
                Some(
                    line.trim()
                        .strip_prefix("Timeout: ")?
                        .trim_matches('"')
                        .to_owned(),
                )
            })
            .collect();
        assert_eq!(timeouts, ["30", "40"].map(str::to_owned).into());
        let definition = read(&target.path().join("deploy-module.asl.json")).unwrap();
        assert_eq!(definition.matches("\"TimeoutSeconds\": 3").count(), 2);
        assert!(!definition.contains(TIMEOUT));
    }

    #[test]
    fn an_unknown_function_is_an_error() {
        let error = packaged(
            "  Binary: other\n  CodeUri: functions\n",
            &packages(),
            Path::new("/d"),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("\"other\""), "{error}");
    }

    #[test]
    fn a_package_is_made_once_per_build() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("b");
        std::fs::write(&binary, "one").unwrap();
        let cache = folder.path().join("cache");
        std::fs::create_dir(&cache).unwrap();
        let first = function("x", &binary, &cache).unwrap();
        assert_eq!(function("x", &binary, &cache).unwrap(), first);
        std::fs::write(&binary, "other").unwrap();
        assert_ne!(function("x", &binary, &cache).unwrap(), first);
        assert!(first.exists(), "another stack may be about to read it");
    }
}
