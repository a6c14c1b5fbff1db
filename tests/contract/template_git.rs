//! `template-git.yaml`: which pushes start a build, what that build may do, and that its commands upload a commit.
//!
//! The emulator supports neither connections nor CodeCommit, so nothing deploys this template here: the linters check
//! its types, and this test checks its promises. The build's commands run with the real git and an emulator of `aws`;
//! `git_push.rs` runs them against the local stack.
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use seedflow_contract::{Template, WorkTree, file};
use seedflow_core::deployment::manifest_options::ManifestOptions;
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_local::git::hand_over;
use seedflow_local::git::hand_over::Phase;
use serde_json::{Value, json};
use tempfile::TempDir;

fn text() -> String {
    file(hand_over::TEMPLATE)
}

fn resources() -> Value {
    Template::read(hand_over::TEMPLATE).resources()
}

// --- The template ---

#[test]
fn a_webhook_lets_pushes_to_the_branch_through_and_nothing_else() {
    let triggers = &resources()["HandOverProject"]["Properties"]["Triggers"];
    let expected = json!({
        "Webhook": true,
        "BuildType": "BUILD",
        "FilterGroups": [[
            {"Type": "EVENT", "Pattern": "PUSH"},
            {"Type": "HEAD_REF", "Pattern": ["^refs/heads/${branch}$", {"branch": ["[.]", [".", "Branch"]]}]},
        ]],
    });
    assert_eq!(*triggers, json!(["HasWebhook", expected, "AWS::NoValue"]));
}

/// The name of the project and of the rule: one for each hand-over of a project.
fn hand_over_name() -> Value {
    json!([
        "HasName",
        "git-hand-over-${Project}_${Name}",
        "git-hand-over-${Project}"
    ])
}

#[test]
fn codecommit_s_event_of_a_push_to_the_branch_starts_the_build() {
    let resources = resources();
    let rule = &resources["PushRule"];
    assert_eq!(rule["Condition"], "IsCodeCommit");
    let pattern = &rule["Properties"]["EventPattern"];
    assert_eq!(pattern["account"], json!(["AWS::AccountId"]));
    assert_eq!(pattern["replay-name"], json!([{"exists": false}]));
    // Builds are denied names with this beginning (KeepFromOurRules in template.yaml).
    assert_eq!(rule["Properties"]["Name"], hand_over_name());
    assert_eq!(pattern["source"], json!(["aws.codecommit"]));
    assert_eq!(
        pattern["detail-type"],
        json!(["CodeCommit Repository State Change"])
    );
    let repository = pattern["resources"][0].as_str().unwrap();
    assert!(repository.ends_with(":${RepositoryName}"), "{repository}");
    let detail = json!({
        "event": ["referenceCreated", "referenceUpdated"],
        "referenceType": ["branch"],
        "referenceName": ["Branch"],
    });
    assert_eq!(pattern["detail"], detail);
    let target = &rule["Properties"]["Targets"][0];
    assert_eq!(target["Arn"], "HandOverProject.Arn");
    let allowed = &resources["PushRuleRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"];
    let start = json!([{"Sid": "StartTheBuild", "Effect": "Allow", "Action": "codebuild:StartBuild", "Resource": "HandOverProject.Arn"}]);
    assert_eq!(*allowed, start);
}

#[test]
fn the_build_reads_its_repository_has_it_planned_and_writes_one_object_and_its_log() {
    let resources = resources();
    let policies = &resources["HandOverRole"]["Properties"]["Policies"];
    assert_eq!(policies.as_array().unwrap().len(), 1);
    let statements = policies[0]["PolicyDocument"]["Statement"].as_array().unwrap();
    let [object, upload, plan, read_plan, log, codecommit, connection, used] = statements.as_slice() else {
        panic!("eight statements")
    };
    let key = json!([
        "arn:${AWS::Partition}:s3:::${WorkBucketName}/sources/${Folder}/repository.zip",
        {"Folder": ["HasName", "${Project}/${Name}", "Project"]},
    ]);
    assert_eq!(
        (&object["Resource"], &object["Action"]),
        (&key, &json!(["s3:GetObject", "s3:PutObject"]))
    );
    let checked = json!([
        "arn:${AWS::Partition}:s3:::${WorkBucketName}/uploads/git/${Folder}/repository.zip",
        {"Folder": ["HasName", "${Project}/${Name}", "Project"]},
    ]);
    assert_eq!(
        (&upload["Resource"], &upload["Action"]),
        (&checked, &json!("s3:PutObject"))
    );
    assert_eq!(
        (&plan["Resource"], &plan["Action"]),
        (
            &json!("DeployStateMachineArn"),
            &json!(["states:StartExecution", "states:ListExecutions"])
        )
    );
    assert_eq!(read_plan["Action"], "states:DescribeExecution");
    let executions = read_plan["Resource"][0].as_str().unwrap();
    assert!(
        executions.ends_with(":execution:${StateMachine}:*"),
        "{executions}"
    );
    assert_eq!(log["Resource"], "HandOverLogGroup.Arn");
    let only_if = |condition: &str, statement: &Value| {
        let [case, statement, otherwise] = statement.as_array().unwrap().as_slice() else {
            panic!("an !If")
        };
        assert_eq!((case, otherwise), (&json!(condition), &json!("AWS::NoValue")));
        statement.clone()
    };
    let codecommit = only_if("IsCodeCommit", codecommit);
    assert_eq!(codecommit["Action"], "codecommit:GitPull");
    assert!(
        codecommit["Resource"]
            .as_str()
            .unwrap()
            .ends_with(":${RepositoryName}")
    );
    let prefixes = ["codeconnections", "codestar-connections"];
    let connection = only_if("HasWebhook", connection);
    assert_eq!(connection["Resource"], "ConnectionArn");
    let read =
        prefixes.map(|p| ["GetConnection", "GetConnectionToken"].map(|action| format!("{p}:{action}")));
    assert_eq!(connection["Action"], json!(read.as_flattened()));
    // Connections give access to more than one repository, and to writing.
    let used = only_if("HasWebhook", used);
    assert_eq!(used["Resource"], "ConnectionArn");
    assert_eq!(
        used["Action"],
        json!(prefixes.map(|p| format!("{p}:UseConnection")))
    );
    let limits: serde_json::Map<String, Value> = prefixes
        .iter()
        .flat_map(|p| {
            [
                (format!("{p}:FullRepositoryId"), json!("FullRepositoryId")),
                (format!("{p}:ProviderPermissionsRequired"), json!("read_only")),
            ]
        })
        .collect();
    assert_eq!(used["Condition"], json!({"StringEqualsIfExists": limits}));
    assert!(resources["HandOverRole"]["Properties"]["ManagedPolicyArns"].is_null());
}

#[test]
fn the_repository_has_no_word_in_its_own_hand_over() {
    let resources = resources();
    let project = &resources["HandOverProject"]["Properties"];
    assert!(
        project["Source"]["BuildSpec"]
            .as_str()
            .unwrap()
            .starts_with("version: 0.2")
    );
    let variables = project["Environment"]["EnvironmentVariables"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|v| v["Name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "PROJECT",
            "NAME",
            "BRANCH",
            "MANIFEST",
            "VARIABLES",
            "ENV_FILES",
            "ENV_PATH",
            "WORK_BUCKET",
            "DEPLOY_STATE_MACHINE"
        ]
    );
    assert_eq!(project["Environment"]["PrivilegedMode"], Value::Null);
    // Inputs of modules may name projects that start with that of the builds, `seedflow`.
    assert_eq!(project["Name"], hand_over_name());
}

// --- Its commands ---

/// Where the emulator of `aws` stores the one object.
struct Store {
    folder: TempDir,
    /// Variables of the build, besides those that every build has.
    options: Vec<(&'static str, String)>,
}

const AWS: &str = r#"#!/usr/bin/env bash
said=("$@")
of() {
  for ((i = 0; i < ${#said[@]}; i++)); do
    if [ "${said[i]}" = "$1" ]; then printf %s "${said[i + 1]}"; fi
  done
}
key=$(of --key)
case "$1 $2" in
  "s3api head-object") cat "$STORE/handed-over-at" ;;
  "s3api put-object")
    [ ! -e "$STORE/refuses" ] || { echo "upload failed: AccessDenied" >&2; exit 1; }
    case $key in
      uploads/git/*) printf %s "$key" >"$STORE/checked" && echo version-1 ;;
      *) cp "$(of --body)" "$STORE/object" && printf %s "$key" >"$STORE/key" && of --metadata >"$STORE/metadata" && echo version-2 ;;
    esac ;;
  "stepfunctions start-execution") of --input >"$STORE/asked" && echo arn:plan ;;
  "stepfunctions list-executions") 
    if [ -e "$STORE/object" ] && [ ! -e "$STORE/no-execution" ]; then printf 'arn:other\tarn:execution\t'; fi
    printf 'arn:plan\tarn:older\n' ;;
  "stepfunctions describe-execution")
    case "$(of --execution-arn) $(of --query)" in
      "arn:execution input") printf '{"source": {"key": "%s"}}' "$(cat "$STORE/key")" ;;
      "arn:other input") echo '{"source": {"key": "sources/other/repository.zip"}}' ;;
      *)
        # Not shown yet.
        if [ -e "$STORE/unseen" ]; then rm "$STORE/unseen" && exit 254; fi
        cat "$STORE/plan" ;;
    esac ;;
  *) exit 2 ;;
esac
"#;

/// The state machine that plans.
const MACHINE: &str = "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:seedflow-deploy";

/// A plan that was made, as `describe-execution` shows it.
fn planned() -> Value {
    let output = json!({
        "deployment": {"project": "p", "deployment": "dev"}, "counts": {"deploy": 1, "unchanged": 1, "destroy": 0},
        "modules": [
            {"group": "g", "module": "a", "action": "DEPLOY", "reasons": ["bundle changed", "forced"]},
            {"group": "g", "module": "b", "action": "UNCHANGED", "reasons": ["unchanged"]},
        ],
    });
    json!({"executionArn": "arn:plan", "status": "SUCCEEDED", "output": output.to_string(), "input": "{}"})
}

impl Store {
    fn new() -> Self {
        let store = Self {
            folder: tempfile::tempdir().unwrap(),
            options: Vec::new(),
        };
        let aws = store.folder.path().join("aws");
        std::fs::write(&aws, AWS).unwrap();
        std::fs::set_permissions(&aws, std::fs::Permissions::from_mode(0o755)).unwrap();
        store.plans(&planned());
        store
    }

    /// What is answered to who asks for the plan.
    fn plans(&self, plan: &Value) {
        self.set("plan", &serde_json::to_string_pretty(plan).unwrap());
    }

    fn set(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.path().join(name)).ok()
    }

    fn metadata(&self) -> Value {
        serde_json::from_slice(&self.get("metadata").expect("something was handed over")).unwrap()
    }

    /// Runs the build of a checkout; returns whether it succeeded, and its output.
    fn build(&self, repository: &WorkTree, branch: &str, started: &str) -> (bool, String) {
        let commands = hand_over::commands(&text(), &Phase::ALL).unwrap();
        let path = format!(
            "{}:{}",
            self.folder.path().display(),
            std::env::var("PATH").unwrap()
        );
        let mut bash = Command::new("bash");
        bash.arg("-c")
            .arg(hand_over::in_order(&commands, "exit 1"))
            .current_dir(repository.folder());
        bash.envs([
            ("PROJECT", "p"),
            ("BRANCH", branch),
            ("WORK_BUCKET", "bucket"),
            ("DEPLOY_STATE_MACHINE", MACHINE),
        ]);
        bash.envs(self.options.iter().cloned());
        bash.env_remove("AWS_ENDPOINT_URL")
            .env("CODEBUILD_START_TIME", started)
            .env("PATH", path)
            .env("STORE", self.folder.path())
            .env("TMPDIR", self.folder.path());
        let output = bash.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }
}

#[test]
fn a_commit_is_handed_over_as_a_zip_with_its_author_and_branch() {
    let repository = WorkTree::new();
    repository.write("deployment.yaml", "name: dev\n");
    repository.write("modules/a/deployspec.yaml", "deploy: {}\n");
    let author = "Jürgen \"J.\" O'Brien, 山田 <j@example.com>";
    let commit = repository.commit_as(author, "Begin");
    repository.write("not-committed", "");
    let store = Store::new();
    let branch = "feature/ü\"x";
    store.set("unseen", "");
    let (succeeded, said) = store.build(&repository, branch, "1700000000000");
    assert!(succeeded, "{said}");
    assert!(
        said.contains(&format!(
            "handed over commit {commit} of {branch} to s3://bucket/sources/p/repository.zip"
        )),
        "{said}"
    );
    assert_eq!(store.get("key").unwrap(), b"sources/p/repository.zip");
    // The plan is of the version that was uploaded for it, and its lines are shown before anything is handed over.
    let asked: Value = serde_json::from_slice(&store.get("asked").unwrap()).unwrap();
    let expected = json!({
        "project": "p", "source": {"key": "uploads/git/p/repository.zip", "version_id": "version-1"},
        "plan_only": true, "record_refusal": true,
    });
    assert_eq!(asked, expected);
    let lines = "  deploy g/a: bundle changed, forced\n  unchanged g/b: unchanged\nin all: 1 deploy, 1 unchanged\nhanded over";
    assert!(said.contains(lines), "{said}");
    let console = "https://cn-north-1.console.amazonaws.cn/states/home?region=cn-north-1#/v2/executions/details/arn:execution";
    for line in [
        "execution: arn:execution",
        &format!("follow it: {console}"),
        "pages: s3://bucket/index/p.html",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let zip = std::io::Cursor::new(store.get("object").unwrap());
    let mut zip = zip::ZipArchive::new(zip).unwrap();
    let names: Vec<_> = (0..zip.len())
        .map(|i| zip.by_index(i).unwrap().name().unwrap().into_owned())
        .collect();
    assert_eq!(
        names,
        [
            "deployment.yaml",
            "modules/",
            "modules/a/",
            "modules/a/deployspec.yaml"
        ]
    );
    let metadata = store.metadata();
    assert_eq!(metadata["handed-over-at"], "1700000000000");
    let origin = CommitInfo::from_metadata(|name| metadata[name].as_str());
    assert_eq!(
        (origin.commit(), origin.author(), origin.branch()),
        (Some(commit.as_str()), Some(author), Some(branch))
    );
}

#[test]
fn a_long_author_is_cut_and_everything_said_fits_into_s3_s_two_kilobytes() {
    let repository = WorkTree::new();
    let author = format!("x{} <j@example.com>", "é".repeat(2000));
    repository.commit_as(&author, "Begin");
    let mut store = Store::new();
    // As long as the template's parameters may be.
    let long = |length| "x".repeat(length);
    let variables = format!("{{\"A\": \"{}\"}}", "é".repeat(145));
    store.options = vec![
        ("NAME", long(20)),
        ("MANIFEST", long(200)),
        ("VARIABLES", variables.clone()),
        ("ENV_FILES", long(200)),
        ("ENV_PATH", format!("/{}", long(199))),
    ];
    let branch = "b".repeat(200);
    let (succeeded, said) = store.build(&repository, &branch, "1");
    assert!(succeeded, "{said}");
    let metadata = store.metadata();
    let length: usize = metadata
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| name.len() + value.as_str().unwrap().len())
        .sum();
    assert!(length < 2048, "{length}");
    let author = metadata["author"].as_str().unwrap();
    assert!(author.is_ascii());
    let origin = CommitInfo::from_metadata(|name| metadata[name].as_str());
    assert!(
        origin.author().unwrap().starts_with("xéé"),
        "{:?}",
        origin.author()
    );
    let options = ManifestOptions::from_metadata(|name| metadata[name].as_str()).unwrap();
    assert_eq!(options.manifest, Some(long(200)));
    assert_eq!(options.env["A"], "é".repeat(145));
    assert_eq!(options.env_files, [long(200)]);
    assert_eq!(options.env_path, Some(format!("/{}", long(199))));
    let key = format!("p/{}/repository.zip", long(20));
    assert_eq!(store.get("key").unwrap(), format!("sources/{key}").as_bytes());
    assert_eq!(
        store.get("checked").unwrap(),
        format!("uploads/git/{key}").as_bytes()
    );
}

#[test]
fn the_older_of_two_builds_does_not_have_the_last_word() {
    let repository = WorkTree::new();
    repository.commit("Begin");
    let store = Store::new();
    for (held, started, handed_over) in [
        ("2000\tc0ffee", "1999", false),
        ("2000", "2000", true),
        ("2000", "2001", true),
        // Uploaded by hand, without this metadata.
        ("None", "1", true),
    ] {
        store.set("handed-over-at", held);
        let _ = std::fs::remove_file(store.folder.path().join("object"));
        let (succeeded, said) = store.build(&repository, "main", started);
        assert!(succeeded, "{said}");
        assert_eq!(store.get("object").is_some(), handed_over, "{held} {started}");
        assert_eq!(said.contains("a newer push was quicker"), !handed_over, "{said}");
        assert_eq!(said.contains("execution: "), handed_over, "{said}");
    }
}

#[test]
fn an_older_build_names_the_commit_that_replaced_its_own() {
    let repository = WorkTree::new();
    repository.commit("Begin");
    let store = Store::new();
    store.set("handed-over-at", "2000\tc0ffee");
    let (_, said) = store.build(&repository, "main", "1999");
    assert!(
        said.contains("a newer push was quicker, with commit c0ffee\n"),
        "{said}"
    );
}

#[test]
fn a_commit_that_is_refused_fails_the_build_with_the_errors_and_is_not_handed_over() {
    let repository = WorkTree::new();
    let commit = repository.commit("Begin");
    let store = Store::new();
    store.plans(&json!({
        "executionArn": "arn:plan", "status": "FAILED", "error": "InvalidManifest",
        "cause": "deployment.yaml:6: path: found nothing at \"m\"\ndeployment.yaml:9: value: found no text",
    }));
    let (succeeded, said) = store.build(&repository, "main", "1");
    assert!(!succeeded, "{said}");
    let refused = format!(
        "deployment.yaml:6: path: found nothing at \"m\"\ndeployment.yaml:9: value: found no text\n\
         error: commit {commit} is refused (InvalidManifest); nothing of it is deployed\nthe plan: arn:plan\n"
    );
    assert!(said.contains(&refused), "{said}");
    assert!(store.get("object").is_none());
}

#[test]
fn an_execution_that_is_not_found_does_not_fail_what_was_handed_over() {
    let repository = WorkTree::new();
    repository.commit("Begin");
    let store = Store::new();
    store.set("no-execution", "");
    // The tries are a second apart.
    let sleep = store.folder.path().join("sleep");
    std::fs::write(&sleep, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&sleep, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (succeeded, said) = store.build(&repository, "main", "1");
    assert!(succeeded, "{said}");
    assert!(
        said.contains(&format!("/statemachines/view/{MACHINE}\n")) && !said.contains("execution: "),
        "{said}"
    );
}

#[test]
fn a_time_in_the_future_does_not_hold_off_later_pushes() {
    let repository = WorkTree::new();
    repository.commit("Begin");
    let store = Store::new();
    let date = store.folder.path().join("date");
    std::fs::write(&date, "#!/bin/sh\necho 1700000000\n").unwrap();
    std::fs::set_permissions(&date, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (held, handed_over) in [
        // The build of another push, started after this one by a clock that is a little ahead.
        ("1700000200000", false),
        ("1700000300001", true),
        ("4102444800000", true),
        ("99999999999999999999999", true),
    ] {
        store.set("handed-over-at", held);
        let _ = std::fs::remove_file(store.folder.path().join("object"));
        let (succeeded, said) = store.build(&repository, "main", "1699999990000");
        assert!(succeeded, "{said}");
        assert_eq!(store.get("object").is_some(), handed_over, "{held}: {said}");
        assert_eq!(said.contains("in the future"), handed_over, "{said}");
    }
    assert_eq!(store.metadata()["handed-over-at"], "1699999990000");
}

#[test]
fn a_refused_upload_or_no_checkout_fails_the_build() {
    let repository = WorkTree::new();
    let store = Store::new();
    let (succeeded, said) = store.build(&repository, "main", "1");
    assert!(!succeeded, "there is no commit: {said}");
    repository.commit("Begin");
    store.set("refuses", "");
    let (succeeded, said) = store.build(&repository, "main", "1");
    assert!(!succeeded);
    assert!(
        said.contains("AccessDenied") && !said.contains("handed over commit"),
        "{said}"
    );
}
