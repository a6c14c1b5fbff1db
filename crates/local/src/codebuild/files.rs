//! A build's files: its workspace, its source and its artifacts.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use sha2::Sha256;
use tempfile::TempDir;

use super::buildspec::ArtifactSpec;
use super::model::{Artifact, Failure};
use super::plan::{Artifacts, Source};
use crate::aws_api::AwsApi;

/// The folders of one build, removed with the value.
pub struct Workspace {
    root: TempDir,
}

impl Workspace {
    /// Makes the folders under `parent`.
    pub fn new(parent: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(parent)?;
        let root = tempfile::Builder::new().prefix("build-").tempdir_in(parent)?;
        let workspace = Self { root };
        for folder in [
            workspace.source(),
            workspace.home(),
            workspace.temp(),
            workspace.bin(),
            workspace.scratch(),
        ] {
            std::fs::create_dir_all(folder)?;
        }
        Ok(workspace)
    }

    /// `CODEBUILD_SRC_DIR`.
    pub fn source(&self) -> PathBuf {
        self.root.path().join("src")
    }

    /// `HOME`.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// `TMPDIR`.
    pub fn temp(&self) -> PathBuf {
        self.root.path().join("tmp")
    }

    /// What comes first on `PATH`.
    pub fn bin(&self) -> PathBuf {
        self.root.path().join("bin")
    }

    /// Where the CodeBuild emulator keeps its own files.
    pub fn scratch(&self) -> PathBuf {
        self.root.path().join("emulator")
    }

    /// Removes the folders, also those that the build made read-only (module caches are), and the folder that
    /// [`outside`] found.
    pub fn remove(self, outside: Option<&Path>) {
        if let Some(outside) = outside {
            // A build that failed early has not made it.
            let _ = std::fs::remove_dir_all(outside);
        }
        make_writable(self.root.path());
        if let Err(error) = self.root.close() {
            eprintln!("codebuild: a workspace can't be removed: {error}");
        }
    }
}

fn make_writable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    // What can't be changed or read shows when it is removed.
    let _ = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

fn client_error(message: impl Into<String>) -> Failure {
    Failure::new("CLIENT_ERROR", message)
}

/// Downloads and unpacks the source.
pub async fn download(source: &Source, workspace: &Workspace, api: &AwsApi) -> Result<(), Failure> {
    match source.kind.as_str() {
        "NO_SOURCE" => return Ok(()),
        "S3" => {}
        other => {
            return Err(client_error(format!(
                "source type {other}: the local CodeBuild emulator supports S3 only"
            )));
        }
    }
    let location = source
        .location
        .strip_prefix("arn:aws:s3:::")
        .unwrap_or(&source.location);
    let (bucket, key) = location
        .split_once('/')
        .filter(|(_, key)| !key.is_empty() && !key.ends_with('/'))
        .ok_or_else(|| client_error(format!("the source {location} is not a bucket/key of a zip file")))?;
    let file = workspace.scratch().join("source.zip");
    let version = source.version.as_deref().filter(|version| !version.is_empty());
    api.get_object(bucket, key, version, &file)
        .await
        .map_err(|error| {
            client_error(format!(
                "{error} for primary source and source version {}",
                version.unwrap_or_default()
            ))
        })?;
    let target = workspace.source();
    blocking(move || unpack(&file, &target)).await
}

/// Unpacks a zip with its modes. The crate refuses paths and links that lead out of the folder.
fn unpack(file: &Path, target: &Path) -> Result<(), Failure> {
    let error = |e: &dyn std::fmt::Display| client_error(format!("the source can't be unzipped: {e}"));
    let archive = std::fs::File::open(file).map_err(|e| error(&e))?;
    let mut archive = zip::ZipArchive::new(archive).map_err(|e| error(&e))?;
    archive.extract(target).map_err(|e| error(&e))
}

/// The folder of Seedflow's own files (`buildspec::own_folder`), which is not in the workspace: on AWS it ends with the
/// container.
pub fn outside(spec: &ArtifactSpec) -> Option<PathBuf> {
    let temp = Path::new("/tmp");
    let below = Path::new(spec.base_directory.as_deref()?)
        .strip_prefix(temp)
        .ok()?;
    let folder = below.iter().next()?;
    let is_ours = folder.to_str().is_some_and(|name| name.starts_with(".seedflow-"));
    is_ours.then(|| temp.join(folder))
}

/// Uploads what the buildspec names, and returns where it is. An absolute base directory is outside of the source, as
/// on AWS.
pub async fn upload(
    spec: &ArtifactSpec,
    target: &Artifacts,
    source: &Path,
    uuid: &str,
    api: &AwsApi,
) -> Result<Artifact, Failure> {
    let base = source.join(spec.base_directory.as_deref().unwrap_or_default());
    if !base.is_dir() {
        let base = spec.base_directory.as_deref().unwrap_or_default();
        return Err(client_error(format!(
            "no matching base directory path found for {base}"
        )));
    }
    let files = find(spec, &base).await?;
    let prefix = prefix(target, uuid);
    let location = format!("arn:aws:s3:::{}/{prefix}", target.bucket);
    if target.packaging == "ZIP" {
        let zip = blocking(move || pack(&files)).await?;
        let artifact = Artifact {
            location,
            md5: Some(hex::encode(Md5::digest(&zip))),
            sha256: Some(hex::encode(Sha256::digest(&zip))),
        };
        put(api, &target.bucket, &prefix, zip).await?;
        return Ok(artifact);
    }
    for (name, path) in files {
        let content = tokio::fs::read(&path)
            .await
            .map_err(|e| client_error(e.to_string()))?;
        let key = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}/{name}")
        };
        put(api, &target.bucket, &key, content).await?;
    }
    Ok(Artifact {
        location,
        md5: None,
        sha256: None,
    })
}

async fn put(api: &AwsApi, bucket: &str, key: &str, content: Vec<u8>) -> Result<(), Failure> {
    api.put_object(bucket, key, content).await.map_err(|error| {
        client_error(format!(
            "Error uploading artifacts to arn:aws:s3:::{bucket}/{key}: {error}"
        ))
    })
}

/// `path/build-id/name`; a name of `/` counts as none.
fn prefix(target: &Artifacts, uuid: &str) -> String {
    let namespace = if target.namespace == "BUILD_ID" { uuid } else { "" };
    let parts = [target.path.as_str(), namespace, target.name.as_str()];
    let parts = parts.map(|part| part.trim_matches('/'));
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/")
}

/// The artifact's files: the name that each gets, and where it is.
/// Makes the files that artifacts name, each an empty JSON object, as if a build had.
pub fn simulate(spec: &ArtifactSpec, source: &Path) -> std::io::Result<()> {
    let base = source.join(spec.base_directory.as_deref().unwrap_or_default());
    std::fs::create_dir_all(&base)?;
    let mut files = spec.files.iter();
    files.try_for_each(|file| std::fs::write(base.join(file), "{}"))
}

async fn find(spec: &ArtifactSpec, base: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let root = base.to_owned();
    let all = blocking(move || list(&root).map_err(|e| client_error(e.to_string()))).await?;
    let wanted = |name: &str| {
        let named = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, name));
        named(&spec.files) && !named(&spec.exclude)
    };
    let files: Vec<(String, PathBuf)> = all
        .into_iter()
        .filter(|name| wanted(name))
        .map(|name| {
            let path = base.join(&name);
            let flat = name.rsplit('/').next().unwrap_or_default().to_owned();
            (if spec.discard_paths { flat } else { name }, path)
        })
        .collect();
    if files.is_empty() {
        return Err(client_error("no matching artifact paths found"));
    }
    Ok(files)
}

/// All files under a folder by their relative names, in order.
fn list(base: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(base.join(&folder))? {
            let entry = entry?;
            let name = folder.join(entry.file_name());
            // A link to a folder isn't followed: it may lead in a circle.
            if entry.file_type()?.is_dir() {
                folders.push(name);
            } else if base.join(&name).is_file() {
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}

fn pack(files: &[(String, PathBuf)]) -> Result<Vec<u8>, Failure> {
    let write = || -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, path) in files {
            zip.start_file(name.as_str(), zip::write::SimpleFileOptions::default())?;
            zip.write_all(&std::fs::read(path)?)?;
        }
        Ok(zip.finish()?.into_inner())
    };
    write().map_err(|e| client_error(format!("the artifacts can't be zipped: {e}")))
}

/// Whether a path matches a pattern of names, `*`, `?` and `**`.
fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_start_matches("./");
    let pattern: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    match_parts(&pattern, &path.split('/').collect::<Vec<_>>())
}

fn match_parts(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**"], rest) => !rest.is_empty(),
        (["**", after @ ..], rest) => (0..=rest.len()).any(|skip| match_parts(after, &rest[skip..])),
        ([part, after @ ..], [name, rest @ ..]) => {
            match_name(part.as_bytes(), name.as_bytes()) && match_parts(after, rest)
        }
        _ => false,
    }
}

fn match_name(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', after @ ..], rest) => (0..=rest.len()).any(|skip| match_name(after, &rest[skip..])),
        ([b'?', after @ ..], [_, rest @ ..]) => match_name(after, rest),
        ([byte, after @ ..], [first, rest @ ..]) => byte == first && match_name(after, rest),
        _ => false,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(client_error(e.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_codebuild_says() {
        for (pattern, path, expected) in [
            ("metadata.json", "metadata.json", true),
            ("metadata.json", "a/metadata.json", false),
            ("**/*", "a/b/c", true),
            ("**/*", "c", true),
            ("a/**/*", "a/b", true),
            ("a/**/*", "b/a", false),
            ("*.json", "x.json", true),
            ("*.json", "a/x.json", false),
            ("a?/x", "ab/x", true),
            ("./x", "x", true),
            ("dir/*", "dir/x", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn artifacts_are_named_by_path_namespace_and_name() {
        let target = |namespace: &str, name: &str| Artifacts {
            path: "builds".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Artifacts::default()
        };
        assert_eq!(prefix(&target("BUILD_ID", "/"), "u-1"), "builds/u-1");
        assert_eq!(prefix(&target("NONE", "out.zip"), "u-1"), "builds/out.zip");
    }
}
