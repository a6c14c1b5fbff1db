//! Links of a page lead to AWS's console ([`crate::console`]) or to another file next to the page. Nothing else in a report
//! becomes a link.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::ids::AwsEnvironment;

/// Characters that a URL does not encode (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// An object in the S3 console, where "Open" shows it.
#[must_use]
pub fn object(environment: &AwsEnvironment, bucket: &str, key: &str) -> String {
    format!(
        "{}/s3/object/{}?region={}&prefix={}",
        environment.console(),
        encoded(bucket),
        encoded(&environment.region),
        encoded(key)
    )
}

/// A relative link between two objects of a bucket. It also works in a copy of both, as `aws s3 sync` makes it.
#[must_use]
pub fn relative(from: &str, to: &str) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.split('/').collect(), to.split('/').collect());
    let folders = from.len() - 1;
    let common = (0..folders.min(to.len() - 1))
        .take_while(|i| from[*i] == to[*i])
        .count();
    let up = "../".repeat(folders - common);
    let down: Vec<String> = to[common..].iter().map(|part| encoded(part)).collect();
    format!("{up}{}", down.join("/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::console::to_console;
    use crate::ids::ExecutionArn;

    fn environment() -> AwsEnvironment {
        AwsEnvironment::from_arn("arn:aws:lambda:eu-west-1:123456789012:function:f").unwrap()
    }

    #[test]
    fn composed_links_pass_with_any_text() {
        let url = object(&environment(), "b\"", "reports/<x> \u{202e}'");
        assert_eq!(to_console(&url), Some(url.as_str()));
        assert!(!url.contains(['"', '<', '>', '\'', ' ']), "{url}");
        let url = environment().execution_url(&ExecutionArn::new("arn:aws:states:eu-west-1:1:execution:m:e"));
        assert_eq!(to_console(&url), Some(url.as_str()));
    }

    #[test]
    fn a_relative_link_goes_up_to_what_both_share() {
        let report = "reports/p/d/g/m/e.html";
        assert_eq!(relative(report, "reports/p/d/g/m/e.json"), "e.json");
        assert_eq!(relative(report, "index/p.html"), "../../../../../index/p.html");
        assert_eq!(relative("reports/p/d/e.html", report), "g/m/e.html");
        assert_eq!(
            relative("index/p.html", "reports/p/d/a:b.html"),
            "../reports/p/d/a%3Ab.html"
        );
    }
}
