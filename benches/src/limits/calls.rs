//! The AWS calls of whole deployments, counted by the local stack's proxy.
//!
//! It counts the calls of the workflow itself: the calls of the functions, and of the client that uploads the bundle
//! and starts the execution. The calls of the build's own commands and of CodeBuild for a build are shown separately.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use seedflow_cli::checkout::bundle::{self, Bundle};
use seedflow_core::ids::ModuleId;
use seedflow_local::client::deployment::{self, Finished};
use seedflow_local::process::workspace;
use seedflow_local::proxy::{Caller, Calls};
use seedflow_local::stack::Stack;
use seedflow_terminal::Ui;
use serde_json::{Map, Value};

use crate::report::{Limit, Section};

/// The most calls of a changed and of an unchanged module: those of `tests/e2e/call_budget.rs` and the client's two.
const LIMITS: [(Kind, u64); 3] = [(Kind::First, 42), (Kind::Changed, 39), (Kind::Unchanged, 13)];
/// The client's calls; other calls of clients are made by this program.
pub const CLIENT: [&str; 2] = ["s3:PutObject", "states:StartExecution"];
/// A late event may still start a function after the execution has ended. A function that a queue starts waits up to
/// five seconds for further messages.
const SETTLED: Duration = Duration::from_secs(7);

/// How long a deployment may take.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    First,
    Unchanged,
    Changed,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::First => "a first deployment",
            Self::Unchanged => "an unchanged module",
            Self::Changed => "a changed module",
        }
    }

    fn state(self) -> &'static str {
        match self {
            Self::Unchanged => "UNCHANGED",
            Self::First | Self::Changed => "SUCCEEDED",
        }
    }
}

/// A deployed module, for parts that need one, and the section of this part.
pub struct Deployed {
    pub section: Section,
    /// The input of the last deployment.
    pub input: Value,
    /// The end of the last deployment.
    pub finished: Finished,
}

/// Deploys an example for the first time, unchanged and changed, and counts the calls.
pub async fn measure(stack: &Stack, ui: &Ui) -> Result<Deployed> {
    let task = ui.task("Calls of three deployments");
    let example = Example::copy(stack)?;
    let mut counts = Vec::new();
    example.deploy(stack, Kind::First, &mut counts).await?;
    example.deploy(stack, Kind::Unchanged, &mut counts).await?;
    example.change()?;
    let (input, finished) = example.deploy(stack, Kind::Changed, &mut counts).await?;
    task.done("counted");
    Ok(Deployed {
        section: section(&counts),
        input,
        finished,
    })
}

/// The example that deploys a CloudFormation stack, copied so that it can be changed.
struct Example {
    module: ModuleId,
    folder: std::path::PathBuf,
}

impl Example {
    fn copy(stack: &Stack) -> Result<Self> {
        let from = workspace::root()?.join("examples/cfn-bucket");
        let folder = stack.folder().join("bench-example");
        std::fs::create_dir_all(&folder).context("cannot copy the example")?;
        for file in from.read_dir().context("cannot read examples/cfn-bucket")? {
            let file = file?;
            std::fs::copy(file.path(), folder.join(file.file_name())).context("cannot copy the example")?;
        }
        Ok(Self {
            module: ModuleId::parse("bench", "dev", "examples", "cfn-bucket")?,
            folder,
        })
    }

    fn change(&self) -> Result<()> {
        std::fs::write(self.folder.join("changed.txt"), "changed\n").context("cannot change the example")
    }

    async fn deploy(
        &self,
        stack: &Stack,
        kind: Kind,
        counts: &mut Vec<(Kind, Counted)>,
    ) -> Result<(Value, Finished)> {
        let bundle = bundle::folder(&self.folder, &stack.folder().join("bench.zip"))?;
        stack.proxy().reset_calls();
        let deployed = deploy_module(stack, &self.module, &bundle, kind.state()).await?;
        counts.push((kind, Counted::of(&settled(stack).await)));
        Ok(deployed)
    }
}

/// Uploads a bundle, starts its deployment and follows it to this state. Returns the input and the end.
pub async fn deploy_module(
    stack: &Stack,
    module: &ModuleId,
    bundle: &Bundle,
    state: &str,
) -> Result<(Value, Finished)> {
    let (api, connection) = (stack.api(), stack.connection());
    let source = deployment::upload(&api, connection, module, bundle).await?;
    let input = deployment::input(module, &source, &Map::new(), false);
    let execution = deployment::start(&api, connection, &input).await?;
    let finished = follow(stack, &execution, |finished| finished.state() == state).await?;
    Ok((input, finished))
}

/// Follows an execution, which has to end as expected.
pub async fn follow(
    stack: &Stack,
    execution: &str,
    as_expected: impl Fn(&Finished) -> bool,
) -> Result<Finished> {
    let finished = deployment::follow(&stack.api(), execution, Some(PATIENCE), |_| {}).await?;
    let (state, cause) = (finished.state(), &finished.cause);
    ensure!(
        as_expected(&finished),
        "the deployment ended as {state}, which is not as expected: {cause}"
    );
    Ok(finished)
}

/// The calls, once no further call is made.
pub async fn settled(stack: &Stack) -> Calls {
    let total = |calls: &Calls| {
        let callers = [Caller::Functions, Caller::Builds, Caller::Codebuild];
        callers.map(|caller| calls.total(caller))
    };
    loop {
        let before = total(&stack.proxy().calls());
        tokio::time::sleep(SETTLED).await;
        let calls = stack.proxy().calls();
        if total(&calls) == before {
            return calls;
        }
    }
}

/// The calls of one deployment by caller.
struct Counted {
    functions: BTreeMap<String, u64>,
    client: BTreeMap<String, u64>,
    /// The calls of the build, and of CodeBuild for it.
    build: u64,
}

impl Counted {
    fn of(calls: &Calls) -> Self {
        let named = |caller| calls.of(caller).map(|(name, count)| (name.to_owned(), count));
        Self {
            functions: named(Caller::Functions).collect(),
            client: named(Caller::Clients)
                .filter(|(name, _)| CLIENT.contains(&name.as_str()))
                .collect(),
            build: calls.total(Caller::Builds),
        }
    }

    fn total(&self) -> u64 {
        self.functions.values().chain(self.client.values()).sum()
    }
}

fn section(counts: &[(Kind, Counted)]) -> Section {
    let limits = LIMITS.iter().flat_map(|&(kind, limit)| {
        let of_kind = counts.iter().filter(move |(found, _)| *found == kind);
        of_kind.map(move |(kind, counted)| {
            Limit::count(format!("AWS calls of {}", kind.name()), counted.total(), limit)
        })
    });
    Section {
        title: "AWS calls of a deployment",
        about: "`examples/cfn-bucket`, which deploys a CloudFormation stack, counted by the local stack's proxy: what the \
                functions call, and the two calls of a client that uploads a bundle and starts the execution (an upload to \
                `sources/` starts it by itself and saves one). The calls below the sum are made inside the build, by the module's \
                own `aws` commands. The other part of this page compares them with seed-farmer's."
            .to_owned(),
        columns: vec!["call", "first", "unchanged", "changed"],
        rows: rows(counts),
        limits: limits.collect(),
    }
}

fn rows(counts: &[(Kind, Counted)]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    rows.extend(rows_of(counts, "client", |counted| &counted.client));
    rows.extend(rows_of(counts, "functions", |counted| &counted.functions));
    let sums = |name: &str, sum: fn(&Counted) -> u64| {
        let cells = counts.iter().map(|(_, counted)| sum(counted).to_string());
        std::iter::once(name.to_owned()).chain(cells).collect()
    };
    rows.push(sums("**sum**", Counted::total));
    rows.push(sums("inside the build, in addition", |counted| counted.build));
    rows
}

fn rows_of(
    counts: &[(Kind, Counted)],
    caller: &str,
    of: impl Fn(&Counted) -> &BTreeMap<String, u64>,
) -> Vec<Vec<String>> {
    let mut names: Vec<&String> = counts
        .iter()
        .flat_map(|(_, counted)| of(counted).keys())
        .collect();
    names.sort();
    names.dedup();
    let row = |name: &String| {
        let cells = counts
            .iter()
            .map(|(_, counted)| of(counted).get(name).copied().unwrap_or_default());
        let cells = cells.map(|count| {
            if count == 0 {
                String::new()
            } else {
                count.to_string()
            }
        });
        std::iter::once(format!("{caller}: {name}"))
            .chain(cells)
            .collect()
    };
    names.into_iter().map(row).collect()
}
