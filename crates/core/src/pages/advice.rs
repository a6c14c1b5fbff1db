//! What to do after a failure: sentences with their commands, ready to be copied.

use maud::{Markup, html};

use crate::formats::shell_word::quoted;
use crate::ids::{DeploymentId, ModuleId};
use crate::module::refusal::Refusal;

/// A sentence, and the commands that do it.
pub(super) struct Step {
    what: &'static str,
    commands: Vec<String>,
}

/// Maximum number of modules for which a step has commands.
const MAX_COMMANDS: usize = 3;
const LOG: &str = "Read the whole log";
const BACK: &str = "Or go back to what was deployed last";

/// After a module has failed. `deployed`: it was deployed before, so there is something to go back to.
pub(super) fn of_module(id: &ModuleId, execution: &str, deployed: bool) -> Vec<Step> {
    let project = &id.project;
    let module = format!("{}/{}/{}", id.deployment, id.group, id.module);
    let command = |name: &str| format!("seedflow {name} {module} --project {project}");
    let mut steps = vec![
        step(
            LOG,
            [format!("{} --execution {}", command("logs"), quoted(execution))],
        ),
        step(
            "Correct the module and deploy it again; or run the same once more, if the fault was elsewhere",
            [retry(execution)],
        ),
    ];
    if deployed {
        steps.push(step(BACK, [command("rollback")]));
    }
    steps
}

/// After a deployment has failed. `failed` are the `{group}/{module}` that failed, and whether each was deployed before.
pub(super) fn of_deployment(id: &DeploymentId, execution: &str, failed: &[(String, bool)]) -> Vec<Step> {
    let DeploymentId { project, deployment } = id;
    let each =
        |name: &str, module: &str| format!("seedflow {name} {deployment}/{module} --project {project}");
    let logs = failed.iter().map(|(module, _)| each("logs", module));
    let back = failed.iter().filter(|(_, deployed)| *deployed);
    let whole = back.clone().take(1);
    let whole = whole.map(|_| format!("seedflow rollback {deployment} --project {project}"));
    let back = back.map(|(module, _)| each("rollback", module));
    let steps = [
        step(LOG, logs.take(MAX_COMMANDS)),
        step(
            "Correct what failed and deploy again; or run the same once more: what succeeded isn't done again",
            [retry(execution)],
        ),
        step(BACK, back.take(MAX_COMMANDS)),
        step("Or bring the whole deployment back to its last success", whole),
    ];
    steps
        .into_iter()
        .filter(|step| !step.commands.is_empty())
        .collect()
}

/// After a request was refused.
pub(super) fn of_refusal(error: Option<&str>, execution: &str) -> Vec<Step> {
    vec![match Refusal::is_found_by_check(error) {
        true => step(
            "Correct what is wrong, check it on your machine, then deploy or push again",
            ["seedflow check .".to_owned()],
        ),
        false => step("Once nothing blocks it, start it again", [retry(execution)]),
    }]
}

fn retry(execution: &str) -> String {
    format!("seedflow retry {}", quoted(execution))
}

fn step(what: &'static str, commands: impl IntoIterator<Item = String>) -> Step {
    Step {
        what,
        commands: commands.into_iter().collect(),
    }
}

/// The steps as a section; empty if there are none.
pub(super) fn section(steps: &[Step]) -> Markup {
    html! {
        @if !steps.is_empty() {
            section.advice {
                h2 { "What to do now" }
                ul {
                    @for Step { what, commands } in steps {
                        li {
                            p { (what) ":" }
                            @for command in commands {
                                pre tabindex="0" aria-label="Command" { code { (command) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_stays_one_word_of_a_command() {
        let id = ModuleId::parse("p", "d", "g", "m").unwrap();
        let commands = |execution| {
            let steps = of_module(&id, execution, false);
            steps
                .into_iter()
                .flat_map(|step| step.commands)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            commands("e-1"),
            [
                "seedflow logs d/g/m --project p --execution e-1",
                "seedflow retry e-1"
            ]
        );
        assert_eq!(commands("a' $(b)")[1], r"seedflow retry 'a'\'' $(b)'");
    }

    #[test]
    fn files_are_checked_only_if_they_are_wrong() {
        let command = |error| of_refusal(error, "e-1")[0].commands.concat();
        assert_eq!(command(Some("InvalidManifest")), "seedflow check .");
        for other in [
            Some("DeniedByPolicy"),
            Some("DeploymentBusy"),
            Some("ApprovalRejected"),
        ] {
            assert_eq!(command(other), "seedflow retry e-1", "{other:?}");
        }
    }
}
