#![allow(clippy::unwrap_used)]
use super::*;
use serde_json::json;

fn read(text: &str) -> Value {
    parse(text).unwrap().to_json()
}

#[test]
fn a_scalar_that_yaml_reads_differently_keeps_its_text() {
    let written = |text: &str| parse(text).unwrap().written;
    for trap in [
        "3.10",
        "012",
        "12:30",
        "no",
        "On",
        "1_000",
        "0x1F",
        "2024-01-31",
        "2024-01-31T10:00:00Z",
        "+5",
    ] {
        assert_eq!(written(trap).as_deref(), Some(trap));
    }
    for plain in [
        "3.1",
        "12",
        "-7",
        "true",
        "False",
        "~",
        "a",
        "'3.10'",
        "\"no\"",
        "1.0",
        "10.0.0.0/16",
        "2024-01-3",
        "2024-01-31x",
    ] {
        assert_eq!(written(plain), None, "{plain}");
    }
    assert_eq!(parse("3.10").unwrap().describe(), "3.1, as YAML reads 3.10");
}

#[test]
fn a_text_can_hold_several_documents() {
    let documents = |text: &str| parse_all(text).map(|all| all.iter().map(Node::to_json).collect::<Vec<_>>());
    assert_eq!(
        documents("a: 1\n---\nb: 2\n"),
        Ok(vec![json!({"a": 1}), json!({"b": 2})])
    );
    assert_eq!(documents("# nothing\n"), Ok(vec![]));
    assert_eq!(documents("a: 1\n---\n"), Ok(vec![json!({"a": 1}), json!(null)]));
    assert_eq!(parse_all("a: 1\n---\nb: 2\n").unwrap()[1].line, 3);
    // An anchor ends with its document, and the limits apply to all documents together.
    assert!(documents("a: &x 1\n---\nb: *x\n").is_err());
    let long = format!("a: {}\n", "x".repeat(600_000));
    assert!(documents(&long).is_ok());
    assert!(
        documents(&format!("{long}---\n{long}"))
            .unwrap_err()
            .message
            .contains("1 MiB of text")
    );
}

#[test]
fn structure_anchors_and_merge_keys() {
    let text = "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\nc: [*x, 'z']\nd: |\n  two\n  lines\n";
    assert_eq!(
        read(text),
        json!({"a": {"k": 1, "l": 2}, "b": {"k": 1, "l": 3}, "c": [{"k": 1, "l": 2}, "z"], "d": "two\nlines\n"})
    );
    assert_eq!(read(""), json!(null));
    assert_eq!(read("[012, '012', !!str 012]"), json!([10, "012", "012"]));
}

#[test]
fn an_error_names_its_line() {
    assert_eq!(parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err().line, 3);
    assert_eq!(
        parse("a: 1\nb: 2\na: 3\n").unwrap_err(),
        YamlError {
            line: 3,
            message: "duplicate key \"a\"; the first is on line 1".into()
        }
    );
    let repeated = parse("a: [1]\nb: 2\na: [1]\n").unwrap();
    assert_eq!(repeated.to_json(), json!({"a": [1], "b": 2}));
    assert_eq!(repeated.repeated_keys(), [("a", 3)]);
    assert_eq!(parse("- b: {c: 1, c: 1}\n").unwrap().repeated_keys(), [("c", 1)]);
    assert!(parse("a: 1\n---\nb: 2\n").is_err());
    let node = parse("a:\n  - 1\n  - b: c\n").unwrap();
    assert_eq!(node.get("a").unwrap().line, 2);
}

#[test]
fn a_tag_means_what_it_means_to_pyyaml_or_is_refused_with_its_line() {
    assert_eq!(
        read("[!!str 012, !!int '12', !!float 1, !!bool yes, !!null '', ! 12, !!seq [!!map {}]]"),
        json!(["012", 12, 1, true, null, 12, [{}]])
    );
    for (text, message) in [
        ("a: 1\nb: !Sub ${X}\n", "the tag !Sub is CloudFormation's"),
        (
            "a: 1\nb: !GetAtt\n- X\n- Arn\n",
            "the tag !GetAtt is CloudFormation's",
        ),
        ("a: 1\nb: !If {c: d}\n", "the tag !If is CloudFormation's"),
        ("a: 1\nb: !important text\n", "unknown tag !important; remove it"),
        ("a: 1\nb: !!python/none x\n", "unknown tag !!python/none"),
        ("a: 1\nb: !!set {c}\n", "unknown tag !!set"),
        (
            "a: 1\nb: !!int x\n",
            "expected a value of the type that the tag !!int names, found \"x\"",
        ),
    ] {
        let error = parse(text).unwrap_err();
        assert!(
            error.line == 2 && error.message.starts_with(message),
            "{text}: {error}"
        );
    }
    let template = parse_template("a: !Ref X\nb: !GetAtt [X, Arn]\n").unwrap();
    assert_eq!(template.to_json(), json!({"a": "X", "b": ["X", "Arn"]}));
}

#[test]
fn a_tab_in_an_indentation_is_named_with_its_line() {
    for (text, line) in [
        ("a:\n\t- b\n", 2),
        ("a:\n  b: 1\n\tc: 2\nd: 3\n", 3),
        ("a:\n  b: 1\n  \tc: 2\nd: 3\ne: 4\n", 3),
        ("a:\n\tb: 1\n", 2),
        ("a:\n- b\n\t- c\n- d\n", 3),
        ("a:\n  b:\n\t\tc: 1\n  d: 2\n", 3),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(
            (error.line, error.message.as_str()),
            (line, "a tab in the indentation; YAML takes spaces only"),
            "{text:?}"
        );
    }
    // In a block of text a tab is text.
    assert_eq!(read("a: |\n  x\n  \ty\n"), json!({"a": "x\n\ty\n"}));
    let error = parse("a: |\n  x\n  \ty\nb: [\n").unwrap_err();
    assert!(!error.message.contains("tab"), "{error}");
}

#[test]
fn a_bomb_of_aliases_or_depth_is_refused() {
    let mut bomb = String::from("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
    for i in 1..9 {
        let previous = i - 1;
        bomb.push_str(&format!(
            "a{i}: &a{i} [{}]\n",
            vec![format!("*a{previous}"); 10].join(",")
        ));
    }
    assert!(parse(&bomb).unwrap_err().message.contains("100,000"));
    assert!(parse(&"[".repeat(500)).is_err());
}

#[test]
fn few_aliases_of_a_long_text_or_of_deep_lists_are_bombs_too() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(30_000), "*a,".repeat(10_000));
    assert!(parse(&text).unwrap_err().message.contains("1 MiB of text"));
    let deep = format!(
        "a: &a {}{}\nb: &b {}*a{}\n",
        "[".repeat(40),
        "]".repeat(40),
        "[".repeat(40),
        "]".repeat(40)
    );
    assert!(parse(&deep).unwrap_err().message.contains("64 deep"));
    // Each anchor keeps a copy of its whole node.
    let mut nested = "1,".repeat(20_000);
    for i in 0..50 {
        nested = format!("&a{i} [{nested}]");
    }
    assert!(parse(&nested).unwrap_err().message.contains("100,000"));
}

#[test]
fn a_mappings_own_entries_override_merged_ones() {
    let text = "a: &x {k: 1, l: 2, m: 3}\nb: {<<: *x, l: 4}\nc: {l: 4, <<: [*x, {m: 5, n: 6}]}\n";
    let read = read(text);
    assert_eq!(read["b"].to_string(), r#"{"k":1,"l":4,"m":3}"#);
    assert_eq!(read["c"].to_string(), r#"{"l":4,"k":1,"m":3,"n":6}"#);
    assert!(parse("a: {k: 1, k: 2}").is_err());
}
