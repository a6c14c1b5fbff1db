//! A `.env` file, parsed as python-dotenv parses it: `NAME=value`, `export NAME=value`, quoted values over several lines,
//! comments, and `${NAME}` or `${NAME:-default}` in a value.
//!
//! Values never appear in a message.

use std::collections::BTreeMap;

/// A line that can't be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine(pub usize);

/// Maximum length of all values together: a short `${A}${A}` doubles the text of `A`.
const MAX_TEXT: usize = 1 << 20;

/// Parses a file. Values may refer to the variables `over`, which take precedence over those of the file, and to those
/// `under`, which the file's replace.
pub(crate) fn read(
    text: &str,
    over: &BTreeMap<String, String>,
    under: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, BadLine> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut variables = BTreeMap::new();
    let mut left = MAX_TEXT;
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let bad = || BadLine(1 + text[..text.len() - rest.len()].matches('\n').count());
        let (binding, after) = binding(rest).ok_or_else(bad)?;
        if let Some((name, value)) = binding {
            let lookup = |name: &str| {
                let earlier = || variables.get(name).or_else(|| under.get(name));
                over.get(name).or_else(earlier)
            };
            let value = expand(&value, lookup, left).ok_or_else(bad)?;
            left -= value.len();
            variables.insert(name.to_owned(), value);
        }
        rest = after.trim_start();
    }
    Ok(variables)
}

/// A name and its value, if the line has them, and the text after the line.
fn binding(text: &str) -> Option<(Option<(&str, String)>, &str)> {
    if text.starts_with('#') {
        return Some((None, after_line(text)));
    }
    let text = match text.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start_matches([' ', '\t']),
        _ => text,
    };
    let (name, rest) = match text.strip_prefix('\'') {
        Some(quoted) => quoted.split_once('\'')?,
        None => text.split_at(
            text.find(|c: char| c == '=' || c == '#' || c.is_whitespace())
                .unwrap_or(text.len()),
        ),
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    let Some(value) = rest.strip_prefix('=') else {
        // A name without a value sets nothing.
        return ends(rest).map(|rest| (None, rest));
    };
    let (value, rest) = self::value(value.trim_start_matches([' ', '\t']))?;
    (!name.is_empty()).then_some((Some((name, value)), ends(rest)?))
}

fn value(text: &str) -> Option<(String, &str)> {
    match text.chars().next() {
        Some(quote @ ('\'' | '"')) => {
            let inner = &text[1..];
            let end = closing(inner, quote)?;
            let escapes = if quote == '"' { "\\'\"abfnrtv" } else { "\\'" };
            Some((unescaped(&inner[..end], escapes), &inner[end + 1..]))
        }
        _ => {
            let end = text.find('\n').unwrap_or(text.len());
            let (line, rest) = text.split_at(end);
            Some((without_comment(line).trim_end().to_owned(), rest))
        }
    }
}

/// The position of the closing quote: the first one without a backslash before it.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut before = None;
    for (i, c) in text.char_indices() {
        if c == quote && before != Some('\\') {
            return Some(i);
        }
        before = Some(c);
    }
    None
}

fn unescaped(text: &str, escapes: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(next)) if escapes.contains(*next) => {
                result.push(match next {
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\u{b}',
                    other => *other,
                });
                chars.next();
            }
            _ => result.push(c),
        }
    }
    result
}

/// Removes a comment. A `#` begins a comment only after a space; otherwise it is part of the value.
fn without_comment(line: &str) -> &str {
    let begins = |(i, _): &(usize, &str)| line[..*i].ends_with(char::is_whitespace);
    let comment = line.match_indices('#').find(begins);
    comment.map_or(line, |(i, _)| &line[..i])
}

/// The text after the line, if the rest of the line is empty or a comment.
fn ends(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches([' ', '\t']);
    (rest.is_empty() || rest.starts_with(['#', '\n'])).then(|| after_line(rest))
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

/// Substitutes variables in a value; an unset variable is empty. `None` if the result is longer than `most`.
fn expand<'v>(value: &str, lookup: impl Fn(&str) -> Option<&'v String>, most: usize) -> Option<String> {
    let mut result = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((inside, after)) = after.split_once('}') else {
            break;
        };
        result.push_str(before);
        let (name, default) = inside.split_once(":-").unwrap_or((inside, ""));
        if name.contains(':') {
            // python-dotenv does not take this for a variable.
            result.push_str("${");
            result.push_str(inside);
            result.push('}');
        } else {
            result.push_str(lookup(name).map_or(default, String::as_str));
        }
        rest = after;
        if result.len() > most {
            return None;
        }
    }
    result.push_str(rest);
    (result.len() <= most).then_some(result)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(text: &str) -> Result<Vec<(String, String)>, BadLine> {
        let given = BTreeMap::from([("GIVEN".to_owned(), "g".to_owned())]);
        read(text, &given, &BTreeMap::new()).map(|variables| variables.into_iter().collect())
    }

    #[test]
    fn lines_mean_what_python_dotenv_reads() {
        // Checked against python-dotenv 1.0.1.
        for (text, value) in [
            ("A=b", "b"),
            ("A = b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A=b #c #d", "b"),
            ("export A=b", "b"),
            ("A=", ""),
            ("A='it\\'s $x' # c", "it's $x"),
            ("A=\"l1\\nl2\"", "l1\nl2"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("# c\n\nA=1\n", "1"),
            ("'A'=1", "1"),
            ("A=a b  c  ", "a b  c"),
            ("A=x${GIVEN}y", "xgy"),
            ("A='${GIVEN}'", "g"),
            ("A=${MISSING:-d}${MISSING}", "d"),
            ("A=1\nB\nA=2\r\n", "2"),
            ("A=a=b", "a=b"),
            ("A=${open", "${open"),
        ] {
            assert_eq!(of(text), Ok(vec![("A".to_owned(), value.to_owned())]), "{text}");
        }
        assert_eq!(of("A=1\nB=${A}2").unwrap()[1].1, "12");
        assert_eq!(of("# nothing\nNAME\n"), Ok(vec![]));
    }

    #[test]
    fn an_unreadable_line_is_reported() {
        assert_eq!(of("A=1\nB=\"open\n"), Err(BadLine(2)));
        assert_eq!(of("A=1\n\nno assignment\n"), Err(BadLine(3)));
        assert_eq!(of("A='a' b"), Err(BadLine(1)));
        assert_eq!(of("=1"), Err(BadLine(1)));
        let doubling: String = (1..40)
            .map(|i| format!("A{i}=${{A{}}}${{A{}}}\n", i - 1, i - 1))
            .collect();
        assert!(of(&format!("A0=xxxx\n{doubling}")).is_err());
    }
}
