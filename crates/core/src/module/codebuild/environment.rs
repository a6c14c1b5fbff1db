//! The variables of a build, with seed-farmer's names and values (seedfarmer-compat.md 2.3).
//!
//! Short variables go into StartBuild. Long ones would exceed its limit on a variable's length, so they are variables
//! of the buildspec (decision 34). Modules see no difference, and the build's log shows neither. References (Parameter
//! Store, Secrets Manager) always go into StartBuild: CodeBuild resolves them inside the build and masks secrets in its
//! log.

use serde_json::Value;
use sha1::{Digest, Sha1};

use crate::formats::python_json::dumps;
use crate::formats::upper_snake_case::upper_snake_case;
use crate::ids::AwsEnvironment;
use crate::module::input::ModuleAction;
use crate::module::parameters::VariableType;
use crate::module::plan::Plan;
use crate::module::workflow_metadata::SEEDFARMER_VERSION;

/// The longest value in StartBuild. CodeBuild has been observed to refuse values above 4,096 characters.
const MAX_IN_REQUEST: usize = 1024;

/// One variable of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, or the name of the referenced parameter or secret.
    pub value: String,
    /// Whether `value` is the value or a reference.
    pub kind: VariableType,
}

impl Variable {
    /// A variable with a plain value.
    #[must_use]
    pub fn plain(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            kind: VariableType::Plaintext,
        }
    }

    /// Whether it goes into StartBuild; the others go into the buildspec.
    #[must_use]
    pub fn in_request(&self) -> bool {
        self.kind != VariableType::Plaintext || self.value.len() <= MAX_IN_REQUEST
    }
}

/// The prefix of a module's variables: `SEEDFARMER`, or the project's name if the deployspec says so.
#[must_use]
pub fn prefix(plan: &Plan) -> String {
    if plan.deployspec.generic_variables {
        "SEEDFARMER".to_owned()
    } else {
        plan.module.project.as_str().to_uppercase().replace('-', "_")
    }
}

/// All variables of a build, including the template's permissions boundary if there is one. Variables that CodeBuild
/// itself sets (AWS_DEFAULT_REGION, AWS_REGION, CODEBUILD_*) are not included.
#[must_use]
pub fn variables(
    plan: &Plan,
    environment: &AwsEnvironment,
    permissions_boundary: Option<&str>,
) -> Vec<Variable> {
    let prefix = prefix(plan);
    let named = |name: &str, value: String| Variable::plain(format!("{prefix}_{name}"), value);
    let mut variables = vec![
        named("PROJECT_NAME", plan.module.project.to_string()),
        named("DEPLOYMENT_NAME", plan.module.deployment.to_string()),
        named("MODULE_NAME", plan.resources().module_name()),
        named("HASH", account_hash(environment)),
        named(
            "MODULE_METADATA",
            previous_metadata(plan.previous_metadata.as_ref()),
        ),
        Variable::plain("SEEDFLOW_PREFIX", prefix.clone()),
        Variable::plain("SEEDFARMER_VERSION", SEEDFARMER_VERSION),
        Variable::plain("AWS_PARTITION", environment.partition.clone()),
        Variable::plain("AWS_ACCOUNT_ID", environment.account.clone()),
        // A variable of seed-farmer's CodeBuild project, from which modules derive the prefix and names of stacks.
        Variable::plain("AWS_CODESEEDER_NAME", plan.module.project.as_str()),
    ];
    variables.extend(permissions_boundary.map(|arn| named("PERMISSIONS_BOUNDARY_ARN", arn.to_owned())));
    if plan.action == ModuleAction::Deploy {
        variables.push(named("MODULE_MD5", plan.fingerprint.bundle.clone()));
    }
    variables.extend(plan.options.parameters.iter().map(|(name, value)| Variable {
        name: format!("{prefix}_PARAMETER_{}", upper_snake_case(name)),
        value: value.text(),
        kind: value.variable_type(),
    }));
    variables
}

/// The first eight digits of SHA-1("{account}-{region}"), with which modules make names unique.
fn account_hash(environment: &AwsEnvironment) -> String {
    let digest = Sha1::digest(format!("{}-{}", environment.account, environment.region));
    hex::encode(digest)[..8].to_owned()
}

/// The metadata of the last success, or `null`. The space at the end lets the build's `seedfarmer` command recognise
/// that the module did not export the variable itself (decision 11). JSON ignores the space.
fn previous_metadata(metadata: Option<&Value>) -> String {
    format!("{} ", metadata.map_or("null".to_owned(), dumps))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::module::codebuild::request::tests::plan;
    use serde_json::json;

    fn environment() -> AwsEnvironment {
        AwsEnvironment {
            partition: "aws".into(),
            region: "us-east-1".into(),
            account: "111111111111".into(),
        }
    }

    fn value(variables: &[Variable], name: &str) -> String {
        variables
            .iter()
            .find(|v| v.name == name)
            .unwrap_or_else(|| panic!("no {name}"))
            .value
            .clone()
    }

    #[test]
    fn the_names_and_values_of_the_compatibility_page() {
        let plan = plan(
            json!({"parameters": {"vpcCidr": "10.0.0.0/16", "subnet-ids": ["a", "b"]}}),
            true,
        );
        let variables = variables(&plan, &environment(), None);
        for (name, expected) in [
            ("SEEDFARMER_PROJECT_NAME", "my-project"),
            ("SEEDFARMER_DEPLOYMENT_NAME", "prod"),
            ("SEEDFARMER_MODULE_NAME", "networking-vpc"),
            ("SEEDFARMER_PARAMETER_VPC_CIDR", "10.0.0.0/16"),
            ("SEEDFARMER_PARAMETER_SUBNET_IDS", "[\"a\", \"b\"]"),
            ("SEEDFARMER_HASH", "600cacf8"),
            ("SEEDFARMER_MODULE_METADATA", "null "),
            ("AWS_PARTITION", "aws"),
            ("AWS_ACCOUNT_ID", "111111111111"),
            ("AWS_CODESEEDER_NAME", "my-project"),
        ] {
            assert_eq!(value(&variables, name), expected, "{name}");
        }
    }

    #[test]
    fn a_permissions_boundary_is_passed_to_the_build() {
        let plan = plan(json!({}), true);
        let with = variables(&plan, &environment(), Some("arn:aws:iam::1:policy/b"));
        let name = "SEEDFARMER_PERMISSIONS_BOUNDARY_ARN";
        assert_eq!(value(&with, name), "arn:aws:iam::1:policy/b");
        let without = variables(&plan, &environment(), None);
        assert!(without.iter().all(|variable| variable.name != name));
    }

    #[test]
    fn a_module_can_ask_for_the_projects_prefix() {
        let plan = plan(json!({"parameters": {"a": 1}}), false);
        let variables = variables(&plan, &environment(), None);
        assert_eq!(value(&variables, "MY_PROJECT_PARAMETER_A"), "1");
        assert_eq!(value(&variables, "SEEDFLOW_PREFIX"), "MY_PROJECT");
        assert_eq!(value(&variables, "AWS_PARTITION"), "aws");
    }

    #[test]
    fn long_values_leave_the_request_and_references_never_do() {
        let plan = plan(
            json!({"parameters": {"a": "x".repeat(1024), "b": "x".repeat(1025), "c": {"secrets_manager": "s"}}}),
            true,
        );
        let variables = variables(&plan, &environment(), None);
        let outside: Vec<_> = variables
            .iter()
            .filter(|v| !v.in_request())
            .map(|v| v.name.as_str())
            .collect();
        assert_eq!(outside, ["SEEDFARMER_PARAMETER_B"]);
    }
}
