//! The `seedfarmer` command of builds, compared with the real one (seed-farmer 8.0.9).
//!
//! The same calls go to both commands. The test compares everything that a module can see: exit code, standard output,
//! and the metadata file after every call. If ours differs on purpose, the case states the reason and the difference,
//! and must differ, so that no exception outlives its reason.
mod case;
mod cases;
mod random;
mod run;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::environment;
use case::{Case, case};
use run::{Program, SeedFarmer, Stage, Step, Stored};
use serde_json::json;

/// How many cases run at once.
const WORKERS: usize = 2;

/// Runs the check over all cases, each worker with the result of `start`, and lists the differences.
fn check_all<W>(
    cases: &[Case],
    start: impl Fn() -> W + Sync,
    check: impl Fn(&Case, &mut W) -> Result<(), String> + Sync,
) {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let mut worker = start();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(what) = check(case, &mut worker) {
                        found.lock().unwrap().push(format!("{}: {what}", case.name));
                    }
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(
        found.is_empty(),
        "{} of {} cases:\n{}",
        found.len(),
        cases.len(),
        found.join("\n")
    );
}

fn expect_same(theirs: &[Step], ours: &[Step]) -> Result<(), String> {
    if theirs == ours {
        Ok(())
    } else {
        Err(format!("\n  seed-farmer {theirs:?}\n  ours        {ours:?}"))
    }
}

fn against_seed_farmer(case: &Case, seed_farmer: &mut SeedFarmer, ours: &mut Program) -> Result<(), String> {
    let (theirs, ours) = (run::run(case, seed_farmer), run::run(case, ours));
    for (step, call) in theirs.iter().zip(&case.calls) {
        if call.exit.is_some_and(|exit| exit != step.exit) {
            return Err(format!(
                "seed-farmer ends {:?} with {}, the table with {:?}",
                call.args, step.exit, call.exit
            ));
        }
    }
    let Some(difference) = &case.difference else {
        return expect_same(&theirs, &ours);
    };
    let last = ours.last().unwrap();
    let stored = difference.stored.clone().map_or(Stored::Nothing, Stored::Json);
    if theirs == ours {
        Err(format!(
            "is the same in both by now; the difference ({}) is gone",
            difference.reason
        ))
    } else if (last.exit, &last.stored) != (difference.exit, &stored) {
        Err(format!(
            "ours ends with {last:?}, the table says {} and {stored:?}",
            difference.exit
        ))
    } else {
        Ok(())
    }
}

fn compare(cases: &[Case]) {
    let bin = environment();
    let folder = tempfile::tempdir().unwrap();
    let program = run::install_ours("seedfarmer", folder.path());
    check_all(
        cases,
        || (SeedFarmer::start(&bin), Program(program.clone())),
        |case, (seed_farmer, ours)| against_seed_farmer(case, seed_farmer, ours),
    );
}

#[test]
fn every_case_ends_as_in_seed_farmer() {
    compare(&cases::all());
}

#[test]
fn random_calls_end_as_in_seed_farmer() {
    compare(&random::cases(40));
}

/// The driver replaces the console script; here the script itself runs, for every fifteenth case.
#[test]
fn the_driver_ends_as_the_console_script() {
    let bin = environment();
    let some: Vec<_> = cases::all().into_iter().step_by(15).collect();
    check_all(
        &some,
        || (SeedFarmer::start(&bin), Program(bin.join("seedfarmer"))),
        |case, (driver, script)| expect_same(&run::run(case, script), &run::run(case, driver)),
    );
}

/// seed-farmer leaves jq's output as `tmp-metadata` in the working directory; ours leaves nothing.
#[test]
fn convert_leaves_no_file_behind() {
    let left = |command: &mut dyn run::Seedfarmer| {
        let exports = json!({"a": {"b": "{\"c\": 1}"}}).to_string();
        let case = case("")
            .file("cdk-exports.json", exports)
            .ends(0, &["convert", "-jq", "a.b"]);
        let stage = Stage::set(&case);
        assert_eq!(stage.step(command, &case.calls[0].args, "").exit, 0);
        stage.module().join("tmp-metadata").exists()
    };
    let folder = tempfile::tempdir().unwrap();
    assert!(!left(&mut Program(run::install_ours(
        "seedfarmer",
        folder.path()
    ))));
    assert!(left(&mut SeedFarmer::start(&environment())));
}

fn collect(case: &Case) -> (Step, Option<serde_json::Value>) {
    let stage = Stage::set(case);
    let mut program = stage.collector();
    (stage.step(&mut program, &[], case.cwd), stage.collected())
}

#[test]
fn collect_hands_back_an_object() {
    for (case, expected) in [
        (case("nothing"), json!({})),
        (case("a first deployment").exported("null "), json!({})),
        (
            case("a module that exports nothing").exported("{\"old\": 1} "),
            json!({}),
        ),
        (
            case("an exported object").exported("{\"v\": [1, \"é\"]}"),
            json!({"v": [1, "é"]}),
        ),
        (
            case("an exported Python dict").exported("{'v': 1}"),
            json!({"v": 1}),
        ),
        (case("an exported null").exported("null"), json!({})),
        (
            case("the file before the variable")
                .exported("{\"v\": 1}")
                .stored("{\"f\": 1}"),
            json!({"f": 1}),
        ),
        (
            case("a Python dict in the file").stored("{'f': 1}\n"),
            json!({"f": 1}),
        ),
        (
            case("an empty file").exported("{\"v\": 1}").stored("\n"),
            json!({}),
        ),
        (
            case("elsewhere").stored("{\"f\": 1}").cwd("1/2/3/4/5"),
            json!({"f": 1}),
        ),
        (
            Case {
                generic: false,
                ..case("the project's prefix")
            }
            .stored("{\"f\": 1}"),
            json!({"f": 1}),
        ),
    ] {
        let (step, collected) = collect(&case);
        assert_eq!((step.exit, collected), (0, Some(expected)), "{}", case.name);
    }
}

#[test]
fn collect_refuses_what_is_not_an_object() {
    for case in [
        case("a list").stored("[1]"),
        case("a text").stored("\"a\""),
        case("no JSON").stored("{\"a\": "),
        case("NaN").stored("{\"a\": NaN}"),
        case("half a character").stored("{\"a\": \"\\ud800\"}"),
        case("an exported list").exported("[1]"),
        case("exported prose").exported("vpc-1"),
        case("a Python dict that isn't nearly JSON").exported("{'a': True}"),
    ] {
        let (step, collected) = collect(&case);
        assert_eq!((step.exit, collected), (1, None), "{}", case.name);
    }
}

#[test]
fn collect_recognises_a_printed_python_dict() {
    for (case, expected) in [
        (case("a dict").exported("{'a': True}"), true),
        (case("prose").exported("vpc-1"), false),
    ] {
        let stage = Stage::set(&case);
        let said = stage.said(&stage.collector());
        let hint = "it seems to be a printed Python dict, print json.dumps of it";
        assert_eq!(said.contains(hint), expected, "{}: {said}", case.name);
        assert!(said.contains("is not JSON"), "{}: {said}", case.name);
    }
}

#[test]
fn the_command_stays_small() {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/core/src/module/codebuild/seedfarmer.py");
    let size = std::fs::metadata(script).unwrap().len();
    assert!(size < 8 * 1024, "every buildspec carries these {size} bytes");
}
