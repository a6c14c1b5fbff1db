//! Operations of tests on a running stack.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Deref;
use std::time::{Duration, Instant};

use seedflow_core::ids::ModuleId;
use seedflow_core::telemetry::metric::Metric;
use seedflow_local::aws_api::AwsApi;
use seedflow_local::client::deployment::{self, Finished, Parameter};
use seedflow_local::proxy::{Caller, Proxy, Rule, RuleId};
use seedflow_local::stack::{Connection, EVENT_SOURCE, Stack};
use serde_json::{Map, Value, json};

use seedflow_fixtures::{Module, Repository};

/// The longest wait of a test. It is generous: a machine may be busy, and a test that fails by its deadline explains
/// little.
const PATIENCE: Duration = Duration::from_secs(300);

/// The interval between checks. Many tests wait at the same time, and each check costs the emulator a call, so it grows with
/// the time of the wait.
pub(crate) const POLL: Duration = Duration::from_millis(150);
/// The longest interval between checks.
const LONGEST_POLL: Duration = Duration::from_millis(500);

/// The id of a module by its four names.
pub fn module_id(project: &str, deployment: &str, group: &str, module: &str) -> ModuleId {
    ModuleId::parse(project, deployment, group, module).expect("valid names")
}

/// The input that destroys a module.
pub fn destruction(id: &ModuleId) -> Value {
    let mut input = json!(id);
    input["action"] = json!("destroy");
    input
}

/// A running stack with the state that tests need.
pub struct TestStack {
    stack: Stack,
    api: AwsApi,
}

impl Deref for TestStack {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        &self.stack
    }
}

impl TestStack {
    /// Wraps a running stack.
    pub fn new(stack: Stack) -> Self {
        let api = stack.api();
        Self { stack, api }
    }

    /// A client of every service, as `Caller::Clients`.
    pub fn client(&self) -> &AwsApi {
        &self.api
    }

    /// The settings that reach the stack.
    pub fn about(&self) -> &Connection {
        self.stack.connection()
    }

    /// The id of a module of this test's own: the test's name is the project.
    pub fn module_id(&self, test: &str) -> ModuleId {
        module_id(test, "dev", "core", "module")
    }

    // --- Bundles ---

    /// Uploads a module's bundle without starting an execution; returns the `source` of an input.
    pub async fn upload(&self, id: &ModuleId, module: &Module) -> Value {
        self.upload_bytes(id, module.zip()).await
    }

    /// The same for bytes that may not be a bundle.
    pub async fn upload_bytes(&self, id: &ModuleId, bytes: Vec<u8>) -> Value {
        let bucket = &self.about().work_bucket;
        // Every upload has a key of its own, like the uploads of the command line, which contain their MD5.
        let key = id.upload_key(&uuid::Uuid::new_v4().to_string());
        self.put(&key, bytes).await;
        json!({"bucket": bucket, "key": key})
    }

    /// Stores an object in the work bucket; below `sources/` that starts an execution by event.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) {
        let bucket = &self.about().work_bucket;
        self.api
            .put_object(bucket, key, bytes)
            .await
            .unwrap_or_else(|error| panic!("storing {key}: {error}"));
    }

    /// Removes an object of the work bucket.
    pub async fn delete(&self, key: &str) {
        let bucket = &self.about().work_bucket;
        self.api
            .delete_object(bucket, key)
            .await
            .unwrap_or_else(|error| panic!("removing {key}: {error}"));
    }

    /// The keys of the work bucket below a prefix.
    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        self.api
            .list_objects(&self.about().work_bucket, prefix)
            .await
            .expect("listing the work bucket")
    }

    /// An object of the work bucket.
    pub async fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.object_of(&self.about().work_bucket, key).await
    }

    /// An object of any bucket; `None` if there is none.
    pub async fn object_of(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        match self.api.read_object(bucket, key).await {
            Ok(content) => Some(content),
            Err(error) if error.code == "NoSuchKey" => None,
            Err(error) => panic!("reading {bucket}/{key}: {error}"),
        }
    }

    // --- Executions ---

    /// Waits until the lock of a module is free: then the cleanup after its last execution is complete.
    pub async fn released(&self, id: &ModuleId) {
        let key = format!("locks/{id}.json");
        eventually("the release of a lock", || async {
            self.object(&key).await.is_none().then_some(())
        })
        .await;
    }

    /// Starts an execution and returns its ARN.
    pub async fn start(&self, input: &Value) -> String {
        deployment::start(&self.api, self.about(), input)
            .await
            .expect("starting an execution")
    }

    /// Starts an execution that deploys a whole repository, and returns its ARN.
    pub async fn start_deployment(&self, input: &Value) -> String {
        let machine = &self.about().deploy_state_machine_arn;
        let call = json!({"stateMachineArn": machine, "input": input.to_string()});
        let answer = self.call("states", "AWSStepFunctions.StartExecution", call).await;
        answer["executionArn"].as_str().expect("an ARN").to_owned()
    }

    /// Uploads a repository without starting an execution, and deploys it to the end, with more of the input.
    pub async fn deploy_repository(&self, project: &str, repository: &Repository, more: Value) -> Finished {
        let input = self.repository_input(project, repository, more).await;
        let execution = self.start_deployment(&input).await;
        self.finished_within(&execution, PATIENCE * 2).await
    }

    /// Uploads a repository and returns the input that deploys it, with the fields of `more` on top.
    pub async fn repository_input(&self, project: &str, repository: &Repository, more: Value) -> Value {
        let key = format!("uploads/{project}/{}/repository.zip", uuid::Uuid::new_v4());
        self.put(&key, repository.zip()).await;
        let mut input = json!({"project": project, "source": {"key": key}});
        for (name, value) in more.as_object().expect("more of an input is an object") {
            input[name] = value.clone();
        }
        input
    }

    /// Waits until the lock of a project's deployment `dev` is free.
    pub async fn deployment_released(&self, project: &str) {
        let key = format!("locks/{project}/dev.json");
        eventually("the release of a deployment's lock", || async {
            self.object(&key).await.is_none().then_some(())
        })
        .await;
    }

    /// The status of a whole deployment; null if there is none.
    pub async fn deployment_status(&self, project: &str, deployment: &str) -> Value {
        let path = format!("/sf/{project}/{deployment}");
        let found = deployment::parameters(&self.api, &path)
            .await
            .expect("reading parameters");
        let name = format!("{path}/status");
        let Some(found) = found.into_iter().find(|parameter| parameter.name == name) else {
            return Value::Null;
        };
        serde_json::from_str(&self.value(&found).await).expect("a status is JSON")
    }

    /// Waits for an execution's end.
    pub async fn finished(&self, execution: &str) -> Finished {
        self.finished_within(execution, PATIENCE).await
    }

    /// The same for an execution that takes longer than the usual wait of a test.
    pub async fn finished_within(&self, execution: &str, limit: Duration) -> Finished {
        self.ended_within(execution, limit).await;
        let finished = deployment::follow(&self.api, execution, Some(Duration::ZERO), |_| {}).await;
        finished.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Waits until an execution no longer runs. Its history is read only once, when it is complete: repeated reading
    /// keeps the emulator busier than the executions of all tests.
    async fn ended_within(&self, execution: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        let call = json!({"executionArn": execution});
        let mut described_by_functions = self.stack.proxy().watch_described_executions();
        loop {
            let described = self
                .call("states", "AWSStepFunctions.DescribeExecution", call.clone())
                .await;
            // An execution that still runs at the deadline is described by the reader of its history.
            if described["status"] != "RUNNING" || Instant::now() > deadline {
                return;
            }
            // A function asks about most executions when they have ended; the others are looked at once in a while.
            let named = async {
                while described_by_functions
                    .recv()
                    .await
                    .is_ok_and(|arn| arn != execution)
                {}
            };
            let _ = tokio::time::timeout(LONGEST_POLL, named).await;
        }
    }

    /// Runs an execution to its end.
    pub async fn execute(&self, input: &Value) -> Finished {
        let execution = self.start(input).await;
        self.finished(&execution).await
    }

    /// Deploys a module to the end.
    pub async fn deploy(&self, id: &ModuleId, module: &Module) -> Finished {
        self.deploy_with(id, module, json!({})).await
    }

    /// The same, with more of the input: `{"parameters": …, "force_update": …}`.
    pub async fn deploy_with(&self, id: &ModuleId, module: &Module, more: Value) -> Finished {
        self.execute(&self.input(id, module, more).await).await
    }

    /// Uploads a module and returns the input that deploys it, with the fields of `more` on top.
    pub async fn input(&self, id: &ModuleId, module: &Module, more: Value) -> Value {
        let source = self.upload(id, module).await;
        let mut input = deployment::input(id, &source, &Map::new(), false);
        for (name, value) in more.as_object().expect("more of an input is an object") {
            input[name] = value.clone();
        }
        input
    }

    /// The ARNs of all executions, the newest first.
    pub async fn executions(&self) -> Vec<String> {
        self.executions_of(&self.about().state_machine_arn).await
    }

    /// The ARNs of all executions of a state machine, the newest first.
    pub async fn executions_of(&self, state_machine: &str) -> Vec<String> {
        let call = json!({"stateMachineArn": state_machine, "maxResults": 1000});
        let answer = self.call("states", "AWSStepFunctions.ListExecutions", call).await;
        let listed = answer["executions"].as_array().cloned().unwrap_or_default();
        listed
            .iter()
            .filter_map(|execution| Some(execution["executionArn"].as_str()?.to_owned()))
            .collect()
    }

    /// An execution's history.
    pub async fn history(&self, execution: &str) -> Vec<Value> {
        deployment::history(&self.api, execution)
            .await
            .expect("reading a history")
    }

    // --- Parameters ---

    /// The parameters of a module: md5, metadata, outputs and status by these short names.
    pub async fn parameters(&self, id: &ModuleId) -> BTreeMap<String, Parameter> {
        let path = id.parameter_path();
        let found = deployment::parameters(&self.api, &path)
            .await
            .expect("reading parameters");
        let short = |parameter: &Parameter| parameter.name[path.len() + 1..].to_owned();
        found
            .into_iter()
            .map(|parameter| (short(&parameter), parameter))
            .collect()
    }

    /// The value of one of them as JSON; null if it doesn't exist.
    pub async fn parameter(&self, id: &ModuleId, name: &str) -> Value {
        let found = self.parameters(id).await.remove(name);
        found.map_or(Value::Null, |found| {
            serde_json::from_str(&found.value).expect("a parameter holds JSON")
        })
    }

    /// The value of any parameter.
    pub async fn value(&self, parameter: &Parameter) -> String {
        deployment::value(&self.api, &self.about().work_bucket, parameter)
            .await
            .expect("reading a value")
    }

    /// The number of writes of each.
    pub async fn versions(&self, id: &ModuleId) -> BTreeMap<String, u64> {
        self.parameters(id)
            .await
            .into_iter()
            .map(|(name, parameter)| (name, parameter.version))
            .collect()
    }

    /// Writes a parameter of any name.
    pub async fn put_parameter(&self, name: &str, value: &str) {
        let call = json!({"Name": name, "Value": value, "Type": "String", "Overwrite": true});
        self.call("ssm", "AmazonSSM.PutParameter", call).await;
    }

    // --- Builds and events ---

    /// A build as BatchGetBuilds answers it.
    pub async fn build(&self, id: &str) -> Value {
        deployment::build(&self.api, id).await.expect("reading a build")
    }

    /// All builds of a CodeBuild project, as BatchGetBuilds answers them; none if the project doesn't exist.
    pub async fn builds_of(&self, project: &str) -> Vec<Value> {
        self.builds_in(&self.api, project).await
    }

    /// The same in the account and region of a client.
    pub async fn builds_in(&self, api: &AwsApi, project: &str) -> Vec<Value> {
        let call = json!({"projectName": project});
        let listed = api
            .json("codebuild", "CodeBuild_20161006.ListBuildsForProject", &call)
            .await;
        let ids = match listed {
            Ok(listed) => listed["ids"].as_array().cloned().unwrap_or_default(),
            Err(error) if error.code == "ResourceNotFoundException" => Vec::new(),
            Err(error) => panic!("listing the builds of {project}: {error}"),
        };
        let mut builds = Vec::new();
        for id in &ids {
            let build = deployment::build(api, id.as_str().expect("an id")).await;
            builds.push(build.expect("reading a build"));
        }
        builds
    }

    /// The last lines of a build's log.
    pub async fn log(&self, build: &Value) -> Vec<String> {
        deployment::log_lines(&self.api, build, 1000)
            .await
            .expect("reading a build's log")
    }

    /// Waits until an execution has started its build, and returns that build's id.
    pub async fn build_of(&self, execution: &str) -> String {
        eventually("the start of a build", || async {
            self.history(execution).await.iter().find_map(|event| {
                let output = event["taskSucceededEventDetails"]["output"].as_str()?;
                let output: Value = serde_json::from_str(output).ok()?;
                Some(output["Payload"]["build_id"].as_str()?.to_owned())
            })
        })
        .await
    }

    /// Stops a build.
    pub async fn stop_build(&self, id: &str) {
        self.call("codebuild", "CodeBuild_20161006.StopBuild", json!({"id": id}))
            .await;
    }

    /// Sends an event by hand, as the CodeBuild emulator would.
    pub async fn send_event(&self, detail_type: &str, detail: &Value) {
        let entry = json!({"Source": EVENT_SOURCE, "DetailType": detail_type, "Detail": detail.to_string()});
        let answer = self
            .call("events", "AWSEvents.PutEvents", json!({"Entries": [entry]}))
            .await;
        assert_eq!(answer["FailedEntryCount"], 0, "an event was refused: {answer}");
    }

    /// Sends the event of a build's end, with only the fields that the workflow needs.
    pub async fn send_build_end(&self, build_id: &str, status: &str) {
        let Connection { region, account, .. } = self.about();
        let project = build_id.split(':').next().unwrap_or_default();
        let detail = json!({
            "build-status": status,
            "project-name": project,
            "build-id": format!("arn:aws:codebuild:{region}:{account}:build/{build_id}"),
        });
        self.send_event("CodeBuild Build State Change", &detail).await;
    }

    // --- The logs of functions ---

    /// The log lines of a function as JSON; other lines (the emulator's own) are left out.
    pub async fn lines(&self, function: &str) -> Vec<Value> {
        let mut call = json!({"logGroupName": format!("/aws/lambda/seedflow-{function}"), "limit": 10_000});
        let mut lines = Vec::new();
        loop {
            let page = self
                .call("logs", "Logs_20140328.FilterLogEvents", call.clone())
                .await;
            let messages = page["events"].as_array().into_iter().flatten();
            let texts = messages.filter_map(|event| event["message"].as_str());
            lines.extend(
                texts
                    .flat_map(str::lines)
                    .filter_map(|line| serde_json::from_str(line).ok()),
            );
            if page["nextToken"].is_null() {
                return lines;
            }
            call["nextToken"] = page["nextToken"].clone();
        }
    }

    /// Waits until a function has recorded a metric about an execution, or about a module if its execution is not
    /// known, and returns every value.
    pub async fn measured(&self, function: &str, metric: Metric, about: &str) -> Vec<f64> {
        eventually(&format!("{} of {about}", metric.name()), || async {
            let lines = self.lines(function).await;
            let ours = lines.iter().filter(|line| {
                line["execution"] == about || (line["execution"].is_null() && line["module"] == about)
            });
            let values: Vec<f64> = ours.filter_map(|line| line[metric.name()].as_f64()).collect();
            (!values.is_empty()).then_some(values)
        })
        .await
    }

    // --- The template ---

    /// The deployed resources of a type: their names by their names in the template.
    pub async fn resources(&self, kind: &str) -> BTreeMap<String, String> {
        self.resources_of("seedflow", kind).await
    }

    /// The same for another stack of CloudFormation.
    pub async fn resources_of(&self, stack: &str, kind: &str) -> BTreeMap<String, String> {
        let fields = [
            ("Action", "DescribeStackResources"),
            ("Version", "2010-05-15"),
            ("StackName", stack),
        ];
        let answer = self.api.form("cloudformation", &fields).await;
        let answer = answer.expect("listing the stack's resources");
        let field = |member: &str, name: &str| {
            let rest = member.split_once(&format!("<{name}>"))?.1;
            Some(rest.split_once("</")?.0.to_owned())
        };
        let of_kind = |member: &&str| field(member, "ResourceType").as_deref() == Some(kind);
        let names = |member| {
            Some((
                field(member, "LogicalResourceId")?,
                field(member, "PhysicalResourceId")?,
            ))
        };
        let members = answer.split("<member>").filter(of_kind);
        members.filter_map(names).collect()
    }

    // --- The proxy ---

    /// The number of calls of `service:Operation` by a caller.
    pub fn calls_of(&self, caller: Caller, name: &str) -> u64 {
        self.stack.proxy().calls().get(caller, name)
    }

    /// Adds a rule to the proxy until the guard is dropped. Tests that run at the same time share the proxy, so a test
    /// restricts its rule with `contains`.
    pub fn rule(&self, rule: Rule) -> RuleGuard<'_> {
        let proxy = self.stack.proxy();
        RuleGuard {
            proxy,
            id: proxy.add_rule(rule),
        }
    }

    /// Calls an operation of a service that speaks AWS's JSON protocol.
    pub async fn call(&self, service: &str, target: &str, input: Value) -> Value {
        self.api
            .json(service, target, &input)
            .await
            .unwrap_or_else(|error| panic!("{target}: {error}"))
    }
}

/// A rule of the proxy, which is active while this value exists.
pub struct RuleGuard<'a> {
    proxy: &'a Proxy,
    id: RuleId,
}

impl RuleGuard<'_> {
    /// How often it was applied.
    pub fn applied(&self) -> u32 {
        self.proxy.rule_applied(self.id)
    }
}

impl Drop for RuleGuard<'_> {
    fn drop(&mut self) {
        self.proxy.remove_rule(self.id);
    }
}

/// Checks until the value exists; panics after five minutes.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{what} did not come within {} s",
            PATIENCE.as_secs()
        );
        tokio::time::sleep((begun.elapsed() / 10).clamp(POLL, LONGEST_POLL)).await;
    }
}
