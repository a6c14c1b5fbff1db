//! The environment of a build's bash: from this process only the `PATH` and the certificates that it trusts.

use std::collections::BTreeMap;
use std::path::Path;

use super::config::Config;
use super::files::Workspace;
use super::model::Build;
use super::path_wrappers;
use super::time::epoch;
use crate::aws_api::{AwsApi, Credentials};

/// Where no daemon listens; Docker's clients show the name.
const NO_DOCKER: &str = "unix:///var/run/privileged-mode-is-off.sock";

/// Completes a build's own variables by what CodeBuild and a container would bring.
pub fn complete(
    mut variables: BTreeMap<String, String>,
    build: &Build,
    workspace: &Workspace,
    config: &Config,
    api: &AwsApi,
) -> BTreeMap<String, String> {
    let mut defaults = defaults(workspace, config, &api.credentials().region);
    // Keys are one thing: a build that brings its own has nothing of its role's.
    if !variables.contains_key("AWS_ACCESS_KEY_ID") {
        defaults.extend(keys(api.credentials()));
    }
    for (name, value) in defaults.into_iter().chain(certificates()) {
        variables.entry(name.to_owned()).or_insert(value);
    }
    // No call of a build may leave the machine, whatever its variables are.
    variables.insert("AWS_ENDPOINT_URL".to_owned(), api.endpoint().to_owned());
    variables.insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
    if !build.plan.privileged() {
        // Docker's clients then fail as on CodeBuild: they cannot connect to a daemon.
        variables.insert("DOCKER_HOST".to_owned(), NO_DOCKER.to_owned());
    }
    variables
        .extend(of_codebuild(build, workspace).map(|(name, value)| (format!("CODEBUILD_{name}"), value)));
    variables
}

/// What a build may set itself.
fn defaults(workspace: &Workspace, config: &Config, region: &str) -> Vec<(&'static str, String)> {
    vec![
        ("PATH", path_wrappers::path(workspace, config)),
        ("PYTHONPATH", text(&path_wrappers::python_path(workspace))),
        ("npm_config_prefix", text(&path_wrappers::npm_prefix(workspace))),
        ("HOME", text(&workspace.home())),
        ("TMPDIR", text(&workspace.temp())),
        ("LANG", "C.UTF-8".to_owned()),
        ("AWS_REGION", region.to_owned()),
        ("AWS_DEFAULT_REGION", region.to_owned()),
        ("AWS_PAGER", String::new()),
    ]
}

/// Files of certificates that this process trusts, by the variables of npm, pip and OpenSSL: where the machine
/// reaches package registries by a mirror with a certificate of its own, builds do as well.
pub(crate) fn certificates() -> impl Iterator<Item = (&'static str, String)> {
    ["NODE_EXTRA_CA_CERTS", "PIP_CERT", "SSL_CERT_FILE"]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var(name).ok()?)))
}

/// The keys of the build's role. CodeBuild's containers ask an endpoint for them; the SDKs take both.
fn keys(keys: &Credentials) -> impl Iterator<Item = (&'static str, String)> {
    let token = keys.session_token.clone();
    [
        ("AWS_ACCESS_KEY_ID", keys.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key.clone()),
    ]
    .into_iter()
    .chain(token.map(|token| ("AWS_SESSION_TOKEN", token)))
}

fn of_codebuild(build: &Build, workspace: &Workspace) -> [(&'static str, String); 14] {
    let plan = &build.plan;
    let source = match plan.source.location.as_str() {
        "" => String::new(),
        location => format!("s3://{location}"),
    };
    [
        ("BUILD_ID", build.id.clone()),
        ("BUILD_ARN", build.arn.clone()),
        ("BUILD_NUMBER", build.number.to_string()),
        (
            "BUILD_IMAGE",
            plan.environment["image"].as_str().unwrap_or_default().to_owned(),
        ),
        ("BUILD_SUCCEEDING", "1".to_owned()),
        ("BUILD_URL", plan.build_url(&build.id)),
        ("CI", "true".to_owned()),
        ("INITIATOR", plan.initiator.clone()),
        ("KMS_KEY_ID", plan.encryption_key.clone()),
        (
            "LOG_PATH",
            plan.logs
                .as_ref()
                .map(|logs| logs.stream(build.uuid()))
                .unwrap_or_default(),
        ),
        ("SOURCE_REPO_URL", source),
        ("SOURCE_VERSION", plan.source.version.clone().unwrap_or_default()),
        ("SRC_DIR", text(&workspace.source())),
        ("START_TIME", format!("{:.0}", epoch(build.start) * 1000.0)),
    ]
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
