//! Where the build of an event is: at home or in a target.
//!
//! Every account that the template's `TargetAccounts` names can hand over events. EventBridge itself sets account and
//! region of an event, so they are true. The event's statements about its build are trusted only if CodeBuild in that
//! account and region confirms them. So the id of the build has to name the place that the event comes from. Then another
//! account's event finds no registration, because the key of a registration has the build's target.

use crate::error::{Result, excerpt};
use crate::ids::AwsEnvironment;
use crate::target::Target;

/// The place of a build that an event names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Here.
    Home,
    /// In a target.
    Target(Target),
    /// The event comes from another place than its build, or from none: it is dropped.
    Foreign(String),
}

/// Where the build of an event is. `account` and `region` are the event's own, and `build` is the ARN in its detail. EventBridge
/// sets both in each event that comes from another place. If one is missing, that of the build's ARN counts.
#[must_use]
pub fn origin(account: &str, region: &str, build: &str, home: &AwsEnvironment) -> Origin {
    // arn:aws:codebuild:{region}:{account}:build/{id}
    let parts: Vec<&str> = build.splitn(6, ':').collect();
    let place = match parts.as_slice() {
        ["arn", _, "codebuild", of_region, of_account, _] => Some((*of_account, *of_region)),
        _ => None,
    };
    let given = |own: &str, of_build: &str| own.is_empty() || own == of_build;
    let Some((account, region)) = place.filter(|place| given(account, place.0) && given(region, place.1))
    else {
        return Origin::Foreign(format!(
            "expected a build of account {}, region {}, where the event comes from, found {}",
            excerpt(account, 20),
            excerpt(region, 40),
            excerpt(build, 200)
        ));
    };
    let target: Result<Target> = Target::parse("event", account, region);
    match target {
        Ok(target) if home.is(&target) => Origin::Home,
        Ok(target) => Origin::Target(target),
        Err(error) => Origin::Foreign(error.message),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_event_counts_only_for_a_build_of_the_account_and_region_that_it_comes_from() {
        let home = AwsEnvironment::from_arn("arn:aws:lambda:us-east-1:111111111111:function:f").unwrap();
        let build = |region: &str, account: &str| format!("arn:aws:codebuild:{region}:{account}:build/p:u");
        let (us, eu) = ("us-east-1", "eu-west-1");
        let (one, two) = ("111111111111", "222222222222");
        let at = |account: &str, region: &str, arn: &str| origin(account, region, arn, &home);
        assert_eq!(at(one, us, &build(us, one)), Origin::Home);
        assert_eq!(at("", "", &build(us, one)), Origin::Home);
        let target = |text: &str| Origin::Target(text.parse().unwrap());
        assert_eq!(at(two, eu, &build(eu, two)), target("222222222222/eu-west-1"));
        assert_eq!(at(one, eu, &build(eu, one)), target("111111111111/eu-west-1"));
        for (account, region, arn) in [
            // A hostile target names a build at home, in another account, in another region, and none at all.
            (two, us, build(us, one)),
            (two, eu, build(eu, "333333333333")),
            (two, us, build(eu, two)),
            (two, us, "p:u".to_owned()),
            (two, us, String::new()),
            ("", "", "p:u".to_owned()),
            ("", eu, build(us, one)),
        ] {
            let found = at(account, region, &arn);
            assert!(matches!(found, Origin::Foreign(_)), "{found:?}");
        }
    }
}
