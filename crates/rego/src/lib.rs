//! Rules in Rego: parses the module of a deployment, and evaluates it on a plan (docs/guardrails.md, decision 60).
//!
//! A module of `package seedflow` has up to three rules whose values are sets of texts: `deny`, `warn` and
//! `require_approval`. Their `input` is the JSON of a plan ([`PlanJson::input`]). The same module and input have the same
//! findings: rules call nothing outside, know no time but `input.now`, and no random numbers. `time_zone` names the time
//! zone of that clock.
//!
//! Everything that doesn't end in findings is an error: a module that isn't valid, a value of another type, a builtin that
//! fails, too much time. Only the caller can turn that into a refusal, so no error is taken for "nothing found".

mod builtins;
mod stopwatch;

use std::num::NonZeroU32;
use std::sync::mpsc;
use std::time::Duration;

use jiff::Timestamp;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};
use seedflow_core::deployment::plan_json::PlanJson;
use seedflow_core::error::{did_you_mean, expected};
use seedflow_core::policy::rego::{Findings, MAX_REGO_BYTES, clock};
use serde_json::json;

/// The package of the rules.
const PACKAGE: &str = "data.seedflow";
/// The rules that are read.
const RULES: [&str; 3] = ["deny", "warn", "require_approval"];
/// The time zone of the clock, if a module names none.
const UTC: &str = "UTC";

/// How long an evaluation may take. The engine looks at the clock after a number of steps; a single builtin that takes
/// longer is left behind after twice this time.
pub const TIME: Duration = Duration::from_secs(2);
const STEPS: NonZeroU32 = NonZeroU32::MIN.saturating_add(255);
/// The stack of the thread that evaluates: the engine descends into nested expressions.
const STACK: usize = 64 * 1024 * 1024;

/// Rules that were parsed.
#[derive(Clone)]
pub struct Rules {
    engine: Engine,
}

impl Rules {
    /// Parses a module; its errors have the `name`.
    ///
    /// # Errors
    /// What is wrong with it, with the line; also what shows when it is evaluated on a plan of nothing.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        if text.len() as u64 > MAX_REGO_BYTES {
            let found = format!("{} bytes", text.len());
            return Err(format!(
                "{name}: {}",
                expected(found, format!("at most {MAX_REGO_BYTES} bytes"))
            ));
        }
        let (name, text) = (name.to_owned(), text.to_owned());
        bounded(TIME * 2, move || Self::parse_here(&name, &text))
    }

    fn parse_here(name: &str, text: &str) -> Result<Self, String> {
        stopwatch::install();
        let mut engine = Engine::new();
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: TIME,
            check_interval: STEPS,
        });
        engine.set_gather_prints(true);
        builtins::replace(&mut engine).map_err(|error| readable(&error))?;
        let package = engine.add_policy(name.to_owned(), text.to_owned());
        let package = package.map_err(|error| readable(&error))?;
        if package != PACKAGE {
            let found = package.trim_start_matches("data.");
            return Err(format!(
                "{name}: {}",
                expected(format!("package {found}"), "package seedflow")
            ));
        }
        let mut rules = Self { engine };
        rules.refuse_misspelt(name)?;
        Ok(rules)
    }

    /// Evaluates the rules on nothing, and refuses the name of a rule that is similar to one that is read.
    fn refuse_misspelt(&mut self, name: &str) -> Result<(), String> {
        let nothing = json!({"modules": [], "now": clock(Timestamp::UNIX_EPOCH, &self.time_zone()?)?});
        let values = self.values(&nothing)?;
        findings(&values)?;
        for (rule, _) in values.as_object().map_err(|error| readable(&error))?.iter() {
            let rule = rule.as_string().map_err(|error| readable(&error))?;
            let meant = did_you_mean(rule, &RULES);
            if !RULES.contains(&rule.as_ref()) && !meant.is_empty() {
                return Err(format!(
                    "{name}: {}",
                    expected(
                        format!("a rule {rule}"),
                        format!("deny, warn, require_approval or other names{meant}")
                    )
                ));
            }
        }
        Ok(())
    }

    /// Evaluates the rules on a plan. `now` is the time that they see.
    ///
    /// # Errors
    /// Why there are no findings.
    pub fn evaluate(&self, plan: &PlanJson, now: Timestamp) -> Result<Findings, String> {
        if plan.shortened {
            return Err("the plan lacks the definitions of its modules, because it is too long; plan a part of it by --only".to_owned());
        }
        let (mut rules, plan) = (self.clone(), plan.clone());
        bounded(TIME * 2, move || {
            let zone = rules.time_zone()?;
            let values = rules.values(&plan.input(&clock(now, &zone)?))?;
            findings(&values)
        })
    }

    /// The time zone that the module names.
    fn time_zone(&mut self) -> Result<String, String> {
        self.engine.set_input(Value::new_object());
        match self.query(&format!("{PACKAGE}.time_zone"))? {
            Value::Undefined => Ok(UTC.to_owned()),
            Value::String(zone) => Ok(zone.to_string()),
            other => Err(format!(
                "time_zone: {}",
                expected(kind(&other), "a text, such as \"Europe/Berlin\"")
            )),
        }
    }

    /// The values of all rules of the package.
    fn values(&mut self, input: &serde_json::Value) -> Result<Value, String> {
        let input = Value::from_json_str(&input.to_string()).map_err(|error| readable(&error))?;
        self.engine.set_input(input);
        self.query(PACKAGE)
    }

    fn query(&mut self, query: &str) -> Result<Value, String> {
        let found = self.engine.eval_query(query.to_owned(), false);
        // Nothing reads what rules print.
        drop(self.engine.take_prints());
        let found = found.map_err(|error| readable(&error))?;
        let expression = found
            .result
            .into_iter()
            .next()
            .and_then(|row| row.expressions.into_iter().next());
        Ok(expression.map_or(Value::Undefined, |expression| expression.value))
    }
}

/// The messages of the three rules.
fn findings(values: &Value) -> Result<Findings, String> {
    let [deny, warn, require_approval] = RULES.map(|rule| messages(rule, &values[rule]));
    Ok(Findings {
        deny: deny?,
        warn: warn?,
        require_approval: require_approval?,
    })
}

fn messages(rule: &str, value: &Value) -> Result<Vec<String>, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.to_string()),
        other => Err(format!(
            "{rule}: {}",
            expected(format!("{} in the set", kind(other)), "texts")
        )),
    };
    match value {
        Value::Undefined => Ok(Vec::new()),
        Value::Set(messages) => messages.iter().map(text).collect(),
        Value::Array(messages) => messages.iter().map(text).collect(),
        other => Err(format!(
            "{rule}: {}",
            expected(
                kind(other),
                format!("a set of texts, as of `{rule} contains message if {{ … }}`")
            )
        )),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
        _ => "nothing",
    }
}

/// The message of the engine: the place with the lines around it, and what is wrong.
fn readable(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    match text.contains("exceeded time limit") {
        true => format!(
            "the time limit of {} s is exceeded; let the rules read less",
            TIME.as_secs()
        ),
        false => text.trim().to_owned(),
    }
}

/// Runs on a thread of its own, whose stack is large, and waits for so long. A thread that takes longer is left behind.
fn bounded<T: Send + 'static>(
    time: Duration,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (send, receive) = mpsc::channel();
    let run = move || {
        // Nobody waits any more if it took too long.
        drop(send.send(work()));
    };
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(run)
        .map_err(|error| format!("no thread can be started: {error}"))?;
    match receive.recv_timeout(time) {
        Ok(done) => done,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            Err(format!("the time limit of {} s is exceeded", time.as_secs()))
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => Err("the engine ended in a panic".to_owned()),
    }
}

#[cfg(test)]
mod tests;
