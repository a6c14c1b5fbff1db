//! Plans a deployment before anything is done.
//!
//! The planner computes a module's fingerprint as the module workflow does, from the values that the upstream modules
//! have published so far. If an upstream module is deployed in the same execution, its values may change before this
//! module is deployed. An otherwise unchanged module then gets an execution anyway and decides by itself
//! ([`PlannedModule::redeploy_if_changed`], decision 26). So a plan contains only what is certain; the module workflow decides the rest
//! with the current values.
//!
//! Waves run one after the other and end with the first failure. First come the groups in the order of the manifest,
//! then the modules to destroy.

mod draft;
mod planning;
mod removals;

use std::collections::{BTreeMap, BTreeSet};

use self::draft::Planner;
pub use self::draft::SHARED_NAME;
pub use self::planning::Planning;
use super::changed_values::PlannedInputs;
use super::module_part::ModulePart;
use super::order;
use super::plan::{Item, Plan, PlannedAction, PlannedModule, Wave};
pub use super::plannable::{PlannableGroup, PlannableModule};
use super::preview_builds::Previews;
use super::state::DeploymentState;
use crate::deployment::selection::Forced;
use crate::error::{Error, ErrorName, Result};
use crate::ids::ModuleId;
use crate::module::change_detection::decide;
use crate::module::commit_info::CommitInfo;
use crate::module::deployed_record::DeployedModule;
use crate::module::destroy;
use crate::module::destroy::TargetOrHome;
use crate::module::fingerprint::{Fingerprint, Versions};
use crate::module::metadata_reference::{ModuleRef, UpstreamMetadata};
use crate::module::status;
use crate::target::Target;

/// Where the modules of groups go, each place once; home, which is `None`, is the first.
#[must_use]
pub fn targets(groups: &[PlannableGroup]) -> BTreeSet<Option<&Target>> {
    let modules = groups.iter().flat_map(|group| &group.modules);
    modules.map(|module| module.options.target.as_ref()).collect()
}

/// The names of the parameters to which the modules of a target refer.
#[must_use]
pub fn references<'a>(groups: &'a [PlannableGroup], target: Option<&Target>) -> BTreeSet<&'a str> {
    let modules = groups.iter().flat_map(|group| &group.modules);
    let there = modules.filter(|module| module.options.target.as_ref() == target);
    there
        .flat_map(|module| module.options.parameters.parameter_store_names())
        .collect()
}

/// Plans the deployment of a repository.
#[must_use]
pub fn deploying(
    planning: &Planning<'_>,
    groups: &[PlannableGroup],
    force: &Forced,
    commit_info: CommitInfo,
) -> (Plan, Vec<Wave>) {
    let leaving = Some("not in the manifest any more");
    bringing(planning, groups, force, commit_info, leaving)
}

/// Plans the rollback of a deployment. Modules that did not exist then are destroyed only on request; otherwise they stay as
/// they are.
#[must_use]
pub fn rolling_back(
    planning: &Planning<'_>,
    groups: &[PlannableGroup],
    destroy_new: bool,
    commit_info: CommitInfo,
) -> (Plan, Vec<Wave>) {
    let leaving = destroy_new.then_some("did not exist then");
    let (mut plan, waves) = bringing(planning, groups, &Forced::Some(Vec::new()), commit_info, leaving);
    if !destroy_new {
        let then = |module: &ModuleRef| {
            let modules = groups.iter().flat_map(|group| &group.modules);
            modules.into_iter().any(|one| ModuleRef::from(&one.id) == *module)
        };
        let mut stays = planning.state.deployed();
        stays.retain(|module| !then(module));
        // What is deployed then is neither what was nor what is planned, so it is nothing to go back to.
        plan.whole &= stays.is_empty();
        let stays = stays.iter();
        plan.warnings
            .extend(stays.map(|module| format!("{module}: it did not exist then, and stays as it is")));
    }
    (plan, waves)
}

/// Plans to deploy these groups. `leaving` is why other modules are destroyed; without it they stay.
fn bringing(
    planning: &Planning<'_>,
    groups: &[PlannableGroup],
    force: &Forced,
    commit_info: CommitInfo,
    leaving: Option<&str>,
) -> (Plan, Vec<Wave>) {
    let mut run = Planner::new(planning);
    for group in groups {
        let in_run: Vec<&PlannableModule> = group
            .modules
            .iter()
            .filter(|module| planning.only.covers(&module.id))
            .collect();
        let planned: Vec<(PlannedModule, &PlannableModule)> = in_run
            .iter()
            .map(|module| (run.module(module, force.covers(&module.id)), *module))
            .collect();
        run.wave(
            group.concurrency,
            planned.iter().filter_map(|(planned, module)| {
                Some(Item {
                    name: planned.execution.clone()?,
                    input: module.input.clone(),
                })
            }),
        );
        for (planned, module) in planned {
            run.add(planned, module);
        }
    }
    let kept: BTreeSet<ModuleRef> = groups
        .iter()
        .flat_map(|group| &group.modules)
        .map(|module| ModuleRef::from(&module.id))
        .chain(planning.renames.kept.iter().cloned())
        .collect();
    let names: Vec<String> = groups.iter().map(|group| group.name.to_string()).collect();
    let deployed = run.deployed_groups();
    // What is destroyed was deployed in the stored order, whatever the manifest's is.
    let destroyed = order::merged(&deployed, &names);
    if let Some(why) = leaving {
        run.destroy(planning.state.deployed(), &kept, why, &destroyed);
    }
    run.finish(order::merged(&names, &deployed), commit_info)
}

/// The modules that a plan deploys again: their records have the values that may change.
#[must_use]
pub fn deployed_again(plan: &Plan, state: &DeploymentState) -> Vec<ModuleId> {
    let deploys = plan
        .modules
        .iter()
        .filter(|planned| planned.action == PlannedAction::Deploy);
    let ids = deploys.map(|planned| {
        let (group, module) = (planned.module.group.clone(), planned.module.module.clone());
        plan.deployment.module(group, module)
    });
    ids.filter(|id| state.fingerprint(id).is_some()).collect()
}

/// Adds to a plan which values change, from the records of the modules that are deployed again. `commits` are those of the
/// modules' files.
pub fn add_changed_values(
    plan: &mut Plan,
    planning: &Planning<'_>,
    groups: &[PlannableGroup],
    commits: &BTreeMap<ModuleId, CommitInfo>,
    records: &[DeployedModule],
) {
    let modules: Vec<&PlannableModule> = groups.iter().flat_map(|group| &group.modules).collect();
    let deploys = plan
        .modules
        .iter()
        .filter(|planned| planned.action == PlannedAction::Deploy);
    let deployed: BTreeSet<ModuleRef> = deploys.map(|planned| planned.module.clone()).collect();
    for record in records.iter().filter(|record| !record.attempt) {
        let of = ModuleRef::from(&record.module);
        let planned = plan.modules.iter_mut().find(|planned| planned.module == of);
        let module = modules.iter().find(|module| module.id == record.module);
        if let (Some(planned), Some(module)) = (planned, module) {
            let published = planning
                .state
                .upstreams(module.options.parameters.upstreams(), &module.id);
            let resolved = module.options.clone().resolve(&module.id, &published);
            let unknown = CommitInfo::default();
            let none = Versions::new();
            planned.changes = PlannedInputs {
                // What isn't published yet can't be shown.
                options: resolved.as_ref().unwrap_or(&module.options),
                versions: planning.versions.get(&module.options.target).unwrap_or(&none),
                digest: &module.digest,
                commit_info: commits.get(&module.id).unwrap_or(&unknown),
            }
            .changed_since(record);
            let later = known_later(module, |upstream| deployed.contains(upstream));
            planned.changes.retain(|change| !later.contains_key(&change.what));
        }
    }
}

/// The parameters of a module whose values are known only after these modules were deployed, in the words of the reasons, with
/// the modules that publish them.
fn known_later(
    module: &PlannableModule,
    is_deployed: impl Fn(&ModuleRef) -> bool,
) -> BTreeMap<String, ModuleRef> {
    let references = module.options.parameters.references().into_iter();
    let later = references.filter(|(_, reference)| is_deployed(&reference.by));
    later
        .map(|(name, reference)| (format!("parameter {name}"), reference.by))
        .collect()
}

/// Plans the destruction of a deployment's modules. Whatever is stored of one goes, also a refusal of one that was never
/// deployed.
#[must_use]
pub fn destroying(planning: &Planning<'_>) -> (Plan, Vec<Wave>) {
    let mut run = Planner::new(planning);
    let groups = run.stored_groups().to_vec();
    run.destroy(
        planning.state.modules(),
        &BTreeSet::new(),
        "destroyed by request",
        &groups,
    );
    run.finish(groups, CommitInfo::default())
}

/// Refuses a module that consumes values of one that neither is deployed nor is about to be.
fn refuse_missing(
    consumed: &[ModuleRef],
    pending: &[&ModuleRef],
    published: &UpstreamMetadata,
) -> Result<()> {
    let is_missing =
        |upstream: &&ModuleRef| published.metadata(upstream).is_none() && !pending.contains(upstream);
    match consumed.iter().find(is_missing) {
        Some(missing) => Err(Error::new(
            ErrorName::Blocked,
            format!("it consumes {missing}, which is neither deployed nor part of this run"),
        )),
        None => Ok(()),
    }
}

fn about_to_publish(modules: &str) -> String {
    format!("consumes what {modules} is about to publish")
}

/// The decision about a module of the repository.
struct ModuleDecision {
    action: PlannedAction,
    reasons: Vec<String>,
    /// It is unchanged, but consumes values of other modules than its stored fingerprint names.
    renews: bool,
}

impl ModuleDecision {
    fn of(action: PlannedAction, reasons: Vec<String>) -> Self {
        Self {
            action,
            reasons,
            renews: false,
        }
    }
}

impl<'a> Planner<'a> {
    /// Decides on a module of the repository.
    fn module(&self, module: &PlannableModule, force: bool) -> PlannedModule {
        let consumed = module.options.parameters.upstreams();
        let pending: Vec<&ModuleRef> = consumed
            .iter()
            .filter(|upstream| self.before.contains_key(upstream))
            .collect();
        let decided = self
            .decide(module, force, &consumed, &pending)
            .unwrap_or_else(|blocked| ModuleDecision::of(PlannedAction::Blocked, vec![blocked.message]));
        let redeploy_if_changed: Vec<String> = match decided.action {
            PlannedAction::Unchanged => pending.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        let has_turn =
            decided.action == PlannedAction::Deploy || decided.renews || !redeploy_if_changed.is_empty();
        let status = self.planning.state.status_of(&module.id).ok().flatten();
        let moves = destroy::moves_from(status.as_ref(), module.options.target.as_ref()).is_some();
        PlannedModule {
            module: ModuleRef::from(&module.id),
            action: decided.action,
            moves: moves && decided.action == PlannedAction::Deploy,
            renamed_from: self
                .renamed_from(module)
                .filter(|_| decided.action == PlannedAction::Deploy),
            reasons: decided.reasons,
            changes: Vec::new(),
            definition: None,
            redeploy_if_changed,
            execution: has_turn.then(|| self.name(&module.id)),
        }
    }

    fn decide(
        &self,
        module: &PlannableModule,
        force: bool,
        consumed: &[ModuleRef],
        pending: &[&ModuleRef],
    ) -> Result<ModuleDecision> {
        let (state, id) = (self.planning.state, &module.id);
        if let Some(why) = self.planning.renames.blocked.get(&ModuleRef::from(id)) {
            return Err(Error::new(ErrorName::Blocked, why.clone()));
        }
        let renamed = self.renamed_from(module).map(|from| status::rename_reason(&from));
        let status = state.status_of(id)?;
        let published = state.upstreams(consumed.iter().cloned(), id);
        refuse_missing(consumed, pending, &published)?;
        module
            .options
            .parameters
            .without(pending)
            .resolve(id, &published)?;
        let moved = |reasons: Vec<String>| {
            let target = module.options.target.as_ref();
            let from = destroy::moves_from(status.as_ref(), target);
            let move_ = from.map(|from| {
                format!(
                    "moves from {from} to {}; destroyed there first",
                    TargetOrHome(target)
                )
            });
            renamed.clone().into_iter().chain(move_).chain(reasons).collect()
        };
        let options = match module.options.clone().resolve(id, &published) {
            Ok(options) => options,
            // Values that are missing now may be published before this module's execution, if their modules are
            // executed first.
            Err(_) => {
                let waits: Vec<String> = pending.iter().map(ToString::to_string).collect();
                let reasons = moved(vec![about_to_publish(&waits.join(", "))]);
                return Ok(ModuleDecision::of(PlannedAction::Deploy, reasons));
            }
        };
        let of_target = self.planning.versions.get(&options.target);
        let fingerprint = Fingerprint::of_digests(
            &module.digest,
            &module.deployspec_digest,
            &options,
            of_target.unwrap_or(&Versions::new()),
        );
        let stored = state.fingerprint(id);
        let decision = decide(&fingerprint, stored.as_ref(), status.as_ref(), force);
        if decision.changed {
            let reasons = self.without_passing(decision.reasons, module);
            return Ok(ModuleDecision::of(PlannedAction::Deploy, moved(reasons)));
        }
        if renamed.is_some() {
            return Ok(ModuleDecision::of(PlannedAction::Deploy, moved(Vec::new())));
        }
        let redeployed = match options.redeploy_with_dependencies {
            true => self.deployed_before(pending),
            false => Vec::new(),
        };
        Ok(if redeployed.is_empty() {
            ModuleDecision {
                renews: decision.renews,
                ..ModuleDecision::of(PlannedAction::Unchanged, decision.reasons)
            }
        } else {
            ModuleDecision::of(PlannedAction::Deploy, redeployed)
        })
    }

    /// The deployments of upstream modules in the same plan, as reasons.
    fn deployed_before(&self, pending: &[&ModuleRef]) -> Vec<String> {
        let deployed = pending
            .iter()
            .filter(|upstream| self.before[**upstream] == PlannedAction::Deploy);
        deployed
            .map(|upstream| format!("deployment of {upstream}"))
            .collect()
    }

    /// The reasons without the values that upstream modules have published and are about to replace. Such a value
    /// may come from a failed deployment and be replaced in this run.
    fn without_passing(&self, mut reasons: Vec<String>, module: &PlannableModule) -> Vec<String> {
        let is_deployed = |upstream: &ModuleRef| self.before.get(upstream) == Some(&PlannedAction::Deploy);
        for (parameter, by) in known_later(module, is_deployed) {
            let changed = format!("{parameter} changed");
            let about_to = about_to_publish(&by.to_string());
            match reasons.iter().position(|reason| *reason == changed) {
                Some(at) if reasons.contains(&about_to) => drop(reasons.remove(at)),
                Some(at) => reasons[at] = about_to,
                None => {}
            }
        }
        reasons
    }

    fn renamed_from(&self, module: &PlannableModule) -> Option<ModuleRef> {
        let renamed = &self.planning.renames.from;
        renamed.get(&ModuleRef::from(&module.id)).cloned()
    }

    /// Adds a decided module, so that later modules see that its values may change.
    fn add(&mut self, planned: PlannedModule, module: &PlannableModule) {
        let of = ModuleRef::from(&module.id);
        if planned.execution.is_some() {
            self.renewed.insert(of.clone());
            self.parts.insert(of.clone(), self.part(module));
        }
        if planned.action == PlannedAction::Deploy || !planned.redeploy_if_changed.is_empty() {
            self.before.insert(of, planned.action);
        }
        self.modules.push(planned);
    }

    /// What a module is deployed from, with the values that upstream modules have published so far.
    fn part(&self, module: &PlannableModule) -> ModulePart {
        let (options, state) = (&module.options, self.planning.state);
        let known = state.upstreams(options.parameters.upstreams(), &module.id);
        let resolved = options.parameters.resolve_known(&known);
        let none = Versions::new();
        let versions = self.planning.versions.get(&options.target).unwrap_or(&none);
        ModulePart::deploying(
            &module.digest,
            &module.deployspec_digest,
            options,
            &resolved,
            versions,
        )
    }

    /// The groups in the order in which they were deployed.
    fn stored_groups(&self) -> &'a [String] {
        let status = self.planning.state.status.as_ref();
        status.map_or(&[], |status| &status.groups)
    }

    /// Those with modules that are still deployed: the others need no place any more.
    fn deployed_groups(&self) -> Vec<String> {
        let modules = self.planning.state.deployed();
        let is_deployed = |group: &&String| modules.iter().any(|module| module.group.as_str() == **group);
        self.stored_groups().iter().filter(is_deployed).cloned().collect()
    }

    fn previous_state(&self) -> Option<status::State> {
        let status = self.planning.state.status.as_ref()?;
        status.state_before(self.planning.execution)
    }

    fn finish(self, groups: Vec<String>, commit_info: CommitInfo) -> (Plan, Vec<Wave>) {
        let stays = |module: &ModuleRef| {
            !self
                .modules
                .iter()
                .any(|planned| planned.module == *module && planned.action == PlannedAction::Destroy)
        };
        let leaves_nothing = self
            .modules
            .iter()
            .all(|planned| planned.action == PlannedAction::Destroy)
            && !self.planning.state.deployed().iter().any(stays);
        let plan = Plan {
            deployment: self.planning.deployment.clone(),
            previous_state: self.previous_state(),
            started_by: None,
            commit_info,
            attempted_groups: order::merged(self.stored_groups(), &groups),
            groups,
            modules: self.modules,
            leaves_nothing,
            whole: self.planning.only.is_everything(),
            rollback: None,
            on_failure_to: None,
            sources: Vec::new(),
            warnings: self.warnings,
            policy: None,
            rules: None,
            rego: None,
            approval_for_rules: None,
            approval: None,
            parts: self.parts,
            previews: Previews::default(),
        };
        (plan, self.waves)
    }
}

#[cfg(test)]
mod tests;
