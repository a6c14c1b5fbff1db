//! AWS's console: its domain in each partition, and which URLs lead to it.
//!
//! URLs arrive in events and reports that other people may have written. A URL that leads elsewhere is neither mailed nor
//! linked.

use serde::{Deserialize, Deserializer, Serialize};

/// The consoles by partition (AWS General Reference, "AWS Management Console endpoints"; for GovCloud and China their own
/// user guides; for the European Sovereign Cloud its endpoints page). Each region has its own host below these domains.
const CONSOLES: [(&str, &str); 4] = [
    ("aws", "console.aws.amazon.com"),
    ("aws-cn", "console.amazonaws.cn"),
    ("aws-us-gov", "console.amazonaws-us-gov.com"),
    ("aws-eusc", "console.amazonaws-eusc.eu"),
];

/// The domain of a partition's console; that of `aws` for an unknown partition.
pub(crate) fn domain(partition: &str) -> &'static str {
    let found = CONSOLES.iter().find(|(known, _)| *known == partition);
    found.map_or(CONSOLES[0].1, |(_, domain)| domain)
}

/// The part of a URL after its host, if the URL leads to AWS's console by https.
fn path(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // No user, no port, and no characters that a browser reads differently.
    let plain = host
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
    let ours = CONSOLES.iter().any(|(_, console)| {
        host.strip_suffix(console)
            .is_some_and(|region| region.is_empty() || region.ends_with('.'))
    });
    // The characters of a URL (RFC 3986, section 2): no quotation mark, space, backslash or angle bracket.
    let readable = url
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b));
    (plain && ours && readable).then_some(path)
}

/// The URL, if it leads to AWS's console.
#[must_use]
pub fn to_console(url: &str) -> Option<&str> {
    path(url).map(|_| url)
}

/// Maximum length of a log's URL. Names of log groups and streams have at most 512 characters, and the console encodes some
/// of them.
const MAX_LOG_URL: usize = 2048;

/// The URL of a build's log in the CloudWatch console.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct LogUrl(String);

impl LogUrl {
    /// The URL, if it leads to a log in the CloudWatch console.
    ///
    /// For a build without a log, CodeBuild's own link ends in `group=null;stream=null`, which leads nowhere.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let path = path(url)?.split(['?', '#']).next()?;
        let is_log = path == "/cloudwatch/home" && url.len() <= MAX_LOG_URL && !url.contains("group=null;");
        is_log.then(|| Self(url.to_owned()))
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Deserializes a field that was stored or sent; anything that is not such a URL becomes `None`.
    pub fn lenient<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        let found = serde_json::Value::deserialize(from)?;
        Ok(found.as_str().and_then(Self::parse))
    }
}

impl std::fmt::Display for LogUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for LogUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let url = String::deserialize(from)?;
        Self::parse(&url).ok_or_else(|| serde::de::Error::custom("not a URL of CloudWatch's console"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_console_is_linked_to() {
        for good in [
            "https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups",
            "https://eu-west-1.console.aws.amazon.com/codesuite",
            "https://cn-north-1.console.amazonaws.cn/x",
            "https://eusc-de-east-1.console.amazonaws-eusc.eu/x",
        ] {
            assert_eq!(to_console(good), Some(good));
        }
        for bad in [
            "javascript:alert(1)",
            "JAVASCRIPT:alert(1)",
            "data:text/html,x",
            "http://console.aws.amazon.com/",
            "https://evil.example/console.aws.amazon.com",
            "https://evilconsole.aws.amazon.com/",
            "https://console.aws.amazon.com@evil.example/",
            "https://console.aws.amazon.com:8443/",
            "https://console.aws.amazon.com.evil.example/",
            "https://console.aws.amazon.com\\@evil.example/",
            "https://console.aws.amazon.com/\nx",
            "https://console.aws.amazon.com/\"x",
            "https://console.aws.amazon.com/ x",
            "//console.aws.amazon.com/",
            "",
        ] {
            assert_eq!(to_console(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_log_is_in_cloudwatch_and_nowhere_else() {
        for good in [
            "https://console.aws.amazon.com/cloudwatch/home?region=us-west-2#logEvent:group=/aws/codebuild/p;stream=8745a7a9-c340",
            "https://us-west-2.console.aws.amazon.com/cloudwatch/home?region=us-west-2#logsV2:log-groups/log-group/$252Fp/log-events/s",
            "https://console.amazonaws-us-gov.com/cloudwatch/home?region=us-gov-west-1#logEvent:group=p;stream=s",
            "https://console.amazonaws.cn/cloudwatch/home?region=cn-north-1#logEvent:group=p;stream=s",
        ] {
            assert_eq!(
                LogUrl::parse(good).map(|url| url.to_string()).as_deref(),
                Some(good)
            );
        }
        for bad in [
            "https://evil.example/cloudwatch/home",
            "https://console.aws.amazon.com/iam/home#/users",
            "https://console.aws.amazon.com/cloudwatch/home/../../iam",
            "https://console.aws.amazon.com/cloudwatch",
            "https://console.aws.amazon.com/cloudwatch/home?region=us-west-2#logEvent:group=null;stream=null",
            &format!(
                "https://console.aws.amazon.com/cloudwatch/home?{}",
                "x".repeat(MAX_LOG_URL)
            ),
        ] {
            assert_eq!(LogUrl::parse(bad), None, "{bad}");
        }
    }
}
