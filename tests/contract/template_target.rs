//! `template-target.yaml`: who may assume its roles, what they may do that those at home may not, and what builds are
//! denied. Its names have to be those that the code derives.
use seedflow_contract::{Template, file};
use seedflow_core::ids::AwsEnvironment;
use seedflow_core::module::target_settings::{Home, TargetSettings};
use seedflow_core::target::{Target, TargetRole, settings_parameter};
use serde_json::{Value, json};

const TARGET: &str = "template-target.yaml";

fn resources(template: &str) -> Value {
    Template::read(template).resources()
}

/// The texts of a value, wherever they are.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn names_are_those_that_the_code_derives() {
    let resources = resources(TARGET);
    let target: Target = "222222222222/eu-west-1".parse().unwrap();
    let filled = |text: &str| {
        text.replace("${HomeStackName}", "seedflow")
            .replace("${AWS::Region}", "eu-west-1")
            .replace("${AWS::AccountId}", "222222222222")
    };
    let name = |resource: &str, property: &str| {
        filled(resources[resource]["Properties"][property].as_str().unwrap())
    };
    for (resource, role) in [
        ("ReadsRole", TargetRole::Reads),
        ("BuildsRole", TargetRole::Builds),
        ("RolesRole", TargetRole::Roles),
        ("LogsRole", TargetRole::Logs),
        ("DriftRole", TargetRole::Drift),
        ("ReadOnlyBuildsRole", TargetRole::ReadOnlyBuilds),
    ] {
        assert_eq!(name(resource, "RoleName"), target.role_name("seedflow", role));
    }
    assert_eq!(name("BuildBucket", "BucketName"), target.bucket("seedflow"));
    assert_eq!(name("Settings", "Name"), settings_parameter("seedflow"));
}

#[test]
fn its_settings_are_read() {
    let resources = resources(TARGET);
    let settings = &resources["Settings"]["Properties"]["Value"][0];
    let target: Target = "222222222222/eu-west-1".parse().unwrap();
    let home = AwsEnvironment::from_arn("arn:aws:lambda:us-east-1:111111111111:function:f").unwrap();
    let home = Home {
        environment: &home,
        stack: "seedflow",
    };
    let read = TargetSettings::parse(&target, home, settings.as_str()).unwrap();
    assert_eq!(read.build_role, "${BuildRole.Arn}");
    assert_eq!(read.boundary(), Some("${PermissionsBoundaryArn}"));
}

/// Names of roles at home that a statement of trust or of a bucket admits.
fn admitted(statement: &Value) -> Vec<String> {
    let arns = &statement["Condition"]["ArnLike"]["aws:PrincipalArn"];
    let prefix = "arn:${AWS::Partition}:iam::${HomeAccountId}:role/${HomeStackName}-";
    texts(arns)
        .into_iter()
        .map(|arn| {
            let role = arn.strip_prefix(prefix).unwrap_or_else(|| panic!("{arn}"));
            role.strip_suffix("-*").unwrap().to_owned()
        })
        .collect()
}

#[test]
fn only_functions_at_home_that_may_assume_a_role_are_trusted_by_it_and_with_the_external_id() {
    let (home, resources) = (resources("template.yaml"), resources(TARGET));
    for (resource, kind) in [
        ("ReadsRole", "reads"),
        ("BuildsRole", "builds"),
        ("RolesRole", "roles"),
        ("LogsRole", "logs"),
    ] {
        let trust = &resources[resource]["Properties"]["AssumeRolePolicyDocument"]["Statement"];
        let [statement] = trust.as_array().unwrap().as_slice() else {
            panic!("{trust}")
        };
        assert_eq!(
            statement["Principal"],
            json!({"AWS": "arn:${AWS::Partition}:iam::${HomeAccountId}:root"})
        );
        assert_eq!(
            statement["Condition"]["StringEquals"],
            json!({"sts:ExternalId": "seedflow:${HomeAccountId}:${HomeRegion}:${HomeStackName}"})
        );
        let mut trusted = admitted(statement);
        trusted.sort();
        let role = format!("arn:${{AWS::Partition}}:iam::*:role/${{AWS::StackName}}-target-*-{kind}");
        let mut allowed: Vec<String> = home
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, resource)| resource["Type"] == "AWS::IAM::Role")
            .filter(|(_, resource)| texts(&resource["Properties"]["Policies"]).contains(&role.as_str()))
            .map(|(name, _)| name.clone())
            .collect();
        allowed.sort();
        assert_eq!(trusted, allowed, "{resource}");
    }
}

#[test]
fn the_bucket_admits_four_functions_of_home_and_no_build_of_another_account() {
    let resources = resources(TARGET);
    let policy = &resources["BuildBucketPolicy"]["Properties"]["PolicyDocument"];
    for statement in policy["Statement"].as_array().unwrap() {
        if statement["Effect"] == "Allow" {
            let admitted = admitted(statement);
            assert!(
                !admitted.is_empty()
                    && admitted.iter().all(|role| [
                        "UpdateMetadataRole",
                        "StartBuildRole",
                        "DetectDriftRole",
                        "PreviewModulesRole"
                    ]
                    .contains(&role.as_str())),
                "{statement}"
            );
        }
    }
}

/// The statements of a template's policies for builds that deny, by their names, with region and stack made the same.
fn denies(template: &str) -> Vec<(String, Value)> {
    let resources = resources(template);
    let mut found = Vec::new();
    for (_, resource) in resources.as_object().unwrap() {
        let statements = &resource["Properties"]["PolicyDocument"]["Statement"];
        if resource["Type"] != "AWS::IAM::ManagedPolicy" {
            continue;
        }
        for statement in statements.as_array().unwrap() {
            // !If [condition, statement, NoValue]
            let statement = statement.get(1).unwrap_or(statement);
            if statement["Effect"] == "Deny" {
                let of = |name: &str| statement[name].clone();
                let name = of("Sid").as_str().unwrap().to_owned();
                found.push((name, json!([of("Action"), of("NotAction")])));
            }
        }
    }
    found
}

#[test]
fn builds_are_denied_in_a_target_what_they_are_denied_at_home() {
    let there = denies(TARGET);
    // The key of the topics at home has its own policy, and KeepFromOurTopic of a target is about both of them; stacks are
    // several in a target.
    let other = ["KeepFromOurChatTopic", "KeepFromOurKey", "KeepFromOurStack"];
    for (name, actions) in denies("template.yaml") {
        if !other.contains(&name.as_str()) {
            assert!(
                there.contains(&(name.clone(), actions.clone())),
                "{name} {actions}"
            );
        }
    }
    assert!(there.iter().any(|(name, _)| name == "KeepFromOurStacks"));
}

/// The target may be another region of Seedflow's own account.
#[test]
fn denies_name_no_region() {
    let text = file(TARGET);
    let (_, denies) = text.split_once("  BuildDenyStatePolicy:").unwrap();
    let (denies, _) = denies.split_once("Outputs:").unwrap();
    let of_a_region: Vec<&str> = denies
        .lines()
        .filter(|line| line.contains("arn:") && line.contains(":${AWS::Region}:"))
        .collect();
    assert!(of_a_region.is_empty(), "{of_a_region:?}");
}

#[test]
fn an_organization_takes_the_place_of_the_list_of_accounts() {
    let home = resources("template.yaml");
    let of_a_target = json!({"StringEquals": [
        "HasTargetOrganization", {"aws:ResourceOrgID": "TargetOrganization"}, {"aws:ResourceAccount": "TargetAccounts"},
    ]});
    let mut found = 0;
    for (name, resource) in home.as_object().unwrap() {
        for policy in resource["Properties"]["Policies"]
            .as_array()
            .into_iter()
            .flatten()
        {
            for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
                // !If [HasTargets, statement, NoValue]
                let statement = statement.get(1).unwrap_or(statement);
                if texts(&statement["Resource"])
                    .iter()
                    .any(|arn| arn.contains("${AWS::StackName}-target-*"))
                {
                    assert_eq!(statement["Condition"], of_a_target, "{name}");
                    found += 1;
                }
            }
        }
    }
    assert!(found >= 7, "{found} statements about targets");
    let admits = &home["TargetEvents"]["Properties"]["Statement"];
    assert_eq!(
        admits["Principal"],
        json!(["HasTargetOrganization", "*", {"AWS": "TargetAccounts"}])
    );
    assert_eq!(
        admits["Condition"]["StringEquals"],
        json!(["HasTargetOrganization", {"aws:PrincipalOrgID": "TargetOrganization"}, "AWS::NoValue"])
    );
}

#[test]
fn only_ends_of_builds_are_handed_to_the_bus_at_home_and_admitted_there() {
    let (home, target) = (resources("template.yaml"), resources(TARGET));
    let rule = &target["BuildEndedRule"]["Properties"];
    let there = &rule["EventPattern"];
    let here = &home["BuildEndedRule"]["Properties"]["EventPattern"];
    for field in ["replay-name", "source", "detail-type", "detail"] {
        assert_eq!(there[field], here[field], "{field}");
    }
    let bus = "arn:${AWS::Partition}:events:${HomeRegion}:${HomeAccountId}:event-bus/default";
    assert_eq!(rule["Targets"][0]["Arn"], bus);
    let admits = &home["TargetEvents"]["Properties"]["Statement"];
    assert_eq!(admits["Action"], "events:PutEvents");
    assert_eq!(
        admits["Condition"]["ForAllValues:StringEquals"]["events:detail-type"],
        "CodeBuild Build State Change"
    );
    assert_eq!(admits["Condition"]["Null"]["events:source"], false);
}

/// What is allowed on more than one resource, and why it can't be named.
const WILDCARDS: [(&str, &str); 13] = [
    (
        "${BuildBucket.Arn}/builds/*",
        "a folder for each build; only its builds know its name",
    ),
    (
        "*",
        "CodeBuild makes network interfaces by actions that have no resource",
    ),
    (
        ":network-interface/*",
        "CodeBuild makes them; the condition names subnets and service",
    ),
    (":stack/${HomeStackName}-module-*", "a stack for each module"),
    (
        ":stack/*-*/*",
        "stacks of modules have names of their own, with a hyphen as all of seed-farmer's",
    ),
    (
        ":project/${CodeBuildProjectName}-*",
        "projects that inputs or networks name",
    ),
    (
        ":policy/${HomeStackName}-module-*",
        "policies of the stacks of modules",
    ),
    (
        ":role${BuildRolePath}${HomeStackName}-module-*",
        "a role for each module",
    ),
    (
        ":role/${HomeStackName}-module-*",
        "a role for each module, made before BuildRolePath was set",
    ),
    ("]}-??????", "Secrets Manager ends the names of secrets at random"),
    (
        ":secret:*-docker-credentials*",
        "the name by which seed-farmer's modules find a registry's credentials",
    ),
    (":secret:*-mirror-credentials*", "the same of mirrors"),
    (":parameter/aws/service/*", "AWS's own public parameters"),
];

#[test]
fn every_wildcard_of_what_is_allowed_has_its_reason() {
    let list: Value = serde_json::from_str(&file("tests/contract/policies-target.json")).unwrap();
    let mut used = std::collections::BTreeSet::new();
    for (resource, lines) in list.as_object().unwrap() {
        for line in texts(&lines["allow"]) {
            let (action, rest) = line.split_once(" on ").unwrap();
            assert!(!action.contains('*'), "{resource}: {line}");
            let on = [" where ", " principal ", " condition "]
                .iter()
                .filter_map(|part| rest.find(part))
                .min()
                .map_or(rest, |end| &rest[..end]);
            if on.contains(['*', '?']) {
                let reason = WILDCARDS.iter().position(|(end, _)| {
                    on == *end || (on.len() > end.len() && *end != "*" && on.ends_with(end))
                });
                used.insert(reason.unwrap_or_else(|| panic!("{resource}: why {on}?")));
            }
        }
    }
    assert_eq!(used.len(), WILDCARDS.len(), "a reason without a wildcard");
}
