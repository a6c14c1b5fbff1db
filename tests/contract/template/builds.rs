//! What builds have by default, may do, and are denied.

use super::*;

#[test]
fn builds_reach_their_folder_and_nothing_else_of_ours() {
    let template = template();
    let statements = build_statements(&template);
    let with = |effect: &'static str| statements.iter().filter(move |s| s["Effect"] == effect);
    let denied: BTreeSet<&str> = with("Deny").flat_map(|s| texts(&s["Resource"])).collect();
    let prefixes = [
        "callbacks",
        "deployed",
        "locks",
        "plans",
        "policies",
        "reports",
        "sources",
        "uploads",
        "values",
    ];
    for prefix in prefixes {
        assert!(
            denied.contains(format!("${{WorkBucket.Arn}}/{prefix}/*").as_str()),
            "{prefix}"
        );
    }
    assert!(denied.contains("${BundleBucket.Arn}/*"));
    assert!(
        denied
            .iter()
            .any(|resource| resource.ends_with(":parameter/sf/*"))
    );
    // One place of the bucket is allowed by itself, without listing it.
    let ours = |resource: &&str| resource.contains("Bucket.Arn}/");
    let allowed: BTreeSet<&str> = with("Allow")
        .flat_map(|s| texts(&s["Resource"]))
        .filter(ours)
        .collect();
    assert_eq!(allowed, ["${WorkBucket.Arn}/builds/*"].into());
    let actions: BTreeSet<&str> = with("Allow").flat_map(|s| texts(&s["Action"])).collect();
    assert!(
        !actions.iter().any(|action| action.contains("List")),
        "{actions:?}"
    );
}

#[test]
fn a_role_of_a_module_has_what_every_build_has_and_its_denies() {
    let template = template();
    let resources = &template["Resources"];
    let given = resources["BuildRole"]["Properties"]["ManagedPolicyArns"].to_string();
    let given_to_modules =
        resources["ModuleStackFunction"]["Properties"]["Environment"]["Variables"]["MODULE_POLICY_ARNS"]
            .to_string();
    for policy in BUILD_POLICIES {
        assert_eq!(given.matches(&format!("\"{policy}\"")).count(), 2, "{policy}");
        assert!(given_to_modules.contains(&format!("\"{policy}\"")), "{policy}");
    }
    // The rights of a network are given to both, and only where an administrator allows networks.
    let network = &resources["BuildNetworkPolicy"];
    assert_eq!(network["Condition"], "HasBuildNetwork");
    assert_eq!(texts(&network["Properties"]["Roles"]), ["BuildRole"].into());
    let conditional = r#"["HasBuildNetwork","BuildNetworkPolicy",""]"#;
    assert!(given_to_modules.contains(conditional), "{given_to_modules}");
}

#[test]
fn names_of_modules_roles_and_stacks_begin_as_the_statements_have_it() {
    let template = template();
    let resources = &template["Resources"];
    let prefix = "${AWS::StackName}-module-";
    for function in ["CheckMd5Function", "ModuleStackFunction"] {
        let variables = &resources[function]["Properties"]["Environment"]["Variables"];
        assert_eq!(variables["MODULE_PREFIX"], prefix, "{function}");
    }
    for role in ["ModuleStackRole", "ModuleStackServiceRole"] {
        let all = statements(&resources[role]).into_iter();
        let changing =
            all.filter(|s| s["Action"].to_string().contains("iam:") && s["Action"] != "iam:PassRole");
        for statement in changing {
            for resource in texts(&statement["Resource"]) {
                let known = [
                    format!("role/{prefix}*"),
                    format!("role${{BuildRolePath}}{prefix}*"),
                    format!("policy/{prefix}*"),
                ];
                assert!(
                    known.iter().any(|known| resource.ends_with(known)),
                    "{role}: {resource}"
                );
            }
        }
    }
}

/// seed-farmer's image, its 120 minutes, and Docker (`sf/services/_codebuild.py` of 8.0.9).
#[test]
fn builds_are_by_default_as_seed_farmers() {
    let template = template();
    let default = |parameter: &str| &template["Parameters"][parameter]["Default"];
    assert_eq!(
        default("BuildImage"),
        "aws/codebuild/amazonlinux2-x86_64-standard:5.0"
    );
    assert_eq!(default("BuildTimeoutMinutes"), 120);
    assert_eq!(default("PrivilegedMode"), "true");
    let resources = template["Resources"].as_object().unwrap();
    let projects: Vec<&Value> = resources
        .values()
        .filter(|resource| resource["Type"] == "AWS::CodeBuild::Project")
        .map(|project| &project["Properties"])
        .collect();
    assert!(!projects.is_empty());
    for project in projects {
        let environment = &project["Environment"];
        assert_eq!(environment["Image"], "BuildImage");
        assert_eq!(
            environment["PrivilegedMode"],
            serde_json::json!(["BuildsArePrivileged", true, false])
        );
        assert_eq!(project["TimeoutInMinutes"], "BuildTimeoutMinutes");
    }
}

/// The output of builds makes no metrics; the emulator doesn't have such policies.
#[test]
fn the_log_group_of_builds_makes_no_metrics() {
    let template = template();
    let policy = &template["Resources"]["BuildLogPolicy"]["Properties"];
    assert_eq!(policy["PolicyType"], "METRIC_EXTRACTION_POLICY");
    let document: Value = serde_json::from_str(policy["PolicyDocument"].as_str().unwrap()).unwrap();
    // CloudWatch Logs API reference, PutAccountPolicy, the example of such a policy.
    assert_eq!(
        document,
        serde_json::json!({"EmbeddedMetricFormat": {"Status": "Disabled"}})
    );
    assert_eq!(
        policy["SelectionCriteria"],
        "LogGroupName IN [\"${BuildLogGroup}\", \"${ReadOnlyBuildLogGroup}\"]"
    );
}

/// The emulator has neither service, so it can't refuse these calls.
#[test]
fn builds_reach_no_connection_and_push_to_no_repository() {
    let template = template();
    let connections = statement(&template, "BuildDenyAccountPolicy", "KeepFromConnections");
    assert_eq!(
        texts(&connections["Action"]),
        ["codeconnections:*", "codestar-connections:*"].into()
    );
    let pushing = statement(&template, "BuildDenyAccountPolicy", "KeepFromPushing");
    let denied = texts(&pushing["Action"]);
    for action in ["GitPush", "PutFile", "DeleteFile", "CreateCommit", "Merge*"] {
        assert!(
            denied.contains(format!("codecommit:{action}").as_str()),
            "{action}"
        );
    }
    for statement in [connections, pushing] {
        assert_eq!(
            (&statement["Effect"], &statement["Resource"]),
            (&"Deny".into(), &"*".into())
        );
    }
}
