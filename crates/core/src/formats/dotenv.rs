//! A `.env` file, parsed as python-dotenv 1.0.1 parses it, the version of seed-farmer 8.0.9: `NAME=value`,
//! `export NAME=value`, quoted values over several lines, comments, and `${NAME}` or `${NAME:-default}` in a value.
//!
//! python-dotenv skips a line that it can't parse and continues with the next one, and so does this parser. A test
//! against the real python-dotenv compares both with generated files.
//!
//! Values never appear in a message.

use std::collections::BTreeMap;

/// The contents of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dotenv {
    /// The variables.
    pub variables: BTreeMap<String, String>,
    /// The lines that were skipped, in their order.
    pub skipped: Vec<Skipped>,
}

/// A line that sets no variable although it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    /// The line, counted from 1.
    pub line: usize,
    /// The reason.
    pub reason: Reason,
}

/// Why a line was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It can't be parsed.
    Syntax,
    /// All values together would be longer than [`MAX_TEXT`]. python-dotenv has no such limit.
    TooLong,
}

/// The maximum length of all values together: a short `${A}${A}` doubles the text of `A`.
pub const MAX_TEXT: usize = 1 << 20;

/// Parses a file. Values may refer to the variables `over`, which take precedence over those of the file (python-dotenv
/// without `override`), and to those `under`, which the file's replace (with `override`).
#[must_use]
pub fn read(text: &str, over: &BTreeMap<String, String>, under: &BTreeMap<String, String>) -> Dotenv {
    // Python's text files have these three ends of a line.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    // A name without a value has none, which hides a value of an earlier line.
    let mut variables: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut skipped = Vec::new();
    let mut left = MAX_TEXT;
    let mut reader = Reader { text: &text };
    let mut line = 1;
    loop {
        let before = reader.text;
        reader.skip(is_space);
        line += newlines(before, reader.text);
        if reader.text.is_empty() {
            break;
        }
        let before = reader.text;
        let mut skip = |reason| skipped.push(Skipped { line, reason });
        match reader.binding() {
            Some((Some(name), value)) => {
                let lookup = |name: &str| match (over.get(name), variables.get(name)) {
                    (Some(value), _) => Some(value.as_str()),
                    (None, Some(value)) => Some(value.as_deref().unwrap_or_default()),
                    (None, None) => under.get(name).map(String::as_str),
                };
                match value.map(|value| expand(&value, lookup, left)) {
                    None => drop(variables.insert(name.to_owned(), None)),
                    Some(None) => skip(Reason::TooLong),
                    Some(Some(value)) => {
                        left -= value.len();
                        variables.insert(name.to_owned(), Some(value));
                    }
                }
            }
            Some((None, _)) => {}
            None => {
                skip(Reason::Syntax);
                reader.skip(|c| c != '\n');
                reader.skip_one('\n');
            }
        }
        line += newlines(before, reader.text);
    }
    let set = variables.into_iter();
    Dotenv {
        variables: set.filter_map(|(name, value)| Some((name, value?))).collect(),
        skipped,
    }
}

/// The number of lines that end between two positions.
fn newlines(from: &str, to: &str) -> usize {
    let passed = &from.as_bytes()[..from.len() - to.len()];
    passed.iter().filter(|byte| **byte == b'\n').count()
}

/// Whether Python's `\s` matches: Unicode's white space, and four separators that Unicode does not count as such.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

fn is_space_within_line(c: char) -> bool {
    is_space(c) && c != '\n'
}

/// The text that is left. What is read before an error stays read, as in python-dotenv.
struct Reader<'t> {
    text: &'t str,
}

impl<'t> Reader<'t> {
    /// Skips the characters of a class.
    fn skip(&mut self, class: impl Fn(char) -> bool) -> &'t str {
        let end = self.text.find(|c| !class(c)).unwrap_or(self.text.len());
        let (skipped, rest) = self.text.split_at(end);
        self.text = rest;
        skipped
    }

    fn skip_one(&mut self, c: char) -> bool {
        let rest = self.text.strip_prefix(c);
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }

    /// A name and its value, as far as there are any, to the end of the line. `None` if it can't be parsed.
    fn binding(&mut self) -> Option<(Option<&'t str>, Option<String>)> {
        if let Some(rest) = self.text.strip_prefix("export")
            && rest.starts_with(is_space_within_line)
        {
            self.text = rest;
            self.skip(is_space_within_line);
        }
        let name = self.name()?;
        self.skip(is_space_within_line);
        let mut value = None;
        if self.skip_one('=') {
            self.skip(is_space_within_line);
            value = Some(self.value()?);
        }
        self.end_of_line()?;
        Some((name, value))
    }

    /// A name; `Some(None)` where a comment begins instead.
    fn name(&mut self) -> Option<Option<&'t str>> {
        if self.text.starts_with('#') {
            return Some(None);
        }
        if let Some(quoted) = self.text.strip_prefix('\'') {
            let (name, rest) = quoted.split_once('\'').filter(|(name, _)| !name.is_empty())?;
            self.text = rest;
            return Some(Some(name));
        }
        let name = self.skip(|c| c != '=' && c != '#' && !is_space(c));
        (!name.is_empty()).then_some(Some(name))
    }

    fn value(&mut self) -> Option<String> {
        let Some(quote @ ('\'' | '"')) = self.text.chars().next() else {
            let line = self.skip(|c| c != '\n');
            return Some(without_comment(line).trim_end_matches(is_space).to_owned());
        };
        let inner = &self.text[1..];
        let end = closing(inner, quote)?;
        self.text = &inner[end + 1..];
        let escapes = if quote == '"' { "\\'\"abfnrtv" } else { "\\'" };
        Some(unescaped(&inner[..end], escapes))
    }

    /// The end of the line, after a comment if there is one.
    fn end_of_line(&mut self) -> Option<()> {
        self.skip(is_space_within_line);
        if self.text.starts_with('#') {
            self.skip(|c| c != '\n');
        }
        (self.text.is_empty() || self.skip_one('\n')).then_some(())
    }
}

/// The position of the closing quote: the first one without a backslash before it. If there is none, it is the last one
/// with a backslash: python-dotenv's regular expression prefers to read `\"` as an escaped quote, and backtracks to a
/// backslash and the closing quote.
fn closing(text: &str, quote: char) -> Option<usize> {
    let escaped = |i: usize| text[..i].ends_with('\\');
    let mut quotes = text.match_indices(quote).map(|(i, _)| i);
    quotes.find(|i| !escaped(*i)).or_else(|| text.rfind(quote))
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
    let begins = |(i, _): &(usize, &str)| line[..*i].ends_with(is_space);
    let comment = line.match_indices('#').find(begins);
    comment.map_or(line, |(i, _)| &line[..i])
}

/// Substitutes variables in a value; an unset variable is empty. `None` if the result is longer than `most`.
///
/// A variable is `${`, a name without `:` and `}`, perhaps `:-` and a default, and `}`. Anything else is plain text, also
/// within what only begins like a variable.
fn expand<'v>(value: &str, lookup: impl Fn(&str) -> Option<&'v str>, most: usize) -> Option<String> {
    let mut result = String::new();
    let mut rest = value;
    while let Some(start) = rest.find("${") {
        let name = &rest[start + 2..];
        let Some(end) = name.find(['}', ':']) else {
            break;
        };
        let (name, after) = name.split_at(end);
        let (default, after) = match after.strip_prefix(":-") {
            Some(default) => match default.split_once('}') {
                Some((default, after)) => (default, after),
                // No later variable ends either.
                None => break,
            },
            None => match after.strip_prefix('}') {
                Some(after) => ("", after),
                None => {
                    // No variable begins before this colon: each would have it in its name.
                    let (text, after) = rest.split_at(start + 2 + end + 1);
                    push(&mut result, text, most)?;
                    rest = after;
                    continue;
                }
            },
        };
        push(&mut result, &rest[..start], most)?;
        push(&mut result, lookup(name).unwrap_or(default), most)?;
        rest = after;
    }
    push(&mut result, rest, most)?;
    Some(result)
}

fn push(result: &mut String, text: &str, most: usize) -> Option<()> {
    (result.len() + text.len() <= most).then(|| result.push_str(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Dotenv {
        let given = BTreeMap::from([("GIVEN".to_owned(), "g".to_owned())]);
        read(text, &given, &BTreeMap::new())
    }

    fn set(text: &str) -> Vec<(String, String)> {
        of(text).variables.into_iter().collect()
    }

    fn skipped(text: &str) -> Vec<usize> {
        let skipped = of(text).skipped.into_iter();
        skipped
            .map(|Skipped { line, reason }| {
                assert_eq!(reason, Reason::Syntax);
                line
            })
            .collect()
    }

    #[test]
    fn lines_mean_what_python_dotenv_reads() {
        // Checked against python-dotenv 1.0.1.
        for (text, value) in [
            ("A=b", "b"),
            ("A = b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A=b #c #d", "b"),
            ("A= # c", "# c"),
            ("export A=b", "b"),
            ("A=", ""),
            ("A='it\\'s $x' # c", "it's $x"),
            ("A=\"l1\\nl2\"", "l1\nl2"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A=\"C:\\\\dir\\\\\"", "C:\\dir\\"),
            ("A='C:\\dir\\'\nB", "C:\\dir\\"),
            ("# c\n\nA=1\n", "1"),
            ("'A'=1", "1"),
            ("A=a b  c  ", "a b  c"),
            ("A\u{a0}=\u{1f}1\u{1d}#c", "1"),
            ("A=x${GIVEN}y", "xgy"),
            ("A='${GIVEN}'", "g"),
            ("A=${MISSING:-d}${MISSING}", "d"),
            ("A=1\nB\nA=2\r\n", "2"),
            ("A=a=b", "a=b"),
            ("A=${open", "${open"),
            ("A=${a:${GIVEN}}", "${a:g}"),
            ("A=${a:-${GIVEN}}", "${GIVEN}"),
            ("B\nA=${B:-d}", ""),
        ] {
            assert_eq!(set(text), [("A".to_owned(), value.to_owned())], "{text}");
        }
        assert_eq!(set("A=1\nB=${A}2")[1].1, "12");
        assert_eq!(set("# nothing\nNAME\n"), []);
        assert_eq!(set("A=1\nA"), []);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_skipped_and_the_others_count() {
        assert_eq!(skipped("A=1\nB=\"open\n"), [2]);
        assert_eq!(skipped("A=1\n\nno assignment\nB=2\n=1\n"), [3, 5]);
        assert_eq!(set("A=1\n\nno assignment\nB=2\n=1\n").len(), 2);
        assert_eq!(skipped("A='a' b"), [1]);
        assert_eq!(skipped("A='two\nlines' b\n''=1"), [1, 3]);
        // The quote that closes is the next line's.
        assert_eq!(skipped("A=\"C:\\\"\nB=\"x\"\nC=1"), [1]);
        assert_eq!(
            set("A=\"C:\\\"\nB=\"x\"\nC=1"),
            [("C".to_owned(), "1".to_owned())]
        );
    }

    #[test]
    fn values_that_double_each_other_end_at_the_limit() {
        let doubling: String = (1..40)
            .map(|i| format!("A{i}=${{A{}}}${{A{}}}\n", i - 1, i - 1))
            .collect();
        let read = of(&format!("A0=xxxx\n{doubling}LAST=1\n"));
        assert_eq!(read.skipped[0].reason, Reason::TooLong);
        assert!(read.variables.contains_key("LAST"));
        assert!(read.variables.values().map(String::len).sum::<usize>() <= MAX_TEXT);
    }
}
