//! Read-only builds: commands of a deployspec that look, and change nothing (decision 67).
//!
//! The sections `drift` and `preview` have such commands. Their builds have the container and the variables of the
//! module's deployments. They run in a CodeBuild project of their own, outside of any VPC, whose role changes nothing and
//! reads no secrets. They return nothing: CodeBuild says how they ended, and their log says what they found.

use md5::{Digest, Md5};

use super::buildspec;
use super::request::{BuildRequest, Defaults, image, in_container, variables};
use crate::error::excerpt;
use crate::ids::{AwsEnvironment, BuildFolder};
use crate::module::cause::{failed_command, printed};
use crate::module::deployspec::{Deployspec, Phases};
use crate::module::parameters::VariableType;
use crate::module::plan::Plan;
use crate::workflow::build_outcome::{BuildOutcome, BuildStatus};

/// What follows the name of the project of all builds, and of their log group, in the names of those for read-only builds.
const SUFFIX: &str = "-read-only";
/// Minutes until CodeBuild ends a read-only build, in its queue and while it runs.
const TIMEOUT_MINUTES: u64 = 25;
/// The exit status that says that something differs.
pub const DIFFERS: i32 = 2;
/// How many messages of a log are read.
pub const MESSAGES: usize = 500;
/// The longest line of the output.
const MAX_LINE: usize = 300;

/// A section of a deployspec whose commands change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Finds drift.
    Drift,
    /// Shows what a deployment would change.
    Preview,
}

impl Section {
    /// Its name in the deployspec.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::Preview => "preview",
        }
    }

    /// Its commands; `None` if there are none.
    #[must_use]
    pub fn phases(self, deployspec: &Deployspec) -> Option<&Phases> {
        let phases = match self {
            Self::Drift => deployspec.drift.as_ref(),
            Self::Preview => deployspec.preview.as_ref(),
        };
        phases.filter(|phases| !phases.is_empty())
    }
}

impl Defaults {
    /// The defaults for a read-only build, from [those of a plan](Self::of).
    #[must_use]
    pub fn read_only(self) -> Self {
        Self {
            project: format!("{}{SUFFIX}", self.project),
            log_group: format!("{}{SUFFIX}", self.log_group),
            timeout_minutes: TIMEOUT_MINUTES,
            queued_timeout_minutes: TIMEOUT_MINUTES,
            ..self
        }
    }
}

/// Composes the read-only build of a plan; `None` if its deployspec has no commands for it. `defaults` are
/// [those of read-only builds](Defaults::read_only). The build's source is a copy in the folder `run`.
#[must_use]
pub fn compose(
    plan: &Plan,
    section: Section,
    run: &BuildFolder,
    environment: &AwsEnvironment,
    defaults: &Defaults,
) -> Option<BuildRequest> {
    let phases = section.phases(&plan.deployspec)?;
    let plan = &without_secrets(plan);
    let mut variables = variables(plan, environment, defaults);
    // CodeBuild would fail a build that refers to a secret that its role may not read.
    variables.retain(|variable| variable.kind != VariableType::SecretsManager);
    let buildspec = buildspec::compose_without_result(&buildspec::Content {
        phases,
        root: &plan.source.path,
        own: &buildspec::own_folder(run),
        variables: &variables,
        image: &image(plan, defaults),
        settings: &plan.options.build,
    });
    Some(BuildRequest {
        // The folder is of one build. A retry that comes after CodeBuild has forgotten the token starts another one, which
        // costs its minutes and does no harm.
        idempotency_token: hex::encode(Md5::digest(format!("{} {}", section.as_str(), run.as_str()))),
        buildspec,
        project: defaults.project.clone(),
        timeout_minutes: defaults.timeout_minutes,
        ..in_container(plan, run, defaults, variables)
    })
}

/// A plan without registries whose credentials are secrets.
fn without_secrets(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let build = &mut plan.options.build;
    build.registries = build.registries.without_secrets();
    plan
}

/// How a read-only build ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All commands ended with 0.
    Succeeded,
    /// A command ended with [`DIFFERS`].
    Differs,
    /// It failed in another way.
    Failed {
        /// The phase and CodeBuild's reason.
        why: String,
    },
}

impl Ending {
    /// The ending of a build. Commands that install tools don't say whether something differs, whatever they end with.
    #[must_use]
    pub fn of(outcome: &BuildOutcome) -> Self {
        let installs = outcome.failed_phase.as_deref() == Some("INSTALL");
        match (outcome.status, outcome.exit_status) {
            (BuildStatus::Succeeded, _) => Self::Succeeded,
            (BuildStatus::Failed, Some(DIFFERS)) if outcome.failed_in_commands() && !installs => {
                Self::Differs
            }
            _ => Self::Failed {
                why: outcome.explain(),
            },
        }
    }

    /// What the module's commands printed last, from the last messages of the build's log: the command that failed, or all of
    /// them; `most` lines. CodeBuild has hidden the secrets that it knows.
    #[must_use]
    pub fn output(&self, log: &[String], most: usize) -> Vec<String> {
        let mut lines = match self {
            Self::Succeeded => printed(log),
            Self::Differs | Self::Failed { .. } => {
                failed_command(log).map_or(Vec::new(), |failed| failed.output)
            }
        };
        let lines = lines.split_off(lines.len().saturating_sub(most));
        lines.iter().map(|line| excerpt(line, MAX_LINE)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::BuildId;
    use crate::module::codebuild::request::tests::{defaults, environment, plan};
    use crate::module::maximum::Maxima;
    use crate::workflow::build_outcome::Phase;
    use serde_json::{Value, json};

    fn with_sections(mut plan: Plan) -> Plan {
        let text =
            "deploy: {phases: {}}\ndrift: {phases: {build: {commands: [look]}}}\npreview: {phases: {}}\n";
        plan.deployspec = Deployspec::parse(text.as_bytes(), &Maxima::OF_AWS).unwrap();
        plan
    }

    fn request(plan: &Plan, section: Section) -> Option<BuildRequest> {
        let defaults = defaults().of(plan, "seedflow").read_only();
        compose(
            plan,
            section,
            &BuildFolder::from_random([1; 16]),
            &environment(),
            &defaults,
        )
    }

    #[test]
    fn a_read_only_build_runs_its_section_in_its_project_and_hands_nothing_back() {
        let manifest = json!({"build": {"project_name": "seedflow-x", "image": "i", "timeout_minutes": 300}});
        let plan = with_sections(plan(manifest, true));
        let request = request(&plan, Section::Drift).unwrap();
        assert_eq!(
            (request.project.as_str(), request.image.as_str()),
            ("seedflow-read-only", "i")
        );
        assert_eq!(request.log_group, "/seedflow-read-only");
        assert_eq!(
            (request.network, request.artifact_bucket, request.service_role),
            (None, None, None)
        );
        assert_eq!(request.timeout_minutes, TIMEOUT_MINUTES);
        let spec: Value = serde_json::from_str(&request.buildspec).unwrap();
        assert_eq!(spec["phases"]["build"]["commands"][1], "look");
        assert_eq!(spec["artifacts"], Value::Null);
        assert!(!spec["phases"].to_string().contains("collect"));
        assert_eq!(self::request(&plan, Section::Preview), None);
    }

    #[test]
    fn a_read_only_build_gets_parameters_and_no_secrets() {
        let manifest = json!({
            "parameters": {"a": 1, "key": {"secrets_manager": "api"}, "p": {"parameter_store": "n"}},
            "build": {"pypi_mirror": "https://m.example/simple", "pypi_mirror_secret": "m-mirror-credentials",
                "docker_credentials_secret": "my-docker-credentials"},
        });
        let request = request(&with_sections(plan(manifest, true)), Section::Drift).unwrap();
        let names: Vec<&str> = request
            .variables
            .iter()
            .map(|variable| variable.name.as_str())
            .collect();
        assert!(names.contains(&"SEEDFARMER_PARAMETER_A") && names.contains(&"SEEDFARMER_PARAMETER_P"));
        assert!(!names.contains(&"SEEDFARMER_PARAMETER_KEY") && !names.contains(&"SEEDFLOW_EXECUTION"));
        assert!(request.buildspec.contains("m.example") && !request.buildspec.contains("-credentials"));
    }

    #[test]
    fn each_folder_has_one_build_of_each_section() {
        let mut plan = with_sections(plan(json!({}), true));
        plan.deployspec.preview.clone_from(&plan.deployspec.drift);
        let token = |section, byte: u8| {
            let run = BuildFolder::from_random([byte; 16]);
            compose(&plan, section, &run, &environment(), &defaults())
                .unwrap()
                .idempotency_token
        };
        assert_eq!(token(Section::Drift, 1), token(Section::Drift, 1));
        assert_ne!(token(Section::Drift, 1), token(Section::Drift, 2));
        assert_ne!(token(Section::Drift, 1), token(Section::Preview, 1));
        assert!(token(Section::Drift, 1).len() <= 64);
    }

    #[test]
    fn a_read_only_build_in_a_target_has_the_project_and_the_bucket_of_the_target() {
        let mut plan = with_sections(plan(json!({}), true));
        plan.options.target = Some("222222222222/eu-west-1".parse().unwrap());
        let settings = json!({"version": 1, "project": "theirs", "build_role": "arn:b", "log_group": "/theirs",
            "policies": "", "service_role": "", "role_path": "/"});
        plan.target_settings = Some(serde_json::from_value(settings).unwrap());
        let request = request(&plan, Section::Drift).unwrap();
        assert_eq!(
            (request.project.as_str(), request.log_group.as_str()),
            ("theirs-read-only", "/theirs-read-only")
        );
        assert!(
            request
                .source_location
                .starts_with("seedflow-target-222222222222-eu-west-1/builds/")
        );
    }

    fn ended(status: BuildStatus, phase: &str, context: &str) -> Ending {
        let id = BuildId::parse("seedflow:0").unwrap();
        let phase = Phase {
            name: phase.to_owned(),
            status: Some("FAILED".to_owned()),
            started_at: None,
            seconds: None,
            context: Some(context.to_owned()),
        };
        Ending::of(&BuildOutcome::ended(id, status).with_phases(vec![phase]))
    }

    #[test]
    fn only_a_command_that_looks_says_that_something_differs() {
        let of = |phase: &str, code: i32| {
            let context = format!(
                "COMMAND_EXECUTION_ERROR: Error while executing command: x. Reason: exit status {code}"
            );
            ended(BuildStatus::Failed, phase, &context)
        };
        for phase in ["PRE_BUILD", "BUILD", "POST_BUILD"] {
            assert_eq!(of(phase, 2), Ending::Differs, "{phase}");
        }
        for ending in [
            of("INSTALL", 2),
            of("BUILD", 1),
            of("BUILD", 12),
            ended(BuildStatus::Failed, "DOWNLOAD_SOURCE", "CLIENT_ERROR: denied"),
            ended(
                BuildStatus::TimedOut,
                "BUILD",
                "BUILD_TIMED_OUT: Build has timed out.",
            ),
        ] {
            assert!(
                matches!(&ending, Ending::Failed { why } if !why.is_empty()),
                "{ending:?}"
            );
        }
        let id = BuildId::parse("seedflow:0").unwrap();
        let good = BuildOutcome::ended(id, BuildStatus::Succeeded).with_phases(Vec::new());
        assert_eq!(Ending::of(&good), Ending::Succeeded);
    }

    #[test]
    fn the_output_is_that_of_the_command_that_says_so_or_of_all() {
        let log = "[Container] 2026/03/02 10:17:20 Running command terraform init\nready\n[Container] 2026/03/02 10:17:21 Running command terraform plan\n\u{1b}[31m~ size\u{1b}[0m\n";
        let failed = format!(
            "{log}[Container] 2026/03/02 10:17:29 Command did not exit successfully terraform plan exit status 2"
        );
        assert_eq!(Ending::Differs.output(&[failed], 50), ["~ size"]);
        assert_eq!(
            Ending::Succeeded.output(&[log.to_owned()], 50),
            ["ready", "~ size"]
        );
        let many: Vec<String> = (0..200).map(|n| format!("{n}{}", "x".repeat(1000))).collect();
        let output = Ending::Succeeded.output(&many, 50);
        assert_eq!(output.len(), 50);
        assert!(output[49].starts_with("199") && output[49].chars().count() <= MAX_LINE + 1);
    }
}
