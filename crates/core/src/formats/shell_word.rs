//! A text as one word of a shell's command, for commands that people copy.

/// The text as a shell takes it for one word, in quotes only if it needs them.
#[must_use]
pub fn quoted(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&b);
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => in_quotes(text),
    }
}

/// The text in single quotes of a shell.
#[must_use]
pub fn in_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word_and_is_never_a_command() {
        for (text, shown) in [
            ("dev/network/vpc", "dev/network/vpc"),
            ("sp ace", "'sp ace'"),
            ("it's", r"'it'\''s'"),
            ("$(id)", "'$(id)'"),
            ("~", "'~'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(text), shown);
        }
        assert_eq!(in_quotes("dev"), "'dev'");
    }
}
