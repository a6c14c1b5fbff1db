//! Who started an execution, and what proves it (decision 61).
//!
//! An execution of Step Functions knows nothing of its caller, and the writer of an input chooses what it says. AWS
//! proves two things. The event of an upload names the account of the uploader. And the work bucket's policy lets a
//! principal write into its own folder `own/{principal}/` only, so the key of such an upload names its uploader.
//! Everything else is a claim, and is shown as a claim.
//!
//! A principal that may call StartExecution may also write an input like that of an upload. So the proofs hold only for
//! principals without that right. For the others, CloudTrail has the caller.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::describe;
use crate::storage_layout::owner_of_upload;

/// The field in which a caller, or the deployment that starts a module, says who started it.
pub const STARTED_BY: &str = "started_by";
/// The field in which the rules of uploads pass on who uploaded, as S3's event says.
pub const REQUESTER: &str = "requester";
/// The longest name of a principal. The longest that AWS has is an ARN: a role's path has up to 512 characters, but an ARN of
/// a session has none.
const MAX_LENGTH: usize = 256;

/// Who started an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedBy {
    /// The principal: the unique id of a user or session (`AROA…:session`, the value of `aws:userid`), an account or a
    /// service, or what was claimed.
    pub principal: String,
    /// What proves it.
    #[serde(default)]
    pub proof: Proof,
}

/// What proves who started an execution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// IAM lets nobody else write where the upload is.
    Principal,
    /// S3 names the account or the service that uploaded, and not who it was there.
    Account,
    /// Nothing: the caller says so.
    #[default]
    #[serde(other)]
    Claim,
}

impl StartedBy {
    /// An unproven name; `None` if nothing readable is left of it.
    #[must_use]
    pub fn claim(principal: &str) -> Option<Self> {
        Self::new(principal, Proof::Claim)
    }

    fn new(principal: &str, proof: Proof) -> Option<Self> {
        let printable: String = principal.chars().filter(|c| !c.is_control()).collect();
        let principal = excerpt(printable.trim(), MAX_LENGTH);
        (!principal.is_empty()).then_some(Self { principal, proof })
    }

    /// Reads it from an execution's input; `None` if that says nothing.
    ///
    /// # Errors
    /// `InvalidInput` if a field is neither a text nor what a deployment passes on.
    pub fn of(input: &Value) -> Result<Option<Self>> {
        if let Some(passed) = passed_on(input) {
            return Ok(Some(passed));
        }
        let said = match input.get(STARTED_BY) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Self::claim(text),
            Some(other) => {
                return Err(Error::field(
                    STARTED_BY,
                    describe(other),
                    "a text, for people; a deployment sets it by itself for its modules",
                ));
            }
        };
        let requester = match input.get(REQUESTER) {
            None | Some(Value::Null) => return Ok(said),
            Some(Value::String(text)) => text,
            Some(other) => {
                return Err(Error::field(
                    REQUESTER,
                    describe(other),
                    "a text; the event of an upload has it",
                ));
            }
        };
        Ok(match uploaded_key(input) {
            None => said.or_else(|| Self::claim(requester)),
            Some(key) => match owner_of_upload(key) {
                Some(owner) => Self::new(owner, Proof::Principal),
                None => Self::new(requester, Proof::Account),
            },
        })
    }

    /// The name for people: that of the session, the user or the account.
    #[must_use]
    pub fn name(&self) -> &str {
        let last = |separator| self.principal.rsplit(separator).next();
        let name = match self.proof {
            Proof::Account => None,
            _ if self.principal.starts_with("arn:") => last('/'),
            Proof::Principal => last(':'),
            Proof::Claim => None,
        };
        name.filter(|name| !name.is_empty()).unwrap_or(&self.principal)
    }
}

impl fmt::Display for StartedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.proof {
            Proof::Principal if self.name() == self.principal => f.write_str(&self.principal),
            Proof::Principal => write!(f, "{} ({})", self.name(), self.principal),
            Proof::Account if self.principal.bytes().all(|b| b.is_ascii_digit()) => {
                write!(f, "somebody of account {}", self.principal)
            }
            Proof::Account => f.write_str(&self.principal),
            Proof::Claim => write!(f, "{} (unproven)", self.principal),
        }
    }
}

/// What a deployment passes on to its modules. Only an input that says which deployment it is part of may have it.
fn passed_on(input: &Value) -> Option<StartedBy> {
    input.get("part_of").filter(|of| of.is_string())?;
    let passed: StartedBy = serde_json::from_value(input.get(STARTED_BY)?.clone()).ok()?;
    StartedBy::new(&passed.principal, passed.proof)
}

/// The key of an upload, if the input is what the event of one produces and nothing else.
fn uploaded_key(input: &Value) -> Option<&str> {
    let fields = input.as_object()?;
    let source = fields.get("source")?.as_object()?;
    let only = |found: &serde_json::Map<String, Value>, allowed: &[&str]| {
        found.keys().all(|key| allowed.contains(&key.as_str()))
    };
    let key = source.get("key")?.as_str()?;
    (only(fields, &["source", REQUESTER]) && only(source, &["bucket", "key"])).then_some(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    const ALICE: &str = "AROAEXAMPLE:alice@example.com";

    fn of(input: Value) -> Option<(String, Proof)> {
        let found = StartedBy::of(&input).unwrap();
        found.map(|by| (by.principal, by.proof))
    }

    fn upload(key: &str) -> Value {
        json!({"source": {"bucket": "work", "key": key}, "requester": "123456789012"})
    }

    #[test]
    fn an_upload_names_the_account_and_one_in_an_own_folder_its_principal() {
        let own = format!("own/{ALICE}/modules/shop/dev/network/vpc.zip");
        assert_eq!(of(upload(&own)), Some((ALICE.to_owned(), Proof::Principal)));
        let account = Some(("123456789012".to_owned(), Proof::Account));
        for key in ["sources/shop/dev/network/vpc.zip", "sources/shop/repository.zip"] {
            assert_eq!(of(upload(key)), account);
        }
        // EventBridge leaves the text empty if an event doesn't have it.
        let mut unknown = upload("sources/shop/repository.zip");
        unknown["requester"] = json!("");
        assert_eq!(of(unknown), None);
    }

    #[test]
    fn whatever_a_caller_writes_is_a_claim() {
        let claim = |name: &str| Some((name.to_owned(), Proof::Claim));
        assert_eq!(of(json!({"started_by": " alice\n"})), claim("alice"));
        assert_eq!(of(json!({"started_by": null})), None);
        assert_eq!(of(json!({})), None);
        // More than an upload's event has: the source is Alice's, but the parameters need not be.
        let own = format!("own/{ALICE}/modules/shop/dev/network/vpc.zip");
        for (field, value) in [
            ("parameters", json!({"a": "b"})),
            ("started_by", json!("bob")),
            ("force_update", json!(true)),
        ] {
            let mut input = upload(&own);
            input[field] = value;
            let (_, proof) = of(input).unwrap();
            assert_eq!(proof, Proof::Claim, "{field}");
        }
        let mut older = upload(&own);
        older["source"]["version_id"] = json!("v1");
        assert_eq!(of(older), claim("123456789012"));
    }

    #[test]
    fn a_deployment_passes_it_on_with_its_proof() {
        let by = json!({"principal": ALICE, "proof": "principal"});
        let module = json!({"part_of": "arn:aws:states:r:1:execution:deploy:e", "started_by": by});
        assert_eq!(of(module), Some((ALICE.to_owned(), Proof::Principal)));
        let error = StartedBy::of(&json!({"started_by": by})).unwrap_err();
        assert!(
            error.message.starts_with("started_by: expected a text"),
            "{error}"
        );
    }

    #[test]
    fn people_see_what_is_proven() {
        let shown = |principal: &str, proof| StartedBy::new(principal, proof).unwrap().to_string();
        assert_eq!(
            shown(ALICE, Proof::Principal),
            "alice@example.com (AROAEXAMPLE:alice@example.com)"
        );
        assert_eq!(shown("AIDAEXAMPLE", Proof::Principal), "AIDAEXAMPLE");
        assert_eq!(
            shown("123456789012", Proof::Account),
            "somebody of account 123456789012"
        );
        assert_eq!(shown("s3.amazonaws.com", Proof::Account), "s3.amazonaws.com");
        assert_eq!(shown("alice", Proof::Claim), "alice (unproven)");
        let arn = "arn:aws:sts::123456789012:assumed-role/Deployer/alice";
        assert_eq!(StartedBy::claim(arn).unwrap().name(), "alice");
    }

    #[test]
    fn an_unknown_proof_of_a_later_version_is_none() {
        let read: StartedBy = serde_json::from_value(json!({"principal": "x", "proof": "passkey"})).unwrap();
        assert_eq!(read.proof, Proof::Claim);
        assert_eq!(
            serde_json::from_value::<StartedBy>(json!({"principal": "x"})).unwrap(),
            read
        );
    }
}
