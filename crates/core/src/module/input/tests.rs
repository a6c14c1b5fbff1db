#![allow(clippy::unwrap_used)]
use super::*;
use crate::error::says;
use crate::module::maximum::{ComputeType, Maxima};
use serde_json::json;

fn limits() -> Limits {
    Limits {
        maxima: Maxima {
            timeout_minutes: 480,
            compute_type: ComputeType::Large,
            ..Maxima::OF_AWS
        },
        stack_name_prefix: "{project}-".into(),
        ..Limits::of_aws("work", "seedflow")
    }
}

fn input(change: impl FnOnce(&mut Value)) -> Value {
    let mut input = json!({"project": "p", "deployment": "d", "group": "g", "module": "m", "source": {"key": "uploads/x.zip"}});
    change(&mut input);
    input
}

fn parse(input: &Value) -> Result<DeployInput> {
    match ModuleInput::parse(input, &limits())? {
        ModuleInput::Deploy(request) => Ok(*request),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_shortest_input_gets_the_defaults() {
    let request = parse(&input(|_| ())).unwrap();
    let options = request.options.unwrap();
    assert_eq!(request.source.bucket, "work");
    assert_eq!((options.force_update, options.bundle), (false, true));
    assert_eq!(options.stack_name, "p-d-g-m");
}

#[test]
fn an_upload_has_its_names_in_its_key() {
    let upload = json!({"source": {"bucket": "work", "key": "sources/p/d/g/m.zip", "version_id": "v1"}});
    let request = parse(&upload).unwrap();
    assert_eq!(request.module.to_string(), "p/d/g/m");
    assert_eq!(request.options, None);
    assert_eq!(DeployInput::module(&upload, &limits()), Ok(request.module));
}

#[test]
fn any_input_may_name_the_deployments_execution() {
    let deployment = "arn:aws:states:r:1:execution:deploy:e";
    let part = |mut input: Value| {
        input["part_of"] = json!(deployment);
        input
    };
    let deploy = part(input(|_| ()));
    assert_eq!(part_of(&deploy), Ok(Some(ExecutionArn::new(deployment))));
    assert!(parse(&deploy).is_ok());
    let destroy =
        part(json!({"action": "destroy", "project": "p", "deployment": "d", "group": "g", "module": "m"}));
    assert!(ModuleInput::parse(&destroy, &limits()).is_ok());
    assert_eq!(part_of(&input(|_| ())), Ok(None));
    for bad in [
        json!(7),
        json!("deploy"),
        json!(format!("{deployment}{}", "e".repeat(300))),
    ] {
        let error = parse(&input(|v| v["part_of"] = bad)).unwrap_err();
        assert!(error.message.starts_with("part_of: expected "), "{error}");
        assert!(says(&error.message, "found "), "{error}");
    }
}

#[test]
fn each_bad_field_is_named_with_what_is_allowed() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 22] = [
        (
            |v| v["action"] = json!("remove"),
            "action: expected deploy, destroy, rollback, taint, found \"remove\"",
        ),
        (
            |v| v["force_update"] = json!("yes"),
            "force_update: expected true or false, found \"yes\"",
        ),
        (
            |v| v["forceupdate"] = json!(true),
            "forceupdate: expected one of action, project, deployment…found an unknown field",
        ),
        (
            |v| v["project"] = json!("P"),
            "project: expected 1 to 64 letters in lower case, digits and hyphens, which start with a letter and don't end with a hyphen, found \"P\"; write p, under which",
        ),
        (|v| v["group"] = json!("a/b"), "group: expected …found \"a/b\""),
        (|v| v["group"] = json!(7), "group: expected a text…found 7"),
        (|v| v["group"] = json!(null), "group: expected …found nothing"),
        (|v| v["source"] = json!(null), "source: expected …found nothing"),
        (
            |v| v["source"] = json!("s3://x"),
            "source: expected a JSON object, found \"s3://x\"",
        ),
        (
            |v| v["source"]["bucket"] = json!("other"),
            "source.bucket: expected work…found \"other\"",
        ),
        (
            |v| v["source"]["key"] = json!("callbacks/x"),
            "source.key: expected …found \"callbacks/x\"",
        ),
        (
            |v| v["source"]["key"] = json!(""),
            "source.key: expected …found \"\"",
        ),
        (
            |v| v["source"]["path"] = json!("../x"),
            "source.path: expected …found \"../x\"",
        ),
        (|v| v["source"]["path"] = json!("/x"), "source.path"),
        (|v| v["source"]["path"] = json!("a$(id)"), "source.path"),
        (
            |v| v["source"]["version"] = json!("1"),
            "source.version: expected …found an unknown field",
        ),
        (
            |v| v["parameters"] = json!([]),
            "parameters: expected …found a list",
        ),
        (
            |v| v["build"] = json!({"compute_type": "HUGE"}),
            "build.compute_type: expected BUILD_GENERAL1_SMALL…found \"HUGE\"",
        ),
        (
            |v| v["stack_name"] = json!("1x"),
            "stack_name: expected …found \"1x\"",
        ),
        (
            |v| v["stack_name"] = json!("another-stack"),
            "stack_name: expected a name that starts with p- (template parameter StackNamePrefix), or nothing, which is p-d-g-m, found \"another-stack\"",
        ),
        (
            |v| v["stack_name"] = json!("P-stack"),
            "stack_name: expected a name that starts with p-…found \"P-stack\"",
        ),
        (|v| v["bundle"] = json!(1), "bundle: expected …found 1"),
    ];
    for (change, part) in cases {
        let error = parse(&input(change)).unwrap_err();
        assert!(says(&error.message, part), "{} / {part}", error.message);
    }
    assert!(parse(&json!([])).unwrap_err().message.contains("found a list"));
    assert!(parse(&json!({"source": {"key": "uploads/x.zip"}})).is_err());
}

#[test]
fn a_stack_name_is_the_default_or_has_the_prefix() {
    let stack = |name: &str, prefix: &str| {
        let input = input(|v| v["stack_name"] = json!(name));
        let limits = Limits {
            stack_name_prefix: prefix.into(),
            ..limits()
        };
        let parsed = ModuleInput::parse(&input, &limits)?;
        let ModuleInput::Deploy(request) = parsed else {
            panic!("it would be destroyed")
        };
        Ok::<_, Error>(request.options.unwrap().stack_name)
    };
    assert_eq!(stack("p-other", "{project}-").unwrap(), "p-other");
    assert_eq!(stack("team-x-vpc", "team-x-").unwrap(), "team-x-vpc");
    // The module's default stack name is valid with any prefix.
    assert_eq!(stack("p-d-g-m", "team-x-").unwrap(), "p-d-g-m");
    assert!(stack("p-other", "team-x-").is_err());
}

#[test]
fn an_upload_with_a_name_in_upper_case_is_refused() {
    let upload = json!({"source": {"key": "sources/PROJB/d/g/m.zip"}});
    let error = DeployInput::module(&upload, &limits()).unwrap_err();
    assert!(
        says(&error.message, "project: expected …found \"PROJB\""),
        "{error}"
    );
}

#[test]
fn an_upload_without_names_is_refused_with_what_is_wrong_with_its_key() {
    let refused = |key: &str| {
        let upload = json!({"source": {"key": key}});
        DeployInput::module(&upload, &limits()).unwrap_err().message
    };
    let names = "expected the four names, or a key like sources/{project}/{deployment}/{group}/{module}.zip";
    for key in [
        "sources/m.zip",
        "sources/p/d/m.zip",
        "sources/p/d/g/m/x.zip",
        "sources/p/d/g/m.tar.gz",
    ] {
        let message = refused(key);
        assert!(message.contains(names) && message.contains(key), "{message}");
        assert_eq!(
            message.contains("only zips are read"),
            !key.ends_with(".zip"),
            "{message}"
        );
    }
}

#[test]
fn a_module_is_found_in_an_invalid_input_if_its_names_are_valid() {
    let bad = input(|v| v["source"] = json!(7));
    assert_eq!(
        DeployInput::module(&bad, &limits()).unwrap().to_string(),
        "p/d/g/m"
    );
    let unnamed = DeployInput::module(&input(|v| v["module"] = json!("a/b")), &limits()).unwrap_err();
    assert!(unnamed.message.starts_with("module: expected "), "{unnamed}");
    assert!(says(&unnamed.message, "found \"a/b\""), "{unnamed}");
    assert!(DeployInput::module(&json!("x"), &limits()).is_err());
}

#[test]
fn an_input_that_destroys_or_goes_back_has_the_four_names_and_at_most_a_source_or_an_execution() {
    let destroying = |change: fn(&mut Value)| {
        let mut input =
            json!({"action": "destroy", "project": "p", "deployment": "d", "group": "g", "module": "m"});
        change(&mut input);
        ModuleInput::parse(&input, &limits())
    };
    let module = ModuleId::parse("p", "d", "g", "m").unwrap();
    let destroyed = |source| {
        Ok(ModuleInput::Destroy(DestroyInput {
            module: module.clone(),
            source,
        }))
    };
    assert_eq!(destroying(|_| ()), destroyed(None));
    let source = Source::parse(&json!({"key": "uploads/x.zip"}), "work").unwrap();
    let named = destroying(|v| v["source"] = json!({"key": "uploads/x.zip"}));
    assert_eq!(named, destroyed(Some(source)));
    for (change, part) in [
        (
            (|v| v["parameters"] = json!({})) as fn(&mut Value),
            "parameters: expected nothing beside \"action\": \"destroy\"…found an object",
        ),
        (|v| v["bundle"] = json!(false), "bundle: expected …found false"),
        (|v| v["module"] = json!(null), "module: expected …found nothing"),
        (
            |v| v["other"] = json!(1),
            "other: expected …found an unknown field",
        ),
    ] {
        let error = destroying(change).unwrap_err();
        assert!(says(&error.message, part), "{} / {part}", error.message);
    }
    let rolled_back = |change: fn(&mut Value)| {
        let mut input = json!({"action": "rollback", "project": "p", "deployment": "d", "group": "g",
            "module": "m", "part_of": null, "to": "arn:aws:states:r:1:execution:deploy-module:e"});
        change(&mut input);
        ModuleInput::parse(&input, &limits())
    };
    let to = Some(ExecutionName::parse("e").unwrap());
    let expected = RollbackInput {
        module: module.clone(),
        to,
        only_changes: false,
    };
    assert_eq!(rolled_back(|_| ()), Ok(ModuleInput::Rollback(expected)));
    let tainted = rolled_back(|v| {
        v["action"] = json!("taint");
        v["to"] = Value::Null;
    });
    assert_eq!(tainted, Ok(ModuleInput::Taint(module)));
    for (change, part) in [
        (
            (|v| v["source"] = json!({"key": "uploads/x.zip"})) as fn(&mut Value),
            "source: expected nothing beside \"action\": \"rollback\"…found an object",
        ),
        (
            |v| v["action"] = json!("taint"),
            "to: expected nothing beside \"action\": \"taint\"…found \"arn",
        ),
        (
            |v| v["force_update"] = json!(true),
            "force_update: expected nothing beside …found true",
        ),
        (
            |v| v["to"] = json!("a/b"),
            "to: expected the name or the ARN of an execution…found \"a/b\"",
        ),
    ] {
        let error = rolled_back(change).unwrap_err();
        assert!(says(&error.message, part), "{} / {part}", error.message);
    }
    let explicit = ModuleInput::parse(&input(|v| v["action"] = json!("deploy")), &limits());
    assert!(matches!(explicit, Ok(ModuleInput::Deploy(_))));
}
