//! What each role of the template may do, tried with the role's own credentials.
//!
//! Every role tries every call of the `table`. A call that the table grants must be answered, and every other call must
//! be refused with AccessDenied. The roles and the functions are read from the deployed stack, so a new one fails this
//! test until the table contains it. The builds of this stack have no managed policy, so BuildRole is tried with its
//! own statements; `module/build_role.rs` tries its denies on a stack where everything is allowed.
//!
//! The emulator can't enforce these rights; `contract/template.rs` checks them by reading the policies:
//! - iam:PassRole: the emulator never checks it.
//! - The calls of a state machine and of the targets of a rule: the emulator makes them as itself. Their roles are
//!   tried here nevertheless, by calls of their own.
//! - s3:GetObjectVersion: the emulator checks s3:GetObject, also for a version.
//! - xray: the functions send no traces here, and the actions know no resources.

mod builds;
pub mod call;
mod people;
mod rows;
mod sources;
pub mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use seedflow_e2e::{Caller, Shared, StackOptions, TestStack, run};
use seedflow_local::aws_api::AwsApi;
use tokio::sync::{RwLock, RwLockWriteGuard};

pub use call::is_refusal;
use table::{Fixtures, Row};

/// The role of an administrator, which `people` makes.
const PEOPLE_ADMINISTRATOR: &str = "arn:aws:iam::111122223333:role/people-administrator";

/// The allowed references of modules; the first names of both lists are also the beginning of other names.
static STACK: Shared = Shared::new(|| StackOptions {
    build_policy: None,
    module_policy: None,
    parameters: [
        (
            "ReferencedParameters",
            "seedflow-examples/named,seedflow-examples/x",
        ),
        (
            "ReferencedSecrets",
            "seedflow-examples/named,seedflow-examples/second",
        ),
        ("AllowCdkBootstrap", "true"),
        ("BuildSubnetIds", "subnet-1"),
        ("BuildSecurityGroupIds", "sg-1"),
        ("GitCredentialsSecret", "seedflow-git"),
        ("DriftSchedule", "rate(1 day)"),
        ("AdministratorPrincipalArns", PEOPLE_ADMINISTRATOR),
        // The bucket of a stack is one whose name is not chosen here.
        ("SourceObjectArns", "arn:aws:s3:::*/archives/*"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into(),
    ..StackOptions::default()
});

/// Read by each test of the stack, and written by the one that counts the stack's calls.
static IN_USE: RwLock<()> = RwLock::const_new(());

/// Longer than a queue gathers events for a function.
const QUIET: Duration = Duration::from_secs(8);

/// The stack for one test, while no other uses it and nothing that one has left calls anything.
pub async fn alone() -> (RwLockWriteGuard<'static, ()>, &'static TestStack) {
    let alone = IN_USE.write().await;
    let stack = STACK.get().await;
    let mut calls = stack.proxy().watch_calls();
    while stack.proxy().calls().total(Caller::Functions) > 0
        && tokio::time::timeout(QUIET, calls.changed()).await.is_ok()
    {}
    (alone, stack)
}

/// A client with the keys of each role, by the role's name in the template.
async fn roles(stack: &TestStack) -> BTreeMap<String, AwsApi> {
    let mut clients = BTreeMap::new();
    for (logical, name) in stack.resources("AWS::IAM::Role").await {
        // The account itself replaces the services that the roles trust.
        let arn = format!("arn:aws:iam::{}:role/{name}", stack.about().account);
        let keys = stack.client().assume_role(&arn, "privileges").await;
        let keys = keys.unwrap_or_else(|error| panic!("{logical}: {error}"));
        clients.insert(logical, stack.client().with_credentials(keys));
    }
    clients
}

/// Tries a call as a role; returns the error, if any.
pub async fn try_call(row: &Row, role: &str, api: &AwsApi) -> Option<String> {
    let granted = row.granted.contains(&role);
    let outcome = row.call.attempt(api).await;
    let (allowed, what) = match &outcome {
        Ok(()) => (true, "was allowed".to_owned()),
        Err(error) if call::is_refusal(error) => (false, format!("was refused: {error}")),
        // Granted, and then the service itself answered with an error.
        Err(error) if granted && row.answer == Some(error.code.as_str()) => (true, String::new()),
        Err(error) => {
            return Some(format!(
                "{role}, {}: neither allowed nor refused: {error}",
                row.name
            ));
        }
    };
    (allowed != granted).then(|| format!("{role}, {}: {what}", row.name))
}

#[test]
fn every_role_may_do_what_the_table_grants_and_nothing_else() {
    run(async {
        let _in_use = IN_USE.read().await;
        let stack = STACK.get().await;
        let roles = roles(stack).await;
        let functions = stack.resources("AWS::Lambda::Function").await;
        let fixtures = Fixtures::lay(stack).await;
        let rows = rows::rows(&fixtures, &functions);

        let known: BTreeSet<&str> = rows.iter().flat_map(|row| row.granted.iter().copied()).collect();
        let deployed: BTreeSet<&str> = roles.keys().map(String::as_str).collect();
        assert_eq!(
            known, deployed,
            "every role has a right in the table, and no other has"
        );
        for function in functions.keys() {
            let role = function.replace("Function", "Role");
            assert!(roles.contains_key(&role), "{function} has no role of its own");
        }

        let mut wrong = Vec::new();
        for row in &rows {
            for (role, api) in &roles {
                wrong.extend(try_call(row, role, api).await);
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}
