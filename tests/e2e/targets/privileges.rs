//! What each role of `template-target.yaml` may do in its account and region, who may assume it, and what the functions at
//! home may do in the bucket of a target, tried with the roles' own credentials in every target.
//!
//! BuildRole is tried by `hostile.sh`: here the builds have a policy that allows everything but the denies of the template. As in
//! `iam_privileges`, the account itself replaces the services that a role trusts.

use std::collections::{BTreeMap, BTreeSet};

use seedflow_core::target::Target;
use seedflow_e2e::{TestStack, run};
use seedflow_local::aws_api::{AwsApi, Credentials};
use seedflow_local::stack::EVENT_SOURCE;
use serde_json::json;

use super::{as_function, at, external_id, role_of};
use crate::deployment::{STACK, TARGETS};
use crate::iam_privileges::call::{Call, is_refusal};
use crate::iam_privileges::table::{
    CODEBUILD, EVENTS, EVERYTHING, LOGS, NOBODY, ON_ROLES, PUBLIC, Row, SECRETS, SSM, about_role,
    about_stack, ask,
};
use crate::iam_privileges::try_call;

const READS: &str = "reads";
const BUILDS: &str = "builds";
const ROLES: &str = "roles";
/// The role that reads logs for pages.
const PAGES: &str = "logs";
/// The role that compares stacks with their templates.
const DRIFT: &str = "drift";
const READ_ONLY: &str = "read-only";
/// The role with which CloudFormation deploys the stacks of modules.
const STACKS: &str = "stacks";
/// The role with which EventBridge hands over ends of builds.
const FORWARDS: &str = "events";

/// The roles that functions at home assume, each with these functions' roles.
const TRUSTED: [(&str, &[&str]); 6] = [
    (
        READS,
        &["CheckMd5Role", "PlanDeploymentRole", "UpdateMetadataRole"],
    ),
    (
        BUILDS,
        &[
            "BuildEventRole",
            "CheckStatusRole",
            "EndExecutionRole",
            "StartBuildRole",
        ],
    ),
    (ROLES, &["ModuleStackRole"]),
    (PAGES, &["PublishReportRole"]),
    (DRIFT, &["DetectDriftRole"]),
    (READ_ONLY, &["DetectDriftRole", "PreviewModulesRole"]),
];

const MODULE: &str = "seedflow-module-privileges";

fn in_region(keys: Credentials, target: &Target) -> Credentials {
    Credentials {
        region: target.region().to_owned(),
        ..keys
    }
}

/// A client with the keys of each role of a target.
async fn roles(stack: &TestStack, place: &str) -> BTreeMap<&'static str, AwsApi> {
    let target = at(place);
    let root = stack.api_in(&target);
    let mut clients = BTreeMap::new();
    for (kind, functions) in TRUSTED {
        let function = as_function(stack, functions[0]).await;
        let (role, id) = (role_of(place, kind), external_id(stack));
        let keys = function.assume_role_as(&role, "privileges", &id).await;
        let keys = keys.unwrap_or_else(|error| panic!("{kind}: {error}"));
        clients.insert(kind, root.with_credentials(in_region(keys, &target)));
    }
    for kind in [STACKS, FORWARDS] {
        let keys = root.assume_role(&role_of(place, kind), "privileges").await;
        let keys = keys.unwrap_or_else(|error| panic!("{kind}: {error}"));
        clients.insert(kind, root.with_credentials(in_region(keys, &target)));
    }
    clients
}

fn rows(stack: &TestStack, place: &str) -> Vec<Row> {
    [
        parameters(),
        builds(),
        logs(),
        events(stack, place),
        roles_of_modules(place),
        stacks(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn parameters() -> Vec<Row> {
    let get = |name: &str, granted| ask(SSM, "GetParameters", name, granted, json!({"Names": [name]}));
    let put =
        json!({"Name": "/seedflow-targets/seedflow", "Value": "{}", "Type": "String", "Overwrite": true});
    let below = json!({"Path": "/seedflow-targets", "Recursive": true});
    vec![
        get("/seedflow-targets/seedflow", &[READS, READ_ONLY]),
        get("/seedflow-targets/other", NOBODY),
        get("/shared/x", &[READS]),
        get(PUBLIC, &[READS]),
        get("/sf/privileges/dev/core-module/md5", NOBODY),
        get("/other/x", NOBODY),
        ask(SSM, "PutParameter", "settings", NOBODY, put),
        ask(SSM, "GetParametersByPath", "settings", NOBODY, below),
        ask(
            SECRETS,
            "GetSecretValue",
            "",
            NOBODY,
            json!({"SecretId": "targets-secret"}),
        ),
    ]
}

fn builds() -> Vec<Row> {
    let (ours, named) = ("seedflow", "seedflow-privileges");
    let read_only = "seedflow-read-only";
    let role = "arn:aws:iam::222222222222:role/x";
    let create = |name: &str| json!({"name": name, "serviceRole": role});
    let project = |name: &str| json!({"projectName": name});
    let never = |name: &str| json!({"id": format!("{name}:never")});
    let mut rows = vec![
        ask(CODEBUILD, "StartBuild", ours, &[BUILDS], project(ours)),
        ask(CODEBUILD, "CreateProject", named, &[BUILDS], create(named)),
        ask(
            CODEBUILD,
            "BatchGetBuilds",
            ours,
            &[BUILDS],
            json!({"ids": ["seedflow:never"]}),
        ),
        ask(
            CODEBUILD,
            "BatchGetBuilds",
            "ours and another's",
            NOBODY,
            json!({"ids": ["seedflow:never", "other:never"]}),
        ),
        ask(
            CODEBUILD,
            "BatchGetProjects",
            named,
            &[BUILDS],
            json!({"names": [named]}),
        ),
        ask(CODEBUILD, "ListBuildsForProject", ours, &[BUILDS], project(ours)),
        Row {
            answer: Some("ResourceNotFoundException"),
            ..ask(CODEBUILD, "StopBuild", ours, &[BUILDS], never(ours))
        },
        ask(
            CODEBUILD,
            "StartBuild",
            read_only,
            &[BUILDS, READ_ONLY],
            project(read_only),
        ),
        ask(
            CODEBUILD,
            "BatchGetBuilds",
            read_only,
            &[BUILDS, READ_ONLY],
            json!({"ids": [format!("{read_only}:never")]}),
        ),
        ask(CODEBUILD, "ListBuilds", "", NOBODY, json!({})),
        ask(CODEBUILD, "UpdateProject", ours, NOBODY, json!({"name": ours})),
        ask(CODEBUILD, "DeleteProject", ours, NOBODY, json!({"name": ours})),
    ];
    // The name of the second only begins like ours.
    for other in ["other", "seedflows"] {
        rows.push(ask(CODEBUILD, "StartBuild", other, NOBODY, project(other)));
        rows.push(ask(CODEBUILD, "StopBuild", other, NOBODY, never(other)));
        rows.push(ask(CODEBUILD, "CreateProject", other, NOBODY, create(other)));
        rows.push(ask(
            CODEBUILD,
            "ListBuildsForProject",
            other,
            NOBODY,
            project(other),
        ));
    }
    rows
}

fn logs() -> Vec<Row> {
    let ours = "/aws/codebuild/seedflow";
    let stream = |group: &str| json!({"logGroupName": group, "logStreamName": "privileges"});
    vec![
        Row {
            answer: Some("ResourceNotFoundException"),
            ..ask(LOGS, "GetLogEvents", ours, &[READS, PAGES], stream(ours))
        },
        Row {
            answer: Some("ResourceNotFoundException"),
            ..ask(
                LOGS,
                "GetLogEvents",
                "of read-only builds",
                &[READ_ONLY],
                stream("/aws/codebuild/seedflow-read-only"),
            )
        },
        ask(
            LOGS,
            "GetLogEvents",
            "another's",
            NOBODY,
            stream("/aws/codebuild/other"),
        ),
        ask(LOGS, "CreateLogStream", ours, NOBODY, stream(ours)),
        ask(
            LOGS,
            "FilterLogEvents",
            ours,
            NOBODY,
            json!({"logGroupName": ours}),
        ),
    ]
}

/// PutEvents names a bus of its own region only, so what may be handed over to home is tried where the target is in its region.
fn events(stack: &TestStack, place: &str) -> Vec<Row> {
    let about = stack.about();
    let home = format!(
        "arn:aws:events:{}:{}:event-bus/default",
        about.region, about.account
    );
    let put = |bus: Option<&str>| {
        let detail =
            json!({"build-status": "SUCCEEDED", "project-name": "seedflow", "build-id": super::BY_HAND});
        let mut entry = json!({"Source": EVENT_SOURCE, "DetailType": "CodeBuild Build State Change", "Detail": detail.to_string()});
        if let Some(bus) = bus {
            entry["EventBusName"] = json!(bus);
        }
        json!({"Entries": [entry]})
    };
    let mut rows = vec![
        ask(EVENTS, "PutEvents", "here", NOBODY, put(None)),
        ask(
            EVENTS,
            "PutRule",
            "ours",
            NOBODY,
            json!({"Name": "seedflow-target-build-ended", "EventPattern": "{}"}),
        ),
    ];
    if at(place).region() == about.region {
        rows.push(ask(EVENTS, "PutEvents", "at home", &[FORWARDS], put(Some(&home))));
    }
    rows
}

fn roles_of_modules(place: &str) -> Vec<Row> {
    let (account, region) = {
        let target = at(place);
        (target.account().to_owned(), target.region().to_owned())
    };
    let policy = |name: &str| format!("arn:aws:iam::{account}:policy/{name}");
    let document = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let mut rows = Vec::new();
    for (action, more) in ON_ROLES {
        rows.push(about_role(MODULE, action, &[ROLES], more));
        // The target's own, and another's.
        rows.push(about_role(
            &format!("seedflow-target-{region}-build"),
            action,
            NOBODY,
            more,
        ));
        rows.push(about_role("other-module-x", action, NOBODY, more));
    }
    let inline = [("PolicyName", "p"), ("PolicyDocument", document)];
    rows.push(about_role(MODULE, "PutRolePolicy", &[STACKS], &inline));
    rows.push(about_role("other-module-x", "PutRolePolicy", NOBODY, &inline));
    rows.push(about_role(MODULE, "UpdateAssumeRolePolicy", NOBODY, &inline[1..]));
    let of_builds = policy(&format!("seedflow-target-{region}-BuildPolicy"));
    for (arn, granted) in [
        (of_builds.as_str(), &[ROLES][..]),
        (&policy("seedflow-module-x"), &[STACKS]),
        (&policy("other"), NOBODY),
        (EVERYTHING, NOBODY),
    ] {
        rows.push(about_role(
            MODULE,
            "AttachRolePolicy",
            granted,
            &[("PolicyArn", arn)],
        ));
    }
    rows
}

fn stacks() -> Vec<Row> {
    let template = [("TemplateBody", "{\"Resources\": {}}")];
    vec![
        about_stack(MODULE, "DescribeStacks", &[READS, ROLES], &[]),
        about_stack(MODULE, "DescribeStackEvents", &[READS, ROLES], &[]),
        about_stack(MODULE, "DeleteStack", &[ROLES], &[]),
        about_stack("privileges-dev-core-module", "DescribeStacks", &[READS], &[]),
        about_stack("nothyphenated", "DescribeStacks", NOBODY, &[]),
        about_stack("other", "DeleteStack", NOBODY, &[]),
        about_stack(MODULE, "DetectStackDrift", &[DRIFT], &[]),
        about_stack(MODULE, "DescribeStackResourceDrifts", &[DRIFT], &[]),
        about_stack("privileges-dev-core-module", "ListStackResources", &[DRIFT], &[]),
        about_stack("nothyphenated", "DetectStackDrift", NOBODY, &[]),
        // Only with the service role.
        about_stack(MODULE, "CreateStack", NOBODY, &template),
        about_stack(MODULE, "UpdateStack", NOBODY, &template),
        about_stack("other", "CreateStack", NOBODY, &template),
    ]
}

#[test]
fn every_role_of_a_target_may_do_what_the_table_grants_and_nothing_else() {
    run(async {
        let stack = STACK.get().await;
        let mut wrong = Vec::new();
        for place in TARGETS {
            let roles = roles(stack, place).await;
            let rows = rows(stack, place);
            let known: BTreeSet<&str> = rows.iter().flat_map(|row| row.granted.iter().copied()).collect();
            let made: BTreeSet<&str> = roles.keys().copied().collect();
            // In another region than home no row grants the role of events anything.
            let untried: Vec<_> = made
                .difference(&known)
                .filter(|kind| **kind != FORWARDS)
                .collect();
            assert!(untried.is_empty(), "{untried:?}");
            for row in &rows {
                for (kind, api) in &roles {
                    let found = try_call(row, kind, api).await;
                    wrong.extend(found.map(|found| format!("{place}: {found}")));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

/// Whether a call was allowed, though the service may have answered with an error.
async fn is_allowed(call: Call, api: &AwsApi) -> bool {
    match call.attempt(api).await {
        Ok(()) => true,
        // The words of a bucket's policy differ from those of a role's.
        Err(error) => error.code != "AccessDenied" && !is_refusal(&error),
    }
}

#[test]
fn each_function_of_home_reaches_of_every_target_what_it_is_for() {
    run(async {
        let stack = STACK.get().await;
        let mut wrong = Vec::new();
        for role in stack.resources("AWS::IAM::Role").await.into_keys() {
            let function = as_function(stack, &role).await;
            for place in TARGETS {
                for (kind, trusted) in TRUSTED {
                    let (target_role, id) = (role_of(place, kind), external_id(stack));
                    let assumed = function.assume_role_as(&target_role, "privileges", &id).await;
                    if assumed.is_ok() != trusted.contains(&role.as_str()) {
                        wrong.push(format!("{role} as {kind} of {place}"));
                    }
                }
                let bucket = at(place).bucket("seedflow");
                let key = || (bucket.clone(), "builds/privileges/module.json".to_owned());
                let there = stack
                    .client()
                    .with_credentials(in_region(function.credentials().clone(), &at(place)));
                for (what, call, granted) in [
                    (
                        "write",
                        Call::write(key()),
                        &[
                            "DetectDriftRole",
                            "PreviewModulesRole",
                            "StartBuildRole",
                            "UpdateMetadataRole",
                        ][..],
                    ),
                    ("read", Call::read(key()), &["UpdateMetadataRole"]),
                    ("list", Call::list(&bucket), &["UpdateMetadataRole"]),
                    ("delete", Call::delete(key()), &[]),
                    (
                        "write elsewhere",
                        Call::write((bucket.clone(), "elsewhere".to_owned())),
                        &[],
                    ),
                ] {
                    if is_allowed(call, &there).await != granted.contains(&role.as_str()) {
                        wrong.push(format!("{role}: {what} in {bucket}"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}
