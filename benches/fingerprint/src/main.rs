//! Fingerprints one local bundle and prints its digest and its peak memory.
//!
//! It is a process of its own with only the core and a file, so that its peak memory and its wall time are the
//! fingerprint's. It is built in the release profile, like the functions.

use std::error::Error;
use std::fs::File;
use std::io::Write;

use seedflow_core::module::bundle;
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os()
        .nth(1)
        .ok_or("usage: seedflow-fingerprint BUNDLE")?;
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let bundle = bundle::read(file, "", size).map_err(|error| error.message)?;
    let result = json!({
        "digest": bundle.digest,
        "files": bundle.files,
        "bytes": bundle.bytes,
        "peak_bytes": peak_bytes()?,
    });
    writeln!(std::io::stdout(), "{result}")?;
    Ok(())
}

/// The peak memory of this process, as the kernel counts it.
fn peak_bytes() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let text = line.ok_or("this kernel reports no peak memory (VmHWM)")?;
    let kib: u64 = text.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}
