//! Times for people: how long ago, and how long.

use jiff::Timestamp;

/// `just now`, `42 s ago`, `5 min ago`, `3 h ago`, `12 days ago`. A time that is ahead of this machine's clock is just now.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    match seconds {
        ..5 => "just now".to_owned(),
        5..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// A commit's id as people write it; that files were changed since stays visible.
#[must_use]
pub fn short(commit: Option<&str>) -> String {
    let commit = commit.unwrap_or_default();
    let (id, changes) = commit.split_at(commit.find('+').unwrap_or(commit.len()));
    id.chars().take(8).chain(changes.chars()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_commit_is_shortened_and_keeps_that_files_were_changed() {
        let commit = "0123456789abcdef";
        assert_eq!(short(Some(commit)), "01234567");
        assert_eq!(short(Some(&format!("{commit}+changes"))), "01234567+changes");
        assert_eq!(short(None), "");
    }

    #[test]
    fn a_time_is_shown_in_the_unit_that_fits() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let of = |seconds: i64| ago(Timestamp::from_second(1_000_000 - seconds).unwrap(), now);
        let shown = [-9, 4, 59, 60, 3599, 3600, 172_799, 172_800].map(of);
        assert_eq!(
            shown,
            [
                "just now",
                "just now",
                "59 s ago",
                "1 min ago",
                "59 min ago",
                "1 h ago",
                "47 h ago",
                "2 days ago"
            ]
        );
    }
}
