//! A case of the table: a deployment, what disturbs it, and what must be true when it has ended.

mod run;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use seedflow_e2e::Action;

pub use run::run_cases;

/// A call of the workflow: its operation, and what in it names the module.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub service: &'static str,
    pub operation: &'static str,
    pub about: About,
    /// How many calls of the same look come before it in a deployment.
    pub skip: u32,
}

/// What names a case's module in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The uploaded bundle's key, also where it is copied from.
    Source,
    /// The module's lock.
    Lock,
    /// The execution; known only when it was started.
    Execution,
    /// The published bundle's key.
    Bundle,
    /// The key of the bundle beside the record.
    Kept,
    /// The record of what is deployed.
    Record,
    /// The registration of the task token.
    Callback,
    /// The report's key.
    Report,
    /// The folder in which the build hands back its metadata; known only when the build runs.
    HandedBack,
    /// Any parameter of the module.
    Parameters,
    /// One of them.
    Parameter(&'static str),
    /// The CodeBuild project, which is also in the build's id.
    Project,
    /// The module's CloudFormation stack.
    Stack,
    /// The module's own role.
    Role,
    /// The stack of that role.
    RoleStack,
    /// The list of the module's values in the work bucket.
    Values,
    /// The event that tells of the module in these words.
    Told(&'static str),
}

/// A call and what happens to it.
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

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    Times(u32),
    /// For a minute from its first strike.
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

/// How a case ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Succeeded,
    /// With an error of this name, in the status too.
    Failed(&'static str),
    /// With an error that could not be recorded, until what cleans up after executions does it.
    NotRecorded,
}

/// A case.
pub struct FaultCase {
    name: String,
    faults: Vec<Fault>,
    build: Build,
    forgotten: bool,
    end: End,
    builds: usize,
    written: BTreeMap<&'static str, RangeInclusive<u64>>,
    redelivered: bool,
    crash: bool,
    then: bool,
    role: bool,
    destroys: bool,
}

impl FaultCase {
    /// A deployment that succeeds after all: one build, and every parameter written once (the status twice:
    /// at its start and at its end).
    pub fn new(name: impl Into<String>, faults: Vec<Fault>) -> Self {
        Self {
            name: name.into(),
            faults,
            build: Build::Quick,
            forgotten: false,
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
        }
    }

    /// Of a module that brings a `modulestack.yaml`.
    pub fn with_role(self) -> Self {
        Self { role: true, ..self }
    }

    /// The module is deployed undisturbed, and its destruction is what is disturbed.
    pub fn destroys(self) -> Self {
        Self {
            destroys: true,
            builds: 2,
            written: BTreeMap::new(),
            ..self
        }
    }

    /// Whether both deploy a module alike, so that they can be one case.
    pub fn same_module(&self, other: &Self) -> bool {
        let module = |case: &Self| (case.build, case.role, case.destroys, case.has_endless_fault());
        module(self) == module(other)
    }

    fn has_endless_fault(&self) -> bool {
        self.faults.iter().any(|fault| fault.amount == Amount::Always)
    }

    /// Makes one case of both: what the other disturbs is disturbed here too, and its parameters are written as often.
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
    pub fn forgotten(self) -> Self {
        Self {
            build: Build::Late,
            forgotten: true,
            ..self
        }
    }

    /// It fails before anything of the success is written. The next deployment of the same must not be called
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

    /// A parameter is written so often instead.
    pub fn writes(mut self, parameter: &'static str, times: RangeInclusive<u64>) -> Self {
        self.written.insert(parameter, times);
        self
    }

    /// The build's event comes once more after the end: Lambda repeats an asynchronous invocation that
    /// failed, the emulator doesn't repeat those of EventBridge.
    pub fn redelivered(self) -> Self {
        Self {
            redelivered: true,
            ..self
        }
    }

    /// A function is gone on the way, and its task fails.
    pub fn crash(self) -> Self {
        Self { crash: true, ..self }
    }

    /// The same deployment follows, and must say the truth: unchanged after a success, changed after a failure.
    pub fn then_again(self) -> Self {
        Self { then: true, ..self }
    }
}
