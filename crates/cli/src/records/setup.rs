//! How the account is set up: what can be read of it, and what that means.
//!
//! A fact that can't be read is a warning and not a failure: a person who deploys may lack the right to read it. What is
//! found is reported step by step, because each read may take seconds.

use std::collections::BTreeMap;

use super::finding::Finding;
use crate::account::Account;
use aws_config::SdkConfig;
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::services::sts::Caller;
use seedflow_aws::services::{quotas, sqs, sts};
use seedflow_core::storage_layout::{prefix, records_below};

/// The outputs of the stack that this version needs.
const OUTPUTS: [&str; 6] = [
    "StateMachineArn",
    "DeployStateMachineArn",
    "WorkBucketName",
    "BundleBucketName",
    "BuildLogGroupName",
    "FailedEventsQueueUrl",
];
/// The quota of CodeBuild for the default size of builds.
const BUILDS: &str = "Concurrently running builds for Linux/Small environment";
const FUNCTIONS: &str = "Concurrent executions";
/// Below this many, a group of modules waits for its builds or its functions.
const FEW_BUILDS: f64 = 5.0;
const FEW_FUNCTIONS: f64 = 100.0;

/// A fact, or why it can't be read.
type Read<T> = Result<T, String>;

/// What can be read of an account.
#[derive(Debug, Clone)]
struct Setup {
    /// The region.
    region: Option<String>,
    /// Whose credentials these are.
    caller: Read<Caller>,
    /// The stack's name.
    stack: String,
    /// The status of the stack.
    status: Read<Option<String>>,
    /// The outputs of the stack.
    outputs: Read<BTreeMap<String, String>>,
    /// The parameters of the stack.
    parameters: Read<BTreeMap<String, String>>,
    /// The version of the CDK's bootstrap with the stack's qualifier; `None` if there is none.
    bootstrap: Read<Option<String>>,
    /// The number of events that could not be handled.
    failed_events: Read<Option<u64>>,
    /// The number of builds that may run at once.
    builds: Read<Quota>,
    /// The number of functions that may run at once.
    functions: Read<Quota>,
    /// Whether there is a page of any project.
    pages: Read<bool>,
    /// Whether anything was deployed.
    deployed: Read<bool>,
}

/// A quota of the account.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Quota {
    /// Its value.
    Of(f64),
    /// Service Quotas has none of this name.
    Unknown,
    /// Service Quotas doesn't exist here, as on a local stack.
    NotChecked,
}

/// A step: what is read together, and what follows from it.
type Step = (Fact, &'static [fn(&Setup) -> Finding]);

/// What is read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    Caller,
    Stack,
    Bootstrap,
    Builds,
    Functions,
    FailedEvents,
    Pages,
}

/// The steps, in the order in which an account is set up.
const STEPS: [Step; 7] = [
    (Fact::Caller, &[region, credentials]),
    (Fact::Stack, &[stack, outputs, policies]),
    (Fact::Bootstrap, &[cdk]),
    (Fact::Builds, &[builds]),
    (Fact::Functions, &[functions]),
    (Fact::FailedEvents, &[failed_events]),
    (Fact::Pages, &[pages]),
];

/// Looks at region and credentials, which need no stack.
pub async fn of_caller(config: &SdkConfig, mut report: impl FnMut(Finding)) {
    let mut setup = Setup::unread(String::new());
    setup.read_caller(config).await;
    for (_, checks) in STEPS.iter().filter(|(fact, _)| *fact == Fact::Caller) {
        checks.iter().for_each(|check| report(check(&setup)));
    }
}

/// Looks at the stack, and at the account around it.
pub async fn of_stack(account: &Account, mut report: impl FnMut(Finding)) {
    let mut setup = Setup::unread(account.stack_name().to_owned());
    for (fact, checks) in STEPS.iter().filter(|(fact, _)| *fact != Fact::Caller) {
        setup.read(*fact, account).await;
        checks.iter().for_each(|check| report(check(&setup)));
    }
}

impl Setup {
    fn unread(stack: String) -> Self {
        const UNREAD: &str = "it was not read";
        Self {
            region: None,
            caller: Err(UNREAD.to_owned()),
            stack,
            status: Err(UNREAD.to_owned()),
            outputs: Err(UNREAD.to_owned()),
            parameters: Err(UNREAD.to_owned()),
            bootstrap: Err(UNREAD.to_owned()),
            failed_events: Err(UNREAD.to_owned()),
            builds: Err(UNREAD.to_owned()),
            functions: Err(UNREAD.to_owned()),
            pages: Err(UNREAD.to_owned()),
            deployed: Err(UNREAD.to_owned()),
        }
    }

    async fn read(&mut self, fact: Fact, account: &Account) {
        let config = &account.config;
        match fact {
            Fact::Caller => self.read_caller(config).await,
            Fact::Stack => self.read_stack(config).await,
            Fact::Bootstrap => self.bootstrap = bootstrap(account, self.qualifier()).await,
            Fact::Builds => self.builds = quota(account, "codebuild", BUILDS).await,
            Fact::Functions => self.functions = quota(account, "lambda", FUNCTIONS).await,
            Fact::FailedEvents => self.failed_events = self.count_failed_events(config).await,
            Fact::Pages => {
                let some = async |folder: &str| {
                    said(account.bucket().keys(folder).await).map(|keys| !keys.is_empty())
                };
                self.pages = some(prefix::INDEXES).await;
                self.deployed = some(&records_below(&[])).await;
            }
        }
    }

    async fn read_caller(&mut self, config: &SdkConfig) {
        self.region = config.region().map(ToString::to_string);
        self.caller = said(sts::caller(config).await);
    }

    async fn read_stack(&mut self, config: &SdkConfig) {
        let stacks = CloudFormation::new(config);
        self.status = said(stacks.status(&self.stack).await);
        self.outputs = said(stacks.outputs(&self.stack).await).map(|outputs| {
            let texts = outputs
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())));
            texts.collect::<BTreeMap<_, _>>()
        });
        self.parameters = said(stacks.parameters(&self.stack).await).map(Option::unwrap_or_default);
    }

    fn qualifier(&self) -> &str {
        let parameters = self.parameters.as_ref().ok();
        let named = parameters.and_then(|found| found.get("CdkQualifier"));
        named.map_or("hnb659fds", String::as_str)
    }

    async fn count_failed_events(&self, config: &SdkConfig) -> Read<Option<u64>> {
        let outputs = self.outputs.as_ref().ok();
        match outputs.and_then(|found| found.get("FailedEventsQueueUrl")) {
            Some(queue) => said(sqs::messages(config, queue).await),
            None => Err("the stack names no queue".to_owned()),
        }
    }
}

fn said<T>(result: seedflow_core::error::Result<T>) -> Read<T> {
    result.map_err(|error| error.message)
}

async fn bootstrap(account: &Account, qualifier: &str) -> Read<Option<String>> {
    let name = format!("/cdk-bootstrap/{qualifier}/version");
    let found = account.parameters().get(std::slice::from_ref(&name)).await;
    Ok(said(found)?.remove(&name).map(|(version, _)| version))
}

async fn quota(account: &Account, service: &str, name: &str) -> Read<Quota> {
    let Some(found) = said(quotas::quotas(&account.config, service).await)? else {
        return Ok(Quota::NotChecked);
    };
    let found = found.into_iter().find(|(quota, _)| quota == name);
    Ok(found.map_or(Quota::Unknown, |(_, value)| Quota::Of(value)))
}

/// Whose credentials these are.
fn credentials(setup: &Setup) -> Finding {
    const CHECK: &str = "credentials";
    const ADVICE: &str = "sign in: `aws sso login` for a profile of IAM Identity Center, or put keys into the environment or a profile (`aws configure`), as for the AWS CLI";
    match &setup.caller {
        Ok(caller) => Finding::ok(CHECK, format!("account {}, {}", caller.account, caller.arn)),
        // The SDK lists every place where it has looked. The last one is the metadata of an EC2 instance (IMDS), which other
        // machines refuse.
        Err(error) if error.contains("no credentials") || error.contains("IMDS") => {
            Finding::bad(CHECK, "there are none", ADVICE)
        }
        Err(error) if error.contains("no answer from AWS") => Finding::bad(
            CHECK,
            format!("they can't be checked: {error}"),
            "check the network, the region, and AWS_ENDPOINT_URL if that is set",
        ),
        Err(error) if error.contains("Expired") => {
            Finding::bad(CHECK, format!("they have expired: {error}"), ADVICE)
        }
        Err(error) => Finding::bad(CHECK, format!("found none that AWS accepts: {error}"), ADVICE),
    }
}

fn builds(setup: &Setup) -> Finding {
    limit(
        "builds at once",
        &setup.builds,
        FEW_BUILDS,
        BUILDS,
        "AWS CodeBuild",
    )
}

fn functions(setup: &Setup) -> Finding {
    limit(
        "functions at once",
        &setup.functions,
        FEW_FUNCTIONS,
        FUNCTIONS,
        "AWS Lambda",
    )
}

fn region(setup: &Setup) -> Finding {
    match &setup.region {
        Some(region) => Finding::ok("region", region),
        None => Finding::bad(
            "region",
            "there is none",
            "name it by --region or AWS_REGION, or set it in the profile",
        ),
    }
}

fn stack(setup: &Setup) -> Finding {
    let name = &setup.stack;
    match &setup.status {
        Err(error) => unreadable("stack", error),
        Ok(None) => Finding::bad(
            "stack",
            format!("the stack \"{name}\" doesn't exist"),
            "deploy it (README.md), or name another by --stack",
        ),
        Ok(Some(status)) if status.ends_with("_IN_PROGRESS") => Finding::warn(
            "stack",
            format!("{name} is {status}"),
            "wait until its update has ended",
        ),
        Ok(Some(status)) if status.ends_with("_FAILED") || status.starts_with("ROLLBACK") => Finding::bad(
            "stack",
            format!("{name} is {status}"),
            "look at the stack's events in the console of CloudFormation, correct what failed and deploy it again",
        ),
        Ok(Some(status)) => Finding::ok("stack", format!("{name} is {status}")),
    }
}

fn outputs(setup: &Setup) -> Finding {
    match &setup.outputs {
        Err(error) => unreadable("template", error),
        Ok(outputs) => {
            let missing: Vec<&str> = OUTPUTS
                .into_iter()
                .filter(|name| !outputs.contains_key(*name))
                .collect();
            match missing.is_empty() {
                true => Finding::ok("template", "it has every output that this version needs"),
                false => Finding::bad(
                    "template",
                    format!("the stack has no output {}", missing.join(", ")),
                    "its template is older than this command: deploy the newer template (docs/operations.md, \"Upgrade\")",
                ),
            }
        }
    }
}

fn policies(setup: &Setup) -> Finding {
    const CHECK: &str = "rights of builds";
    match &setup.parameters {
        Err(error) => unreadable(CHECK, error),
        Ok(parameters) => match parameters
            .get("BuildManagedPolicyArns")
            .filter(|arns| !arns.is_empty())
        {
            Some(arns) => Finding::ok(CHECK, arns),
            None if is_true(parameters, "AllowCdkBootstrap") => {
                Finding::ok(CHECK, "those of the CDK's bootstrap")
            }
            None => Finding::warn(
                CHECK,
                "BuildManagedPolicyArns is empty",
                "builds of modules without a modulestack.yaml may deploy nothing: name policies in that parameter of the template (docs/template-parameters.md)",
            ),
        },
    }
}

fn is_true(parameters: &BTreeMap<String, String>, name: &str) -> bool {
    parameters.get(name).is_some_and(|value| value == "true")
}

fn cdk(setup: &Setup) -> Finding {
    const CHECK: &str = "bootstrap of the CDK";
    match &setup.bootstrap {
        Err(error) => unreadable(CHECK, error),
        Ok(Some(version)) => Finding::ok(CHECK, format!("version {version}")),
        // Only modules that use the CDK need it.
        Ok(None) => Finding::warn(
            CHECK,
            "there is none",
            "run `npx aws-cdk bootstrap` in this account and region, if modules use the CDK",
        ),
    }
}

fn limit(check: &'static str, found: &Read<Quota>, few: f64, quota: &str, service: &str) -> Finding {
    match found {
        Err(error) => unreadable(check, error),
        Ok(Quota::NotChecked) => Finding::note(check, "not checked: Service Quotas doesn't answer here"),
        Ok(Quota::Unknown) => Finding::warn(
            check,
            "the account's quota is not known",
            &format!("look for \"{quota}\" of {service} in the console of Service Quotas"),
        ),
        Ok(Quota::Of(value)) if *value < few => Finding::warn(
            check,
            format!("at most {value}"),
            &format!(
                "further builds wait; ask for more of \"{quota}\" of {service} in the console of Service Quotas"
            ),
        ),
        Ok(Quota::Of(value)) => Finding::ok(check, format!("at most {value}")),
    }
}

fn failed_events(setup: &Setup) -> Finding {
    const CHECK: &str = "events that could not be handled";
    match &setup.failed_events {
        Err(error) => unreadable(CHECK, error),
        Ok(None) => Finding::warn(
            CHECK,
            "SQS does not say how many there are",
            "look into the queue of failed events",
        ),
        Ok(Some(0)) => Finding::ok(CHECK, "none"),
        Ok(Some(count)) => Finding::bad(
            CHECK,
            count.to_string(),
            "docs/operations.md, \"Messages in the queue of failed events\", says how to read them and send them again",
        ),
    }
}

fn pages(setup: &Setup) -> Finding {
    const CHECK: &str = "pages";
    match (&setup.pages, &setup.deployed) {
        (Err(error), _) | (_, Err(error)) => unreadable(CHECK, error),
        (Ok(true), _) => Finding::ok(CHECK, "there are some, and the command open shows them"),
        (Ok(false), Ok(false)) => Finding::ok(CHECK, "none yet: nothing has been deployed"),
        (Ok(false), Ok(true)) => Finding::bad(
            CHECK,
            "modules are deployed, but they have no page",
            "the function publish-report makes them: its log says why it fails (docs/reports.md, \"When pages don't come\")",
        ),
    }
}

fn unreadable(check: &'static str, error: &str) -> Finding {
    Finding::warn(
        check,
        format!("it can't be read: {error}"),
        "look at it with an administrator's credentials",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::records::finding::Level;

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn good() -> Setup {
        Setup {
            region: Some("eu-west-1".into()),
            caller: Ok(Caller {
                account: "123456789012".into(),
                arn: "arn:aws:iam::123456789012:user/me".into(),
                id: "AIDAEXAMPLE".into(),
            }),
            stack: "seedflow".into(),
            status: Ok(Some("UPDATE_COMPLETE".into())),
            outputs: Ok(texts(&OUTPUTS.map(|name| (name, "x")))),
            parameters: Ok(texts(&[
                ("BuildManagedPolicyArns", "arn:p"),
                ("AllowCdkBootstrap", "false"),
            ])),
            bootstrap: Ok(Some("28".into())),
            failed_events: Ok(Some(0)),
            builds: Ok(Quota::Of(60.0)),
            functions: Ok(Quota::Of(1000.0)),
            pages: Ok(true),
            deployed: Ok(true),
        }
    }

    fn findings(setup: &Setup) -> Vec<Finding> {
        let checks = STEPS.iter().flat_map(|(_, checks)| *checks);
        checks.map(|check| check(setup)).collect()
    }

    fn levels(setup: &Setup) -> Vec<(&'static str, Level)> {
        let found = findings(setup).into_iter();
        found
            .map(|finding| (finding.check, finding.level))
            .filter(|(_, level)| *level != Level::Ok)
            .collect()
    }

    #[test]
    fn a_good_account_has_nothing_to_do() {
        assert_eq!(levels(&good()), []);
    }

    #[test]
    fn each_thing_that_is_wrong_is_found_with_what_to_do() {
        type Spoil = fn(&mut Setup);
        let cases: [(Spoil, &str, Level); 12] = [
            (|s| s.region = None, "region", Level::Bad),
            (
                |s| s.caller = Err("STS GetCallerIdentity: ExpiredToken (HTTP 403)".into()),
                "credentials",
                Level::Bad,
            ),
            (
                |s| s.caller = Err("no answer from AWS: no credentials found in chain. Attempted: …".into()),
                "credentials",
                Level::Bad,
            ),
            (
                |s| s.builds = Ok(Quota::NotChecked),
                "builds at once",
                Level::Note,
            ),
            (
                |s| s.status = Ok(Some("ROLLBACK_COMPLETE".into())),
                "stack",
                Level::Bad,
            ),
            (
                |s| s.outputs = Ok(texts(&[("StateMachineArn", "x")])),
                "template",
                Level::Bad,
            ),
            (
                |s| s.parameters = Ok(texts(&[("BuildManagedPolicyArns", "")])),
                "rights of builds",
                Level::Warn,
            ),
            (|s| s.bootstrap = Ok(None), "bootstrap of the CDK", Level::Warn),
            (|s| s.builds = Ok(Quota::Of(1.0)), "builds at once", Level::Warn),
            (
                |s| s.functions = Err("AccessDenied".into()),
                "functions at once",
                Level::Warn,
            ),
            (
                |s| s.failed_events = Ok(Some(2)),
                "events that could not be handled",
                Level::Bad,
            ),
            (|s| s.pages = Ok(false), "pages", Level::Bad),
        ];
        for (spoil, check, level) in cases {
            let mut setup = good();
            spoil(&mut setup);
            assert_eq!(levels(&setup), [(check, level)]);
            assert!(
                findings(&setup)
                    .iter()
                    .all(|finding| finding.level <= Level::Note || finding.advice.is_some())
            );
        }
    }
}
