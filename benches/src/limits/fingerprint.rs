//! The fingerprint of the large bundle, from a local file, compared with `unzip -p bundle.zip | md5sum`.
//!
//! Both are whole processes, timed from their start to their end. They alternate, so that other load on the machine
//! affects both. A first round of each isn't counted: it reads the bundle into the page cache.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use seedflow_terminal::Ui;
use serde_json::Value;

use super::{bundle, memory};
use crate::report::{Limit, Section};
use crate::stats::{Spread, grouped, megabytes};

const ROUNDS: usize = 9;

/// Measures `program` on `bundle`.
pub async fn measure(program: &Path, bundle: &Path, ui: &Ui) -> Result<Section> {
    let task = ui.task("Fingerprint and unzip | md5sum");
    let (program, path) = (program.to_owned(), bundle.to_owned());
    let rounds = tokio::task::spawn_blocking(move || rounds(&program, &path)).await??;
    let section = section(&rounds, bundle.metadata()?.len());
    task.done(&format!("{ROUNDS} rounds"));
    Ok(section)
}

struct Rounds {
    ours: Spread,
    theirs: Spread,
    peak: u64,
}

fn rounds(program: &Path, bundle: &Path) -> Result<Rounds> {
    let (mut ours, mut theirs, mut peak) = (Vec::new(), Vec::new(), 0);
    let (_, first) = fingerprint(program, bundle)?;
    unzip_md5sum(bundle)?;
    check(&first)?;
    for _ in 0..ROUNDS {
        let (took, result) = fingerprint(program, bundle)?;
        if result["digest"] != first["digest"] {
            bail!("the same bundle had two fingerprints: {first} and {result}");
        }
        ours.push(took);
        peak = peak.max(result["peak_bytes"].as_u64().context("no peak memory")?);
        theirs.push(unzip_md5sum(bundle)?);
    }
    Ok(Rounds {
        ours: Spread::of(ours),
        theirs: Spread::of(theirs),
        peak,
    })
}

fn fingerprint(program: &Path, bundle: &Path) -> Result<(Duration, Value)> {
    let begun = Instant::now();
    let output = Command::new(program)
        .arg(bundle)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let took = begun.elapsed();
    if !output.status.success() {
        bail!("the fingerprint of the bundle failed ({})", output.status);
    }
    let result = serde_json::from_slice(&output.stdout).context("the fingerprint's output is not JSON")?;
    Ok((took, result))
}

/// Checks that the whole bundle was read, not a part of it.
fn check(result: &Value) -> Result<()> {
    if result["files"] != bundle::FILES || result["bytes"] != bundle::BYTES {
        bail!("expected the bundle that was made, found {result}; remove target/bench and try again");
    }
    Ok(())
}

fn unzip_md5sum(bundle: &Path) -> Result<Duration> {
    let begun = Instant::now();
    let mut unzip = Command::new("unzip")
        .arg("-p")
        .arg(bundle)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run unzip; install it (Debian, Ubuntu: `apt install unzip`)")?;
    let content = unzip.stdout.take().context("unzip has no output")?;
    let md5sum = Command::new("md5sum")
        .stdin(content)
        .output()
        .context("cannot run md5sum; it is part of GNU coreutils")?;
    let unzipped = unzip.wait().context("cannot wait for unzip")?;
    let took = begun.elapsed();
    if !unzipped.success() || !md5sum.status.success() {
        bail!("unzip | md5sum failed ({unzipped}, {})", md5sum.status);
    }
    Ok(took)
}

fn section(rounds: &Rounds, packed: u64) -> Section {
    let Rounds { ours, theirs, peak } = rounds;
    let speed = |spread: &Spread| {
        let rate = bundle::BYTES as f64 / 1e6 / spread.median.as_secs_f64();
        format!("{rate:.0} MB/s")
    };
    let row = |what: &str, spread: &Spread, memory: String| {
        vec![what.to_owned(), spread.seconds(), speed(spread), memory]
    };
    Section {
        title: "Fingerprint of a local bundle",
        about: format!(
            "{} files, {} MB in all, packed to {}: half made-up text, half random bytes. Median of {ROUNDS} rounds in which \
             both take turns (shortest to longest), whole processes, from the page cache.",
            grouped(bundle::FILES as u64),
            bundle::BYTES / 1_000_000,
            megabytes(packed)
        ),
        columns: vec!["", "wall time", "unpacked", "peak memory"],
        rows: vec![
            row("Seedflow's fingerprint", ours, megabytes(*peak)),
            row("`unzip -p bundle.zip \\| md5sum`", theirs, String::new()),
        ],
        limits: vec![
            Limit::at_most("fingerprint, peak memory", *peak, memory::LIMIT, megabytes),
            Limit {
                what: "fingerprint, wall time, compared with `unzip -p bundle.zip \\| md5sum`".to_owned(),
                found: format!("{:.2} s", ours.median.as_secs_f64()),
                limit: format!("{:.2} s", theirs.median.as_secs_f64()),
                met: ours.median <= theirs.median,
            },
        ],
    }
}
