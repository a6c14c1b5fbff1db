//! Packet lines (git, gitprotocol-common, "pkt-line format").

use std::io::Read;

use gix_packetline::PacketLineRef;
use gix_packetline::blocking_io::StreamingPeekableIter;
use gix_packetline::read::Error as HostError;
use seedflow_core::error::excerpt;

use crate::failure::Failure;

/// Ends a request, or a part of an answer.
pub(super) const FLUSH: &[u8] = b"0000";
/// Separates the capabilities of a request from its arguments.
pub(super) const DELIMITER: &[u8] = b"0001";

/// The lines of an answer.
pub(super) type Lines<R> = StreamingPeekableIter<R>;

/// Adds a line to a request.
pub(super) fn push(request: &mut Vec<u8>, line: &str) {
    // The length counts itself and the line's end.
    request.extend_from_slice(format!("{:04x}{line}\n", line.len() + 5).as_bytes());
}

/// The lines of an answer, up to a flush. A line in which the host reports an error is one.
pub(super) fn lines<R: Read>(answer: R) -> Lines<R> {
    let mut lines = StreamingPeekableIter::new(answer, &[PacketLineRef::Flush], false);
    lines.fail_on_err_lines(true);
    lines
}

/// The next line without its end; `None` after a flush, and empty for a delimiter.
pub(super) fn next<R: Read>(lines: &mut Lines<R>) -> Result<Option<&[u8]>, Failure> {
    let Some(line) = lines.read_line() else {
        return Ok(None);
    };
    let line = line
        .map_err(|e| failure(&e))?
        .map_err(|e| Failure::passing(format!("the host's answer is damaged: {e}")))?;
    let line = line.as_slice().unwrap_or_default();
    Ok(Some(line.strip_suffix(b"\n").unwrap_or(line)))
}

/// An answer that broke off, or in which the host says what is wrong.
pub(super) fn failure(error: &std::io::Error) -> Failure {
    let said = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<HostError>());
    match said {
        Some(said) => refused(&said.message),
        None => Failure::broke_off(error),
    }
}

/// What the host says is wrong.
pub(super) fn refused(said: &[u8]) -> Failure {
    let said = String::from_utf8_lossy(said);
    let said = said.split(|c: char| c.is_whitespace() || c.is_control());
    let said = said.collect::<Vec<_>>().join(" ");
    Failure::refused(format!("the host answers: {}", excerpt(said.trim(), 200)))
}
