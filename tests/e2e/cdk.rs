//! Modules of the AWS CDK, as most public modules are: the CDK itself runs in the build and deploys its stack. What npm
//! installs comes from its registry, and takes longer than the rest of the build.

use std::path::Path;
use std::time::Duration;

use seedflow_e2e::{Module, ModuleId, TestStack, module_id, run};
use serde_json::{Value, json};

use crate::deployment::STACK;

/// Long enough for a slow registry; no other test waits for it.
const PATIENCE: Duration = Duration::from_secs(900);

/// One version of the CDK's command for each of its generations. All but the last contain version 2 of the AWS SDK, which
/// does not know `AWS_ENDPOINT_URL`.
const GENERATIONS: [&str; 4] = ["2.82.0", "2.128.0", "2.155.0", "2.1031.0"];

/// An app with an asset, for the CDK's own bootstrap. Its library is the oldest one, which each command can read. One stack has
/// a bucket that a function of the CDK empties: it asks for the SDK that Lambda's runtimes contain.
const APP: &str = r#"
const cdk = require("aws-cdk-lib");
const s3 = require("aws-cdk-lib/aws-s3");
const { Asset } = require("aws-cdk-lib/aws-s3-assets");
const env = { account: process.env.CDK_DEFAULT_ACCOUNT, region: process.env.CDK_DEFAULT_REGION };
const stack = new cdk.Stack(new cdk.App(), process.env.STACK_NAME, { env });
new cdk.CfnOutput(stack, "Asset", { value: new Asset(stack, "File", { path: "app.js" }).s3ObjectUrl });
if (process.env.STACK_NAME === "emptied") {
    const bucketName = `emptied-${env.account}`;
    new s3.Bucket(stack, "Bucket", { bucketName, removalPolicy: cdk.RemovalPolicy.DESTROY, autoDeleteObjects: true });
}
"#;

async fn succeeds(stack: &TestStack, input: &Value) {
    let execution = stack.start(input).await;
    let finished = stack.finished_within(&execution, PATIENCE).await;
    let log = stack.log(&finished.build).await.join("\n");
    assert!(finished.succeeded(), "{}\n{log}", finished.cause);
}

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
        seedflow_cli::checkout::bundle::folder(folder, &zip).unwrap();
        input["source"] = stack.upload_bytes(&id, std::fs::read(&zip).unwrap()).await;
        succeeds(stack, &input).await;

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

/// The name of a version as npm's alias and of its stack.
fn name(version: &str) -> String {
    format!("cdk-{}", version.replace('.', "-"))
}

#[test]
fn each_generation_of_the_cdk_deploys_on_the_local_stack() {
    run(async {
        let stack = STACK.get().await;
        let mut packages = json!({"aws-cdk-lib": "2.82.0", "constructs": "10.3.0"});
        let newest = name(GENERATIONS[3]);
        let mut build = vec![format!(
            "node_modules/{newest}/bin/cdk bootstrap aws://$AWS_ACCOUNT_ID/$AWS_REGION"
        )];
        for version in GENERATIONS {
            let name = name(version);
            packages[&name] = format!("npm:aws-cdk@{version}").into();
            build.push(format!(
                "STACK_NAME={name} node_modules/{name}/bin/cdk deploy --app 'node app.js' --require-approval never --progress events"
            ));
        }
        build.extend([
            format!("export STACK_NAME=emptied CDK=node_modules/{newest}/bin/cdk"),
            "$CDK deploy --app 'node app.js' --require-approval never --progress events".to_owned(),
            "aws s3 cp app.js s3://emptied-$AWS_ACCOUNT_ID/".to_owned(),
            "$CDK destroy --app 'node app.js' --force".to_owned(),
        ]);
        let install = ["npm install --no-audit --no-fund --loglevel=error"];
        let spec = json!({"deploy": {"phases": {
            "install": {"commands": install}, "build": {"commands": build},
        }}});
        let package = json!({"private": true, "dependencies": packages});
        let module = Module::with_deployspec(&spec.to_string())
            .file("package.json", package.to_string())
            .file("app.js", APP);
        let id = module_id("cdk", "generations", "g", "m");
        succeeds(stack, &stack.input(&id, &module, json!({})).await).await;

        for version in GENERATIONS {
            let name = name(version);
            let fields = [
                ("Action", "DescribeStacks"),
                ("Version", "2010-05-15"),
                ("StackName", &name),
            ];
            let found = stack.client().form("cloudformation", &fields).await;
            let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(found.contains("s3://cdk-hnb659fds-assets-"), "{found}");
        }
    });
}
