//! The configuration of all clients: credentials and region, HTTP client, retries, timeouts; and the settings of functions.

use std::str::FromStr;
use std::time::Duration;

pub use aws_config::SdkConfig;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use jiff::SignedDuration;
use seedflow_core::error::{Error, Result};
use seedflow_core::module::codebuild::request::Defaults;
use seedflow_core::module::definition::DefinedBuild;
use seedflow_core::module::input::Limits;
use seedflow_core::module::maximum::{ComputeType, Maxima};
use seedflow_core::module::network::AllowedNetworks;

use super::patience;

/// Maximum time that a client waits for the start of an answer. A call that takes longer (a large copy, an upload) has to
/// be split, or needs a timeout of its own.
pub const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a function makes a call. The commands of people make it more often.
pub const OF_A_FUNCTION: u32 = 3;

/// The configuration that all clients of a function share, loaded once per cold start. Lambda puts credentials and region
/// into the environment (Lambda developer guide, "Defined runtime environment variables"), so the SDK's chain of other
/// sources isn't linked: it is half a megabyte of each binary (decision 40).
#[must_use]
pub fn load() -> SdkConfig {
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(optional_setting("AWS_REGION").map(Region::new))
        .credentials_provider(SharedCredentialsProvider::new(
            EnvironmentVariableCredentialsProvider::new(),
        ))
        .http_client(http_client())
        // Three tries in about a second cover a dropped connection. Anything longer is retried by the state machine, where
        // it costs no billed milliseconds and is visible in the history.
        .retry_config(retries(OF_A_FUNCTION))
        .timeout_config(timeouts());
    builder.set_endpoint_url(optional_setting("AWS_ENDPOINT_URL"));
    builder.build()
}

/// The configuration of a command that a person runs: credentials and region from any source of the SDK, or from a
/// profile. No state machine retries the command, so throttled calls are retried for some minutes; what doesn't answer is
/// given up after seconds.
pub async fn load_for_people(profile: Option<&str>, region: Option<String>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(patience::for_people(http_client()))
        .retry_config(retries(12))
        .timeout_config(timeouts());
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    loader.load().await
}

/// The configuration of a command that a person runs for a local stack.
#[must_use]
pub fn load_for_endpoint(endpoint: String, region: String, key_id: String, secret: String) -> SdkConfig {
    let credentials = Credentials::new(key_id, secret, None, None, "the stack's file");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client())
        .retry_config(retries(3))
        .timeout_config(timeouts())
        .build()
}

/// An HTTP client with ring instead of the SDK's default aws-lc: each binary is a megabyte smaller, and cross-compiling
/// needs no C toolchain but zig's (decision 15).
fn http_client() -> SharedHttpClient {
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

fn retries(attempts: u32) -> RetryConfig {
    RetryConfig::standard().with_max_attempts(attempts)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .read_timeout(READ_TIMEOUT)
        .build()
}

/// A required setting from the function's environment, where the template puts it.
pub fn setting(name: &str) -> Result<String> {
    optional_setting(name).ok_or_else(|| {
        Error::field(
            &format!("environment variable {name}"),
            "nothing",
            "a value; the template sets it",
        )
    })
}

/// A setting that the template may leave empty.
#[must_use]
pub fn optional_setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The limits for a function that only reads which module or deployment an input names, for which the maxima don't matter.
pub fn names() -> Result<Limits> {
    Ok(Limits::of_aws(
        setting("WORK_BUCKET")?,
        setting("CODEBUILD_PROJECT")?,
    ))
}

/// The limits of an input, from the template's settings.
pub fn limits() -> Result<Limits> {
    let compute_type = compute_type_setting("MAX_BUILD_COMPUTE_TYPE")?;
    let concurrency = number_setting("MAX_CONCURRENT_MODULES")?;
    Ok(Limits {
        maxima: Maxima {
            timeout_minutes: number_setting("MAX_BUILD_TIMEOUT_MINUTES")?,
            compute_type,
            concurrency: u32::try_from(concurrency).unwrap_or(u32::MAX),
            permissions_boundary: optional_setting("PERMISSIONS_BOUNDARY_ARN"),
            networks: Some(AllowedNetworks::new(
                &optional_setting("BUILD_SUBNET_IDS").unwrap_or_default(),
                &optional_setting("BUILD_SECURITY_GROUP_IDS").unwrap_or_default(),
            )),
            role_path: Some(setting("BUILD_ROLE_PATH")?),
            target_accounts: target_accounts(),
        },
        stack_name_prefix: setting("STACK_NAME_PREFIX")?,
        ..names()?
    })
}

/// The template's defaults for builds with a role.
pub fn build_defaults(service_role: String) -> Result<Defaults> {
    Ok(Defaults {
        project: setting("CODEBUILD_PROJECT")?,
        image: setting("BUILD_IMAGE")?,
        compute_type: compute_type_setting("BUILD_COMPUTE_TYPE")?,
        environment_type: setting("BUILD_ENVIRONMENT_TYPE")?,
        privileged: flag_setting("BUILD_PRIVILEGED")?,
        timeout_minutes: number_setting("BUILD_TIMEOUT_MINUTES")?,
        queued_timeout_minutes: number_setting("BUILD_QUEUED_TIMEOUT_MINUTES")?,
        log_group: setting("BUILD_LOG_GROUP")?,
        work_bucket: setting("WORK_BUCKET")?,
        permissions_boundary: optional_setting("PERMISSIONS_BOUNDARY_ARN"),
        service_role,
    })
}

/// The container of builds that ask for nothing else.
pub fn default_build() -> Result<DefinedBuild> {
    Ok(DefinedBuild {
        image: setting("BUILD_IMAGE")?,
        privileged: flag_setting("BUILD_PRIVILEGED")?,
    })
}

/// What `TARGET_ACCOUNTS` is where any account of an organization may be a target: IAM knows which these are.
const OF_THE_ORGANIZATION: &str = "*";

/// The accounts with targets; `None` where an organization decides that.
#[must_use]
pub fn target_accounts() -> Option<Vec<String>> {
    let list = optional_setting("TARGET_ACCOUNTS").unwrap_or_default();
    if list == OF_THE_ORGANIZATION {
        return None;
    }
    let accounts = list
        .split(',')
        .map(str::trim)
        .filter(|account| !account.is_empty());
    Some(accounts.map(str::to_owned).collect())
}

/// A compute type from the function's environment.
pub fn compute_type_setting(name: &str) -> Result<ComputeType> {
    let text = setting(name)?;
    ComputeType::parse(&text).ok_or_else(|| {
        Error::field(
            &format!("environment variable {name}"),
            format!("\"{text}\""),
            ComputeType::ALL.map(ComputeType::as_str).join(", "),
        )
    })
}

/// A switch from the function's environment.
pub fn flag_setting(name: &str) -> Result<bool> {
    parsed_setting(name, "true or false")
}

/// An integer from the function's environment.
pub fn number_setting(name: &str) -> Result<u64> {
    parsed_setting(name, "a whole number")
}

/// A number of seconds from the function's environment.
pub fn seconds_setting(name: &str) -> Result<SignedDuration> {
    let seconds: u32 = parsed_setting(name, "a number of seconds")?;
    Ok(SignedDuration::from_secs(seconds.into()))
}

fn parsed_setting<T: FromStr>(name: &str, allowed: &str) -> Result<T> {
    let text = setting(name)?;
    text.parse().map_err(|_| {
        Error::field(
            &format!("environment variable {name}"),
            format!("\"{text}\""),
            allowed,
        )
    })
}
