//! A case of the table: a deployment, its faults, and the conditions that hold when it has ended.

pub mod run;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use seedflow_e2e::Action;

/// A call of the workflow: its operation, and the text in it that names the module.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub service: &'static str,
    pub operation: &'static str,
    pub about: About,
    /// The number of earlier calls of the same kind in a deployment.
    pub skip: u32,
}

/// The text in a call that names a case's module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The uploaded bundle's key, also as the source of a copy.
    Source,
    /// The module's lock.
    Lock,
    /// The execution; known only after it has started.
    Execution,
    /// The published bundle's key.
    Bundle,
    /// The key of the bundle beside the record.
    Kept,
    /// The record of the deployed state.
    Record,
    /// The list of the record's versions.
    RecordVersions,
    /// The registration of the task token.
    Callback,
    /// The report's key.
    Report,
    /// The folder in which the build returns its metadata; known only when the build runs.
    HandedBack,
    /// Any parameter of the module.
    Parameters,
    Parameter(&'static str),
    /// The CodeBuild project, which is also in the build's id.
    Project,
    /// The module's CloudFormation stack.
    Stack,
    /// The log of any build: a request for one names neither project nor case.
    AnyLog,
    /// The settings of a target: a request for them names neither project nor case.
    Settings,
    /// A role of the case's target: `builds`.
    TargetRole(&'static str),
    /// The module's own role.
    Role,
    /// The stack of that role.
    RoleStack,
    /// The list of the module's values in the work bucket.
    Values,
    /// The event about the module with these words.
    Event(&'static str),
}

/// A call and its fault.
pub struct Fault {
    pub call: Call,
    pub action: Action,
    pub amount: Amount,
}

impl Fault {
    pub fn new(call: Call, action: Action, amount: Amount) -> Self {
        Self { call, action, amount }
    }

    pub fn once(call: Call, action: Action) -> Self {
        Self::new(call, action, Amount::Times(1))
    }

    pub fn always(call: Call, action: Action) -> Self {
        Self::new(call, action, Amount::Always)
    }
}

/// How often a fault occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    Times(u32),
    /// For a minute from its first occurrence.
    Minute,
    Always,
}

/// The module's build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// Ends at once.
    Quick,
    /// Ends when the task's token is registered, so that the event answers it.
    Late,
    /// Fails at once.
    Failing,
}

/// The end of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Succeeded,
    /// With an error of this name, also in the status.
    Failed(&'static str),
    /// With an error that could not be recorded until the cleanup after executions records it.
    NotRecorded,
}

pub struct FaultCase {
    name: String,
    faults: Vec<Fault>,
    build: Build,
    unregistered: bool,
    end: End,
    builds: usize,
    written: BTreeMap<&'static str, RangeInclusive<u64>>,
    redelivered: bool,
    crash: bool,
    then: bool,
    role: bool,
    destroys: bool,
    rolls_back: bool,
    target: Option<&'static str>,
}

impl FaultCase {
    /// A deployment that succeeds in spite of its faults: one build, and every parameter written once (the status
    /// twice: at its start and at its end).
    pub fn new(name: impl Into<String>, faults: Vec<Fault>) -> Self {
        Self {
            name: name.into(),
            faults,
            build: Build::Quick,
            unregistered: false,
            end: End::Succeeded,
            builds: 1,
            written: [
                ("md5", 1..=1),
                ("metadata", 1..=1),
                ("outputs", 1..=1),
                ("status", 2..=2),
            ]
            .into(),
            redelivered: false,
            crash: false,
            then: false,
            role: false,
            destroys: false,
            rolls_back: false,
            target: None,
        }
    }

    /// A case of a module in a target, an account and region of the stack's targets.
    pub fn at(self, target: &'static str) -> Self {
        Self {
            target: Some(target),
            ..self
        }
    }

    /// A case of a module with a `modulestack.yaml`.
    pub fn with_role(self) -> Self {
        Self { role: true, ..self }
    }

    /// The module is deployed without faults, and its destruction is disturbed.
    pub fn destroys(self) -> Self {
        Self {
            destroys: true,
            builds: 2,
            written: BTreeMap::new(),
            ..self
        }
    }

    /// Two bundles of the module are deployed without faults, and the rollback to the first is disturbed.
    pub fn rolls_back(self) -> Self {
        Self {
            rolls_back: true,
            builds: 3,
            written: [
                ("md5", 3..=3),
                ("metadata", 3..=3),
                ("outputs", 1..=1),
                ("status", 6..=6),
            ]
            .into(),
            ..self
        }
    }

    /// Whether both deploy a module in the same way, so that they can be one case.
    pub fn same_module(&self, other: &Self) -> bool {
        let module = |case: &Self| {
            (
                case.build,
                case.role,
                case.destroys,
                case.rolls_back,
                case.target,
                case.has_endless_fault(),
            )
        };
        module(self) == module(other)
    }

    fn has_endless_fault(&self) -> bool {
        self.faults.iter().any(|fault| fault.amount == Amount::Always)
    }

    /// Merges both cases: the faults of the other occur here too, and its parameters are written as often.
    pub fn take_over(&mut self, other: Self) {
        let faults = other.faults.into_iter();
        self.faults
            .extend(faults.filter(|fault| fault.amount != Amount::Always));
        for (parameter, times) in other.written {
            let here = self.written.entry(parameter).or_insert_with(|| times.clone());
            if times.start() > here.start() {
                *here = times;
            }
        }
    }

    /// The same with one more fault.
    pub fn and(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    pub fn build(self, build: Build) -> Self {
        Self { build, ..self }
    }

    /// The registration is removed while the build runs.
    pub fn unregistered(self) -> Self {
        Self {
            build: Build::Late,
            unregistered: true,
            ..self
        }
    }

    /// It fails before any write of the success. The next deployment of the same bundle must not be reported as
    /// unchanged.
    pub fn fails(self, end: End) -> Self {
        Self {
            end,
            written: [("status", 2..=2)].into(),
            then: true,
            ..self
        }
    }

    pub fn builds(self, builds: usize) -> Self {
        Self { builds, ..self }
    }

    /// Sets how often a parameter is written.
    pub fn writes(mut self, parameter: &'static str, times: RangeInclusive<u64>) -> Self {
        self.written.insert(parameter, times);
        self
    }

    /// The build's event arrives again after the end: Lambda repeats an asynchronous invocation that failed, and the
    /// emulator doesn't repeat those of EventBridge.
    pub fn redelivered(self) -> Self {
        Self {
            redelivered: true,
            ..self
        }
    }

    /// A function is gone in between, and its task fails.
    pub fn crash(self) -> Self {
        Self { crash: true, ..self }
    }

    /// The same deployment follows, and must report correctly: unchanged after a success, changed after a failure.
    pub fn then_again(self) -> Self {
        Self { then: true, ..self }
    }
}
