//! Names and ids: every key, parameter path and ARN of a parsed name stays within the module's own prefix.

use proptest::prelude::*;
use seedflow_core::error::ErrorName;
use seedflow_core::formats::upper_snake_case::upper_snake_case;
use seedflow_core::ids::{AwsEnvironment, BuildFolder, BuildId, ExecutionArn, ModuleId, Name, ParameterKind};

use crate::{assert_refusal, cases, dictionary};

/// Valid names, hostile ones, and valid ones with a hostile part.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-zA-Z][a-zA-Z0-9_.-]{0,20}[a-zA-Z0-9]",
        1 => "[a-zA-Z0-9_.-]{0,70}",
        1 => dictionary::text(true),
        1 => ("[a-z]{1,4}", dictionary::text(true), "[a-z]{0,4}").prop_map(|(a, b, c)| a + &b + &c),
    ]
}

/// The same for a project; its valid names have no upper case.
fn project() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z][a-z0-9-]{0,20}[a-z0-9]",
        1 => name(),
    ]
}

/// Whether S3, Parameter Store, IAM, a shell and a URL all take this level of a path literally.
fn is_harmless(level: &str) -> bool {
    !level.is_empty()
        && level
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && !level.starts_with(['-', '_', '.'])
}

fn assert_places(id: &ModuleId) -> Result<(), TestCaseError> {
    let names = [&id.project, &id.deployment, &id.group, &id.module];
    prop_assert!(names.iter().all(|name| is_harmless(name.as_str())), "{id:?}");
    let parent = format!("/sf/{}/{}/{}-{}/", id.project, id.deployment, id.group, id.module);
    for kind in ParameterKind::ALL {
        let parameter = id.parameter(kind);
        prop_assert_eq!(&parameter, &format!("{parent}{kind}"));
        // PutParameter, `Name`: up to 1,011 characters including the ARN before it, and 15 levels.
        prop_assert!(parameter.len() < 900 && parameter.matches('/').count() == 5);
        let spilled = id.spill_key(kind, "0123");
        let prefix = format!("values/{id}/{kind}/");
        prop_assert_eq!(spilled.strip_prefix(&prefix), Some("0123.json"));
    }
    let report = id.report_key(&ExecutionArn::new("arn:aws:states:r:1:execution:machine:name"));
    prop_assert_eq!(report, format!("reports/{id}/name.json"));
    prop_assert_eq!(id.bundle_key().split('/').count(), 4);
    prop_assert!(id.bundle_key().split('/').take(3).all(is_harmless));
    prop_assert_eq!(id.to_string().split('/').count(), 4);
    prop_assert!(
        id.stack_name()
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    );
    Ok(())
}

proptest! {
    #![proptest_config(cases(1024))]

    #[test]
    fn a_name_that_parses_is_itself_and_harmless(text in name()) {
        match Name::parse("group", &text) {
            Ok(name) => {
                prop_assert_eq!(name.as_str(), &text);
                prop_assert!(is_harmless(&text) && text.len() <= 64);
                let json = serde_json::to_string(&name).unwrap();
                prop_assert_eq!(serde_json::from_str::<Name>(&json).unwrap(), name);
            }
            Err(error) => {
                assert_refusal(&error, &[ErrorName::InvalidInput])?;
                prop_assert!(error.message.starts_with("group: expected "));
            }
        }
    }

    #[test]
    fn a_module_keeps_to_its_own_places(project in project(), deployment in name(), group in name(), module in name()) {
        match ModuleId::parse(&project, &deployment, &group, &module) {
            Err(error) => assert_refusal(&error, &[ErrorName::InvalidInput])?,
            Ok(id) => {
                prop_assert_eq!(id.project.as_str(), &project);
                prop_assert!(!project.contains(|c: char| c.is_ascii_uppercase()), "{project}");
                assert_places(&id)?;
                let key = format!("sources/{id}.zip");
                prop_assert_eq!(ModuleId::from_upload_key(&key), Ok(Some(id.clone())));
                let json = serde_json::to_string(&id).unwrap();
                prop_assert_eq!(serde_json::from_str::<ModuleId>(&json).unwrap(), id);
            }
        }
    }

    #[test]
    fn a_key_names_a_module_only_in_the_one_shape(key in prop_oneof![
        dictionary::text(true),
        (project(), name(), name(), name(), select_suffix()).prop_map(|(p, d, g, m, s)| format!("sources/{p}/{d}/{g}/{m}{s}")),
    ]) {
        if let Ok(Some(id)) = ModuleId::from_upload_key(&key) {
            prop_assert_eq!(&key, &format!("sources/{id}.zip"));
            assert_places(&id)?;
        }
    }

    #[test]
    fn two_modules_share_a_path_only_where_the_status_can_tell(a in name(), b in name(), c in name(), d in name()) {
        if let (Ok(one), Ok(other)) = (ModuleId::parse("p", "d", &a, &b), ModuleId::parse("p", "d", &c, &d)) {
            let same_path = one.parameter(ParameterKind::Md5) == other.parameter(ParameterKind::Md5);
            prop_assert_eq!(same_path, one.module_name() == other.module_name());
            prop_assert_eq!(one == other, one.spill_key(ParameterKind::Md5, "x") == other.spill_key(ParameterKind::Md5, "x"));
        }
    }

    #[test]
    fn a_build_id_keeps_to_its_own_objects(text in prop_oneof![
        dictionary::text(true),
        ("[a-zA-Z0-9_-]{0,9}", dictionary::text(true)).prop_map(|(project, rest)| format!("{project}:{rest}")),
        ("[a-z0-9-]{1,9}", "[0-9a-f-]{1,36}").prop_map(|(project, id)| format!("arn:aws:codebuild:r:1:build/{project}:{id}")),
    ]) {
        match BuildId::parse(&text) {
            Err(error) => assert_refusal(&error, &[ErrorName::InvalidInput])?,
            Ok(id) => {
                prop_assert_eq!(BuildId::parse(id.as_str()).unwrap(), id.clone());
                let prefix_and_one = |key: &str, prefix: &str| key.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && !rest.contains('/'));
                prop_assert!(prefix_and_one(&id.callback_key(), "callbacks/"));
                // S3 object keys: up to 1,024 bytes.
                prop_assert!(id.callback_key().len() <= 1024, "{}", id.callback_key().len());
                let environment = AwsEnvironment { partition: "aws".into(), region: "r".into(), account: "1".into() };
                prop_assert!(environment.build_url(&id).starts_with("https://r.console.aws.amazon.com/codesuite/codebuild/1/projects/"));
            }
        }
    }

    #[test]
    fn a_run_keeps_to_its_own_folder(text in prop_oneof![dictionary::text(true), "[0-9a-fA-F]{30,34}"]) {
        match BuildFolder::parse(&text) {
            Err(error) => assert_refusal(&error, &[ErrorName::InvalidInput])?,
            Ok(run) => prop_assert_eq!(run.folder(), format!("builds/{text}")),
        }
    }

    #[test]
    fn any_text_is_a_place_or_refused(text in prop_oneof![dictionary::text(true), ("arn", dictionary::text(true)).prop_map(|(a, b)| format!("{a}:aws:lambda:r:{b}"))]) {
        if let Err(error) = AwsEnvironment::from_arn(&text) {
            assert_refusal(&error, &[ErrorName::InvalidInput])?;
        }
    }

    #[test]
    fn the_name_of_a_variable_is_upper_case(text in name()) {
        let variable = upper_snake_case(&text);
        prop_assert!(!variable.contains(|c: char| c.is_ascii_lowercase()), "{variable}");
        // Separators stay or become underscores, and no character is lost.
        let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).count();
        if text.is_ascii() {
            prop_assert_eq!(letters(&text), letters(&variable));
        }
    }
}

fn select_suffix() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&[".zip", ".ZIP", ".zip/", "", ".zip.zip", "/.zip"][..])
}
