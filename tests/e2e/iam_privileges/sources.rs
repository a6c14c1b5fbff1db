//! Sources of other hosts: the function that fetches them, with the rights of its role, against a git host on the loopback.

use seedflow_e2e::{TestStack, eventually, run};
use seedflow_fixtures::git_server::{GitServer, TOKEN};
use seedflow_local::aws_api::ApiError;
use serde_json::{Value, json};

use super::{IN_USE, STACK};

async fn fetch(stack: &TestStack, sources: &[Value]) -> Result<Vec<Value>, ApiError> {
    let event =
        json!({"execution": "e", "deployment": {"project": "p", "deployment": "d"}, "sources": sources});
    let answer = stack.client().invoke("seedflow-fetch-sources", &event).await?;
    Ok(answer["sources"].as_array().expect("a list of sources").clone())
}

#[test]
fn each_source_is_fetched_once_and_a_private_one_with_the_credentials_of_its_host() {
    run(async {
        let _in_use = IN_USE.read().await;
        let stack = STACK.get().await;
        let server = GitServer::start();
        let repository = server.repository("modules");
        repository.write("vpc/deployspec.yaml", "deploy: {}");
        let commit = repository.commit();
        let archive = std::process::Command::new("git")
            .args(["archive", "--format=tar.gz", "--prefix=modules-1/", "HEAD"])
            .current_dir(repository.folder())
            .output()
            .expect("git");
        server.file("modules", &archive.stdout);
        let bucket = &stack.about().bundle_bucket;
        let stored = stack.client().put_object(bucket, "archives/v 1", archive.stdout);
        stored.await.expect("an archive in S3");
        let secret = json!({"Name": "seedflow-git", "SecretString": json!({server.host(): {"token": TOKEN}}).to_string()});
        stack
            .call("secretsmanager", "secretsmanager.CreateSecret", secret)
            .await;

        let main = json!({"kind": "git", "url": server.url("private/modules.git"), "ref": "main"});
        let archive = json!({"kind": "archive", "url": server.url("private/modules")});
        let same =
            json!({"kind": "archive", "url": format!("https://{bucket}.s3.amazonaws.com/archives/v%201")});
        let sources = [main.clone(), archive, same, main.clone()];
        let fetched = fetch(stack, &sources).await.expect("sources");
        let [git, archive, of_s3] = fetched.as_slice() else {
            panic!("expected each source once, found {fetched:?}")
        };
        assert_eq!((&git["url"], &git["ref"]), (&main["url"], &main["ref"]));
        assert_eq!(git["commit"], commit.as_str());
        assert_eq!(archive["key"], of_s3["key"]);
        for source in [git, archive] {
            let zip = stack.object(source["key"].as_str().expect("a key")).await;
            let zip = zip::ZipArchive::new(std::io::Cursor::new(zip.expect("a zip"))).expect("a zip");
            assert_eq!(zip.len(), 1, "{source}");
        }

        // What is stored is not fetched again: the host is asked for the commit, and for the archive.
        let before = server.requests();
        assert_eq!(fetch(stack, &sources).await.expect("sources"), fetched);
        assert_eq!(server.requests() - before, 3);
        // A whole commit needs no reference, and this one is stored.
        let mut whole = main.clone();
        whole["ref"] = commit.as_str().into();
        let of_commit = fetch(stack, &[whole]).await.expect("a source");
        assert_eq!(of_commit[0]["key"], git["key"]);
        assert_eq!(server.requests() - before, 3);

        // All that is wrong, in one message and without the token.
        let gone = json!({"kind": "git", "url": server.url("private/modules.git"), "ref": "gone"});
        let down = json!({"kind": "git", "url": server.url("public/other.git")});
        let error = fetch(stack, &[gone, down, main]).await.expect_err("an error");
        assert_eq!(error.code, "SourceUnavailable", "{error}");
        for part in ["private/modules.git (ref gone)", "public/other.git: ", "HTTP 404"] {
            assert!(error.message.contains(part), "{part}: {error}");
        }
        assert!(!error.message.contains(TOKEN), "{error}");
        let logged = eventually("the log of the failure", || async {
            let logged = json!(stack.lines("fetch-sources").await).to_string();
            logged.contains("(ref gone)").then_some(logged)
        })
        .await;
        assert!(!logged.contains(TOKEN), "{logged}");
    });
}
