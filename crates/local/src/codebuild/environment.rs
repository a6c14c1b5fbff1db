//! The environment of a build's bash: nothing of this process's but its `PATH`.

use std::collections::BTreeMap;
use std::path::Path;

use super::Config;
use super::files::Workspace;
use super::model::Build;
use super::programs;
use super::time::epoch;

/// Completes a build's own variables by what CodeBuild and a container would bring.
pub fn complete(
    mut variables: BTreeMap<String, String>,
    build: &Build,
    workspace: &Workspace,
    config: &Config,
    endpoint: &str,
) -> BTreeMap<String, String> {
    for (name, value) in defaults(workspace, config) {
        variables.entry(name.to_owned()).or_insert(value);
    }
    // Nothing of a build may leave the machine, whatever its variables say.
    variables.insert("AWS_ENDPOINT_URL".to_owned(), endpoint.to_owned());
    variables.insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
    variables
        .extend(of_codebuild(build, workspace).map(|(name, value)| (format!("CODEBUILD_{name}"), value)));
    variables
}

/// What a build may set itself.
fn defaults(workspace: &Workspace, config: &Config) -> [(&'static str, String); 10] {
    let keys = &config.credentials;
    [
        ("PATH", programs::path(workspace, config)),
        ("npm_config_prefix", text(&programs::npm_prefix(workspace))),
        ("HOME", text(&workspace.home())),
        ("TMPDIR", text(&workspace.temp())),
        ("LANG", "C.UTF-8".to_owned()),
        ("AWS_REGION", keys.region.clone()),
        ("AWS_DEFAULT_REGION", keys.region.clone()),
        ("AWS_ACCESS_KEY_ID", keys.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key.clone()),
        ("AWS_PAGER", String::new()),
    ]
}

fn of_codebuild(build: &Build, workspace: &Workspace) -> [(&'static str, String); 15] {
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
        (
            "RESOLVED_SOURCE_VERSION",
            build.resolved_source_version.clone().unwrap_or_default(),
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
