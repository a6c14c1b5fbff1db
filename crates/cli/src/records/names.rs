//! The names in a project: what a person named is one of them, or a typing error.
//!
//! Every command finds its deployment, group or module here. So an unknown name has one message and one exit code (4), and
//! `GROUP/MODULE` is enough wherever only one deployment has such a module.

use std::collections::BTreeSet;

use anyhow::Result;
use seedflow_core::error::did_you_mean;
use seedflow_core::ids::{Name, ParameterKind};
use seedflow_core::storage_layout::reports_of_target;

use super::target::Target;
use super::{project, published, report};
use crate::account::Account;
use crate::exit::Refused;

/// The names of a project's deployments and modules: `dev`, `dev/network/vpc`.
#[derive(Debug, Clone, Default)]
pub struct ProjectNames(BTreeSet<String>);

impl FromIterator<String> for ProjectNames {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    /// This deployment, group or module.
    One(Target),
    /// A module of each of these names.
    Several(Vec<String>),
    /// Nothing; perhaps with a question after a misspelling.
    Nothing(String),
}

impl ProjectNames {
    /// What a target means: itself, or the module of the only deployment that has it.
    #[must_use]
    pub fn meant(&self, target: &Target) -> Meant {
        let named = target.to_string();
        let below = format!("{named}/");
        if self
            .0
            .iter()
            .any(|name| *name == named || name.starts_with(&below))
        {
            return Meant::One(target.clone());
        }
        let end = format!("/{named}");
        let is_short = target.group.is_some() && target.module.is_none();
        let modules = self.0.iter().filter(|name| is_short && name.ends_with(&end));
        let modules: Vec<&String> = modules.collect();
        match modules.as_slice() {
            [one] => match one.parse() {
                Ok(target) => Meant::One(target),
                Err(_) => Meant::Nothing(String::new()),
            },
            [] => Meant::Nothing(self.suggestion(&named)),
            several => Meant::Several(several.iter().map(|name| (*name).clone()).collect()),
        }
    }

    /// `; did you mean dev/network/vpc?`, of the names with as many parts.
    fn suggestion(&self, named: &str) -> String {
        let parts = |name: &str| name.split('/').count();
        let mut all: BTreeSet<&str> = BTreeSet::new();
        for name in &self.0 {
            let ends = name.match_indices('/').map(|(at, _)| &name[..at]);
            all.extend(ends.chain([name.as_str()]));
            all.extend(name.split_once('/').map(|(_, module)| module));
        }
        let alike: Vec<&str> = all
            .into_iter()
            .filter(|name| parts(name) == parts(named))
            .collect();
        did_you_mean(named, &alike)
    }
}

/// The deployment, group or module of a project that is meant.
///
/// # Errors
/// [`Refused`] if there is none, or more than one.
pub async fn meant(account: &Account, project: &Name, target: &Target) -> Result<Target> {
    if is_stored(account, project, target).await? {
        return Ok(target.clone());
    }
    let state = project::read(&account.parameters(), &account.bucket(), project).await?;
    let deployments = state.deployments.iter().map(|row| row.deployment.to_string());
    let modules = state.modules.iter();
    let modules = modules.map(|row| format!("{}/{}/{}", row.deployment, row.status.group, row.status.module));
    match deployments.chain(modules).collect::<ProjectNames>().meant(target) {
        Meant::One(target) => Ok(target),
        Meant::Several(modules) => Err(Refused(format!(
            "{target}: expected the name of one module, found it in several deployments; name {}",
            modules.join(" or ")
        ))
        .into()),
        Meant::Nothing(suggestion) => Err(unknown(account, project, &target.to_string(), &suggestion)),
    }
}

/// Whether something is stored of a target: its own status, or a report. A destroyed module has only reports.
async fn is_stored(account: &Account, project: &Name, target: &Target) -> Result<bool> {
    let (store, bucket) = (account.parameters(), account.bucket());
    let status = match (&target.group, target.module(project)) {
        (None, _) => Some(target.deployment(project).status_parameter()),
        (_, Ok(module)) => Some(module.parameter(ParameterKind::Status)),
        (Some(_), Err(_)) => None,
    };
    if let Some(status) = status
        && published::parameter(&store, &bucket, &status).await?.is_some()
    {
        return Ok(true);
    }
    let reports = bucket
        .keys(&reports_of_target(project, &target.to_string()))
        .await?;
    Ok(!reports.is_empty())
}

/// The error of a name that nothing has.
fn unknown(account: &Account, project: &Name, named: &str, suggestion: &str) -> anyhow::Error {
    let joint = if suggestion.is_empty() { "; " } else { " " };
    let command = |verb| account.command(&[verb, "--project", project.as_str()]);
    Refused(format!(
        "found nothing called \"{named}\" in the project {project}{suggestion}{joint}`{}` shows what is deployed, and `{}` the executions",
        command("status"),
        command("history")
    ))
    .into()
}

/// Refuses a project that has nothing stored. One whose modules were all destroyed has reports.
///
/// # Errors
/// [`Refused`] with the projects that there are.
pub async fn refuse_unknown_project(account: &Account, project: &Name) -> Result<()> {
    let (store, bucket) = (account.parameters(), account.bucket());
    if project::exists(&store, &bucket, project).await? || report::some(&bucket, project).await? {
        return Ok(());
    }
    let projects = project::projects(&store, &bucket).await?;
    Err(match projects.is_empty() {
        true => nothing(account),
        false => Refused(unknown_project(project, &projects)).into(),
    })
}

fn unknown_project(project: &Name, projects: &[Name]) -> String {
    let names: Vec<&str> = projects.iter().map(Name::as_str).collect();
    let suggestion = did_you_mean(project.as_str(), &names);
    let joint = if suggestion.is_empty() { ";" } else { "" };
    format!(
        "found no project \"{project}\"{suggestion}{joint} the stack has {}",
        names.join(", ")
    )
}

/// The error of a stack that has deployed nothing yet.
#[must_use]
pub fn nothing(account: &Account) -> anyhow::Error {
    Refused(nothing_yet(account)).into()
}

/// What there is to say of a stack that has deployed nothing yet.
#[must_use]
pub fn nothing_yet(account: &Account) -> String {
    format!(
        "nothing was deployed yet by this stack; `seedflow init project --project NAME` writes a first project, and `{}` deploys the repository of a folder",
        account.command(&["apply"])
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_unknown_project_is_a_misspelling_or_the_error_lists_the_projects() {
        let names = ["shop", "billing"].map(|name| Name::parse("project", name).unwrap());
        let message = |text: &str| unknown_project(&Name::parse("project", text).unwrap(), &names);
        assert_eq!(
            message("shpo"),
            "found no project \"shpo\"; did you mean shop? the stack has shop, billing"
        );
        assert_eq!(
            message("warehouse"),
            "found no project \"warehouse\"; the stack has shop, billing"
        );
    }

    #[test]
    fn a_name_is_a_deployment_a_group_or_a_module_and_a_module_of_one_deployment_needs_no_more() {
        let names = ["dev", "dev/data/store", "dev/network/vpc", "prod/network/vpc"];
        let names: ProjectNames = names.map(str::to_owned).into_iter().collect();
        let meant = |text: &str| names.meant(&text.parse().unwrap());
        let one = |text: &str| Meant::One(text.parse().unwrap());
        for text in ["dev", "prod", "dev/data", "dev/data/store"] {
            assert_eq!(meant(text), one(text));
        }
        assert_eq!(meant("data/store"), one("dev/data/store"));
        let several = ["dev/network/vpc", "prod/network/vpc"].map(str::to_owned);
        assert_eq!(meant("network/vpc"), Meant::Several(several.to_vec()));
        for (text, suggestion) in [
            ("dve", "; did you mean dev?"),
            ("dev/dta", "; did you mean dev/data?"),
            ("data/stor", "; did you mean data/store?"),
            ("dev/data/stor", "; did you mean dev/data/store?"),
            ("dev/other/thing", ""),
        ] {
            assert_eq!(meant(text), Meant::Nothing(suggestion.to_owned()), "{text}");
        }
    }
}
