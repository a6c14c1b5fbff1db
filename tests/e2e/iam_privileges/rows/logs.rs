//! Log groups of functions and of builds.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::table::*;

/// Each function writes to its own log group, a build to that of builds.
pub fn logs(functions: &BTreeMap<String, String>) -> Vec<Row> {
    let write = |group: &str, granted| {
        let stream = json!({"logGroupName": group, "logStreamName": "privileges"});
        ask(LOGS, "CreateLogStream", group, granted, stream)
    };
    let own = |function: &str| -> Granted {
        match function {
            "AcquireLockFunction" => &[ACQUIRE_LOCK],
            "CheckMd5Function" => &[CHECK_MD5],
            "ModuleStackFunction" => &[MODULE_STACK],
            "StartBuildFunction" => &[START_BUILD],
            "CheckStatusFunction" => &[CHECK_STATUS],
            "UpdateMetadataFunction" => &[UPDATE_METADATA],
            "BuildEventFunction" => &[BUILD_EVENT],
            "EndExecutionFunction" => &[END_EXECUTION],
            "PlanDeploymentFunction" => &[PLAN_DEPLOYMENT],
            "EvaluatePolicyFunction" => &[EVALUATE_POLICY],
            "FetchSourcesFunction" => &[FETCH_SOURCES],
            "RecordDeploymentFunction" => &[RECORD_DEPLOYMENT],
            "RequestApprovalFunction" => &[REQUEST_APPROVAL],
            "ApproveFunction" => &[APPROVE],
            "PublishReportFunction" => &[PUBLISH_REPORT],
            "DetectDriftFunction" => &[DETECT_DRIFT],
            "PreviewModulesFunction" => &[PREVIEW_MODULES],
            unknown => panic!("say in the table what {unknown} may do"),
        }
    };
    let builds = "/aws/codebuild/seedflow";
    let read_only_builds = "/aws/codebuild/seedflow-read-only";
    let read = |group: &str, granted| {
        let stream = json!({"logGroupName": group, "logStreamName": "privileges"});
        Row {
            answer: Some("ResourceNotFoundException"),
            ..ask(LOGS, "GetLogEvents", group, granted, stream)
        }
    };
    let mut rows = vec![
        read(builds, &[PUBLISH_REPORT, UPDATE_METADATA]),
        read("/aws/lambda/other", NOBODY),
        write(builds, &[BUILD]),
        read(read_only_builds, &[DETECT_DRIFT, PREVIEW_MODULES]),
        write(read_only_builds, &[READ_ONLY_BUILD]),
        ask(
            LOGS,
            "FilterLogEvents",
            builds,
            NOBODY,
            json!({"logGroupName": builds}),
        ),
        // The state machines', for the delivery of their logs.
        ask(
            LOGS,
            "DescribeLogGroups",
            "",
            &[DEPLOY_MODULE, DEPLOY, END_MACHINE, PLAN, DRIFT, CHECK_KEY],
            json!({}),
        ),
    ];
    let of_functions = functions
        .iter()
        .map(|(logical, name)| write(&format!("/aws/lambda/{name}"), own(logical)));
    rows.extend(of_functions);
    rows
}
