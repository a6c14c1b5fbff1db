//! What is deployed again and what isn't, with the reasons.

use std::time::Duration;

use seedflow_core::telemetry::metric::Metric;
use seedflow_e2e::{Action, Caller, Finished, Module, Rule, run};
use serde_json::{Value, json};

use super::{STACK, assert_state};

fn module() -> Module {
    Module::running("build", &["cat data.txt"]).file("data.txt", "one")
}

#[test]
fn an_unchanged_module_is_not_built_and_only_its_status_is_written() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("unchanged");
        let first = stack.deploy(&id, &module()).await;
        assert_state(&first, "SUCCEEDED");
        assert_eq!(first.reasons, ["first deployment"]);
        let before = stack.parameters(&id).await;

        // A rule that only counts.
        let counted = Action::Delay(Duration::ZERO);
        let builds =
            stack.rule(Rule::new("codebuild", "StartBuild", counted.clone()).contains("unchanged-dev"));
        let writes = stack.rule(
            Rule::new("ssm", "PutParameter", counted)
                .contains("/sf/unchanged/")
                .caller(Caller::Functions),
        );
        // The same files in another order, so that the zip's bytes differ.
        let again = Module::empty()
            .file("data.txt", "one")
            .file("deployspec.yaml", spec());
        let second = stack.deploy(&id, &again).await;
        assert_state(&second, "UNCHANGED");
        assert_eq!((builds.applied(), writes.applied()), (0, 1));
        assert!(second.build.is_null());
        let measured =
            async |metric, of: &Finished| stack.measured("update-metadata", metric, &of.execution).await;
        assert_eq!(measured(Metric::ModulesSucceeded, &first).await, [1.0]);
        assert_eq!(measured(Metric::ModulesUnchanged, &second).await, [1.0]);
        for duration in [
            Metric::BuildSeconds,
            Metric::OverheadSeconds,
            Metric::WaitingSeconds,
        ] {
            let found = measured(duration, &first).await;
            assert!(matches!(found[..], [0.0..120.0]), "{duration:?}: {found:?}");
        }
        assert!(
            second.reasons[0].starts_with("unchanged since the deployment of "),
            "{:?}",
            second.reasons
        );

        let after = stack.parameters(&id).await;
        for name in ["md5", "metadata", "outputs"] {
            assert_eq!(before[name].version, after[name].version, "{name}");
        }
        let status = stack.parameter(&id, "status").await;
        let old: serde_json::Value = serde_json::from_str(&before["status"].value).expect("JSON");
        assert_eq!(status["state"], "UNCHANGED");
        assert_ne!(status["updated_at"], old["updated_at"]);
        assert_eq!(
            (&status["build_id"], &status["deployed_at"]),
            (&old["build_id"], &old["deployed_at"])
        );

        assert_state(&stack.deploy(&id, &module()).await, "UNCHANGED");
    });
}

/// The deployspec that `Module::running` writes.
fn spec() -> String {
    json!({"deploy": {"phases": {"build": {"commands": ["cat data.txt"]}}}}).to_string()
}

#[test]
fn what_changed_is_named() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("changes");
        let parameters = json!({"parameters": {"size": 1, "zone": "a"}});
        stack.deploy_with(&id, &module(), parameters.clone()).await;
        for (module, more, reasons) in [
            (
                module().file("data.txt", "two"),
                parameters,
                vec!["bundle changed"],
            ),
            (
                module().file("data.txt", "two"),
                json!({"parameters": {"size": 2, "zone": "a"}}),
                vec!["parameter size changed"],
            ),
            (
                module().file("data.txt", "two"),
                json!({"parameters": {"size": 2, "zone": "a"}, "force_update": true}),
                vec!["forced"],
            ),
            (
                Module::running("build", &["cat data.txt", "echo more"]).file("data.txt", "two"),
                json!({"parameters": {"size": 2}, "build": {"timeout_minutes": 59}}),
                vec![
                    "deployspec changed",
                    "build.timeout_minutes added",
                    "parameter zone removed",
                ],
            ),
        ] {
            let finished = stack.deploy_with(&id, &module, more).await;
            assert_state(&finished, "SUCCEEDED");
            assert_eq!(finished.reasons, reasons);
        }
    });
}

#[test]
fn a_new_version_of_a_referenced_parameter_redeploys() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("references");
        stack.put_parameter("/seedflow-examples/size", "1").await;
        let module = Module::running(
            "build",
            &["seedfarmer metadata add -k Size -v \"$SEEDFARMER_PARAMETER_SIZE\""],
        );
        let more = json!({"parameters": {"size": {"parameter_store": "/seedflow-examples/size"}}});
        assert_state(&stack.deploy_with(&id, &module, more.clone()).await, "SUCCEEDED");
        assert_eq!(stack.parameter(&id, "metadata").await["Size"], "1");
        assert_state(&stack.deploy_with(&id, &module, more.clone()).await, "UNCHANGED");
        stack.put_parameter("/seedflow-examples/size", "2").await;
        let again = stack.deploy_with(&id, &module, more).await;
        assert_eq!(again.reasons, ["parameter size changed"]);
        assert_eq!(stack.parameter(&id, "metadata").await["Size"], "2");
    });
}

#[test]
fn a_damaged_or_missing_md5_leads_to_a_deployment_and_never_to_unchanged() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("damaged");
        stack.deploy(&id, &module()).await;
        stack
            .put_parameter("/sf/damaged/dev/core-module/md5", "{\"hash\": \"cut")
            .await;
        let again = stack.deploy(&id, &module()).await;
        assert_state(&again, "SUCCEEDED");
        assert_eq!(again.reasons, ["stored md5 missing or unreadable"]);
    });
}

#[test]
fn two_modules_that_would_share_a_path_are_distinguished() {
    run(async {
        let stack = STACK.get().await;
        let one = seedflow_e2e::module_id("shared-path", "dev", "a-b", "c");
        let other = seedflow_e2e::module_id("shared-path", "dev", "a", "b-c");
        assert_state(&stack.deploy(&one, &module()).await, "SUCCEEDED");
        let before = stack.parameters(&one).await;
        let refused = stack.deploy(&other, &module()).await;
        assert_eq!(refused.error, "StateConflict");
        assert!(
            refused.cause.contains("group \"a-b\", module \"c\""),
            "{}",
            refused.cause
        );
        assert_eq!(stack.parameters(&one).await, before);
        // The status at the path is the other module's, so the report has the refusal.
        let execution = refused.execution.rsplit(':').next().expect("a name");
        let report = stack.object(&format!("reports/{other}/{execution}.json")).await;
        let report: Value = serde_json::from_slice(&report.expect("a report")).unwrap();
        assert_eq!(report["status"]["state"], "REFUSED", "{report}");
    });
}
