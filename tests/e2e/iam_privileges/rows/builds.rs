//! CodeBuild's projects and builds.

use serde_json::json;

use super::super::table::*;

pub fn projects(fixtures: &Fixtures) -> Vec<Row> {
    let (ours, build, spare) = (fixtures.project.as_str(), &fixtures.build, &fixtures.spare);
    let sibling = format!("{ours}-privileges");
    let read_only = format!("{ours}-read-only");
    let role = format!("arn:aws:iam::{}:role/x", fixtures.account);
    let create = |name: &str| json!({"name": name, "serviceRole": role});
    let read = |what: &str, granted, ids: &[&str]| {
        ask(CODEBUILD, "BatchGetBuilds", what, granted, json!({"ids": ids}))
    };
    let mut rows = vec![
        ask(
            CODEBUILD,
            "StartBuild",
            ours,
            &[START_BUILD],
            json!({"projectName": ours}),
        ),
        ask(
            CODEBUILD,
            "StartBuild",
            &read_only,
            &[START_BUILD, DETECT_DRIFT, PREVIEW_MODULES],
            json!({"projectName": read_only}),
        ),
        ask(
            CODEBUILD,
            "CreateProject",
            &sibling,
            &[START_BUILD],
            create(&sibling),
        ),
        read(
            "ours",
            &[CHECK_STATUS, START_BUILD, BUILD_EVENT, END_EXECUTION],
            &[build],
        ),
        read(
            "read-only ones",
            &[
                CHECK_STATUS,
                START_BUILD,
                BUILD_EVENT,
                END_EXECUTION,
                DETECT_DRIFT,
                PREVIEW_MODULES,
            ],
            &[&format!("{read_only}:1")],
        ),
        read("ours and another's", NOBODY, &[build, "other:1"]),
        ask(
            CODEBUILD,
            "StopBuild",
            "ours",
            &[END_EXECUTION],
            json!({"id": spare}),
        ),
        ask(
            CODEBUILD,
            "ListBuildsForProject",
            ours,
            &[START_BUILD, END_EXECUTION],
            json!({"projectName": ours}),
        ),
        ask(
            CODEBUILD,
            "StopBuild",
            "another's",
            NOBODY,
            json!({"id": "other:1"}),
        ),
        ask(
            CODEBUILD,
            "BatchGetProjects",
            "that an input names",
            &[START_BUILD],
            json!({"names": [sibling]}),
        ),
        ask(
            CODEBUILD,
            "BatchGetProjects",
            "another's",
            NOBODY,
            json!({"names": ["other"]}),
        ),
        ask(CODEBUILD, "ListBuilds", "", NOBODY, json!({})),
        ask(CODEBUILD, "UpdateProject", ours, NOBODY, json!({"name": ours})),
        ask(CODEBUILD, "DeleteProject", ours, NOBODY, json!({"name": ours})),
    ];
    // The name of the second only begins like ours.
    for other in ["other", "seedflows"] {
        let project = json!({"projectName": other});
        rows.push(ask(CODEBUILD, "StartBuild", other, NOBODY, project.clone()));
        rows.push(ask(CODEBUILD, "ListBuildsForProject", other, NOBODY, project));
        rows.push(ask(CODEBUILD, "CreateProject", other, NOBODY, create(other)));
    }
    rows
}
