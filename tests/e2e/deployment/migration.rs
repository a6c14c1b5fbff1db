//! Modules that the real seed-farmer has deployed are taken over, and not deployed again.

use std::collections::BTreeMap;
use std::time::Duration;

use seedflow_core::target::Target;
use seedflow_e2e::{Group, Migrated, Repository, SeedFarmer, TestStack, migrate, run};
use seedflow_fixtures::git_server::GitServer;
use seedflow_local::codebuild::SimulatedBuild;
use seedflow_terminal::Ui;
use serde_json::{Value, json};

use super::{STACK, TARGETS, assert_state, id_of, results};

const PROJECT: &str = "comes-over";
const GROUPS: &[Group<'_>] = &[
    ("network", &[("vpc", &[]), ("dns", &[])]),
    ("apps", &[("web", &["network/vpc"])]),
];
const MODULES: [&str; 3] = ["network/vpc", "network/dns", "apps/web"];

/// The account and region of `apps/web`.
fn target() -> Target {
    TARGETS[0].parse().expect("a target")
}

/// The same with `apps/web` in another account and region.
fn with_target(repository: Repository) -> Repository {
    let target = target();
    let mapping = json!({
        "alias": "other",
        "accountId": target.account(),
        "regionMappings": [{"region": target.region(), "default": true}],
    });
    let mappings = "\"targetAccountMappings\":[";
    repository
        .replacing("deployment.yaml", mappings, &format!("{mappings}{mapping},"))
        .replacing(
            "deployment.yaml",
            "\"name\":\"web\"",
            "\"name\":\"web\",\"targetAccount\":\"other\"",
        )
}

/// All stored values of the modules, with the version of each parameter.
async fn stored(stack: &TestStack) -> BTreeMap<String, u64> {
    let mut stored = BTreeMap::new();
    for module in MODULES {
        let versions = stack.versions(&id_of(PROJECT, module)).await.into_iter();
        stored.extend(versions.map(|(slot, version)| (format!("{module} {slot}"), version)));
    }
    stored
}

fn assert_said(migrated: &Migrated, code: i32, parts: &[&str]) {
    let Migrated { code: ended, said } = migrated;
    assert_eq!(*ended, Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
}

fn all(state: &str) -> BTreeMap<String, String> {
    MODULES.map(|module| (module.to_owned(), state.to_owned())).into()
}

/// The same with `network/vpc` and a data file of it from another repository. As in public projects, git ignores
/// seed-farmer's clones.
fn with_remote_module(server: &GitServer, repository: Repository) -> Repository {
    let hosted = server.repository("modules");
    let repository = repository
        .file("shared/names.txt", "names")
        .file(".gitignore", "seedfarmer.gitmodules/\n");
    repository.write(hosted.folder());
    hosted.commit();
    let at = |path: &str| {
        format!(
            "git::{}//{path}?ref=main&depth=1",
            server.url("public/modules.git")
        )
    };
    let (module, data) = (at("modules/network-vpc"), at("shared/names.txt"));
    repository.replacing(
        "deployment.yaml",
        "\"path\":\"modules/network-vpc\"",
        &format!("\"path\":\"{module}\",\"dataFiles\":[{{\"filePath\":\"{data}\"}}]"),
    )
}

#[test]
fn what_seed_farmer_has_deployed_is_taken_over() {
    run(async {
        let stack = STACK.get().await;
        // seed-farmer's builds are simulated: each would install it from a package index.
        let simulated = SimulatedBuild {
            lasts: Duration::ZERO,
            fails: false,
        };
        stack.codebuild().simulate_projects(PROJECT, simulated);
        let server = GitServer::start();
        let repository = with_remote_module(&server, Repository::deploying(GROUPS).of_seed_farmer(PROJECT));
        let repository = with_target(repository);
        let task = Ui::silent().task("seed-farmer");
        let seed_farmer = SeedFarmer::set_up(stack, PROJECT, "dev", &repository, &task);
        let seed_farmer = seed_farmer.await.unwrap().placing("apps/web", &target());
        seed_farmer.bootstrap(stack).await.unwrap();
        seed_farmer.bootstrap_target(stack, &target()).await.unwrap();
        seed_farmer.deploy(stack, &MODULES).await.unwrap();

        // Without the names that seed-farmer's roles have nothing is read there.
        let refused = migrate(stack, seed_farmer.folder(), &["--qualifier", "other"]).await;
        assert_said(
            &refused,
            1,
            &[
                "cannot read the state of 222222222222/eu-west-1",
                "--account-profile 222222222222=PROFILE",
            ],
        );

        // A module that was changed since then is found before anything is written.
        let changed = repository.clone().publishing("network", "dns", "other");
        changed.write(seed_farmer.folder());
        let shown = migrate(stack, seed_farmer.folder(), &[]).await;
        let changed = "its files changed\n";
        assert_said(&shown, 0, &[changed, "2 unchanged, 1 changed", "dry run"]);

        // What is left in a mapped account that no module goes to any more is reported.
        let moved = repository
            .clone()
            .replacing("deployment.yaml", ",\"targetAccount\":\"other\"", "");
        moved.write(seed_farmer.folder());
        let shown = migrate(stack, seed_farmer.folder(), &[]).await;
        let left = "not taken over: apps/web in 222222222222/eu-west-1: seed-farmer has deployed it";
        assert_said(&shown, 1, &[left, "1 not deployed"]);

        // Without the names of seed-farmer's roles it can't be read, which hinders nothing else.
        let shown = migrate(stack, seed_farmer.folder(), &["--qualifier", "other"]).await;
        let unknown = "222222222222/eu-west-1: no module goes there, and whether seed-farmer left some there is unknown";
        assert_said(&shown, 0, &[unknown, "2 unchanged"]);

        // So is a module whose publisher was deployed since then with other values, which seed-farmer itself doesn't
        // notice.
        repository.write(seed_farmer.folder());
        for (value, expected) in [
            (
                "two",
                "network/vpc has been deployed since, and published other values",
            ),
            ("one", "3 unchanged"),
        ] {
            seed_farmer.publish(stack, "network/vpc", value).await.unwrap();
            let shown = migrate(stack, seed_farmer.folder(), &[]).await;
            assert_said(&shown, 0, &[expected]);
        }

        // Nothing was written; the planned writes are listed.
        let shown = migrate(stack, seed_farmer.folder(), &[]).await;
        let (bundles, work) = (&stack.about().bundle_bucket, &stack.about().work_bucket);
        assert_said(
            &shown,
            0,
            &[
                "3 unchanged: 18 to write",
                &format!("s3://{bundles}/dev/apps/web/bundle.zip"),
                &format!("s3://{work}/deployed/{PROJECT}/dev/apps/web.json"),
                &format!("/sf/{PROJECT}/dev/apps-web/outputs"),
                &format!("/sf/{PROJECT}/dev/network-vpc/metadata  Value, SeedFarmerDeployed"),
                &format!("/sf/{PROJECT}/dev/apps-web/md5"),
                &format!("/sf/{PROJECT}/dev/apps-web/status  SUCCEEDED"),
            ],
        );
        assert_eq!(stored(stack).await, BTreeMap::new());
        let records = format!("deployed/{PROJECT}/");
        assert_eq!(stack.keys(&records).await, [""; 0]);

        // A module that is being deployed is skipped; modules that don't depend on it are not.
        let lock = format!("locks/{PROJECT}/dev/network/dns.json");
        let holder = json!({"execution": "arn:of:another", "started_at": "2026-01-01T00:00:00Z"});
        let held = json!({"holder": holder, "fence": 1, "run": "ab".repeat(16)});
        stack.put(&lock, held.to_string().into_bytes()).await;
        let written = migrate(stack, seed_farmer.folder(), &["--apply"]).await;
        assert_said(
            &written,
            1,
            &[
                "network/dns: it is being deployed by arn:of:another",
                "12 written",
            ],
        );
        stack.delete(&lock).await;
        let written = migrate(stack, seed_farmer.folder(), &["--apply"]).await;
        assert_said(&written, 0, &["1 unchanged, 2 already there: 6 written"]);
        let once = stored(stack).await;
        assert_eq!((once.len(), once.values().max()), (12, Some(&1)));
        let again = migrate(stack, seed_farmer.folder(), &["--apply"]).await;
        assert_said(&again, 0, &["3 already there: nothing to write"]);
        let status = stack.parameter(&id_of(PROJECT, "apps/web"), "status").await;
        assert_eq!(status["target"], json!(target()));
        assert_eq!(stored(stack).await, once);

        // Nothing is built.
        let finished = stack.deploy_repository(PROJECT, &repository, json!({})).await;
        assert_state(&finished, "UNCHANGED");
        assert_eq!(finished.output["modules"], json!({"UNCHANGED": 3}));
        stack.deployment_released(PROJECT).await;

        // Of a changed module, only that one.
        let next = repository.publishing("apps", "web", "two");
        let finished = stack.deploy_repository(PROJECT, &next, json!({})).await;
        assert_state(&finished, "SUCCEEDED");
        let expected: BTreeMap<_, _> = all("UNCHANGED")
            .into_iter()
            .chain([("apps/web".to_owned(), "SUCCEEDED".to_owned())])
            .collect();
        assert_eq!(results(stack, &finished).await, expected);
        stack.deployment_released(PROJECT).await;
        let own = migrate(stack, seed_farmer.folder(), &["--apply"]).await;
        assert_said(
            &own,
            0,
            &["Seedflow's own deployment ended as SUCCEEDED", "nothing to write"],
        );

        // A module that was taken over is destroyed by its record.
        let input = json!({"project": PROJECT, "deployment": "dev", "action": "destroy"});
        let destroyed = stack.finished(&stack.start_deployment(&input).await).await;
        assert_state(&destroyed, "DESTROYED");
        assert_eq!(results(stack, &destroyed).await, all("DESTROYED"));
        assert_eq!(stored(stack).await, BTreeMap::new());
        assert_eq!(stack.deployment_status(PROJECT, "dev").await, Value::Null);
    });
}
