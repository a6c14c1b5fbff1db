//! A small soak with a fixed seed: a check of every change must not fail by chance. The command is for new seeds.

use seedflow_e2e::run;
use seedflow_local::soak::{self, Report, Size};
use seedflow_terminal::Ui;

/// One soak; its seed is printed before it begins, in case it never ends.
fn soaked(seed: u64) -> Report {
    let size = Size {
        executions: 30,
        modules: 5,
        seed,
    };
    eprintln!("soaking with the seed {seed}");
    let report = run(soak::run(size, None, &Ui::silent())).unwrap_or_else(|error| panic!("{error:#}"));
    eprintln!("{}", report.markdown());
    report
}

fn assert_holds(report: &Report) {
    let seed = report.size.seed;
    let found: Vec<_> = report.broken.iter().map(|broken| &broken.found).collect();
    assert!(report.holds(), "seed {seed}: {found:#?}");
    assert!(
        report.ends.contains_key("SUCCEEDED"),
        "nothing was deployed: {:?}",
        report.ends
    );
    assert!(report.struck.values().sum::<u32>() > 0, "no fault struck");
}

#[test]
fn everything_holds_after_the_faults_of_a_known_seed() {
    assert_holds(&soaked(3));
}
