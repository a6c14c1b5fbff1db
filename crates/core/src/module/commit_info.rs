//! The commit that a bundle was made of, its author, its branch and its repository, and who pushed it.
//!
//! An uploader may add them to the object's own metadata (`commit`, `author`, `branch`, `repository`, `pusher`). All of them are
//! claims. They are copied to the
//! module's metadata, status and reports, for people. No decision depends on them, so a value that is too long is cut
//! and no value is refused. S3 stores ASCII only and returns everything else as encoded words of RFC 2047 (S3 user
//! guide, "Working with object metadata"), which are decoded in this module.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use serde::{Deserialize, Serialize};

use crate::error::excerpt;

/// The maximum characters of each value: a status contains all three and should stay within Parameter Store's cheap 4
/// KB.
const MAX_LENGTH: usize = 128;

/// Base64 as any sender writes it: the bits after the last byte may be anything. The padding is removed before.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

/// What is known about a bundle's commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitInfo {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pusher: Option<String>,
}

impl CommitInfo {
    /// Reads it from an object's own metadata, entry by entry.
    pub fn from_metadata<'a>(entry: impl Fn(&str) -> Option<&'a str>) -> Self {
        let read = |name| entry(name).and_then(readable);
        Self {
            commit: read("commit"),
            author: read("author"),
            branch: read("branch"),
            repository: entry("repository").and_then(address),
            pusher: read("pusher"),
        }
    }

    /// A commit with only its id and its branch (or tag) known.
    #[must_use]
    pub fn of_commit(commit: Option<&str>, branch: Option<&str>) -> Self {
        Self {
            commit: commit.and_then(readable),
            branch: branch.and_then(readable),
            ..Self::default()
        }
    }

    /// The entries for an object's own metadata, in ASCII.
    pub fn metadata(&self) -> impl Iterator<Item = (&'static str, String)> {
        let entries = [
            ("commit", &self.commit),
            ("author", &self.author),
            ("branch", &self.branch),
            ("repository", &self.repository),
            ("pusher", &self.pusher),
        ];
        entries
            .into_iter()
            .filter_map(|(name, value)| Some((name, encoded(value.as_deref()?))))
    }

    /// The commit's id.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    /// The commit's author.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        self.author.as_deref()
    }

    /// The branch that was pushed to.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.branch.as_deref()
    }
}

/// The https address of a repository; `None` for any other one. An address with a user may have a password, and one that is
/// cut leads elsewhere.
fn address(value: &str) -> Option<String> {
    let address = readable(value)?;
    let plain = address
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._~:/".contains(&b));
    (address.starts_with("https://") && plain).then_some(address)
}

/// Cuts a value to one line of bounded length; `None` if nothing is left.
fn readable(value: &str) -> Option<String> {
    let printable: String = decoded(value).chars().filter(|c| !c.is_control()).collect();
    let line = printable.trim();
    (!line.is_empty()).then(|| excerpt(line, MAX_LENGTH))
}

/// Decodes the encoded words in a text (`=?UTF-8?B?w7w=?=`). Spaces between two of them belong to the encoding (RFC
/// 2047, section 6.2). A word that cannot be decoded is kept unchanged.
pub(crate) fn decoded(text: &str) -> String {
    let mut decoded = String::new();
    let mut after_word = false;
    for piece in text.split_inclusive(' ') {
        let word = piece.strip_suffix(' ').unwrap_or(piece);
        let plain = encoded_word(word);
        if after_word && plain.is_some() {
            decoded.pop();
        }
        after_word = plain.is_some();
        decoded.push_str(plain.as_deref().unwrap_or(word));
        decoded.push_str(&piece[word.len()..]);
    }
    decoded
}

/// Encodes a text for an object's metadata: unchanged, or as one encoded word (RFC 2047, section 4.2).
pub(crate) fn encoded(text: &str) -> String {
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return text.to_owned();
    }
    let quoted: String = text
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() {
                char::from(b).to_string()
            } else {
                format!("={b:02X}")
            }
        })
        .collect();
    format!("=?UTF-8?Q?{quoted}?=")
}

fn encoded_word(word: &str) -> Option<String> {
    let mut parts = word.strip_prefix("=?")?.strip_suffix("?=")?.splitn(3, '?');
    let (charset, encoding, text) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = match (charset.to_ascii_lowercase().as_str(), encoding) {
        ("utf-8" | "us-ascii", "B" | "b") => BASE64.decode(text.trim_end_matches('=')).ok()?,
        ("utf-8" | "us-ascii", "Q" | "q") => quoted(text)?,
        _ => return None,
    };
    String::from_utf8(bytes).ok()
}

/// The Q encoding: `=C3` is a byte, `_` a space.
fn quoted(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match first {
            b'=' => {
                let digits = std::str::from_utf8(after.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                &after[2..]
            }
            b'_' => {
                bytes.push(b' ');
                after
            }
            plain => {
                bytes.push(*plain);
                after
            }
        };
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn author(value: &str) -> Option<String> {
        let commit_info = CommitInfo::from_metadata(|name| (name == "author").then_some(value));
        commit_info.author().map(str::to_owned)
    }

    #[test]
    fn written_metadata_is_ascii_and_reads_the_same() {
        let commit_info = CommitInfo {
            commit: Some("0123".to_owned()),
            author: Some("J\u{fc}rgen =?_ <j@example.com>".to_owned()),
            branch: None,
            repository: Some("https://github.com/org/infra".to_owned()),
            pusher: Some("1234567".to_owned()),
        };
        let metadata: std::collections::BTreeMap<_, _> = commit_info.metadata().collect();
        assert!(metadata["author"].is_ascii());
        let read = CommitInfo::from_metadata(|name| metadata.get(name).map(String::as_str));
        assert_eq!(read, commit_info);
    }

    #[test]
    fn missing_entries_are_absent() {
        let commit_info = CommitInfo::from_metadata(|name| match name {
            "commit" => Some("c0ffee"),
            "branch" => Some("main"),
            _ => None,
        });
        assert_eq!(
            (commit_info.commit(), commit_info.author(), commit_info.branch()),
            (Some("c0ffee"), None, Some("main"))
        );
        let text = serde_json::to_string(&commit_info).unwrap();
        assert_eq!(text, r#"{"commit":"c0ffee","branch":"main"}"#);
        assert_eq!(serde_json::from_str::<CommitInfo>(&text).unwrap(), commit_info);
        let nulls = r#"{"commit":null,"author":null}"#;
        assert_eq!(
            serde_json::from_str::<CommitInfo>(nulls).unwrap(),
            CommitInfo::default()
        );
    }

    #[test]
    fn a_name_that_is_not_ascii_is_read_in_both_encodings() {
        assert_eq!(
            author("=?UTF-8?B?SsO8cmdlbiA8akB4Pg==?=").unwrap(),
            "Jürgen <j@x>"
        );
        assert_eq!(
            author("=?utf-8?Q?J=C3=BCrgen_=3Cj@x=3E?=").unwrap(),
            "Jürgen <j@x>"
        );
        // The padding may be missing.
        assert_eq!(author("=?UTF-8?B?SsO8cmdlbg?=").unwrap(), "Jürgen");
        // A long value has several words, and other text may be around them.
        assert_eq!(author("=?UTF-8?B?SsO8?= =?UTF-8?B?cmdlbg==?=").unwrap(), "Jürgen");
        assert_eq!(author("Dr. =?UTF-8?Q?J=C3=BCrgen?= X").unwrap(), "Dr. Jürgen X");
    }

    #[test]
    fn what_cannot_be_decoded_stays_as_it_is() {
        for text in [
            "=?UTF-8?B?***?=",
            "=?UTF-8?Q?=C?=",
            "=?UTF-8?Q?=é?=",
            "=?latin1?Q?x?=",
            "=?UTF-8?B?/w==?=",
            "=?",
            "a  b",
        ] {
            assert_eq!(author(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn an_address_of_a_repository_has_no_user_and_is_whole() {
        let read = |value: &str| {
            let read = CommitInfo::from_metadata(|name| (name == "repository").then_some(value));
            serde_json::to_value(read).unwrap()["repository"].clone()
        };
        assert_eq!(
            read("https://github.com/org/infra.git"),
            "https://github.com/org/infra.git"
        );
        let long = format!("https://github.com/{}", "x".repeat(200));
        for value in [
            "https://me:secret@github.com/org/infra",
            "git@github.com:org/infra",
            "http://x/y",
            &long,
        ] {
            assert!(read(value).is_null(), "{value}");
        }
    }

    #[test]
    fn every_value_is_one_line_of_bounded_length() {
        assert_eq!(author("a\u{1b}[31m\r\nb").unwrap(), "a[31mb");
        assert_eq!(author("=?UTF-8?B?CgpldmlsCg==?=").unwrap(), "evil");
        assert_eq!(author(&"x".repeat(5000)).unwrap().chars().count(), MAX_LENGTH + 1);
        assert_eq!(author(" \n "), None);
    }
}
