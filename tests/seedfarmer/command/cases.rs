//! The uses of `seedfarmer metadata` by modules, as a table.

use serde_json::{Value, json};

use super::case::{Case, case};

/// A CDK output file whose default stack has this as `metadata`.
fn cdk(metadata: Value) -> String {
    json!({"my-project-dev-networking-vpc": {"metadata": metadata, "other": "x"}}).to_string()
}

const EXPORTS: &str = "cdk-exports.json";

pub fn all() -> Vec<Case> {
    let mut cases: Vec<_> = [
        add(),
        add_json(),
        merges(),
        convert(),
        convert_jq(),
        reading(),
        differences(),
    ]
    .into_iter()
    .flatten()
    .collect();
    cases.extend(prefixed());
    cases
}

fn add() -> Vec<Case> {
    vec![
        case("add a text").ends(0, &["add", "-k", "a", "-v", "b"]),
        case("a value stays a text")
            .ends(0, &["add", "-k", "n", "-v", "1"])
            .ends(0, &["add", "-k", "l", "-v", "[\"x\"]"]),
        case("the last value of a key counts")
            .ends(0, &["add", "-k", "a", "-v", "1"])
            .ends(0, &["add", "-k", "a", "-v", "2"]),
        case("quotes, newlines, other scripts")
            .ends(0, &["add", "-k", "clé \"1\"", "-v", "a\n'b' \\ 東京 🌱"]),
        case("a blank value is a value").ends(0, &["add", "-k", "a", "-v", " "]),
        case("values with a dash")
            .ends(0, &["add", "-k", "-v", "-v", "-5"])
            .ends(0, &["add", "-k", "h", "-v", "--help"]),
        case("options and values in one word")
            .ends(0, &["add", "-ka", "-vb"])
            .ends(0, &["add", "--key=c", "--value=d=e"])
            .ends(0, &["add", "-k=f", "-v=g"])
            .ends(0, &["add", "--key", "h", "--value", "i"]),
        case("an option twice").ends(0, &["add", "-k", "a", "-k", "b", "-v", "x", "-v", "y"]),
        case("a key without a value")
            .stored("{\"a\": 1}")
            .ends(1, &["add", "-k", "a"]),
        case("a value without a key").ends(1, &["add", "-v", "a"]),
        case("an empty value").ends(1, &["add", "-k", "a", "-v", ""]),
        case("an empty key").ends(1, &["add", "-k", "", "-v", "a"]),
        case("an empty key and value").ends(0, &["add", "-k", "", "-v", ""]),
        case("no options").ends(0, &["add"]),
        case("an unknown option").ends(2, &["add", "--keys", "a"]),
        case("an abbreviated option").ends(2, &["add", "--ke", "a", "--val", "b"]),
        case("an option without its value").ends(2, &["add", "-v", "a", "-k"]),
        case("an argument too many").ends(2, &["add", "-k", "a", "-v", "b", "c"]),
        case("unquoted JSON").ends(2, &["add", "-j", "{\"a\":", "1}"]),
    ]
}

fn add_json() -> Vec<Case> {
    vec![
        case("JSON keeps its types").ends(
            0,
            &[
                "add",
                "-j",
                r#"{"a": 1, "b": [true, null, 1.0], "c": {"d": "é"}}"#,
            ],
        ),
        case("JSON in the long spelling")
            .ends(0, &["add", "--jsonstring", "{\"a\": 1}"])
            .ends(0, &["add", "--jsonstring={}"]),
        case("JSON merges at the top only")
            .ends(0, &["add", "-j", r#"{"a": {"b": 1}}"#])
            .ends(0, &["add", "-j", r#"{"a": {"c": 2}}"#]),
        case("an empty object is stored").ends(0, &["add", "-j", "{}"]),
        case("a key twice in JSON").ends(0, &["add", "-j", r#"{"a": 1, "a": 2}"#]),
        case("invalid JSON")
            .stored("{\"a\": 1}")
            .ends(1, &["add", "-j", "{a: 1}"]),
        case("JSON in single quotes").ends(1, &["add", "-j", "{'a': 1}"]),
        case("a list").stored("{\"a\": 1}").ends(1, &["add", "-j", "[1]"]),
        case("a number").stored("{\"a\": 1}").ends(1, &["add", "-j", "5"]),
        case("null").stored("{\"a\": 1}").ends(1, &["add", "-j", "null"]),
        case("JSON with key and value").ends(1, &["add", "-j", "{\"a\": 1}", "-k", "b", "-v", "c"]),
        case("JSON with a key").ends(0, &["add", "-j", "{\"a\": 1}", "-k", "b"]),
        case("JSON with a value").ends(0, &["add", "-j", "{\"a\": 1}", "-v", "b"]),
        case("empty JSON")
            .ends(0, &["add", "-j", ""])
            .ends(0, &["add", "-j", "", "-k", "a", "-v", "b"]),
        case("-jq is -j with the value q").ends(1, &["add", "-jq"]),
    ]
}

fn merges() -> Vec<Case> {
    let add = ["add", "-k", "new", "-v", "1"];
    let mut cases = vec![
        case("variable, file and new value")
            .exported(r#"{"v": 1, "f": 1, "new": 1}"#)
            .stored(r#"{"f": 2, "new": 2}"#)
            .ends(0, &add)
            .ends(0, &["add", "-j", r#"{"f": 3}"#]),
        case("an exported Python dict")
            .exported("{'v': 1, 'w': 'x'}")
            .ends(0, &add),
        case("null and a mark").exported("null ").ends(0, &add),
        case("a file that isn't UTF-8")
            .stored([0x22, 0xff, 0x22])
            .ends(1, &add),
        case("a Python dict in the file").stored("{'f': 1}").ends(0, &add),
    ];
    for (text, exit) in [
        ("null", 0),
        ("", 0),
        ("  ", 0),
        ("{}", 0),
        ("[]", 0),
        ("0", 0),
        ("{", 0),
        ("text", 0),
    ] {
        cases.push(case(format!("{text:?} exported")).exported(text).ends(exit, &add));
        cases.push(
            case(format!("{text:?} in the file"))
                .stored(text)
                .ends(exit, &add),
        );
    }
    for text in ["[1]", "5", "\"text\"", "true"] {
        cases.push(
            case(format!("{text:?} exported"))
                .exported(text)
                .ends(1, &add)
                .ends(1, &["add", "-j", "{}"]),
        );
        cases.push(case(format!("{text:?} in the file")).stored(text).ends(1, &add));
    }
    cases
}

fn convert() -> Vec<Case> {
    let good = || cdk(json!(r#"{"VpcId": "vpc-1", "Subnets": ["a", "b"]}"#));
    let mut cases = vec![
        case("convert").file(EXPORTS, good()).ends(0, &["convert"]),
        case("convert in the long spelling")
            .file("o.json", good())
            .ends(0, &["convert", "--json-file", "o.json"]),
        case("converted over stored")
            .stored(r#"{"VpcId": "old", "kept": 1}"#)
            .file(EXPORTS, good())
            .ends(0, &["convert"]),
        case("the variable isn't merged")
            .exported(r#"{"v": 1}"#)
            .file(EXPORTS, good())
            .ends(0, &["convert"]),
        case("convert, then add")
            .file(EXPORTS, good())
            .ends(0, &["convert"])
            .ends(0, &["add", "-k", "VpcId", "-v", "x"]),
        case("an invalid stored file")
            .stored("{")
            .file(EXPORTS, good())
            .ends(0, &["convert"]),
        case("a stored list")
            .stored("[1]")
            .file(EXPORTS, good())
            .ends(1, &["convert"]),
        case("no file")
            .stored("{\"a\": 1}")
            .ends(0, &["convert"])
            .ends(0, &["convert", "-f", "other.json"]),
        case("a folder")
            .file("out/x", "")
            .ends(0, &["convert", "-f", "out"])
            .ends(0, &["convert", "-f", ""]),
        case("a file by its path from the module")
            .file("out/o.json", good())
            .cwd("out")
            .ends(0, &["convert", "-f", "out/o.json"]),
        case("a path from the working directory")
            .file("out/o.json", good())
            .cwd("out")
            .ends(0, &["convert", "-f", "o.json"]),
        case("an absolute path")
            .file("out/o.json", good())
            .cwd("out")
            .ends(0, &["convert", "-f", "{module}/out/o.json"]),
        case("another stack's file")
            .file(EXPORTS, r#"{"other-stack": {"metadata": "{}"}}"#)
            .ends(1, &["convert"]),
        case("a stack without metadata")
            .file(EXPORTS, r#"{"my-project-dev-networking-vpc": {}}"#)
            .ends(1, &["convert"]),
        case("a stack that is a text")
            .file(EXPORTS, r#"{"my-project-dev-networking-vpc": "x"}"#)
            .ends(1, &["convert"]),
        case("an argument too many")
            .file(EXPORTS, good())
            .ends(2, &["convert", EXPORTS]),
    ];
    for (metadata, exit) in [
        (json!({"VpcId": "vpc-1"}), 1),
        (json!(["x"]), 1),
        (json!(5), 1),
        (json!(true), 1),
        (json!("5"), 1),
        (json!("null"), 1),
        (json!("[1]"), 1),
        (json!("\"text\""), 1),
        (json!("not JSON"), 0),
        (json!("{'a': 1}"), 0),
        (json!("{}"), 0),
        (json!(""), 0),
        (json!(0), 0),
        (json!({}), 0),
        (Value::Null, 0),
    ] {
        let name = format!("convert {metadata}");
        cases.push(
            case(name)
                .stored("{\"a\": 1}")
                .file(EXPORTS, cdk(metadata))
                .ends(exit, &["convert"]),
        );
    }
    for (text, exit) in [
        ("", 1),
        ("{", 1),
        ("null", 1),
        ("5", 1),
        ("[1]", 1),
        ("{}", 0),
        ("[]", 0),
        ("\"\"", 0),
    ] {
        cases.push(
            case(format!("{text:?} as output file"))
                .file(EXPORTS, text)
                .ends(exit, &["convert"]),
        );
    }
    cases
}

fn convert_jq() -> Vec<Case> {
    let exports = json!({
        "plain": {"metadata": "{\"a\": 1}", "object": {"a": 1}, "number": 5, "prose": "not JSON", "list": ["{\"b\": 2}"]},
        "with-dash": {"meta-data": "{\"c\": 3}"},
        "my-project-dev-networking-vpc": {"metadata": "{\"default\": 1}"},
    });
    let jq = |exit, option: &[&str]| {
        case(format!("convert by {option:?}"))
            .stored("{\"kept\": 1}")
            .file(EXPORTS, exports.to_string())
            .ends(exit, &[&["convert"], option].concat())
    };
    vec![
        jq(0, &["-jq", "plain.metadata"]),
        jq(0, &["-jq", ".plain.metadata"]),
        jq(0, &["-jq=plain.metadata"]),
        jq(0, &["--jq-path", "plain.metadata"]),
        jq(0, &["--jq-path=.plain.metadata", "-f", "cdk-exports.json"]),
        jq(0, &["-jq", "with-dash.meta-data"]),
        jq(0, &["-jq", ".with-dash.meta-data"]),
        jq(0, &["-jq", "plain.list[0]"]),
        jq(0, &["-jq", "plain.prose"]),
        jq(0, &["-jq", "no.such.place"]),
        jq(0, &["-jq", ""]),
        jq(1, &["-jq", "\"with-dash\".\"meta-data\""]),
        jq(1, &["-jq", "[\"with-dash\"].meta-data"]),
        jq(1, &["-jq", "plain.object"]),
        jq(1, &["-jq", "plain.number"]),
        jq(1, &["-jq", "plain.list"]),
        jq(1, &["-jq", "plain[]"]),
        jq(1, &["-jq", "plain.metadata.deeper"]),
        jq(1, &["-jq", "plain | nonsense("]),
        jq(2, &["-jq"]),
        jq(2, &["-j", "plain.metadata"]),
        case("jq of a missing file").ends(0, &["convert", "-jq", ".a"]),
        case("jq of a file that isn't JSON")
            .file(EXPORTS, "{")
            .ends(1, &["convert", "-jq", ".a"]),
    ]
}

fn reading() -> Vec<Case> {
    let value = |value: &str| {
        case(format!("paramvalue of {value:?}"))
            .env("{P}_PARAMETER_X", value)
            .ends(0, &["paramvalue", "-s", "PARAMETER_X"])
    };
    let mut unnamed = case("depmod without names").ends(0, &["depmod"]);
    unnamed.unset = ["{P}_PROJECT_NAME", "{P}_DEPLOYMENT_NAME", "{P}_MODULE_NAME"]
        .map(str::to_owned)
        .to_vec();
    vec![
        case("depmod").ends(0, &["depmod"]),
        unnamed,
        case("depmod with an argument").ends(2, &["depmod", "x"]),
        value("10.0.0.0/16"),
        value("[\"a\", \"b\"]"),
        value("two\nlines\n"),
        value("東京"),
        value(""),
        case("paramvalue of a parameter's own name")
            .env("{P}_PARAMETER_X", "1")
            .ends(0, &["paramvalue", "--suffix", "X"]),
        case("paramvalue of nothing")
            .ends(0, &["paramvalue", "-s", "PARAMETER_NONE"])
            .ends(0, &["paramvalue", "-s", ""]),
        case("paramvalue without a suffix")
            .ends(2, &["paramvalue"])
            .ends(2, &["paramvalue", "-s"]),
        case("usage")
            .command(0, &[])
            .command(0, &["--help"])
            .ends(0, &[])
            .ends(0, &["--help"])
            .ends(0, &["add", "--help"]),
        case("unknown commands")
            .ends(2, &["remove"])
            .command(2, &["metadatas"]),
    ]
}

/// Cases that depend on the prefix, in a module that asks for its project's own.
fn prefixed() -> Vec<Case> {
    let good = cdk(json!(r#"{"VpcId": "vpc-1"}"#));
    [
        case("add").ends(0, &["add", "-k", "a", "-v", "b"]),
        case("merge")
            .exported(r#"{"v": 1}"#)
            .stored(r#"{"f": 1}"#)
            .ends(0, &["add", "-k", "a", "-v", "b"]),
        case("the other prefix's variable")
            .env("SEEDFARMER_MODULE_METADATA", "{\"v\": 1}")
            .ends(0, &["add", "-k", "a", "-v", "b"]),
        case("convert").file(EXPORTS, good).ends(0, &["convert"]),
        case("depmod").ends(0, &["depmod"]),
        case("paramvalue")
            .env("{P}_PARAMETER_X", "1")
            .env("SEEDFARMER_PARAMETER_X", "2")
            .ends(0, &["paramvalue", "-s", "PARAMETER_X"]),
        case("a subfolder")
            .cwd("a/b")
            .ends(0, &["add", "-k", "a", "-v", "b"]),
    ]
    .into_iter()
    .map(|case| Case {
        name: format!("project prefix: {}", case.name),
        generic: false,
        ..case
    })
    .collect()
}

/// Cases in which our command differs on purpose.
fn differences() -> Vec<Case> {
    let add = ["add", "-k", "new", "-v", "1"];
    let new = || json!({"new": "1"});
    let mut no_deployspec = case("no deployspec").ends(0, &add);
    no_deployspec.deployspec = false;
    vec![
        case("the previous deployment's metadata")
            .exported("{\"old\": 1} ")
            .ends(0, &add)
            .differs(
                "it carries the mark: what a module stops publishing has to disappear",
                0,
                new(),
            ),
        case("a list where nothing is stored")
            .ends(0, &["add", "-j", "[1]"])
            .differs(
                "stored metadata is an object; theirs fails at the next call, far from the cause",
                1,
                None,
            ),
        case("null where nothing is stored")
            .ends(0, &["add", "-j", "null"])
            .differs("the same", 1, None),
        case("NaN").ends(0, &["add", "-j", "{\"a\": NaN}"]).differs(
            "no JSON, and no reader but Python's takes it",
            1,
            None,
        ),
        case("convert over a stored null")
            .stored("null")
            .file(EXPORTS, cdk(json!("{\"new\": \"1\"}")))
            .ends(1, &["convert"])
            .differs(
                "theirs stops with a TypeError, although add takes null for nothing",
                0,
                new(),
            ),
        case("deep below the module")
            .cwd("1/2/3/4")
            .ends(1, &add)
            .differs(
                "the module's folder is known, so the command works wherever a module has gone",
                0,
                new(),
            ),
        no_deployspec.differs(
            "start-build names the prefix; theirs reads the deployspec again and falls back to the project's",
            0,
            new(),
        ),
        case("the other commands")
            .command(0, &["version"])
            .differs("a build needs none of them", 2, None),
    ]
}
