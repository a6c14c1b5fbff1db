//! Modules that are destroyed with the commands and the bundle that deployed them; afterwards nothing is stored of
//! them.

use seedflow_e2e::{
    Action, Caller, EventQueue, Module, ModuleId, Rule, TestStack, destruction, module_id, run,
};
use serde_json::{Value, json};

use super::{STACK, assert_state};

/// A module with one build command to deploy it and several to destroy it.
pub fn module(deploy: &str, destroy: &[&str]) -> Module {
    Module::with_deployspec(
        &json!({
            "deploy": {"phases": {"build": {"commands": [deploy]}}},
            "destroy": {"phases": {"pre_build": {"commands": ["OWN=pre_build"]}, "build": {"commands": destroy}}},
        })
        .to_string(),
    )
}

/// The stored values of a module, by their locations.
async fn stored(stack: &TestStack, id: &ModuleId) -> Vec<String> {
    let mut stored: Vec<String> = stack.parameters(id).await.into_keys().collect();
    stored.extend(stack.keys(&format!("values/{id}/")).await);
    stored.extend(stack.keys(&format!("deployed/{id}.")).await);
    let key = format!("{}/{}/{}/bundle.zip", id.deployment, id.group, id.module);
    let bundle = stack.object_of(&stack.about().bundle_bucket, &key).await;
    stored.extend(bundle.map(|_| key));
    stored
}

#[test]
fn a_module_is_destroyed_by_what_deployed_it_and_is_gone_then() {
    run(async {
        let stack = STACK.get().await;
        let id = module_id("destroy", "gone", "g-h", "m");
        let mut received = EventQueue::of_project(stack, "destroy").await;
        let checks = [
            "[ \"$SEEDFARMER_PARAMETER_A\" = value ]",
            "[ \"$SEEDFARMER_DEPLOYMENT_NAME $SEEDFARMER_MODULE_NAME\" = 'gone g-h-m' ]",
            "[ \"$OWN $DEPLOYMENT $GROUP $MODULE\" = 'pre_build gone g-h m' ]",
            "[ -z \"${SEEDFARMER_MODULE_MD5+set}\" ]",
            "python3 -c 'import json, os; assert json.loads(os.environ[\"SEEDFARMER_MODULE_METADATA\"])[\"Endpoint\"] == \"here\"'",
            "[ \"$(cat data)\" = first ]",
        ];
        // Metadata that is too long for a parameter.
        let deploy = "seedfarmer metadata add -k Endpoint -v here && seedfarmer metadata add -k Long -v $(printf '%9000s' | tr ' ' x)";
        let module = module(deploy, &checks).file("data", "first");
        let more = json!({"parameters": {"a": "value"}});
        let input = stack.input(&id, &module, more.clone()).await;
        assert_state(&stack.execute(&input).await, "SUCCEEDED");
        assert_eq!(stored(stack, &id).await.len(), 8);
        // The source that it was deployed from isn't needed any more.
        stack.delete(input["source"]["key"].as_str().unwrap()).await;

        let destroyed = stack.execute(&destruction(&id)).await;
        assert_state(&destroyed, "DESTROYED");
        assert_eq!(destroyed.reasons, ["destroy"]);
        assert_eq!(stored(stack, &id).await, Vec::<String>::new());
        let execution = destroyed.execution.rsplit(':').next().unwrap();
        let report = stack.object(&format!("reports/{id}/{execution}.json")).await;
        let report: Value = serde_json::from_slice(&report.unwrap()).unwrap();
        assert_eq!(report["status"]["state"], "DESTROYED");
        assert_eq!(report["build"]["build_id"].as_str(), destroyed.build_id());
        stack.released(&id).await;

        let again = stack.execute(&destruction(&id)).await;
        assert_state(&again, "UNCHANGED");
        assert_eq!(again.reasons, ["nothing is deployed"]);
        assert!(again.build.is_null());
        assert_eq!(stored(stack, &id).await, Vec::<String>::new());
        stack.released(&id).await;
        // It is not in the index again, nor is a module that never was.
        let never = module_id("destroy", "gone", "g-h", "mistyped");
        assert_state(&stack.execute(&destruction(&never)).await, "UNCHANGED");
        let of = |event: &Value, module: &str| {
            let detail = &event["detail"];
            detail["deployment"] == "gone" && detail["module"] == module
        };
        let states: Vec<Value> = received
            .count_of("events", 4, |event| of(event, "m"))
            .await
            .iter()
            .map(|event| event["detail"]["state"].clone())
            .collect();
        assert!(!states.contains(&json!("UNCHANGED")), "{states:?}");
        assert!(!received.so_far().await.iter().any(|event| of(event, "mistyped")));

        let anew = stack.deploy_with(&id, &module, more).await;
        assert_state(&anew, "SUCCEEDED");
        assert_eq!(anew.reasons, ["first deployment"]);
    });
}

#[test]
fn another_project_can_not_take_away_what_a_module_is_destroyed_by() {
    run(async {
        let stack = STACK.get().await;
        let [victim, other] = ["destroy-victim", "destroy-other"].map(|p| module_id(p, "shared", "g", "m"));
        let module = |of: &str| module("true", &[&format!("[ \"$(cat data)\" = {of} ]")]).file("data", of);
        let (bucket, published) = (&stack.about().bundle_bucket, "shared/g/m/bundle.zip");
        assert_state(&stack.deploy(&victim, &module("victim")).await, "SUCCEEDED");
        let file = tempfile::NamedTempFile::new().unwrap();
        let version = stack
            .client()
            .get_object(bucket, published, None, file.path())
            .await;
        let version = version.unwrap().expect("a version");
        assert_state(&stack.deploy(&other, &module("other")).await, "SUCCEEDED");
        assert_eq!(
            stack.object_of(bucket, published).await,
            Some(module("other").zip())
        );

        // As the lifecycle rule does after some time.
        let expired = stack.client().delete_version(bucket, published, &version).await;
        expired.unwrap();
        assert_state(&stack.execute(&destruction(&victim)).await, "DESTROYED");
        assert_eq!(
            stack.object_of(bucket, published).await,
            Some(module("other").zip())
        );
        assert_state(&stack.execute(&destruction(&other)).await, "DESTROYED");
        assert_eq!(stored(stack, &other).await, Vec::<String>::new());
    });
}

#[test]
fn a_destruction_that_failed_can_be_tried_again() {
    run(async {
        let stack = STACK.get().await;
        let id = module_id("destroy", "failed", "g", "m");
        let module = module(
            "true",
            &["aws ssm get-parameter --name /destroy/failed/allowed >allowed"],
        );
        assert_state(&stack.deploy(&id, &module).await, "SUCCEEDED");
        let before = stored(stack, &id).await;

        let failed = stack.execute(&destruction(&id)).await;
        assert_eq!(failed.error, "BuildFailed", "{}", failed.cause);
        assert_eq!(stored(stack, &id).await, before);
        let status = stack.parameter(&id, "status").await;
        assert_eq!(status["state"], "FAILED");
        assert_eq!(status["reasons"], json!(["destroy"]));
        assert_eq!(status["phase"], "BUILD");

        // A user who wants to keep it deploys it again, although half of it may be gone.
        let kept = stack.deploy(&id, &module).await;
        assert_state(&kept, "SUCCEEDED");
        assert_eq!(kept.reasons, ["last deployment failed"]);

        stack.put_parameter("/destroy/failed/allowed", "yes").await;
        assert_state(&stack.execute(&destruction(&id)).await, "DESTROYED");
        assert_eq!(stored(stack, &id).await, Vec::<String>::new());
    });
}

#[test]
fn what_a_failed_first_deployment_left_is_destroyed_by_its_bundle_or_a_newer_source() {
    run(async {
        let stack = STACK.get().await;
        let id = module_id("destroy", "first-failed", "g", "m");
        let broken = module("exit 3", &["exit 4"]);
        let failed = stack.deploy(&id, &broken).await;
        assert_eq!(failed.error, "BuildFailed", "{}", failed.cause);
        // Not DESTROYED without a build: the failed one may have created something.
        let refused = stack.execute(&destruction(&id)).await;
        assert_eq!(refused.error, "BuildFailed", "{}", refused.cause);
        assert!(
            refused.cause.contains("name a newer source of the module"),
            "{}",
            refused.cause
        );
        assert!(!stored(stack, &id).await.is_empty());

        let repaired = module("true", &["grep yes repaired"]).file("repaired", "yes");
        let mut input = destruction(&id);
        input["source"] = stack.input(&id, &repaired, json!({})).await["source"].clone();
        let destroyed = stack.execute(&input).await;
        assert_state(&destroyed, "DESTROYED");
        assert!(!destroyed.build.is_null());
        assert_eq!(stored(stack, &id).await, Vec::<String>::new());
    });
}

#[test]
fn what_can_not_be_destroyed_stays_and_says_what_to_do() {
    run(async {
        let stack = STACK.get().await;
        let without_phases = Module::running("build", &["true"]);
        for (name, module, more, error, advice) in [
            (
                "no-phases",
                without_phases,
                json!({}),
                "InvalidDeployspec",
                "add the commands that destroy it",
            ),
            (
                "no-bundle",
                module("true", &["true"]),
                json!({"bundle": false}),
                "SourceNotFound",
                "deploy it once more with \"bundle\": true",
            ),
        ] {
            let id = module_id("destroy", name, "g", "m");
            assert_state(&stack.deploy_with(&id, &module, more).await, "SUCCEEDED");
            let before = stored(stack, &id).await;
            let refused = stack.execute(&destruction(&id)).await;
            assert_eq!(refused.error, error, "{}", refused.cause);
            assert!(refused.cause.contains(advice), "{}", refused.cause);
            assert_eq!(stored(stack, &id).await, before);
        }
    });
}

#[test]
fn a_removal_that_was_broken_off_is_finished_without_a_second_build() {
    run(async {
        let stack = STACK.get().await;
        let id = module_id("destroy", "broken-off", "g", "m");
        assert_state(&stack.deploy(&id, &module("true", &["true"])).await, "SUCCEEDED");
        let denied = Action::Refuse {
            status: 400,
            code: "AccessDeniedException".to_owned(),
            message: "forbidden".to_owned(),
        };
        let rule = Rule::new("ssm", "DeleteParameters", denied).caller(Caller::Functions);
        let rule = stack.rule(rule.contains(&id.parameter_path()));
        let failed = stack.execute(&destruction(&id)).await;
        assert_eq!(failed.error, "AccessDenied", "{}", failed.cause);
        assert!(!failed.build.is_null());
        assert!(!stored(stack, &id).await.is_empty());
        drop(rule);

        let finished = stack.execute(&destruction(&id)).await;
        assert_state(&finished, "DESTROYED");
        assert!(finished.build.is_null());
        assert_eq!(stored(stack, &id).await, Vec::<String>::new());
    });
}
