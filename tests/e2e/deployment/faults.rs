//! Every call of the functions during a whole deployment is throttled, or its function is killed with it. The
//! deployment succeeds nevertheless, the module is built once, and the lock is free at the end. Failing and unanswered
//! calls use the same code as those of a module, which the faults of modules cover.

use std::sync::LazyLock;

use seedflow_core::storage_layout::fetched_commit_key;
use seedflow_e2e::{Action, Caller, Group, Repository, Rule, When, run};
use seedflow_fixtures::git_server::GitServer;
use serde_json::json;
use tokio::task::JoinSet;

use super::{STACK, id_of};

/// One group of one module.
const ONE: &[Group<'_>] = &[("network", &[("vpc", &[])])];

/// How many deployments run at once.
const AT_ONCE: usize = 8;

/// A call by service and operation, and what its request contains: `{p}` is the project, `{fetched}` the zip of a commit
/// of another host, which then stores the module.
type Call = (&'static str, &'static str, &'static str, &'static str);
const CALLS: [Call; 12] = [
    ("take-lock", "s3", "PutObject", "locks/{p}/dev.json"),
    ("read-repository", "s3", "GetObject", "uploads/{p}/"),
    ("find-source", "s3", "HeadObject", "{fetched}"),
    ("store-source", "s3", "PutObject", "{fetched}"),
    ("read-state", "ssm", "GetParametersByPath", "/sf/{p}/dev"),
    // The modules of a deployment share its policy, so a fault of one module can't know whose read it disturbs.
    ("read-policy", "s3", "GetObject", "policies/{p}/dev.json"),
    ("look-for-rules", "s3", "GetObject", "policies/{p}/dev.rego"),
    ("store-bundle", "s3", "PutObject", "uploads/{p}/dev/network/vpc/"),
    ("look-at-lock", "s3", "GetObject", "locks/{p}/dev.json"),
    ("write-status", "ssm", "PutParameter", "/sf/{p}/dev/status"),
    ("read-status", "ssm", "GetParameters", "/sf/{p}/dev/status"),
    ("free-lock", "s3", "DeleteObject", "locks/{p}/dev.json"),
];

/// The fault of a call: its name, how often, and its kind.
fn faults(service: &str) -> [(&'static str, u32, Action); 3] {
    [
        ("throttled", 5, Action::throttled(service)),
        ("killed-before", 1, Action::Kill(When::Before)),
        ("killed-after", 1, Action::Kill(When::After)),
    ]
}

/// The host of the modules that are not in the repository.
static HOST: LazyLock<GitServer> = LazyLock::new(GitServer::start);

/// A repository whose module another host stores, and the key of the fetched commit.
fn hosted(project: &str) -> (Repository, String) {
    let hosted = HOST.repository(project);
    Repository::deploying(ONE).write(hosted.folder());
    let url = HOST.url(&format!("public/{project}.git"));
    let key = fetched_commit_key(url.trim_end_matches(".git"), &hosted.commit());
    let module = json!({"name": "vpc", "path": format!("git::{url}//modules/network-vpc?ref=main")});
    let manifest = json!({"name": "dev", "groups": [{"name": "network", "modules": [module]}]});
    let repository = Repository::default().file("deployment.yaml", manifest.to_string());
    (repository, key)
}

/// Deploys a project of its own under a fault; returns the errors.
async fn deploy_under(
    (name, service, operation, contains): Call,
    fault: (&str, u32, Action),
) -> Option<String> {
    let stack = STACK.get().await;
    let (how, times, action) = fault;
    let project = format!("{how}-{name}");
    let (repository, key) = match contains {
        "{fetched}" => hosted(&project),
        contains => (Repository::deploying(ONE), contains.replace("{p}", &project)),
    };
    let rule = Rule::new(service, operation, action)
        .contains(&key)
        .caller(Caller::Functions)
        .times(times);
    let rule = stack.rule(rule);
    let finished = stack.deploy_repository(&project, &repository, json!({})).await;
    stack.deployment_released(&project).await;
    let status = stack.deployment_status(&project, "dev").await;
    let module = stack.parameter(&id_of(&project, "network/vpc"), "status").await;
    let builds = builds(&project).await;
    let right = finished.state() == "SUCCEEDED"
        && status["state"] == "SUCCEEDED"
        && status["modules"] == json!({"SUCCEEDED": 1})
        && module["state"] == "SUCCEEDED"
        && status["cause"].is_null()
        && module["cause"].is_null()
        && builds == 1
        && rule.applied() == times;
    (!right).then(|| {
        format!(
            "{project}: {} {} {}; {status}; {module}; {builds} builds, the fault {} of {times} times",
            finished.state(),
            finished.error,
            finished.cause,
            rule.applied()
        )
    })
}

/// The number of builds of a project's modules.
async fn builds(project: &str) -> usize {
    let stack = STACK.get().await;
    let builds = stack.builds_of(&stack.about().project_name).await;
    let ours = |build: &&serde_json::Value| {
        let variables = build["environment"]["environmentVariables"].as_array();
        variables.is_some_and(|variables| {
            variables
                .iter()
                .any(|v| v["name"] == "SEEDFARMER_PROJECT_NAME" && v["value"] == project)
        })
    };
    builds.iter().filter(ours).count()
}

#[test]
fn a_deployment_succeeds_despite_faults_in_its_calls() {
    run(async {
        let mut wrong = Vec::new();
        let mut running = JoinSet::new();
        for call in CALLS {
            for fault in faults(call.1) {
                if running.len() >= AT_ONCE {
                    wrong.extend(running.join_next().await.and_then(Result::unwrap));
                }
                running.spawn(deploy_under(call, fault));
            }
        }
        wrong.extend(running.join_all().await.into_iter().flatten());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}
