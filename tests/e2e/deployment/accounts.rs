//! Modules in three accounts and two regions, from one push: values across, a role of a module's own, what their builds may not
//! touch, a module that moves, events of other accounts, and the destruction of everything. Executions that are ended from
//! outside while their builds run in a target.

use seedflow_core::deployment::manifest_options::ManifestOptions;
use seedflow_core::target::Target;
use seedflow_e2e::command_line::seedflow;
use seedflow_e2e::{
    Caller, EventQueue, Module, Repository, TestStack, WorkTree, eventually, module_id, run, with_gap,
};
use seedflow_local::aws_api::AwsApi;
use seedflow_local::client::deployment;
use seedflow_local::git::{Remote, Wanted};
use serde_json::{Value, json};

use super::{NEAR, STACK, TARGETS, assert_state, id_of, pages, results};

/// A parameter of one name in several accounts.
const STORED: &str = "/shared/accounts";

fn target(text: &str) -> Target {
    text.parse().expect("a target")
}

fn stored(text: &str) -> Value {
    let target = target(text);
    json!({"account": target.account(), "region": target.region()})
}

/// A module that publishes where its build ran, and a stack there whose outputs are recorded.
fn publishing(more: &[&str]) -> Module {
    Module::with_deployspec(&deployspec(more).to_string())
}

/// The same, and it says that it has drifted.
fn drifting() -> Module {
    let mut deployspec = deployspec(&[]);
    let look = "echo \"looked in $AWS_ACCOUNT_ID $AWS_REGION\"; exit 2";
    deployspec["drift"] = json!({"phases": {"build": {"commands": [look]}}});
    Module::with_deployspec(&deployspec.to_string())
}

fn deployspec(more: &[&str]) -> Value {
    let mut build = vec![
        "seedfarmer metadata add -k Value -v \"$AWS_ACCOUNT_ID $AWS_REGION\"",
        "seedfarmer metadata add -k Hash -v \"$SEEDFARMER_HASH\"",
        "seedfarmer metadata add -k Of -v \"of $SEEDFARMER_PARAMETER_OF\"",
    ];
    build.extend(more);
    let phases = |commands: &[&str]| json!({"phases": {"build": {"commands": commands}}});
    json!({"deploy": phases(&build), "destroy": phases(&["echo destroyed in $AWS_ACCOUNT_ID"])})
}

/// What a build of a target tries at home and with the folders of other builds, with all rights in its own account.
const HOSTILE: &[&str] = &[
    "aws s3 ls s3://$WORK_BUCKET/reports/ --region us-east-1",
    "aws s3 ls s3://$TARGET_BUCKET/builds/",
    "aws s3api put-object --bucket $WORK_BUCKET --key builds/x --region us-east-1",
    "aws ssm get-parameters --names /seedflow-targets/seedflow",
    "aws sts assume-role --role-arn arn:aws:iam::$AWS_ACCOUNT_ID:role/seedflow-target-$AWS_REGION-roles --role-session-name x",
    "aws sts assume-role --role-arn arn:aws:iam::333333333333:role/seedflow-target-us-east-1-builds --role-session-name x",
    "aws codebuild list-builds-for-project --project-name seedflow",
];

/// `net/vpc` in the first target, `apps/web` in the place of `web`, `apps/data` in the second target, `apps/near` in another
/// region of home's account, and `apps/home` at home; all consume the value of vpc, and data a parameter of its target, too.
fn repository(stack: &TestStack, web: &str) -> Repository {
    let about = stack.about();
    let account = |alias: &str, id: &str, region: &str| json!({"alias": alias, "accountId": id, "default": alias == "home", "regionMappings": [{"region": region, "default": true}]});
    let ([first, second], near) = (TARGETS.map(target), target(NEAR));
    let mut home = account("home", &about.account, &about.region);
    let regions = home["regionMappings"].as_array_mut().expect("regions");
    regions.push(json!({"region": near.region()}));
    let of = json!({"name": "of", "valueFrom": {"moduleMetadata": {"group": "net", "name": "vpc", "key": "Value"}}});
    let stored = json!({"name": "stored", "valueFrom": {"parameterStore": STORED}});
    let value = json!([of]);
    let manifest = json!({
        "name": "dev",
        "targetAccountMappings": [
            home,
            account("first", first.account(), first.region()),
            account("second", second.account(), second.region()),
            // Nobody uses it, so it needs nothing.
            account("unused", "444444444444", "eu-north-1"),
        ],
        "groups": [
            {"name": "net", "modules": [{"name": "vpc", "path": "modules/vpc", "targetAccount": "first"}]},
            {"name": "apps", "modules": [
                {"name": "web", "path": "modules/web", "targetAccount": web, "parameters": value},
                {"name": "data", "path": "modules/data", "targetAccount": "second", "parameters": [of, stored]},
                {"name": "near", "path": "modules/near", "targetRegion": near.region(), "parameters": value},
                {"name": "home", "path": "modules/home", "parameters": value},
            ]},
        ],
    });
    let buckets = [
        format!("export WORK_BUCKET={}", about.work_bucket),
        format!("export TARGET_BUCKET={}", first.bucket("seedflow")),
    ];
    let refused = HOSTILE
        .iter()
        .map(|call| format!("if {call} >/dev/null 2>&1; then echo 'was allowed: {call}'; exit 1; fi"));
    let commands: Vec<String> = buckets.into_iter().chain(refused).collect();
    let hostile: Vec<&str> = commands.iter().map(String::as_str).collect();
    let role = "Parameters: {RoleName: {Type: String}}\nResources:\n  Own:\n    Type: AWS::IAM::Policy\n    Properties:\n      PolicyName: own\n      Roles: [!Ref RoleName]\n      PolicyDocument: {Version: '2012-10-17', Statement: [{Effect: Allow, Action: 'ec2:DescribeVpcs', Resource: '*'}]}\n";
    Repository::default()
        .file("deployment.yaml", manifest.to_string())
        .module("modules/vpc", &publishing(&hostile))
        .module("modules/web", &drifting().file("modulestack.yaml", role))
        .module(
            "modules/data",
            &publishing(&["seedfarmer metadata add -k Stored -v \"$SEEDFARMER_PARAMETER_STORED\""]),
        )
        .module("modules/near", &publishing(&[]))
        .module("modules/home", &publishing(&[]))
}

/// Pushes a repository once, and returns the status of the deployment when it has ended.
async fn pushed(stack: &TestStack, project: &str, repository: &Repository) -> Value {
    let work_tree = WorkTree::new();
    repository.write(work_tree.folder());
    let commit = work_tree.commit("Deploy into three accounts");
    let wanted = Wanted {
        folder: Some(stack.folder().join(project)),
        project: project.to_owned(),
        name: None,
        branch: "main".to_owned(),
        options: ManifestOptions::default(),
    };
    let remote = Remote::make(stack, &wanted).await.expect("a remote");
    let pushed = work_tree.push(&remote, "main");
    assert!(pushed.accepted, "{pushed:?}");
    let status = eventually("the end of a deployment", || async {
        let status = stack.deployment_status(project, "dev").await;
        (status["commit"] == commit && status["state"] != "IN_PROGRESS").then_some(status)
    })
    .await;
    stack.deployment_released(project).await;
    status
}

/// Writes the parameter that a module refers to, in one account and region.
async fn store(api: &AwsApi, name: &str, value: &str) {
    let input = json!({"Name": name, "Value": value, "Type": "String", "Overwrite": true});
    let stored = api.json("ssm", "AmazonSSM.PutParameter", &input).await;
    stored.expect("a parameter");
}

/// Whether a role exists in an account.
async fn has_role(stack: &TestStack, place: &str, prefix: &str) -> bool {
    let listed = stack
        .api_in(&target(place))
        .form(
            "iam",
            &[
                ("Action", "ListRoles"),
                ("Version", "2010-05-08"),
                ("MaxItems", "1000"),
            ],
        )
        .await
        .expect("listing roles");
    listed.contains(&format!("<RoleName>{prefix}"))
}

/// Sends the event of a build's end in the name of another account.
async fn send_end(stack: &TestStack, place: &str, build_arn: &str) {
    let detail = json!({"build-status": "SUCCEEDED", "project-name": "seedflow", "build-id": build_arn});
    let entry = json!({"Source": "seedflow.codebuild", "DetailType": "CodeBuild Build State Change", "Detail": detail.to_string()});
    let sent = stack
        .api_in(&target(place))
        .json("events", "AWSEvents.PutEvents", &json!({"Entries": [entry]}))
        .await
        .expect("putting an event");
    assert_eq!(sent["FailedEntryCount"], 0, "{sent}");
}

#[test]
fn modules_of_several_accounts_and_regions_are_deployed_moved_and_destroyed() {
    run(async {
        let stack = STACK.get().await;
        let project = "accounts";
        let mut events = EventQueue::of_project(stack, project).await;
        let second = stack.api_in(&target(TARGETS[1]));
        store(stack.client(), STORED, "at home").await;
        store(&second, STORED, "in the target").await;
        let status = pushed(stack, project, &repository(stack, "first")).await;
        assert_eq!(status["state"], "SUCCEEDED", "{status}");
        assert_eq!(status["modules"], json!({"SUCCEEDED": 5}));

        let metadata = async |module: &str| stack.parameter(&id_of(project, module), "metadata").await;
        let status = async |module: &str| stack.parameter(&id_of(project, module), "status").await;
        assert_eq!(metadata("net/vpc").await["Value"], "222222222222 eu-west-1");
        // The first digits of SHA-1("222222222222-eu-west-1").
        assert_eq!(metadata("net/vpc").await["Hash"], "47df705e");
        assert_eq!(metadata("apps/web").await["Value"], "222222222222 eu-west-1");
        assert_eq!(metadata("apps/data").await["Value"], "333333333333 us-east-1");
        let about = stack.about();
        let home = format!("{} {}", about.account, about.region);
        assert_eq!(metadata("apps/home").await["Value"], home);
        assert_eq!(metadata("apps/near").await["Value"], "111122223333 eu-central-1");
        // The value of the first account arrives in all others, and a parameter is that of the module's own target.
        for module in ["apps/web", "apps/data", "apps/near", "apps/home"] {
            assert_eq!(
                metadata(module).await["Of"],
                "of 222222222222 eu-west-1",
                "{module}"
            );
        }
        assert_eq!(metadata("apps/data").await["Stored"], "in the target");
        assert_eq!(status("net/vpc").await["target"], stored(TARGETS[0]));
        assert_eq!(status("apps/near").await["target"], stored(NEAR));
        assert_eq!(status("apps/home").await["target"], Value::Null);
        for (module, place) in [("vpc", stored(TARGETS[0])), ("home", Value::Null)] {
            let end = |event: &Value| {
                event["detail"]["module"] == module && event["detail"]["state"] == "SUCCEEDED"
            };
            let found = events.count_of("the end of a module", 1, end).await;
            assert_eq!(found[0]["detail"]["target"], place, "{found:#?}");
        }
        let build = status("net/vpc").await["build_id"].clone();
        let build = build.as_str().expect("a build");
        assert!(build.starts_with("222222222222/eu-west-1/seedflow:"), "{build}");
        let own_role = format!("seedflow-module-{project}-dev-apps-web");
        assert!(has_role(stack, TARGETS[0], &own_role).await);

        // Nothing changed there, so nothing runs.
        store(stack.client(), STORED, "changed at home").await;
        let again = stack
            .deploy_repository(project, &repository(stack, "first"), json!({}))
            .await;
        assert_state(&again, "UNCHANGED");
        stack.deployment_released(project).await;

        // Drift is looked for where a module is. The stack of its role is there, and none of its own, which it need not have: its
        // drift phases say more.
        let drift = ["drift", "dev/apps/web", "--now", "--json", "--project", project];
        let checked = seedflow(stack, &drift).await.json();
        let record = &checked["modules"][0];
        assert_eq!(record["target"], stored(TARGETS[0]), "{checked}");
        let [role] = record["stacks"].as_array().map_or(&[][..], Vec::as_slice) else {
            panic!("expected one stack: {checked}");
        };
        assert_eq!(record["state"], "DRIFTED", "{checked}");
        assert_eq!(
            record["phases"]["output"],
            json!(["looked in 222222222222 eu-west-1"]),
            "{checked}"
        );
        assert!(role["stack"].to_string().contains(&own_role), "{role}");
        let compared = role["reason"].to_string();
        assert!(
            role["state"] == "IN_SYNC" || compared.contains("can compare none"),
            "{role}"
        );

        // The cause and the page have what a failed build printed there.
        let failing = Module::running("build", &["echo no space in $AWS_ACCOUNT_ID; exit 3"]);
        let failing = repository(stack, "first").module("modules/vpc", &failing);
        let failed = stack
            .deploy_repository(project, &failing, json!({"only": ["net"]}))
            .await;
        assert_eq!(failed.error, "DeploymentFailed", "{}", failed.cause);
        let vpc = status("net/vpc").await;
        assert!(
            vpc["cause"].to_string().contains("no space in 222222222222"),
            "{vpc}"
        );
        let execution = vpc["execution"].as_str().expect("an execution");
        let page = pages::module_page(stack, &id_of(project, "net/vpc"), execution).await;
        let printed = page.split_once("What the failing command printed");
        assert!(
            printed.is_some_and(|(_, printed)| printed.contains("no space in 222222222222")),
            "{page}"
        );
        let row = page
            .split_once("Account and region</dt>")
            .and_then(|(_, rest)| rest.split_once("</dd>"));
        assert!(row.is_some_and(|(row, _)| row.contains(TARGETS[0])), "{page}");
        stack.deployment_released(project).await;

        // An event of one account about a build of another is dropped.
        let bare = build.rsplit('/').next().expect("an id");
        let foreign = format!("arn:aws:codebuild:eu-west-1:222222222222:build/{bare}");
        send_end(stack, TARGETS[1], &foreign).await;
        eventually("the event that is dropped", || async {
            let lines = stack.lines("build-event").await;
            let dropped =
                |line: &Value| line["message"] == "dropped" && line["why"].to_string().contains(bare);
            let counted = |line: &Value| line["EventsDropped"] == 1.0 && line["Account"].is_null();
            (lines.iter().any(dropped) && lines.iter().any(counted)).then_some(())
        })
        .await;
        // So is one about a build of its own for which no execution waits.
        let unknown = "arn:aws:codebuild:us-east-1:333333333333:build/seedflow:nobody-waits";
        send_end(stack, TARGETS[1], unknown).await;
        eventually("the event that nobody waits for", || async {
            let lines = stack.lines("build-event").await;
            let counted = |line: &Value| {
                line["EventsDropped"] == 1.0
                    && line["Account"] == "333333333333"
                    && line["Region"] == "us-east-1"
            };
            lines.iter().any(counted).then_some(())
        })
        .await;

        // It moves to the other account: destroyed at its old place, with its role, and deployed at the new one. A
        // parameter that changed in a target deploys the module there that refers to it.
        store(&second, STORED, "changed in the target").await;
        let plan = stack
            .repository_input(project, &repository(stack, "second"), json!({"plan_only": true}))
            .await;
        let planned = stack.finished(&stack.start_deployment(&plan).await).await;
        assert!(
            planned.output.to_string().contains(
                "moves from 222222222222/eu-west-1 to 333333333333/us-east-1; destroyed there first"
            ),
            "{:?}",
            planned.output
        );
        let moved = stack
            .deploy_repository(project, &repository(stack, "second"), json!({}))
            .await;
        assert_state(&moved, "SUCCEEDED");
        let ended = results(stack, &moved).await;
        for (module, state) in [
            ("apps/web", "SUCCEEDED"),
            ("apps/data", "SUCCEEDED"),
            ("apps/near", "UNCHANGED"),
            ("apps/home", "UNCHANGED"),
        ] {
            assert_eq!(ended[module], state, "{module}");
        }
        assert_eq!(metadata("apps/data").await["Stored"], "changed in the target");
        assert_eq!(metadata("apps/web").await["Value"], "333333333333 us-east-1");
        assert_eq!(status("apps/web").await["target"], stored(TARGETS[1]));
        assert!(!has_role(stack, TARGETS[0], &own_role).await);
        assert!(has_role(stack, TARGETS[1], &own_role).await);
        stack.deployment_released(project).await;

        // Targets that no administrator prepared, one whose account is not named, and one that a module leaves and that is not
        // ready any more: all are reported together, while planning.
        let data = status("apps/data").await;
        let mut elsewhere = data.clone();
        elsewhere["target"]["region"] = json!("ap-south-1");
        let name = format!("/sf/{project}/dev/apps-data/status");
        store(stack.client(), &name, &elsewhere.to_string()).await;
        let unready = repository(stack, "first")
            .replacing("deployment.yaml", "eu-west-1", "eu-west-2")
            .replacing(
                "deployment.yaml",
                "{\"region\":\"eu-central-1\"}",
                "{\"region\":\"eu-west-3\"}",
            )
            .replacing(
                "deployment.yaml",
                "\"targetRegion\":\"eu-central-1\"",
                "\"targetRegion\":\"eu-west-3\"",
            )
            .replacing("deployment.yaml", "333333333333", "555555555555");
        let refused = stack.deploy_repository(project, &unready, json!({})).await;
        assert_eq!(refused.error, "InvalidManifest", "{}", refused.cause);
        let bootstrap = "seedflow bootstrap target --home 111122223333/us-east-1 --stack seedflow --region";
        for said in [
            "the target 222222222222/eu-west-2 is not ready",
            &format!("{bootstrap} eu-west-2 --account 222222222222`"),
            "the target 111122223333/eu-west-3 is not ready",
            "an account of the template parameter TargetAccounts (111122223333, 222222222222, 333333333333), found \"555555555555\"",
            "apps/data can't be destroyed: the target 333333333333/ap-south-1 is not ready",
        ] {
            assert!(refused.cause.contains(said), "{said}: {}", refused.cause);
        }
        store(stack.client(), &name, &data.to_string()).await;
        stack.deployment_released(project).await;

        let all = json!({"project": project, "deployment": "dev", "action": "destroy"});
        let destroyed = stack.finished(&stack.start_deployment(&all).await).await;
        assert_state(&destroyed, "DESTROYED");
        for module in ["net/vpc", "apps/web", "apps/data", "apps/near", "apps/home"] {
            assert!(
                stack.parameters(&id_of(project, module)).await.is_empty(),
                "{module}"
            );
        }
        assert!(!has_role(stack, TARGETS[1], &own_role).await);
    });
}

/// A build of a target, by its id in a status, once it has ended.
async fn ended_build(stack: &TestStack, id: &str) -> Value {
    let (place, id) = id.rsplit_once('/').expect("a target and an id");
    let api = stack.api_in(&target(place));
    eventually("the end of a build", || async {
        let build = deployment::build(&api, id).await.expect("reading a build");
        (build["buildComplete"] == true).then_some(build)
    })
    .await
}

#[test]
fn an_execution_that_is_stopped_or_cancelled_stops_its_build_in_a_target() {
    run(async {
        let stack = STACK.get().await;
        let id = module_id("stopped-there", "dev", "core", "module");
        let began = stack.folder().join("stopped-there");
        let mark = format!("touch '{}'", began.display());
        // The bundle is too large for one copy, here into a bucket of another account and region.
        let module = Module::running("build", &["[ \"$(cat file)\" = content ]", &mark, "sleep 600"]);
        let module = module.file("file", "content");
        let mut input = stack
            .input(&id, &module, json!({"target": stored(TARGETS[0])}))
            .await;
        input["source"] = stack.upload_bytes(&id, with_gap(&module.zip())).await;
        let parts = || stack.calls_of(Caller::Functions, "s3:UploadPartCopy");
        let before = parts();
        let execution = stack.start(&input).await;
        let build = stack.build_of(&execution).await;
        assert!(build.starts_with("222222222222/eu-west-1/seedflow:"), "{build}");
        assert!(parts() >= before + 2);
        eventually("a build that reads its bundle", || async {
            began.exists().then_some(())
        })
        .await;
        let stop = json!({"executionArn": execution, "cause": "not needed any more"});
        stack.call("states", "AWSStepFunctions.StopExecution", stop).await;
        stack.released(&id).await;
        assert_eq!(ended_build(stack, &build).await["buildStatus"], "STOPPED");
        let status = stack.parameter(&id, "status").await;
        assert_eq!(status["state"], "ABORTED", "{status}");
        assert_eq!(status["target"], stored(TARGETS[0]));
        assert_eq!(stack.keys(&format!("callbacks/{build}")).await, [""; 0]);

        // The same of a whole deployment.
        let project = "cancelled-there";
        let sleeping = Module::running("build", &["sleep 600"]);
        let repository = repository(stack, "first").module("modules/vpc", &sleeping);
        let input = stack.repository_input(project, &repository, json!({})).await;
        stack.start_deployment(&input).await;
        let vpc = id_of(project, "net/vpc");
        let execution = eventually("the start of a module", || async {
            let status = stack.parameter(&vpc, "status").await;
            status["execution"].as_str().map(str::to_owned)
        })
        .await;
        let build = stack.build_of(&execution).await;
        let cancelled = seedflow(stack, &["cancel", "dev", "--project", project]).await;
        assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
        stack.deployment_released(project).await;
        stack.released(&vpc).await;
        assert_eq!(ended_build(stack, &build).await["buildStatus"], "STOPPED");
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(status["state"], "ABORTED", "{status}");
    });
}
