//! One module beside the other ways to deploy it.

use super::super::alternatives::{
    CLIENT, CLIENT_UNCHANGED, JOB, PROVISIONING, TOOLING, Waiting, break_even, container_changed,
    container_unchanged, container_unchanged_by_seconds, container_unchanged_on_arm, further_minutes, job,
    push, waiting,
};
use super::words::{dollars, duration, paragraph_and_table, percent, times};
use super::{BUILDS, Priced, THOUSAND, USUAL};
use crate::report::wrapped;

impl Priced<'_> {
    pub(super) fn break_even_with_containers(&self) -> String {
        let ours = (self.changed.dollars(), self.unchanged.dollars());
        let theirs = (container_changed().dollars(), container_unchanged().dollars());
        match break_even(ours, theirs) {
            Some(0.0) => "It costs more whatever share of the modules is unchanged.".to_owned(),
            Some(share) => format!(
                "From {} of unchanged modules on Seedflow is cheaper; below that the check inside the container is, which adds \
                 {} to the builds of 1,000 changed modules and has no workflow to pay for.",
                percent(share),
                dollars(theirs.0 * THOUSAND),
            ),
            None => "It is cheaper nevertheless.".to_owned(),
        }
    }

    pub(super) fn containers(&self) -> String {
        let theirs = (container_changed().dollars(), container_unchanged().dollars());
        let ours = (self.changed.dollars(), self.unchanged.dollars());
        let rows: Vec<Vec<String>> = [0.0, 0.25, 0.5, 0.75, 0.9, 1.0]
            .iter()
            .map(|&share| {
                let mixed = |(changed, unchanged): (f64, f64)| (1.0 - share) * changed + share * unchanged;
                let (ours, theirs) = (mixed(ours), mixed(theirs));
                vec![
                    percent(share),
                    dollars(ours * THOUSAND),
                    dollars(theirs * THOUSAND),
                    format!("{} times", times(theirs / ours)),
                ]
            })
            .collect();
        let about = format!(
            "What every deployment pays beside the module's own commands, for 1,000 deployments of one module each, by how many of \
             them find the module unchanged. With the check inside the container each deployment starts a build, which installs the \
             tooling and then compares MD5s: {PROVISIONING:.0} s of CodeBuild's own and {TOOLING} s of tooling, of which begun \
             minutes are billed, so {} for 1,000 skips ({} on arm1.small). In a changed module's build the tooling adds {:.2} minutes on \
             average. Nothing is counted there for whatever starts those builds and follows them, nor for a push on either side. If CodeBuild \
             billed seconds, 1,000 skips would cost {} there.",
            dollars(theirs.1 * THOUSAND),
            dollars(container_unchanged_on_arm().dollars() * THOUSAND),
            further_minutes(TOOLING),
            dollars(container_unchanged_by_seconds().dollars() * THOUSAND),
        );
        let columns = ["unchanged", "Seedflow", "check inside the container", "that is"];
        let table = paragraph_and_table(&about, &columns, &rows);
        format!("{table}\n{}\n", wrapped(&self.break_even_with_containers()))
    }

    pub(super) fn client(&self) -> String {
        let row = |name: &str, ours: f64, tooling: f64, job: f64| {
            vec![
                name.to_owned(),
                dollars(ours * THOUSAND),
                dollars((ours + push().dollars()) * THOUSAND),
                dollars(tooling * THOUSAND),
                dollars(job * THOUSAND),
                dollars((tooling + job) * THOUSAND),
            ]
        };
        let mut rows: Vec<Vec<String>> = BUILDS
            .iter()
            .map(|&seconds| {
                row(
                    &format!("changed, commands of {}", duration(seconds)),
                    self.changed.dollars(),
                    container_changed().dollars(),
                    job(Some(seconds + PROVISIONING + TOOLING)).dollars(),
                )
            })
            .collect();
        rows.push(row(
            "unchanged",
            self.unchanged.dollars(),
            0.0,
            job(None).dollars(),
        ));
        let about = format!(
            "seed-farmer decides in its client whether a module changed, so an unchanged one costs no container; but the client has to run \
             until the last build has ended. Here it runs in a job on a hosted runner of GitHub Actions: {JOB} s to set up, {CLIENT} s of \
             the client beside the build ({CLIENT_UNCHANGED} s where nothing changed), and the build; begun minutes are billed. A machine \
             that stands there anyway costs less. Seedflow needs no such job: an upload starts it, or a push, with a minute of CodeBuild. Prices of 1,000 deployments of \
             one module, beside the minutes of its commands; a job may deploy several at once, which the next table has.",
        );
        paragraph_and_table(
            &about,
            &[
                "",
                "Seedflow",
                "started by a push",
                "seed-farmer: tooling in builds",
                "runner",
                "together",
            ],
            &rows,
        )
    }
}

pub(super) fn polling() -> String {
    let ways = [
        ("event and task token (Seedflow)", Waiting::Event),
        ("Wait, function, Choice, every 5 s", Waiting::Polling(5.0)),
        ("every 10 s", Waiting::Polling(10.0)),
        ("every 30 s", Waiting::Polling(30.0)),
        (
            "every 10 s, without a function",
            Waiting::PollingWithoutFunction(10.0),
        ),
        ("a function of 128 MB that sleeps", Waiting::Sleeping),
        ("Step Functions' `startBuild.sync`", Waiting::Integration),
    ];
    let rows: Vec<Vec<String>> = ways
        .iter()
        .map(|&(name, way)| {
            let price = |seconds: f64| dollars(waiting(way, seconds).dollars() * THOUSAND);
            let ratio = waiting(way, USUAL).dollars() / waiting(Waiting::Event, USUAL).dollars();
            std::iter::once(name.to_owned())
                .chain(BUILDS.map(price))
                .chain([format!("{} times", times(ratio))])
                .collect()
        })
        .collect();
    let about = "What waiting for 1,000 builds costs, and nothing else, by how long each takes. A poll is three transitions and, where a \
                 function looks, an invocation of 0.1 s. Polls notice a build's end half of their interval late on average; an event comes \
                 when it happens. Seedflow's part grows with the build only by the look that it takes every ten minutes in case \
                 an event was lost. A function that sleeps costs little, too, but can't last longer than fifteen minutes. `startBuild.sync` is a single \
                 transition and the cheapest; Seedflow starts builds by a function, which composes the buildspec and finds a build that an \
                 earlier try has started, and so waits for them in its own way.";
    let columns = [
        "",
        "1 minute",
        "5 minutes",
        "20 minutes",
        "5 minutes, beside Seedflow",
    ];
    let table = paragraph_and_table(about, &columns, &rows);
    format!("{table}\n{}\n", wrapped(&from_which_poll()))
}

/// From how many polls on a loop costs more than waiting for an event.
fn from_which_poll() -> String {
    let loops = |polls: f64| waiting(Waiting::Polling(1.0), polls).dollars();
    let event = waiting(Waiting::Event, 1.0).dollars();
    let polls = (event / loops(1.0)).floor() + 1.0;
    if polls <= 1.0 {
        return "A loop with a function costs more from its first poll on.".to_owned();
    }
    format!("A loop with a function costs more from {polls:.0} polls on.")
}
