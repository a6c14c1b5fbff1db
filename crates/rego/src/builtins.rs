//! Builtins that the engine has and rules should not: those whose result has no bound. The engine takes an extension of the same name first.

use anyhow::{Result, bail};
use regorus::{Engine, Value};

/// The most numbers of a range.
const MAX_RANGE: i64 = 100_000;

/// Replaces these builtins.
pub(crate) fn replace(engine: &mut Engine) -> Result<()> {
    engine.add_extension("numbers.range".to_owned(), 2, Box::new(|values| range(&values)))?;
    engine.add_extension(
        "numbers.range_step".to_owned(),
        3,
        Box::new(|_| bail!("numbers.range_step: use numbers.range")),
    )
}

/// The numbers from the first to the second, both included.
fn range(values: &[Value]) -> Result<Value> {
    let [from, to] = values else {
        bail!("numbers.range: expected two numbers");
    };
    let (from, to) = (from.as_i64()?, to.as_i64()?);
    if from.abs_diff(to) >= MAX_RANGE.unsigned_abs() {
        bail!("numbers.range: expected at most {MAX_RANGE} numbers, found a range from {from} to {to}");
    }
    let numbers: Vec<Value> = match from <= to {
        true => (from..=to).map(Value::from).collect(),
        false => (to..=from).rev().map(Value::from).collect(),
    };
    Ok(Value::from(numbers))
}
