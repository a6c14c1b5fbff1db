//! What roles may do, who may assume them, and what every build is denied.

use super::*;

#[test]
fn roles_name_the_state_machine_by_the_name_that_it_has() {
    let template = template();
    let name = |machine: &str| {
        let name = &template["Resources"][machine]["Properties"]["Name"];
        format!(":stateMachine:{}", name.as_str().unwrap())
    };
    // A function that wakes executions waiting for a lock. Only a module's execution waits for a build.
    for (role, machines) in [
        ("AcquireLockRole", &["DeployModule", "Deploy"][..]),
        ("EndExecutionRole", &["DeployModule", "Deploy"]),
        ("CheckStatusRole", &["DeployModule"]),
        ("BuildEventRole", &["DeployModule"]),
    ] {
        let role = &template["Resources"][role];
        let answer = statements(role)
            .into_iter()
            .find(|s| s["Action"] == "states:SendTaskSuccess")
            .unwrap();
        let resources = texts(&answer["Resource"]);
        assert_eq!(resources.len(), machines.len(), "{resources:?}");
        for machine in machines {
            assert!(
                resources
                    .iter()
                    .any(|resource| resource.ends_with(&name(machine))),
                "{resources:?}"
            );
        }
    }
}

/// AWS's documentation of `aws:SourceAccount` in a role's trust policy, by the service that assumes the role.
const TRUSTS: [(&str, bool); 6] = [
    // The role belongs to the function, which Lambda doesn't send.
    ("lambda.amazonaws.com", false),
    // AWS documents the key for StackSets and resources.cloudformation.amazonaws.com only: CloudFormation user guide,
    // "Cross-service confused deputy prevention".
    ("cloudformation.amazonaws.com", false),
    // CodeBuild user guide, "Cross-service confused deputy prevention".
    ("codebuild.amazonaws.com", true),
    // EventBridge user guide, "Cross-service confused deputy prevention in EventBridge".
    ("events.amazonaws.com", true),
    // Step Functions Developer Guide, "Preventing the cross-service confused deputy issue".
    ("states.amazonaws.com", true),
    // EventBridge Scheduler user guide, "Confused deputy prevention in EventBridge Scheduler".
    ("scheduler.amazonaws.com", true),
];

/// A condition on a key that the service doesn't send would make the role useless, and only on AWS.
#[test]
fn a_trust_asks_for_the_account_where_aws_documents_that_the_service_sends_it() {
    let template = template();
    let mut seen = BTreeSet::new();
    for (name, role) in template["Resources"].as_object().unwrap() {
        let statements = items(&role["Properties"]["AssumeRolePolicyDocument"]["Statement"]);
        for statement in statements
            .into_iter()
            .filter(|_| role["Type"] == "AWS::IAM::Role")
        {
            let service = statement["Principal"]["Service"].as_str().unwrap();
            let known = TRUSTS.iter().find(|(known, _)| *known == service);
            let (service, sends) = known.unwrap_or_else(|| panic!("{name}: say what {service} sends"));
            let expected = match sends {
                true => serde_json::json!({"StringEquals": {"aws:SourceAccount": "AWS::AccountId"}}),
                false => Value::Null,
            };
            assert_eq!(statement["Condition"], expected, "{name}");
            seen.insert(*service);
        }
    }
    assert_eq!(seen.len(), TRUSTS.len(), "{seen:?}");
}

/// Both keys have several values, as a request can contain several events (Service Authorization Reference, Amazon
/// EventBridge: ArrayOfString). An operator for one value isn't defined for them, and ForAllValues is true without a
/// value (IAM user guide, "Single-valued vs. multivalued context keys").
#[test]
fn roles_put_only_our_events() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let mut seen = 0;
    for (name, role) in resources.iter().filter(|(_, r)| r["Type"] == "AWS::IAM::Role") {
        for statement in statements(role) {
            if !texts(&statement["Action"]).contains("events:PutEvents") {
                continue;
            }
            seen += 1;
            let condition = statement["Condition"].as_object().unwrap();
            let operators: BTreeSet<&str> = condition.keys().map(String::as_str).collect();
            assert_eq!(operators, ["ForAllValues:StringEquals", "Null"].into(), "{name}");
            let keys = ["events:source", "events:detail-type"];
            for key in keys {
                assert_eq!(condition["Null"][key], false, "{name}: {key}");
                assert!(
                    !condition["ForAllValues:StringEquals"][key].is_null(),
                    "{name}: {key}"
                );
            }
            assert_eq!(
                condition["ForAllValues:StringEquals"]["events:source"], "seedflow",
                "{name}"
            );
        }
    }
    assert_eq!(seen, 4);
}

/// A reader or copier of objects that may be missing gets a 404 only with s3:ListBucket on their bucket; without it S3
/// answers 403 (S3 API reference, GetObject, HeadObject, permissions).
#[test]
fn readers_of_objects_can_distinguish_missing_from_denied() {
    let template = template();
    for (function, _, _) in FUNCTIONS {
        let role = &template["Resources"][format!("{function}Role")];
        for bucket in ["WorkBucket", "BundleBucket"] {
            let on = |action: &str, resource: &str| {
                statements(role).into_iter().any(|statement| {
                    texts(&statement["Action"]).contains(action)
                        && texts(&statement["Resource"])
                            .iter()
                            .any(|found| found.starts_with(resource))
                })
            };
            let reads = on("s3:GetObject", &format!("${{{bucket}.Arn}}/"));
            let lists = on("s3:ListBucket", &format!("{bucket}.Arn"));
            assert!(lists || !reads, "{function}, {bucket}");
        }
    }
}

/// Actions for which AWS defines no resource.
fn has_no_resource(action: &str) -> bool {
    action.starts_with("xray:")
        || action.contains("LogDeliver")
        || action.starts_with("logs:Describe")
        || action == "logs:PutResourcePolicy"
        || action == "cloudformation:BatchDescribeTypeConfigurations"
        || action == "cloudformation:DescribeStackDriftDetectionStatus"
}

#[test]
fn no_statement_reaches_everything_but_where_aws_knows_no_resource() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let roles = resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::IAM::Role")
        .map(|(name, role)| (name.as_str(), statements(role)));
    for (name, statements) in roles.chain([("BuildPolicy", build_statements(&template))]) {
        for statement in statements.into_iter().filter(|s| s["Effect"] == "Allow") {
            let actions = texts(&statement["Action"]);
            assert!(
                actions.iter().all(|action| !action.contains('*')),
                "{name}: {actions:?}"
            );
            if texts(&statement["Resource"]).contains("*") {
                assert!(
                    actions.iter().all(|action| has_no_resource(action)),
                    "{name}: {actions:?}"
                );
            }
        }
    }
}
