//! Runs cases and compares their ends with the expectations.

use std::collections::BTreeMap;
use std::path::PathBuf;

use seedflow_core::target::Target;
use seedflow_e2e::{
    Action, Caller, Finished, Module, ModuleId, Rule, RuleGuard, TestStack, assert_explained, destruction,
    eventually, module_id, run,
};
use seedflow_local::aws_api::AwsApi;
use seedflow_local::client::deployment;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

use super::{About, Amount, Build, Call, End, Fault, FaultCase};
use crate::{MINUTE, STACK};

/// The stack of a module's own role.
const MODULE_STACK: &str = r#"
Parameters:
  RoleName: {Type: String}
Resources:
  Policy:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: module
      PolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "sns:ListTopics", Resource: "*"}]}
      Roles: [!Ref RoleName]
"#;

/// The number of simultaneous deployments. Most of them wait most of the time.
static AT_ONCE: Semaphore = Semaphore::const_new(16);

/// The values that a late build returns.
const HAND_BACK: &str = "seedfarmer metadata add -k Case -v here";

/// Runs all cases at the same time, and panics with the names of those that ended otherwise than expected.
pub fn run_cases(cases: impl IntoIterator<Item = FaultCase>) {
    run(async {
        let stack = STACK.get().await;
        let mut running = JoinSet::new();
        let mut names = BTreeMap::new();
        for case in cases {
            let name = case.name.clone();
            let task = running.spawn(async move {
                let _permit = AT_ONCE.acquire().await.unwrap();
                case.run(stack).await;
            });
            names.insert(task.id(), name);
        }
        let mut failed = Vec::new();
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended {
                let name = &names[&error.id()];
                failed.push(format!("{name}: {}", why(error)));
            }
        }
        assert!(
            failed.is_empty(),
            "{} of {} cases failed:\n{}",
            failed.len(),
            names.len(),
            failed.join("\n")
        );
    });
}

/// The message of a case's panic; the case runs on a thread whose output belongs to no test.
fn why(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "was cancelled".to_owned();
    };
    match panic.downcast::<String>() {
        Ok(said) => *said,
        Err(_) => "panicked".to_owned(),
    }
}

/// The module of a case, and its resources.
struct Subject {
    id: ModuleId,
    /// The target in which it is deployed; `None` at home.
    at: Option<Target>,
    /// The CodeBuild project. It ends with a character that no case's name contains, so none is the beginning of
    /// another.
    project: String,
    /// The file for which a late build waits.
    gate: PathBuf,
}

impl Subject {
    fn new(stack: &TestStack, case: &str, at: Option<Target>) -> Self {
        let gates = stack.folder().join("gates");
        std::fs::create_dir_all(&gates).unwrap();
        Self {
            // The bundle's key names neither project nor case but for the group.
            id: module_id("faults", "dev", case, "m"),
            at,
            project: format!("{}-{case}_", stack.about().project_name),
            gate: gates.join(case),
        }
    }

    /// A client of the account and region in which it is deployed.
    fn api(&self, stack: &TestStack) -> AwsApi {
        self.at
            .as_ref()
            .map_or_else(|| stack.client().clone(), |at| stack.api_in(at))
    }

    /// The id of a build with its target, as statuses and registrations have it.
    fn placed(&self, build: &str) -> String {
        self.at
            .as_ref()
            .map_or_else(|| build.to_owned(), |at| format!("{at}/{build}"))
    }

    /// What the input has besides the module.
    fn more(&self) -> Value {
        let mut more = json!({"build": {"project_name": self.project}});
        if let Some(at) = &self.at {
            more["target"] = json!(at);
        }
        more
    }

    /// The name of the module's role and stack.
    fn own_names(&self) -> seedflow_core::module::role::RoleAndStackName {
        seedflow_core::module::role::RoleAndStackName::new("seedflow-module-", &self.id).unwrap()
    }

    fn destructible(&self) -> Module {
        let phases = json!({"phases": {"build": {"commands": ["true"]}}});
        Module::with_deployspec(&json!({"deploy": phases, "destroy": phases}).to_string())
    }

    fn module(&self, build: Build) -> Module {
        // The function needs a moment between registering the token, which opens the gate, and reading the build, which
        // must still run then.
        let late = format!(
            "until [ -e '{}' ]; do sleep 0.1; done; sleep 1",
            self.gate.display()
        );
        match build {
            Build::Quick => Module::running("build", &["true"]),
            Build::Late => Module::running("build", &[&late, HAND_BACK]),
            Build::Failing => Module::running("build", &["exit 3"]),
        }
    }

    fn rule(&self, fault: &Fault, text: &str) -> Rule {
        let Call {
            service,
            operation,
            skip,
            ..
        } = fault.call;
        let rule = Rule::new(service, operation, fault.action.clone())
            .contains(text)
            .skip(skip);
        // For events, CodeBuild's calls count, unless the case is about an event of a function; for everything else,
        // only the functions' calls count.
        let rule = match fault.call.about {
            About::Project if service == "events" => rule.caller(Caller::Codebuild),
            _ => rule.caller(Caller::Functions),
        };
        match fault.amount {
            Amount::Times(times) => rule.times(times),
            Amount::Minute => rule.lasting(MINUTE),
            Amount::Always => rule,
        }
    }

    /// The text that a call about this module contains; `None` while it is not known.
    fn text(&self, about: About, known: &Known) -> Option<String> {
        let case = &self.id.group;
        Some(match about {
            About::Source => format!("/uploads/faults/dev/{case}/m/"),
            About::Lock => format!("/{}", self.lock()),
            About::Execution => known.execution.clone()?,
            About::Bundle => format!("/dev/{case}/m/bundle.zip"),
            About::Kept => format!("/deployed/faults/dev/{case}/m.zip"),
            About::Record => format!("/deployed/faults/dev/{case}/m.json"),
            About::RecordVersions => format!("deployed%2Ffaults%2Fdev%2F{case}%2Fm.json"),
            About::Callback => format!("/callbacks/{}", self.placed(&self.project)),
            About::Report => format!("/reports/faults/dev/{case}/m/"),
            About::HandedBack => format!("/{}/metadata.json", known.folder.clone()?),
            About::Parameters => format!("/dev/{case}-m/"),
            About::Parameter(name) => format!("/dev/{case}-m/{name}\""),
            About::Project => self.project.clone(),
            About::Event(state) => format!("dev/{case}/m in project faults {state}"),
            About::AnyLog => "/aws/codebuild/".to_owned(),
            About::Settings => "/seedflow-targets/seedflow".to_owned(),
            About::TargetRole(kind) => {
                let region = self.at.as_ref().map(Target::region)?;
                format!("seedflow-target-{region}-{kind}")
            }
            About::Stack => format!("StackName=faults-dev-{case}-m"),
            About::Role => format!("RoleName={}", self.own_names().role),
            About::RoleStack => format!("StackName={}", self.own_names().stack),
            About::Values => format!("values%2Ffaults%2Fdev%2F{case}%2F"),
        })
    }

    fn lock(&self) -> String {
        format!("locks/faults/dev/{}/m.json", self.id.group)
    }
}

/// The facts about a deployment that are known only while it runs.
#[derive(Default)]
struct Known {
    /// The execution's ARN.
    execution: Option<String>,
    /// The build's folder in its bucket.
    folder: Option<String>,
}

/// The rules of a case's faults, from the time at which their texts are known.
struct Rules<'a> {
    stack: &'a TestStack,
    subject: &'a Subject,
    waiting: Vec<&'a Fault>,
    set: Vec<(&'a Fault, RuleGuard<'a>)>,
}

impl<'a> Rules<'a> {
    fn new(stack: &'a TestStack, subject: &'a Subject, faults: &'a [Fault]) -> Self {
        Self {
            stack,
            subject,
            waiting: faults.iter().collect(),
            set: Vec::new(),
        }
    }

    /// Sets the rules whose texts are known by now.
    fn set(&mut self, known: &Known) {
        for fault in std::mem::take(&mut self.waiting) {
            match self.subject.text(fault.call.about, known) {
                Some(text) => {
                    let rule = self.stack.rule(self.subject.rule(fault, &text));
                    self.set.push((fault, rule));
                }
                None => self.waiting.push(fault),
            }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// The folder of a build in its bucket, by the location of its source.
fn folder(build: &Value) -> String {
    let source = build["source"]["location"]
        .as_str()
        .expect("the source's location");
    let (_, key) = source.split_once('/').expect("a bucket and a key");
    key.strip_suffix("/source.zip")
        .expect("the source's name")
        .to_owned()
}

impl FaultCase {
    async fn run(&self, stack: &TestStack) {
        let at = self.target.map(|at| at.parse().expect("a target"));
        let subject = Subject::new(stack, &self.name, at);
        let mut rules = Rules::new(stack, &subject, &self.faults);
        let mut known = Known::default();
        let input = self.input(stack, &subject).await;
        rules.set(&known);
        let execution = stack.start(&input).await;
        known.execution = Some(execution.clone());
        rules.set(&known);
        if self.build == Build::Late {
            let id = stack.build_of(&execution).await;
            let id = id.rsplit('/').next().expect("an id");
            let build = deployment::build(&subject.api(stack), id).await;
            known.folder = Some(folder(&build.expect("reading a build")));
            rules.set(&known);
            self.end_build(stack, &subject).await;
        }
        let finished = stack.finished(&execution).await;
        self.check_strikes(rules).await;
        if self.redelivered {
            stack
                .send_build_end(finished.build_id().expect("a build"), "SUCCEEDED")
                .await;
        }
        self.check(stack, &subject, &finished).await;
        if self.then {
            std::fs::write(&subject.gate, "").unwrap();
            self.check_next(stack, &input).await;
        }
    }

    /// The input of the disturbed execution. If it destroys the module or rolls it back, the module is deployed before.
    async fn input(&self, stack: &TestStack, subject: &Subject) -> Value {
        if self.rolls_back {
            return self.rollback(stack, subject).await;
        }
        let more = subject.more();
        let module = if self.destroys {
            subject.destructible()
        } else {
            subject.module(self.build)
        };
        let module = if self.role {
            module.file("modulestack.yaml", MODULE_STACK)
        } else {
            module
        };
        let input = stack.input(&subject.id, &module, more).await;
        if !self.destroys {
            return input;
        }
        let deployed = stack.execute(&input).await;
        assert_eq!(deployed.state(), "SUCCEEDED", "{}: {}", self.name, deployed.cause);
        stack.released(&subject.id).await;
        destruction(&subject.id)
    }

    /// The input of a rollback, after deployments of two bundles.
    async fn rollback(&self, stack: &TestStack, subject: &Subject) -> Value {
        for command in ["true", "true second"] {
            let more = subject.more();
            let module = Module::running("build", &[command]);
            let deployed = stack.deploy_with(&subject.id, &module, more).await;
            assert_eq!(deployed.state(), "SUCCEEDED", "{}: {}", self.name, deployed.cause);
            stack.released(&subject.id).await;
        }
        let mut input = json!(subject.id);
        input["action"] = json!("rollback");
        input
    }

    /// Lets a late build end once the token is registered.
    async fn end_build(&self, stack: &TestStack, subject: &Subject) {
        let prefix = format!("callbacks/{}", subject.placed(&subject.project));
        let registered = eventually("the registration of a token", || async {
            stack.keys(&prefix).await.into_iter().next()
        })
        .await;
        if self.unregistered {
            stack.delete(&registered).await;
        }
        std::fs::write(&subject.gate, "").unwrap();
    }

    /// Every fault has occurred as often as it should; nothing after that is disturbed. The last calls are made after
    /// the execution's end.
    async fn check_strikes(&self, rules: Rules<'_>) {
        let name = &self.name;
        assert_eq!(rules.set.len(), self.faults.len(), "{name}");
        for (fault, rule) in &rules.set {
            let wanted = match (fault.amount, &fault.action) {
                // A write with a lost answer is done: the SDK repeats it and finds it done. The repetitions of a
                // redelivery are not disturbed.
                (Amount::Times(times), action) if *action != Action::LoseAnswer && !self.redelivered => times,
                _ => 1,
            };
            eventually(&format!("{name}: strike {wanted} of a fault"), || async {
                (rule.applied() >= wanted).then_some(())
            })
            .await;
        }
    }

    async fn check(&self, stack: &TestStack, subject: &Subject, finished: &Finished) {
        let name = &self.name;
        let context = format!(
            "{name}: {} {}: {}",
            finished.status, finished.error, finished.cause
        );
        // Without the lock, nothing more is written.
        self.check_left(stack, subject).await;
        if self.destroys {
            self.check_gone(stack, subject, finished).await;
            return;
        }
        let status = stack.parameter(&subject.id, "status").await;
        let (error, state) = match self.end {
            End::Succeeded => ("", "SUCCEEDED"),
            End::Failed(error) => (error, "FAILED"),
            End::NotRecorded => ("StatusNotRecorded", "FAILED"),
        };
        assert_eq!(finished.error, error, "{context}");
        assert_eq!(status["state"], state, "{context} {status}");
        match self.end {
            End::Succeeded => assert_eq!(status["cause"], Value::Null, "{context} {status}"),
            End::Failed(_) | End::NotRecorded => assert_explained(&status),
        }
        assert_eq!(status["execution"], json!(finished.execution), "{name}");
        let builds = stack.builds_in(&subject.api(stack), &subject.project).await;
        assert_eq!(builds.len(), self.builds, "{name}: builds");
        let run_on = builds.iter().any(|build| build["buildComplete"] != true);
        assert!(!run_on, "{name}: a build runs on");
        if self.end == End::Succeeded {
            let of_status = |build: &&Value| status["build_id"] == subject.placed(text(&build["id"]));
            let last = builds.iter().find(of_status);
            self.check_agreement(stack, subject, last.expect("the build of the status"))
                .await;
        }
        let written = stack.versions(&subject.id).await;
        assert!(
            written.len() == self.written.len()
                && self
                    .written
                    .iter()
                    .all(|(slot, times)| written.get(*slot).is_some_and(|w| times.contains(w))),
            "{name}: found {written:?}, expected {:?}",
            self.written
        );
        if self.crash {
            // The error's name depends on the emulator, and differs on a busy machine.
            let history = stack.history(&finished.execution).await;
            let failed = history.iter().any(|event| event["type"] == "TaskFailed");
            assert!(failed, "{name}: no task failed");
        }
    }

    /// The four parameters belong to the one build that ran.
    async fn check_agreement(&self, stack: &TestStack, subject: &Subject, build: &Value) {
        let name = &self.name;
        let parameter = async |slot| stack.parameter(&subject.id, slot).await;
        let (status, metadata) = (parameter("status").await, parameter("metadata").await);
        assert_eq!(build["buildStatus"], "SUCCEEDED", "{name}");
        assert_eq!(status["build_id"], subject.placed(text(&build["id"])), "{name}");
        assert_eq!(
            metadata["CodeBuildBuildId"],
            subject.placed(text(&build["id"])),
            "{name}"
        );
        if self.build == Build::Late {
            assert_eq!(metadata["Case"], "here", "{name}");
        }
        assert_eq!(parameter("outputs").await, json!({}), "{name}");
        let variables = build["environment"]["environmentVariables"].as_array().unwrap();
        let built = variables
            .iter()
            .find(|variable| variable["name"] == "SEEDFARMER_MODULE_MD5")
            .unwrap();
        assert_eq!(parameter("md5").await["bundle"], built["value"], "{name}");
    }

    /// Nothing is stored of the module, and no resource made for it remains.
    async fn check_gone(&self, stack: &TestStack, subject: &Subject, finished: &Finished) {
        let name = &self.name;
        assert_eq!(
            finished.state(),
            "DESTROYED",
            "{name}: {} {}",
            finished.error,
            finished.cause
        );
        assert_eq!(stack.versions(&subject.id).await, BTreeMap::new(), "{name}");
        let kept = format!("deployed/faults/dev/{}/m.", subject.id.group);
        assert_eq!(stack.keys(&kept).await, [""; 0], "{name}");
        let builds = stack.builds_in(&subject.api(stack), &subject.project).await;
        assert_eq!(builds.len(), self.builds, "{name}: builds");
        let role = subject.own_names().role;
        let role = [
            ("Action", "GetRole"),
            ("Version", "2010-05-08"),
            ("RoleName", &role),
        ];
        assert!(subject.api(stack).form("iam", &role).await.is_err(), "{name}");
    }

    /// No registration exists for the build, and the lock is free.
    async fn check_left(&self, stack: &TestStack, subject: &Subject) {
        let name = &self.name;
        eventually(&format!("{name}: the end of the lock"), || async {
            stack.object(&subject.lock()).await.is_none().then_some(())
        })
        .await;
        let prefix = format!("callbacks/{}", subject.placed(&subject.project));
        // The task is answered before the registration is removed.
        eventually(&format!("{name}: the end of the registration"), || async {
            stack.keys(&prefix).await.is_empty().then_some(())
        })
        .await;
    }

    async fn check_next(&self, stack: &TestStack, input: &Value) {
        let next = stack.execute(input).await;
        let expected = match (self.end, self.build) {
            // Nothing is deployed.
            _ if self.destroys => "UNCHANGED",
            (End::Succeeded, _) => "UNCHANGED",
            (_, Build::Failing) => "FAILED",
            _ => "SUCCEEDED",
        };
        assert_eq!(
            next.state(),
            expected,
            "{}, then: {} {}",
            self.name,
            next.error,
            next.cause
        );
    }
}
