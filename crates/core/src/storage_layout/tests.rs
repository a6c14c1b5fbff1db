#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn keys_and_paths_follow_from_the_four_names() {
    let id = ModuleId::parse("my-project", "prod", "networking", "vpc").unwrap();
    assert_eq!(
        id.parameter(ParameterKind::Md5),
        "/sf/my-project/prod/networking-vpc/md5"
    );
    assert_eq!(id.bundle_key(), "prod/networking/vpc/bundle.zip");
    assert_eq!(id.dashed(), "my-project-prod-networking-vpc");
    assert_eq!(
        id.kept_bundle_key(),
        "deployed/my-project/prod/networking/vpc.zip"
    );
    assert_eq!(id.source_key(), "sources/my-project/prod/networking/vpc.zip");
    assert_eq!(
        id.drift_key(),
        "reports/_drift/my-project/prod/networking/vpc.json"
    );
    assert_eq!(ModuleId::of_record_key(&id.record_key()), Some(id.clone()));
    assert_eq!(ModuleId::of_record_key(&id.kept_bundle_key()), None);
    assert_eq!(ModuleId::of_record_key("deployed/_deployments/p/d.json"), None);
    assert_eq!(records_below(&["p", "d"]), "deployed/p/d/");
    let own = "own/AROAEXAMPLE:ada@example.com/modules/my-project/prod/networking/vpc.zip";
    assert_eq!(ModuleId::from_upload_key(own), Ok(Some(id.clone())));
    assert_eq!(ModuleId::from_upload_key(&id.source_key()), Ok(Some(id)));
}

#[test]
fn other_keys_are_not_uploads_of_a_module() {
    for key in [
        "sources/p/repository.zip",
        "uploads/p/d/g/m.zip",
        "sources/p/d/g/m/x.zip",
        "sources/p/d/g/m.tar",
    ] {
        assert_eq!(ModuleId::from_upload_key(key), Ok(None), "{key}");
    }
}

#[test]
fn an_own_folder_names_its_principal() {
    let own = |rest: &str| format!("own/AROAEXAMPLE:ada@example.com/{rest}");
    let repository = own("repositories/shop/dev.zip");
    assert_eq!(owner_of_upload(&repository), Some("AROAEXAMPLE:ada@example.com"));
    assert_eq!(deployment_of_repository(&repository), Some(("shop", "dev")));
    for key in [
        "repositories/shop.zip",
        "repositories/shop/dev/x.zip",
        "repositories/shop/dev.tar",
        "modules/shop/dev.zip",
    ] {
        assert_eq!(deployment_of_repository(&own(key)), None, "{key}");
    }
    assert_eq!(deployment_of_repository("repositories/shop/dev.zip"), None);
    for folder in ["modules/x", "repositories/x", "uploads/x"] {
        assert!(is_upload(&own(folder)), "{folder}");
    }
    for key in [
        "own/x",
        "own//uploads/x",
        "own/x/sources/x",
        "own/x/",
        "modules/x",
    ] {
        assert!(!is_upload(key), "{key}");
    }
    // Whatever a principal writes below its own folder, it is its own.
    let nested = own("own/other/uploads/x");
    assert_eq!(owner_of_upload(&nested), Some("AROAEXAMPLE:ada@example.com"));
    assert!(!is_upload(&nested));
}

#[test]
fn what_is_listed_is_parsed_as_it_was_built() {
    let id = ModuleId::parse("shop", "dev", "g", "m").unwrap();
    let deployment = DeploymentId::from(&id);
    let execution = "arn:aws:states:eu-west-1:111111111111:execution:deploy-module:e1";
    let execution = ExecutionArn::new(execution);
    assert_eq!(
        project_of_index(&index_key(&id.project)),
        Some(id.project.clone())
    );
    assert_eq!(project_of_index("index/Shop?.html"), None);
    for path in [id.parameter(ParameterKind::Status), deployment.status_parameter()] {
        assert_eq!(project_of_parameter(&path), Some(id.project.clone()));
        assert!(path.starts_with(&state_of_project(&id.project)));
    }
    for (status, above) in [
        (id.parameter(ParameterKind::Status), id.parameter_path()),
        (deployment.status_parameter(), deployment.path()),
    ] {
        assert_eq!(path_above_status(&status), Some(above.as_str()));
    }
    assert_eq!(path_above_status(&id.parameter(ParameterKind::Md5)), None);
    let own = |path: String| own_key("AROAEXAMPLE:ada", &path);
    let repository = own(deployment.own_repository_path());
    assert_eq!(deployment_of_repository(&repository), Some(("shop", "dev")));
    let bundle = own(id.own_bundle_path());
    assert_eq!(ModuleId::from_upload_key(&bundle), Ok(Some(id.clone())));
    for (key, names) in [
        (id.lock_key(), "shop/dev/g/m"),
        (deployment.lock_key(), "shop/dev"),
    ] {
        assert_eq!(names_in_lock_key(&key), Some(names));
        assert!(key.starts_with(&locks_of_project(&id.project)));
    }
    for (key, target) in [
        (id.report_key(&execution), "dev/g/m"),
        (deployment.report_key(&execution), "dev"),
    ] {
        let names = names_in_report_key(&key).unwrap();
        assert_eq!(names, format!("shop/{target}/e1"));
        assert!(key.starts_with(&reports_of_project(&id.project)));
        assert!(key.starts_with(&reports_of_target(&id.project, target)));
        assert!(is_index_or_report(&key) && is_index_or_report(&page_key(&key).unwrap()));
    }
    assert!(is_index_or_report(&index_key(&id.project)) && !is_index_or_report(&id.lock_key()));
    let upload = repository_upload_key(&id.project, "0af1");
    assert_eq!(upload, "uploads/shop/repository/0af1.zip");
    assert_eq!(
        planned_repository_key(&id.project, "x"),
        "uploads/_plans/shop/x.zip"
    );
    assert_eq!(
        owner_of_upload(&own_key("AROAEXAMPLE:ada", "uploads/x")),
        Some("AROAEXAMPLE:ada")
    );
}

#[test]
fn what_planners_upload_is_planned_only() {
    let project = Name::parse("name", "p").unwrap();
    assert!(is_planned_only(&planned_repository_key(&project, "x")));
    assert!(!is_planned_only(&repository_upload_key(&project, "x")));
}
