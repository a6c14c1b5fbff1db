//! The machine and the versions of a run: figures without them mean little.

use std::fmt;
use std::process::Stdio;

use anyhow::{Context, Result};
use seedflow_local::process::workspace;
use tokio::process::Command;

/// The facts that a report states about its run.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    facts: Vec<(&'static str, String)>,
    load_before: String,
}

impl Machine {
    /// Reads them, before anything is measured.
    pub async fn inspect() -> Result<Self> {
        let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        let facts = vec![
            ("Date", today),
            ("Commit", commit().await),
            ("Machine", machine()),
            ("Rust", first_line("rustc", &["--version"]).await),
            ("Release profile", profile()?),
            ("Emulator", emulator()?),
            ("Tools", tools().await),
        ];
        Ok(Self {
            facts,
            load_before: load(),
        })
    }

    /// One of the facts, by its name.
    pub fn fact(&self, name: &str) -> &str {
        let fact = self.facts.iter().find(|(found, _)| *found == name);
        fact.map_or("", |(_, value)| value)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.facts {
            writeln!(f, "- {name}: {value}")?;
        }
        // Other work on the machine changes absolute times; measurements that alternate keep their ratio.
        writeln!(
            f,
            "- Load (one minute): {} before, {} after",
            self.load_before,
            load()
        )
    }
}

fn machine() -> String {
    let model = of_file("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    let memory = of_file("/proc/meminfo", "MemTotal")
        .and_then(|text| text.strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map_or_else(String::new, |kib| format!(", {} GB of memory", kib / 1_000_000));
    let (system, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("{model}, {cores} cores{memory}, {system} {arch}")
}

/// The value of the first line `name: value`.
fn of_file(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

async fn commit() -> String {
    let id = first_line("git", &["rev-parse", "--short", "HEAD"]).await;
    // A report of an earlier run does not change the measurement.
    let changes = first_line("git", &["status", "--porcelain", "--", ".", ":!docs"]).await;
    if changes.is_empty() {
        id
    } else {
        format!("{id} with uncommitted changes")
    }
}

/// The release profile of the root manifest: its own lines, and the packages that have an opt-level of their own.
fn profile() -> Result<String> {
    let manifest = workspace::root()?.join("Cargo.toml");
    let text = std::fs::read_to_string(manifest).context("cannot read Cargo.toml")?;
    Ok(profile_of(&text))
}

fn profile_of(manifest: &str) -> String {
    let section = manifest.split("[profile.release]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| line.contains(" = "));
    let exceptions = manifest
        .split("[profile.release.package.")
        .skip(1)
        .filter_map(|section| {
            let (package, rest) = section.split_once("]\n")?;
            Some(format!("{package}: {}", rest.lines().next()?))
        });
    lines
        .map(str::to_owned)
        .chain(exceptions)
        .collect::<Vec<_>>()
        .join(", ")
}

fn emulator() -> Result<String> {
    let list = workspace::root()?.join("tools/local-stack.in");
    let text = std::fs::read_to_string(list).context("cannot read tools/local-stack.in")?;
    let pin = text.lines().find(|line| line.starts_with("ministack"));
    Ok(pin.unwrap_or("unknown").replace("[full]==", " "))
}

async fn tools() -> String {
    let unzip = first_line("unzip", &["-v"]).await;
    let md5sum = first_line("md5sum", &["--version"]).await;
    let version = unzip.split(" of ").next().unwrap_or_default();
    format!("{version}, {md5sum}")
}

/// The first line of a program's output; empty if the program does not exist.
async fn first_line(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    if let Ok(root) = workspace::root() {
        command.current_dir(root);
    }
    let output = command.output().await;
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_has_its_exceptions() {
        let manifest = "[profile.dev]\ndebug = false\n[profile.release]\nopt-level = \"z\"\nstrip = true\n\
                        [profile.release.package.md-5]\nopt-level = 3\n\n[other]\n";
        assert_eq!(
            profile_of(manifest),
            "opt-level = \"z\", strip = true, md-5: opt-level = 3"
        );
    }
}
