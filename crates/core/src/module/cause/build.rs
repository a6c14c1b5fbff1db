//! Why a build failed: its stack's first failure, or what its failing command said.

use super::build_log::{FailedCommand, failed_command};
use super::tool_output::{error_in, failed_stack};
use crate::error::excerpt;
use crate::ids::{ModuleId, hyphens};
use crate::module::own_commands::OWN_PART;

/// The longest command in a cause.
const MAX_COMMAND: usize = 120;

/// What the log of a build says about its failure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildLog {
    /// The command that failed, if the log has one.
    pub failed: Option<FailedCommand>,
}

impl BuildLog {
    /// Reads the last messages of a log.
    #[must_use]
    pub fn read(messages: &[String]) -> Self {
        Self {
            failed: failed_command(messages),
        }
    }

    /// The stack whose events may have the cause: the one that the failing command names if it belongs to the module, or else the
    /// one that a module's stack is called. A log may contain anything, so no other stack is looked at.
    #[must_use]
    pub fn stack(&self, module: &ModuleId) -> String {
        let named = self
            .failed
            .as_ref()
            .and_then(|failed| failed_stack(&failed.output));
        match named.filter(|name| is_of(module, name)) {
            Some(name) => name.to_owned(),
            None => module.stack_name(),
        }
    }

    /// The cause as the failing command says it.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        let failed = self.failed.as_ref()?;
        let said = error_in(&failed.output);
        if failed.is_own() {
            return said.map(|said| format!("{OWN_PART} failed: {said}"));
        }
        let first = failed.command.lines().next().unwrap_or_default();
        let command = match failed.command.lines().nth(1) {
            Some(_) => format!("{} …", excerpt(first, MAX_COMMAND)),
            None => excerpt(first, MAX_COMMAND),
        };
        let ended = match failed.exit.as_str() {
            "" => "did not end".to_owned(),
            exit => format!("failed with {exit}"),
        };
        Some(match said {
            Some(said) => format!("{said} (`{command}` {ended})"),
            None => format!("The command `{command}` {ended}"),
        })
    }
}

/// Whether a stack's name, or that in the ARN of a nested stack, is one of the module's.
#[must_use]
pub fn is_of(module: &ModuleId, stack: &str) -> bool {
    let name = match stack.strip_prefix("arn:") {
        Some(arn) => arn.split(":stack/").nth(1).unwrap_or_default(),
        None => stack,
    };
    let own = hyphens(&module.dashed());
    name.strip_prefix(&own)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '/']))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn log(command: &str, output: &str) -> BuildLog {
        BuildLog::read(&[
            format!("[Container] 2026/03/02 10:17:20 Running command {command}\n"),
            format!("{output}\n"),
            format!(
                "[Container] 2026/03/02 10:17:29 Command did not exit successfully {command} exit status 1\n"
            ),
        ])
    }

    #[test]
    fn a_stack_of_another_module_is_not_looked_at() {
        let module = ModuleId::parse("p", "d", "data", "queue").unwrap();
        for (named, stack) in [
            ("p-d-data-queue", "p-d-data-queue"),
            ("p-d-data-queue-rbac", "p-d-data-queue-rbac"),
            ("p-d-data-queues", "p-d-data-queue"),
            ("p-d-network-vpc", "p-d-data-queue"),
            ("other", "p-d-data-queue"),
        ] {
            let log = log("cdk deploy", &format!(" ❌  {named} failed: Error: why"));
            assert_eq!(log.stack(&module), stack);
        }
        let arn = |name: &str| format!("arn:aws:cloudformation:r:1:stack/{name}/5f1a");
        assert!(is_of(&module, &arn("p-d-data-queue-Nested-1ABC")));
        assert!(!is_of(&module, &arn("p-d-network-vpc")));
        assert!(!is_of(&module, "arn:aws:iam::1:role/p-d-data-queue"));
        assert!(is_of(
            &ModuleId::parse("p", "d", "a_b", "c.d").unwrap(),
            "p-d-a-b-c-d-1f2e3d4c"
        ));
    }

    #[test]
    fn a_command_is_quoted_after_what_it_said() {
        let cause = |command: &str, output: &str| log(command, output).cause().unwrap();
        assert_eq!(
            cause("make all", "cc: no\nmake: *** [all] Error 1"),
            "make: *** [all] Error 1 (`make all` failed with exit status 1)"
        );
        assert_eq!(
            cause("exit 1", ""),
            "The command `exit 1` failed with exit status 1"
        );
        assert_eq!(
            cause("set -e\nfalse", ""),
            "The command `set -e …` failed with exit status 1"
        );
        assert_eq!(
            cause(crate::module::own_commands::SET_UP, "python3: not found"),
            "Seedflow's own part of the build failed: python3: not found"
        );
        assert_eq!(log(crate::module::own_commands::SET_UP, "").cause(), None);
        assert_eq!(BuildLog::read(&[]).cause(), None);
    }
}
