//! Git work trees from which tests push.

use std::path::Path;
use std::process::{Command, Output};

use seedflow_local::git::Remote;
use tempfile::TempDir;

/// A repository with a work tree on the branch `main`, in a folder that is removed with it.
pub struct WorkTree {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// The result of a push.
#[derive(Debug)]
pub struct Pushed {
    /// Whether git accepted it; a hook that runs afterwards can't change that.
    pub accepted: bool,
    /// The output of the push, with the hook's lines after `remote:`.
    pub said: String,
}

impl Default for WorkTree {
    fn default() -> Self {
        let repository = Self {
            folder: tempfile::tempdir().expect("a folder"),
            environment: Vec::new(),
        };
        repository.git(&["init", "--quiet", "--initial-branch=main", "--template="]);
        repository
    }
}

impl WorkTree {
    /// An empty repository.
    pub fn new() -> Self {
        Self::default()
    }

    /// A repository whose first commit contains the files of a folder.
    pub fn of_folder(source: &Path) -> Self {
        let repository = Self::new();
        copy(source, repository.folder());
        repository.commit("Begin");
        repository
    }

    /// The same, used from a shell with these variables.
    #[must_use]
    pub fn with_environment(mut self, variables: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.environment = variables.iter().map(owned).collect();
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file without committing it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let file = self.folder().join(path);
        let parent = file.parent().expect("a file is in a folder");
        std::fs::create_dir_all(parent).expect("making a folder");
        std::fs::write(&file, content).unwrap_or_else(|error| panic!("writing {path}: {error}"));
    }

    /// Replaces a text that occurs once in a file.
    pub fn replace(&self, path: &str, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.folder().join(path));
        let text = text.unwrap_or_else(|error| panic!("reading {path}: {error}"));
        assert_eq!(text.matches(old).count(), 1, "{path} has {old:?} once");
        self.write(path, text.replace(old, new));
    }

    /// Commits the whole work tree, and returns the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.commit_as("Jane Doe <jane@example.com>", message)
    }

    /// The same for another author.
    pub fn commit_as(&self, author: &str, message: &str) -> String {
        self.git(&["add", "--all"]);
        let author = format!("--author={author}");
        self.git(&[
            "commit",
            "--quiet",
            "--allow-empty",
            &author,
            "--message",
            message,
        ]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Pushes the commits to a branch.
    pub fn push(&self, remote: &Remote, branch: &str) -> Pushed {
        let url = remote.url().to_string_lossy();
        let output = self.run(&["push", &url, &format!("HEAD:refs/heads/{branch}")]);
        Pushed {
            accepted: output.status.success(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs git in the work tree, and returns its output.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git {arguments:?}: {complaint}");
        String::from_utf8(output.stdout).expect("git speaks UTF-8")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut git = Command::new("git");
        git.args(arguments).current_dir(self.folder());
        // Ignores the user's own settings: they may ask for signatures or name other hooks.
        git.env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), "Somebody");
            git.env(format!("GIT_{role}_EMAIL"), "somebody@example.com");
        }
        git.envs(self.environment.iter().map(|(name, value)| (name, value)));
        git.output().expect("running git")
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap_or_else(|error| panic!("reading {}: {error}", from.display()))
    {
        let entry = entry.expect("an entry of a folder");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            std::fs::create_dir_all(&target).expect("making a folder");
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("copying a file");
        }
    }
}
