//! What a request asks for: pure, so that each way to ask for too much has a test.

use percent_encoding::percent_decode_str;
use seedflow_core::storage_layout::is_index_or_report;

/// What is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A page or a report, by its key.
    Page(String),
    /// The project's index.
    Index,
    /// A request for another host.
    WrongHost,
    /// A request that would change something.
    WrongMethod,
    /// Something that is not served.
    Nothing,
}

/// Decides what a request asks for. `folder` is the random folder of this server.
#[must_use]
pub fn wanted(host: Option<&str>, port: u16, is_read: bool, path: &str, folder: &str) -> Wanted {
    if !host.is_some_and(|host| is_loopback(host, port)) {
        return Wanted::WrongHost;
    }
    if !is_read {
        return Wanted::WrongMethod;
    }
    let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(folder));
    match rest {
        Some("" | "/") => Wanted::Index,
        Some(rest) => rest
            .strip_prefix('/')
            .and_then(key)
            .map_or(Wanted::Nothing, Wanted::Page),
        None => Wanted::Nothing,
    }
}

fn is_loopback(host: &str, port: u16) -> bool {
    ["127.0.0.1", "localhost"]
        .iter()
        .any(|name| host == format!("{name}:{port}"))
}

/// The key of a page or a report; `None` for any other object of the bucket, such as a bundle or a lock.
fn key(path: &str) -> Option<String> {
    let key = percent_decode_str(path).decode_utf8().ok()?;
    let is_file = [".html", ".json"].iter().any(|end| key.ends_with(end));
    let has_odd_part = key.split('/').any(|part| ["", ".", ".."].contains(&part));
    (is_index_or_report(&key) && is_file && !has_odd_part).then(|| key.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Wanted {
        wanted(Some("127.0.0.1:80"), 80, true, path, "f00d")
    }

    #[test]
    fn pages_and_reports_are_served_in_the_random_folder_only() {
        assert_eq!(of("/f00d/index/p.html"), Wanted::Page("index/p.html".to_owned()));
        assert_eq!(
            of("/f00d/reports/p/d/a%3Ab.json"),
            Wanted::Page("reports/p/d/a:b.json".to_owned())
        );
        assert_eq!(of("/f00d/"), Wanted::Index);
        for path in [
            "/",
            "/index/p.html",
            "/f00dindex/p.html",
            "/f00d/locks/p/d.json",
            "/f00d/index/p.zip",
            "/f00d/index/../locks/p/d.json",
            "/f00d/index/%2e%2e/locks/p/d.json",
            "/f00d/reports//x.json",
            "/f00d/index/%ff.html",
            "/f00d//index/p.html",
        ] {
            assert_eq!(of(path), Wanted::Nothing, "{path}");
        }
    }

    #[test]
    fn another_host_and_another_method_are_refused() {
        let ask = |host, is_read| wanted(host, 80, is_read, "/f00d/", "f00d");
        assert_eq!(ask(Some("localhost:80"), true), Wanted::Index);
        for host in [
            None,
            Some("evil.example"),
            Some("evil.example:80"),
            Some("127.0.0.1"),
            Some("127.0.0.1:81"),
        ] {
            assert_eq!(ask(host, true), Wanted::WrongHost, "{host:?}");
        }
        assert_eq!(ask(Some("localhost:80"), false), Wanted::WrongMethod);
    }
}
