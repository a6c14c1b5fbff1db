//! What modules take from each other.

use super::*;

#[test]
fn references_lead_to_earlier_groups() {
    let group = |name: &str, modules: &str| format!("- name: {name}\n  modules:\n{modules}");
    let module = |name: &str, consumes: &[(&str, &str)]| {
        let parameter = |(i, (group, name)): (usize, &(&str, &str))| {
            format!(
                "    - {{name: p{i}, valueFrom: {{moduleMetadata: {{group: {group}, name: {name}, key: K}}}}}}\n"
            )
        };
        let parameters: String = consumes.iter().enumerate().map(parameter).collect();
        format!(
            "  - name: {name}\n    path: modules/a\n    parameters:\n    - {{name: q, value: 1}}\n{parameters}"
        )
    };
    let read = |groups: &[String]| read_manifest(&format!("name: d\ngroups:\n{}", groups.concat()));
    assert!(
        read(&[
            group("g", &module("a", &[])),
            group("h", &module("b", &[("g", "a")]))
        ])
        .is_ok()
    );
    for (groups, expected) in [
        (
            vec![
                group("g", &module("a", &[("h", "b")])),
                group("h", &module("b", &[])),
            ],
            vec![
                "deployment.yaml:9: groups[0].modules[0].parameters.p0.valueFrom.moduleMetadata: g/a refers to h/b in a later group; move the group h before the group g",
            ],
        ),
        (
            vec![group("g", &(module("a", &[]) + &module("b", &[("g", "a")])))],
            vec!["g/b refers to g/a in its own group"],
        ),
        (
            vec![group("g", &module("a", &[("g", "a")]))],
            vec!["a circle of references: g/a → g/a; remove one of them"],
        ),
        (
            vec![
                group("g", &module("a", &[("h", "c")])),
                group("h", &(module("b", &[("g", "a")]) + &module("c", &[("h", "b")]))),
            ],
            vec![
                "circle of references: g/a → h/c → h/b → g/a",
                "circle of references: h/c → h/b → g/a → h/c",
            ],
        ),
        (
            vec![group("g", &module("a", &[("h", "b")]))],
            vec!["the group h of the module b doesn't exist; the groups are g"],
        ),
        (
            vec![
                group("g", &module("a", &[])),
                group("h", &module("b", &[("g", "x")])),
            ],
            vec!["the group g has no module x"],
        ),
    ] {
        let problems = problems(read(&groups));
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, part) in problems.iter().zip(expected) {
            assert!(says(problem, part), "{problem} / {part}");
        }
    }
}

#[test]
fn what_follows_from_a_problem_is_not_reported() {
    let manifest = "name: d\ngroups:\n- {name: g_, modules: [{name: a, path: modules/a}]}\n- {name: h, modules: [{name: b, path: none}]}\n- name: i\n  modules:\n  - name: c\n    path: modules/c\n    parameters:\n    - {name: x, valueFrom: {moduleMetadata: {group: g, name: a}}}\n    - {name: y, valueFrom: {moduleMetadata: {group: h, name: b}}}\n";
    let problems = problems_of(manifest);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    // A module file that two groups name is reported once.
    let files = [
        (
            "deployment.yaml",
            "name: d\ngroups:\n- {name: g, path: m.yaml}\n- {name: h, path: m.yaml}\n",
        ),
        ("m.yaml", "name: m\npath: none\n"),
    ];
    assert_eq!(self::problems(read_files(&files)).len(), 1);
}

#[test]
fn a_long_circle_is_cut() {
    let group = |i: usize| {
        format!(
            "- name: g{i}\n  modules:\n  - name: m\n    path: modules/a\n    parameters: [{{name: x, valueFrom: {{moduleMetadata: {{group: g{}, name: m}}}}}}]\n",
            (i + 1) % 50
        )
    };
    let groups: String = (0..50).map(group).collect();
    let problems = problems_of(&format!("name: d\ngroups:\n{groups}"));
    assert_eq!(problems.len(), 49);
    assert!(
        problems[0].contains("a circle of references: g0/m → g1/m → g2/m"),
        "{}",
        problems[0]
    );
    assert!(
        problems[0].ends_with("g12/m → 37 more → g0/m; remove one of them"),
        "{}",
        problems[0]
    );
}

#[test]
fn a_regional_parameter_without_a_value_is_none_even_if_there_is_a_global_one() {
    let read = |regional: &str| {
        let mappings = format!(
            "targetAccountMappings:\n- alias: first\n  accountId: '111111111111'\n  default: true\n  parametersGlobal: {{v: global}}\n  regionMappings: [{{region: eu-west-1, default: true, parametersRegional: {{{regional}}}}}]\n"
        );
        let parameters = "parameters: [{name: x, valueFrom: {parameterValue: v}}]";
        read_manifest(&with_module(parameters, &mappings))
    };
    let value = |regional: &str| read(regional).unwrap().groups[0].modules[0].parameters["x"].clone();
    assert_eq!((value("other: 1"), value("v: 1")), (json!("global"), json!("1")));
    assert!(problems(read("v: "))[0].contains("\"v\" is neither in parametersRegional"));
}
