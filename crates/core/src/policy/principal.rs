//! The principals of IAM that start and approve deployments, and patterns of them.
//!
//! A principal is the ARN with which AWS names the caller of a request (`GetCallerIdentity`). That of a role is a session,
//! `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`: the role is proven. The caller that assumes the role chooses the name of
//! the session; only IAM Identity Center, whose roles begin with `AWSReservedSSO_`, makes it the name of a person.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pattern::matches;
use crate::error::expected;
use crate::formats::json_fields::describe;

/// The longest pattern: an ARN of a role has up to 64 characters of a name after a path of 512, and a session 64 more.
const MAX_PATTERN: usize = 700;
/// What the roles of IAM Identity Center begin with.
const IDENTITY_CENTER: &str = "AWSReservedSSO_";

/// A principal that AWS has identified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Principal(String);

/// A session of a role.
struct Session<'a> {
    partition: &'a str,
    account: &'a str,
    role: &'a str,
    name: &'a str,
}

impl Principal {
    /// The principal of an ARN, as AWS reports it for the caller.
    #[must_use]
    pub fn of_arn(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let is_principal = matches!(parts.as_slice(), ["arn", _, "iam" | "sts", "", account, rest]
            if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) && !rest.is_empty());
        (is_principal && arn.len() <= MAX_PATTERN).then(|| Self(arn.to_owned()))
    }

    /// The ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn session(&self) -> Option<Session<'_>> {
        let parts: Vec<&str> = self.0.splitn(6, ':').collect();
        let ["arn", partition, "sts", "", account, rest] = parts.as_slice() else {
            return None;
        };
        let (role, name) = rest.strip_prefix("assumed-role/")?.split_once('/')?;
        Some(Session {
            partition,
            account,
            role,
            name,
        })
    }

    /// Whether both may be the same person. Two sessions of one role may be, whatever their names, unless IAM Identity Center
    /// named them.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        match (self.session(), other.session()) {
            (Some(one), Some(two)) => {
                let role = |session: &Session<'_>| (session.account.to_owned(), session.role.to_owned());
                let named = one.role.starts_with(IDENTITY_CENTER);
                role(&one) == role(&two) && (!named || one.name.eq_ignore_ascii_case(two.name))
            }
            _ => self == other,
        }
    }

    /// The name of a person that the principal has: that of an IAM user, or of a session.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.session() {
            Some(session) => session.name,
            None => self.0.rsplit(['/', ':']).next().unwrap_or_default(),
        }
    }

    /// Whether a claimed author of a commit, `Name <address>`, has this principal's name. A claim proves nobody; it only keeps
    /// people from approving their own commits by mistake.
    #[must_use]
    pub fn is_claimed_by(&self, author: &str) -> bool {
        let (name, address) = author.split_once('<').unwrap_or((author, ""));
        let address = address.trim_end().trim_end_matches('>');
        [name.trim(), address.trim()]
            .iter()
            .any(|claimed| !claimed.is_empty() && claimed.eq_ignore_ascii_case(self.name()))
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who makes a call, as STS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The ARN.
    pub principal: Principal,
    /// The unique id of a user, or of a role and its session: `AROA…:SESSION`.
    pub user_id: String,
}

impl Caller {
    /// Whether this caller may be the one that an ARN or a unique id names.
    #[must_use]
    pub fn may_be(&self, name: &str) -> bool {
        if let Some(other) = Principal::of_arn(name) {
            return self.principal.may_be(&other);
        }
        let (Some((role, session)), Some((other_role, other_session))) =
            (self.user_id.split_once(':'), name.split_once(':'))
        else {
            return self.user_id == name;
        };
        let is_named = self
            .principal
            .session()
            .is_some_and(|session| session.role.starts_with(IDENTITY_CENTER));
        role == other_role && (!is_named || session.eq_ignore_ascii_case(other_session))
    }
}

/// A pattern of principals: an ARN in which `*` matches any characters. The ARN of a role is every session of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalPattern(String);

impl PrincipalPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// What is wrong with it, beginning with `path`.
    pub fn parse(path: &str, value: &Value) -> Result<Self, String> {
        let text = value.as_str().unwrap_or_default();
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let is_pattern = matches!(parts.as_slice(), ["arn", partition, service @ ("iam" | "sts"), "", account, rest]
            if !partition.is_empty() && !account.is_empty() && is_of(service, rest));
        if is_pattern && text.len() <= MAX_PATTERN && text.bytes().all(|b| b.is_ascii_graphic()) {
            return match parts.as_slice() {
                [_, _, "iam", _, _, rest] if is_path_only(rest) => Err(format!(
                    "{path}: {}",
                    expected(
                        describe(value),
                        "the name of a role after its path: the ARN of a session has no path, so this would be every role"
                    )
                )),
                _ => Ok(Self(text.to_owned())),
            };
        }
        Err(format!(
            "{path}: {}",
            expected(
                describe(value),
                "the ARN of an IAM user or role (arn:aws:iam::ACCOUNT:user/NAME, arn:aws:iam::ACCOUNT:role/NAME) or of a session (arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION); * matches any characters"
            )
        ))
    }

    /// Whether it matches a principal.
    #[must_use]
    pub fn covers(&self, principal: &Principal) -> bool {
        let covers = |arn: &str| matches(self.0.as_bytes(), arn.as_bytes());
        if covers(principal.as_str()) {
            return true;
        }
        // The ARN of a session has its role's name without the path.
        let (Some(session), Some(pattern)) = (principal.session(), self.without_path()) else {
            return false;
        };
        let Session {
            partition,
            account,
            role,
            ..
        } = session;
        let role = format!("arn:{partition}:iam::{account}:role/{role}");
        matches(pattern.as_bytes(), role.as_bytes())
    }

    /// The pattern of a role without the role's path.
    fn without_path(&self) -> Option<String> {
        let (account, role) = self.0.split_once(":role/")?;
        let name = role.rsplit('/').next()?;
        Some(format!("{account}:role/{name}"))
    }
}

impl fmt::Display for PrincipalPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a pattern names the path of a role and leaves its name open: `role/approvers/*`.
fn is_path_only(rest: &str) -> bool {
    let path_and_name = rest.strip_prefix("role/").and_then(|role| role.rsplit_once('/'));
    path_and_name.is_some_and(|(_, name)| name.is_empty() || name.starts_with('*'))
}

/// Whether the last part of a pattern's ARN names what approves.
fn is_of(service: &str, rest: &str) -> bool {
    match service {
        "iam" => {
            rest == "root"
                || ["user/", "role/"]
                    .iter()
                    .any(|kind| rest.len() > kind.len() && rest.starts_with(kind))
        }
        _ => rest
            .strip_prefix("assumed-role/")
            .is_some_and(|session| session.split('/').count() == 2 && !session.contains("//")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn principal(rest: &str) -> Principal {
        let service = if rest.starts_with("assumed-role/") {
            "sts"
        } else {
            "iam"
        };
        Principal::of_arn(&format!("arn:aws:{service}::111122223333:{rest}")).unwrap()
    }

    fn covers(pattern: &str, rest: &str) -> bool {
        PrincipalPattern::parse("p", &json!(pattern))
            .unwrap()
            .covers(&principal(rest))
    }

    #[test]
    fn a_pattern_covers_users_roles_and_sessions() {
        assert!(covers("arn:aws:iam::111122223333:user/anna", "user/anna"));
        assert!(!covers("arn:aws:iam::111122223333:user/anna", "user/annabel"));
        assert!(!covers("arn:aws:iam::444455556666:user/anna", "user/anna"));
        assert!(covers("arn:aws:iam::*:user/ops/*", "user/ops/anna"));
        for role in ["role/Approver", "role/people/Approver", "role/*"] {
            let pattern = format!("arn:aws:iam::111122223333:{role}");
            assert!(covers(&pattern, "assumed-role/Approver/anna"), "{pattern}");
        }
        assert!(!covers(
            "arn:aws:iam::111122223333:role/Approver",
            "assumed-role/Approvers/anna"
        ));
        let anna = "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Ops_*/anna@example.com";
        assert!(covers(
            anna,
            "assumed-role/AWSReservedSSO_Ops_0a1b/anna@example.com"
        ));
        assert!(!covers(
            anna,
            "assumed-role/AWSReservedSSO_Ops_0a1b/bob@example.com"
        ));
    }

    #[test]
    fn what_is_no_pattern_of_a_principal_is_refused() {
        for wrong in [
            json!("anna"),
            json!(7),
            json!("*"),
            json!("arn:aws:s3:::bucket"),
            json!("arn:aws:iam::111122223333:user/"),
            json!("arn:aws:iam::111122223333:group/ops"),
            json!("arn:aws:sts::111122223333:assumed-role/Approver"),
            json!("arn:aws:iam::111122223333:user/a b"),
        ] {
            let found = PrincipalPattern::parse("approvers[0]", &wrong).unwrap_err();
            assert!(
                found.starts_with("approvers[0]: expected the ARN of an IAM user"),
                "{found}"
            );
        }
        for path in [
            "approvers/*",
            "aws-reserved/sso.amazonaws.com/*",
            "ops/",
            "a/*Ops",
        ] {
            let pattern = json!(format!("arn:aws:iam::111122223333:role/{path}"));
            let found = PrincipalPattern::parse("approvers[0]", &pattern).unwrap_err();
            assert!(found.contains("the name of a role after its path"), "{found}");
        }
        for arn in ["", "arn:aws:iam::1:user/a", "arn:aws:s3:::b", "Anna"] {
            assert_eq!(Principal::of_arn(arn), None, "{arn}");
        }
    }

    #[test]
    fn another_session_of_a_role_may_be_the_same_person() {
        let same = |one: &str, two: &str| principal(one).may_be(&principal(two));
        assert!(same("user/anna", "user/anna") && !same("user/anna", "user/bob"));
        assert!(same("assumed-role/Deployer/a", "assumed-role/Deployer/b"));
        assert!(!same("assumed-role/Deployer/a", "assumed-role/Approver/a"));
        let center = "assumed-role/AWSReservedSSO_Ops_0a1b";
        assert!(!same(
            &format!("{center}/anna@x.org"),
            &format!("{center}/bob@x.org")
        ));
        assert!(same(
            &format!("{center}/anna@x.org"),
            &format!("{center}/Anna@x.org")
        ));
    }

    #[test]
    fn a_caller_is_known_by_the_unique_id_too() {
        let caller = |rest: &str, id: &str| Caller {
            principal: principal(rest),
            user_id: id.to_owned(),
        };
        let anna = caller("user/anna", "AIDA1");
        assert!(anna.may_be("AIDA1") && anna.may_be("arn:aws:iam::111122223333:user/anna"));
        assert!(!anna.may_be("AIDA2") && !anna.may_be(""));
        let session = caller("assumed-role/Deployer/a", "AROA1:a");
        assert!(session.may_be("AROA1:b") && !session.may_be("AROA2:a"));
        let center = caller(
            "assumed-role/AWSReservedSSO_Ops_0a1b/anna@x.org",
            "AROA1:anna@x.org",
        );
        assert!(center.may_be("AROA1:anna@x.org") && !center.may_be("AROA1:bob@x.org"));
    }

    #[test]
    fn an_author_claims_the_name_of_a_user_or_of_a_session() {
        let center = principal("assumed-role/AWSReservedSSO_Ops_0a1b/anna@x.org");
        assert!(center.is_claimed_by("Anna <Anna@x.org>"));
        assert!(!center.is_claimed_by("Anna <bob@x.org>"));
        assert!(principal("user/ops/anna").is_claimed_by("anna <a@x.org>"));
        assert!(!principal("user/anna").is_claimed_by(""));
    }
}
