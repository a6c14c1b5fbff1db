//! The schedule of a soak. One generator with one seed decides every step, so the same seed makes the same
//! schedule. The timing within an execution depends on the machine.

use std::time::Duration;

use fastrand::Rng;

use super::faults::Fault;

/// How large a soak is, and what decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// How many executions are started.
    pub executions: usize,
    /// Over how many modules.
    pub modules: usize,
    /// What all decisions follow from.
    pub seed: u64,
}

/// One execution: what it deploys, and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Counts from 0.
    pub number: usize,
    pub module: usize,
    /// What is deployed.
    pub content: Content,
    /// How long to wait before it is started.
    pub pause: Duration,
    /// What goes wrong from its start on.
    pub faults: Vec<Fault>,
    /// When it is stopped by StopExecution, counted from its start.
    pub stopped: Option<Duration>,
    /// When its module's build is stopped in CodeBuild, counted from its start.
    pub build_stopped: Option<Duration>,
}

/// What a module is deployed with; the same content again is not a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The parameter `tag`, which the build writes into the metadata.
    pub tag: String,
    /// The text of a file of the bundle.
    pub text: usize,
    /// How its build goes.
    pub build: Build,
}

/// How a build goes if it is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// It ends at once.
    Quick,
    /// It takes this many seconds.
    Slow(u32),
    /// Its commands fail.
    Failing,
}

/// How many of a hundred steps do what.
mod share {
    pub const SAME_MODULE_AS_BEFORE: u32 = 30;
    pub const UNCHANGED: u32 = 25;
    pub const SAME_FILE: u32 = 50;
    pub const FAILING_BUILD: u32 = 10;
    pub const SLOW_BUILD: u32 = 30;
    pub const STOPPED: u32 = 12;
    pub const BUILD_STOPPED: u32 = 8;
    pub const FAULTY: u32 = 60;
    pub const FAULTY_AGAIN: u32 = 40;
}

/// The longest time until an execution or a build is stopped: more than most take.
const LATEST_STOP: u64 = 6_000;
/// The longest pause before a step that doesn't follow at once.
const LONGEST_PAUSE: u64 = 400;

/// The steps of a soak in their order.
#[must_use]
pub fn schedule(size: Size) -> Vec<Step> {
    let mut rng = Rng::with_seed(size.seed);
    let mut last_of: Vec<Option<Content>> = vec![None; size.modules];
    let mut module = 0;
    (0..size.executions)
        .map(|number| {
            let follows = happens(&mut rng, share::SAME_MODULE_AS_BEFORE);
            if !follows {
                module = rng.usize(..size.modules);
            }
            let content = content(&mut rng, number, last_of[module].take());
            last_of[module] = Some(content.clone());
            Step {
                number,
                module,
                content,
                pause: Duration::from_millis(if follows { 0 } else { rng.u64(..LONGEST_PAUSE) }),
                faults: faults(&mut rng),
                stopped: sometime(&mut rng, share::STOPPED),
                build_stopped: sometime(&mut rng, share::BUILD_STOPPED),
            }
        })
        .collect()
}

fn happens(rng: &mut Rng, of_a_hundred: u32) -> bool {
    rng.u32(..100) < of_a_hundred
}

fn sometime(rng: &mut Rng, of_a_hundred: u32) -> Option<Duration> {
    happens(rng, of_a_hundred).then(|| Duration::from_millis(rng.u64(..LATEST_STOP)))
}

fn content(rng: &mut Rng, number: usize, last: Option<Content>) -> Content {
    let last = match last {
        Some(last) if happens(rng, share::UNCHANGED) => return last,
        last => last,
    };
    let same_file = last.filter(|_| happens(rng, share::SAME_FILE));
    Content {
        tag: format!("tag-{number}"),
        text: same_file.map_or(number, |last| last.text),
        build: match rng.u32(..100) {
            0..share::FAILING_BUILD => Build::Failing,
            rest if rest < share::FAILING_BUILD + share::SLOW_BUILD => Build::Slow(rng.u32(1..=2)),
            _ => Build::Quick,
        },
    }
}

fn faults(rng: &mut Rng) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut likely = share::FAULTY;
    while happens(rng, likely) {
        faults.push(Fault::random(rng));
        likely = share::FAULTY_AGAIN;
    }
    faults
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn of_seed(seed: u64) -> Vec<Step> {
        schedule(Size {
            executions: 300,
            modules: 20,
            seed,
        })
    }

    #[test]
    fn a_seed_decides_everything() {
        assert_eq!(of_seed(7), of_seed(7));
        assert_ne!(of_seed(7), of_seed(8));
    }

    #[test]
    fn everything_that_can_happen_does() {
        let steps = of_seed(1);
        let some = |what: fn(&Step) -> bool| steps.iter().any(what);
        assert!(some(|step| step.stopped.is_some()) && some(|step| step.build_stopped.is_some()));
        assert!(some(|step| step.content.build == Build::Failing));
        assert!(some(|step| step.faults.len() > 1) && some(|step| step.faults.is_empty()));
        let tags: HashSet<&str> = steps.iter().map(|step| step.content.tag.as_str()).collect();
        assert!(tags.len() < steps.len(), "some steps change nothing");
        let kinds: HashSet<_> = steps
            .iter()
            .flat_map(|step| &step.faults)
            .map(|fault| fault.kind)
            .collect();
        assert_eq!(kinds.len(), super::super::faults::Kind::ALL.len());
        let modules: HashSet<usize> = steps.iter().map(|step| step.module).collect();
        assert_eq!(modules.len(), 20);
    }
}
