//! The environments of the stack's processes: none is inherited.
//!
//! A variable of a developer's shell (`AWS_PROFILE`, an endpoint, credentials of a real account)
//! could send a call to AWS. So every client gets keys that are not valid on AWS and an endpoint on
//! loopback, looks for no configuration outside the stack's folder, and, as a last line of defence, uses
//! a web proxy that doesn't exist.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The region of the local stack.
pub const REGION: &str = "us-east-1";
/// The account of the local stack: the emulator takes the account from a 12-digit access key.
pub const ACCOUNT: &str = "111122223333";
/// The secret key: the emulator has one for all callers.
pub const SECRET: &str = "test";

/// Nothing listens on the discard port.
const NOWHERE: &str = "http://127.0.0.1:9";

/// The folders of one stack: everything it writes is below one of its own, and so is the HOME of
/// each of its processes, by which they are found at its end.
#[derive(Debug, Clone)]
pub struct Folders {
    /// The stack's own folder.
    pub root: PathBuf,
}

impl Folders {
    pub fn create(&self) -> Result<()> {
        for folder in [
            self.home(),
            self.tmp(),
            self.state(),
            self.builds(),
            self.template(),
        ] {
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(())
    }

    /// HOME of the emulator and of the SAM command line.
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// TMPDIR of the same.
    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// What the emulator stores.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The workspaces of builds.
    pub fn builds(&self) -> PathBuf {
        self.root.join("builds")
    }

    /// The packaged template.
    pub fn template(&self) -> PathBuf {
        self.root.join("template")
    }

    /// The log of a process.
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.log"))
    }
}

/// What every process of a stack gets; `tools` are the folders of installed programs: of Python, and of Node where it is needed.
pub fn base(folders: &Folders, tools: &[&Path]) -> Result<Vec<(String, String)>> {
    let inherited = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let installed = tools.iter().map(|folder| folder.to_path_buf());
    let all = installed.chain(std::env::split_paths(&inherited));
    // The folders of the PATH have none, so it is that of the tools, which is below the checkout.
    let colon = || {
        format!(
            "the path of the checkout contains a colon, which PATH can't hold; move the checkout: {}",
            tools
                .first()
                .map(|folder| folder.display().to_string())
                .unwrap_or_default()
        )
    };
    let path = std::env::join_paths(all).with_context(colon)?;
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let path = path.to_string_lossy();
    let (home, tmp) = (text(folders.home()), text(folders.tmp()));
    Ok(named([
        ("PATH", path.as_ref()),
        ("HOME", &home),
        ("TMPDIR", &tmp),
        ("LANG", "C.UTF-8"),
    ]))
}

/// The variables that make an AWS client use `endpoint` only, as root of the stack's own account.
pub fn client(endpoint: &str) -> Vec<(String, String)> {
    client_in(endpoint, ACCOUNT, REGION)
}

/// The same as root of any account, in any region.
pub fn client_in(endpoint: &str, account: &str, region: &str) -> Vec<(String, String)> {
    named([
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", account),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_PAGER", ""),
        ("HTTPS_PROXY", NOWHERE),
        ("https_proxy", NOWHERE),
        ("NO_PROXY", "127.0.0.1,localhost"),
        ("no_proxy", "127.0.0.1,localhost"),
    ])
}

fn named<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
