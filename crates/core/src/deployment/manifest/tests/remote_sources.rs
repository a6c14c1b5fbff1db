//! Modules and data files of other repositories.

use super::*;

fn git(reference: Option<&str>) -> RemoteSource {
    RemoteSource::Git {
        url: "https://h/r".to_owned(),
        reference: reference.map(str::to_owned),
    }
}

const REMOTE: &str = "name: prod\narchiveSecret: s\ngroups:\n- name: g\n  modules:\n  - {name: m, path: 'git::https://h/r.git//net/vpc/?ref=v1&depth=1'}\n  - name: n\n    path: git::https://h/r.git//net/dns?reff=v2\n    dataFiles: [{filePath: 'git::https://h/r.git//data/a.yaml?ref=v1'}, {filePath: data/b.yaml}]\n";

fn check_remote(files: &[(&str, &str)]) -> Result<Deployment, Vec<Diagnostic>> {
    let own = repository(&[("deployment.yaml", REMOTE), ("data/b.yaml", "")]);
    let source = |reference| (git(reference), self::files(files));
    let mut repository = WithSources {
        own,
        fetched: [source(Some("v1")), source(None)].into(),
    };
    let options = ManifestOptions::default();
    check(&mut repository, &LoadContext::offline(&options))
}

fn files(list: &[(&str, &str)]) -> Files {
    Files(variables(list))
}

#[test]
fn the_sources_of_a_manifest_are_named_before_they_are_fetched() {
    let files = [("deployment.yaml", REMOTE), ("data/b.yaml", "")];
    let deployment = read_files(&files).unwrap();
    let sources = [git(None), git(Some("v1"))];
    assert_eq!(deployment.sources, sources.clone().into());
    // Those of a manifest with errors too, so that all errors can be reported at once.
    let broken = format!("{REMOTE}  - {{name: x, path: modules/none}}\n");
    let options = ManifestOptions::default();
    let found = sources_of(&mut repository(&[("deployment.yaml", &broken)]), &options);
    assert_eq!(found, sources.into());
    // Not one whose reference is a variable that is not set.
    let unset = with_module("", "").replace("modules/a", "git::https://h/r.git//a?ref=${UNSET}");
    let found = sources_of(&mut repository(&[("deployment.yaml", &unset)]), &options);
    assert_eq!(found, BTreeSet::new());
}

fn sources_of(repository: &mut Files, options: &ManifestOptions) -> BTreeSet<RemoteSource> {
    super::sources(repository, &LoadContext::offline(options))
}

#[test]
fn a_fetched_source_is_checked_like_the_repository() {
    let complete = [
        ("net/vpc/deployspec.yaml", SPEC),
        ("net/dns/deployspec.yaml", SPEC),
        ("data/a.yaml", ""),
    ];
    let deployment = check_remote(&complete).unwrap();
    let module = &deployment.groups[0].modules[1];
    let place = |reference, path: &str| SourcePath {
        source: Some(git(reference)),
        path: path.to_owned(),
    };
    assert_eq!(module.folder, place(None, "net/dns"));
    assert_eq!(
        module.data_files,
        [place(Some("v1"), "data/a.yaml"), SourcePath::own("data/b.yaml")]
    );
    let warnings: Vec<String> = deployment.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "deployment.yaml:2: archiveSecret: the field has no effect; credentials for archives are in the secret that the template's GitCredentialsSecret names",
            "deployment.yaml:8: groups[0].modules[1].path: \"reff\" of the query has no effect; only ref and depth are known; did you mean ref?",
        ]
    );
    for (files, expected) in [
        (
            &complete[1..],
            "groups[0].modules[0].path: expected the path of an existing folder in that source, found \"https://h/r@v1//net/vpc\"; files of submodules are not fetched",
        ),
        (
            &complete[..2],
            "dataFiles[0].filePath: expected the path of an existing file in that source, found \"https://h/r@v1//data/a.yaml\"",
        ),
        (
            &[complete[0], complete[2], ("net/dns/deployspec.yaml", "")][..],
            "https://h/r//net/dns/deployspec.yaml:1: the file: expected a mapping with the key deploy, found nothing",
        ),
        (
            &[complete[0], complete[2], ("net/dns/deployspec.yml", SPEC)][..],
            "groups[0].modules[1].path: the folder has no deployspec.yaml, but net/dns/deployspec.yml; rename that file",
        ),
    ] {
        let problems = problems(check_remote(files));
        assert!(
            problems.len() == 1 && problems[0].contains(expected),
            "{problems:#?} / {expected}"
        );
    }
}

#[test]
fn two_data_files_do_not_share_a_path_in_the_bundle() {
    let lines = "dataFiles: [{filePath: 'git::https://h/r.git//data/a.yaml'}, {filePath: 'git::https://h/r.git//data/a.yaml'}, {filePath: 'git::https://h/r.git//data/a.yaml?ref=v1'}]";
    let problems = problems(read_manifest(&with_module(lines, "")));
    assert_eq!(
        problems,
        [
            "deployment.yaml:7: groups[0].modules[0].dataFiles[2]: https://h/r@v1//data/a.yaml and https://h/r//data/a.yaml would have the same path in the bundle; rename one of them"
        ]
    );
}

#[test]
fn a_deployment_has_a_hundred_sources_at_most() {
    let modules = |count: usize| {
        let module = |i: usize| format!("  - {{name: m{i}, path: 'git::https://h/r.git//a?ref=v{i}'}}\n");
        let modules: String = (0..count).map(module).collect();
        read_manifest(&format!("name: prod\ngroups:\n- name: g\n  modules:\n{modules}"))
    };
    assert_eq!(modules(100).unwrap().sources.len(), 100);
    let problems = problems(modules(101));
    assert!(
        problems.len() == 1
            && says(
                &problems[0],
                "groups: expected at most 100…found 101 sources of modules and data files"
            ),
        "{problems:#?}"
    );
}
