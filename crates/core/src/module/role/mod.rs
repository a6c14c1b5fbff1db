//! A module's own IAM stack: its bundle's `modulestack.yaml`, and the role of its builds (decision 25).
//!
//! The CloudFormation template defines what the module's builds may do. It is deployed before the build, together with
//! a role that belongs to the module alone (seedfarmer-compat.md 2.8). This module has the logic that needs no AWS: the
//! names, the values of the template's parameters, and the next step for the stack's state ([`step`]).

pub mod boundary;
pub mod policies;
pub mod step;
mod template;

use serde::{Deserialize, Serialize};

pub use template::Problem;

use crate::error::{Error, ErrorName, Result};
use crate::ids::{ModuleId, hyphens};
use crate::module::parameters::Parameters;

/// The longest template (CloudFormation, CreateStack, `TemplateBody`).
pub const MAX_BYTES: usize = 51_200;

/// The longest name of a role (IAM and AWS STS quotas).
const MAX_ROLE: usize = 64;
/// The longest name of a stack (CreateStack, `StackName`).
const MAX_STACK: usize = 128;
/// A hyphen and eight digits of a hash.
const HASH: usize = 9;

/// The names of a module's role and stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleAndStackName {
    /// The role.
    pub role: String,
    /// The stack.
    pub stack: String,
}

impl RoleAndStackName {
    /// Derives the names from the module's. `prefix` begins the names of all modules, and IAM statements match it. The
    /// hash distinguishes modules whose names would be the same when joined or cut.
    ///
    /// # Errors
    /// If the prefix, which comes from the name of Seedflow's own stack, leaves no room.
    pub fn new(prefix: &str, module: &ModuleId) -> Result<Self> {
        Ok(Self {
            role: name(prefix, module, MAX_ROLE)?,
            stack: name(prefix, module, MAX_STACK)?,
        })
    }
}

fn name(prefix: &str, module: &ModuleId, limit: usize) -> Result<String> {
    let Some(room) = limit.checked_sub(prefix.len() + HASH).filter(|room| *room > 0) else {
        return Err(Error::new(
            ErrorName::InvalidModuleStack,
            format!(
                "modulestack.yaml: a name of at most {limit} characters that begins with {prefix} leaves no room for the module's; install Seedflow as a stack with a name of at most {} characters",
                limit - HASH - "-module-".len() - 1
            ),
        ));
    };
    let mut dashed = hyphens(&module.dashed());
    dashed.truncate(room);
    Ok(format!(
        "{prefix}{}-{}",
        dashed.trim_end_matches('-'),
        module.short_hash()
    ))
}

/// A module's stack to deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleStack {
    /// The names of role and stack.
    pub names: RoleAndStackName,
    /// The template's text.
    pub template: String,
    /// The values of its parameters.
    pub parameters: Vec<(String, String)>,
}

impl ModuleStack {
    /// Parses a template's bytes. `prefix` begins the names of all modules' roles and stacks.
    ///
    /// # Errors
    /// `InvalidModuleStack` if the template cannot be read, if a parameter has neither a default nor a value, or if the
    /// prefix leaves no room for the names.
    pub fn parse(bytes: &[u8], prefix: &str, module: &ModuleId, parameters: &Parameters) -> Result<Self> {
        let names = RoleAndStackName::new(prefix, module)?;
        let values = template::values(module, parameters, &names.role);
        let invalid = |problems: Vec<Problem>| {
            let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
            Error::new(ErrorName::InvalidModuleStack, problems.join("; "))
        };
        let text = text(bytes).map_err(|problem| invalid(vec![problem]))?;
        Ok(Self {
            parameters: template::parameters(text, &values).map_err(invalid)?,
            template: text.to_owned(),
            names,
        })
    }
}

fn text(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > MAX_BYTES {
        let found = format!("{} bytes; at most {MAX_BYTES} are allowed", bytes.len());
        return Err(Problem::of_file(found));
    }
    std::str::from_utf8(bytes).map_err(|_| Problem::of_file("the file is not valid UTF-8"))
}

/// What is wrong with a template, before the module is deployed: for a module with parameters of these names, or for any
/// module.
#[must_use]
pub fn check<'n>(bytes: &[u8], parameters: Option<impl Iterator<Item = &'n str>>) -> Vec<Problem> {
    let checked = text(bytes)
        .map_err(|problem| vec![problem])
        .and_then(|text| match parameters {
            Some(names) => template::parameters(text, &template::names(names)).map(drop),
            None => template::declared(text)
                .map(drop)
                .map_err(|problem| vec![problem]),
        });
    checked.err().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn module(project: &str, deployment: &str, module: &str) -> ModuleId {
        ModuleId::parse(project, deployment, "g", module).unwrap()
    }

    #[test]
    fn names_fit_and_no_two_modules_share_them() {
        let prefix = "seedflow-module-";
        let short = RoleAndStackName::new(prefix, &module("p", "d", "m")).unwrap();
        assert!(short.role.starts_with("seedflow-module-p-d-g-m-"), "{short:?}");
        let long = "x".repeat(60);
        let modules = [
            module("p", "d", "m"),
            // These two are the same when joined by hyphens.
            module("p", "d-e", "m"),
            module("p-d", "e", "m"),
            // These are the same where only hyphens are allowed.
            module("p", "d", "m-1"),
            module("p", "d", "m_1"),
            module("p", "d", "m.1"),
            // These two are the same when cut.
            module(&long, &long, "a"),
            module(&long, &long, "b"),
            // IAM does not distinguish names by case.
            module("p", "d", "M"),
        ];
        let names: Vec<RoleAndStackName> = modules
            .iter()
            .map(|module| RoleAndStackName::new(prefix, module).unwrap())
            .collect();
        for names in &names {
            assert!(names.role.len() <= 64 && names.stack.len() <= 128, "{names:?}");
        }
        let roles: std::collections::BTreeSet<String> =
            names.iter().map(|names| names.role.to_lowercase()).collect();
        assert_eq!(roles.len(), modules.len());
    }

    #[test]
    fn a_name_of_the_own_stack_that_leaves_no_room_is_reported() {
        let prefix = |length: usize| format!("{}-module-", "s".repeat(length));
        assert!(RoleAndStackName::new(&prefix(46), &module("p", "d", "m")).is_ok());
        let error = RoleAndStackName::new(&prefix(47), &module("p", "d", "m")).unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidModuleStack);
        assert!(error.message.contains("at most 46 characters"), "{error}");
    }
}
