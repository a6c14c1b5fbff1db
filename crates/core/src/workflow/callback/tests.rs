//! Every interleaving of all possible events around one build, by depth-first search.
//!
//! The reference model is the world below: one S3 object with conditional writes, one build, and Step Functions,
//! which holds one live token and takes one answer for it.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use super::*;
use crate::ids::BuildId;
use crate::workflow::build_outcome::BuildStatus;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Actor {
    Register(Register),
    Deliver(Deliver),
}

/// Events that may still happen, besides the parties' own steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Chances {
    /// Copies of the build's event that are delivered after its end.
    events: u8,
    /// Optional time-outs of AwaitBuild.
    timeouts: u8,
    /// Function invocations that may crash between two steps; AWS starts them again.
    crashes: u8,
    /// Forged events that report an end while the build runs.
    forged: u8,
    /// Stale reads that still report a running build after its end and its event.
    stale: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    ended: bool,
    object: Option<(Registration, ETag)>,
    writes: u32,
    live: Option<Token>,
    attempts: u32,
    accepted: u32,
    forced_timeouts: u32,
    parties: Vec<(Actor, Command)>,
    chances: Chances,
}

fn outcome() -> BuildOutcome {
    BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded)
}

impl World {
    /// An execution that has just entered AwaitBuild, with `runs` starts of its Lambda function.
    fn new(runs: usize, chances: Chances) -> Self {
        let mut world = Self {
            ended: false,
            object: None,
            writes: 0,
            live: None,
            attempts: 0,
            accepted: 0,
            forced_timeouts: 0,
            parties: Vec::new(),
            chances,
        };
        (0..runs).for_each(|_| world.register(false));
        world
    }

    fn register(&mut self, again: bool) {
        if again || self.live.is_none() {
            self.attempts += 1;
            self.live = Some(Token::new(format!("t{}", self.attempts)));
        }
        let mine = Registration {
            token: self.live.clone().unwrap(),
            entered_at: format!("{}", self.attempts),
            attempt: 0,
        };
        let (register, command) = Register::start(mine);
        self.parties.push((Actor::Register(register), command));
    }

    fn deliver(&mut self) {
        let (deliver, command) = Deliver::start();
        self.parties.push((Actor::Deliver(deliver), command));
    }

    fn run(&mut self, command: Command) -> Reply {
        let matches = |object: &Option<(Registration, ETag)>, tag: &ETag| {
            object.as_ref().is_some_and(|(_, t)| t == tag)
        };
        match command {
            Command::Create(registration) if self.object.is_none() => self.store(registration),
            Command::Replace(registration, tag) if matches(&self.object, &tag) => self.store(registration),
            Command::Create(_) | Command::Replace(..) => Reply::Conflict,
            Command::Find => Reply::Found(self.object.clone()),
            Command::ReadBuild => Reply::Build(self.ended.then(|| Box::new(outcome()))),
            Command::Answer(token, _) => {
                assert!(self.ended, "answered for a build that runs: {self:?}");
                if self.live.as_ref() == Some(&token) {
                    self.live = None;
                    self.accepted += 1;
                }
                Reply::Answered
            }
            Command::Delete(tag) if matches(&self.object, &tag) => {
                self.object = None;
                Reply::Deleted
            }
            Command::Delete(_) if self.object.is_none() => Reply::Deleted,
            Command::Delete(_) => Reply::Conflict,
        }
    }

    fn store(&mut self, registration: Registration) -> Reply {
        self.writes += 1;
        let tag = ETag(format!("e{}", self.writes));
        self.object = Some((registration, tag.clone()));
        Reply::Stored(tag)
    }

    fn step(mut self, index: usize) -> Self {
        let (party, command) = self.parties.remove(index);
        let reply = self.run(command);
        self.reply(index, party, reply)
    }

    /// A stale read: the build has ended, but the read reports that it is running.
    fn read_stale(mut self, index: usize) -> Option<Self> {
        let (_, command) = self.parties.get(index)?;
        if *command != Command::ReadBuild || !self.ended || self.chances.stale == 0 {
            return None;
        }
        self.chances.stale -= 1;
        let (party, _) = self.parties.remove(index);
        Some(self.reply(index, party, Reply::Build(None)))
    }

    fn reply(mut self, index: usize, mut party: Actor, reply: Reply) -> Self {
        let next = match &mut party {
            Actor::Register(register) => register.next(reply),
            Actor::Deliver(deliver) => deliver.next(reply),
        };
        match next {
            CallbackStep::Do(command) => self.parties.insert(index, (party, command)),
            // Lambda retries a failed event; a forged event is not repeated for ever.
            CallbackStep::Done(End::Unconfirmed) if self.ended => self.deliver(),
            CallbackStep::Done(_) => {}
        }
        self
    }

    fn crash(mut self, index: usize) -> Self {
        self.chances.crashes -= 1;
        match self.parties.remove(index).0 {
            // Step Functions retries the state with a new token. If no task waits any more, there is no retry.
            Actor::Register(_) => {
                if self.live.is_some() {
                    self.register(true);
                }
            }
            Actor::Deliver(_) => self.deliver(),
        }
        self
    }

    /// All possible next worlds.
    fn successors(&self) -> Vec<Self> {
        let mut next: Vec<Self> = (0..self.parties.len()).map(|i| self.clone().step(i)).collect();
        let with = |change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            change(&mut world);
            world
        };
        if !self.ended {
            next.push(with(&|w| w.ended = true));
        }
        if self.ended && self.chances.events > 0 {
            next.push(with(&|w| {
                w.chances.events -= 1;
                w.deliver();
            }));
        }
        if !self.ended && self.chances.forged > 0 {
            next.push(with(&|w| {
                w.chances.forged -= 1;
                w.deliver();
            }));
        }
        next.extend((0..self.parties.len()).filter_map(|i| self.clone().read_stale(i)));
        if self.live.is_some() && self.chances.timeouts > 0 {
            next.push(with(&|w| {
                w.chances.timeouts -= 1;
                w.register(true);
            }));
        }
        if self.chances.crashes > 0 {
            next.extend((0..self.parties.len()).map(|i| self.clone().crash(i)));
        }
        // If nothing else can happen and a task still waits, AwaitBuild times out and begins again.
        let still = self.parties.is_empty() && self.ended && self.chances.events == 0;
        if still && self.live.is_some() {
            next.push(with(&|w| {
                // Ten minutes after a build's end no read is stale any more.
                w.chances.stale = 0;
                w.forced_timeouts += 1;
                w.register(true);
            }));
        }
        next
    }
}

/// Visits every reachable world and checks each world at rest. Returns the number of worlds.
fn explore(start: World, check: impl Fn(&World)) -> usize {
    let mut seen = HashSet::from([start.clone()]);
    let mut open = vec![start];
    while let Some(world) = open.pop() {
        assert!(world.accepted <= 1, "answered twice: {world:?}");
        assert!(
            world.forced_timeouts <= 1,
            "one timeout must be enough: {world:?}"
        );
        let next = world.successors();
        if next.is_empty() || (world.parties.is_empty() && world.live.is_none() && world.chances.events == 0)
        {
            check(&world);
        }
        open.extend(next.into_iter().filter(|w| seen.insert(w.clone())));
    }
    seen.len()
}

fn ends_in_exactly_one_answer(world: &World) {
    assert_eq!(world.accepted, 1, "{world:?}");
    // The object that is left belongs to an answered token; end-execution removes it.
    let left = world.object.as_ref();
    assert!(
        left.is_none_or(|(left, _)| world.live.as_ref() != Some(&left.token)),
        "{world:?}"
    );
}

#[test]
fn every_order_ends_in_exactly_one_answer() {
    let mut worlds = 0;
    for runs in 1..=2 {
        for events in 0..=2 {
            for timeouts in 0..=1 {
                let chances = Chances {
                    events,
                    timeouts,
                    crashes: 0,
                    forged: 0,
                    stale: 0,
                };
                worlds += explore(World::new(runs, chances), ends_in_exactly_one_answer);
            }
        }
    }
    assert!(worlds > 1000, "the search has to reach more than {worlds} worlds");
}

#[test]
fn no_event_answers_for_a_build_that_runs_and_none_is_lost_because_codebuild_is_behind() {
    for events in 0..=2 {
        for (forged, stale) in [(1, 0), (0, 1), (1, 1)] {
            let chances = Chances {
                events,
                timeouts: 0,
                crashes: 0,
                forged,
                stale,
            };
            explore(World::new(1, chances), ends_in_exactly_one_answer);
        }
    }
}

#[test]
fn every_order_with_a_crash_ends_in_exactly_one_answer() {
    for events in 0..=2 {
        for timeouts in 0..=1 {
            explore(
                World::new(
                    1,
                    Chances {
                        events,
                        timeouts,
                        crashes: 1,
                        forged: 0,
                        stale: 0,
                    },
                ),
                ends_in_exactly_one_answer,
            );
        }
    }
}

#[test]
fn with_an_event_nobody_has_to_wait_for_a_timeout() {
    for events in 1..=2 {
        for timeouts in 0..=1 {
            explore(
                World::new(
                    2,
                    Chances {
                        events,
                        timeouts,
                        crashes: 0,
                        forged: 0,
                        stale: 0,
                    },
                ),
                |world| assert_eq!(world.forced_timeouts, 0, "{world:?}"),
            );
        }
    }
}

#[test]
fn a_token_shows_itself_nowhere() {
    let registration = Registration {
        token: Token::new("secret"),
        entered_at: "1".into(),
        attempt: 0,
    };
    assert!(!format!("{registration:?} {:?}", Register::start(registration.clone())).contains("secret"));
}
