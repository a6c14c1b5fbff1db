//! A plan waits for a person that the policy names, and exactly that plan runs.

use seedflow_core::ids::ExecutionArn;
use seedflow_e2e::command_line::{Ran, command, seedflow};
use seedflow_e2e::{Group, Module, Repository, TestStack, destruction, eventually, run};
use serde_json::{Value, json};

use super::policies::set;
use super::{STACK, assert_state, id_of, pages, report};

const TWO: &[Group<'_>] = &[
    ("network", &[("vpc", &[])]),
    ("data", &[("store", &["network/vpc"])]),
];

/// A user of IAM with the rights of an approver (docs/roles).
pub(super) struct User {
    arn: String,
    access_key_id: String,
    secret_access_key: String,
}

impl User {
    pub(super) async fn new(stack: &TestStack, name: &str) -> Self {
        let name = format!("approvals-{name}");
        let iam = async |action: &str, more: &[(&str, &str)]| {
            let mut fields = vec![
                ("Action", action),
                ("Version", "2010-05-08"),
                ("UserName", name.as_str()),
            ];
            fields.extend(more);
            stack.client().form("iam", &fields).await.expect(action)
        };
        iam("CreateUser", &[]).await;
        let rights = seedflow(stack, &["roles", "approver"]).await;
        assert_eq!(rights.code, Some(0), "{rights:?}");
        let policy = [
            ("PolicyName", "approver"),
            ("PolicyDocument", &rights.json().to_string()),
        ];
        iam("PutUserPolicy", &policy).await;
        let key = iam("CreateAccessKey", &[]).await;
        let field = |tag: &str| {
            let (_, rest) = key.split_once(&format!("<{tag}>")).expect(tag);
            rest.split('<').next().expect(tag).to_owned()
        };
        Self {
            arn: format!("arn:aws:iam::{}:user/{name}", stack.about().account),
            access_key_id: field("AccessKeyId"),
            secret_access_key: field("SecretAccessKey"),
        }
    }

    /// Runs the command line as this user.
    async fn seedflow(&self, stack: &TestStack, arguments: &[&str]) -> Ran {
        let mut command = command(stack, arguments).await;
        command
            .env("AWS_ACCESS_KEY_ID", &self.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret_access_key);
        let ran = command.output().await.expect("starting seedflow");
        Ran {
            code: ran.status.code(),
            out: String::from_utf8_lossy(&ran.stdout).into_owned(),
            err: String::from_utf8_lossy(&ran.stderr).into_owned(),
        }
    }

    pub(super) async fn decides(&self, stack: &TestStack, verb: &str, waiting: &Value, reason: &str) -> Ran {
        let execution = waiting["execution"].as_str().expect("an execution");
        let plan = &waiting["plan"].as_str().expect("a plan")[..12];
        let name = ExecutionArn::new(execution).name().to_owned();
        let arguments = [verb, name.as_str(), "--plan", plan, "--reason", reason, "--json"];
        self.seedflow(stack, &arguments).await
    }
}

fn approve_function(stack: &TestStack) -> &str {
    stack.output("ApproveFunctionName").expect("a function")
}

/// Pushes a repository in the name of an author, and waits until its plan waits. Returns the execution and the approval.
pub(super) async fn push(
    stack: &TestStack,
    project: &str,
    repository: &Repository,
    author: &str,
) -> (String, Value) {
    let key = format!("uploads/{project}/{}/repository.zip", uuid::Uuid::new_v4());
    let metadata = [("commit", "c0ffee"), ("author", author)];
    let bucket = &stack.about().work_bucket;
    let put = stack
        .client()
        .put_object_with(bucket, &key, repository.zip(), &metadata);
    put.await.expect("a repository");
    let input = json!({"project": project, "source": {"key": key}});
    let execution = stack.start_deployment(&input).await;
    let waiting = eventually("a plan that waits", || async {
        let status = stack.deployment_status(project, "dev").await;
        let approval = status["approval"].clone();
        (approval["execution"] == execution.as_str() && approval["state"] == "WAITING").then_some(approval)
    });
    let waiting = tokio::select! {
        waiting = waiting => waiting,
        ended = stack.finished(&execution) => panic!("expected a plan that waits, found {}: {}", ended.error, ended.cause),
    };
    (execution, waiting)
}

fn assert_refused(ran: &Ran, part: &str) {
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.err.contains(part), "{part}: {ran:?}");
}

async fn settled(stack: &TestStack, project: &str) -> Value {
    stack.deployment_released(project).await;
    stack.deployment_status(project, "dev").await["approval"].clone()
}

#[test]
fn a_plan_waits_for_an_approver_and_exactly_that_plan_runs() {
    run(async {
        let stack = STACK.get().await;
        let project = "approved";
        let (pat, anna, eve) = (
            User::new(stack, "pat").await,
            User::new(stack, "anna").await,
            User::new(stack, "eve").await,
        );
        let author = "Pat <approvals-pat>";
        let repository = Repository::deploying(TWO);
        let finished = stack.deploy_repository(project, &repository, json!({})).await;
        assert_state(&finished, "SUCCEEDED");
        stack.deployment_released(project).await;
        let policy =
            json!({"approval": "changes", "approvers": [pat.arn, anna.arn], "approval_expires_after": "30m"});
        set(stack, project, &policy).await;
        let store = id_of(project, "data/store");
        let before = stack.versions(&store).await["md5"];

        let two = repository.clone().publishing("data", "store", "two");
        let (execution, waiting) = push(stack, project, &two, author).await;
        let reasons = &waiting["reasons"];
        assert_eq!(reasons, &json!(["approval: changes: data/store to change"]));
        let status = stack.deployment_status(project, "dev").await;
        assert_eq!(status["state"], "SUCCEEDED", "nothing has run: {status}");
        let name = ExecutionArn::new(execution.as_str()).name().to_owned();
        let page = pages::page_at(stack, &format!("reports/{project}/dev/{name}.html")).await;
        for part in [
            "Waiting for approval",
            "To deploy",
            "seedflow approve",
            "data/store",
            &anna.arn,
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        let shown = anna.seedflow(stack, &["status", "--project", project]).await;
        assert!(shown.row("dev ").contains("seedflow approve"), "{shown:?}");

        // A person who is not named, the one who pushed, and one who looked at another plan.
        let refused = eve.decides(stack, "approve", &waiting, "why not").await;
        assert_refused(&refused, "none of the policy's approvers");
        let refused = pat.decides(stack, "approve", &waiting, "mine").await;
        assert_refused(&refused, "named as the author of the commit");
        let mut other = waiting.clone();
        other["plan"] = json!("0".repeat(64));
        assert_refused(
            &anna.decides(stack, "approve", &other, "looks right").await,
            "which is waiting",
        );
        // The call itself says who it is of in no way that counts: eve's signature of anna's decision.
        let forged = json!({"deployment": {"project": project, "deployment": "dev"}, "execution": execution,
            "decision": "approve", "plan": waiting["plan"], "reason": "r", "by": anna.arn,
            "identity": {"authorization": "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host;x-seedflow-says, Signature=0", "x-seedflow-says": "0"}});
        let error = stack
            .client()
            .invoke(approve_function(stack), &forged)
            .await
            .expect_err("a refusal");
        assert_eq!(error.code, "NotApprover", "{error}");
        // A request for one module is refused, too.
        let single = stack.deploy(&store, &Module::running("build", &["true"])).await;
        assert_eq!(single.error, "ApprovalRequired", "{}", single.cause);
        stack.released(&store).await;
        assert_eq!(
            stack.execute(&destruction(&store)).await.error,
            "ApprovalRequired"
        );
        stack.released(&store).await;
        assert_eq!(stack.versions(&store).await["md5"], before);

        let approved = anna.decides(stack, "approve", &waiting, "looks right").await;
        assert_eq!(approved.code, Some(0), "{approved:?}");
        assert_eq!(approved.json()["by"], json!(anna.arn));
        // Once more, because the first answer may have been lost; and somebody else.
        let again = anna.decides(stack, "approve", &waiting, "looks right").await;
        assert_eq!(again.code, Some(0), "{again:?}");
        assert_refused(
            &pat.decides(stack, "reject", &waiting, "too late").await,
            "was decided on before: APPROVED",
        );
        let finished = stack.finished(&execution).await;
        assert_state(&finished, "SUCCEEDED");
        let written = report(stack, &finished).await;
        let approval = &written["status"]["approval"];
        assert_eq!(
            (&approval["state"], &approval["by"], &approval["reason"]),
            (&json!("APPROVED"), &json!(anna.arn), &json!("looks right"))
        );
        assert_ne!(stack.versions(&store).await["md5"], before);
        stack.deployment_released(project).await;

        // Rejected, by the pusher: that is always allowed.
        let three = repository.clone().publishing("data", "store", "three");
        let (execution, waiting) = push(stack, project, &three, author).await;
        let rejected = pat.decides(stack, "reject", &waiting, "not yet").await;
        assert_eq!(rejected.code, Some(0), "{rejected:?}");
        let finished = stack.finished(&execution).await;
        assert_eq!(finished.error, "ApprovalRejected", "{}", finished.cause);
        assert!(finished.cause.contains("not yet"), "{}", finished.cause);
        let approval = settled(stack, project).await;
        assert_eq!(
            (&approval["state"], &approval["by"]),
            (&json!("REJECTED"), &json!(pat.arn))
        );
        let written = report(stack, &finished).await;
        assert_eq!(
            (&written["status"]["state"], &written["plan"][1]["action"]),
            (&json!("REFUSED"), &json!("deploy"))
        );

        // Replaced by a newer push, which waits then; changed in between; and expired.
        let (older, _) = push(stack, project, &three, author).await;
        let (newer, waiting) = push(stack, project, &three, author).await;
        let finished = stack.finished(&older).await;
        assert_state(&finished, "SUPERSEDED");
        assert_eq!(finished.output["superseded_by"], newer.as_str());
        let mut policy = policy;
        policy["approval_expires_after"] = json!("2s");
        set(stack, project, &policy).await;
        let approved = anna.decides(stack, "approve", &waiting, "looks right").await;
        assert_eq!(approved.code, Some(0), "{approved:?}");
        let finished = stack.finished(&newer).await;
        assert_eq!(finished.error, "ApprovalVoid", "{}", finished.cause);
        assert!(
            finished.cause.contains("the policy: approved under version"),
            "{}",
            finished.cause
        );
        assert_eq!(settled(stack, project).await["state"], "VOID");
        let expired = stack.deploy_repository(project, &three, json!({})).await;
        assert_eq!(expired.error, "ApprovalExpired", "{}", expired.cause);
        assert_eq!(settled(stack, project).await["state"], "EXPIRED");

        // Stopped while it waited: a decision would reach nobody, and none is stored.
        set(stack, project, &json!({"approval": "changes"})).await;
        let (stopped, waiting) = push(stack, project, &three, author).await;
        let stop = json!({"executionArn": stopped, "error": "Canceled", "cause": "wrong branch"});
        stack.call("states", "AWSStepFunctions.StopExecution", stop).await;
        stack.finished(&stopped).await;
        let late = anna.decides(stack, "approve", &waiting, "too late").await;
        assert_refused(&late, "which has ended; nothing was decided");
        stack.deployment_released(project).await;

        // Without a policy, a manifest that has lost its modules waits; everybody that IAM lets call the function may decide.
        set(stack, project, &json!({})).await;
        let emptied = Repository::deploying(&[("network", &[("dns", &[])])]);
        let (execution, waiting) = push(stack, project, &emptied, author).await;
        assert_eq!(
            waiting["reasons"],
            json!([
                "more than half of the deployment's 2 modules would be destroyed: 2 modules: data/store, network/vpc"
            ])
        );
        let canceled = eve.decides(stack, "reject", &waiting, "an accident").await;
        assert_eq!(canceled.code, Some(0), "{canceled:?}");
        assert_eq!(stack.finished(&execution).await.error, "ApprovalRejected");
        stack.deployment_released(project).await;
        assert!(!stack.parameters(&store).await.is_empty());
    });
}
