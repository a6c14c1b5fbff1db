//! Both buckets, and who reaches what is stored in them.

use super::*;

#[test]
fn buckets_are_private_versioned_encrypted_and_outlive_the_stack() {
    let template = template();
    for name in ["WorkBucket", "BundleBucket"] {
        let bucket = &template["Resources"][name];
        assert_eq!(bucket["DeletionPolicy"], "Retain");
        let properties = &bucket["Properties"];
        assert_eq!(properties["VersioningConfiguration"]["Status"], "Enabled");
        assert!(properties["BucketEncryption"].is_object());
        let private = properties["PublicAccessBlockConfiguration"].as_object().unwrap();
        assert!(private.len() == 4 && private.values().all(|on| on == true));
        let policy = &template["Resources"][format!("{name}Policy")]["Properties"]["PolicyDocument"];
        let statement = items(&policy["Statement"])[0];
        assert_eq!(statement["Effect"], "Deny");
        assert_eq!(statement["Condition"]["Bool"]["aws:SecureTransport"], false);
    }
}

/// The functions' roles with a statement about any of these folders of the work bucket, as `Condition` lists name them.
fn roles_with_rights_on(template: &Value, folders: &[&str]) -> BTreeSet<String> {
    let prefixes: Vec<String> = folders
        .iter()
        .map(|folder| format!("${{WorkBucket.Arn}}/{folder}/"))
        .collect();
    let resources = template["Resources"].as_object().unwrap();
    let roles = resources.iter().filter(|(_, r)| r["Type"] == "AWS::IAM::Role");
    let having = roles.filter(|(_, role)| {
        let named = statements(role).into_iter().flat_map(|s| texts(&s["Resource"]));
        named
            .into_iter()
            .any(|resource| prefixes.iter().any(|prefix| resource.starts_with(prefix)))
    });
    having.map(|(name, _)| format!("{name}.Arn")).collect()
}

#[test]
fn state_in_the_work_bucket_is_denied_to_all_but_its_users_and_administrators() {
    let template = template();
    let root = "arn:${AWS::Partition}:iam::${AWS::AccountId}:root".to_owned();
    let modules = ["/", "${BuildRolePath}"].map(|path| {
        format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role{path}${{AWS::StackName}}-module-*")
    });
    for (sid, folders, others) in [
        (
            "KeepStateToOurselves",
            &["approvals", "callbacks", "deployed", "fetched", "locks", "plans"][..],
            vec![root.clone()],
        ),
        // Builds get this right from BuildPolicy.
        (
            "KeepBuildsToThemselves",
            &["builds"],
            [vec![root, "BuildRole.Arn".to_owned()], modules.to_vec()].concat(),
        ),
    ] {
        let statement = statement(&template, "WorkBucketPolicy", sid);
        assert_eq!(
            (
                &statement["Effect"],
                &statement["Principal"],
                &statement["Action"]
            ),
            (&"Deny".into(), &"*".into(), &"s3:*".into())
        );
        let expected: Vec<String> = folders
            .iter()
            .map(|folder| format!("${{WorkBucket.Arn}}/{folder}/*"))
            .collect();
        assert_eq!(
            texts(&statement["Resource"]),
            expected.iter().map(String::as_str).collect()
        );
        let condition = &statement["Condition"];
        let mut excepted = roles_with_rights_on(&template, folders);
        excepted.extend(others);
        assert_eq!(
            texts(&condition["ArnNotLike"]["aws:PrincipalArn"]),
            excepted.iter().map(String::as_str).collect(),
            "{sid}"
        );
        let administrators = &condition["ArnNotEquals"][1]["aws:PrincipalArn"];
        assert_eq!(administrators, "AdministratorPrincipalArns", "{sid}");
        assert_eq!(condition.as_object().unwrap().len(), 2, "{sid}");
    }
}

/// A policy decides what is deployed, so administrators write it. Reading is left to IAM.
#[test]
fn policies_are_written_by_administrators_only() {
    let template = template();
    let statement = statement(&template, "WorkBucketPolicy", "KeepPoliciesToAdministrators");
    assert_eq!(
        (
            &statement["Effect"],
            &statement["Principal"],
            &statement["Action"]
        ),
        (&"Deny".into(), &"*".into(), &Value::Null)
    );
    assert_eq!(
        texts(&statement["NotAction"]),
        ["s3:GetObject", "s3:GetObjectVersion"].into()
    );
    assert_eq!(
        texts(&statement["Resource"]),
        ["${WorkBucket.Arn}/policies/*"].into()
    );
    let condition = &statement["Condition"];
    assert_eq!(condition.as_object().unwrap().len(), 2);
    assert_eq!(
        condition["ArnNotLike"]["aws:PrincipalArn"],
        "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"
    );
    assert_eq!(
        condition["ArnNotEquals"][1]["aws:PrincipalArn"],
        "AdministratorPrincipalArns"
    );
    let readers = roles_with_rights_on(&template, &["policies"]);
    assert_eq!(
        readers,
        [
            "ApproveRole.Arn",
            "CheckMd5Role.Arn",
            "EvaluatePolicyRole.Arn",
            "PlanDeploymentRole.Arn"
        ]
        .map(str::to_owned)
        .into()
    );
}

/// The name of a build's folder opens it to every build; and this right distinguishes a missing object from a forbidden
/// one.
#[test]
fn roles_that_list_the_work_bucket_are_excepted_from_the_denies_of_lists() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let listing = resources.iter().filter(|(_, resource)| {
        resource["Type"] == "AWS::IAM::Role"
            && statements(resource).into_iter().any(|statement| {
                texts(&statement["Action"]).contains("s3:ListBucket")
                    && texts(&statement["Resource"]).contains("WorkBucket.Arn")
            })
    });
    let mut expected: BTreeSet<String> = listing.map(|(name, _)| format!("{name}.Arn")).collect();
    expected.insert("arn:${AWS::Partition}:iam::${AWS::AccountId}:root".to_owned());
    for sid in ["KeepNamesToOurselves", "KeepNamesOfUploadsToOurselves"] {
        let statement = statement(&template, "WorkBucketPolicy", sid);
        let excepted = texts(&statement["Condition"]["ArnNotLike"]["aws:PrincipalArn"]);
        assert_eq!(excepted, expected.iter().map(String::as_str).collect(), "{sid}");
    }
}

#[test]
fn nobody_comes_to_a_bucket_by_an_access_point() {
    let template = template();
    for bucket in ["WorkBucket", "BundleBucket"] {
        let statement = statement(&template, &format!("{bucket}Policy"), "NoAccessPoints");
        assert_eq!(
            (
                &statement["Effect"],
                &statement["Principal"],
                &statement["Action"]
            ),
            (&"Deny".into(), &"*".into(), &"s3:*".into())
        );
        let all = format!("${{{bucket}.Arn}}/*");
        assert_eq!(
            texts(&statement["Resource"]),
            [format!("{bucket}.Arn").as_str(), &all].into()
        );
        let condition = serde_json::json!({"Null": {"s3:DataAccessPointArn": false}});
        assert_eq!(statement["Condition"], condition);
    }
}

#[test]
fn nothing_expires_that_a_parameter_may_refer_to() {
    let template = template();
    let rules = &template["Resources"]["WorkBucket"]["Properties"]["LifecycleConfiguration"]["Rules"];
    for rule in items(rules)
        .into_iter()
        .filter(|rule| rule["ExpirationInDays"].is_number())
    {
        let prefix = rule["Prefix"]
            .as_str()
            .expect("a rule that expires objects names a prefix");
        // Of the uploads, only those that the planner made and marked, and those that are planned and never deployed.
        let planned = prefix == "uploads/" && rule["TagFilters"][0]["Value"] == "planned";
        let planned = planned || prefix == "uploads/_plans/";
        assert!(
            planned
                || [
                    "approvals/",
                    "callbacks/",
                    "builds/",
                    "fetched/",
                    "plans/",
                    "reports/"
                ]
                .contains(&prefix),
            "{prefix}"
        );
    }
}
