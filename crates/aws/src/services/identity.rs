//! Proves to a function which principal calls it. The caller signs a request for STS's GetCallerIdentity, and the
//! function sends it to STS, which answers with the principal of the key (decision 59).
//!
//! A signature holds for a quarter of an hour (Signature Version 4, "Elements of an AWS API request signature"). It
//! covers the hash of the caller's statement in a header of its own, so it can't be used for another statement. The
//! secret key never leaves the caller. The caller gives only the headers of the signature. Host, address, action and body
//! are the function's own, so only STS answers, and only this question.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::ConfigBag;
use aws_sdk_sts::config::interceptors::{
    BeforeTransmitInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_sts::config::{Intercept, RuntimeComponents};
use aws_sdk_sts::error::{BoxError, SdkError};
use aws_smithy_types::body::SdkBody;
use seedflow_core::error::{Error, ErrorName, Result, excerpt};
use seedflow_core::policy::{Caller, Principal};
use serde::{Deserialize, Serialize};

use crate::runtime::failure::{SdkFailure, failure};

/// The header that binds a signature to what is said.
const SAYS: &str = "x-seedflow-says";
/// The most headers that are sent on, and the longest of them: a session token has up to 4 KB, in practice.
const MAX_HEADERS: usize = 20;
const MAX_HEADER: usize = 16 * 1024;
/// The body of the request, as the SDK writes it.
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// A signed request: the headers that the signature covers, and the signature. It proves who has signed it, so it is not
/// printed.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Proof(BTreeMap<String, String>);

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof(…)")
    }
}

/// Signs a request for what the caller says (a hash), and returns it with the caller's own ARN.
pub async fn prove(config: &SdkConfig, says: &str) -> Result<(Proof, String)> {
    let taken = Capture::default();
    let says = says.to_owned();
    let request = Client::new(config).get_caller_identity().customize();
    let request = request.mutate_request(move |request| {
        request.headers_mut().insert(SAYS, says.clone());
    });
    let answer = request.interceptor(taken.clone()).send().await;
    let answer = answer.map_err(|e| failure("STS GetCallerIdentity", &e))?;
    let proof = taken.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((proof, answer.arn.unwrap_or_default()))
}

/// The principal that has signed a request for what it says.
///
/// # Errors
/// `NotApprover` if the signature is of something else, or STS doesn't accept it.
pub async fn verify(config: &SdkConfig, proof: &Proof, says: &str) -> Result<Caller> {
    let headers = proof.headers_for(says)?;
    let request = Client::new(config).get_caller_identity().customize();
    let answer = match request.interceptor(Replay(headers)).send().await {
        Ok(answer) => answer,
        // Before anything was sent.
        Err(SdkError::ConstructionFailure(_)) => {
            return Err(unproven("the signature is for another region or endpoint"));
        }
        Err(error) => {
            let failed = failure("STS GetCallerIdentity", &error);
            // Throttling has a status of 4xx, too.
            let is_refusal = error
                .http_status()
                .is_some_and(|status| (400..500).contains(&status))
                && !failed.name.passes();
            if !is_refusal {
                return Err(failed);
            }
            let code = error.error_code().unwrap_or("no code");
            return Err(unproven(&format!("STS refuses the signature: {code}")));
        }
    };
    let arn = answer.arn.unwrap_or_default();
    let principal = Principal::of_arn(&arn).ok_or_else(|| unproven("STS answers without a principal"))?;
    Ok(Caller {
        principal,
        user_id: answer.user_id.unwrap_or_default(),
    })
}

fn unproven(why: &str) -> Error {
    Error::new(
        ErrorName::NotApprover,
        format!("AWS does not confirm who calls: {why}; check the clock, and try again"),
    )
}

impl Proof {
    /// The headers to send on: those that the signature covers, and the signature.
    fn headers_for(&self, says: &str) -> Result<BTreeMap<String, String>> {
        let authorization = self
            .0
            .get("authorization")
            .map(String::as_str)
            .unwrap_or_default();
        let signed = signed_headers(authorization).unwrap_or_default();
        if !signed.contains(&SAYS) || self.0.get(SAYS).map(String::as_str) != Some(says) {
            return Err(unproven("the signature is not of this decision"));
        }
        let names = signed.into_iter().chain(["authorization"]);
        let headers = names.filter_map(|name| Some((name.to_owned(), self.0.get(name)?.clone())));
        let headers: BTreeMap<String, String> = headers.collect();
        if let Some(other) = headers.keys().find(|name| !is_sent_on(name)) {
            return Err(unproven(&format!(
                "the signature covers the header {}",
                excerpt(other, 60)
            )));
        }
        let is_short =
            headers.len() <= MAX_HEADERS && headers.values().all(|value| value.len() <= MAX_HEADER);
        is_short
            .then_some(headers)
            .ok_or_else(|| unproven("its headers are too long"))
    }
}

/// Whether a header is one that the SDKs sign.
fn is_sent_on(name: &str) -> bool {
    let of_sdks = ["x-amz-", "amz-sdk-"].iter().any(|begin| name.starts_with(begin));
    of_sdks || ["authorization", "content-length", "content-type", "host", SAYS].contains(&name)
}

/// The name of a host, without its port: the ports of a local stack differ.
fn host(address: &str) -> &str {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    address.split(['/', ':']).next().unwrap_or_default()
}

/// The names of the headers that a signature covers. The value has exactly the three parts of Signature Version 4, as the
/// SDKs write them: another one could be read here in another way than by STS.
fn signed_headers(authorization: &str) -> Option<Vec<&str>> {
    let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 Credential=")?;
    let parts: Vec<&str> = rest.split(", ").collect();
    let [credential, names, signature] = parts.as_slice() else {
        return None;
    };
    let names = names.strip_prefix("SignedHeaders=")?;
    let signature = signature.strip_prefix("Signature=")?;
    let is_plain = |text: &str| !text.is_empty() && !text.contains([',', ' ', '=']);
    let is_whole = [*credential, names, signature].into_iter().all(is_plain);
    is_whole.then(|| names.split(';').collect())
}

/// Takes the signed headers of a request that is sent.
#[derive(Debug, Clone, Default)]
struct Capture(Arc<Mutex<Proof>>);

impl Intercept for Capture {
    fn name(&self) -> &'static str {
        "Capture"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let authorization = request.headers().get("authorization").unwrap_or_default();
        let names = signed_headers(authorization).unwrap_or_default().into_iter();
        let headers = names.chain(["authorization"]).filter_map(|name| {
            let value = match (name, request.headers().get(name)) {
                // The HTTP client adds it.
                ("host", None) => request.uri().split('/').nth(2)?,
                (_, value) => value?,
            };
            Some((name.to_owned(), value.to_owned()))
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Proof(headers.collect());
        Ok(())
    }
}

/// Sends a request with these headers in the place of its own.
#[derive(Debug)]
struct Replay(BTreeMap<String, String>);

impl Intercept for Replay {
    fn name(&self) -> &'static str {
        "Replay"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let signed_for = self.0.get("host").map(|signed| host(signed)).unwrap_or_default();
        if signed_for != host(request.uri()) {
            return Err(format!(
                "expected a signature for {}, found one for another host",
                host(request.uri())
            )
            .into());
        }
        let own: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in own {
            request.headers_mut().remove(name);
        }
        for (name, value) in &self.0 {
            request.headers_mut().try_insert(name.clone(), value.clone())?;
        }
        if !self.0.contains_key("content-type") {
            let form = "application/x-www-form-urlencoded";
            request.headers_mut().insert("content-type", form);
        }
        *request.body_mut() = SdkBody::from(BODY);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIA/20261129/r/sts/aws4_request, SignedHeaders=host;x-amz-date;x-seedflow-says, Signature=0a";

    fn proof(authorization: &str, says: &str) -> Proof {
        let headers = [
            ("authorization", authorization),
            ("host", "sts.r.amazonaws.com"),
            ("x-amz-date", "d"),
            (SAYS, says),
            ("x-other", "o"),
        ];
        let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Proof(headers.map(text).into())
    }

    #[test]
    fn only_what_is_signed_is_sent_on() {
        let headers = proof(SIGNED, "h").headers_for("h").unwrap();
        let names: Vec<&str> = headers.keys().map(String::as_str).collect();
        assert_eq!(names, ["authorization", "host", "x-amz-date", SAYS]);
    }

    #[test]
    fn a_signature_of_something_else_proves_nothing() {
        let without = SIGNED.replace(";x-seedflow-says", "");
        let doubled = without.replace(", Signed", ", xSignedHeaders=host;x-seedflow-says, Signed");
        for (proof, says) in [
            (proof(SIGNED, "h"), "other"),
            (proof(&without, "h"), "h"),
            (proof("", "h"), "h"),
            (proof(&doubled, "h"), "h"),
            (proof(&SIGNED.replace(", Signature=", ",Signature="), "h"), "h"),
            (Proof::default(), ""),
        ] {
            let error = proof.headers_for(says).unwrap_err();
            assert_eq!(error.name, ErrorName::NotApprover);
            assert!(error.message.contains("not of this decision"), "{error}");
        }
        let with = SIGNED.replace("host;", "accept;host;");
        let mut accepting = proof(&with, "h");
        accepting
            .0
            .insert("accept".to_owned(), "application/json".to_owned());
        let error = accepting.headers_for("h").unwrap_err();
        assert!(error.message.contains("covers the header accept"), "{error}");
        assert_eq!(host("https://sts.r.amazonaws.com/"), host("sts.r.amazonaws.com"));
        assert_eq!(host("http://127.0.0.1:4566/"), host("127.0.0.1:9"));
        assert_ne!(host("https://sts.r.amazonaws.com"), host("evil.example.com"));
        let long = Proof(BTreeMap::from([
            ("authorization".to_owned(), SIGNED.to_owned()),
            (SAYS.to_owned(), "h".to_owned()),
            ("host".to_owned(), "x".repeat(MAX_HEADER + 1)),
        ]));
        assert!(long.headers_for("h").is_err());
        assert_eq!(format!("{:?}", proof(SIGNED, "h")), "Proof(…)");
    }
}
