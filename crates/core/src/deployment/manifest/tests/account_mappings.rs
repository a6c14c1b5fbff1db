//! The accounts and regions of modules, with their settings.

use super::*;

#[test]
fn registries_boundary_and_privileged_mode_come_from_the_module_the_region_or_the_account() {
    let mappings = "targetAccountMappings:\n- alias: primary\n  accountId: '111111111111'\n  default: true\n  privilegedMode: false\n  pypiMirror: https://account.example/simple\n  npmMirror: https://account.example/npm\n  npmMirrorSecret: npm-mirror-credentials\n  parametersGlobal: {dockerCredentialsSecret: global-docker-credentials}\n  regionMappings:\n  - region: eu-west-1\n    default: true\n    npmMirror: https://region.example/npm\n    parametersRegional: {dockerCredentialsSecret: regional-docker-credentials, permissionsBoundaryName: team/boundary}\n";
    let build = |module: &str| Value::Object(module_of(&with_module(module, mappings)).build);
    assert_eq!(
        build(""),
        json!({"privileged": false, "pypi_mirror": "https://account.example/simple",
            "npm_mirror": "https://region.example/npm", "npm_mirror_secret": "npm-mirror-credentials",
            "docker_credentials_secret": "regional-docker-credentials", "permissions_boundary": "team/boundary"})
    );
    let own = build(
        "privilegedMode: true\npypiMirror: https://module.example/simple\npypiMirrorSecret: m-mirror-credentials::k",
    );
    assert_eq!(
        (
            &own["privileged"],
            &own["pypi_mirror"],
            &own["pypi_mirror_secret"]
        ),
        (
            &json!(true),
            &json!("https://module.example/simple"),
            &json!("m-mirror-credentials::k")
        )
    );
}

const MAPPINGS: &str = "targetAccountMappings:\n- alias: first\n  accountId: '111111111111'\n  default: true\n  regionMappings:\n  - {region: eu-west-1, default: true}\n  - {region: us-east-1}\n- alias: second\n  accountId: {valueFrom: {envVariable: SECOND}}\n  regionMappings: [{region: eu-west-1}]\n";

#[test]
fn a_module_names_a_mapping_or_has_the_default() {
    let read = |lines: &str| {
        let manifest = with_module(lines, &format!("  - {{name: n, path: modules/b}}\n{MAPPINGS}"));
        read_with(
            &[("deployment.yaml", &manifest)],
            &[("SECOND", "222222222222")],
            Some(&environment()),
        )
    };
    assert!(read("").is_ok());
    assert!(read("targetAccount: first\ntargetRegion: eu-west-1").is_ok());
    for (lines, expected) in [
        (
            "targetAccount: third",
            "targetAccount: expected an alias in targetAccountMappings: first, second, found \"third\"",
        ),
        (
            "targetRegion: us-west-2",
            "targetRegion: expected a region in regionMappings of \"first\": eu-west-1, us-east-1, found \"us-west-2\"",
        ),
        (
            "targetAccount: second",
            "targetRegion is missing, and no region in regionMappings of \"second\" is the default",
        ),
    ] {
        let problems = problems(read(lines));
        assert!(
            problems.len() == 1 && says(&problems[0], expected),
            "{problems:#?} / {expected}"
        );
    }
}

/// The problems of a manifest with one module at home and one elsewhere, if these accounts have targets.
fn elsewhere(lines: &str, accounts: &[&str]) -> Result<Deployment, Vec<String>> {
    let manifest = with_module(lines, &format!("  - {{name: n, path: modules/b}}\n{MAPPINGS}"));
    let maxima = Maxima {
        target_accounts: Some(accounts.iter().map(ToString::to_string).collect()),
        permissions_boundary: Some("arn:aws:iam::111111111111:policy/home".to_owned()),
        ..Maxima::OF_AWS
    };
    let files = [("deployment.yaml", manifest.as_str())];
    let env = [("SECOND", "222222222222")];
    read_within(&files, &env, Some(&environment()), &maxima)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn modules_go_to_the_accounts_that_the_template_names() {
    let second = "targetAccount: second\ntargetRegion: eu-west-1";
    let read = elsewhere(second, &["222222222222"]).unwrap();
    let [there, here] = read.groups[0].modules.as_slice() else {
        panic!("{read:?}")
    };
    let target = "222222222222/eu-west-1".parse().unwrap();
    assert_eq!(there.options.target, Some(target));
    let input = there.input("d", false);
    assert_eq!(
        input["target"],
        json!({"account": "222222222222", "region": "eu-west-1"})
    );
    assert_eq!(here.options.target, None);
    assert!(here.input("d", false).get("target").is_none());
    let mapped: Vec<String> = read.mapped.iter().map(ToString::to_string).collect();
    assert_eq!(mapped, ["111111111111/us-east-1", "222222222222/eu-west-1"]);

    let other_region = "targetRegion: us-east-1";
    assert!(elsewhere(other_region, &["111111111111"]).is_ok());
    for (lines, accounts, expected) in [
        (
            second,
            [].as_slice(),
            "deployment.yaml:18: targetAccountMappings[1].accountId: expected 111111111111, Seedflow's own account, or an account of the template parameter TargetAccounts (none), found \"222222222222\"",
        ),
        (
            second,
            &["333333333333"],
            "an account of the template parameter TargetAccounts (333333333333)",
        ),
        (
            other_region,
            &["222222222222"],
            "deployment.yaml:15: targetAccountMappings[0].regionMappings[1].region: expected eu-west-1, Seedflow's own region, unless the template parameter TargetAccounts has the account 111111111111, found \"us-east-1\"",
        ),
    ] {
        // Without other errors planning reports it, with all that is wrong with targets.
        let unlisted = elsewhere(lines, accounts).unwrap().targets.unlisted;
        let unlisted: Vec<&String> = unlisted.values().collect();
        assert!(
            unlisted.len() == 1 && unlisted[0].contains(expected),
            "{unlisted:#?} / {expected}"
        );
        // Beside other errors it is one of them. Their line is before it.
        let expected = expected.split_once(": ").map_or(expected, |(_, message)| message);
        let problems = elsewhere(&format!("{lines}\ndataFiles: 1"), accounts).unwrap_err();
        assert!(
            problems.len() == 2 && problems.iter().any(|problem| problem.contains(expected)),
            "{problems:#?} / {expected}"
        );
    }
}

#[test]
fn each_module_has_the_settings_of_its_own_account_and_region() {
    let mappings = "targetAccountMappings:\n- alias: first\n  accountId: '111111111111'\n  default: true\n  codebuildImage: of/first\n  pypiMirror: https://first.example/simple\n  parametersGlobal: {v: first, w: first}\n  regionMappings:\n  - {region: eu-west-1, default: true, parametersRegional: {v: here}}\n  - {region: us-east-1, codebuildImage: of/us, runtimeOverrides: {python: '3.11'}}\n- alias: second\n  accountId: '222222222222'\n  rolePrefix: /theirs/\n  parametersGlobal: {v: second, permissionsBoundaryName: theirs}\n  regionMappings:\n  - region: eu-west-1\n    default: true\n    network: {vpcId: vpc-2, privateSubnetIds: [subnet-2], securityGroupIds: [sg-2]}\n";
    let parameters = "parameters: [{name: v, valueFrom: {parameterValue: v}}]";
    let groups = format!(
        "groups:\n- name: g\n  modules:\n  - {{name: a, path: modules/a, {parameters}}}\n  - {{name: b, path: modules/a, targetRegion: us-east-1, {parameters}}}\n  - {{name: c, path: modules/a, targetAccount: second, {parameters}}}\n"
    );
    let manifest = format!("name: prod\n{groups}{mappings}");
    // What an administrator allows at home doesn't bind a target.
    let maxima = Maxima {
        target_accounts: Some(vec!["111111111111".to_owned(), "222222222222".to_owned()]),
        permissions_boundary: Some("arn:aws:iam::111111111111:policy/home".to_owned()),
        role_path: Some("/".to_owned()),
        networks: Some(AllowedNetworks::default()),
        ..Maxima::OF_AWS
    };
    let files = [("deployment.yaml", manifest.as_str())];
    let read = read_within(&files, &[], Some(&environment()), &maxima).unwrap();
    // Only the target itself can say whether the path of its roles is right.
    let [named] = read.targets.role_paths.as_slice() else {
        panic!("{:?}", read.targets)
    };
    assert_eq!(
        (named.target.to_string(), named.path.as_str(), named.at.as_str()),
        (
            "222222222222/eu-west-1".to_owned(),
            "/theirs/",
            "deployment.yaml:20: targetAccountMappings[1].rolePrefix"
        )
    );
    let of = |i: usize| {
        let module = &read.groups[0].modules[i];
        (module.parameters["v"].clone(), json!(module.build))
    };
    assert_eq!(
        of(0),
        (
            json!("here"),
            json!({"image": "of/first", "pypi_mirror": "https://first.example/simple"})
        )
    );
    assert_eq!(
        of(1),
        (
            json!("first"),
            json!({"image": "of/us", "pypi_mirror": "https://first.example/simple", "runtimes": {"python": "3.11"}})
        )
    );
    assert_eq!(
        of(2),
        (
            json!("second"),
            json!({"permissions_boundary": "theirs",
                "network": {"vpc_id": "vpc-2", "subnet_ids": ["subnet-2"], "security_group_ids": ["sg-2"]}})
        )
    );
}

#[test]
fn mappings_are_read_strictly() {
    let mapping = |lines: &str| {
        let rest = if lines.contains("accountId") {
            ""
        } else {
            "  accountId: '111111111111'\n"
        };
        let regions = if lines.contains("regionMappings") {
            ""
        } else {
            "  regionMappings: [{region: eu-west-1, default: true}]\n"
        };
        let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
        with_module(
            "",
            &format!("targetAccountMappings:\n- alias: first\n  default: true\n{rest}{regions}{lines}"),
        )
    };
    for (lines, expected) in [
        (
            "accountId: 012345670123",
            "targetAccountMappings[0].accountId: expected the 12 digits of an account, found 1402433619, as YAML reads 012345670123; put them into quotes",
        ),
        (
            "accountId: 12",
            "accountId: expected the 12 digits of an account, found \"12\"",
        ),
        (
            "accountId: {valueFrom: {moduleMetadata: {group: g, name: m}}}",
            "accountId.valueFrom: envVariable is missing",
        ),
        (
            "npmMirror: https://u:p@x",
            "targetAccountMappings[0].npmMirror: expected a URL…found a URL with credentials",
        ),
        (
            "regionMappings: [{region: eu-west-1, default: true, parametersRegional: {dockerCredentialsSecret: [a]}}]",
            "parametersRegional.dockerCredentialsSecret: expected a text, found a list",
        ),
        (
            "parametersGlobal: {permissionsBoundaryName: 'arn:aws:iam::1:policy/b'}",
            "targetAccountMappings[0].parametersGlobal.permissionsBoundaryName: expected the name of an IAM policy",
        ),
        (
            "regionMappings: [{region: eu-west-1, default: true}, {region: us-east-1, default: true}]",
            "regionMappings[1]: targetAccountMappings[0].regionMappings[0] is the default already",
        ),
        (
            "regionMappings: [{region: eu-west-1, default: true}, {region: eu-west-1}]",
            "duplicate region \"eu-west-1\"",
        ),
        (
            "parametersGlobal: {a: 1}",
            "parametersGlobal.a: expected a text, found 1; put it into quotes",
        ),
    ] {
        let problems = problems_of(&mapping(lines));
        assert!(
            problems.iter().any(|problem| says(problem, expected)),
            "{problems:#?} / {expected}"
        );
    }
    for (lines, expected) in [
        ("policyPrefix: /x/", "policyPrefix: the field has no effect"),
        (
            "default2: true",
            "default2: the field is unknown and has no effect; did you mean default?",
        ),
        (
            "regionMappings: [{region: eu-west-1, default: true, parametersRegional: {v: 3.10}}]",
            "parametersRegional: 3.10 is read as 3.1",
        ),
    ] {
        let warnings = warnings(read_manifest(&mapping(lines)));
        assert!(
            warnings.len() == 1 && warnings[0].contains(expected),
            "{warnings:#?} / {expected}"
        );
    }
}

#[test]
fn the_path_of_roles_is_the_templates() {
    let problems_of = |account: &str, region: &str, path: &str| {
        let mappings = format!(
            "targetAccountMappings:\n- alias: first\n  accountId: '111111111111'\n  default: true\n  rolePrefix: {account}\n  regionMappings: [{{region: eu-west-1, default: true, rolePrefix: {region}}}]\n"
        );
        let maxima = Maxima {
            role_path: Some(path.to_owned()),
            ..Maxima::OF_AWS
        };
        let options = ManifestOptions::default();
        let given = LoadContext {
            maxima: &maxima,
            ..LoadContext::offline(&options)
        };
        let manifest = with_module("", &mappings);
        let read = check(&mut repository(&[("deployment.yaml", &manifest)]), &given);
        read.err().map(|found| problems(Err(found)))
    };
    assert_eq!(problems_of("/account/", "", "/account/"), None);
    assert_eq!(problems_of("/account/", "/region/", "/region/"), None);
    for (account, region, field) in [
        ("/account/", "", "targetAccountMappings[0].rolePrefix"),
        (
            "",
            "/region/",
            "targetAccountMappings[0].regionMappings[0].rolePrefix",
        ),
    ] {
        let found = problems_of(account, region, "/").unwrap();
        let expected = format!(
            "{field}: expected \"/\" (template parameter BuildRolePath), found \"{account}{region}\""
        );
        assert!(
            found.len() == 1 && found[0].contains(&expected),
            "{found:#?} / {expected}"
        );
    }
}

#[test]
fn a_setting_of_an_account_is_refused_once_and_where_it_is() {
    let manifest = "name: prod\ngroups:\n- name: g\n  modules:\n  - {name: m, path: modules/a}\n  - {name: n, path: modules/b}\ntargetAccountMappings:\n- alias: first\n  accountId: '111111111111'\n  default: true\n  parametersGlobal:\n    permissionsBoundaryName: other\n    dockerCredentialsSecret: 'not a name'\n  regionMappings: [{region: eu-west-1, default: true}]\n";
    let maxima = Maxima {
        permissions_boundary: Some("arn:aws:iam::111111111111:policy/ours".to_owned()),
        ..Maxima::OF_AWS
    };
    let options = ManifestOptions::default();
    let given = LoadContext {
        maxima: &maxima,
        ..LoadContext::offline(&options)
    };
    let found = problems(check(&mut repository(&[("deployment.yaml", manifest)]), &given));
    let field = "targetAccountMappings[0].parametersGlobal";
    for expected in [
        format!(
            "deployment.yaml:12: {field}.permissionsBoundaryName: expected \"arn:aws:iam::111111111111:policy/ours\" (template parameter PermissionsBoundaryArn), found \"other\""
        ),
        format!("deployment.yaml:13: {field}.dockerCredentialsSecret: expected"),
    ] {
        assert!(
            found.iter().any(|found| found.starts_with(&expected)),
            "{found:#?} / {expected}"
        );
    }
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn two_defaults_are_one_if_they_differ_in_the_alias_only() {
    let mapping = |alias: &str, region: &str| {
        format!(
            "- alias: {alias}\n  accountId: 111111111111\n  default: true\n  regionMappings: [{{region: {region}, default: true}}]\n"
        )
    };
    let manifest = |second: &str| {
        let mappings = mapping("first", "eu-west-1") + second;
        with_module("", &format!("targetAccountMappings:\n{mappings}"))
    };
    let expected = "targetAccountMappings[1]: targetAccountMappings[0] is the default already";
    let same = manifest(&mapping("second", "eu-west-1"));
    let warned = warnings(read_manifest(&same));
    assert!(
        warned.len() == 1 && warned[0].contains(&format!("{expected}, and differs only in the alias")),
        "{warned:#?}"
    );
    let other = problems_of(&manifest(&mapping("second", "us-east-1")));
    assert!(
        other
            .iter()
            .any(|problem| problem.contains(&format!("{expected}; only one"))),
        "{other:#?}"
    );
}
