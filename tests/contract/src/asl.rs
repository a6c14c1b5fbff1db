//! State machines, walked by the emulator's evaluation of their expressions, without a stack.

use serde_json::Value;

use crate::python;

/// The input of a walk: `machine`, `inputs`, their `age` in seconds, and `tasks` with the `results` and `errors` of
/// each. The output: `faults`, a line for each expression that failed; `caught`, those that a rule of their own task
/// caught; and `ends`, how executions ended. See `asl.py`.
pub fn walk(asked: &Value) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let printed = runtime.block_on(python::run(include_str!("asl.py"), asked));
    serde_json::from_str(&printed).expect("the walk prints JSON")
}
