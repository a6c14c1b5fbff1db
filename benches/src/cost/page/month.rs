//! What a team with one repository pays in a month.

use super::super::alternatives::{
    PROVISIONING, TOOLING, build, container_changed, container_unchanged, job, push,
};
use super::super::run::{CHANGED, MODULES};
use super::words::{dollars, duration, paragraph_and_table};
use super::{Priced, USUAL};

/// The deployments of 22 working days.
const DEPLOYMENTS: f64 = 20.0 * 22.0;

/// What a team pays in a month, in dollars.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Month {
    pub(super) builds: f64,
    tooling: f64,
    skips: f64,
    pub(super) start: f64,
    pub(super) workflow: f64,
    pub(super) standing: f64,
}

impl Month {
    pub(super) fn total(&self) -> f64 {
        self.builds + self.tooling + self.skips + self.start + self.workflow + self.standing
    }
}

impl Priced<'_> {
    /// Seedflow, the check inside the container, seed-farmer's client in CI.
    pub(super) fn months(&self) -> [Month; 3] {
        let deployed = DEPLOYMENTS * CHANGED as f64;
        let skipped = DEPLOYMENTS * (MODULES - CHANGED) as f64;
        let builds = build(USUAL).times(deployed).dollars();
        let tooling = container_changed().times(deployed).dollars();
        let push = push().times(DEPLOYMENTS).dollars();
        let standing = self.standing_still().dollars();
        [
            Month {
                builds,
                tooling: 0.0,
                skips: 0.0,
                start: push,
                workflow: self.some.dollars() * DEPLOYMENTS,
                standing,
            },
            Month {
                builds,
                tooling,
                skips: container_unchanged().times(skipped).dollars(),
                ..Month::default()
            },
            Month {
                builds,
                tooling,
                start: job(Some(USUAL + PROVISIONING + TOOLING))
                    .times(DEPLOYMENTS)
                    .dollars(),
                ..Month::default()
            },
        ]
    }

    pub(super) fn month(&self) -> String {
        let months = self.months();
        let row = |name: &str, of: fn(&Month) -> f64| -> Vec<String> {
            std::iter::once(name.to_owned())
                .chain(months.iter().map(|month| dollars(of(month))))
                .collect()
        };
        let rows = [
            row("the modules' own commands", |month| month.builds),
            row("tooling in their builds", |month| month.tooling),
            row("containers of unchanged modules", |month| month.skips),
            row("who starts it: the git hand-over's build, the runner", |month| {
                month.start
            }),
            row("the workflow", |month| month.workflow),
            row("alarms, dashboards, metrics, queues", |month| month.standing),
            row("**sum**", Month::total),
            row("sum without the modules' own commands", |month| {
                month.total() - month.builds
            }),
        ];
        let about = format!(
            "One repository of {MODULES} modules, {DEPLOYMENTS:.0} deployments a month (20 on each of 22 days), each of which \
             changes {CHANGED} modules, whose commands take {}, and leaves {} alone. Seedflow's deployment of such a repository was \
             counted as a whole ({} executions, {} transitions, {}); it is started by a push through `template-git.yaml`, whose build \
             is billed a minute. The check inside the container starts a build for every module; who starts them isn't counted. \
             The client in CI runs once for a deployment.",
            duration(USUAL),
            MODULES - CHANGED,
            self.counts.some.executions.len(),
            self.counts.some.transitions(),
            dollars(self.some.dollars()),
        );
        paragraph_and_table(
            &about,
            &[
                "a month",
                "Seedflow",
                "check inside the container",
                "seed-farmer's client in CI",
            ],
            &rows,
        )
    }
}
