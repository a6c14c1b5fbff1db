//! Roles and stacks of modules.

use super::super::table::*;

/// The calls that make and remove the roles and stacks of modules. None of these exists, so a granted call ends in that
/// error.
pub fn roles_of_modules(fixtures: &Fixtures) -> Vec<Row> {
    let mut rows = Vec::new();
    let account = &fixtures.account;
    let of_modules = format!("arn:aws:iam::{account}:policy/seedflow-module-x");
    let document = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let module = "seedflow-module-privileges";
    for (action, more) in ON_ROLES {
        rows.push(about_role(module, action, &[MODULE_STACK], more));
        // Begins like the stack's own, and like another stack's.
        rows.push(about_role("seedflow-UpdateMetadataRole", action, NOBODY, more));
        rows.push(about_role("other-module-x", action, NOBODY, more));
    }
    let policy = [("PolicyName", "p"), ("PolicyDocument", document)];
    rows.push(about_role(
        module,
        "PutRolePolicy",
        &[MODULE_STACK_SERVICE],
        &policy,
    ));
    rows.push(about_role("other-module-x", "PutRolePolicy", NOBODY, &policy));
    rows.push(about_role(module, "UpdateAssumeRolePolicy", NOBODY, &policy[1..]));
    // Neither role gives a module's role a policy from anywhere but the template or the module's stack.
    rows.push(about_role(
        module,
        "AttachRolePolicy",
        &[MODULE_STACK_SERVICE],
        &[("PolicyArn", &of_modules)],
    ));
    rows.push(about_role(
        module,
        "AttachRolePolicy",
        NOBODY,
        &[("PolicyArn", EVERYTHING)],
    ));
    let stack_of_module = "seedflow-module-privileges";
    let template = [("TemplateBody", "{\"Resources\": {}}")];
    for (action, granted) in [
        ("DescribeStackEvents", &[MODULE_STACK, UPDATE_METADATA][..]),
        ("DescribeStacks", &[MODULE_STACK, UPDATE_METADATA]),
        ("DeleteStack", &[MODULE_STACK]),
    ] {
        rows.push(about_stack(stack_of_module, action, granted, &[]));
    }
    // A stack of a module has a hyphen in its name.
    for action in [
        "DetectStackDrift",
        "DescribeStackResourceDrifts",
        "ListStackResources",
    ] {
        rows.push(about_stack(stack_of_module, action, &[DETECT_DRIFT], &[]));
        rows.push(about_stack("other", action, NOBODY, &[]));
    }
    let detection = [("StackDriftDetectionId", "0f8fad5b-d9cb-469f-a165-70867728950e")];
    rows.push(Row {
        answer: Some("ValidationError"),
        ..form(
            "cloudformation",
            "DescribeStackDriftDetectionStatus",
            "2010-05-15",
            &[DETECT_DRIFT],
            &detection,
        )
    });
    // Only with the service role, whose ARN the refusal of any other shows.
    for action in ["CreateStack", "UpdateStack"] {
        rows.push(about_stack(stack_of_module, action, NOBODY, &template));
        rows.push(about_stack("other", action, NOBODY, &template));
    }
    rows
}
