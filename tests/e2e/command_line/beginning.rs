//! The first steps of a new user: what is missing in the account, and a first project.

use seedflow_e2e::command_line::{command, seedflow};
use seedflow_e2e::{module_id, run};
use serde_json::{Value, json};

use crate::deployment::STACK;

#[test]
fn a_new_project_deploys_as_it_was_written() {
    run(async {
        let stack = STACK.get().await;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("first");
        let path = path.to_str().expect("a path");
        let arguments = ["init", "project", path, "--project", "begun"];
        let begun = seedflow(stack, &arguments).await;
        assert_eq!(begun.code, Some(0), "{begun:?}");
        let again = seedflow(stack, &arguments).await;
        assert!(
            again.code == Some(4) && again.err.contains("nothing is overwritten"),
            "{again:?}"
        );

        let checked = seedflow(stack, &["check", path, "--json"]).await.json();
        assert_eq!(checked["problems"], json!([]), "{checked}");
        assert_eq!(checked["groups"][0]["modules"][0]["module"], "topic", "{checked}");
        let checked = command(stack, &["check"])
            .await
            .current_dir(path)
            .output()
            .await
            .unwrap();
        assert!(
            checked.status.success()
                && String::from_utf8_lossy(&checked.stdout).contains("1 module in 1 group"),
            "the current folder: {checked:?}"
        );
        let applied = seedflow(stack, &["apply", path, "--project", "begun"]).await;
        assert_eq!(applied.code, Some(0), "{applied:?}");
        let metadata = stack
            .parameter(&module_id("begun", "dev", "core", "topic"), "metadata")
            .await;
        let topic = metadata["TopicArn"].as_str().expect("a topic");
        assert!(topic.starts_with("arn:aws:sns:"), "{topic}");
        stack.deployment_released("begun").await;
        let module = folder.path().join("module");
        let module = module.to_str().expect("a path");
        let begun = seedflow(stack, &["init", "module", module]).await;
        assert_eq!(begun.code, Some(0), "{begun:?}");
        let names =
            "--project begun --deployment dev --group more --module alone --parameter display-name=Alone";
        let names: Vec<&str> = names.split(' ').collect();
        let deployed = seedflow(stack, &[&["deploy", module][..], &names].concat()).await;
        assert!(
            deployed.code == Some(0) && deployed.out.contains("alone deployed ("),
            "{deployed:?}"
        );
        for arguments in [
            &["completions", "bash"][..],
            &["status", "--project", "begun", "--watch"],
        ] {
            let (reader, closed) = std::io::pipe().expect("a pipe");
            drop(reader);
            let ended = command(stack, arguments)
                .await
                .stdout(closed)
                .output()
                .await
                .expect("starting seedflow");
            assert!(
                ended.status.success() && ended.stderr.is_empty(),
                "as after `| head`: {arguments:?}: {ended:?}"
            );
        }
    });
}

#[test]
fn an_account_is_checked_and_each_finding_says_what_to_do() {
    run(async {
        let stack = STACK.get().await;
        let doctor = seedflow(stack, &["doctor", "--json"]).await.json();
        let findings = doctor["findings"].as_array().expect("findings");
        let level = |check: &str| {
            let found = findings.iter().find(|finding| finding["check"] == check);
            found.unwrap_or_else(|| panic!("{check}: {doctor}"))["level"].clone()
        };
        for check in ["region", "credentials", "stack", "template", "rights of builds"] {
            assert_eq!(level(check), "ok", "{doctor}");
        }
        // The emulator has no Service Quotas, and the account needs no bootstrap.
        for (check, level_of) in [("builds at once", "note"), ("bootstrap of the CDK", "warn")] {
            assert_eq!(level(check), level_of, "{doctor}");
        }
        assert!(!doctor.to_string().contains("no code"), "{doctor}");
        assert!(
            findings.iter().all(
                |finding| ["ok", "note"].contains(&finding["level"].as_str().unwrap())
                    || finding["advice"].is_string()
            ),
            "{doctor}"
        );
        let without = seedflow(stack, &["doctor", "--stack", "other"]).await;
        assert!(
            without.code == Some(1)
                && without.out.contains("bad  stack: ")
                && without.out.contains("credentials: "),
            "{without:?}"
        );
        let script = seedflow(stack, &["completions", "bash"]).await;
        assert!(
            script.code == Some(0) && script.out.contains("history"),
            "{:?}",
            script.err
        );
        assert_ne!(level("events that could not be handled"), Value::Null);
    });
}
