#![allow(clippy::unwrap_used)]
use serde_json::{Value, json};

use super::*;

const FRIDAY: &str = "2026-12-04T12:00:00Z";
const TUESDAY: &str = "2026-12-08T12:00:00Z";

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// A plan that deploys one module, from the deployment's own repository.
fn plan() -> Value {
    json!({
        "deployment": {"project": "shop", "deployment": "prod"}, "changes": true, "counts": {"deploy": 1, "destroy": 0},
        "origin": {"commit": "c0ffee"},
        "modules": [{
            "group": "apps", "module": "api", "action": "deploy", "reasons": ["bundle changed"],
            "definition": {
                "source": {"kind": "repository", "path": "modules/api"}, "digest": "d1",
                "target": {"account": "222222222222", "region": "eu-west-1"},
                "build": {"image": "aws/codebuild/standard:7.0", "privileged": false}, "parameters": {"size": 3},
            },
        }],
    })
}

/// The same plan with another value in the definition of its module.
fn with(pointer: &str, value: Value) -> Value {
    let mut plan = plan();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    plan.pointer_mut(&format!("/modules/0{parent}")).unwrap()[field] = value;
    plan
}

fn evaluate(rules: &str, plan: &Value, time: &str) -> Result<Findings, String> {
    let plan: PlanJson = serde_json::from_value(plan.clone()).unwrap();
    Rules::parse("prod.rego", rules)?.evaluate(&plan, at(time))
}

fn denied(rules: &str, plan: &Value) -> Vec<String> {
    evaluate(rules, plan, TUESDAY).unwrap().deny
}

/// Rules with these lines after their package.
fn module(lines: &str) -> String {
    format!("package seedflow\n{lines}\n")
}

fn error(lines: &str) -> String {
    evaluate(&module(lines), &plan(), TUESDAY).unwrap_err()
}

#[test]
fn the_example_refuses_destructions_on_fridays_of_its_time_zone() {
    let rules = include_str!("../../../docs/policies/no-destroys-on-fridays.rego");
    let destroys = with("/action", json!("destroy"));
    let at = |plan: &Value, time: &str| evaluate(rules, plan, time).unwrap().deny;
    assert_eq!(at(&destroys, FRIDAY), ["apps/api is not destroyed on a Friday"]);
    assert_eq!(at(&with("/moves", json!(true)), FRIDAY).len(), 1);
    assert!(at(&plan(), FRIDAY).is_empty());
    assert!(at(&destroys, TUESDAY).is_empty());
    // Friday has begun in Berlin, and not in Greenwich.
    assert_eq!(at(&destroys, "2026-12-03T23:30:00Z").len(), 1);
}

#[test]
fn the_example_refuses_images_without_a_fixed_version() {
    let rules = include_str!("../../../docs/policies/no-latest-images.rego");
    let denied = |image: &str| denied(rules, &with("/definition/build/image", json!(image)));
    assert_eq!(
        denied("registry.example.com:5000/a/b:latest"),
        ["apps/api is built in the image registry.example.com:5000/a/b:latest, which has no fixed version"]
    );
    assert_eq!(denied("registry.example.com:5000/a/b").len(), 1);
    assert!(denied("aws/codebuild/standard:7.0").is_empty());
    assert!(denied("a/b@sha256:00").is_empty());
}

#[test]
fn the_example_refuses_modules_from_other_hosts() {
    let rules = include_str!("../../../docs/policies/only-our-git-host.rego");
    let from = |source: Value| denied(rules, &with("/definition/source", source));
    let git = |url: &str| from(json!({"kind": "git", "url": url, "ref": "main", "commit": "c", "path": "m"}));
    assert!(denied(rules, &plan()).is_empty());
    assert!(git("https://git.example.com/team/modules").is_empty());
    assert_eq!(
        git("https://git.example.com.evil.example/x"),
        ["apps/api is from https://git.example.com.evil.example/x, expected one of git.example.com"]
    );
    assert_eq!(
        from(json!({"kind": "archive", "url": "https://git.example.com/a.zip", "path": ""})).len(),
        1
    );
    assert_eq!(
        from(json!({"kind": "bundle", "key": "uploads/m.zip", "path": ""})),
        ["apps/api is from an upload of its own, expected one of git.example.com"]
    );
}

#[test]
fn the_example_allows_privileged_builds_to_a_list() {
    let rules = include_str!("../../../docs/policies/privileged-builds.rego");
    let mut privileged = with("/definition/build/privileged", json!(true));
    assert_eq!(
        denied(rules, &privileged),
        ["apps/api is built in a privileged container; set privilegedMode to false"]
    );
    privileged["modules"][0]["group"] = json!("images");
    privileged["modules"][0]["module"] = json!("app");
    assert!(denied(rules, &privileged).is_empty());
    assert!(denied(rules, &plan()).is_empty());
}

#[test]
fn the_example_asks_for_approvals_and_warns() {
    let rules = include_str!("../../../docs/policies/approval-of-production.rego");
    assert_eq!(evaluate(rules, &plan(), TUESDAY).unwrap(), Findings::default());
    let mut changed = with("/definition/target/account", json!("111111111111"));
    changed["counts"]["destroy"] = json!(1);
    changed["origin"] = json!({});
    let found = evaluate(rules, &changed, TUESDAY).unwrap();
    assert_eq!(
        found.require_approval,
        ["apps/api goes into production", "it destroys modules"]
    );
    assert_eq!(found.warn, ["nobody knows the commit of these files"]);
    assert!(found.deny.is_empty());
}

#[test]
fn a_syntax_error_has_its_line() {
    let found = Rules::parse("prod.rego", "package seedflow\n\ndeny contains if {\n")
        .map(drop)
        .unwrap_err();
    assert!(found.contains("prod.rego:3:"), "{found}");
    let unsafe_variable = error("deny contains x if {\n\ty > 1\n}");
    assert!(unsafe_variable.contains("prod.rego:"), "{unsafe_variable}");
}

#[test]
fn what_is_not_rules_of_seedflow_is_refused() {
    for (rules, part) in [
        (
            "package other\n",
            "expected package seedflow, found package other",
        ),
        ("", "prod.rego"),
        (
            "package seedflow\ndeny := true\n",
            "deny: expected a set of texts, as of `deny contains message if { … }`, found a boolean",
        ),
        (
            "package seedflow\nwarn contains 7 if true\n",
            "warn: expected texts, found a number in the set",
        ),
        (
            "package seedflow\ndenny contains \"x\" if true\n",
            "found a rule denny; did you mean deny?",
        ),
        (
            "package seedflow\ntime_zone := \"Berlin\"\n",
            "time_zone: expected a time zone of the IANA database",
        ),
    ] {
        let found = evaluate(rules, &plan(), TUESDAY).unwrap_err();
        assert!(found.contains(part), "{part}: {found}");
    }
    assert_eq!(
        evaluate("package seedflow\n", &plan(), TUESDAY),
        Ok(Findings::default())
    );
    let long = module(&"# x\n".repeat(20_000));
    let found = evaluate(&long, &plan(), TUESDAY).unwrap_err();
    assert!(found.contains("expected at most 65536 bytes"), "{found}");
}

#[test]
fn rules_talk_to_nobody_and_say_the_same_each_time() {
    for call in [
        "http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1\"}).status_code == 200",
        "time.now_ns() > 0",
        "rand.intn(\"x\", 10) >= 0",
        "opa.runtime().env.HOME",
        "uuid.rfc4122(\"x\") != \"\"",
    ] {
        let found = error(&format!(
            "deny contains \"x\" if {{\n\tcount(input.modules) > 0\n\t{call}\n}}"
        ));
        assert!(found.contains(call.split('(').next().unwrap()), "{call}: {found}");
    }
}

#[test]
fn a_builtin_that_fails_is_no_finding_and_no_pass() {
    let found =
        error("deny contains \"x\" if startswith(input.modules[0].definition.parameters.size, \"a\")");
    assert!(found.contains("startswith"), "{found}");
}

#[test]
fn rules_that_take_too_long_are_stopped() {
    let found = error(
        "deny contains \"x\" if {\n\tcount(input.modules) > 0\n\tsome i in numbers.range(1, 50000)\n\tsome j in numbers.range(1, 50000)\n\ti * j == -1\n}",
    );
    assert_eq!(
        found,
        "the time limit of 2 s is exceeded; let the rules read less"
    );
    let huge = error(
        "deny contains \"x\" if {\n\tcount(input.modules) > 0\n\tcount(numbers.range(1, 1000000000000)) > 0\n}",
    );
    assert!(huge.contains("expected at most 100000 numbers"), "{huge}");
    let comprehension = error(
        "deny contains \"x\" if {\n\tcount(input.modules) > 0\n\tall := [[i, j] | some i in numbers.range(1, 50000); some j in numbers.range(1, 50000)]\n\tcount(all) < 0\n}",
    );
    assert_eq!(
        comprehension,
        "the time limit of 2 s is exceeded; let the rules read less"
    );
}

#[test]
fn a_plan_without_its_definitions_is_not_decided_on() {
    let mut shortened = plan();
    shortened["shortened"] = json!(true);
    let found = evaluate("package seedflow\n", &shortened, TUESDAY).unwrap_err();
    assert!(found.contains("--only"), "{found}");
}
