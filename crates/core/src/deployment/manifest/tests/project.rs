//! The project of a repository.

use super::*;

#[test]
fn a_repository_that_names_another_project_is_refused_as_one_of_the_project_that_it_was_given_for() {
    let mut repository = repository(&[("deployment.yaml", "name: d\ngroups: []\n")]);
    let given = Name::parse("project", "mine").unwrap();
    let options = ManifestOptions::default();
    let context = LoadContext {
        project: Some(&given),
        ..LoadContext::offline(&options)
    };
    assert!(read(&mut repository, &context).is_err());
    let (project, deployment) = names(&mut repository, &context).unwrap();
    assert_eq!((project.as_str(), deployment.as_str()), ("mine", "d"));
}

#[test]
fn the_project_is_the_repositorys_and_the_inputs() {
    let read = |file: Option<&str>, given: Option<&str>| {
        let manifest = with_module("", "");
        let mut files = repository(&[("deployment.yaml", &manifest)]);
        files.0.remove("seedfarmer.yaml");
        files
            .0
            .extend(file.map(|text| ("seedfarmer.yaml".to_owned(), text.to_owned())));
        let given = given.map(|name| Name::parse("project", name).unwrap());
        let options = ManifestOptions::default();
        super::read(
            &mut files,
            &LoadContext {
                project: given.as_ref(),
                ..LoadContext::offline(&options)
            },
        )
    };
    assert_eq!(
        read(
            Some("project: shop\ndescription: d\nseedfarmerVersion: 8.0\n"),
            None
        )
        .unwrap()
        .project
        .as_str(),
        "shop"
    );
    assert_eq!(
        read(Some("project: shop\n"), Some("shop"))
            .unwrap()
            .project
            .as_str(),
        "shop"
    );
    assert_eq!(read(None, Some("shop")).unwrap().project.as_str(), "shop");
    assert!(
        warnings(read(Some("project: shop\nprojectPolicyPath: x\n"), None))[0]
            .contains("projectPolicyPath: the field has no effect")
    );
    for (file, given, expected) in [
        (
            None,
            None,
            "seedfarmer.yaml: the file doesn't exist, and no project is given otherwise",
        ),
        (
            Some("project: Shop\n"),
            Some("shop"),
            "seedfarmer.yaml:1: project: expected 1 to 64 letters in lower case, digits and hyphens, which start with a letter and don't end with a hyphen, found \"Shop\"; write shop",
        ),
        (
            Some("project: shop\n"),
            Some("other"),
            "seedfarmer.yaml:1: project: expected other, the project that the input names, found \"shop\"",
        ),
        (
            Some("description: x\n"),
            None,
            "seedfarmer.yaml:1: project is missing",
        ),
        (
            Some("project: 1x\n"),
            None,
            "seedfarmer.yaml:1: project: expected 1 to 64 letters in lower case, digits and hyphens, which start with a letter and don't end with a hyphen, found \"1x\"",
        ),
        (
            Some("- x"),
            None,
            "seedfarmer.yaml:1: expected a mapping, found a list",
        ),
        (Some("a: b: c"), None, "seedfarmer.yaml:1: "),
    ] {
        let problems = problems(read(file, given));
        assert!(
            problems.len() == 1 && problems[0].starts_with(expected),
            "{problems:#?} / {expected}"
        );
    }
}
