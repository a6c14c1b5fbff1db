//! The pages that people read after a deployment; they are made of its reports.

use seedflow_core::pages::index::Index;
use seedflow_e2e::{Finished, ModuleId, TestStack, eventually};
use serde_json::{Value, json};

use super::{deployed_by, id_of};

/// What makes a browser load a page again.
const REFRESH: &str = "http-equiv=\"refresh\"";

/// Waits for the pages of a deployment in which `data/store` failed and `data/queue` succeeded, and for the project's index.
pub async fn show(stack: &TestStack, project: &str, failed: &Finished) {
    let executions = deployed_by(stack, project).await;
    let page = async |module: &str| {
        let execution = executions[module].as_str().expect("an execution");
        let execution = execution.rsplit(':').next().unwrap_or_default();
        page_at(
            stack,
            &format!("reports/{}/{execution}.html", id_of(project, module)),
        )
        .await
    };
    let good = page("data/queue").await;
    assert!(
        good.contains("first deployment") && good.contains("Timeline"),
        "{good}"
    );
    let bad = page("data/store").await;
    let name = failed.execution.rsplit(':').next().unwrap_or_default();
    let parts = [
        "What went wrong".to_owned(),
        "BuildFailed".to_owned(),
        "no space left".to_owned(),
        format!("seedflow logs dev/data/store --project {project}"),
        format!(
            "seedflow retry {}",
            executions["data/store"]
                .as_str()
                .and_then(|e| e.rsplit(':').next())
                .unwrap_or_default()
        ),
        // The deployment that it is part of.
        format!("href=\"../../{name}.html\""),
    ];
    for part in parts {
        assert!(bad.contains(&part), "{part} is missing: {bad}");
    }
    let whole = eventually("the page of the end", || async {
        let page = page_at(stack, &deployment_page(project, &failed.execution)).await;
        (!page.contains(REFRESH)).then_some(page)
    })
    .await;
    let store = executions["data/store"]
        .as_str()
        .and_then(|execution| execution.rsplit(':').next());
    let parts = [
        "Failed".to_owned(),
        "Not started".to_owned(),
        "Because of that, 2 modules were not started".to_owned(),
        format!("seedflow retry {name}"),
        format!("href=\"data/store/{}.html\"", store.expect("an execution")),
    ];
    for part in parts {
        assert!(whole.contains(&part), "{part} is missing: {whole}");
    }
    eventually("an index with all that ended", || async {
        let index = Index::read(&page_at(stack, &format!("index/{project}.html")).await)?;
        let state = |module: &str| {
            Some(
                index
                    .modules
                    .get(&format!("dev/{module}"))?
                    .newest()?
                    .state
                    .clone(),
            )
        };
        let deployment = index.deployments.get("dev")?.newest()?.state.clone();
        let found = [
            state("data/queue")?,
            state("data/store")?,
            state("network/vpc")?,
            deployment,
        ];
        (found == ["SUCCEEDED", "FAILED", "SUCCEEDED", "FAILED"]).then_some(())
    })
    .await;
}

/// Waits for the pages of a deployment in progress, in which `network/vpc` is built.
pub async fn show_progress(stack: &TestStack, project: &str, execution: &str) {
    eventually("a page of the work in progress", || async {
        let page = page_at(stack, &deployment_page(project, execution)).await;
        let parts = ["Waiting", "In progress", "Takes until now", "network"];
        (page.contains(REFRESH) && parts.iter().all(|part| page.contains(part))).then_some(())
    })
    .await;
    eventually("an index with the work in progress", || async {
        let page = page_at(stack, &format!("index/{project}.html")).await;
        let index = Index::read(&page)?;
        let module = index.modules.get("dev/network/vpc")?.newest()?;
        let deployment = index.deployments.get("dev")?.newest()?;
        let states = [module.state.as_str(), deployment.state.as_str()];
        (page.contains(REFRESH) && states == ["IN_PROGRESS"; 2]).then_some(())
    })
    .await;
}

/// Waits until the page of the same deployment says that it was stopped, and no longer loads again.
pub async fn show_stopped(stack: &TestStack, project: &str, execution: &str) {
    eventually("a page of the stop", || async {
        let page = page_at(stack, &deployment_page(project, execution)).await;
        let parts = ["wrong branch", "Stopped", "Not started", "seedflow retry"];
        (!page.contains(REFRESH) && parts.iter().all(|part| page.contains(part))).then_some(())
    })
    .await;
}

/// Waits for the page of a module that was stopped with its deployment, and of one that is refused.
pub async fn show_stopped_module(stack: &TestStack, id: &ModuleId) {
    let status = stack.parameter(id, "status").await;
    let stopped = status["execution"].as_str().expect("an execution");
    let page = module_page(stack, id, stopped).await;
    let row = format!("index/{}.html#dev/{}/{}\"", id.project, id.group, id.module);
    assert!(!page.contains("Text from the module's build"), "{page}");
    // What to do, and where newer executions are found once there are any.
    for part in [
        "Stopped",
        "The execution was stopped",
        "seedflow retry",
        "rel=\"next\"",
        &row,
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    let mut rollback = json!(id);
    rollback["action"] = json!("rollback");
    let refused = stack.finished(&stack.start(&rollback).await).await;
    assert_eq!(refused.error, "SourceNotFound", "{}", refused.cause);
    let page = module_page(stack, id, &refused.execution).await;
    for part in [
        "Refused",
        "Why nothing was started",
        "expected an earlier successful deployment",
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    assert_eq!(stack.parameter(id, "status").await["state"], "ABORTED");
}

/// The page of a module's execution.
pub async fn module_page(stack: &TestStack, id: &ModuleId, execution: &str) -> String {
    let name = execution.rsplit(':').next().unwrap_or_default();
    page_at(stack, &format!("reports/{id}/{name}.html")).await
}

/// Sends all events again, in another order. The pages stay at what they show, which is the end.
pub async fn stay(stack: &TestStack, project: &str, execution: &str, events: &[Value]) {
    let key = deployment_page(project, execution);
    eventually("the page of the end", || async {
        (!page_at(stack, &key).await.contains(REFRESH)).then_some(())
    })
    .await;
    let mut late: Vec<Value> = events.iter().rev().map(|event| event["detail"].clone()).collect();
    // What shows that the others were published.
    let mut last = late[0].clone();
    last["group"] = json!("marker");
    last["module"] = json!("marker");
    last["state"] = json!("UNCHANGED");
    if let Some(fields) = last.as_object_mut() {
        fields.remove("part_of");
    }
    late.push(last);
    for detail in &late {
        let kind = if detail["module"].is_string() {
            "Module"
        } else {
            "Deployment"
        };
        let entry = json!({
            "Source": "seedflow", "DetailType": format!("Seedflow {kind} State Change"), "Detail": detail.to_string()
        });
        let answer = stack
            .call("events", "AWSEvents.PutEvents", json!({"Entries": [entry]}))
            .await;
        assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
    }
    let index = eventually("an index with the last event", || async {
        let index = Index::read(&page_at(stack, &format!("index/{project}.html")).await)?;
        index.modules.contains_key("dev/marker/marker").then_some(index)
    })
    .await;
    assert!(!index.is_live(), "{index:#?}");
    let page = page_at(stack, &key).await;
    assert!(!page.contains(REFRESH), "{page}");
}

fn deployment_page(project: &str, execution: &str) -> String {
    let name = execution.rsplit(':').next().unwrap_or_default();
    format!("reports/{project}/dev/{name}.html")
}

pub(super) async fn page_at(stack: &TestStack, key: &str) -> String {
    let page = eventually(key, || async { stack.object(key).await }).await;
    String::from_utf8(page).expect("a page in UTF-8")
}
