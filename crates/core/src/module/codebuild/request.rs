//! The StartBuild request of a module's build, composed from a plan.

use md5::{Digest, Md5};

use crate::ids::{AwsEnvironment, BuildFolder, ExecutionArn};
use crate::module::codebuild::environment::Variable;
use crate::module::codebuild::{buildspec, environment};
use crate::module::deployspec::Phases;
use crate::module::input::ModuleAction;
use crate::module::maximum::ComputeType;
use crate::module::network::Network;
use crate::module::plan::Plan;
use crate::module::role::boundary;
use crate::workflow::build_outcome::EXECUTION_VARIABLE;

/// The template's defaults for builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// The CodeBuild project.
    pub project: String,
    /// The image.
    pub image: String,
    /// The compute type.
    pub compute_type: ComputeType,
    /// The environment type.
    pub environment_type: String,
    /// Whether builds may run Docker.
    pub privileged: bool,
    /// Minutes until CodeBuild ends a build.
    pub timeout_minutes: u64,
    /// Minutes that a build may wait for a machine.
    pub queued_timeout_minutes: u64,
    /// The log group of all builds.
    pub log_group: String,
    /// The bucket for the metadata that builds return.
    pub work_bucket: String,
    /// The permissions boundary for the roles that modules create; modules receive it as a variable.
    pub permissions_boundary: Option<String>,
    /// The ARN of the role for builds of modules without their own.
    pub service_role: String,
}

impl Defaults {
    /// The defaults for a plan's build: those of its target, or these. `stack` is the name of Seedflow's stack. CodeBuild
    /// reads sources only from a bucket of its own region, so a target has a bucket.
    #[must_use]
    pub fn of(&self, plan: &Plan, stack: &str) -> Self {
        let (Some(target), Some(settings)) = (plan.target(), &plan.target_settings) else {
            return self.clone();
        };
        Self {
            project: settings.project.clone(),
            log_group: settings.log_group.clone(),
            work_bucket: target.bucket(stack),
            permissions_boundary: settings.boundary().map(str::to_owned),
            service_role: settings.build_role.clone(),
            ..self.clone()
        }
    }
}

/// The longest buildspec inside a StartBuild request. AWS refuses a longer one with "Max buildspec length is 25600",
/// and accepts the ARN of an S3 object instead (API reference, `buildspecOverride`).
pub const MAX_INLINE_BUILDSPEC: usize = 25_600;

/// A build to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRequest {
    /// The CodeBuild project.
    pub project: String,
    /// The network that the project has to have, if the build asks for one.
    pub network: Option<Network>,
    /// The same for every attempt of one execution, so that CodeBuild starts one build (StartBuild, `idempotencyToken`:
    /// valid for five minutes, up to 64 characters).
    pub idempotency_token: String,
    /// The build's folder in the work bucket: its source, its buildspec if that is long, and its returned metadata.
    pub run: BuildFolder,
    /// `{bucket}/{key}` of the bundle's copy that the build reads.
    pub source_location: String,
    /// The buildspec's text, or the ARN of the S3 object with it.
    pub buildspec: String,
    /// The variables of the request.
    pub variables: Vec<Variable>,
    /// The image.
    pub image: String,
    /// The compute type.
    pub compute_type: ComputeType,
    /// The environment type.
    pub environment_type: String,
    /// Whether the build may run Docker.
    pub privileged: bool,
    /// Minutes until CodeBuild ends the build.
    pub timeout_minutes: u64,
    /// Minutes that the build may wait for a machine.
    pub queued_timeout_minutes: u64,
    /// The build's log group.
    pub log_group: String,
    /// The bucket of the build's artifacts; `None` for a build that hands nothing back.
    pub artifact_bucket: Option<String>,
    /// The ARN of the build's role: the module's own (decision 25), or that of all builds. It is never the CodeBuild
    /// project's role: an input may name a project that an administrator made for another purpose, with more rights. Only
    /// read-only builds have none here, since no input chooses their project.
    pub service_role: Option<String>,
}

impl BuildRequest {
    /// The key in the work bucket for a buildspec that is too long for the request. The key belongs to the deployment,
    /// so a repeated attempt writes the same object.
    #[must_use]
    pub fn buildspec_key(&self) -> Option<String> {
        (self.buildspec.len() > MAX_INLINE_BUILDSPEC).then(|| self.run.buildspec_key())
    }
}

/// Composes the build of a plan. The input's settings override the deployspec's, and those override the template's.
/// `module_role` is the ARN of the module's own role, if it has one.
#[must_use]
pub fn compose(
    plan: &Plan,
    execution: &ExecutionArn,
    run: &BuildFolder,
    environment: &AwsEnvironment,
    module_role: Option<String>,
    defaults: &Defaults,
) -> BuildRequest {
    let mut variables = variables(plan, environment, defaults);
    variables.push(Variable::plain(EXECUTION_VARIABLE, execution.as_str()));
    let buildspec = buildspec::compose(&buildspec::Content {
        phases: &phases(plan),
        root: &plan.source.path,
        own: &buildspec::own_folder(run),
        variables: &variables,
        image: &image(plan, defaults),
        settings: &plan.options.build,
    });
    BuildRequest {
        network: plan.network.clone(),
        idempotency_token: hex::encode(Md5::digest(execution.as_str())),
        buildspec,
        artifact_bucket: Some(defaults.work_bucket.clone()),
        service_role: Some(module_role.unwrap_or_else(|| defaults.service_role.clone())),
        ..in_container(plan, run, defaults, variables)
    }
}

/// A request with everything about the container of a plan's build, and nothing of what it does.
pub(super) fn in_container(
    plan: &Plan,
    run: &BuildFolder,
    defaults: &Defaults,
    variables: Vec<Variable>,
) -> BuildRequest {
    let settings = &plan.options.build;
    BuildRequest {
        project: plan.project(&defaults.project),
        network: None,
        idempotency_token: String::new(),
        source_location: format!("{}/{}", defaults.work_bucket, run.source_key()),
        run: run.clone(),
        buildspec: String::new(),
        variables: variables.into_iter().filter(Variable::in_request).collect(),
        image: image(plan, defaults),
        compute_type: settings
            .compute_type
            .or(plan.deployspec.build_type)
            .unwrap_or(defaults.compute_type),
        environment_type: settings
            .environment_type
            .clone()
            .unwrap_or_else(|| defaults.environment_type.clone()),
        privileged: settings.privileged.unwrap_or(defaults.privileged),
        timeout_minutes: settings.timeout_minutes.unwrap_or(defaults.timeout_minutes),
        queued_timeout_minutes: defaults.queued_timeout_minutes,
        log_group: defaults.log_group.clone(),
        artifact_bucket: None,
        service_role: None,
    }
}

/// The image of a plan's build.
pub(super) fn image(plan: &Plan, defaults: &Defaults) -> String {
    let named = plan.options.build.image.clone();
    named.unwrap_or_else(|| defaults.image.clone())
}

/// The variables of a plan's build, those of its execution excepted.
pub(super) fn variables(plan: &Plan, environment: &AwsEnvironment, defaults: &Defaults) -> Vec<Variable> {
    let environment = &environment.of(plan.target());
    let boundary = boundary::arn(
        defaults.permissions_boundary.as_deref(),
        plan.options.build.permissions_boundary.as_deref(),
        environment,
    );
    environment::variables(plan, environment, boundary.as_deref())
}

/// The commands of a plan's build. Commands that destroy find deployment, group and module under further names after
/// their own pre_build commands, as in seed-farmer (seedfarmer-compat.md 2.2).
fn phases(plan: &Plan) -> Phases {
    match plan.action {
        ModuleAction::Deploy => plan.deployspec.deploy.clone(),
        ModuleAction::Destroy => {
            // The planner has checked that destroy phases exist.
            let mut phases = plan.deployspec.destroy.clone().unwrap_or_default();
            let module = &plan.module;
            // Names contain no characters that are special in a shell.
            phases.pre_build.push(format!(
                "export DEPLOYMENT={} GROUP={} MODULE={}",
                module.deployment, module.group, module.module
            ));
            phases
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::ModuleId;
    use crate::module::commit_info::CommitInfo;
    use crate::module::deployspec::Deployspec;
    use crate::module::fingerprint::{Fingerprint, Versions};
    use crate::module::input::{Limits, Options};
    use crate::module::maximum::Maxima;
    use crate::module::source::Source;
    use crate::module::target_settings::TargetSettings;
    use serde_json::{Value, json};

    /// A plan with the options of a manifest.
    pub(crate) fn plan(manifest: Value, generic: bool) -> Plan {
        let module = ModuleId::parse("my-project", "prod", "networking", "vpc").unwrap();
        let limits = Limits::of_aws("work", "seedflow");
        let options = Options::from_manifest(&manifest, &module, &limits).unwrap();
        let spec = format!(
            "deploy: {{phases: {{build: {{commands: [make]}}}}}}\ndestroy: {{phases: {{pre_build: {{commands: [own]}}, build: {{commands: [unmake]}}}}}}\nbuild_type: BUILD_GENERAL1_LARGE\npublishGenericEnvVariables: {generic}\n"
        );
        Plan {
            action: ModuleAction::Deploy,
            fingerprint: Fingerprint::new("bundle-md5", spec.as_bytes(), &options, &Versions::new()),
            module,
            source: Source {
                bucket: "work".into(),
                key: "uploads/x.zip".into(),
                version_id: Some("v1".into()),
                path: String::new(),
            },
            source_bytes: None,
            commit_info: CommitInfo::default(),
            options,
            network: None,
            target_settings: None,
            deployspec: Deployspec::parse(spec.as_bytes(), &Maxima::OF_AWS).unwrap(),
            module_stack: None,
            former_names: Default::default(),
            renews: false,
            keeps: false,
            previous_status: None,
            previous_metadata: None,
        }
    }

    fn request(manifest: Value) -> BuildRequest {
        composed(&plan(manifest, true))
    }

    fn composed(plan: &Plan) -> BuildRequest {
        composed_with(plan, None)
    }

    /// The defaults of a stack.
    pub(crate) fn defaults() -> Defaults {
        Defaults {
            project: "seedflow".into(),
            image: "default-image".into(),
            compute_type: ComputeType::Small,
            environment_type: "LINUX_CONTAINER".into(),
            privileged: true,
            timeout_minutes: 120,
            queued_timeout_minutes: 480,
            log_group: "/seedflow".into(),
            work_bucket: "work".into(),
            permissions_boundary: None,
            service_role: "arn:aws:iam::111111111111:role/builds".into(),
        }
    }

    pub(crate) fn environment() -> AwsEnvironment {
        AwsEnvironment::from_arn("arn:aws:lambda:us-east-1:111111111111:function:f").unwrap()
    }

    fn composed_with(plan: &Plan, module_role: Option<String>) -> BuildRequest {
        compose(
            plan,
            &ExecutionArn::new("arn:e"),
            &BuildFolder::from_random([1; 16]),
            &environment(),
            module_role,
            &defaults().of(plan, "seedflow"),
        )
    }

    #[test]
    fn the_input_goes_before_the_deployspec_before_the_template() {
        let plain = request(json!({}));
        assert_eq!(
            (plain.compute_type, plain.image.as_str(), plain.privileged),
            (ComputeType::Large, "default-image", true)
        );
        let set = request(
            json!({"build": {"compute_type": "BUILD_GENERAL1_MEDIUM", "image": "i", "timeout_minutes": 7, "privileged": false, "project_name": "seedflow-x"}}),
        );
        assert_eq!(
            (
                set.compute_type,
                set.image.as_str(),
                set.timeout_minutes,
                set.privileged,
                set.project.as_str()
            ),
            (ComputeType::Medium, "i", 7, false, "seedflow-x")
        );
        assert_eq!(
            plain.source_location,
            format!("work/builds/{}/source.zip", "01".repeat(16))
        );
    }

    #[test]
    fn a_build_has_the_modules_role_or_that_of_all_builds_whichever_project_it_names() {
        let manifest = json!({"build": {"project_name": "seedflow-admin"}});
        let borrowed = request(manifest.clone());
        assert_eq!(borrowed.project, "seedflow-admin");
        assert_eq!(
            borrowed.service_role.as_deref(),
            Some("arn:aws:iam::111111111111:role/builds")
        );
        let own = "arn:aws:iam::111111111111:role/seedflow-module-m";
        let own_role = composed_with(&plan(manifest, true), Some(own.to_owned()));
        assert_eq!(own_role.service_role.as_deref(), Some(own));
    }

    #[test]
    fn a_build_in_a_target_has_everything_of_the_target() {
        let mut plan = plan(json!({"build": {"image": "i"}}), true);
        plan.options.target = Some("222222222222/eu-west-1".parse().unwrap());
        plan.target_settings = Some(TargetSettings {
            version: 1,
            project: "theirs".into(),
            build_role: "arn:aws:iam::222222222222:role/builds".into(),
            log_group: "/theirs".into(),
            policies: String::new(),
            service_role: String::new(),
            role_path: "/".into(),
            boundary: "arn:aws:iam::222222222222:policy/most".into(),
            subnets: String::new(),
            security_groups: String::new(),
        });
        let request = composed(&plan);
        let folder = format!(
            "seedflow-target-222222222222-eu-west-1/builds/{}",
            "01".repeat(16)
        );
        assert_eq!(request.source_location, format!("{folder}/source.zip"));
        assert_eq!(
            request.artifact_bucket.as_deref(),
            Some("seedflow-target-222222222222-eu-west-1")
        );
        assert_eq!(
            (
                request.project.as_str(),
                request.log_group.as_str(),
                request.image.as_str()
            ),
            ("theirs", "/theirs", "i")
        );
        assert_eq!(
            request.service_role.as_deref(),
            Some("arn:aws:iam::222222222222:role/builds")
        );
        let value = |name: &str| {
            let found = request.variables.iter().find(|variable| variable.name == name);
            found.map(|variable| variable.value.clone()).unwrap()
        };
        assert_eq!(value("AWS_ACCOUNT_ID"), "222222222222");
        // The first digits of SHA-1("222222222222-eu-west-1").
        assert_eq!(value("SEEDFARMER_HASH"), "47df705e");
        assert_eq!(
            value("SEEDFARMER_PERMISSIONS_BOUNDARY_ARN"),
            "arn:aws:iam::222222222222:policy/most"
        );
        let home = composed(&self::plan(json!({"build": {"image": "i"}}), true));
        assert_eq!(
            (home.project.as_str(), home.artifact_bucket.as_deref()),
            ("seedflow", Some("work"))
        );
    }

    #[test]
    fn a_build_in_a_network_runs_in_its_project() {
        let mut plan = plan(json!({}), true);
        let network = Network {
            vpc_id: "vpc-1".into(),
            subnet_ids: ["subnet-1".to_owned()].into(),
            security_group_ids: ["sg-1".to_owned()].into(),
        };
        plan.network = Some(network.clone());
        let request = composed(&plan);
        assert_eq!(request.project, network.project("seedflow"));
        assert_eq!(request.network, Some(network));
    }

    #[test]
    fn a_build_that_destroys_runs_the_phases_for_it_and_knows_what_a_deployment_knows() {
        let mut plan = plan(json!({"parameters": {"a": 1}}), true);
        plan.previous_metadata = Some(json!({"Key": "value"}));
        let variables = |plan: &Plan| -> Vec<(String, String)> {
            let composed = composed(plan).variables.into_iter();
            composed.map(|v| (v.name, v.value)).collect()
        };
        let mut expected = variables(&plan);
        plan.action = ModuleAction::Destroy;
        // A destruction has no new bundle with an MD5 (seedfarmer-compat.md 2.3).
        expected.retain(|(name, _)| name != "SEEDFARMER_MODULE_MD5");
        assert_eq!(variables(&plan), expected);
        let buildspec: Value = serde_json::from_str(&composed(&plan).buildspec).unwrap();
        let commands = |phase: &str| buildspec["phases"][phase]["commands"].clone();
        let enter = "cd \"$SEEDFLOW_MODULE_ROOT\"";
        assert_eq!(
            commands("pre_build"),
            json!([enter, "own", "export DEPLOYMENT=prod GROUP=networking MODULE=vpc"])
        );
        assert_eq!(commands("build"), json!([enter, "unmake"]));
    }

    #[test]
    fn a_buildspec_at_the_limit_stays_in_the_request_and_one_over_goes_to_s3() {
        let mut request = request(json!({}));
        assert_eq!(request.buildspec_key(), None);
        request.buildspec = "x".repeat(MAX_INLINE_BUILDSPEC);
        assert_eq!(request.buildspec_key(), None);
        request.buildspec.push('x');
        assert_eq!(
            request.buildspec_key(),
            Some(format!("builds/{}/buildspec.yml", "01".repeat(16)))
        );
    }

    #[test]
    fn every_try_of_an_execution_has_the_same_idempotency_token() {
        assert_eq!(
            request(json!({})).idempotency_token,
            request(json!({})).idempotency_token
        );
        assert!(request(json!({})).idempotency_token.len() <= 64);
    }
}
