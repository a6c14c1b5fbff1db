//! `git push` to a local stack: the uploaded commit, and the output of the push.
use seedflow_core::deployment::manifest_options::ManifestOptions;
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_local::git::{Remote, Wanted};
use std::collections::BTreeMap;
use std::path::Path;

use seedflow_e2e::{Action, ModuleId, Repository, Rule, TestStack, WorkTree, eventually, module_id, run};
use serde_json::{Value, json};

use crate::deployment::STACK;

/// A deployment without modules: a push of it has nothing to do.
const NOTHING: &str = "name: dev\ngroups: []\n";

/// A work tree with such a deployment.
fn work_tree() -> WorkTree {
    let repository = WorkTree::new();
    repository.write("deployment.yaml", NOTHING);
    repository
}

/// A repository whose pushes to `main` deploy this project.
pub async fn remote(stack: &TestStack, project: &str) -> Remote {
    make(stack, &of_main(stack, project)).await
}

fn of_main(stack: &TestStack, project: &str) -> Wanted {
    Wanted {
        folder: Some(stack.folder().join(project)),
        project: project.to_owned(),
        name: None,
        branch: "main".to_owned(),
        options: ManifestOptions::default(),
    }
}

/// The same repository, whose pushes are followed to the end of what they start.
async fn followed(stack: &TestStack, project: &str) -> Remote {
    let file = stack.folder().join(format!("{project}.json"));
    stack.about().write(&file).expect("a stack file");
    let file = file.to_str().expect("a path of text");
    let command = seedflow_e2e::command_line::command(stack, &["follow", "--stack-file", file]).await;
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    Remote::followed_by(stack, &of_main(stack, project), &words)
        .await
        .expect("a repository to push to")
}

async fn make(stack: &TestStack, wanted: &Wanted) -> Remote {
    Remote::make(stack, wanted)
        .await
        .expect("a repository to push to")
}

#[test]
fn a_push_is_handed_over_with_its_files_and_where_they_come_from() {
    run(async {
        let stack = STACK.get().await;
        let remote = followed(stack, "pushed").await;
        let repository = WorkTree::new();
        repository.write("deployment.yaml", NOTHING);
        let commit = repository.commit_as("Jürgen \"J\" Müller <j@example.com>", "Begin");
        let pushed = repository.push(&remote, "main");
        assert!(pushed.accepted, "{pushed:?}");
        let expected = format!("remote: handed over commit {commit} of main to s3://");
        assert!(
            pushed.said.contains(&expected) && pushed.said.contains("/sources/pushed/repository.zip"),
            "{}",
            pushed.said
        );
        let machine = &stack.about().deploy_state_machine_arn;
        let executions = stack.executions_of(machine).await;
        let ours = |line: &str| {
            let execution = line.strip_prefix("remote: execution: ")?.trim().to_owned();
            executions.contains(&execution).then_some(execution)
        };
        let execution = pushed.said.lines().find_map(ours);
        let execution = execution.unwrap_or_else(|| panic!("no execution: {}", pushed.said));
        for said in [
            format!("plan of pushed/dev, commit {commit}:"),
            "/index/pushed.html".to_owned(),
            "remote: ok pushed/dev: ".to_owned(),
        ] {
            assert!(pushed.said.contains(&said), "{said}: {}", pushed.said);
        }
        assert!(
            !pushed.said.contains("console.aws"),
            "{execution}: {}",
            pushed.said
        );

        let key = "sources/pushed/repository.zip";
        let zip = stack.object(key).await.expect("what was handed over");
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
        let file = zip.by_name("deployment.yaml").unwrap();
        assert_eq!(std::io::read_to_string(file).unwrap(), NOTHING);
        let bucket = &stack.about().work_bucket;
        let metadata = stack.client().object_metadata(bucket, key).await.unwrap();
        let origin = CommitInfo::from_metadata(|name| metadata.get(name).map(String::as_str));
        assert_eq!(
            (origin.commit(), origin.author(), origin.branch()),
            (
                Some(commit.as_str()),
                Some("Jürgen \"J\" Müller <j@example.com>"),
                Some("main")
            )
        );
    });
}

#[test]
fn pushes_to_other_branches_hand_nothing_over() {
    run(async {
        let stack = STACK.get().await;
        let remote = remote(stack, "branches").await;
        let repository = WorkTree::new();
        repository.commit("Begin");
        for branch in ["feature", "main2", "x/main"] {
            let pushed = repository.push(&remote, branch);
            assert!(pushed.accepted, "{pushed:?}");
            assert!(
                pushed
                    .said
                    .contains("nothing handed over: that is for pushes to main"),
                "{}",
                pushed.said
            );
        }
        assert_eq!(stack.keys("sources/branches/").await, [""; 0]);
    });
}

#[test]
fn a_refused_upload_is_reported_to_the_client_and_the_next_push_repairs_it() {
    run(async {
        let stack = STACK.get().await;
        let remote = remote(stack, "refused").await;
        let repository = work_tree();
        let first = repository.commit("Begin");
        let refuse = Action::Refuse {
            status: 403,
            code: "AccessDenied".to_owned(),
            message: "Access Denied".to_owned(),
        };
        let rule = stack.rule(Rule::new("s3", "PutObject", refuse).contains("sources/refused/"));
        let pushed = repository.push(&remote, "main");
        drop(rule);
        // A hook that runs after a push can't reject it.
        assert!(pushed.accepted, "{pushed:?}");
        for expected in [
            "AccessDenied",
            &format!("remote: error: commit {first} is in the repository, but it was NOT handed over"),
            "remote: to try again:",
        ] {
            assert!(pushed.said.contains(expected), "{expected}: {}", pushed.said);
        }
        assert!(!pushed.said.contains("handed over commit"), "{}", pushed.said);
        assert_eq!(stack.keys("sources/refused/").await, [""; 0]);
        let second = repository.commit("Try again");
        let pushed = repository.push(&remote, "main");
        assert!(
            pushed.said.contains(&format!("handed over commit {second}")),
            "{}",
            pushed.said
        );
    });
}

#[test]
fn the_shell_that_pushes_has_no_say_in_where_it_goes() {
    run(async {
        let stack = STACK.get().await;
        let remote = remote(stack, "elsewhere").await;
        let repository = WorkTree::new().with_environment(&[
            ("AWS_PROFILE", "production"),
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
            ("AWS_SESSION_TOKEN", "somebody's"),
            ("PROJECT", "another"),
        ]);
        repository.write("deployment.yaml", NOTHING);
        repository.commit("Begin");
        let pushed = repository.push(&remote, "main");
        assert!(pushed.said.contains("handed over commit"), "{}", pushed.said);
        assert_eq!(
            stack.keys("sources/elsewhere/").await,
            ["sources/elsewhere/repository.zip"]
        );
    });
}

#[test]
fn a_repository_that_outlived_its_stack_is_taken_again_with_what_is_in_it() {
    run(async {
        let stack = STACK.get().await;
        let repository = work_tree();
        repository.commit("Begin");
        let before = remote(stack, "again").await;
        repository.push(&before, "main");
        // The state that a removed stack leaves behind: its endpoint doesn't answer any more. Without the check of a push
        // nothing can be handed over either.
        let lost = |hook: &str| {
            let hook = before.url().join("hooks").join(hook);
            let lived = std::fs::read_to_string(&hook).unwrap();
            let lost = lived.replace(&stack.about().endpoint, "http://127.0.0.1:9");
            std::fs::write(&hook, lost).unwrap();
        };
        lost("post-receive");
        let commit = repository.commit("Into the void");
        let pushed = repository.push(&before, "main");
        let said = format!("commit {commit} is in the repository, but it was NOT handed over");
        assert!(pushed.accepted && pushed.said.contains(&said), "{pushed:?}");
        lost("pre-receive");
        repository.commit("Not even checked");
        let pushed = repository.push(&before, "main");
        assert!(!pushed.accepted, "{pushed:?}");

        let after = remote(stack, "again").await;
        assert_eq!(after.url(), before.url());
        let commit = repository.commit("Go on");
        let pushed = repository.push(&after, "main");
        assert!(
            pushed.said.contains(&format!("handed over commit {commit}")),
            "{}",
            pushed.said
        );
    });
}

#[test]
fn a_bad_push_is_rejected_with_its_errors_and_recorded_with_its_commit() {
    run(async {
        let stack = STACK.get().await;
        let remote = remote(stack, "bad-push").await;
        let repository = work_tree();
        repository.write(
            "deployment.yaml",
            "name: dev\ngroups:\n- name: g\n  modules:\n  - {name: m, path: modules/nowhere}\n  - {name: m, path: modules/m}\n",
        );
        let bad = repository.commit("Begin");
        let pushed = repository.push(&remote, "main");
        assert!(!pushed.accepted, "{pushed:?}");
        for expected in [
            "remote: deployment.yaml:5: ".to_owned(),
            "modules/nowhere".to_owned(),
            format!("error: commit {bad} is refused (InvalidManifest); nothing of it is deployed"),
            "error: the push is rejected, and main stays as it was".to_owned(),
        ] {
            assert!(pushed.said.contains(&expected), "{expected}: {}", pushed.said);
        }
        assert_eq!(stack.keys("sources/bad-push/").await, [""; 0]);
        stack.deployment_released("bad-push").await;
        let status = stack.deployment_status("bad-push", "dev").await;
        assert_eq!(
            (&status["state"], &status["refused"]["commit"]),
            (&json!("REFUSED"), &json!(bad))
        );

        repository.write(
            "deployment.yaml",
            manifest("dev").replace("${STAGE} ${ZONE} ${SIZE} ${STORED}", "x"),
        );
        repository.write("modules/m/deployspec.yaml", SPEC);
        let good = repository.commit("Mend it");
        let pushed = repository.push(&remote, "main");
        assert!(pushed.accepted, "{pushed:?}");
        for expected in [
            "remote:   deploy g/m: first deployment".to_owned(),
            "remote: in all: 1 deploy".to_owned(),
            format!("remote: handed over commit {good} of main"),
        ] {
            assert!(pushed.said.contains(&expected), "{expected}: {}", pushed.said);
        }
        let status = eventually("the end of a deployment", || async {
            let status = stack.deployment_status("bad-push", "dev").await;
            (status["state"] == "SUCCEEDED").then_some(status)
        })
        .await;
        assert_eq!(
            (&status["commit"], &status["refused"]),
            (&json!(good), &Value::Null)
        );
    });
}

/// The modules of the example.
const MODULES: [&str; 6] = [
    "network/vpc",
    "network/dns",
    "data/store",
    "data/queue",
    "apps/web",
    "apps/worker",
];

fn id_of(module: &str) -> ModuleId {
    let (group, module) = module.split_once('/').expect("group/module");
    module_id("shop", "dev", group, module)
}

/// Waits until the deployment of a commit has ended and its lock is free, and returns its status.
async fn deployed(stack: &TestStack, commit: &str) -> Value {
    let status = eventually("the end of a deployment", || async {
        let status = stack.deployment_status("shop", "dev").await;
        (status["commit"] == commit && status["state"] != "IN_PROGRESS").then_some(status)
    })
    .await;
    stack.deployment_released("shop").await;
    status
}

/// The build that deployed each existing module.
async fn builds(stack: &TestStack) -> BTreeMap<&'static str, Value> {
    let mut builds = BTreeMap::new();
    for module in MODULES {
        let status = stack.parameter(&id_of(module), "status").await;
        if !status.is_null() {
            builds.insert(module, status["build_id"].clone());
        }
    }
    builds
}

/// The modules that were built between two checks.
fn built(before: &BTreeMap<&'static str, Value>, after: &BTreeMap<&'static str, Value>) -> Vec<&'static str> {
    let changed = |module: &&&str| before.get(**module) != after.get(**module);
    MODULES.iter().filter(changed).copied().collect()
}

/// The start and the end of a module's build, in seconds.
async fn interval(stack: &TestStack, build: &Value) -> (f64, f64) {
    let build = stack.build(build.as_str().expect("a build")).await;
    let at = |field: &str| build[field].as_f64().expect("a time");
    (at("startTime"), at("endTime"))
}

#[test]
fn pushes_deploy_the_example_in_order_then_what_a_change_touches_and_destroy_what_goes() {
    run(async {
        let stack = STACK.get().await;
        let remote = remote(stack, "shop").await;
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/deployment");
        let repository = WorkTree::of_folder(&example);
        let commit = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
        repository.push(&remote, "main");
        let status = deployed(stack, &commit).await;
        assert_eq!(status["state"], "SUCCEEDED", "{status}");
        assert_eq!(status["modules"], json!({"SUCCEEDED": 6}));
        let first = builds(stack).await;
        // The event of the execution's end contains its output, and so the author of each commit.
        let execution = status["execution"].as_str().expect("the execution of a status");
        let ours = json!({"commit": commit, "author": "Jane Doe <jane@example.com>", "branch": "main"});
        assert_eq!(stack.finished(execution).await.output["origin"], ours);
        for group in MODULES.chunks(2).zip(MODULES[2..].chunks(2)) {
            for earlier in group.0 {
                for later in group.1 {
                    let (ended, began) = (
                        interval(stack, &first[earlier]).await.1,
                        interval(stack, &first[later]).await.0,
                    );
                    assert!(ended <= began, "{later} began before {earlier} had ended");
                }
            }
        }
        let metadata = stack.parameter(&id_of("apps/web"), "metadata").await;
        assert_eq!(metadata["CommitHash"], json!(commit));
        assert_eq!(metadata["Url"], "https://shop.example.com");

        // The tables of the example's README: a comment changes its module only, a value changes its consumers too.
        repository.write("modules/network/vpc/notes.txt", "nothing that anybody consumes");
        let commit = repository.commit("Take notes");
        repository.push(&remote, "main");
        assert_eq!(deployed(stack, &commit).await["state"], "SUCCEEDED");
        let second = builds(stack).await;
        assert_eq!(built(&first, &second), ["network/vpc"]);

        repository.replace("manifests/network.yaml", "10.0.0.0/16", "10.1.0.0/16");
        let commit = repository.commit("Move the network");
        repository.push(&remote, "main");
        assert_eq!(deployed(stack, &commit).await["state"], "SUCCEEDED");
        let third = builds(stack).await;
        assert_eq!(
            built(&second, &third),
            ["network/vpc", "data/store", "apps/worker"]
        );

        // Files outside of modules count as well: the environment of the manifests, and data files.
        repository.replace(".env", "shop.example.com", "shop.example.org");
        repository.replace("shared/retries.json", "3", "4");
        let commit = repository.commit("Move the shop, and try harder");
        repository.push(&remote, "main");
        assert_eq!(deployed(stack, &commit).await["state"], "SUCCEEDED");
        let fourth = builds(stack).await;
        assert_eq!(built(&third, &fourth), ["network/dns", "data/queue", "apps/web"]);

        // The worker is removed, and with it everything that is stored of it.
        let apps = std::fs::read_to_string(repository.folder().join("manifests/apps.yaml")).unwrap();
        let (web, _) = apps.split_once("---").expect("two modules");
        repository.write("manifests/apps.yaml", web);
        let commit = repository.commit("Do without workers");
        repository.push(&remote, "main");
        let status = deployed(stack, &commit).await;
        assert_eq!(status["modules"], json!({"UNCHANGED": 5, "DESTROYED": 1}));
        assert!(stack.parameters(&id_of("apps/worker")).await.is_empty());
        let fifth = builds(stack).await;
        assert_eq!(built(&fourth, &fifth), ["apps/worker"]);
    });
}

const SPEC: &str = "deploy: {phases: {build: {commands: ['seedfarmer metadata add -k Where -v \"$SEEDFARMER_PARAMETER_WHERE\"']}}}\n";

/// A manifest of a deployment with one module, which publishes the values of four variables.
fn manifest(deployment: &str) -> String {
    format!(
        "name: {deployment}\ngroups:\n- name: g\n  modules:\n  - name: m\n    path: modules/m\n    \
         parameters: [{{name: where, value: '${{STAGE}} ${{ZONE}} ${{SIZE}} ${{STORED}}'}}]\n"
    )
}

/// The hand-over of a branch to a deployment, with variables of all three kinds.
fn wanted(stack: &TestStack, deployment: &str, branch: &str) -> Wanted {
    let options = json!({
        "manifest": format!("manifests/{deployment}/deployment.yaml"),
        "env": {"STAGE": format!("\"{deployment}\" ü")},
        "env_files": ["base.env", format!("manifests/{deployment}/more.env")],
        "env_path": format!("/shared/branches/{deployment}"),
    });
    Wanted {
        folder: Some(stack.folder().join(format!("two-{deployment}"))),
        project: "two".to_owned(),
        name: Some(deployment.to_owned()),
        branch: branch.to_owned(),
        options: ManifestOptions::parse(&options).unwrap(),
    }
}

/// Two branches with a manifest each deploy two deployments of one project, at once, with a zip, a lock and variables of
/// their own.
#[test]
fn two_branches_deploy_two_manifests_of_one_repository() {
    run(async {
        let stack = STACK.get().await;
        let repository = WorkTree::new();
        repository.write("seedfarmer.yaml", "project: two\n");
        repository.write("modules/m/deployspec.yaml", SPEC);
        repository.write("base.env", "ZONE=base\nSIZE=base\n");
        for deployment in ["dev", "prod"] {
            let folder = format!("manifests/{deployment}");
            repository.write(&format!("{folder}/deployment.yaml"), manifest(deployment));
            repository.write(
                &format!("{folder}/more.env"),
                format!("ZONE={deployment}.example.com\n"),
            );
            for name in ["STAGE", "STORED"] {
                let path = format!("/shared/branches/{deployment}/{name}");
                stack
                    .put_parameter(&path, &format!("stored for {deployment}"))
                    .await;
            }
        }
        let commit = repository.commit("Begin");
        for (deployment, branch) in [("dev", "develop"), ("prod", "main")] {
            let remote = make(stack, &wanted(stack, deployment, branch)).await;
            let pushed = repository.push(&remote, branch);
            let key = format!("/sources/two/{deployment}/repository.zip");
            assert!(pushed.said.contains(&key), "{}", pushed.said);
        }
        for (deployment, branch) in [("dev", "develop"), ("prod", "main")] {
            let status = eventually("the end of a deployment", || async {
                let status = stack.deployment_status("two", deployment).await;
                (status["commit"] == commit.as_str() && status["state"] != "IN_PROGRESS").then_some(status)
            })
            .await;
            assert_eq!(status["state"], "SUCCEEDED", "{status}");
            assert_eq!(status["branch"], branch);
            let module = module_id("two", deployment, "g", "m");
            let metadata = stack.parameter(&module, "metadata").await;
            assert_eq!(
                metadata["Where"],
                format!("\"{deployment}\" ü {deployment}.example.com base stored for {deployment}")
            );
        }
        assert_eq!(
            stack.keys("sources/two/").await,
            [
                "sources/two/dev/repository.zip",
                "sources/two/prod/repository.zip"
            ]
        );
    });
}

/// A push whose variables can't be read fails before anything is built, and its status says why.
#[test]
fn variables_of_parameter_store_are_no_secrets_and_have_to_be_there() {
    run(async {
        let stack = STACK.get().await;
        let secret = json!({"Name": "/shared/secret/STAGE", "Value": "hush-hush", "Type": "SecureString"});
        stack.call("ssm", "AmazonSSM.PutParameter", secret).await;
        for (path, error, says) in [
            (
                "/shared/secret",
                "InvalidInput",
                "the SecureString /shared/secret/STAGE",
            ),
            (
                "/shared/missing",
                "InvalidInput",
                "nothing directly below /shared/missing",
            ),
            ("/private", "AccessDenied", "ReferencedParameters"),
        ] {
            let repository = Repository::default()
                .file("deployment.yaml", manifest("dev"))
                .file("modules/m/deployspec.yaml", SPEC);
            let finished = stack
                .deploy_repository("variables", &repository, json!({"env_path": path}))
                .await;
            assert_eq!(finished.error, error, "{}", finished.cause);
            assert!(finished.cause.contains(says), "{}", finished.cause);
            assert!(!finished.cause.contains("hush-hush"), "{}", finished.cause);
        }
    });
}
