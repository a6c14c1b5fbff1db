//! Pull requests of `template-git.yaml`: which ones are planned, what their build may do, and that nothing of them runs.
//!
//! The build's commands run in a clone, as CodeBuild makes it, with the real git and an emulator of `aws`;
//! `e2e/pull_requests.rs` runs them with the build's role on the local stack.
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use seedflow_contract::{Template, WorkTree, file};
use seedflow_core::deployment::manifest_options::ManifestOptions;
use seedflow_local::git::hand_over::{self, Phase};
use serde_json::{Value, json};
use tempfile::TempDir;

fn resources() -> Value {
    Template::read(hand_over::TEMPLATE).resources()
}

// --- The template ---

#[test]
fn pull_requests_into_the_branch_are_planned_and_those_of_forks_only_after_an_approval() {
    let resources = resources();
    let triggers = &resources["PullRequestProject"]["Properties"]["Triggers"];
    let expected = json!({
        "Webhook": true,
        "BuildType": "BUILD",
        "FilterGroups": [[
            {"Type": "EVENT", "Pattern": ["Providers", "Provider", "PullRequestEvents"]},
            {"Type": "BASE_REF", "Pattern": ["^refs/heads/${branch}$", {"branch": ["[.]", [".", "Branch"]]}]},
        ]],
        "PullRequestBuildPolicy": {
            "RequiresCommentApproval": "FORK_PULL_REQUESTS", "ApproverRoles": ["Providers", "Provider", "Writers"],
        },
    });
    assert_eq!(*triggers, expected);
    let template = Template::read(hand_over::TEMPLATE).json();
    let providers = &template["Mappings"]["Providers"];
    for (provider, reopened) in [("GITHUB", true), ("GITLAB", true), ("BITBUCKET", false)] {
        let events = providers[provider]["PullRequestEvents"].as_str().unwrap();
        assert!(events.starts_with("PULL_REQUEST_CREATED, PULL_REQUEST_UPDATED"));
        assert_eq!(events.contains("REOPENED"), reopened, "{provider}");
        assert!(!events.contains("PUSH") && !events.contains("MERGED"), "{events}");
        let writers = providers[provider]["Writers"].to_string();
        assert!(
            !["READ", "TRIAGE", "GUEST", "PLANNER", "REPORTER"]
                .iter()
                .any(|r| writers.contains(r)),
            "{writers}"
        );
    }
    // Nothing of it is there unless somebody asks for it.
    assert_eq!(template["Parameters"]["PullRequests"]["Default"], "NONE");
    for name in ["PullRequestProject", "PullRequestRole", "PullRequestLogGroup"] {
        assert_eq!(resources[name]["Condition"], "HasPullRequests");
    }
}

#[test]
fn the_build_reports_its_status_and_the_repository_has_no_word_in_it() {
    let project = &resources()["PullRequestProject"]["Properties"];
    let source = &project["Source"];
    assert_eq!(source["ReportBuildStatus"], true);
    assert_eq!(
        source["BuildStatusConfig"]["Context"],
        json!([
            "HasName",
            "seedflow plan ${Project}/${Name}",
            "seedflow plan ${Project}"
        ])
    );
    assert_eq!(source["GitSubmodulesConfig"], json!({"FetchSubmodules": false}));
    assert!(source["BuildSpec"].as_str().unwrap().starts_with("version: 0.2"));
    assert_eq!(project["ServiceRole"], "PullRequestRole.Arn");
    assert_eq!(project["Environment"]["PrivilegedMode"], Value::Null);
    // Builds of modules are denied projects with this beginning (KeepFromOurProjects in template.yaml).
    assert_eq!(
        project["Name"],
        json!([
            "HasName",
            "git-hand-over-${Project}_${Name}__plan",
            "git-hand-over-${Project}__plan"
        ])
    );
}

#[test]
fn its_role_can_upload_for_a_plan_start_plans_and_read_its_own_and_nothing_else() {
    let resources = resources();
    let role = &resources["PullRequestRole"]["Properties"];
    let policies = role["Policies"].as_array().unwrap();
    assert_eq!((policies.len(), &role["ManagedPolicyArns"]), (1, &Value::Null));
    let statements = policies[0]["PolicyDocument"]["Statement"].as_array().unwrap();
    let allowed: Vec<(&Value, &Value)> = statements
        .iter()
        .map(|one| (&one["Action"], &one["Resource"]))
        .collect();
    let folder = json!({"Folder": ["HasName", "${Project}/${Name}", "Project"]});
    let key = json!([
        "arn:${AWS::Partition}:s3:::${WorkBucketName}/uploads/_plans/${Folder}/repository.zip",
        folder
    ]);
    let machine = json!({"StateMachine": [6, [":", "DeployStateMachineArn"]]});
    let own = json!([
        "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${StateMachine}:plan-pull-request-*",
        machine
    ]);
    let of_handing_over =
        resources["HandOverRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
            .as_array()
            .unwrap();
    let connection = of_handing_over[of_handing_over.len() - 2..]
        .iter()
        .map(|one| (&one[1]["Action"], &one[1]["Resource"]));
    let rights = [json!("s3:PutObject"), json!("states:StartExecution")];
    let (read, log) = (
        json!("states:DescribeExecution"),
        json!(["logs:CreateLogStream", "logs:PutLogEvents"]),
    );
    let (plan, group) = (json!("PlanStateMachineArn"), json!("PullRequestLogGroup.Arn"));
    let expected: Vec<(&Value, &Value)> = [
        (&rights[0], &key),
        (&rights[1], &plan),
        (&read, &own),
        (&log, &group),
    ]
    .into_iter()
    .chain(connection)
    .collect();
    assert_eq!(allowed, expected);
    // Its use of the connection is as limited as that of the hand-over.
    let last = of_handing_over.len() - 1;
    assert_eq!(statements[5]["Condition"], of_handing_over[last][1]["Condition"]);
}

// --- Its commands ---

const AWS: &str = r#"#!/usr/bin/env bash
said=("$@")
of() {
  for ((i = 0; i < ${#said[@]}; i++)); do
    if [ "${said[i]}" = "$1" ]; then printf %s "${said[i + 1]}"; fi
  done
}
case "$1 $2" in
  "s3api put-object") cp "$(of --body)" "$STORE/object" && of --metadata >"$STORE/metadata" && of --key >"$STORE/key" && echo version-1 ;;
  "stepfunctions start-execution") of --state-machine-arn >"$STORE/machine" && of --name >"$STORE/name" && of --input >"$STORE/asked" ;;
  "stepfunctions describe-execution")
    of --execution-arn >"$STORE/read"
    # Not started yet.
    if [ -e "$STORE/unseen" ]; then rm "$STORE/unseen" && exit 254; fi
    cat "$STORE/plan" ;;
  *) exit 2 ;;
esac
"#;

/// A build of a clone of a repository, with an emulator of `aws` that stores its arguments.
struct Build {
    store: TempDir,
    clone: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Build {
    /// The build of the newest commit of a repository, cloned with its branches as CodeBuild does.
    fn of(repository: &WorkTree) -> Self {
        let store = tempfile::tempdir().unwrap();
        let clone = store.path().join("clone");
        let aws = store.path().join("aws");
        std::fs::write(&aws, AWS).unwrap();
        std::fs::set_permissions(&aws, std::fs::Permissions::from_mode(0o755)).unwrap();
        let build = Self {
            store,
            clone,
            variables: Vec::new(),
        };
        let head = repository.git(&["rev-parse", "HEAD"]);
        let (from, to) = (
            repository.folder().to_str().unwrap(),
            build.clone.to_str().unwrap(),
        );
        repository.git(&["clone", "--quiet", "--template=", from, to]);
        repository.git(&["-C", to, "checkout", "--quiet", "--detach", head.trim()]);
        build.plans(&planned());
        build
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn set(&self, name: &str, content: &str) {
        std::fs::write(self.store.path().join(name), content).unwrap();
    }

    fn plans(&self, plan: &Value) {
        self.set("plan", &serde_json::to_string_pretty(plan).unwrap());
    }

    fn stored(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.store.path().join(name)).ok()
    }

    /// Runs commands; returns whether they succeeded, and what they said.
    fn run(&self, commands: &[String]) -> (bool, String) {
        let path = format!(
            "{}:{}",
            self.store.path().display(),
            std::env::var("PATH").unwrap()
        );
        let deploy = "arn:aws:states:eu-west-1:123456789012:stateMachine:seedflow-deploy";
        let mut bash = Command::new("bash");
        bash.arg("-c")
            .arg(hand_over::in_order(commands, "exit 1"))
            .current_dir(&self.clone)
            .envs([
                ("PROJECT", "p"),
                ("BRANCH", "main"),
                ("PULL_REQUESTS", "BRANCHES"),
                ("WORK_BUCKET", "bucket"),
                ("DEPLOY_STATE_MACHINE", deploy),
                ("PLAN_STATE_MACHINE", "arn:plan"),
                ("CODEBUILD_BUILD_ID", "git-hand-over-p__plan:uuid"),
                ("CODEBUILD_START_TIME", "1"),
            ])
            .envs(self.variables.iter().cloned())
            .env_remove("AWS_ENDPOINT_URL")
            .env("PATH", path)
            .env("STORE", self.store.path())
            .env("TMPDIR", self.store.path());
        let output = bash.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    fn plan(&self) -> (bool, String) {
        self.run(&hand_over::commands_of_pull_requests(&file(hand_over::TEMPLATE)).unwrap())
    }
}

fn planned() -> Value {
    let output = json!({
        "deployment": {"project": "p", "deployment": "dev"}, "counts": {"deploy": 1, "unchanged": 0, "destroy": 0},
        "modules": [{"group": "g", "module": "a", "action": "deploy", "reasons": ["parameter size changed"],
                     "changes": [{"what": "parameter size", "old": "2", "new": "a-value"}]}],
        "approval": {"reasons": ["the policy asks for one"]},
    });
    json!({"executionArn": "arn:the-plan", "status": "SUCCEEDED", "output": output.to_string(), "input": "{}"})
}

/// A repository with the branch `feature`, which is its newest commit and one ahead of `main`.
fn repository() -> WorkTree {
    let repository = WorkTree::new();
    repository.write("deployment.yaml", "name: dev\n");
    repository.commit("Begin");
    repository.git(&["checkout", "--quiet", "-b", "feature"]);
    repository.write("more", "");
    repository.commit("Ask");
    repository
}

const FEATURE: &str = "refs/heads/feature";

#[test]
fn a_pull_request_is_uploaded_where_nothing_is_deployed_from_planned_and_shown() {
    let repository = repository();
    let commit = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    let build = Build::of(&repository)
        .with("CODEBUILD_WEBHOOK_HEAD_REF", FEATURE)
        .with("NAME", "dev")
        .with("MANIFEST", "m.yaml")
        .with("VARIABLES", "{\"A\": \"é\"}");
    build.set("unseen", "");
    let (succeeded, said) = build.plan();
    assert!(succeeded, "{said}");
    let lines = format!(
        "the plan: arn:the-plan\nplan of p/dev, commit {commit}:\n  deploy g/a: parameter size changed\nin all: 1 deploy\nwould wait for an approval: the policy asks for one\n"
    );
    assert!(
        said.contains(&lines) && !said.contains("a-value") && !said.contains("note:"),
        "{said}"
    );
    let key = "uploads/_plans/p/dev/repository.zip";
    assert_eq!(build.stored("key").unwrap(), key);
    let asked: Value = serde_json::from_str(&build.stored("asked").unwrap()).unwrap();
    assert_eq!(
        asked,
        json!({"project": "p", "source": {"key": key, "version_id": "version-1"}})
    );
    assert_eq!(
        (
            build.stored("machine").unwrap().as_str(),
            build.stored("name").unwrap().as_str()
        ),
        ("arn:plan", "pull-request-uuid")
    );
    assert_eq!(
        build.stored("read").unwrap(),
        "arn:aws:states:eu-west-1:123456789012:execution:seedflow-deploy:plan-pull-request-uuid"
    );
    let metadata: Value = serde_json::from_str(&build.stored("metadata").unwrap()).unwrap();
    let options = ManifestOptions::from_metadata(|name| metadata[name].as_str()).unwrap();
    assert_eq!(
        (options.manifest.as_deref(), options.env["A"].as_str()),
        (Some("m.yaml"), "é")
    );
    assert_eq!(metadata["commit"], json!(commit));
}

#[test]
fn a_pull_request_that_would_be_refused_fails_the_check_and_says_why() {
    let build = Build::of(&repository());
    let plan = |output: Value| {
        build.plans(&json!({"executionArn": "a", "status": "SUCCEEDED", "output": output.to_string()}));
        build.plan()
    };
    let of = json!({"project": "p", "deployment": "dev"});
    let broken =
        json!({"deployment": of, "counts": {}, "modules": [], "policy": {"broken": ["protect: data/*"]}});
    let denied = json!({"deployment": of, "counts": {}, "modules": [], "rego": {"deny": ["no destroys on Fridays"], "warn": ["late"]}});
    let blocked = json!({"deployment": of, "counts": {"blocked": 1}, "modules": []});
    for (output, why) in [
        (broken, "refused by the policy: protect: data/*"),
        (
            denied,
            "warned by the policy: late\nrefused by the policy: deny: no destroys on Fridays",
        ),
        (blocked, "1 blocked"),
    ] {
        let (succeeded, said) = plan(output);
        assert!(
            !succeeded && said.contains(why) && said.contains("would be refused"),
            "{said}"
        );
    }
    build.plans(
        &json!({"executionArn": "a", "status": "FAILED", "error": "InvalidManifest", "cause": "m.yaml:6: no"}),
    );
    let (succeeded, said) = build.plan();
    assert!(
        !succeeded && said.contains("m.yaml:6: no\nerror: commit "),
        "{said}"
    );
}

#[test]
fn a_commit_of_a_fork_is_refused_unless_approved_ones_are_wanted() {
    let repository = repository();
    let build = || Build::of(&repository).with("CODEBUILD_WEBHOOK_HEAD_REF", FEATURE);
    // As on AWS, the commit of the fork is checked out, and its branch is not here. A branch of the repository has the
    // name of the fork's.
    let fork = |build: &Build| {
        let clone = build.clone.to_str().unwrap().to_owned();
        let commit = ["-c", "user.name=x", "-c", "user.email=x"];
        let commit = [
            &["-C", &clone][..],
            &commit,
            &["commit", "--quiet", "--allow-empty", "-m", "Fork"],
        ];
        repository.git(&commit.concat());
    };
    let refused = build();
    fork(&refused);
    let (succeeded, said) = refused.plan();
    assert!(!succeeded && said.contains("found one from a fork"), "{said}");
    assert_eq!(refused.stored("key"), None);
    let approved = build().with("PULL_REQUESTS", "APPROVED_FORKS");
    fork(&approved);
    let (succeeded, said) = approved.plan();
    assert!(succeeded, "{said}");
}

#[test]
fn what_the_branch_has_and_the_pull_request_lacks_is_said() {
    let repository = repository();
    repository.git(&["checkout", "--quiet", "main"]);
    repository.commit("Meanwhile");
    repository.git(&["checkout", "--quiet", "feature"]);
    let (succeeded, said) = Build::of(&repository)
        .with("CODEBUILD_WEBHOOK_HEAD_REF", FEATURE)
        .plan();
    assert!(
        succeeded && said.contains("note: main has 1 commits that this pull request lacks"),
        "{said}"
    );
}

/// Everything that git, Python or a shell could run: a filter that the machine knows, modules with the names of Python's,
/// hooks, a branch whose name is a command.
fn hostile() -> (WorkTree, &'static str) {
    let branch = "$(touch${IFS}$STORE/ran)`touch${IFS}$STORE/ran`";
    let repository = WorkTree::new();
    let python = "open(__import__('os').environ['STORE'] + '/ran', 'w')\n";
    for module in ["json.py", "os.py", "sitecustomize.py", "usercustomize.py"] {
        repository.write(module, python);
    }
    repository.write(".python-version", "9.9.9\n");
    repository.write(".gitattributes", "* filter=known diff=known merge=known\n");
    repository.write("hooks/post-checkout", "#!/bin/sh\ntouch \"$STORE/ran\"\n");
    repository.write(".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:9\n");
    repository.write("deployment.yaml", "name: dev\n");
    repository.git(&["checkout", "--quiet", "-b", branch]);
    repository.commit_as("$(touch $STORE/ran) <\"; touch $STORE/ran>", "Attack");
    (repository, branch)
}

/// A machine whose git knows a filter, as `git lfs install` sets one, and whose `python3` obeys a file of the current
/// directory, as pyenv's does.
fn on_a_machine_of_traps(build: Build) -> Build {
    let (folder, python) = (build.store.path().to_owned(), which("python3"));
    let config = folder.join("gitconfig");
    let filter = "touch $STORE/ran; cat";
    std::fs::write(
        &config,
        format!("[filter \"known\"]\n\tsmudge = \"{filter}\"\n\tclean = \"{filter}\"\n\trequired = true\n"),
    )
    .unwrap();
    let shim = format!(
        "#!/bin/sh\nif [ -e .python-version ]; then echo 'pyenv: version not installed'; exit 127; fi\nexec {} \"$@\"\n",
        python.display()
    );
    let python = folder.join("python3");
    std::fs::write(&python, shim).unwrap();
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
    build.with("GIT_CONFIG_GLOBAL", config.to_str().unwrap())
}

fn which(program: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap();
    let found = path
        .split(':')
        .map(|folder| Path::new(folder).join(program))
        .find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("found no {program}"))
}

#[test]
fn nothing_of_a_repository_runs() {
    let (repository, branch) = hostile();
    let head = format!("refs/heads/{branch}");
    let hand_over = hand_over::commands(&file(hand_over::TEMPLATE), &[Phase::Prepare, Phase::Check]).unwrap();
    let pull_request = hand_over::commands_of_pull_requests(&file(hand_over::TEMPLATE)).unwrap();
    for commands in [pull_request, hand_over] {
        let build = on_a_machine_of_traps(Build::of(&repository)).with("CODEBUILD_WEBHOOK_HEAD_REF", &head);
        let (succeeded, said) = build.run(&commands);
        assert!(succeeded, "{said}");
        assert_eq!(build.stored("ran"), None, "{said}");
        assert!(said.contains("in all: 1 deploy"), "{said}");
        // The files are there as git has them.
        let zip = std::fs::File::open(build.store.path().join("object")).unwrap();
        let mut zip = zip::ZipArchive::new(zip).unwrap();
        assert!(zip.by_name("json.py").is_ok());
    }
}
