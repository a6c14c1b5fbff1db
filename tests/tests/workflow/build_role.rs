//! The denies of the build role. On this stack a managed policy allows builds everything, as AdministratorAccess
//! would, so whatever is refused is refused by them.

use seedflow_local::emulator_api::ApiError;
use seedflow_tests::run;
use serde_json::json;

use crate::STACK;

fn denied<T>(outcome: Result<T, ApiError>, what: &str) {
    let error = outcome.err().unwrap_or_else(|| panic!("{what} is allowed"));
    assert!(error.message.contains("with an explicit deny"), "{what}: {error}");
}

#[test]
fn a_build_that_may_do_everything_may_not_touch_task_tokens_or_state() {
    run(async {
        let stack = STACK.get().await;
        let role = &stack.resources("AWS::IAM::Role").await["BuildRole"];
        let arn = format!("arn:aws:iam::{}:role/{role}", stack.about().account);
        let keys = stack.client().assume_role(&arn, "build").await.unwrap();
        let api = stack.client().with_credentials(keys);
        let bucket = &stack.about().work_bucket;

        stack.put("callbacks/build-role:1", b"{}".to_vec()).await;
        let callback = "callbacks/build-role:1";
        denied(api.read_object(bucket, callback).await, "reading a task token");
        denied(
            api.put_object(bucket, callback, Vec::new()).await,
            "writing a task token",
        );
        denied(api.delete_object(bucket, callback).await, "deleting a task token");

        let (state, own) = ("/sf/build-role/dev/core-module/md5", "/build-role/own");
        let put = |name: &str| json!({"Name": name, "Value": "{}", "Type": "String", "Overwrite": true});
        api.json("ssm", "AmazonSSM.PutParameter", &put(own))
            .await
            .unwrap();
        for (target, input) in [
            ("AmazonSSM.PutParameter", put(state)),
            ("AmazonSSM.DeleteParameter", json!({"Name": state})),
            ("AmazonSSM.DeleteParameters", json!({"Names": [own, state]})),
        ] {
            denied(api.json("ssm", target, &input).await, target);
        }
    });
}
