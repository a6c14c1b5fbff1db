//! A module of the AWS CDK, as most public modules are: the CDK itself runs in the build and deploys its stack. `npm
//! ci` needs the npm registry and takes longer than the rest of the build.

use std::path::Path;
use std::time::Duration;

use seedflow_e2e::{ModuleId, run};
use serde_json::Value;

use crate::deployment::STACK;

/// Long enough for a slow registry; no other test waits for it.
const PATIENCE: Duration = Duration::from_secs(900);

#[test]
fn a_cdk_module_deploys_its_stack_and_its_outputs_are_recorded() {
    run(async {
        let stack = STACK.get().await;
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/cdk-topic"));
        let input = std::fs::read(folder.join("input.json")).unwrap();
        let mut input: Value = serde_json::from_slice(&input).unwrap();
        let id: ModuleId = serde_json::from_value(input.clone()).unwrap();
        let target = tempfile::tempdir().unwrap();
        let zip = target.path().join("bundle.zip");
        seedflow_local::checkout::bundle::folder(folder, &zip).unwrap();
        input["source"] = stack.upload_bytes(&id, std::fs::read(&zip).unwrap()).await;

        let execution = stack.start(&input).await;
        let finished = stack.finished_within(&execution, PATIENCE).await;
        let log = stack.log(&finished.build).await.join("\n");
        assert!(finished.succeeded(), "{}\n{log}", finished.cause);

        let outputs = stack.parameter(&id, "outputs").await;
        let topic = outputs["TopicArn"].as_str().expect("an ARN").to_owned();
        assert!(topic.starts_with("arn:aws:sns:"), "{topic}");
        let metadata = stack.parameter(&id, "metadata").await;
        assert_eq!(metadata["TopicArn"], topic.as_str(), "{metadata}");

        // The topic exists, with the name from the module's parameter.
        let fields = [
            ("Action", "GetTopicAttributes"),
            ("Version", "2010-03-31"),
            ("TopicArn", &topic),
        ];
        let topic = stack.client().form("sns", &fields).await;
        let topic = topic.expect("the topic");
        assert!(topic.contains("Orders of the shop"), "{topic}");
    });
}
