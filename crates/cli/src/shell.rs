//! Commands that a person may paste into a shell: every word is quoted where it has to be.

/// A text as a shell takes it for one word.
#[must_use]
pub fn word(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&b);
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// A text in single quotes of a shell.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `seedflow` with these arguments.
#[must_use]
pub fn command<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    let words = arguments.into_iter().map(word);
    let words: Vec<String> = ["seedflow".to_owned()].into_iter().chain(words).collect();
    words.join(" ")
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
            assert_eq!(word(text), shown);
        }
        assert_eq!(
            command(["apply", "sp ace", "--project", "shop"]),
            "seedflow apply 'sp ace' --project shop"
        );
    }
}
