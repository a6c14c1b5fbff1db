//! Seedflow's targets compared with seed-farmer: ratios of figures of the same run.

use std::time::Duration;

use super::case::{CASES, Case, Tool, Work};
use super::run::Figures;
use crate::report::Limit;
use crate::stats::{megabytes, seconds};

/// Overhead of a changed module and wall time of an unchanged one, compared with seed-farmer's.
const TENTH: f64 = 1.0 / 10.0;
/// Overhead compared with seed-farmer's without its fixed wait.
pub const THIRD: f64 = 1.0 / 3.0;
/// AWS calls compared with seed-farmer's.
const CALLS: f64 = 2.0 / 3.0;
/// From a build's end to the stored status.
const STORED: Duration = Duration::from_secs(1);
/// The largest difference between builds of no length and of a minute that counts as equal.
const SAME: Duration = Duration::from_millis(200);

/// All targets for which there are figures.
pub fn all(figures: &Figures) -> Vec<Limit> {
    let changed = |case: &&Case| case.modules == 1 && case.work == Work::Changed;
    let changed: Vec<&Case> = CASES.iter().filter(changed).collect();
    let mut targets = Vec::new();
    for (tool, most) in [(Tool::SeedFarmer, TENTH), (Tool::SeedFarmerWithoutWait, THIRD)] {
        targets.extend(
            changed
                .iter()
                .filter_map(|case| overhead(figures, case, tool, most)),
        );
    }
    targets.extend(changed.iter().filter_map(|case| stored(figures, case)));
    targets.extend(growth(figures));
    targets.extend(unchanged(figures));
    targets.extend(CASES.iter().filter_map(|case| calls(figures, case)));
    targets.extend(running(figures));
    targets
}

fn overhead(figures: &Figures, case: &Case, tool: Tool, most: f64) -> Option<Limit> {
    let of = |tool| figures.of(case.name, tool)?.median(|run| Some(run.overhead()));
    let what = format!("overhead, {}, compared with {}", case.title(), tool.name());
    Some(ratio(what, of(Tool::Seedflow)?, of(tool)?, most))
}

fn stored(figures: &Figures, case: &Case) -> Option<Limit> {
    let found = figures.of(case.name, Tool::Seedflow)?.median(|run| run.stored)?;
    Some(Limit {
        what: format!("build's end to stored status, {}", case.title()),
        found: seconds(found),
        limit: seconds(STORED),
        met: found <= STORED,
    })
}

fn growth(figures: &Figures) -> Option<Limit> {
    let of = |case| figures.of(case, Tool::Seedflow)?.median(|run| run.stored);
    let (short, long) = (of("changed-0")?, of("changed-60")?);
    Some(Limit {
        what: "the same after a build of 60 s, minus that after one of 0 s".to_owned(),
        found: format!("{:+.2} s", long.as_secs_f64() - short.as_secs_f64()),
        limit: format!("+{:.2} s", SAME.as_secs_f64()),
        met: long <= short + SAME,
    })
}

fn unchanged(figures: &Figures) -> Option<Limit> {
    let of = |tool| figures.of("unchanged", tool)?.median(|run| Some(run.wall));
    let what = "wall, one module unchanged, compared with seed-farmer".to_owned();
    Some(ratio(what, of(Tool::Seedflow)?, of(Tool::SeedFarmer)?, TENTH))
}

fn calls(figures: &Figures, case: &Case) -> Option<Limit> {
    let of = |tool| Some(figures.of(case.name, tool)?.calls().values().sum::<u64>());
    let (ours, theirs) = (of(Tool::Seedflow)?, of(Tool::SeedFarmer)?);
    let found = ours as f64 / theirs.max(1) as f64;
    Some(Limit {
        what: format!("AWS calls, {}, compared with seed-farmer", case.title()),
        found: format!("{found:.2} ({ours} and {theirs})"),
        limit: format!("{CALLS:.2}"),
        met: found <= CALLS,
    })
}

fn running(figures: &Figures) -> Option<Limit> {
    let series = figures.series.iter();
    let ours = series.filter(|series| series.tool == Tool::Seedflow);
    let runs = ours.flat_map(|series| &series.runs);
    let peak = runs.map(|run| run.client.peak).max()?;
    Some(Limit {
        what: "memory of what the user has to keep running".to_owned(),
        found: match peak {
            0 => "nothing runs".to_owned(),
            peak => megabytes(peak),
        },
        limit: "nothing runs".to_owned(),
        met: peak == 0,
    })
}

pub fn ratio(what: String, ours: Duration, theirs: Duration, most: f64) -> Limit {
    let found = ours.as_secs_f64() / theirs.as_secs_f64().max(f64::MIN_POSITIVE);
    Limit {
        what,
        found: format!("{found:.3} ({} and {})", seconds(ours), seconds(theirs)),
        limit: format!("{most:.3}"),
        met: found <= most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_missed_just_above_its_ratio() {
        let of = |ours| {
            let ours = Duration::from_millis(ours);
            ratio(String::new(), ours, Duration::from_secs(15), TENTH)
        };
        assert_eq!(of(1500).found, "0.100 (1.50 s and 15.00 s)");
        assert!(of(1500).met);
        assert!(!of(1501).met);
        assert_eq!(all(&Figures::default()), []);
    }
}
