//! What Seedflow wants to be beside seed-farmer, as ratios of figures of the same run.

use std::time::Duration;

use super::case::{By, CASES, Case, Work};
use super::{Figures, Series};
use crate::report::Section;

/// The section's title.
pub const TITLE: &str = "Beside seed-farmer: goals";

/// Overhead of a changed module and wall of an unchanged one, beside the peer's.
const TENTH: f64 = 1.0 / 10.0;
/// Overhead beside the peer's without its fixed wait.
const THIRD: f64 = 1.0 / 3.0;
/// AWS calls beside the peer's.
const CALLS: f64 = 2.0 / 3.0;
/// From a build's end to the stored status.
const STORED: Duration = Duration::from_secs(1);
/// By how much that may differ between builds of no length and of a minute, and still be the same.
const SAME: Duration = Duration::from_millis(200);

/// A goal and what was found.
#[derive(Debug, PartialEq)]
struct Goal {
    what: String,
    found: String,
    most: String,
    kept: bool,
}

/// All goals whose figures there are.
pub fn section(figures: &Figures) -> Section {
    let goals = all(figures);
    let row = |goal: Goal| {
        let kept = if goal.kept { "yes" } else { "**no**" };
        vec![goal.what, goal.found, goal.most, kept.to_owned()]
    };
    Section {
        title: TITLE,
        about: "Ratios of the medians below, of the same run. A goal that is missed fails nothing; it is a thing to work on.".to_owned(),
        columns: vec!["", "found", "at most", "kept"],
        rows: goals.into_iter().map(row).collect(),
        limits: Vec::new(),
    }
}

fn all(figures: &Figures) -> Vec<Goal> {
    let changed = || {
        CASES
            .iter()
            .filter(|case| case.modules == 1 && case.work == Work::Changed)
    };
    let mut goals = Vec::new();
    goals.extend(changed().filter_map(|case| overhead(figures, case, By::Peer, TENTH)));
    goals.extend(changed().filter_map(|case| overhead(figures, case, By::Hurried, THIRD)));
    goals.extend(changed().filter_map(|case| stored(figures, case)));
    goals.extend(growth(figures));
    goals.extend(unchanged(figures));
    goals.extend(CASES.iter().filter_map(|case| calls(figures, case)));
    goals.extend(running(figures));
    goals
}

fn overhead(figures: &Figures, case: &Case, beside: By, most: f64) -> Option<Goal> {
    let of = |by| figures.of(case.name, by)?.median(|run| Some(run.overhead()));
    let what = format!("overhead, {}, beside {}'s", case.title(), beside.name());
    Some(ratio(what, of(By::Seedflow)?, of(beside)?, most))
}

fn stored(figures: &Figures, case: &Case) -> Option<Goal> {
    let found = figures.of(case.name, By::Seedflow)?.median(|run| run.stored)?;
    Some(Goal {
        what: format!("build's end to stored status, {}", case.title()),
        found: seconds(found),
        most: seconds(STORED),
        kept: found <= STORED,
    })
}

fn growth(figures: &Figures) -> Option<Goal> {
    let of = |case| figures.of(case, By::Seedflow)?.median(|run| run.stored);
    let (short, long) = (of("changed-0")?, of("changed-60")?);
    Some(Goal {
        what: "the same after a build of 60 s, more than after one of 0 s".to_owned(),
        found: format!("{:+.2} s", long.as_secs_f64() - short.as_secs_f64()),
        most: format!("+{:.2} s", SAME.as_secs_f64()),
        kept: long <= short + SAME,
    })
}

fn unchanged(figures: &Figures) -> Option<Goal> {
    let of = |by| figures.of("unchanged", by)?.median(|run| Some(run.wall));
    let what = "wall, one module unchanged, beside seed-farmer's".to_owned();
    Some(ratio(what, of(By::Seedflow)?, of(By::Peer)?, TENTH))
}

fn calls(figures: &Figures, case: &Case) -> Option<Goal> {
    let of = |by| figures.of(case.name, by).map(Series::total);
    let (ours, theirs) = (of(By::Seedflow)?, of(By::Peer)?);
    let found = ours as f64 / theirs.max(1) as f64;
    Some(Goal {
        what: format!("AWS calls, {}, beside seed-farmer's", case.title()),
        found: format!("{found:.2} ({ours} and {theirs})"),
        most: format!("{CALLS:.2}"),
        kept: found <= CALLS,
    })
}

fn running(figures: &Figures) -> Option<Goal> {
    let of_ours = figures.series.iter().filter(|series| series.by == By::Seedflow);
    let peak = of_ours
        .flat_map(|series| &series.runs)
        .map(|run| run.client.peak)
        .max()?;
    Some(Goal {
        what: "memory of what the user has to keep running".to_owned(),
        found: if peak == 0 {
            "nothing runs".to_owned()
        } else {
            crate::stats::megabytes(peak)
        },
        most: "nothing runs".to_owned(),
        kept: peak == 0,
    })
}

fn ratio(what: String, ours: Duration, theirs: Duration, most: f64) -> Goal {
    let found = ours.as_secs_f64() / theirs.as_secs_f64().max(f64::MIN_POSITIVE);
    Goal {
        what,
        found: format!("{found:.3} ({} and {})", seconds(ours), seconds(theirs)),
        most: format!("{most:.3}"),
        kept: found <= most,
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_missed_just_above_its_ratio() {
        let of = |ours| {
            ratio(
                String::new(),
                Duration::from_millis(ours),
                Duration::from_secs(15),
                TENTH,
            )
        };
        assert_eq!(of(1500).found, "0.100 (1.50 s and 15.00 s)");
        assert!(of(1500).kept);
        assert!(!of(1501).kept);
    }

    #[test]
    fn without_figures_there_are_no_goals() {
        assert_eq!(all(&Figures::default()), []);
    }
}
