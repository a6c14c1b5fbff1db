//! Which modules of a plan have previews, and whether they may run.
//!
//! Commands of a repository run only where somebody who may deploy has asked for the plan, or where a deployment waits
//! for an approval. A plan that other people may start has no previews, whatever its input says. `{stack}-plan`, which
//! pull requests start, removes the field ([`Wanted::of`]), and nothing of an upload by planners is ever run.

use super::preview_builds::{ModulePreview, Previews, Progress};
use crate::deployment::input::{DeploymentAction, DeploymentInput};
use crate::deployment::plan::{Plan, PlannedAction, PlannedModule};
use crate::deployment::planner::{PlannableGroup, PlannableModule, Planning};
use crate::error::Result;
use crate::ids::BuildFolder;
use crate::module::codebuild::read_only::Section;
use crate::module::commit_info::CommitInfo;
use crate::module::deployspec::Deployspec;
use crate::module::fingerprint::{Fingerprint, Versions};
use crate::module::input;
use crate::module::input::Limits;
use crate::module::metadata_reference::ModuleRef;
use crate::module::plan;
use crate::module::rename;
use crate::module::source::Source;
use crate::storage_layout::is_planned_only;

/// The most modules of a plan whose previews run.
pub const MAX_MODULES: usize = 50;

/// Whether the previews of a plan run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// They run now, or before the plan waits for an approval.
    Run,
    /// They don't, for this reason.
    Not(&'static str),
}

/// Why nothing runs.
const NOT_ASKED: &str = "no person with the right to deploy asked for previews (seedflow plan --preview); the plan of a pull request runs none";
const PLANNED_ONLY: &str =
    "the repository was uploaded for planning only, like a pull request; nothing of it runs";

impl Wanted {
    /// What an input asks for. `needs_approval` is whether the plan waits, or may have to by the deployment's rules.
    #[must_use]
    pub fn of(request: &DeploymentInput, needs_approval: bool) -> Self {
        let DeploymentAction::Deploy { source, .. } = &request.action else {
            return Self::Not("only a deployment of a repository runs previews");
        };
        let is_asked = match request.plan_only {
            true => request.preview,
            false => needs_approval,
        };
        match is_asked {
            false => Self::Not(NOT_ASKED),
            true if is_planned_only(&source.key) => Self::Not(PLANNED_ONLY),
            true => Self::Run,
        }
    }
}

/// The previews of a plan that was made from these groups. `run` makes the name of a build's folder.
#[must_use]
pub fn find(
    plan: &Plan,
    planning: &Planning<'_>,
    groups: &[PlannableGroup],
    wanted: Wanted,
    limits: &Limits,
    mut run: impl FnMut() -> BuildFolder,
) -> Previews {
    let modules: Vec<&PlannableModule> = groups.iter().flat_map(|group| &group.modules).collect();
    let mut started = 0;
    let found = plan.modules.iter().filter_map(|planned| {
        let module = modules
            .iter()
            .find(|module| ModuleRef::from(&module.id) == planned.module)?;
        let deployspec = with_preview(planned, module, limits)?;
        let progress = match wanted {
            Wanted::Not(why) => Progress::not_run(why),
            Wanted::Run if started == MAX_MODULES => Progress::not_run(format!(
                "the plan has more than {MAX_MODULES} modules with previews"
            )),
            Wanted::Run => match module_plan(planned, module, deployspec, planning, limits) {
                Ok(plan) => {
                    started += 1;
                    Progress::Pending {
                        plan: Box::new(plan),
                        run: run(),
                    }
                }
                Err(why) => Progress::not_run(why),
            },
        };
        Some(ModulePreview {
            module: planned.module.clone(),
            progress,
        })
    });
    Previews {
        began_at: None,
        modules: found.collect(),
    }
}

/// The deployspec of a module that the plan deploys, if it has preview phases.
fn with_preview(planned: &PlannedModule, module: &PlannableModule, limits: &Limits) -> Option<Deployspec> {
    if planned.action != PlannedAction::Deploy {
        return None;
    }
    // They were checked when the repository was read.
    let deployspec = Deployspec::parse(&module.deployspec, &limits.maxima).ok()?;
    Section::Preview
        .phases(&deployspec)
        .is_some()
        .then_some(deployspec)
}

/// What would be deployed, with the values that are published now.
fn module_plan(
    planned: &PlannedModule,
    module: &PlannableModule,
    deployspec: Deployspec,
    planning: &Planning<'_>,
    limits: &Limits,
) -> Result<plan::Plan, String> {
    let state = planning.state;
    let upstreams = module.options.parameters.upstreams();
    let published = state.upstreams(upstreams, &module.id);
    let options = module
        .options
        .clone()
        .resolve(&module.id, &published)
        // The planner says which modules publish the missing values before this one is deployed.
        .map_err(|_| planned.reasons.join("; "))?;
    let none = Versions::new();
    let versions = planning.versions.get(&options.target).unwrap_or(&none);
    let status = state.status_of(&module.id).ok().flatten();
    Ok(plan::Plan {
        action: input::ModuleAction::Deploy,
        module: module.id.clone(),
        former_names: rename::names_to_keep(status.as_ref(), options.target.as_ref()),
        source: Source {
            bucket: limits.work_bucket.clone(),
            key: module.id.upload_key(&module.digest),
            version_id: None,
            path: String::new(),
        },
        source_bytes: None,
        commit_info: CommitInfo::default(),
        network: None,
        target_settings: None,
        deployspec,
        module_stack: None,
        fingerprint: Fingerprint::of_digests(&module.digest, &module.deployspec_digest, &options, versions),
        options,
        renews: false,
        keeps: false,
        previous_status: None,
        previous_metadata: state.stored(&module.id).metadata_object().map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;
    use crate::deployment::planner;
    use crate::deployment::renames::Renames;
    use crate::deployment::selection::{Forced, Selection};
    use crate::deployment::state::DeploymentState;
    use crate::ids::{DeploymentId, ExecutionArn, ModuleId, Name, ParameterKind};
    use crate::module::fingerprint::{VersionsByTarget, deployspec_digest};
    use crate::module::input::Options;

    const PREVIEW: &str = "deploy: {phases: {}}\npreview: {phases: {build: {commands: [cdk diff]}}}\n";

    fn limits() -> Limits {
        Limits::of_aws("work", "seedflow")
    }

    fn input(fields: Value) -> Result<DeploymentInput> {
        let mut input = json!({"project": "p", "source": {"key": "uploads/p/repository/1.zip"}});
        for (name, value) in fields.as_object().unwrap() {
            input[name] = value.clone();
        }
        DeploymentInput::parse(&input, &limits())
    }

    /// What `{stack}-plan` makes of an input (statemachine/plan.asl.json).
    fn by_plan_machine(mut fields: Value) -> DeploymentInput {
        fields["plan_only"] = json!(true);
        fields["record_refusal"] = json!(false);
        fields["preview"] = json!(false);
        input(fields).unwrap()
    }

    #[test]
    fn previews_run_only_where_somebody_who_may_deploy_asks_or_an_approval_is_waited_for() {
        let wanted = |fields: Value, needs_approval| Wanted::of(&input(fields).unwrap(), needs_approval);
        let asked = json!({"plan_only": true, "preview": true});
        assert_eq!(wanted(asked, false), Wanted::Run);
        assert_eq!(wanted(json!({}), true), Wanted::Run);
        assert_eq!(wanted(json!({}), false), Wanted::Not(NOT_ASKED));
        assert_eq!(wanted(json!({"plan_only": true}), true), Wanted::Not(NOT_ASKED));
        for fields in [
            json!({"preview": true}),
            json!({"preview": true, "plan_only": true, "action": "rollback"}),
            json!({"preview": true, "plan_only": true, "action": "destroy"}),
        ] {
            let error = input(fields).unwrap_err();
            assert!(error.message.starts_with("preview: "), "{error}");
        }
    }

    #[test]
    fn nothing_of_a_pull_request_runs_whatever_its_input_says() {
        let planned_only = json!({"key": "uploads/_plans/p/repository.zip"});
        for source in [&planned_only, &json!({"key": "sources/p/repository.zip"})] {
            let fields = json!({"source": source, "preview": true, "plan_only": false});
            assert_eq!(Wanted::of(&by_plan_machine(fields), true), Wanted::Not(NOT_ASKED));
        }
        // Also if somebody who may deploy names what only planners write.
        for (fields, needs_approval) in [
            (
                json!({"source": planned_only, "plan_only": true, "preview": true}),
                false,
            ),
            (json!({"source": planned_only}), true),
        ] {
            let request = input(fields).unwrap();
            assert_eq!(Wanted::of(&request, needs_approval), Wanted::Not(PLANNED_ONLY));
        }
    }

    fn module(name: &str, deployspec: &str, parameters: Value) -> PlannableModule {
        let id = ModuleId::parse("p", "d", "g", name).unwrap();
        PlannableModule {
            options: Options::from_manifest(&json!({"parameters": parameters}), &id, &limits()).unwrap(),
            input: json!(id),
            id,
            digest: "0".repeat(32),
            deployspec: deployspec.as_bytes().to_vec(),
            deployspec_digest: deployspec_digest(deployspec.as_bytes()),
        }
    }

    fn group(name: &str, modules: Vec<PlannableModule>) -> PlannableGroup {
        PlannableGroup {
            name: Name::parse("name", name).unwrap(),
            concurrency: None,
            modules,
        }
    }

    /// The previews of two groups: the modules of the second one consume `Id` of the first module.
    fn previews(wanted: Wanted, stored: Vec<(String, String)>) -> Previews {
        let deployment = DeploymentId {
            project: Name::parse("name", "p").unwrap(),
            deployment: Name::parse("name", "d").unwrap(),
        };
        let consumes = json!({"id": {"module_metadata": {"group": "g", "module": "first", "key": "Id"}}});
        let groups = [
            group("g", vec![module("first", PREVIEW, json!({"size": 3}))]),
            group(
                "g",
                vec![
                    module("second", PREVIEW, consumes.clone()),
                    module("silent", "deploy: {phases: {}}", json!({})),
                    module("empty", "deploy: {phases: {}}\npreview: {phases: {}}", json!({})),
                ],
            ),
        ];
        let planning = Planning {
            deployment: &deployment,
            execution: &ExecutionArn::new("arn:aws:states:r:1:execution:d:e"),
            state: &DeploymentState::of(&deployment, stored),
            renames: &Renames::default(),
            versions: &VersionsByTarget::new(),
            only: &Selection(Vec::new()),
            concurrency: 10,
        };
        let (plan, _) = planner::deploying(&planning, &groups, &Forced::All, CommitInfo::default());
        let run = || BuildFolder::from_random([1; 16]);
        find(&plan, &planning, &groups, wanted, &limits(), run)
    }

    #[test]
    fn a_preview_has_the_new_files_and_the_values_that_are_published_now() {
        let id = ModuleId::parse("p", "d", "g", "first").unwrap();
        let metadata = (
            id.parameter(ParameterKind::Metadata),
            json!({"Id": "old"}).to_string(),
        );
        let status = json!({"state": "SUCCEEDED", "updated_at": "2026-01-01T00:00:00Z", "group": "g", "module": "first", "execution": "e"});
        let status = (id.parameter(ParameterKind::Status), status.to_string());
        let previews = previews(Wanted::Run, vec![metadata, status]);
        assert_eq!(previews.to_run().len(), 2);
        let Progress::Pending { plan, .. } = &previews.modules[1].progress else {
            panic!("{:?}", previews.modules[1].progress)
        };
        assert_eq!(plan.source.key, plan.module.upload_key(&"0".repeat(32)));
        assert_eq!(plan.deployspec.preview.as_ref().unwrap().build, ["cdk diff"]);
        let parameters = serde_json::to_value(&plan.options.parameters).unwrap();
        assert_eq!(parameters, json!([["id", {"value": "old"}]]));
    }

    #[test]
    fn a_module_that_lacks_a_value_says_who_is_about_to_publish_it() {
        let previews = previews(Wanted::Run, Vec::new());
        let lines: Vec<String> = previews
            .results()
            .iter()
            .map(super::super::previews::Preview::line)
            .collect();
        assert_eq!(
            lines,
            [
                // It is to run.
                "preview not run: its result was not waited for",
                "preview not run: consumes what g/first is about to publish",
            ]
        );
        assert_eq!(previews.to_run().len(), 1);
    }

    #[test]
    fn a_plan_without_previews_says_why_for_each_module_that_has_some() {
        let previews = previews(Wanted::Not(NOT_ASKED), Vec::new());
        assert!(!previews.has_pending());
        let names: Vec<String> = previews
            .modules
            .iter()
            .map(|one| one.module.to_string())
            .collect();
        assert_eq!(names, ["g/first", "g/second"]);
    }
}
