//! The record of a module's last check: whether it has drifted, where, since when, and whether that was reported.
//!
//! There is one for each module, at [`ModuleId::drift_key`], and each check replaces it. A check that was not possible
//! doesn't forget what was known before, so that a module that can't be read for a day is not reported twice.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::check::{Begun, Progress, StackCheck};
use super::difference::{MAX_RESOURCES, ResourceDrift, is_zero};
use super::phases::{self, PhasesCheck, PhasesDrift};
pub use super::state::DriftState;
use crate::error::excerpt;
use crate::ids::{ExecutionArn, ModuleId};
use crate::target::Target;

/// The maximum size of a record.
pub const MAX_BYTES: u64 = 1024 * 1024;
/// The longest reason.
const MAX_REASON: usize = 600;
/// What lets CloudFormation read the resources that it compares.
const ADVICE: &str = "the template parameter DriftManagedPolicyArns has the policies that let it read resources (docs/drift.md)";

/// The result of the last check of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftRecord {
    /// The module.
    #[serde(flatten)]
    pub module: ModuleId,
    /// What is known of it.
    #[serde(flatten)]
    pub known: Known,
    /// Why not all could be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was checked.
    pub checked_at: Timestamp,
    /// The execution that checked it.
    pub execution: ExecutionArn,
    /// Where the module is; at home if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Its stacks.
    pub stacks: Vec<StackDrift>,
    /// What its drift phases say; `None` if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phases: Option<PhasesDrift>,
    /// What was known before this check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Known>,
}

/// What is known of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Whether it has drifted.
    pub state: DriftState,
    /// Since when it is in this state, as far as checks know.
    pub since: Timestamp,
    /// The execution whose deployment was checked.
    pub deployed_by: ExecutionArn,
    /// The resources that were last found to differ, as `{stack}/{logical id}`, and `drift phases` if those said so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drifted: Vec<String>,
}

/// The result for one stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackDrift {
    /// Its name.
    pub stack: String,
    /// Whether it has drifted.
    pub state: DriftState,
    /// Why not all of it could be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The resources that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceDrift>,
    /// How many further resources differ.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

/// The news of a check, for people and programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// A resource differs that did not at the check before.
    pub newly_drifted: bool,
    /// It had drifted, and is in sync again.
    pub recovered: bool,
}

impl StackDrift {
    /// The result of a check, with the resources that CloudFormation lists as different.
    #[must_use]
    pub fn of(check: &StackCheck, resources: Vec<ResourceDrift>) -> Self {
        let stack = name_of(&check.stack).to_owned();
        let left_out = resources.len().saturating_sub(MAX_RESOURCES);
        let resources: Vec<ResourceDrift> = resources
            .into_iter()
            .take(MAX_RESOURCES)
            .map(ResourceDrift::bounded)
            .collect();
        let (state, reason) = judged(&check.progress, !resources.is_empty());
        Self {
            stack,
            state,
            reason: reason.map(|reason| excerpt(&reason, MAX_REASON)),
            resources,
            left_out,
        }
    }

    fn drifted(&self) -> impl Iterator<Item = String> {
        let resources = self.resources.iter();
        resources.map(|resource| format!("{}/{}", self.stack, resource.logical_id))
    }
}

/// The state of a stack, and why not all of it was compared.
fn judged(progress: &Progress, differs: bool) -> (DriftState, Option<String>) {
    match progress {
        Progress::Compared { state, why } => match (differs || state == "DRIFTED", state.as_str(), why) {
            (true, _, why) => (DriftState::Drifted, why.as_ref().map(|why| advised(why))),
            (false, "IN_SYNC", None) => (DriftState::InSync, None),
            (false, "NOT_CHECKED", None) => (
                DriftState::Unknown,
                Some("CloudFormation can compare none of its resources".to_owned()),
            ),
            (false, _, Some(why)) => (DriftState::Unknown, Some(advised(why))),
            (false, other, None) => (
                DriftState::Unknown,
                Some(format!("CloudFormation says {} and no more", excerpt(other, 40))),
            ),
        },
        Progress::Missing => (
            DriftState::Unknown,
            Some("a stack of this name does not exist".to_owned()),
        ),
        Progress::Unchecked { why } => (DriftState::Unknown, Some(why.clone())),
        Progress::Pending { .. } | Progress::Running { .. } => {
            (DriftState::Unknown, Some("it was not compared".to_owned()))
        }
    }
}

fn advised(why: &str) -> String {
    format!("{}; {ADVICE}", excerpt(why, MAX_REASON - 200))
}

/// The name in the ARN of a stack, `arn:…:stack/{name}/{id}`.
fn name_of(stack: &str) -> &str {
    let name = stack.split_once(":stack/").map(|(_, rest)| rest);
    name.map_or(stack, |name| name.split('/').next().unwrap_or(name))
}

impl DriftRecord {
    /// The record of a finished check. `previous` is the stored one.
    #[must_use]
    pub fn new(
        (module, begun): (&ModuleId, &Begun),
        stacks: Vec<StackDrift>,
        previous: Option<Self>,
        execution: &ExecutionArn,
        now: Timestamp,
    ) -> Self {
        let phases = begun.phases.as_ref().and_then(PhasesCheck::found).cloned();
        let state = state_of(&stacks, phases.as_ref(), begun.too_many);
        // A repeated call finds the record that the first one wrote, and judges by what was known before both.
        let before = previous.and_then(|previous| match previous.execution == *execution {
            true => previous.before,
            false => Some(previous.known),
        });
        let drifted = match (state, &before) {
            (DriftState::Unknown, Some(before)) => before.drifted.clone(),
            (_, _) => stacks
                .iter()
                .flat_map(StackDrift::drifted)
                .take(MAX_RESOURCES)
                .chain(
                    phases
                        .as_ref()
                        .filter(|found| found.state == DriftState::Drifted)
                        .map(|_| phases::NAME.to_owned()),
                )
                .collect(),
        };
        let since = before.as_ref().filter(|before| before.state == state);
        Self {
            module: module.clone(),
            known: Known {
                state,
                since: since.map_or(now, |before| before.since),
                deployed_by: begun.deployed_by.clone(),
                drifted,
            },
            reason: reason_of(&stacks, phases.as_ref(), begun.too_many),
            checked_at: now,
            execution: execution.clone(),
            target: begun.target.clone(),
            stacks: bounded(stacks),
            phases,
            before,
        }
    }

    /// Whether anything is different from the check before, so that an event is sent and pages are written: also if the
    /// same is found in another deployment, whose page does not have it yet.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.before.as_ref().is_none_or(|before| {
            before.state != self.known.state
                || before.deployed_by != self.known.deployed_by
                || before.drifted != self.known.drifted
        })
    }

    /// The news for people.
    #[must_use]
    pub fn news(&self) -> News {
        let before = self.before.as_ref().map_or(&[][..], |before| &before.drifted);
        let is_new = |resource: &String| !before.contains(resource);
        News {
            newly_drifted: self.known.state == DriftState::Drifted
                && (before.is_empty() || self.known.drifted.iter().any(is_new)),
            recovered: self.known.state == DriftState::InSync && !before.is_empty(),
        }
    }

    /// Whether the drift phases say that the module has drifted.
    #[must_use]
    pub fn phases_differ(&self) -> bool {
        let phases = self.phases.as_ref();
        phases.is_some_and(|found| found.state == DriftState::Drifted)
    }

    /// Whether the record is about what is deployed: a deployment since then may have changed everything.
    #[must_use]
    pub fn is_current(&self, deployed_at: Option<Timestamp>) -> bool {
        deployed_at.is_some_and(|deployed_at| deployed_at <= self.checked_at)
    }

    /// What differs, in one line: `Queue: VisibilityTimeout; Topic deleted`. Output of phases is not in it: it may have values.
    #[must_use]
    pub fn line(&self) -> String {
        let resources = self.stacks.iter().flat_map(|stack| &stack.resources);
        let by_phases = self.phases_differ().then(|| BY_PHASES.to_owned());
        let texts = resources.clone().take(MAX_IN_LINE).map(text);
        let texts: Vec<String> = by_phases.into_iter().chain(texts).collect();
        let left_out = resources.count().saturating_sub(MAX_IN_LINE)
            + self.stacks.iter().map(|stack| stack.left_out).sum::<usize>();
        match (texts.is_empty(), left_out) {
            (true, _) => self.reason.clone().unwrap_or_default(),
            (false, 0) => texts.join("; "),
            (false, more) => format!("{}; and {more} more", texts.join("; ")),
        }
    }
}

/// What a line says of drift that the phases found.
const BY_PHASES: &str = "its drift phases report a difference";
/// How many resources a line names.
const MAX_IN_LINE: usize = 3;
const MAX_PATHS_IN_LINE: usize = 3;

fn text(resource: &ResourceDrift) -> String {
    if resource.properties.is_empty() {
        return format!("{} {}", resource.logical_id, resource.state.word());
    }
    let paths = resource.properties.iter().take(MAX_PATHS_IN_LINE);
    let paths: Vec<&str> = paths
        .map(|property| property.path.trim_start_matches('/'))
        .collect();
    let more = match resource.properties.len() + resource.left_out > MAX_PATHS_IN_LINE {
        true => ", …",
        false => "",
    };
    format!("{}: {}{more}", resource.logical_id, paths.join(", "))
}

/// A module has drifted if one of its stacks has or its phases say so, and is in sync only if all are.
fn state_of(stacks: &[StackDrift], phases: Option<&PhasesDrift>, too_many: bool) -> DriftState {
    let states = stacks.iter().map(|stack| stack.state);
    let states: Vec<DriftState> = states.chain(phases.map(|found| found.state)).collect();
    let any = |state: DriftState| states.contains(&state);
    match () {
        () if any(DriftState::Drifted) => DriftState::Drifted,
        () if too_many || states.is_empty() || any(DriftState::Unknown) => DriftState::Unknown,
        () => DriftState::InSync,
    }
}

fn reason_of(stacks: &[StackDrift], phases: Option<&PhasesDrift>, too_many: bool) -> Option<String> {
    let reasons = stacks
        .iter()
        .filter_map(|stack| Some(format!("{}: {}", stack.stack, stack.reason.as_ref()?)));
    let many = too_many.then(|| "it has more stacks than are checked".to_owned());
    let of_phases = phases.and_then(|found| found.reason.as_ref());
    let of_phases = of_phases.map(|reason| format!("{}: {reason}", phases::NAME));
    let reasons: Vec<String> = reasons.chain(many).chain(of_phases).collect();
    (!reasons.is_empty()).then(|| excerpt(&reasons.join(". "), MAX_REASON))
}

/// All stacks together are stored with as many resources as one.
fn bounded(stacks: Vec<StackDrift>) -> Vec<StackDrift> {
    let mut room = MAX_RESOURCES;
    let bounded = stacks.into_iter().map(|mut stack| {
        let kept = stack.resources.len().min(room);
        stack.left_out += stack.resources.len() - kept;
        stack.resources.truncate(kept);
        room -= kept;
        stack
    });
    bounded.collect()
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::check::tests::{deployed, folder};
    use super::super::difference::tests::{property, resource};
    use super::*;
    use crate::module::codebuild::read_only::Ending;

    fn compared(stack: &str, state: &str, why: Option<&str>) -> StackCheck {
        StackCheck {
            stack: stack.to_owned(),
            progress: Progress::Compared {
                state: state.to_owned(),
                why: why.map(str::to_owned),
            },
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn execution(name: &str) -> ExecutionArn {
        ExecutionArn::new(format!(
            "arn:aws:states:eu-central-1:123456789012:execution:seedflow-drift:{name}"
        ))
    }

    /// The record of a check by an execution, with these resources that differ.
    pub(crate) fn record(by: &str, differing: &[&str], previous: Option<&DriftRecord>) -> DriftRecord {
        let resources = differing
            .iter()
            .map(|name| resource(name, vec![property("/VisibilityTimeout", "30", "31")]));
        let state = if differing.is_empty() {
            "IN_SYNC"
        } else {
            "DRIFTED"
        };
        let stack = StackDrift::of(&compared("p-d-g-m", state, None), resources.collect());
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let begun = Begun::of(&deployed("e1"), folder());
        DriftRecord::new(
            (&module, &begun),
            vec![stack],
            previous.cloned(),
            &execution(by),
            at(100),
        )
    }

    #[test]
    fn people_hear_of_drift_once_and_of_its_end() {
        let first = record("c1", &[], None);
        let quiet = News {
            newly_drifted: false,
            recovered: false,
        };
        assert_eq!((first.is_changed(), first.news()), (true, quiet));
        let drifted = record("c2", &["Queue"], Some(&first));
        assert!(drifted.is_changed() && drifted.news().newly_drifted);
        let still = record("c3", &["Queue"], Some(&drifted));
        assert_eq!((still.is_changed(), still.news()), (false, quiet));
        let more = record("c4", &["Queue", "Topic"], Some(&still));
        assert!(more.is_changed() && more.news().newly_drifted);
        let fewer = record("c5", &["Topic"], Some(&more));
        assert_eq!((fewer.is_changed(), fewer.news()), (true, quiet));
        let back = record("c6", &[], Some(&fewer));
        assert!(back.is_changed() && back.news().recovered);
        assert_eq!(record("c7", &[], Some(&back)).news(), quiet);
    }

    #[test]
    fn a_repeated_call_judges_as_the_first_one_did() {
        let first = record("c1", &[], None);
        let drifted = record("c2", &["Queue"], Some(&first));
        let again = record("c2", &["Queue"], Some(&drifted));
        assert_eq!(again, drifted);
        assert!(again.news().newly_drifted);
    }

    #[test]
    fn a_check_that_was_not_possible_forgets_nothing() {
        let drifted = record("c1", &["Queue"], None);
        let module = drifted.module.clone();
        let begun = Begun::of(&deployed("e1"), folder());
        let denied = compared(
            "p-d-g-m",
            "UNKNOWN",
            Some("Failed to detect drift on resource [Queue]"),
        );
        let unknown = StackDrift::of(&denied, Vec::new());
        let unknown = DriftRecord::new(
            (&module, &begun),
            vec![unknown],
            Some(drifted),
            &execution("c2"),
            at(200),
        );
        assert_eq!(unknown.known.state, DriftState::Unknown);
        let reason = unknown.reason.as_deref().unwrap();
        assert!(
            reason.contains("[Queue]; the template parameter DriftManagedPolicyArns"),
            "{reason}"
        );
        let again = record("c3", &["Queue"], Some(&unknown));
        assert!(again.is_changed() && !again.news().newly_drifted);
    }

    #[test]
    fn a_module_is_in_sync_only_if_all_its_stacks_are() {
        let stack = |check: &StackCheck| StackDrift::of(check, Vec::new());
        let good = stack(&compared("a", "IN_SYNC", None));
        let none = stack(&compared("b", "NOT_CHECKED", None));
        let missing = stack(&StackCheck {
            stack: "c".to_owned(),
            progress: Progress::Missing,
        });
        let bad = stack(&compared("d", "DRIFTED", None));
        assert_eq!(
            state_of(std::slice::from_ref(&good), None, false),
            DriftState::InSync
        );
        assert_eq!(
            state_of(std::slice::from_ref(&good), None, true),
            DriftState::Unknown
        );
        assert_eq!(state_of(&[good.clone(), none], None, false), DriftState::Unknown);
        assert_eq!(
            state_of(&[missing.clone(), bad], None, false),
            DriftState::Drifted
        );
        assert_eq!(
            state_of(&[good, missing.clone()], None, false),
            DriftState::Unknown
        );
        assert_eq!(
            reason_of(&[missing], None, false).unwrap(),
            "c: a stack of this name does not exist"
        );
    }

    /// The record of a check of a module without a stack, by its drift phases.
    fn by_phases(by: &str, ending: &Ending, previous: Option<&DriftRecord>) -> DriftRecord {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let mut begun = Begun::of(&deployed("e1"), folder());
        let output = vec!["~ size = 30 -> 31".to_owned()];
        begun.phases = Some(PhasesCheck::Done {
            found: PhasesDrift::of(ending, output, None),
        });
        DriftRecord::new(
            (&module, &begun),
            Vec::new(),
            previous.cloned(),
            &execution(by),
            at(100),
        )
    }

    #[test]
    fn the_phases_of_a_module_without_a_stack_decide() {
        let good = by_phases("c1", &Ending::Succeeded, None);
        assert_eq!((good.known.state, good.line().as_str()), (DriftState::InSync, ""));
        let drifted = by_phases("c2", &Ending::Differs, Some(&good));
        assert_eq!(drifted.known.state, DriftState::Drifted);
        assert_eq!(drifted.known.drifted, [phases::NAME]);
        assert_eq!(drifted.line(), "its drift phases report a difference");
        assert!(drifted.is_changed() && drifted.news().newly_drifted);
        let still = by_phases("c3", &Ending::Differs, Some(&drifted));
        assert!(!still.is_changed() && !still.news().newly_drifted);
        let failed = Ending::Failed {
            why: "build failed".to_owned(),
        };
        let unknown = by_phases("c4", &failed, Some(&still));
        assert_eq!(unknown.known.state, DriftState::Unknown);
        assert_eq!(unknown.reason.as_deref(), Some("drift phases: build failed"));
        let back = by_phases("c5", &Ending::Succeeded, Some(&unknown));
        assert!(back.news().recovered);
        let text = serde_json::to_string(&drifted).unwrap();
        assert_eq!(serde_json::from_str::<DriftRecord>(&text).unwrap(), drifted);
    }

    #[test]
    fn a_stack_and_phases_are_both_asked() {
        let good = StackDrift::of(&compared("a", "IN_SYNC", None), Vec::new());
        let of = |ending: &Ending| PhasesDrift::of(ending, Vec::new(), None);
        let state = |ending: &Ending| state_of(std::slice::from_ref(&good), Some(&of(ending)), false);
        assert_eq!(state(&Ending::Succeeded), DriftState::InSync);
        assert_eq!(state(&Ending::Differs), DriftState::Drifted);
        assert_eq!(
            state(&Ending::Failed { why: "x".to_owned() }),
            DriftState::Unknown
        );
    }

    #[test]
    fn a_line_names_what_differs() {
        let drifted = record("c1", &["Queue"], None);
        assert_eq!(drifted.line(), "Queue: VisibilityTimeout");
        let many = record("c1", &["A", "B", "C", "D", "E"], None);
        assert_eq!(
            many.line(),
            "A: VisibilityTimeout; B: VisibilityTimeout; C: VisibilityTimeout; and 2 more"
        );
        assert_eq!(
            name_of("arn:aws:cloudformation:r:1:stack/p-Data-1/0a"),
            "p-Data-1"
        );
    }

    #[test]
    fn a_deployment_outdates_what_was_checked_before() {
        let checked = record("c1", &[], None);
        assert!(checked.is_current(Some(at(100))) && checked.is_current(Some(at(5))));
        assert!(!checked.is_current(Some(at(101))) && !checked.is_current(None));
    }

    #[test]
    fn a_record_is_bounded_and_read_as_it_was_written() {
        let names: Vec<String> = (0..300).map(|n| format!("R{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let large = record("c1", &names, None);
        assert_eq!(
            (large.stacks[0].resources.len(), large.stacks[0].left_out),
            (50, 250)
        );
        let text = serde_json::to_string(&large).unwrap();
        assert_eq!(serde_json::from_str::<DriftRecord>(&text).unwrap(), large);
    }
}
