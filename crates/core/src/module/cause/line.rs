//! A cause as one line of bounded length.

use crate::error::excerpt;

/// The longest cause: the whole status should stay within Parameter Store's cheap 4 KB.
pub const MAX_CAUSE: usize = 400;

/// A text as one line of bounded length, without control characters and colours of a terminal.
#[must_use]
pub fn line(text: &str) -> String {
    excerpt(&one_line(text), MAX_CAUSE)
}

/// The same of any length.
pub(super) fn one_line(text: &str) -> String {
    let plain: String = without_escapes(text)
        .chars()
        .map(|c| if is_hidden(c) { ' ' } else { c })
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Control characters, and those that change the direction of a text or separate its lines.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text without the sequences that set a terminal's colour or position (ECMA-48: ESC, `[`, and parameters up
/// to a final byte from `@` to `~`).
pub(super) fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            plain.push(c);
        } else if rest.next_if_eq(&'[').is_some() {
            while rest.next().is_some_and(|c| !matches!(c, '@'..='~')) {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_short_line_without_colours() {
        assert_eq!(
            line("\u{1b}[31m❌  a\u{1b}[39m \r\n\tfailed:\u{0} x\u{202e}"),
            "❌ a failed: x"
        );
        assert_eq!(line("\u{1b}[31"), "");
        assert_eq!(line(&"x".repeat(5000)).chars().count(), MAX_CAUSE + 1);
    }
}
