//! `git push` to a local stack: what is handed over, and what is said to whoever pushes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use seedflow_core::origin::Origin;
use seedflow_local::git::{Remote, Wanted};
use seedflow_tests::{Action, Rule, Shared, StackOptions, TestStack, WorkTree, run};

static STACK: Shared = Shared::new(StackOptions::default);

/// A repository whose pushes to `main` are handed over as this project.
async fn remote(stack: &TestStack, project: &str) -> Remote {
    let wanted = Wanted {
        folder: Some(stack.folder().join(project)),
        project: project.to_owned(),
        branch: "main".to_owned(),
    };
    Remote::make(stack, &wanted)
        .await
        .expect("a repository to push to")
}

#[test]
fn a_push_is_handed_over_with_its_files_and_where_they_come_from() {
    run(async {
        let stack = STACK.get().await;
        let remote = remote(stack, "pushed").await;
        let repository = WorkTree::new();
        repository.write("deployment.yaml", "name: dev\n");
        let commit = repository.commit_as("Jürgen \"J\" Müller <j@example.com>", "Begin");
        let pushed = repository.push(&remote, "main");
        assert!(pushed.accepted, "{pushed:?}");
        let told = format!("remote: handed over commit {commit} of main to s3://");
        assert!(
            pushed.said.contains(&told) && pushed.said.contains("/sources/pushed/repository.zip"),
            "{}",
            pushed.said
        );

        let key = "sources/pushed/repository.zip";
        let zip = stack.object(key).await.expect("what was handed over");
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
        let file = zip.by_name("deployment.yaml").unwrap();
        assert_eq!(std::io::read_to_string(file).unwrap(), "name: dev\n");
        let bucket = &stack.about().work_bucket;
        let metadata = stack.client().object_metadata(bucket, key).await.unwrap();
        let origin = Origin::from_metadata(|name| metadata.get(name).map(String::as_str));
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
fn a_refused_upload_is_said_to_whoever_pushes_and_the_next_push_makes_it_good() {
    run(async {
        let stack = STACK.get().await;
        let remote = remote(stack, "refused").await;
        let repository = WorkTree::new();
        let first = repository.commit("Begin");
        let refuse = Action::Refuse {
            status: 403,
            code: "AccessDenied".to_owned(),
            message: "Access Denied".to_owned(),
        };
        let rule = stack.rule(Rule::new("s3", "PutObject", refuse).contains("sources/refused/"));
        let pushed = repository.push(&remote, "main");
        drop(rule);
        // A hook that runs after a push can't refuse it.
        assert!(pushed.accepted, "{pushed:?}");
        for told in [
            "AccessDenied",
            &format!("remote: error: commit {first} is in the repository, but it was NOT handed over"),
            "remote: to try again:",
        ] {
            assert!(pushed.said.contains(told), "{told}: {}", pushed.said);
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
        let repository = WorkTree::new();
        repository.commit("Begin");
        let before = remote(stack, "again").await;
        repository.push(&before, "main");
        let hook = before.url().join("hooks/post-receive");
        let lived = std::fs::read_to_string(&hook).unwrap();
        // As a stack that is gone left it: its endpoint doesn't answer any more.
        std::fs::write(
            &hook,
            lived.replace(&stack.about().endpoint, "http://127.0.0.1:9"),
        )
        .unwrap();
        repository.commit("Into the void");
        let pushed = repository.push(&before, "main");
        assert!(pushed.said.contains("NOT handed over"), "{}", pushed.said);

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
