//! The pages on loopback: a browser can follow the links, and nobody else gets anything.

use std::process::Stdio;

use seedflow_e2e::command_line::command;
use seedflow_e2e::{eventually, run};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{PROJECT, deployed};
use crate::deployment::STACK;

/// A page as an HTTP client gets it.
struct Answer {
    status: u16,
    policy: String,
    body: String,
}

async fn get(url: &str, host: Option<&'static str>) -> Answer {
    let url = url.to_owned();
    let asked = move || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let mut request = agent.get(&url);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let mut answer = request.call().expect("an answer");
        let policy = answer.headers().get("content-security-policy");
        Answer {
            status: answer.status().as_u16(),
            policy: policy.expect("a policy").to_str().expect("text").to_owned(),
            body: answer.body_mut().read_to_string().expect("text"),
        }
    };
    tokio::task::spawn_blocking(asked).await.expect("a request")
}

/// The relative links of a page, as a browser resolves them.
fn links(url: &str, page: &str) -> Vec<String> {
    let parts = page
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let relative = parts.filter(|link| !link.contains("://") && !link.starts_with('#'));
    let files = relative.filter_map(|link| link.split(['#', '?']).next());
    files
        .filter(|file| !file.is_empty())
        .map(|link| resolved(url, link))
        .collect()
}

fn resolved(url: &str, link: &str) -> String {
    let mut folders: Vec<&str> = url.split('/').collect();
    folders.pop();
    for part in link.split('/') {
        match part {
            ".." => drop(folders.pop()),
            "." => {}
            part => folders.push(part),
        }
    }
    folders.join("/")
}

#[test]
fn the_pages_are_served_with_working_links_and_to_nobody_else() {
    run(async {
        let stack = STACK.get().await;
        deployed(stack).await;
        let index = format!("index/{PROJECT}.html");
        eventually("the index with both modules", || async {
            let page = String::from_utf8(stack.object(&index).await?).ok()?;
            (page.contains("dev/network/vpc") && page.contains("dev/data/store")).then_some(())
        })
        .await;
        let mut open = command(stack, &["open", "--project", PROJECT, "--json", "--no-browser"]).await;
        let mut open = open.stdout(Stdio::piped()).spawn().expect("starting seedflow");
        let mut lines = BufReader::new(open.stdout.take().expect("a pipe")).lines();
        let line = lines.next_line().await.expect("output").expect("a line");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        let url = said["url"].as_str().expect("an address").to_owned();

        let page = get(&url, None).await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.policy.starts_with("default-src 'none'"), "{}", page.policy);
        let reports: Vec<String> = links(&url, &page.body)
            .into_iter()
            .filter(|link| link.contains("/reports/"))
            .collect();
        assert!(reports.len() >= 2, "{reports:?}");
        for link in &reports {
            let report = eventually(link, || async {
                let answer = get(link, None).await;
                (answer.status == 200).then_some(answer)
            })
            .await;
            let back = links(link, &report.body);
            assert!(back.contains(&url), "{link} leads back to the index: {back:?}");
        }

        assert_eq!(get(&url, Some("evil.example")).await.status, 421);
        let (origin, _) = url.split_once("/index/").expect("a path");
        assert_eq!(
            get(&format!("{origin}/locks/{PROJECT}/dev.json"), None)
                .await
                .status,
            404
        );
        let (host, _) = origin.rsplit_once('/').expect("a folder");
        assert_eq!(get(&format!("{host}/{index}"), None).await.status, 404);

        let id = open.id().expect("a running program").to_string();
        let interrupted = tokio::process::Command::new("kill")
            .args(["-INT", &id])
            .status()
            .await;
        assert!(interrupted.expect("kill").success());
        assert_eq!(open.wait().await.expect("an end").code(), Some(130));
    });
}
