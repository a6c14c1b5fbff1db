//! The peak memory of a process, as the kernel counts it.

use anyhow::{Context, Result};

/// The limit of everything that reads a bundle.
pub const LIMIT: u64 = 64_000_000;

/// The peak memory of the running process `id`, in bytes.
pub fn peak(id: u32) -> Result<u64> {
    let path = format!("/proc/{id}/status");
    let status = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {path}; peak memory is measured on Linux only"))?;
    of_status(&status).with_context(|| format!("{path} has no peak memory (VmHWM)"))
}

/// Makes the kernel count the peak memory of a process from now on (proc_pid_clear_refs(5)). A process that has just ended
/// has none.
pub fn forget_peak(id: u32) {
    let _ = std::fs::write(format!("/proc/{id}/clear_refs"), "5");
}

fn of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_bytes() {
        assert_eq!(
            of_status("VmPeak:\t 9 kB\nVmHWM:\t    2312 kB\n"),
            Some(2312 * 1024)
        );
        assert_eq!(of_status("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_has_a_peak() {
        assert!(peak(std::process::id()).is_ok_and(|bytes| bytes > 100_000));
    }
}
