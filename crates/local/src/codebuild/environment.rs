//! The environment of a build's bash: nothing of this process's but its `PATH`.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Config;
use super::files::Workspace;
use super::model::Build;
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
fn defaults(workspace: &Workspace, config: &Config) -> [(&'static str, String); 9] {
    let keys = &config.credentials;
    [
        ("PATH", path(workspace, config)),
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

/// The given tools first, then what this machine has in place of an image; before all the workspace's own.
fn path(workspace: &Workspace, config: &Config) -> String {
    let mut path = text(&workspace.bin());
    for folder in host_path(config) {
        path.push(':');
        path.push_str(&text(&folder));
    }
    path
}

fn host_path(config: &Config) -> Vec<PathBuf> {
    let host = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    config
        .tools_dir
        .iter()
        .cloned()
        .chain(std::env::split_paths(&host))
        .collect()
}

/// Puts an `aws` on the build's path that can't reach AWS.
///
/// Version 1 of the AWS CLI sends the calls of SQS to AWS whatever `AWS_ENDPOINT_URL` says; only an
/// endpoint on the command line keeps them here.
pub fn keep_aws_here(workspace: &Workspace, config: &Config) -> std::io::Result<()> {
    let found = host_path(config)
        .into_iter()
        .map(|folder| folder.join("aws"))
        .find(|file| file.is_file());
    let Some(aws) = found else {
        return Ok(());
    };
    let script = format!(
        "#!/bin/sh\nexec '{}' --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"\n",
        text(&aws).replace('\'', r"'\''")
    );
    let wrapper = workspace.bin().join("aws");
    std::fs::write(&wrapper, script)?;
    std::fs::set_permissions(wrapper, std::fs::Permissions::from_mode(0o755))
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
