//! The faults of a soak: rules of the proxy, each for the calls of one module.
//!
//! A fault stays armed until it was applied as often as its rule allows, also after its execution's end. So it also
//! affects the module's next execution, and the cleanup after the last one.

use std::time::Duration;

use fastrand::Rng;

use crate::proxy::{Action, Caller, Rule, When};

/// What kind of thing goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A call is throttled.
    Throttled,
    /// A call is answered with a failure of the service.
    Unavailable,
    /// A connection is closed before the call got through.
    ConnectionDropped,
    /// A call got through, but not its answer.
    AnswerLost,
    /// A function dies before its call got through.
    KilledBefore,
    /// A function dies after its call got through.
    KilledAfter,
    /// A build's events are lost.
    EventLost,
    /// A build's events come twice.
    EventDoubled,
    /// A build's events come late.
    EventDelayed,
    /// The account runs as many builds as it may.
    BuildLimit,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Throttled,
        Self::Unavailable,
        Self::ConnectionDropped,
        Self::AnswerLost,
        Self::KilledBefore,
        Self::KilledAfter,
        Self::EventLost,
        Self::EventDoubled,
        Self::EventDelayed,
        Self::BuildLimit,
    ];

    /// For the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throttled => "call throttled",
            Self::Unavailable => "call answered 5xx",
            Self::ConnectionDropped => "connection dropped",
            Self::AnswerLost => "answer lost",
            Self::KilledBefore => "function killed before a call",
            Self::KilledAfter => "function killed after a call",
            Self::EventLost => "build events lost",
            Self::EventDoubled => "build events doubled",
            Self::EventDelayed => "build events delayed",
            Self::BuildLimit => "AccountLimitExceeded",
        }
    }
}

/// A call of a function: service and operation.
type Call = (&'static str, &'static str);

/// The functions' calls whose path or body names the module.
const CALLS: [Call; 15] = [
    ("cloudformation", "DescribeStacks"),
    ("codebuild", "BatchGetBuilds"),
    ("codebuild", "ListBuildsForProject"),
    ("codebuild", "StartBuild"),
    ("codebuild", "StopBuild"),
    ("s3", "CopyObject"),
    ("s3", "DeleteObject"),
    ("s3", "GetObject"),
    ("s3", "PutObject"),
    ("ssm", "GetParameters"),
    ("ssm", "PutParameter"),
    ("states", "DescribeExecution"),
    ("states", "GetExecutionHistory"),
    ("states", "SendTaskSuccess"),
    ("states", "StartExecution"),
];

/// How long events are disturbed, from the first one on: more than a build lasts.
const EVENTS_DISTURBED: Duration = Duration::from_secs(15);
/// How late delayed events are: a build's events go in two calls or more, so its end comes after the
/// waiting state's timeout.
const EVENT_DELAY: Duration = Duration::from_secs(5);
/// A call is tried three times by the SDK and many times by the state machine: some faults end within the first,
/// some only in the second.
const MOST_REFUSALS: u32 = 5;
/// A function that crashes is called twice more, so three crashes in a row are too many.
const MOST_KILLS: u32 = 3;
const MOST_LIMITS: u32 = 2;

/// One thing that goes wrong, for one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    call: Call,
    times: u32,
}

impl Fault {
    pub fn random(rng: &mut Rng) -> Self {
        let kind = Kind::ALL[rng.usize(..Kind::ALL.len())];
        Self {
            kind,
            call: CALLS[rng.usize(..CALLS.len())],
            times: match kind {
                Kind::KilledBefore | Kind::KilledAfter => rng.u32(1..=MOST_KILLS),
                Kind::BuildLimit => rng.u32(1..=MOST_LIMITS),
                _ => rng.u32(1..=MOST_REFUSALS),
            },
        }
    }

    /// The rule for it; every call about the module contains `module`, and no other call does.
    #[must_use]
    pub fn rule(&self, module: &str) -> Rule {
        let (service, operation) = self.call;
        let call = |action| {
            Rule::new(service, operation, action)
                .caller(Caller::Functions)
                .times(self.times)
        };
        let events = |action| {
            Rule::new("events", "PutEvents", action)
                .caller(Caller::Codebuild)
                .lasting(EVENTS_DISTURBED)
        };
        let rule = match self.kind {
            Kind::Throttled => call(Action::throttled(service)),
            Kind::Unavailable => call(Action::unavailable(service)),
            Kind::ConnectionDropped => call(Action::Drop),
            Kind::AnswerLost => call(Action::LoseAnswer),
            Kind::KilledBefore => call(Action::Kill(When::Before)),
            Kind::KilledAfter => call(Action::Kill(When::After)),
            Kind::EventLost => events(Action::Discard),
            Kind::EventDoubled => events(Action::Duplicate),
            Kind::EventDelayed => events(Action::Delay(EVENT_DELAY)),
            Kind::BuildLimit => Rule::new("codebuild", "StartBuild", limit())
                .caller(Caller::Functions)
                .times(self.times),
        };
        rule.contains(module)
    }
}

/// <https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html>
fn limit() -> Action {
    Action::Refuse {
        status: 400,
        code: "AccountLimitExceededException".to_owned(),
        message: "Cannot have more than 60 builds in queue for the account".to_owned(),
    }
}
