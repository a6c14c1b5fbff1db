//! Pull requests: planned by the build of `template-git.yaml`, and by the scripts of `integrations/`, each with a role that
//! can do nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use seedflow_e2e::code_host::{CodeHost, Comment, OWN, TOKEN};
use seedflow_e2e::{Module, Repository, TestStack, WorkTree, eventually, run};
use seedflow_local::aws_api::{AwsApi, Credentials};
use seedflow_local::git::hand_over;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::deployment::STACK;
use crate::iam_privileges::is_refusal;

/// A file of the checkout.
fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A template with some of its resources, and without what refers to others.
fn only(template: &str, resources: &[&str]) -> String {
    let mut kept = String::new();
    let (mut section, mut is_kept) = (String::new(), true);
    for line in template.lines() {
        let name = line.trim_end_matches(':').trim();
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            section = line.split(':').next().unwrap_or_default().to_owned();
            is_kept = !["Metadata", "Rules", "Outputs"].contains(&section.as_str());
        } else if section == "Resources" && line.starts_with("  ") && !line.starts_with("   ") {
            is_kept = resources.contains(&name) && line.ends_with(':');
        }
        if is_kept {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Deploys roles of a template by CloudFormation; the names of the roles, by those in the template.
async fn deploy(
    stack: &TestStack,
    name: &str,
    template: &str,
    parameters: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let mut fields = vec![
        ("Action".to_owned(), "CreateStack"),
        ("Version".to_owned(), "2010-05-15"),
        ("StackName".to_owned(), name),
        ("TemplateBody".to_owned(), template),
        ("Capabilities.member.1".to_owned(), "CAPABILITY_IAM"),
    ];
    for (number, (parameter, value)) in parameters.iter().enumerate() {
        let at = format!("Parameters.member.{}", number + 1);
        fields.push((format!("{at}.ParameterKey"), parameter));
        fields.push((format!("{at}.ParameterValue"), value));
    }
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    stack
        .client()
        .form("cloudformation", &fields)
        .await
        .expect("a stack");
    let describe = [
        ("Action", "DescribeStacks"),
        ("Version", "2010-05-15"),
        ("StackName", name),
    ];
    eventually("the stack's end", || async {
        let answer = stack.client().form("cloudformation", &describe).await;
        let answer = answer.expect("the stack");
        assert!(
            !answer.contains("FAILED") && !answer.contains("ROLLBACK"),
            "{answer}"
        );
        answer.contains("CREATE_COMPLETE").then_some(())
    })
    .await;
    stack.resources_of(name, "AWS::IAM::Role").await
}

async fn keys(stack: &TestStack, role: &str) -> Credentials {
    let arn = format!("arn:aws:iam::{}:role/{role}", stack.about().account);
    stack
        .client()
        .assume_role(&arn, "pull-requests")
        .await
        .expect("the keys of a role")
}

/// What a program of a role finds in its environment.
fn environment(stack: &TestStack, keys: &Credentials) -> Vec<(String, String)> {
    let mut variables = stack.client_environment().expect("an environment");
    let session = keys.session_token.clone().expect("a session");
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", keys.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key.clone()),
        ("AWS_SESSION_TOKEN", session),
    ] {
        variables.retain(|(known, _)| known != name);
        variables.push((name.to_owned(), value));
    }
    variables
}

/// Runs a command; returns its exit code and all that it said.
async fn ran(command: &mut Command) -> (Option<i32>, String) {
    let output = command
        .kill_on_drop(true)
        .output()
        .await
        .expect("starting a command");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// A repository with one module, which takes a variable.
fn repository() -> WorkTree {
    let tree = WorkTree::new();
    let phases = |command: &str| json!({"phases": {"build": {"commands": [command]}}});
    let deploy = phases("seedfarmer metadata add -k Where -v here");
    let module = Module::with_deployspec(&json!({"deploy": deploy, "preview": phases("env")}).to_string());
    let deployed = Repository::default().module("modules/m", &module);
    deployed.write(tree.folder());
    tree.write(
        "deployment.yaml",
        "name: dev\ngroups:\n- name: g\n  modules:\n  - {name: m, path: modules/m, parameters: [{name: where, value: '${STAGE}'}]}\n",
    );
    tree
}

/// What the role of the build is granted and refused; each call that would change something is refused.
async fn may_only_plan(stack: &TestStack, api: &AwsApi, project: &str) {
    let about = stack.about();
    let bucket = &about.work_bucket;
    let own = format!("uploads/_plans/{project}/repository.zip");
    api.put_object(bucket, &own, b"x".to_vec())
        .await
        .expect("its own upload");
    for key in [
        format!("sources/{project}/repository.zip"),
        format!("uploads/git/{project}/repository.zip"),
        format!("uploads/{project}/repository/x.zip"),
        "uploads/_plans/other/repository.zip".to_owned(),
        format!("plans/{project}"),
        format!("policies/{project}/dev.json"),
        format!("deployed/{project}/dev/g/m.json"),
    ] {
        let refused = api
            .put_object(bucket, &key, b"x".to_vec())
            .await
            .expect_err("a refusal");
        assert!(is_refusal(&refused), "{key}: {refused}");
    }
    let refused = api.read_object(bucket, &own).await.expect_err("a refusal");
    assert!(is_refusal(&refused), "{refused}");
    let start = |machine: &str| json!({"stateMachineArn": machine, "input": "{}"});
    let deploy = &about.deploy_state_machine_arn;
    let other = format!("{}:other", deploy.replace(":stateMachine:", ":execution:"));
    let secret = json!({"SecretId": "seedflow-git"});
    for (service, target, input) in [
        ("states", "AWSStepFunctions.StartExecution", start(deploy)),
        (
            "states",
            "AWSStepFunctions.StartExecution",
            start(&about.state_machine_arn),
        ),
        (
            "states",
            "AWSStepFunctions.StartExecution",
            start(&deploy.replace("-deploy", "-end-execution")),
        ),
        (
            "states",
            "AWSStepFunctions.ListExecutions",
            json!({"stateMachineArn": deploy}),
        ),
        (
            "states",
            "AWSStepFunctions.DescribeExecution",
            json!({"executionArn": other}),
        ),
        (
            "states",
            "AWSStepFunctions.StopExecution",
            json!({"executionArn": other}),
        ),
        (
            "codebuild",
            "CodeBuild_20161006.StartBuild",
            json!({"projectName": about.project_name}),
        ),
        (
            "ssm",
            "AmazonSSM.GetParametersByPath",
            json!({"Path": format!("/sf/{project}"), "Recursive": true}),
        ),
        ("secretsmanager", "secretsmanager.GetSecretValue", secret),
    ] {
        let refused = api.json(service, target, &input).await.expect_err("a refusal");
        assert!(is_refusal(&refused), "{target} {input}: {refused}");
    }
}

#[test]
fn the_build_of_a_pull_request_plans_with_a_role_that_can_do_nothing_else() {
    run(async {
        let (stack, project) = (STACK.get().await, "asked");
        let about = stack.about();
        let plan = about.deploy_state_machine_arn.replace("-deploy", "-plan");
        let template = only(
            &file(hand_over::TEMPLATE),
            &["PullRequestRole", "PullRequestLogGroup"],
        );
        let connection = format!(
            "arn:aws:codeconnections:us-east-1:{}:connection/c0ffee",
            about.account
        );
        let parameters = [
            ("Project", project),
            ("Provider", "GITHUB"),
            ("FullRepositoryId", "o/r"),
            ("ConnectionArn", &connection),
            ("PullRequests", "BRANCHES"),
            ("WorkBucketName", &about.work_bucket),
            ("DeployStateMachineArn", &about.deploy_state_machine_arn),
            ("PlanStateMachineArn", &plan),
        ];
        let roles = deploy(stack, "seedflow-git-asked", &template, &parameters).await;
        let keys = keys(stack, &roles["PullRequestRole"]).await;

        // A clone, as CodeBuild makes one.
        let tree = repository();
        tree.git(&["checkout", "--quiet", "-b", "feature"]);
        let clone = stack.folder().join("asked");
        let commands = hand_over::commands_of_pull_requests(&file(hand_over::TEMPLATE)).expect("commands");
        let script = hand_over::in_order(&commands, "exit 1");
        let build = async |id: &str| {
            let _ = std::fs::remove_dir_all(&clone);
            let (from, to) = (tree.folder().to_str().unwrap(), clone.to_str().unwrap());
            tree.git(&["clone", "--quiet", "--template=", from, to]);
            tree.git(&["-C", to, "checkout", "--quiet", "--detach"]);
            let mut bash = Command::new("bash");
            bash.args(["-c", &script])
                .current_dir(&clone)
                .env_clear()
                .envs(environment(stack, &keys))
                .envs([
                    ("PROJECT", project),
                    ("BRANCH", "main"),
                    ("PULL_REQUESTS", "BRANCHES"),
                    ("VARIABLES", r#"{"STAGE": "a-value-of-a-variable"}"#),
                    ("WORK_BUCKET", &about.work_bucket),
                    ("DEPLOY_STATE_MACHINE", &about.deploy_state_machine_arn),
                    ("PLAN_STATE_MACHINE", &plan),
                    ("CODEBUILD_BUILD_ID", id),
                    ("CODEBUILD_WEBHOOK_HEAD_REF", "refs/heads/feature"),
                ]);
            ran(&mut bash).await
        };
        let commit = tree.commit("Ask");
        let (code, said) = build("p:first").await;
        assert_eq!(code, Some(0), "{said}");
        let lines = format!(
            "plan of asked/dev, commit {commit}:\n  deploy g/m: first deployment\n  preview of g/m not run: no person with the right to deploy asked for previews (seedflow plan --preview); the plan of a pull request runs none\nin all: 1 deploy\n"
        );
        assert!(said.contains(&lines), "{said}");
        assert!(!said.contains("a-value-of-a-variable"), "{said}");

        // A refusal is the check's, and no one else's.
        tree.replace("deployment.yaml", "modules/m,", "modules/missing,");
        tree.commit("Break");
        let (code, said) = build("p:second").await;
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("deployment.yaml:") && said.contains("would be refused (InvalidManifest)"),
            "{said}"
        );

        may_only_plan(stack, &stack.client().with_credentials(keys), project).await;

        // Whatever is asked for, it is a plan.
        let key = "uploads/_plans/asked/asked-for-more.zip";
        stack.put(key, zip_of(&tree, "HEAD~1")).await;
        let more = json!({
            "project": project, "source": {"key": key}, "plan_only": false, "record_refusal": true,
            "env": {"STAGE": "x"}, "force_update": true, "preview": true,
        });
        let start = json!({"stateMachineArn": plan, "name": "pull-request-more", "input": more.to_string()});
        stack
            .call("states", "AWSStepFunctions.StartExecution", start)
            .await;
        let execution = about
            .deploy_state_machine_arn
            .replace(":stateMachine:", ":execution:");
        let execution = format!("{execution}:plan-pull-request-more");
        eventually("the execution that plans", || async {
            stack
                .executions_of(&about.deploy_state_machine_arn)
                .await
                .contains(&execution)
                .then_some(())
        })
        .await;
        let finished = stack.finished(&execution).await;
        assert_eq!(
            finished.output["counts"]["deploy"], 1,
            "{}: {}",
            finished.error, finished.cause
        );

        assert_eq!(
            finished.output["previews"][0]["state"], "not_run",
            "{}",
            finished.output
        );
        let builds = stack
            .builds_of(&format!("{}-read-only", about.project_name))
            .await;
        assert!(!json!(builds).to_string().contains("\"asked\""), "{builds:?}");

        assert_eq!(stack.deployment_status(project, "dev").await, Value::Null);
        assert_eq!(stack.keys("sources/asked/").await, [""; 0]);
        assert_eq!(stack.keys("reports/asked/").await, [""; 0]);
        assert_eq!(stack.keys("locks/asked/").await, [""; 0]);
    });
}

/// The zip of a commit.
fn zip_of(tree: &WorkTree, commit: &str) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let output = format!("--output={}", file.path().display());
    tree.git(&["archive", "--format=zip", &output, commit]);
    std::fs::read(file.path()).expect("a zip")
}

/// A role of `integrations/roles.yaml`, which trusts the account here: the local stack has no tokens of a code host.
async fn of_a_pipeline(stack: &TestStack, role: &str) -> Credentials {
    let account = &stack.about().account;
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
    }]});
    let trust = trust.to_string();
    let fields = [
        ("Action", "UpdateAssumeRolePolicy"),
        ("Version", "2010-05-08"),
        ("RoleName", role),
        ("PolicyDocument", &trust),
    ];
    stack.client().form("iam", &fields).await.expect("a trust");
    keys(stack, role).await
}

#[test]
fn pipelines_keep_one_comment_and_their_roles_suffice() {
    run(async {
        let (stack, project) = (STACK.get().await, "merged");
        let about = stack.about();
        let provider = format!(
            "arn:aws:iam::{}:oidc-provider/token.actions.githubusercontent.com",
            about.account
        );
        let parameters = [
            ("Provider", "GITHUB"),
            ("OidcProviderArn", &provider),
            ("Repository", "o/r"),
            ("Project", project),
            ("WorkBucketName", &about.work_bucket),
        ];
        let roles = deploy(
            stack,
            "seedflow-pipeline",
            &file("integrations/roles.yaml"),
            &parameters,
        )
        .await;
        let plan = of_a_pipeline(stack, &roles["PlanRole"]).await;
        let apply = of_a_pipeline(stack, &roles["ApplyRole"]).await;

        let seedflow = seedflow_e2e::command_line::command(stack, &[]).await;
        let seedflow = seedflow.as_std().get_program().to_owned();
        let tree = repository();
        let commit = tree.commit("Begin");
        let script = async |name: &str, keys: &Credentials, host: &[(&str, &str)]| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../integrations")
                .join(name);
            let mut bash = Command::new("bash");
            bash.arg(path)
                .arg(tree.folder())
                .args(["--project", project, "--env", "STAGE=x"])
                .env_clear()
                .envs(environment(stack, keys))
                .env("SEEDFLOW", &seedflow)
                .envs(host.iter().copied());
            ran(&mut bash).await
        };
        let other = |body: &str| Comment {
            author: "somebody".to_owned(),
            body: body.to_owned(),
        };
        // More than a page, and one that is only made to look like ours.
        let mut others = vec![other("nice"); 120];
        others[3] = other("<!-- seedflow  -->\nmine");
        let code_host = CodeHost::start(others.clone());
        let server = code_host.address();
        let github = [
            ("GITHUB_API_URL", server),
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_TOKEN", TOKEN),
            ("GITHUB_SHA", &commit),
            ("GITHUB_SERVER_URL", "https://github.example"),
            ("GITHUB_RUN_ID", "9"),
            ("SEEDFLOW_GITHUB_NUMBER", "7"),
        ];
        let ours = |code_host: &CodeHost| {
            let comments = code_host.comments();
            assert_eq!(
                (&comments[..120], comments.len()),
                (&others[..], 121),
                "{:#?}",
                comments.last()
            );
            assert_eq!(comments[120].author, OWN);
            comments[120].body.clone()
        };
        let log = format!("[log](https://github.example/o/r/actions/runs/9) of {commit}");

        // A plan, the same again, and one that is refused: the comment is always the same one.
        for _ in 0..2 {
            let (code, said) = script("plan.sh", &plan, &github).await;
            assert_eq!(code, Some(0), "{said}");
            let body = ours(&code_host);
            assert!(
                body.starts_with("<!-- seedflow  -->\n### merged/dev: 1 to deploy"),
                "{body}"
            );
            assert!(
                body.contains("| deploy | `g/m` | first deployment |") && body.contains(&log),
                "{body}"
            );
        }
        assert_eq!(stack.deployment_status(project, "dev").await, Value::Null);
        tree.replace("deployment.yaml", "modules/m,", "modules/missing,");
        let (code, said) = script("plan.sh", &plan, &github).await;
        assert_eq!(code, Some(4), "{said}");
        assert!(
            ours(&code_host).contains("\n    deployment.yaml:"),
            "{}",
            ours(&code_host)
        );
        tree.replace("deployment.yaml", "modules/missing,", "modules/m,");

        // The role of pull requests can't deploy.
        let (code, said) = script("apply.sh", &plan, &github).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(
            ours(&code_host).contains("### seedflow apply: failed (exit code 1)"),
            "{said}"
        );
        assert_eq!(stack.deployment_status(project, "dev").await, Value::Null);

        let (code, said) = script("apply.sh", &apply, &github).await;
        assert_eq!(code, Some(0), "{said}");
        let body = ours(&code_host);
        assert!(
            body.contains("### seedflow apply: deployed") && body.contains("ok merged/dev: 1 deployed"),
            "{body}"
        );
        assert!(body.contains(&log), "{body}");

        // GitLab, whose token is wrong at first: nothing is swallowed.
        let code_host = CodeHost::start(others.clone());
        let server = code_host.address();
        let gitlab = |token| {
            [
                ("CI_API_V4_URL", server),
                ("CI_PROJECT_ID", "5"),
                ("CI_COMMIT_SHA", &commit),
                ("CI_JOB_URL", "https://gitlab.example/jobs/9"),
                ("CI_MERGE_REQUEST_IID", "7"),
                ("SEEDFLOW_GITLAB_TOKEN", token),
            ]
        };
        let (code, said) = script("plan.sh", &plan, &gitlab("wrong")).await;
        assert!(code == Some(1) && said.contains("answered 401"), "{said}");
        let (code, said) = script("plan.sh", &plan, &gitlab(TOKEN)).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(
            ours(&code_host).contains("### merged/dev: 1 unchanged"),
            "{}",
            ours(&code_host)
        );
        let (code, said) = script("apply.sh", &apply, &gitlab(TOKEN)).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(
            ours(&code_host).contains("[log](https://gitlab.example/jobs/9)"),
            "{said}"
        );
    });
}
