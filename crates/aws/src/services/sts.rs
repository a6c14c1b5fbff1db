//! STS: the principal of credentials, and clients for targets. These use roles in the target that trust Seedflow's
//! functions (decision 55).
//!
//! A function assumes a target's role only when it has something to do there. The credentials last an hour and are kept
//! for the function's next calls. Each role trusts certain functions only, so a function names its role once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::Client;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::AwsEnvironment;
use seedflow_core::module::target_settings::{Home, not_ready};
use seedflow_core::target::{Target, TargetRole, external_id};

use crate::runtime::config;
use crate::runtime::failure::failure;

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: String,
    /// The ARN of the user or the session.
    pub arn: String,
    /// The unique id of the user or the session: the value of `aws:userid` in policies.
    pub id: String,
}

/// Who calls AWS with these credentials. It needs no right (STS API reference, GetCallerIdentity).
pub async fn caller(config: &aws_config::SdkConfig) -> Result<Caller> {
    let answer = Client::new(config).get_caller_identity().send().await;
    let answer = answer.map_err(|e| failure("STS GetCallerIdentity", &e))?;
    Ok(Caller {
        account: answer.account.unwrap_or_default(),
        arn: answer.arn.unwrap_or_default(),
        id: answer.user_id.unwrap_or_default(),
    })
}

/// The name of the sessions, as CloudTrail of a target shows it.
const SESSION: &str = "seedflow";
/// Credentials are renewed when they last for less than this: longer than any function runs.
const MARGIN: Duration = Duration::from_secs(16 * 60);

/// The configurations for targets, by target, and until when their credentials last.
type Known = Arc<Mutex<HashMap<Target, (SdkConfig, SystemTime)>>>;

/// A client at home, and the same of any target.
#[derive(Debug, Clone)]
pub struct Placed<C> {
    home: C,
    targets: Targets,
    make: fn(&SdkConfig) -> C,
}

impl<C: Clone> Placed<C> {
    /// A client that `make` makes; `role` is the role in targets that trusts this function.
    pub fn new(config: &SdkConfig, role: TargetRole, make: fn(&SdkConfig) -> C) -> Result<Self> {
        Ok(Self {
            home: make(config),
            targets: Targets::new(config, role)?,
            make,
        })
    }

    /// The client of a target; the one at home without a target.
    ///
    /// # Errors
    /// `Refused` if the target doesn't let Seedflow in, with the command that helps.
    pub async fn at(&self, target: Option<&Target>, home: &AwsEnvironment) -> Result<C> {
        match target {
            None => Ok(self.home.clone()),
            Some(target) => Ok((self.make)(&self.targets.config(target, home).await?)),
        }
    }
}

/// One role in all targets.
#[derive(Debug, Clone)]
struct Targets {
    config: SdkConfig,
    /// The name of Seedflow's stack, from which names in targets derive.
    stack: String,
    role: TargetRole,
    known: Known,
}

impl Targets {
    fn new(config: &SdkConfig, role: TargetRole) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            stack: config::setting("STACK_NAME")?,
            role,
            known: Known::default(),
        })
    }

    async fn config(&self, target: &Target, home: &AwsEnvironment) -> Result<SdkConfig> {
        if let Some(config) = self.kept(target, SystemTime::now()) {
            return Ok(config);
        }
        let credentials = self.assume(target, home).await?;
        let until = credentials.expiry().unwrap_or(SystemTime::UNIX_EPOCH);
        let config = self
            .config
            .to_builder()
            .region(Region::new(target.region().to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(target.clone(), (config.clone(), until));
        Ok(config)
    }

    fn kept(&self, target: &Target, now: SystemTime) -> Option<SdkConfig> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (config, until) = known.get(target)?;
        (now + MARGIN < *until).then(|| config.clone())
    }

    async fn assume(&self, target: &Target, home: &AwsEnvironment) -> Result<Credentials> {
        let role = target.role_name(&self.stack, self.role);
        let arn = format!("arn:{}:iam::{}:role/{role}", home.partition, target.account());
        let id = external_id(&home.account, &home.region, &self.stack);
        let assumed = assume(&self.config, &arn, Some(id)).await;
        let home = Home {
            environment: home,
            stack: &self.stack,
        };
        assumed.map_err(|error| refused(target, home, error))
    }
}

async fn assume(config: &SdkConfig, role_arn: &str, external_id: Option<String>) -> Result<Credentials> {
    let request = Client::new(config).assume_role();
    let sent = request
        .role_arn(role_arn)
        .role_session_name(SESSION)
        .set_external_id(external_id)
        .send()
        .await;
    let call = format!("STS AssumeRole {role_arn}");
    let answer = sent.map_err(|e| failure(&call, &e))?;
    let found = answer.credentials.ok_or_else(|| {
        Error::new(
            ErrorName::ServiceUnavailable,
            format!("{call}: AWS answered without credentials"),
        )
    })?;
    let until = SystemTime::try_from(found.expiration).ok();
    Ok(Credentials::new(
        found.access_key_id,
        found.secret_access_key,
        Some(found.session_token),
        until,
        "an assumed role",
    ))
}

/// The configuration of a command that a person runs, with roles assumed one after the other, the last one in `region`. The
/// credentials last an hour and are not renewed.
pub async fn assuming(config: &SdkConfig, role_arns: &[String], region: &str) -> Result<SdkConfig> {
    let mut config = config.clone();
    for role_arn in role_arns {
        let credentials = assume(&config, role_arn, None).await?;
        config = config
            .to_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
    }
    Ok(config.to_builder().region(Region::new(region.to_owned())).build())
}

/// STS answers alike for a role that doesn't exist and for one that doesn't trust the caller.
fn refused(target: &Target, home: Home<'_>, error: Error) -> Error {
    match error.name {
        ErrorName::AccessDenied | ErrorName::Refused => not_ready(target, home, &error.message),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn credentials_are_kept_until_they_would_end_during_a_call() {
        let target: Target = "222222222222/eu-west-1".parse().unwrap();
        let config = SdkConfig::builder().build();
        let targets = Targets {
            config: config.clone(),
            stack: "seedflow".to_owned(),
            role: TargetRole::Builds,
            known: Known::default(),
        };
        let now = SystemTime::now();
        assert!(targets.kept(&target, now).is_none());
        let lasts = |seconds: u64| now + Duration::from_secs(seconds);
        let keep = |until| {
            targets
                .known
                .lock()
                .unwrap()
                .insert(target.clone(), (config.clone(), until));
        };
        keep(lasts(3600));
        assert!(targets.kept(&target, now).is_some());
        assert!(targets.kept(&target, lasts(2700)).is_none());
    }

    #[test]
    fn a_target_that_refuses_is_not_ready_and_a_failure_of_sts_is_not_about_the_target() {
        let target: Target = "222222222222/eu-west-1".parse().unwrap();
        let home = AwsEnvironment::from_arn("arn:aws:lambda:us-east-1:111111111111:function:f").unwrap();
        let home = Home {
            environment: &home,
            stack: "seedflow-team",
        };
        let of = |name| refused(&target, home, Error::new(name, "STS AssumeRole: why"));
        let error = of(ErrorName::AccessDenied);
        assert_eq!(error.name, ErrorName::Refused);
        let command = "seedflow bootstrap target --home 111111111111/us-east-1 --stack seedflow-team";
        assert!(error.message.contains(command), "{error}");
        assert_eq!(of(ErrorName::Throttled).message, "STS AssumeRole: why");
    }
}
