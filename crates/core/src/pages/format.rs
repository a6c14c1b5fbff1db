//! Formats times, durations and log lines for people.

use jiff::Timestamp;

/// Maximum length of a log line.
const MAX_LINE: usize = 500;

/// `2026-11-23 12:25:16 UTC`
#[must_use]
pub fn time(at: Timestamp) -> String {
    format!("{}:{:02} UTC", moment(at), at.as_second().rem_euclid(60))
}

/// `2026-11-23 12:25`, for a column whose heading says UTC.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// `under 1 s` (CodeBuild counts whole seconds, so nothing finer is known of 0), `40 ms`, `1.4 s`, `12 s`, `3 min 05 s`,
/// `2 h 10 min`
#[must_use]
pub fn duration(milliseconds: i64) -> String {
    let milliseconds = milliseconds.max(0);
    if milliseconds == 0 {
        return "under 1 s".to_owned();
    }
    if milliseconds < 950 {
        return format!("{milliseconds} ms");
    }
    if milliseconds < 9_950 {
        return format!("{:.1} s", milliseconds as f64 / 1000.0);
    }
    let seconds = (milliseconds + 500) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How long before `now` a time was: `just now`, `4 min ago`, `3 h ago`, `12 days ago`.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = between(at, now) / 1000;
    let (count, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3600 => (seconds / 60, "min"),
        3600..172_800 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit} ago")
}

/// The name of an author, without the e-mail address that git writes behind it.
#[must_use]
pub fn author(author: &str) -> &str {
    let name = author.split('<').next().unwrap_or_default().trim();
    let address = || author.trim_matches(['<', '>', ' ']).split('@').next();
    match name {
        "" => address().unwrap_or_default(),
        name if name.contains(' ') => name,
        name => name.split('@').next().unwrap_or_default(),
    }
}

/// Milliseconds between two times, at least 0.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_millisecond() - from.as_millisecond()).max(0)
}

/// The log lines as a page may show them: without colour sequences of a terminal, without other control characters, and
/// cut.
#[must_use]
pub fn log_lines(messages: &[String], most: usize) -> Vec<String> {
    let lines = messages.iter().flat_map(|message| message.lines()).map(line);
    let mut lines: Vec<String> = lines.collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.split_off(lines.len().saturating_sub(most))
}

fn line(raw: &str) -> String {
    // For a line that overwrites itself, such as a progress bar, the last text counts.
    let raw = raw.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    let plain = without_sequences(raw);
    let shown: String = plain.trim_end().chars().take(MAX_LINE).collect();
    if shown.len() < plain.trim_end().len() {
        return format!("{shown}…");
    }
    shown
}

/// The text without escape sequences (ECMA-48: `ESC [ … letter`, `ESC ] … BEL` and those of two characters) and without
/// other control characters.
fn without_sequences(raw: &str) -> String {
    let mut plain = String::with_capacity(raw.len());
    let mut rest = raw.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut rest),
            '\t' => plain.push_str("    "),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => {
            rest.find(|c| ('@'..='~').contains(c));
        }
        Some(']') => {
            let mut escaped = false;
            rest.find(|c| {
                let ends = *c == '\u{7}' || (escaped && *c == '\\');
                escaped = *c == '\u{1b}';
                ends
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_are_as_fine_as_they_are_long() {
        for (milliseconds, text) in [
            (-5, "under 1 s"),
            (40, "40 ms"),
            (960, "1.0 s"),
            (9_960, "10 s"),
            (59_499, "59 s"),
            (59_500, "1 min 00 s"),
            (185_000, "3 min 05 s"),
            (7_800_000, "2 h 10 min"),
        ] {
            assert_eq!(duration(milliseconds), text);
        }
    }

    #[test]
    fn a_time_is_shown_by_its_distance() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (seconds, text) in [
            (-9, "just now"),
            (240, "4 min ago"),
            (90_000, "25 h ago"),
            (200_000, "2 days ago"),
        ] {
            let at = Timestamp::from_second(1_000_000 - seconds).unwrap();
            assert_eq!(ago(at, now), text);
        }
    }

    #[test]
    fn an_author_is_a_name_without_an_address() {
        for (text, name) in [
            ("Jane Doe <jane@example.com>", "Jane Doe"),
            ("<jane@example.com>", "jane"),
            ("jane@example.com", "jane"),
            ("Jane", "Jane"),
            ("", ""),
        ] {
            assert_eq!(author(text), name);
        }
    }

    #[test]
    fn a_log_is_lines_of_plain_text() {
        let log = [
            "\u{1b}[1;31merror\u{1b}[0m: no\tspace\u{0}\n".to_owned(),
            "10%\r50%\r100%\r\n\u{1b}]0;title\u{7}after the title\u{1b}M\n".to_owned(),
            "x".repeat(600),
            "\n\n".to_owned(),
        ];
        let long = format!("{}…", "x".repeat(500));
        let all = ["error: no    space", "100%", "after the title", long.as_str()];
        assert_eq!(log_lines(&log, 30), all);
        assert_eq!(log_lines(&log, 2), all[2..]);
        assert_eq!(log_lines(&["\u{1b}[".to_owned()], 30), [] as [&str; 0]);
    }
}
