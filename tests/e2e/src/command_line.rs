//! `seedflow` as a person would run it.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::program::built;
use crate::stack::TestStack;

/// The result of a run.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ran {
    /// The output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The line of a table that begins with this text, its columns joined by one space.
    pub fn row(&self, begin: &str) -> String {
        let line = self.out.lines().find(|line| line.starts_with(begin));
        let line = line.unwrap_or_else(|| panic!("no line begins with {begin}: {self:?}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The program with these arguments and the stack's environment, not started yet.
pub async fn command(stack: &TestStack, arguments: &[&str]) -> Command {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    let program = PROGRAM.get_or_init(|| built("seedflow-cli", "seedflow")).await;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(stack.client_environment().expect("an environment"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs the program to its end.
pub async fn seedflow(stack: &TestStack, arguments: &[&str]) -> Ran {
    let ran = command(stack, arguments)
        .await
        .output()
        .await
        .expect("starting seedflow");
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    if arguments.contains(&"--json") {
        assert_documented(arguments, &out);
    }
    Ran {
        code: ran.status.code(),
        out,
        err: String::from_utf8_lossy(&ran.stderr).into_owned(),
    }
}

/// Holds the fields of what `--json` printed against its row in docs/command-line.md. Rows that lead to another document have
/// the outermost fields only.
fn assert_documented(arguments: &[&str], out: &str) {
    let Ok(Value::Object(printed)) = serde_json::from_str(out) else {
        return;
    };
    let words = &arguments[..arguments.len().min(2)];
    let row = documented(&words.join(" ")).or_else(|| documented(words[0]));
    let row = row.unwrap_or_else(|| panic!("{words:?}: docs/command-line.md has no row"));
    // The values by their keys, or a report as it is stored.
    if !row.contains('"') {
        return;
    }
    let mut fields: Vec<&String> = printed.keys().collect();
    if !row.contains("](") {
        let lists = printed.values().filter_map(Value::as_array).flatten();
        fields.extend(lists.filter_map(Value::as_object).flat_map(|item| item.keys()));
    }
    for field in fields {
        let is_named = row.contains(&format!("\"{field}\""));
        assert!(
            is_named,
            "{words:?}: {field} is missing in docs/command-line.md: {row}"
        );
    }
}

/// The row about the JSON of a command.
fn documented(command: &str) -> Option<&'static str> {
    let document = include_str!("../../../docs/command-line.md");
    let (_, table) = document.split_once("### What `--json` prints")?;
    let name = format!("`{command}`");
    let mut rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.find_map(|row| {
        let (commands, rest) = row.split_once(" | ")?;
        commands.contains(&name).then_some(rest)
    })
}
