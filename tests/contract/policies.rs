//! What every role of the templates may do, checked against the lists in `policies.json` and `policies-target.json`: a change
//! that widens a role shows in review as an added line.
//!
//! The list has a line for each action on each resource. If it differs from the template, this test writes the new list
//! to `target/policies.json` and says so; a person reads the difference and copies the file. SAM makes policies of its
//! own from some properties of functions and state machines. The template has none of these properties
//! (docs/decisions/0001), so the list is complete, and `privileges` finds no other role on a deployed stack.
use std::collections::{BTreeMap, BTreeSet};

use seedflow_contract::{Template, root};
use serde_json::{Value, json};

/// Lines by their effect: allow, deny, trust.
type Lines = BTreeMap<String, BTreeSet<String>>;

fn template() -> Value {
    named("template.yaml")
}

fn named(template: &str) -> Value {
    with_names(&Template::read(template).json())
}

/// The templates with roles that Seedflow uses, and the lists of what these may do.
const LISTS: [(&str, &str); 2] = [
    ("template.yaml", "policies.json"),
    ("template-target.yaml", "policies-target.json"),
];

/// The template with a text for each `!Sub` that puts the n-th name of a list into an ARN:
/// "…/${ReferencedParameters[0]}".
fn with_names(value: &Value) -> Value {
    match value {
        Value::Array(items) => match items.as_slice() {
            [Value::String(text), Value::Object(names)] if names.contains_key("Name") => {
                // !Select [n, !Split [",", !Sub "${the list},,,,,,,"]]
                let selected = &names["Name"];
                let split = selected[1][1].as_str().expect("a text");
                let list = split.trim_start_matches("${").split('}').next().unwrap();
                text.replace("${Name}", &format!("${{{list}[{}]}}", selected[0]))
                    .into()
            }
            items => items.iter().map(with_names).collect(),
        },
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), with_names(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// The items of something that may be one or several, with the condition that an `!If` sets for each.
fn each(value: &Value) -> Vec<(Option<&str>, &Value)> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => match items.as_slice() {
            [Value::String(condition), then, Value::String(nothing)] if nothing == "AWS::NoValue" => {
                vec![(Some(condition), then)]
            }
            items => items.iter().flat_map(each).collect(),
        },
        one => vec![(None, one)],
    }
}

fn texts(value: &Value) -> Vec<String> {
    let text = |(condition, text): (Option<&str>, &Value)| {
        let text = text.as_str().expect("a text");
        condition.map_or_else(
            || text.to_owned(),
            |condition| format!("{text} where {condition}"),
        )
    };
    each(value).into_iter().map(text).collect()
}

/// The actions of a statement; all but some count as one.
fn actions(statement: &Value) -> Vec<String> {
    match &statement["NotAction"] {
        Value::Null => texts(&statement["Action"]),
        all_but => vec![format!("all but {}", texts(all_but).join(" "))],
    }
}

/// A line for each action on each resource.
fn lines(statement: &Value, conditional: Option<&str>) -> Vec<String> {
    let mut further = conditional.map_or_else(String::new, |condition| format!(" where {condition}"));
    for part in ["Principal", "Condition"] {
        if !statement[part].is_null() {
            further += &format!(" {} {}", part.to_lowercase(), statement[part]);
        }
    }
    let resources = match (&statement["Resource"], &statement["NotResource"]) {
        (Value::Null, Value::Null) => vec!["itself".to_owned()],
        (Value::Null, all_but) => vec![format!("all but {}", texts(all_but).join(" "))],
        (resources, _) => texts(resources),
    };
    let on = |action: &String| -> Vec<String> {
        let line = |resource: &String| format!("{action} on {resource}{further}");
        resources.iter().map(line).collect()
    };
    actions(statement).iter().flat_map(on).collect()
}

fn add(found: &mut Lines, document: &Value, conditional: Option<&str>, allow: &str) {
    for (own, statement) in each(&document["Statement"]) {
        let effect = match statement["Effect"].as_str().unwrap() {
            "Allow" => allow,
            _ => "deny",
        };
        let lines = lines(statement, conditional.or(own));
        found.entry(effect.to_owned()).or_default().extend(lines);
    }
}

fn of_role(role: &Value) -> Lines {
    let mut found = Lines::new();
    let properties = &role["Properties"];
    add(&mut found, &properties["AssumeRolePolicyDocument"], None, "trust");
    for (condition, policy) in each(&properties["Policies"]) {
        add(&mut found, &policy["PolicyDocument"], condition, "allow");
    }
    let mut managed = BTreeSet::new();
    arns(&properties["ManagedPolicyArns"], &mut managed);
    if !managed.is_empty() {
        found.insert("managed policies".to_owned(), managed);
    }
    found
}

/// The elements of a list of ARNs, however it is joined; the comma is not an element.
fn arns(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text != "," => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| arns(item, found)),
        _ => {}
    }
}

/// A resource's statements about rights, for any principal; `None` if it has none.
fn of_resource(resource: &Value) -> Option<Lines> {
    let properties = &resource["Properties"];
    match resource["Type"].as_str()? {
        "AWS::IAM::Role" => Some(of_role(resource)),
        "AWS::IAM::ManagedPolicy" => {
            let mut found = Lines::new();
            let condition = resource["Condition"].as_str();
            add(&mut found, &properties["PolicyDocument"], condition, "allow");
            let attached = texts(&properties["Roles"]);
            if !attached.is_empty() {
                found.insert("attached to".to_owned(), attached.into_iter().collect());
            }
            Some(found)
        }
        "AWS::S3::BucketPolicy" | "AWS::SQS::QueuePolicy" | "AWS::SNS::TopicPolicy" => {
            let mut found = Lines::new();
            add(&mut found, &properties["PolicyDocument"], None, "allow");
            Some(found)
        }
        "AWS::KMS::Key" => {
            let mut found = Lines::new();
            add(&mut found, &properties["KeyPolicy"], None, "allow");
            Some(found)
        }
        "AWS::Events::EventBusPolicy" => {
            let mut found = Lines::new();
            let condition = resource["Condition"].as_str();
            add(
                &mut found,
                &json!({"Statement": [properties["Statement"]]}),
                condition,
                "allow",
            );
            Some(found)
        }
        // Describes how CloudWatch uses log lines; it grants no right.
        "AWS::Logs::AccountPolicy" => None,
        "AWS::Lambda::Permission" => {
            let text = |name: &str| properties[name].as_str().unwrap();
            let line = format!(
                "{} on {} principal {} source {}",
                text("Action"),
                text("FunctionName"),
                text("Principal"),
                text("SourceArn")
            );
            Some([("allow".to_owned(), [line].into())].into())
        }
        kind if kind.starts_with("AWS::IAM::") || kind.ends_with("Policy") => {
            panic!("{kind}: this test doesn't know what such a resource allows")
        }
        _ => None,
    }
}

#[test]
fn roles_may_do_what_was_reviewed_and_nothing_else() {
    let differ: Vec<&str> = LISTS
        .iter()
        .filter(|(template, list)| !is_reviewed(template, list))
        .map(|(_, list)| *list)
        .collect();
    assert!(
        differ.is_empty(),
        "the roles of the templates are no longer those of {differ:?} in tests/contract; read what changed \
         (git diff --no-index tests/contract/policies.json target/policies.json), then \
         cp target/policies.json tests/contract/policies.json"
    );
}

/// Whether the roles of a template are those of a list; if not, the new list is written to `target`.
fn is_reviewed(template: &str, list: &str) -> bool {
    let template = named(template);
    let resources = template["Resources"].as_object().unwrap();
    let found: BTreeMap<&String, Lines> = resources
        .iter()
        .filter_map(|(name, resource)| Some((name, of_resource(resource)?)))
        .collect();
    let mut found = serde_json::to_string_pretty(&json!(found)).unwrap();
    found.push('\n');
    let reviewed = root().join("tests/contract").join(list);
    if found == std::fs::read_to_string(reviewed).unwrap_or_default() {
        return true;
    }
    std::fs::write(root().join("target").join(list), found).unwrap();
    false
}

/// The properties from which SAM makes roles, statements and permissions.
#[test]
fn sam_adds_nothing_to_what_is_written_out() {
    let template = template();
    let own = [
        "Policies",
        "Events",
        "AutoPublishAlias",
        "DeploymentPreference",
        "FunctionUrlConfig",
    ];
    let given = &template["Globals"]["Function"];
    assert!(own.iter().all(|name| given[name].is_null()), "{given}");
    for (name, resource) in template["Resources"].as_object().unwrap() {
        let kind = resource["Type"].as_str().unwrap();
        if kind.starts_with("AWS::Serverless::") {
            let properties = &resource["Properties"];
            let role = properties["Role"].as_str().expect("a role of its own");
            assert!(role.ends_with("Role.Arn"), "{name}: {role}");
            for property in own {
                assert!(properties[property].is_null(), "{name}: {property}");
            }
        }
    }
}

/// A policy with the longest names that an account may have, in the place of `${…}` and of the texts that tags leave of
/// references.
fn with_longest_names(policy: &Value) -> String {
    let bucket = "b".repeat(63);
    let stack = "s".repeat(STACK_NAME);
    let project = "p".repeat(100);
    let region = "ap-southeast-2";
    let arn = |service: &str, rest: &str| format!("arn:aws-us-gov:{service}:{region}:123456789012:{rest}");
    let id = "0".repeat(36);
    let named = [
        ("AWS::Partition", "aws-us-gov".to_owned()),
        ("AWS::Region", region.to_owned()),
        ("AWS::AccountId", "123456789012".to_owned()),
        ("AWS::StackName", stack.clone()),
        ("HomeStackName", "h".repeat(24)),
        ("HomeAccountId", "123456789012".to_owned()),
        ("HomeRegion", region.to_owned()),
        ("BuildBucket.Arn", format!("arn:aws-us-gov:s3:::{bucket}")),
        ("CodeBuildProjectName", project.clone()),
        ("CdkQualifier", "q".repeat(10)),
        ("BuildRolePath", "/".repeat(64)),
        ("WorkBucket.Arn", format!("arn:aws-us-gov:s3:::{bucket}")),
        ("BundleBucket.Arn", format!("arn:aws-us-gov:s3:::{bucket}")),
        (
            "BuildLogGroup.Arn",
            arn("logs", &format!("log-group:/aws/codebuild/{project}:*")),
        ),
        ("FailedEventsQueue.Arn", arn("sqs", &"q".repeat(80))),
        ("PublishReportQueue.Arn", arn("sqs", &"q".repeat(80))),
        ("PublishReportMapping", id.clone()),
        ("NotificationKey.Arn", arn("kms", &format!("key/{id}"))),
        // A name that CloudFormation makes: the stack's, the resource's, and twelve characters.
        (
            "NotificationTopic",
            arn("sns", &format!("{stack}-NotificationTopic-{}", "x".repeat(12))),
        ),
        (
            "ChatTopic",
            arn("sns", &format!("{stack}-ChatTopic-{}", "x".repeat(12))),
        ),
    ];
    let mut text = policy.to_string();
    for (name, value) in named {
        text = text.replace(&format!("${{{name}}}"), &value);
        text = text.replace(&format!("\"{name}\""), &format!("\"{value}\""));
    }
    for name in ["ReferencedParameters", "ReferencedSecrets"] {
        for place in 0..8 {
            text = text.replace(&format!("${{{name}[{place}]}}"), &"n".repeat(150));
        }
    }
    text
}

/// The longest name of a stack: the name of `record-deployment` contains it, and Lambda allows 64 characters.
const STACK_NAME: usize = 64 - "-record-deployment".len();

/// IAM's limits, which don't count white space (IAM user guide, "IAM and AWS STS quotas"): 10,240 characters for all
/// inline policies of a role, 6,144 for a managed policy.
#[test]
fn the_policies_of_a_role_are_not_too_long() {
    let resources = LISTS.map(|(template, _)| named(template)["Resources"].as_object().unwrap().clone());
    for (name, resource) in resources.iter().flatten() {
        let properties = &resource["Properties"];
        if resource["Type"] == "AWS::IAM::Role" {
            let length = properties["Policies"].to_string().len();
            assert!(length < 8_000, "{name}: {length}");
        }
        if resource["Type"] == "AWS::IAM::ManagedPolicy" {
            let policy = with_longest_names(&properties["PolicyDocument"]);
            let mut unknown = policy
                .split("${")
                .skip(1)
                .filter_map(|rest| rest.split('}').next());
            assert_eq!(unknown.next(), None, "{name}: how long is it?");
            assert!(policy.len() <= 6_144, "{name}: {}", policy.len());
        }
    }
}

/// 20,480 characters, with names as IAM and S3 know them (S3 user guide, "Bucket policies for Amazon S3").
#[test]
fn the_policy_of_a_bucket_is_not_too_long() {
    let resources = LISTS.map(|(template, _)| named(template)["Resources"].as_object().unwrap().clone());
    for (name, resource) in resources.iter().flatten() {
        if resource["Type"] == "AWS::S3::BucketPolicy" {
            let policy = with_longest_names(&resource["Properties"]["PolicyDocument"]);
            // A role's ARN instead of "NameRole.Arn", and as many administrators as fit.
            let roles = policy.matches("Role.Arn").count() * 100;
            assert!(policy.len() + roles < 12_000, "{name}: {}", policy.len() + roles);
        }
    }
}

/// IAM attaches ten managed policies to a role; the template promises the remaining ones to administrators.
#[test]
fn a_role_of_a_module_has_no_more_policies_than_iam_attaches() {
    let template = template();
    let ours = template["Resources"]["ModuleStackFunction"]["Properties"]["Environment"]["Variables"]["MODULE_POLICY_ARNS"][1]
        .as_array()
        .unwrap()
        .iter()
        .filter(|arn| arn.is_string())
        .count();
    // And one more where builds have networks, under a condition.
    assert_eq!(ours, 4);
    for parameter in ["BuildManagedPolicyArns", "ModuleRoleManagedPolicyArns"] {
        let description = template["Parameters"][parameter]["Description"].as_str().unwrap();
        assert!(description.contains("up to six"), "{description}");
        assert!(
            description.contains("(five with BuildSubnetIds)"),
            "{description}"
        );
    }
}
