//! The pages that people read after a deployment; they are made of its reports.

use seedflow_core::pages::index::Index;
use seedflow_e2e::{Finished, TestStack, eventually};

use super::{deployed_by, id_of};

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
    for part in ["BuildFailed", "What went wrong", "no space left"] {
        assert!(bad.contains(part), "{part} is missing: {bad}");
    }
    let execution = failed.execution.rsplit(':').next().unwrap_or_default();
    let whole = page_at(stack, &format!("reports/{project}/dev/{execution}.html")).await;
    for part in ["DeploymentFailed", "Not started", "data/store"] {
        assert!(whole.contains(part), "{part} is missing: {whole}");
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

async fn page_at(stack: &TestStack, key: &str) -> String {
    let page = eventually(key, || async { stack.object(key).await }).await;
    String::from_utf8(page).expect("a page in UTF-8")
}
