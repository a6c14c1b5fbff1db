//! The comments of a pull request as GitHub and GitLab answer them, for the scripts of `integrations/`.
//!
//! GitHub REST API, "Issue comments" and "Commits"; GitLab REST API, "Notes", "Commits" and "Users". Only the fields that the
//! scripts read are there. Lists have pages of up to 100.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// The token that is accepted.
pub const TOKEN: &str = "a-token-of-a-code-host";
/// The user of the token.
pub const OWN: &str = "github-actions[bot]";

/// A code host with one request, number 7, which was merged.
pub struct CodeHost {
    address: String,
    comments: Arc<Mutex<Vec<Comment>>>,
}

/// A comment: who wrote it, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub author: String,
    pub body: String,
}

impl CodeHost {
    /// Starts it with comments that are there already. It ends with the program.
    pub fn start(comments: Vec<Comment>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let comments = Arc::new(Mutex::new(comments));
        let served = Arc::clone(&comments);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                answer(connection, &served);
            }
        });
        Self { address, comments }
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The comments now.
    pub fn comments(&self) -> Vec<Comment> {
        self.comments.lock().expect("the comments").clone()
    }
}

fn answer(connection: TcpStream, comments: &Mutex<Vec<Comment>>) {
    let mut reader = BufReader::new(&connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or_default() == 0 {
            return;
        }
    }
    let header = |name: &str| {
        let of = |line: &str| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        head.lines().find_map(of)
    };
    let length = header("content-length").map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let known = header("authorization").is_some_and(|found| found == format!("Bearer {TOKEN}"))
        || header("private-token").is_some_and(|found| found == TOKEN);
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, answer) = match known {
        false => ("401 Unauthorized", json!({"message": "Bad credentials"})),
        true => route(method, target, &body, &mut comments.lock().expect("the comments")),
    };
    let answer = answer.to_string();
    let _ = write!(
        &connection,
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    );
}

type Answer = (&'static str, Value);

fn route(method: &str, target: &str, body: &Value, comments: &mut Vec<Comment>) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let text = || body["body"].as_str().expect("a text").to_owned();
    match (method, path.as_slice()) {
        ("GET", ["repos", "o", "r", "issues", "7", "comments"])
        | ("GET", ["projects", "5", "merge_requests", "7", "notes"]) => ("200 OK", page(query, comments)),
        ("POST", ["repos", "o", "r", "issues", "7", "comments"])
        | ("POST", ["projects", "5", "merge_requests", "7", "notes"]) => {
            comments.push(Comment {
                author: OWN.to_owned(),
                body: text(),
            });
            (
                "201 Created",
                shown(comments.len() - 1, &comments[comments.len() - 1]),
            )
        }
        ("PATCH", ["repos", "o", "r", "issues", "comments", id])
        | ("PUT", ["projects", "5", "merge_requests", "7", "notes", id]) => {
            let id: usize = id.parse().expect("a number");
            comments[id].body = text();
            ("200 OK", shown(id, &comments[id]))
        }
        ("GET", ["repos", "o", "r", "commits", _, "pulls"]) => (
            "200 OK",
            json!([{"number": 6, "merged_at": null}, {"number": 7, "merged_at": "2026-11-29T00:00:00Z"}]),
        ),
        ("GET", ["projects", "5", "repository", "commits", _, "merge_requests"]) => (
            "200 OK",
            json!([{"iid": 6, "state": "closed"}, {"iid": 7, "state": "merged"}]),
        ),
        ("GET", ["user"]) => ("200 OK", json!({"username": OWN})),
        _ => ("404 Not Found", json!({"message": "Not Found"})),
    }
}

fn page(query: &str, comments: &[Comment]) -> Value {
    let number = |name: &str, otherwise: usize| {
        let found = query
            .split('&')
            .find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        found.map_or(otherwise, |value| value.parse().expect("a number"))
    };
    let (page, size) = (number("page", 1), number("per_page", 20).min(100));
    let listed = comments
        .iter()
        .enumerate()
        .skip((page - 1) * size)
        .take(size)
        .map(|(id, comment)| shown(id, comment));
    listed.collect()
}

/// A comment in the form of both hosts.
fn shown(id: usize, comment: &Comment) -> Value {
    json!({"id": id, "body": comment.body, "user": {"login": comment.author}, "author": {"username": comment.author}})
}
