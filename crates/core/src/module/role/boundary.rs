//! The permissions boundary of a module's role, which its builds also get as a variable.
//!
//! The template names a boundary for all modules, a manifest (`permissionsBoundaryName`) or an input for single modules.
//! An administrator sets the template's boundary, so nothing may replace it.

use crate::error::{Error, Result, excerpt};
use crate::ids::AwsEnvironment;
use crate::module::maximum::Maxima;

/// The longest path and name of a policy (IAM API reference, CreatePolicy).
const MAX_NAME: usize = 512 + 128;

/// Checks the name of a policy, which may have a path.
///
/// # Errors
/// `InvalidInput` with the field, also for another policy than the template's.
pub(crate) fn parse(field: &str, name: Option<String>, maxima: &Maxima) -> Result<Option<String>> {
    // Blank means none, as in seed-farmer.
    let Some(name) = name.filter(|name| !name.trim().is_empty()) else {
        return Ok(None);
    };
    if !is_policy(&name) {
        return Err(Error::field(
            field,
            format!("\"{}\"", excerpt(&name, 80)),
            "the name of an IAM policy of this account, with its path and without a leading slash",
        ));
    }
    let checked = maxima.permissions_boundary(&name);
    checked.map_err(|other| other.in_field(field))?;
    Ok(Some(name))
}

fn is_policy(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_+=,.@-".contains(&b);
    name.len() <= MAX_NAME && name.bytes().all(plain) && !name.starts_with('/') && !name.ends_with('/')
}

/// The ARN of the boundary: that of the template, or of the policy that the input names.
#[must_use]
pub fn arn(template: Option<&str>, named: Option<&str>, at: &AwsEnvironment) -> Option<String> {
    let of = |name| format!("arn:{}:iam::{}:policy/{name}", at.partition, at.account);
    template.map(str::to_owned).or_else(|| named.map(of))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FIELD: &str = "build.permissions_boundary";

    #[test]
    fn nothing_replaces_the_boundary_of_the_template() {
        let at = AwsEnvironment::from_arn("arn:aws-cn:lambda:r:111111111111:function:f").unwrap();
        let own = "arn:aws-cn:iam::111111111111:policy/team/b";
        assert_eq!(arn(None, None, &at), None);
        assert_eq!(arn(None, Some("team/b"), &at).as_deref(), Some(own));
        assert_eq!(arn(Some(own), Some("wider"), &at).as_deref(), Some(own));

        let maxima = Maxima {
            permissions_boundary: Some(own.to_owned()),
            ..Maxima::OF_AWS
        };
        let parse = |name: &str| parse(FIELD, Some(name.to_owned()), &maxima);
        assert_eq!(parse("team/b"), Ok(Some("team/b".to_owned())));
        let error = parse("wider").unwrap_err();
        assert!(
            error.message.starts_with(FIELD) && error.message.contains("PermissionsBoundaryArn"),
            "{error}"
        );
    }

    #[test]
    fn a_boundary_is_named_as_in_seed_farmer() {
        let parse = |name: &str| parse(FIELD, Some(name.to_owned()), &Maxima::OF_AWS);
        assert_eq!(parse("team/b"), Ok(Some("team/b".to_owned())));
        assert_eq!(parse(" "), Ok(None));
        assert!(parse("arn:aws:iam::1:policy/b").is_err() && parse("/b").is_err() && parse("a b").is_err());
    }
}
