//! Commands that a person may paste into a shell: every word is quoted where it has to be.

use seedflow_core::formats::shell_word::quoted;

/// `seedflow` with these arguments.
#[must_use]
pub fn command<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    let words = arguments.into_iter().map(quoted);
    let words: Vec<String> = ["seedflow".to_owned()].into_iter().chain(words).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_command_stays_one_word() {
        assert_eq!(
            command(["apply", "sp ace", "--project", "shop"]),
            "seedflow apply 'sp ace' --project shop"
        );
    }
}
