//! In which account and region a request is: each has quotas of its own.
//!
//! The region is part of the signature. The account is that of the access key: the emulator takes a key of 12 digits for the
//! root of that account, and keys of roles of other accounts are known from AssumeRole's answers, which pass the proxy. All
//! other keys are those of functions, which run in the stack's own account.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hyper::http::request::Parts;

use super::classify::{Call, signature};

/// An account and a region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaScope {
    pub account: String,
    /// Empty for a request that is not signed.
    pub region: String,
}

/// The accounts of access keys.
pub struct Accounts {
    own: String,
    of_keys: Mutex<HashMap<String, String>>,
}

impl Accounts {
    /// With the stack's own account.
    pub fn new(own: &str) -> Self {
        Self {
            own: own.to_owned(),
            of_keys: Mutex::default(),
        }
    }

    /// Where a request is.
    pub fn scope(&self, head: &Parts) -> QuotaScope {
        let signed = signature(head);
        let (key, region) = signed.map_or_else(Default::default, |signed| (signed.key, signed.region));
        QuotaScope {
            account: self.account(&key),
            region,
        }
    }

    fn account(&self, key: &str) -> String {
        if key.len() == 12 && key.bytes().all(|byte| byte.is_ascii_digit()) {
            return key.to_owned();
        }
        let of_keys = self.of_keys.lock().unwrap_or_else(PoisonError::into_inner);
        of_keys.get(key).unwrap_or(&self.own).clone()
    }

    /// Whether the answer to a call shows the account of a key.
    pub fn is_taught_by(call: &Call) -> bool {
        call.service == "sts" && call.operation == "AssumeRole"
    }

    /// Notes the account of the key in an answer of AssumeRole.
    pub fn learn(&self, answer: &[u8]) {
        let answer = String::from_utf8_lossy(answer);
        let arn = element(&answer, "Arn").and_then(|arn| arn.split(':').nth(4));
        if let (Some(key), Some(account)) = (element(&answer, "AccessKeyId"), arn) {
            let mut of_keys = self.of_keys.lock().unwrap_or_else(PoisonError::into_inner);
            of_keys.insert(key.to_owned(), account.to_owned());
        }
    }
}

/// The text of an element of XML.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn scope(accounts: &Accounts, credential: Option<&str>) -> (String, String) {
        let mut request = hyper::Request::builder().uri("/");
        if let Some(credential) = credential {
            let signature = format!(
                "AWS4-HMAC-SHA256 Credential={credential}/20260101/eu-west-1/ssm/aws4_request, SignedHeaders=host"
            );
            request = request.header("authorization", signature);
        }
        let found = accounts.scope(&request.body(()).unwrap().into_parts().0);
        (found.account, found.region)
    }

    #[test]
    fn a_request_is_in_the_account_of_its_key_and_the_region_of_its_signature() {
        let accounts = Accounts::new("111122223333");
        let at = |account: &str, region: &str| (account.to_owned(), region.to_owned());
        let of = |key| scope(&accounts, Some(key));
        assert_eq!(of("222222222222"), at("222222222222", "eu-west-1"));
        assert_eq!(of("ASIAFUNCTION"), at("111122223333", "eu-west-1"));
        assert_eq!(scope(&accounts, None), at("111122223333", ""));
        accounts.learn(
            b"<AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId></Credentials><AssumedRoleUser>\
              <Arn>arn:aws:sts::333333333333:assumed-role/r/s</Arn></AssumedRoleUser></AssumeRoleResult>",
        );
        accounts.learn(b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>");
        assert_eq!(of("ASIAROLE"), at("333333333333", "eu-west-1"));
        assert_eq!(of("ASIAFUNCTION"), at("111122223333", "eu-west-1"));
    }
}
