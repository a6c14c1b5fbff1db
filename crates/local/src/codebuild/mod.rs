//! A CodeBuild emulator that really runs builds, on this machine.
//!
//! The AWS emulator stores projects but runs nothing, so the proxy sends the operations on builds here (decision 19). A build
//! is a record (`model`), a plan of the request (`plan`) and a task (`run`) for the
//! phases: a shell for each command (`shell`) in a workspace of its own (`files`), its output in CloudWatch Logs
//! (`log`), its progress as events (`events`). It has the rights of the project's service role (`role`). All its
//! calls go through the proxy, so they are counted and rules apply to them. The processes of a build are killed with it
//! (`processes`). All builds are in one `registry`; `queue` limits how many run. Each account and region (`account_region`) has its
//! own: a caller finds only those of its own.
//!
//! Not emulated: images and compute types; sources other than S3; batches, reports and caches.

pub(crate) mod account_region;
mod buildspec;
mod config;
mod constraints;
pub(crate) mod entry;
mod environment;
mod events;
mod files;
mod log;
mod model;
mod path_wrappers;
mod plan;
mod processes;
mod queue;
mod registry;
mod role;
mod run;
mod shell;
mod time;
mod variables;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use seedflow_core::target::Target;
use serde_json::{Value, json};
use tokio::sync::watch;

pub use config::{Config, SimulatedBuild};
pub(crate) use environment::certificates;

use crate::aws_api::ApiError;
use model::{Artifact, Build, PhaseKind, Status};
use plan::Plan;
use queue::{Queue, Ticket};
use registry::{Builds, Entry, Registry, Token};

/// The CodeBuild emulator: its builds and what they need. The proxy connects it to the emulator.
pub struct CodeBuild {
    registry: Arc<Registry>,
    queues: Mutex<Queues>,
    /// Simulated builds, by a text in the names of their projects.
    simulated: Mutex<Option<(String, SimulatedBuild)>>,
}

/// The places for builds of each account and region, which all have the same number of them.
struct Queues {
    concurrent_builds: usize,
    queued_builds: usize,
    of: HashMap<Target, Queue>,
}

/// BatchGetBuilds and the lists answer this many at once.
const PAGE: usize = 100;
/// How long a stop may take until its caller is answered without its end.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

impl CodeBuild {
    /// A CodeBuild emulator without builds.
    #[must_use]
    pub fn new(config: Config) -> Arc<Self> {
        let queues = Queues {
            concurrent_builds: config.concurrent_builds,
            queued_builds: config.queued_builds,
            of: HashMap::new(),
        };
        Arc::new(Self {
            registry: Arc::new(Registry::new(config)),
            queues: Mutex::new(queues),
            simulated: Mutex::default(),
        })
    }

    /// Sets the proxy's ports for builds and for the service itself. The first call counts.
    pub fn connect(&self, builds_url: &str, service_url: &str) {
        self.registry.connect(builds_url, service_url);
    }

    /// The stack's own account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.registry.config.account
    }

    /// Whether the CodeBuild emulator answers this operation; projects stay with the emulator.
    #[must_use]
    pub fn serves(operation: &str) -> bool {
        matches!(
            operation,
            "StartBuild" | "BatchGetBuilds" | "StopBuild" | "ListBuilds" | "ListBuildsForProject"
        )
    }

    /// Answers one operation of CodeBuild's API to a caller of the stack's own account and region.
    pub async fn handle(self: &Arc<Self>, operation: &str, input: Value) -> Result<Value, ApiError> {
        self.handle_in(&self.registry.config.home()?, operation, input)
            .await
    }

    /// Answers one operation of CodeBuild's API in an account and region.
    pub async fn handle_in(
        self: &Arc<Self>,
        at: &Target,
        operation: &str,
        input: Value,
    ) -> Result<Value, ApiError> {
        match operation {
            "StartBuild" => self.start_build(at, input).await,
            "BatchGetBuilds" => self.batch_get_builds(at, &input),
            "StopBuild" => self.stop_build(at, &input).await,
            "ListBuilds" => self.list_builds(at, &input, None),
            "ListBuildsForProject" => {
                let project = required(&input, "projectName")?;
                self.project(at, project).await?;
                refuse_sort_order(&input)?;
                self.list_builds(at, &input, Some(project))
            }
            other => Err(ApiError::client(
                "UnknownOperationException",
                format!("{other} is not emulated"),
            )),
        }
    }

    /// A number that grows with every change of any build, to wait on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.registry.changes()
    }

    /// A build as BatchGetBuilds answers it.
    #[must_use]
    pub fn build(&self, id: &str) -> Option<Value> {
        self.registry
            .lock()
            .entries
            .get(id)
            .map(|entry| entry.build.api_json())
    }

    /// The ids of all builds, as they were started.
    #[must_use]
    pub fn builds(&self) -> Vec<String> {
        self.registry.lock().order.clone()
    }

    /// Simulates the builds that start from now on; `None` runs them again.
    pub fn simulate(&self, simulated: Option<SimulatedBuild>) {
        self.set_simulated(simulated.map(|simulated| (String::new(), simulated)));
    }

    /// Simulates the builds that start from now on in projects with this text in their names.
    pub fn simulate_projects(&self, containing: &str, simulated: SimulatedBuild) {
        self.set_simulated(Some((containing.to_owned(), simulated)));
    }

    fn set_simulated(&self, simulated: Option<(String, SimulatedBuild)>) {
        *self.simulated.lock().unwrap_or_else(PoisonError::into_inner) = simulated;
    }

    /// How a build is simulated, by its id, which begins with its project; `None` if it runs.
    fn simulated(&self, id: &str) -> Option<SimulatedBuild> {
        let simulated = self.simulated.lock().unwrap_or_else(PoisonError::into_inner);
        let (containing, simulated) = simulated.as_ref()?;
        let project = id.split(':').next().unwrap_or_default();
        project.contains(containing).then_some(*simulated)
    }

    /// Changes how many builds run at once and how many may wait, in each account and region.
    pub fn set_limits(&self, concurrent_builds: usize, queued_builds: usize) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.concurrent_builds = concurrent_builds;
        queues.queued_builds = queued_builds;
        for queue in queues.of.values() {
            queue.set_limits(concurrent_builds, queued_builds);
        }
    }

    /// The places for builds of an account and region.
    fn queue(&self, at: &Target) -> Queue {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let (concurrent, queued) = (queues.concurrent_builds, queues.queued_builds);
        let queue = queues.of.entry(at.clone());
        queue.or_insert_with(|| Queue::new(concurrent, queued)).clone()
    }

    /// Ends every build with all its processes, without logs or events, and takes no more.
    pub async fn shutdown(&self) {
        let mut changes = self.changes();
        {
            let mut builds = self.registry.lock();
            builds.closing = true;
            for entry in builds.entries.values() {
                entry.stop.send_replace(true);
            }
        }
        let all_ended = changes.wait_for(|_| {
            self.registry
                .lock()
                .entries
                .values()
                .all(|e| e.build.end.is_some())
        });
        let _ = tokio::time::timeout(STOP_PATIENCE, all_ended).await;
    }

    async fn start_build(self: &Arc<Self>, at: &Target, mut input: Value) -> Result<Value, ApiError> {
        let name = required(&input, "projectName")?.to_owned();
        constraints::check(&input)?;
        let token = plan::text(&input, "idempotencyToken")?;
        if let Some(fields) = input.as_object_mut() {
            fields.shift_remove("idempotencyToken");
        }
        let project = self.project(at, &name).await?;
        let plan = Plan::new(&project, &input, at.region(), at.account())?;
        // From here on nothing waits: of two calls with one token the second finds the first one's build.
        let mut builds = self.registry.lock();
        if builds.closing {
            return Err(ApiError::server(
                "ServiceUnavailableException",
                "the local stack is going down",
            ));
        }
        if let Some(id) = builds.already_started(at, token.as_deref(), &input)? {
            let build = builds.entries.get(&id).map(|entry| entry.build.api_json());
            return Ok(json!({"build": build}));
        }
        let ticket = self.queue(at).enter()?;
        let build = new_build(at, &mut builds, plan);
        let answer = json!({"build": build.api_json()});
        if let Some(token) = token {
            builds.tokens.insert(
                (at.clone(), token),
                Token {
                    input,
                    build_id: build.id.clone(),
                    since: Instant::now(),
                },
            );
        }
        self.launch(&mut builds, build, ticket);
        Ok(answer)
    }

    fn launch(self: &Arc<Self>, builds: &mut Builds, build: Build, ticket: Ticket) {
        let (stop, stopped) = watch::channel(false);
        builds.order.push(build.id.clone());
        builds.entries.insert(
            build.id.clone(),
            Entry {
                build: build.clone(),
                stop,
            },
        );
        let simulated = self.simulated(&build.id);
        tokio::spawn(run::run(
            Arc::clone(&self.registry),
            build,
            simulated,
            ticket,
            stopped,
        ));
    }

    /// Reads a project from the emulator.
    async fn project(&self, at: &Target, name: &str) -> Result<Value, ApiError> {
        let target = "CodeBuild_20161006.BatchGetProjects";
        let service = self.registry.service(at)?;
        let answer = service
            .json("codebuild", target, &json!({"names": [name]}))
            .await?;
        let project = &answer["projects"][0];
        if project.is_null() {
            let arn = account_region::arn(at, &format!("project/{name}"));
            return Err(not_found(format!("Project cannot be found: {arn}")));
        }
        Ok(project.clone())
    }

    fn batch_get_builds(&self, at: &Target, input: &Value) -> Result<Value, ApiError> {
        let ids: Vec<&str> = input["ids"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if ids.is_empty() || ids.len() > PAGE {
            return Err(ApiError::client(
                "InvalidInputException",
                format!(
                    "Invalid input: BatchGetBuilds takes 1 to {PAGE} ids, not {}",
                    ids.len()
                ),
            ));
        }
        let builds = self.registry.lock();
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for id in ids {
            match builds.of(at, bare_id(id)) {
                Some(entry) => found.push(entry.build.api_json()),
                None => missing.push(id),
            }
        }
        Ok(json!({"builds": found, "buildsNotFound": missing}))
    }

    /// Stops a build; one that has ended is answered as it is.
    async fn stop_build(&self, at: &Target, input: &Value) -> Result<Value, ApiError> {
        let id = bare_id(required(input, "id")?);
        let mut changes = self.changes();
        if let Some(entry) = self.registry.lock().of(at, id) {
            entry.stop.send_replace(true);
        } else {
            return Err(not_found(format!("Build {id} does not exist")));
        }
        let ended = || {
            self.registry
                .lock()
                .entries
                .get(id)
                .is_none_or(|entry| entry.build.end.is_some())
        };
        let _ = tokio::time::timeout(STOP_PATIENCE, changes.wait_for(|_| ended())).await;
        Ok(json!({"build": self.build(id)}))
    }

    fn list_builds(&self, at: &Target, input: &Value, project: Option<&str>) -> Result<Value, ApiError> {
        let builds = self.registry.lock();
        let of_project = |id: &&String| project.is_none_or(|p| id.split(':').next() == Some(p));
        let of_here = |id: &&String| builds.of(at, id).is_some();
        let mut ids: Vec<&String> = builds.order.iter().filter(of_here).filter(of_project).collect();
        // The newest first, which is the default of both operations.
        ids.reverse();
        let from: usize = match input["nextToken"].as_str().map(str::parse) {
            None => 0,
            Some(Ok(from)) => from,
            Some(Err(_)) => return Err(ApiError::client("InvalidInputException", "Invalid nextToken")),
        };
        let mut answer = json!({"ids": ids.iter().skip(from).take(PAGE).collect::<Vec<_>>()});
        if ids.len() > from + PAGE {
            answer["nextToken"] = (from + PAGE).to_string().into();
        }
        Ok(answer)
    }
}

fn new_build(at: &Target, builds: &mut Builds, plan: Plan) -> Build {
    let number = builds.numbers.entry((at.clone(), plan.project.clone()));
    let number = number.and_modify(|number| *number += 1).or_insert(1);
    let id = format!("{}:{}", plan.project, uuid::Uuid::new_v4());
    let now = Timestamp::now();
    let mut build = Build {
        arn: account_region::arn(at, &format!("build/{id}")),
        id,
        at: at.clone(),
        number: *number,
        plan,
        start: now,
        end: None,
        status: Status::InProgress,
        phases: Vec::new(),
        log_is_there: false,
        exported: Vec::new(),
        artifact: Artifact::default(),
    };
    build.begin(PhaseKind::Submitted, now);
    build.finish(Status::Succeeded, None, now);
    build.begin(PhaseKind::Queued, now);
    build
}

/// An id, also where an ARN was given.
fn bare_id(id: &str) -> &str {
    id.split_once(":build/").map_or(id, |(_, id)| id)
}

/// CodeBuild refuses a sort order in a project with more than 100 builds (API reference, ListBuildsForProject, `sortOrder`),
/// which every project has after a while. Here it refuses it from the first build on.
fn refuse_sort_order(input: &Value) -> Result<(), ApiError> {
    if input["sortOrder"].is_null() {
        return Ok(());
    }
    Err(ApiError::client(
        "InvalidInputException",
        "Invalid input: sortOrder cannot be set for a project with more than 100 builds",
    ))
}

fn required<'a>(input: &'a Value, field: &str) -> Result<&'a str, ApiError> {
    input[field]
        .as_str()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| {
            ApiError::client(
                "InvalidInputException",
                format!("Invalid input: {field} is required"),
            )
        })
}

fn not_found(message: String) -> ApiError {
    ApiError::client("ResourceNotFoundException", message)
}
