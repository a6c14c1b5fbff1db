//! Parameters of the workflow, of administrators and of AWS.

use serde_json::json;

use super::super::table::*;

pub fn parameters() -> Vec<Row> {
    let (state, status, referenced, other) = (STATE, STATUS, REFERENCED, OTHER);
    let put = |name: &str| json!({"Name": name, "Value": "{}", "Type": "String", "Overwrite": true});
    let get = |what: &str, granted, names: &[&str]| {
        ask(SSM, "GetParameters", what, granted, json!({"Names": names}))
    };
    let mut rows = vec![
        get(state, &[CHECK_MD5, UPDATE_METADATA], &[state]),
        get(
            status,
            &[CHECK_MD5, UPDATE_METADATA, RECORD_DEPLOYMENT, END_EXECUTION],
            &[status],
        ),
        get(
            "its status and more",
            &[CHECK_MD5, UPDATE_METADATA],
            &[status, state],
        ),
        get(
            referenced,
            &[CHECK_MD5, PLAN_DEPLOYMENT, BUILD, READ_ONLY_BUILD],
            &[referenced],
        ),
        get(
            PUBLIC,
            &[CHECK_MD5, PLAN_DEPLOYMENT, BUILD, READ_ONLY_BUILD],
            &[PUBLIC],
        ),
        get("AWS's others", NOBODY, &["/aws/reference/x"]),
        get(other, NOBODY, &[other]),
        // A granted name doesn't help another name.
        get("one's own and another's", NOBODY, &[state, referenced, other]),
        ask(SSM, "PutParameter", state, &[UPDATE_METADATA], put(state)),
        ask(
            SSM,
            "PutParameter",
            status,
            &[UPDATE_METADATA, RECORD_DEPLOYMENT, END_EXECUTION],
            put(status),
        ),
        ask(SSM, "PutParameter", referenced, NOBODY, put(referenced)),
        ask(SSM, "PutParameter", other, NOBODY, put(other)),
        ask(SSM, "DescribeParameters", "", NOBODY, json!({})),
    ];
    for name in [state, status, other] {
        for operation in ["GetParameter", "GetParameterHistory", "DeleteParameter"] {
            rows.push(ask(SSM, operation, name, NOBODY, json!({"Name": name})));
        }
        // The stored values of a module are deleted when it is destroyed, the status of a deployment with its last
        // module.
        let granted: Granted = match name {
            STATE => &[UPDATE_METADATA],
            STATUS => &[UPDATE_METADATA, RECORD_DEPLOYMENT],
            _ => NOBODY,
        };
        rows.push(ask(
            SSM,
            "DeleteParameters",
            name,
            granted,
            json!({"Names": [name]}),
        ));
    }
    // A deployment's own path; the planner may read any path below /sf, but not a shorter one. The variables of a manifest
    // are below a path that ReferencedParameters names.
    for (path, granted) in [
        ("/", NOBODY),
        ("/sf", NOBODY),
        ("/sf/privileges/dev", &[PLAN_DEPLOYMENT][..]),
        (referenced, &[PLAN_DEPLOYMENT][..]),
        ("/seedflow-examples", NOBODY),
        ("/other", NOBODY),
    ] {
        let below = json!({"Path": path, "Recursive": true});
        rows.push(ask(SSM, "GetParametersByPath", path, granted, below));
    }
    rows
}
