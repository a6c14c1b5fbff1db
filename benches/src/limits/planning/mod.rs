//! Planning a deployment in which nothing changed: the release binary of plan-deployment, its event over the Runtime API,
//! repository and state from the emulator.

mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use seedflow_core::module::input::Limits;
use seedflow_fixtures::Repository;
use seedflow_local::aws_api::AwsApi;
use seedflow_local::client::deployment;
use seedflow_local::proxy::Caller;
use seedflow_local::stack::{Stack, StackOptions};
use seedflow_terminal::Ui;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::limits::function::{Function, Program};
use crate::limits::memory;
use crate::limits::release_build::Binary;
use crate::report::{Limit, Section};
use crate::stats::{Spread, grouped, megabytes};

const SIZES: [usize; 3] = [10, 100, 500];
const GROUP: usize = 10;
const DEPLOYMENT: &str = "dev";
const ROUNDS: usize = 5;
/// How many parameters are written at once.
const WRITERS: usize = 8;
/// The most calls that a hundred further modules add: their 400 parameters are read in tens.
const CALLS_PER_HUNDRED: u64 = 41;

/// Measures deployments of several sizes.
pub async fn measure(binary: &Binary, ui: &Ui) -> Result<Section> {
    let stack = Stack::start(&StackOptions::default(), ui).await?;
    let section = of_sizes(&stack, binary, ui).await?;
    stack.stop().await;
    Ok(section)
}

async fn of_sizes(stack: &Stack, binary: &Binary, ui: &Ui) -> Result<Section> {
    let task = ui.task("Planning with nothing changed");
    let program = Program::of(binary, stack).await?;
    let mut all = Vec::new();
    for modules in SIZES {
        task.detail(&format!("{modules} modules"));
        let deployed = Deployed::plant(stack, modules).await?;
        let figures = figures(stack, &program, &deployed).await;
        all.push(figures.with_context(|| format!("planning {modules} modules"))?);
    }
    task.done(&format!("{ROUNDS} rounds of each"));
    Ok(section(&all))
}

/// A deployment whose state is stored, and whose repository is stored at the key in the event.
struct Deployed {
    modules: usize,
    project: String,
    event: Value,
    /// The bytes of the repository's zip.
    zip: u64,
    parameters: usize,
}

impl Deployed {
    async fn plant(stack: &Stack, modules: usize) -> Result<Self> {
        let (api, connection) = (stack.api(), stack.connection());
        let project = format!("planned-{modules}");
        let zip = Repository::numbered(&project, DEPLOYMENT, modules, GROUP).zip();
        let limits = Limits::of_aws(&connection.work_bucket, &connection.project_name);
        let state = stored::state(&zip, &limits)?;
        let (size, parameters) = (zip.len() as u64, state.len());
        write(&api, state).await?;
        let key = format!("uploads/{project}/repository.zip");
        api.put_object(&connection.work_bucket, &key, zip)
            .await
            .context("cannot upload the repository")?;
        let input = json!({"project": project, "source": {"key": key}});
        Ok(Self {
            modules,
            event: json!({
                "action": "plan", "deployment": {"project": project, "deployment": DEPLOYMENT},
                "execution": crate::limits::functions::execution(stack), "input": input,
            }),
            project,
            zip: size,
            parameters,
        })
    }

    fn path(&self) -> String {
        format!("/sf/{}/{DEPLOYMENT}", self.project)
    }
}

async fn write(api: &AwsApi, parameters: BTreeMap<String, String>) -> Result<()> {
    let mut writers = JoinSet::new();
    for (name, value) in parameters {
        if writers.len() >= WRITERS {
            writers.join_next().await.transpose()?.transpose()?;
        }
        let api = api.clone();
        writers.spawn(async move {
            let input = json!({"Name": name, "Value": value, "Type": "String"});
            let put = api.json("ssm", "AmazonSSM.PutParameter", &input).await;
            put.map(drop).with_context(|| format!("cannot write {name}"))
        });
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    Ok(())
}

struct Figures {
    modules: usize,
    zip: u64,
    parameters: usize,
    took: Spread,
    /// The time of reading the same state without processing it.
    reading: Spread,
    peak: u64,
    calls: BTreeMap<String, u64>,
}

impl Figures {
    fn total(&self) -> u64 {
        self.calls.values().sum()
    }
}

async fn figures(stack: &Stack, program: &Program, deployed: &Deployed) -> Result<Figures> {
    let (mut took, mut reading, mut peak) = (Vec::new(), Vec::new(), 0);
    let mut calls = BTreeMap::new();
    for _ in 0..ROUNDS {
        stack.proxy().reset_calls();
        let mut function = Function::start(program, stack).await?;
        let (_, answered) = function.first(&deployed.event).await?;
        let counts = &answered.answer["counts"];
        ensure!(
            counts["unchanged"] == deployed.modules && counts["deploy"] == 0,
            "expected a plan that leaves all modules unchanged, found {counts} {}",
            answered.answer["refused"]
        );
        took.push(answered.took);
        peak = peak.max(function.peak()?);
        let counted = stack.proxy().calls();
        let named = counted.of(Caller::Functions);
        calls = named.map(|(name, count)| (name.to_owned(), count)).collect();
        reading.push(read(stack, deployed).await?);
    }
    Ok(Figures {
        modules: deployed.modules,
        zip: deployed.zip,
        parameters: deployed.parameters,
        took: Spread::of(took),
        reading: Spread::of(reading),
        peak,
        calls,
    })
}

async fn read(stack: &Stack, deployed: &Deployed) -> Result<Duration> {
    let begun = Instant::now();
    let found = deployment::parameters(&stack.api(), &deployed.path()).await?;
    ensure!(
        found.len() == deployed.parameters,
        "expected {} parameters, found {}",
        deployed.parameters,
        found.len()
    );
    Ok(begun.elapsed())
}

fn section(all: &[Figures]) -> Section {
    let row = |name: &str, cell: &dyn Fn(&Figures) -> String| {
        let cells = all.iter().map(cell);
        std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let mut rows = vec![
        row("repository, packed", &|figures| megabytes(figures.zip)),
        row("parameters stored", &|figures| grouped(figures.parameters as u64)),
        row("start to answer", &|figures| figures.took.seconds()),
        row("reading the state alone", &|figures| figures.reading.seconds()),
        row("peak memory", &|figures| megabytes(figures.peak)),
    ];
    let names: BTreeSet<&String> = all.iter().flat_map(|figures| figures.calls.keys()).collect();
    for name in names {
        rows.push(row(name, &|figures| {
            grouped(figures.calls.get(name).copied().unwrap_or_default())
        }));
    }
    rows.push(row("**AWS calls**", &|figures| grouped(figures.total())));
    Section {
        title: "Planning a deployment in which nothing changed",
        about: format!(
            "The release binary of plan-deployment in a new process each time, its event over the Runtime API; the repository's zip \
             and the state of its modules, four parameters each, from the emulator through the stack's proxy. Groups of {GROUP} \
             modules of four small files; each module takes a value from one of the group before. From the process's start to its \
             answer, median of {ROUNDS} (shortest to longest). Parameter Store answers ten parameters a call, one call after the \
             other; reading the state alone is a program that makes the same calls and does nothing else, alternating with the function. \
             The emulator searches all that it stores for every page, so each of its answers takes longer with more modules."
        ),
        columns: vec!["", "10 modules", "100 modules", "500 modules"],
        rows,
        limits: limits(all),
    }
}

fn limits(all: &[Figures]) -> Vec<Limit> {
    let (Some(least), Some(most)) = (all.first(), all.last()) else {
        return Vec::new();
    };
    let further = (most.total() - least.total()) * 100;
    let per_hundred = further.div_ceil((most.modules - least.modules) as u64);
    vec![
        Limit::count(
            "AWS calls that a hundred more unchanged modules cost planning",
            per_hundred,
            CALLS_PER_HUNDRED,
        ),
        Limit::at_most(
            "planning 500 modules, peak memory",
            most.peak,
            memory::LIMIT,
            megabytes,
        ),
    ]
}
