//! The statuses of a project: one of each deployment and one of each module.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::ssm::ParameterStore;
use seedflow_aws::stores::spilled_values;
use seedflow_core::deployment::state::DeploymentState;
use seedflow_core::deployment::status::DeploymentStatus;
use seedflow_core::drift::record::{DriftRecord, DriftState};
use seedflow_core::ids::{DeploymentId, ModuleId, Name, ParameterKind};
use seedflow_core::module::refusal::Refusal;
use seedflow_core::module::status::{State, Status};
use seedflow_core::storage_layout;
use serde::Serialize;

use super::drift::DriftRecords;
use super::target::Target;
use crate::exit::Wrong;

/// A deployment and its status.
#[derive(Debug, Clone, Serialize)]
pub struct DeploymentRow {
    /// The deployment.
    pub deployment: Name,
    /// Whether it failed, and all modules that failed in it have succeeded since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
    /// Its status, as stored.
    #[serde(flatten)]
    pub status: DeploymentStatus,
}

/// A module and its status.
#[derive(Debug, Clone, Serialize)]
pub struct ModuleRow {
    /// The deployment that the module belongs to. The status has the group and the module.
    pub deployment: Name,
    /// Its status, as stored.
    #[serde(flatten)]
    pub status: Status,
    /// What drift detection has found since the module was deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftOfRow>,
}

/// The drift of a module, in short.
#[derive(Debug, Clone, Serialize)]
pub struct DriftOfRow {
    /// Whether it has drifted.
    pub state: DriftState,
    /// Since when, as far as checks know.
    pub since: Timestamp,
    /// When it was checked.
    pub checked_at: Timestamp,
    /// What differs, or why that is not known.
    pub what: String,
}

impl From<&DriftRecord> for DriftOfRow {
    fn from(record: &DriftRecord) -> Self {
        Self {
            state: record.known.state,
            since: record.known.since,
            checked_at: record.checked_at,
            what: record.line(),
        }
    }
}

/// The statuses of a project.
#[derive(Debug, Clone, Serialize)]
pub struct ProjectState {
    /// The project.
    pub project: Name,
    /// The deployments, by name.
    pub deployments: Vec<DeploymentRow>,
    /// The modules, by name.
    pub modules: Vec<ModuleRow>,
    /// The paths of parameters whose status can't be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

impl ProjectState {
    /// Parses the parameters below a project's path.
    #[must_use]
    pub fn of(project: &Name, parameters: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut state = Self {
            project: project.clone(),
            deployments: Vec::new(),
            modules: Vec::new(),
            unreadable: Vec::new(),
        };
        for (deployment, parameters) in by_deployment(project, parameters) {
            state.add(&deployment, parameters);
        }
        state
    }

    fn add(&mut self, deployment: &DeploymentId, parameters: Vec<(String, String)>) {
        let own = deployment.status_parameter();
        let has_own = parameters.iter().any(|(name, _)| *name == own);
        let stored = DeploymentState::of(deployment, parameters);
        if stored.status.is_none() && has_own {
            self.unreadable.push(own);
        }
        let without = stored.without_owner().into_iter();
        self.unreadable
            .extend(without.map(|path| format!("{}/{path}", deployment.path())));
        let mut modules = Vec::new();
        for owner in stored.modules() {
            let module = deployment.module(owner.group, owner.module);
            match stored.status_of(&module) {
                Ok(Some(status)) => modules.push(status),
                _ => self.unreadable.push(module.parameter(ParameterKind::Status)),
            }
        }
        if let Some(status) = stored.status {
            let last = |name: &str| {
                let is_unreadable = self.unreadable.iter().any(|path| is_of(path, deployment, name));
                (!is_unreadable).then(|| last_of(&modules, name))
            };
            self.deployments.push(DeploymentRow {
                deployment: deployment.deployment.clone(),
                recovered: status.whole().has_recovered(last),
                status: status.clone(),
            });
            modules = modules
                .into_iter()
                .filter_map(|module| current(module, &status))
                .collect();
        }
        self.modules.extend(modules.into_iter().map(|status| ModuleRow {
            deployment: deployment.deployment.clone(),
            status,
            drift: None,
        }));
    }

    /// The part of the project below a target, or only what failed or was refused in it.
    #[must_use]
    pub fn selected(self, target: Option<&Target>, failed: bool) -> Self {
        let is_wanted = |deployment: &Name, group: &str, module: &str| {
            target.is_none_or(|target| target.covers(deployment.as_str(), group, module))
        };
        let mut selected = self;
        selected
            .deployments
            .retain(|row| is_wanted(&row.deployment, "", "") && (!failed || row.is_in_trouble()));
        selected.modules.retain(|row| {
            is_wanted(&row.deployment, &row.status.group, &row.status.module)
                && (!failed || went_wrong(row.status.state, row.status.why.refused.as_ref()))
        });
        selected
    }

    /// The same with what drift detection found.
    #[must_use]
    pub fn with_drift(mut self, records: &DriftRecords) -> Self {
        for row in &mut self.modules {
            let (deployment, status) = (row.deployment.as_str(), &row.status);
            let id = ModuleId::parse(self.project.as_str(), deployment, &status.group, &status.module);
            let record = id.ok().and_then(|id| records.of(&id));
            let current = record.filter(|record| record.is_current(status.deployed_at));
            row.drift = current.map(DriftOfRow::from);
        }
        self
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deployments.is_empty() && self.modules.is_empty() && self.unreadable.is_empty()
    }
}

impl DeploymentRow {
    fn is_in_trouble(&self) -> bool {
        let refused = self.status.why.refused.as_ref();
        refused.is_some() || (!self.recovered && went_wrong(self.status.state, refused))
    }
}

/// The last state of a module, `group/module`, and when it was reached. Of one that was destroyed by itself nothing is stored.
fn last_of(modules: &[Status], name: &str) -> (&'static str, Timestamp) {
    let found = modules
        .iter()
        .find(|status| format!("{}/{}", status.group, status.module) == name);
    found.map_or((State::Destroyed.as_str(), Timestamp::MAX), |status| {
        (status.state.as_str(), status.updated_at)
    })
}

/// Whether a path, with or without `/status`, is that of a module, `group/module`.
fn is_of(path: &str, deployment: &DeploymentId, name: &str) -> bool {
    let path = storage_layout::path_above_status(path).unwrap_or(path);
    path.strip_prefix(&deployment.path())
        .is_some_and(|below| below == format!("/{}", name.replacen('/', "-", 1)))
}

/// The status of a module, without an outdated refusal; `None` if it has nothing else.
fn current(mut status: Status, whole: &DeploymentStatus) -> Option<Status> {
    let refused_at = status.why.refused.as_ref().map(|refused| refused.at);
    if refused_at.is_some_and(|at| whole.whole().outdates(at)) {
        status.why.refused = None;
        return (status.state != State::Refused).then_some(status);
    }
    Some(status)
}

fn went_wrong(state: State, refused: Option<&Refusal>) -> bool {
    refused.is_some() || matches!(state, State::Failed | State::Aborted | State::Refused)
}

/// The beginning of the state of a module or a deployment. For a success that is its deployment, however often it was
/// checked later.
#[must_use]
pub fn since(state: State, updated_at: Timestamp, deployed_at: Option<Timestamp>) -> Timestamp {
    match state {
        State::Succeeded | State::Unchanged => deployed_at.unwrap_or(updated_at),
        _ => updated_at,
    }
}

/// Groups parameters by the deployment in their paths.
fn by_deployment(
    project: &Name,
    parameters: impl IntoIterator<Item = (String, String)>,
) -> Vec<(DeploymentId, Vec<(String, String)>)> {
    let above = format!("{}/", storage_layout::state_of_project(project));
    let mut grouped: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (name, text) in parameters {
        let rest = name.strip_prefix(&above).and_then(|rest| rest.split_once('/'));
        if let Some((deployment, _)) = rest {
            grouped
                .entry(deployment.to_owned())
                .or_default()
                .push((name, text));
        }
    }
    let named = grouped.into_iter().filter_map(|(name, parameters)| {
        let id = DeploymentId {
            project: project.clone(),
            deployment: Name::parse("deployment", &name).ok()?,
        };
        Some((id, parameters))
    });
    named.collect()
}

/// Reads the statuses of a project.
pub async fn read(store: &ParameterStore, bucket: &Bucket, project: &Name) -> Result<ProjectState> {
    let mut statuses = Vec::new();
    for (name, text) in store.below(&storage_layout::state_of_project(project)).await? {
        if storage_layout::path_above_status(&name).is_some() {
            statuses.push((name, spilled_values::resolve(bucket, text).await?));
        }
    }
    Ok(ProjectState::of(project, statuses))
}

/// The status of a module; `None` if nothing is stored of it.
pub async fn module_status(
    store: &ParameterStore,
    bucket: &Bucket,
    module: &ModuleId,
) -> Result<Option<Status>> {
    let name = module.parameter(ParameterKind::Status);
    let Some(text) = super::published::parameter(store, bucket, &name).await? else {
        return Ok(None);
    };
    match serde_json::from_str::<Status>(&text) {
        Ok(status) => {
            status.check_owner(module)?;
            Ok(Some(status))
        }
        Err(error) => bail!("{name}: expected the status of a module, found another text: {error}"),
    }
}

/// The status of a deployment; `None` if nothing is stored of it.
pub async fn deployment_status(
    store: &ParameterStore,
    bucket: &Bucket,
    deployment: &DeploymentId,
) -> Result<Option<DeploymentStatus>> {
    let name = deployment.status_parameter();
    let Some(text) = super::published::parameter(store, bucket, &name).await? else {
        return Ok(None);
    };
    serde_json::from_str(&text)
        .map(Some)
        .with_context(|| format!("{name}: expected the status of a deployment, found another text"))
}

/// The project that is meant if none is named: the only one, if there is one.
///
/// # Errors
/// [`Wrong`] if there is more than one project.
pub fn only(projects: &[Name]) -> Result<Option<Name>> {
    match projects {
        [project] => Ok(Some(project.clone())),
        [] => Ok(None),
        several => {
            let names: Vec<&str> = several.iter().map(Name::as_str).collect();
            Err(Wrong(format!(
                "--project is missing, and the stack has several projects: {}",
                names.join(", ")
            ))
            .into())
        }
    }
}

/// The projects of the stack: those with an index or, before the first index is written, with a status.
pub async fn projects(store: &ParameterStore, bucket: &Bucket) -> Result<Vec<Name>> {
    let keys = bucket.keys(storage_layout::prefix::INDEXES).await?;
    let indexed = keys
        .iter()
        .filter_map(|key| storage_layout::project_of_index(key));
    let mut projects: Vec<Name> = indexed.collect();
    if projects.is_empty() {
        let names = store.below(storage_layout::STATE).await?.into_iter();
        projects = names
            .filter_map(|(name, _)| storage_layout::project_of_parameter(&name))
            .collect();
    }
    projects.sort_unstable();
    projects.dedup();
    Ok(projects)
}

/// Whether a project has an index or, before that is written, anything in Parameter Store.
pub async fn exists(store: &ParameterStore, bucket: &Bucket, project: &Name) -> Result<bool> {
    let index = storage_layout::index_key(project);
    if bucket.keys(&index).await?.contains(&index) {
        return Ok(true);
    }
    Ok(!store
        .below(&storage_layout::state_of_project(project))
        .await?
        .is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn name(text: &str) -> Name {
        Name::parse("name", text).unwrap()
    }

    fn status(group: &str, module: &str, more: serde_json::Value) -> String {
        let mut status = json!({"state": "SUCCEEDED", "updated_at": "2026-11-29T12:00:00Z", "group": group,
            "module": module, "execution": "arn:aws:states:r:1:execution:m:e1"});
        for (field, value) in more.as_object().unwrap() {
            status[field] = value.clone();
        }
        status.to_string()
    }

    fn project() -> ProjectState {
        let refused =
            json!({"refused": {"at": "2026-11-29T12:05:00Z", "execution": "e2", "cause": "no such folder"}});
        let deployment = json!({"state": "FAILED", "updated_at": "2026-11-29T12:00:00Z", "execution": "e3"});
        ProjectState::of(
            &name("p"),
            [
                (
                    "/sf/p/dev/network-vpc/status".to_owned(),
                    status("network", "vpc", json!({})),
                ),
                (
                    "/sf/p/dev/network-dns/status".to_owned(),
                    status("network", "dns", refused),
                ),
                (
                    "/sf/p/dev/data-store/status".to_owned(),
                    status("data", "store", json!({"state": "FAILED"})),
                ),
                ("/sf/p/dev/data-lost/status".to_owned(), "{".to_owned()),
                ("/sf/p/dev/status".to_owned(), deployment.to_string()),
                (
                    "/sf/p/prod/network-vpc/status".to_owned(),
                    status("network", "vpc", json!({})),
                ),
            ],
        )
    }

    fn modules(state: &ProjectState) -> Vec<String> {
        let rows = state.modules.iter();
        rows.map(|row| format!("{}/{}/{}", row.deployment, row.status.group, row.status.module))
            .collect()
    }

    #[test]
    fn statuses_become_rows_and_what_is_unreadable_is_named() {
        let all = project();
        assert_eq!(
            modules(&all),
            [
                "dev/data/store",
                "dev/network/dns",
                "dev/network/vpc",
                "prod/network/vpc"
            ]
        );
        assert_eq!(all.unreadable, ["/sf/p/dev/data-lost"]);
        assert_eq!(all.deployments.len(), 1);
    }

    #[test]
    fn a_module_whose_status_cannot_be_read_has_not_recovered() {
        let deployment = json!({"state": "FAILED", "started_at": "2026-11-29T12:00:00Z", "updated_at": "2026-11-29T12:01:00Z",
            "execution": "e3", "modules": {"FAILED": 1}, "failed": ["data/store"]});
        let recovered = |status: Option<String>| {
            let module = status.map(|status| ("/sf/p/dev/data-store/status".to_owned(), status));
            let own = ("/sf/p/dev/status".to_owned(), deployment.to_string());
            let state = ProjectState::of(&name("p"), [own].into_iter().chain(module));
            (state.deployments[0].recovered, state.unreadable)
        };
        assert_eq!(recovered(None), (true, Vec::new()), "it was destroyed since");
        let path = "/sf/p/dev/data-store".to_owned();
        assert_eq!(recovered(Some("{".to_owned())), (false, vec![path.clone()]));
        let named = json!({"group": "data", "module": "store"}).to_string();
        assert_eq!(recovered(Some(named)), (false, vec![format!("{path}/status")]));
    }

    #[test]
    fn what_was_repaired_since_has_not_failed() {
        let of = |deployment: serde_json::Value, module: serde_json::Value| {
            let refused = json!({"state": "REFUSED", "refused": {"at": "2026-11-29T11:59:00Z", "execution": "e2", "cause": "no"}});
            let state = ProjectState::of(
                &name("p"),
                [
                    ("/sf/p/dev/status".to_owned(), deployment.to_string()),
                    (
                        "/sf/p/dev/data-store/status".to_owned(),
                        status("data", "store", module),
                    ),
                    (
                        "/sf/p/dev/data-typo/status".to_owned(),
                        status("data", "typo", refused),
                    ),
                ],
            );
            let failed = state.clone().selected(None, true);
            (state.modules.len(), failed.deployments.len(), modules(&failed))
        };
        let deployment = |state: &str| {
            json!({"state": state, "started_at": "2026-11-29T12:00:00Z", "updated_at": "2026-11-29T12:01:00Z",
                "execution": "e3", "modules": {"FAILED": 1}, "failed": ["data/store"]})
        };
        let at = |state: &str| json!({"state": state, "updated_at": "2026-11-29T12:05:00Z"});
        let typo = "dev/data/typo".to_owned();
        let store = "dev/data/store".to_owned();
        assert_eq!(
            of(deployment("FAILED"), at("FAILED")),
            (2, 1, vec![store, typo.clone()])
        );
        assert_eq!(of(deployment("FAILED"), at("SUCCEEDED")), (2, 0, vec![typo]));
        // The deployment was accepted after the request for the module that was refused.
        assert_eq!(of(deployment("SUCCEEDED"), at("SUCCEEDED")), (1, 0, vec![]));
    }

    #[test]
    fn a_target_and_failures_select_rows() {
        let target: Target = "dev/network".parse().unwrap();
        let network = project().selected(Some(&target), false);
        assert_eq!(modules(&network), ["dev/network/dns", "dev/network/vpc"]);
        assert!(network.deployments.is_empty());
        let failed = project().selected(None, true);
        assert_eq!(modules(&failed), ["dev/data/store", "dev/network/dns"]);
        assert_eq!(failed.deployments.len(), 1);
    }

    #[test]
    fn a_success_counts_from_its_deployment() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(since(State::Unchanged, at(9), Some(at(1))), at(1));
        assert_eq!(since(State::Failed, at(9), Some(at(1))), at(9));
    }

    #[test]
    fn the_project_may_be_left_out_if_there_is_one() {
        assert_eq!(only(&[name("p")]).unwrap(), Some(name("p")));
        assert_eq!(only(&[]).unwrap(), None);
        let several = only(&[name("a"), name("b")]).unwrap_err();
        assert!(several.is::<Wrong>(), "{several}");
        let several = several.to_string();
        assert!(
            several.contains("--project") && several.ends_with("a, b"),
            "{several}"
        );
    }
}
