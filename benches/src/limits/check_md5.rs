//! The large bundle through the whole `check-md5`: the release binary, its event over the Runtime API, the bundle
//! over S3's API.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use seedflow_cli::checkout::bundle::Bundle;
use seedflow_core::ids::ModuleId;
use seedflow_local::client::deployment;
use seedflow_local::stack::Stack;
use seedflow_terminal::Ui;
use serde_json::{Map, json};

use super::function::{Function, Program};
use super::release_build::Binary;
use super::{bundle, memory};
use crate::report::{Limit, Section};
use crate::stats::{Spread, megabytes};

const ROUNDS: usize = 5;

/// Measures the function, each time in a new process.
pub async fn measure(stack: &Stack, binaries: &[Binary], bundle: &Path, ui: &Ui) -> Result<Section> {
    let task = ui.task("check-md5 on the large bundle");
    let binary = binaries.iter().find(|binary| binary.name == "check-md5");
    let binary = binary.context("check-md5 was not built")?;
    let program = Program::of(binary, stack).await?;
    let event = upload(stack, bundle).await?;
    let (mut took, mut peak, mut hash) = (Vec::new(), 0, None);
    for _ in 0..ROUNDS {
        let mut function = Function::start(&program, stack).await?;
        let (_, answered) = function.first(&event).await?;
        let found = answered.answer["plan"]["fingerprint"]["hash"].clone();
        if !found.is_string() || hash.get_or_insert_with(|| found.clone()) != &found {
            bail!("the same bundle had two fingerprints: {hash:?} and {found}");
        }
        took.push(answered.took);
        peak = peak.max(function.peak()?);
    }
    let packed = bundle.metadata()?.len();
    task.done(&format!("{ROUNDS} rounds"));
    Ok(section(
        Spread::of(took),
        peak,
        packed,
        plain(stack, &event).await?,
    ))
}

async fn upload(stack: &Stack, path: &Path) -> Result<serde_json::Value> {
    let module = ModuleId::parse("bench", "dev", "core", "large")?;
    let bundle = Bundle {
        md5: "large".to_owned(),
        files: bundle::FILES,
        size: path.metadata()?.len(),
        path: path.to_owned(),
    };
    let source = deployment::upload(&stack.api(), stack.connection(), &module, &bundle).await?;
    let input = deployment::input(&module, &source, &Map::new(), false);
    Ok(json!({"execution": super::functions::execution(stack), "input": input}))
}

/// The time in which the emulator delivers the bundle to a client that discards it.
async fn plain(stack: &Stack, event: &serde_json::Value) -> Result<Spread> {
    let source = &event["input"]["source"];
    let key = source["key"].as_str().context("the source has no key")?;
    let nothing = Path::new("/dev/null");
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        stack
            .api()
            .get_object(&stack.connection().work_bucket, key, None, nothing)
            .await?;
        took.push(begun.elapsed());
    }
    Ok(Spread::of(took))
}

fn section(took: Spread, peak: u64, packed: u64, plain: Spread) -> Section {
    Section {
        title: "The same bundle through check-md5",
        about: format!(
            "The release binary in a new process each time, its event over the Runtime API, the bundle of {} from the \
             emulator's S3 through the stack's proxy. From the process's start to its answer, median of {ROUNDS} (shortest to \
             longest). The emulator and the proxy deliver the bundle on the same cores, so the time does not measure Lambda.",
            megabytes(packed)
        ),
        columns: vec!["", "wall time", "peak memory"],
        rows: vec![
            vec![
                "check-md5, start to answer".to_owned(),
                took.seconds(),
                megabytes(peak),
            ],
            vec![
                "a plain download from the emulator".to_owned(),
                plain.seconds(),
                String::new(),
            ],
        ],
        limits: vec![Limit::at_most(
            "check-md5 on the same bundle, peak memory",
            peak,
            memory::LIMIT,
            megabytes,
        )],
    }
}
