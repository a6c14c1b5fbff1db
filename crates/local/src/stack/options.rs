//! What can differ between local stacks.

use std::collections::BTreeMap;
use std::time::Duration;

use seedflow_core::target::Target;
use serde_json::{Value, json};

use crate::process::cargo_build::Profile;
use crate::proxy::quotas::{self, Quota};

/// The source of the CodeBuild emulator's events: only AWS may send as `aws.codebuild`, and the
/// emulator enforces that.
pub const EVENT_SOURCE: &str = "seedflow.codebuild";

/// What can differ between stacks.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// The port that clients use; a free one where none is given.
    pub port: Option<u16>,
    /// The state machine's timeout for a build's event, in place of its ten minutes.
    pub await_timeout: Option<Duration>,
    /// How long a minute is in the timeouts of builds.
    pub minute: Duration,
    /// How many builds run at once; further ones queue.
    pub concurrent_builds: usize,
    /// How the functions are compiled.
    pub profile: Profile,
    /// The longest timeout of a function, in place of the template's minutes.
    pub function_timeout: Option<Duration>,
    /// The account's quotas of calls.
    pub quotas: Vec<Quota>,
    /// How many functions run at once; further calls of functions are refused.
    pub concurrent_functions: Option<usize>,
    /// Further settings of the emulator, such as `SFN_WAIT_SCALE`.
    pub emulator_env: Vec<(String, String)>,
    /// The policy of builds, for the template's `BuildManagedPolicyArns`; none gives them
    /// the build role's own statements only.
    pub build_policy: Option<Value>,
    /// The policy of the roles of modules with a `modulestack.yaml`, for the template's `ModuleRoleManagedPolicyArns`
    /// where `parameters` doesn't set that; none gives these roles what their stacks allow, and nothing else.
    pub module_policy: Option<Value>,
    /// Further parameters of the template by their names.
    pub parameters: BTreeMap<String, String>,
    /// Further accounts and regions that modules can be deployed in.
    pub targets: Vec<Target>,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            port: None,
            await_timeout: None,
            minute: Duration::from_secs(60),
            concurrent_builds: 60,
            profile: Profile::Dev,
            function_timeout: None,
            quotas: Vec::new(),
            concurrent_functions: None,
            emulator_env: Vec::new(),
            build_policy: Some(allow_everything()),
            module_policy: Some(default_project_policy()),
            parameters: [
                ("ReferencedParameters", EXAMPLES),
                ("ReferencedSecrets", EXAMPLES),
                // Most public modules are of the CDK, and nothing here is worth protecting from its bootstrap.
                ("AllowCdkBootstrap", "true"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            targets: Vec::new(),
        }
    }
}

impl StackOptions {
    /// The same in an account that never asked for higher quotas.
    #[must_use]
    pub fn of_a_new_account(self) -> Self {
        Self {
            quotas: quotas::new_account(),
            concurrent_builds: quotas::CONCURRENT_BUILDS,
            concurrent_functions: Some(quotas::CONCURRENT_FUNCTIONS),
            ..self
        }
    }

    /// The policy of the modules' roles, unless the template's parameter is set to another one.
    pub(super) fn wanted_module_policy(&self) -> Option<&Value> {
        let another = self.parameters.contains_key("ModuleRoleManagedPolicyArns");
        self.module_policy.as_ref().filter(|_| !another)
    }

    /// The settings of the emulator.
    pub(super) fn emulator(&self) -> Vec<(String, String)> {
        let concurrency = self
            .concurrent_functions
            .map(|most| ("LAMBDA_ACCOUNT_CONCURRENCY".to_owned(), most.to_string()));
        self.emulator_env.iter().cloned().chain(concurrency).collect()
    }
}

/// What the examples refer to, in Parameter Store and in Secrets Manager.
const EXAMPLES: &str = "seedflow-examples/*";

/// The name of the policy for builds.
pub(super) const BUILD_POLICY: &str = "seedflow-builds";

/// The name of the policy for the roles of modules.
pub(super) const MODULE_POLICY: &str = "seedflow-modules";

/// As AWS's AdministratorAccess, which has no effect on the emulator.
fn allow_everything() -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
}

/// What seed-farmer's default project policy allows every module on every resource. A public `modulestack.yaml` relies on
/// it: `aws s3 rm --recursive` lists the bucket, which it doesn't allow itself.
fn default_project_policy() -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", "Action": [
        "cloudformation:Describe*",
        "cloudformation:GetTemplate",
        "ec2:Describe*",
        "ec2:Get*",
        "ecr:Describe*",
        "ecr:Get*",
        "ecr:List*",
        "elasticloadbalancing:Describe*",
        "iam:Get*",
        "iam:List*",
        "kms:CreateKey",
        "kms:Describe*",
        "kms:List*",
        "kms:TagResource",
        "logs:CreateLogGroup",
        "logs:Describe*",
        "s3:List*",
    ]}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_the_modules_roles_gives_way_to_the_template_s_parameter() {
        let mut options = StackOptions::default();
        let allows = |options: &StackOptions| options.wanted_module_policy().map(ToString::to_string);
        assert!(allows(&options).is_some_and(|policy| policy.contains("s3:List*")));
        options
            .parameters
            .insert("ModuleRoleManagedPolicyArns".to_owned(), String::new());
        assert_eq!(allows(&options), None);
    }
}
