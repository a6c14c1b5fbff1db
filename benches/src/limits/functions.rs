//! The release binaries: size, cold start, warm answer, memory.
//!
//! Each function gets the event of a module that was just deployed, as the state machine would send it again: every
//! handler may run again, and does its real work against the emulator. For functions that no module's workflow calls,
//! only the size is measured.

use anyhow::{Context, Result};
use seedflow_local::client::deployment;
use seedflow_local::proxy::Caller;
use seedflow_local::stack::Stack;
use seedflow_terminal::Ui;
use serde_json::{Value, json};

use super::calls::Deployed;
use super::function::{Function, Program};
use super::release_build::Binary;
use crate::report::Section;
use crate::stats::{Spread, grouped, megabytes};

const COLD: usize = 15;
const WARM: usize = 31;

/// The event of a build's end as AWS documents it; no execution here waits for that build.
const BUILD_EVENT: &str = include_str!("../../../tests/events/build-state-change.json");

/// The start time that the execution's data states.
const STARTED_AT: &str = "2026-01-01T00:00:00Z";

/// Restores an execution's lock of its module, so that its functions may write once more.
async fn hold_again(stack: &Stack, execution: &str, lock: &Value) -> Result<()> {
    let held = json!({
        "holder": {"execution": execution, "started_at": STARTED_AT}, "fence": lock["fence"], "run": lock["run"],
    });
    let name = |field: &str| lock["of"][field].as_str().unwrap_or_default().to_owned();
    let key = format!(
        "locks/{}/{}/{}/{}.json",
        name("project"),
        name("deployment"),
        name("group"),
        name("module")
    );
    let bucket = &stack.connection().work_bucket;
    let put = stack
        .api()
        .put_object(bucket, &key, held.to_string().into_bytes())
        .await;
    put.context("cannot plant a lock")
}

/// An execution of the stack's state machine, for functions whose event names one.
pub fn execution(stack: &Stack) -> String {
    let arn = &stack.connection().state_machine_arn;
    format!("{}:bench", arn.replace(":stateMachine:", ":execution:"))
}

/// Measures all of them.
pub async fn measure(stack: &Stack, binaries: &[Binary], deployed: &Deployed, ui: &Ui) -> Result<Section> {
    let task = ui.task("The functions, cold and warm");
    let events = Events::of(stack, deployed).await?;
    let mut all = Vec::new();
    for binary in binaries {
        task.detail(binary.name);
        let size = binary.path.metadata()?.len();
        let times = match events.for_function(binary.name)? {
            Some(event) => {
                let times = times(stack, binary, &event).await;
                Some(times.with_context(|| format!("measuring {}", binary.name))?)
            }
            None => None,
        };
        all.push(Figures {
            name: binary.name,
            size,
            times,
        });
    }
    task.done(&format!("{COLD} cold starts and {WARM} warm answers of each"));
    Ok(section(&all))
}

struct Figures {
    name: &'static str,
    size: u64,
    times: Option<Times>,
}

struct Times {
    ready: Spread,
    cold: Spread,
    warm: Spread,
    /// How many AWS calls a warm answer makes.
    calls: u64,
    peak: u64,
}

async fn times(stack: &Stack, binary: &Binary, event: &Value) -> Result<Times> {
    let program = Program::of(binary, stack).await?;
    let (mut ready, mut cold, mut peak) = (Vec::new(), Vec::new(), 0);
    for _ in 0..COLD {
        let mut function = Function::start(&program, stack).await?;
        let (asked, answered) = function.first(event).await?;
        ready.push(asked);
        cold.push(answered.took);
        peak = peak.max(function.peak()?);
    }
    let mut function = Function::start(&program, stack).await?;
    function.first(event).await?;
    stack.proxy().reset_calls();
    let mut warm = Vec::new();
    for _ in 0..WARM {
        warm.push(function.again(event).await?.took);
    }
    Ok(Times {
        ready: Spread::of(ready),
        cold: Spread::of(cold),
        warm: Spread::of(warm),
        calls: stack.proxy().calls().total(Caller::Functions) / WARM as u64,
        peak: peak.max(function.peak()?),
    })
}

/// The events that the state machine sent in a deployment.
struct Events {
    execution: String,
    input: Value,
    plan: Value,
    lock: Value,
    build_id: String,
}

impl Events {
    async fn of(stack: &Stack, deployed: &Deployed) -> Result<Self> {
        let history = deployment::history(&stack.api(), &deployed.finished.execution).await?;
        let answered = |field: &str| {
            history.iter().find_map(|event| {
                let output = event["taskSucceededEventDetails"]["output"].as_str()?;
                let output: Value = serde_json::from_str(output).ok()?;
                Some(output["Payload"][field].clone()).filter(Value::is_object)
            })
        };
        let lock = answered("lock").context("the deployment's history holds no lock")?;
        let execution = &deployed.finished.execution;
        hold_again(stack, execution, &lock).await?;
        let build_id = deployed
            .finished
            .build_id()
            .context("the deployment had no build")?;
        Ok(Self {
            execution: deployed.finished.execution.clone(),
            input: deployed.input.clone(),
            plan: answered("plan").context("the deployment's history holds no plan")?,
            lock,
            build_id: build_id.to_owned(),
        })
    }

    /// The event of a function; none if no module's workflow calls it.
    fn for_function(&self, name: &str) -> Result<Option<Value>> {
        let Self {
            execution,
            input,
            plan,
            lock,
            build_id,
        } = self;
        let event = match name {
            "acquire-lock" => {
                json!({"execution": execution, "started_at": STARTED_AT, "input": input, "waiting": null})
            }
            // Of an execution that holds nothing, as after a second event of its end.
            "end-execution" => json!({"execution": execution}),
            "check-md5" => json!({"execution": execution, "input": input}),
            "start-build" => json!({"execution": execution, "lock": lock, "plan": plan, "attempt": 0}),
            // For a module that has no role of its own.
            "module-stack" => {
                json!({"action": "remove", "execution": execution, "lock": lock, "progress": null})
            }
            // The token was answered long ago, and this is not an error: Step Functions takes the first answer.
            "check-status" => {
                json!({"token": "bench", "build_id": build_id, "entered_at": "2026-01-01T00:00:00Z", "attempt": 0})
            }
            "update-metadata" => {
                let build = json!({"build_id": build_id, "status": "SUCCEEDED"});
                json!({"action": "succeed", "execution": execution, "lock": lock, "plan": plan, "build": build})
            }
            "build-event" => serde_json::from_str(BUILD_EVENT).context("the sample event is not JSON")?,
            _ => return Ok(None),
        };
        Ok(Some(event))
    }
}

fn section(all: &[Figures]) -> Section {
    let together = all.iter().map(|figures| figures.size).sum();
    let mut rows: Vec<Vec<String>> = all.iter().map(row).collect();
    let mut sum = vec![String::new(); rows.first().map_or(2, Vec::len)];
    sum[0] = "together".to_owned();
    sum[1] = grouped(together);
    rows.push(sum);
    Section {
        title: "The functions",
        about: format!(
            "Release binaries for this machine, stripped, over the Runtime API, each on the event that the state machine sends for a \
             module that was just deployed. Ready: from the process's start to its asking for an event. Cold: from the process's \
             start to its first answer, median of {COLD} processes. Warm: from the event to the answer, median of {WARM}. \
             Cold and warm include the AWS calls, which the emulator and the stack's proxy answer. Peak: the most that any of \
             these processes held. Of functions that no module's workflow calls, only the size is measured. `.ci/package` compares the \
             sizes for AWS with their limit."
        ),
        columns: vec![
            "function",
            "bytes",
            "ready",
            "cold",
            "warm",
            "AWS calls",
            "peak memory",
        ],
        rows,
        limits: Vec::new(),
    }
}

fn row(figures: &Figures) -> Vec<String> {
    let mut row = vec![figures.name.to_owned(), grouped(figures.size)];
    match &figures.times {
        Some(times) => row.extend([
            times.ready.millis(),
            times.cold.millis(),
            times.warm.millis(),
            times.calls.to_string(),
            megabytes(times.peak),
        ]),
        None => row.extend([const { String::new() }; 5]),
    }
    row
}
