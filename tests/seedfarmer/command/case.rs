//! The form of a case: the files of the module, the calls, and their ends.
//!
//! Every call of the table states the exit code of the real command, so that a case can't pass because both commands
//! fail for a reason of the machine. `{P}` is the prefix in use, `{module}` the module's folder.

use serde_json::Value;

/// One sequence of calls.
pub struct Case {
    pub name: String,
    /// Whether the deployspec publishes `SEEDFARMER_` variables, or the project's own.
    pub generic: bool,
    pub deployspec: bool,
    pub files: Vec<(String, Vec<u8>)>,
    pub env: Vec<(String, String)>,
    pub unset: Vec<String>,
    /// The working directory, from the module's folder.
    pub cwd: &'static str,
    pub calls: Vec<Call>,
    pub difference: Option<Difference>,
}

/// One call, and the real command's exit code if the case states it.
pub struct Call {
    pub exit: Option<i32>,
    pub args: Vec<String>,
}

/// An intended difference of our command: the reason, and the end of its last call.
pub struct Difference {
    pub reason: &'static str,
    pub exit: i32,
    pub stored: Option<Value>,
}

/// A case in a module that publishes generic variables, with nothing stored yet.
pub fn case(name: impl Into<String>) -> Case {
    Case {
        name: name.into(),
        generic: true,
        deployspec: true,
        files: Vec::new(),
        env: Vec::new(),
        unset: Vec::new(),
        cwd: "",
        calls: Vec::new(),
        difference: None,
    }
}

impl Case {
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.push((path.to_owned(), content.as_ref().to_owned()));
        self
    }

    pub fn stored(self, content: impl AsRef<[u8]>) -> Self {
        self.file("{P}_MODULE_METADATA", content)
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn exported(self, value: &str) -> Self {
        self.env("{P}_MODULE_METADATA", value)
    }

    pub fn cwd(mut self, cwd: &'static str) -> Self {
        self.cwd = cwd;
        self
    }

    /// Adds the call `seedfarmer metadata {args}`, which ends with `exit`.
    pub fn ends(self, exit: i32, args: &[&str]) -> Self {
        self.command(exit, &[&["metadata"], args].concat())
    }

    /// Adds the call `seedfarmer metadata {args}`, which may end with any code.
    pub fn calls(self, args: &[&str]) -> Self {
        self.push(None, &[&["metadata"], args].concat())
    }

    /// Adds the call `seedfarmer {args}`, which ends with `exit`.
    pub fn command(self, exit: i32, args: &[&str]) -> Self {
        self.push(Some(exit), args)
    }

    fn push(mut self, exit: Option<i32>, args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.calls.push(Call { exit, args });
        self
    }

    /// Our command differs for this reason, and its last call ends with this code.
    pub fn differs(mut self, reason: &'static str, exit: i32, stored: impl Into<Option<Value>>) -> Self {
        self.difference = Some(Difference {
            reason,
            exit,
            stored: stored.into(),
        });
        self
    }
}
