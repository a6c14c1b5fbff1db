//! Parameter Store: the only code that reads and writes parameters.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::Builder;
use aws_sdk_ssm::types::{ParameterTier, ParameterType};
use jiff::Timestamp;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{ModuleId, ParameterKind};
use seedflow_core::module::fingerprint::Version;
use seedflow_core::module::stored_parameters::{ModuleParameters, Text};
use seedflow_core::workflow::pacing;
use seedflow_core::workflow::pacing::ReadPace;

use crate::runtime::config::OF_A_FUNCTION;
use crate::runtime::failure::{SdkFailure, failure};

/// Errors that pass by themselves.
const PASSING: [ErrorName; 2] = [ErrorName::Throttled, ErrorName::ServiceUnavailable];
/// GetParameters takes ten names.
const NAMES_A_CALL: usize = 10;

/// Parameter Store in this account and region.
#[derive(Debug, Clone)]
pub struct ParameterStore {
    client: Client,
    /// Without retries of the SDK: these calls have a pace of their own ([`pacing`]). The SDK's retries share a budget that every
    /// refusal uses up, and at a full quota most calls are refused.
    unretried: Client,
    /// How long a refused call is made again.
    patience: Duration,
}

/// Reads that follow each other.
struct Pages {
    begun: Instant,
    pace: ReadPace,
}

impl Pages {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
            pace: ReadPace::default(),
        }
    }

    /// How long the next read has to wait.
    fn wait(&self) -> Duration {
        self.pace.wait(self.begun.elapsed())
    }

    /// How long a refused read has to wait: a pause, or until the reads before it leave room.
    fn refused(&mut self, pause: Duration) -> Duration {
        self.pace.refused();
        pause.max(self.wait())
    }

    fn answered(&mut self) {
        self.pace.answered(self.begun.elapsed());
    }
}

/// A parameter's text and version.
pub type Parameter = (String, Version);

/// A parameter found below a path.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its whole name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// When it was last written.
    pub modified: Option<Timestamp>,
}

impl ParameterStore {
    /// Creates the client.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        let unretried = Builder::from(config).retry_config(RetryConfig::disabled());
        let tries = config.retry_config().map_or(1, RetryConfig::max_attempts);
        Self {
            client: Client::new(config),
            unretried: Client::from_conf(unretried.build()),
            patience: if tries > OF_A_FUNCTION {
                pacing::OF_PEOPLE
            } else {
                pacing::OF_FUNCTIONS
            },
        }
    }

    /// Makes a call again as long as it is refused for the moment: the account has few of them a second, for all executions
    /// together. `refused` may make a pause longer.
    async fn paced<T>(
        &self,
        mean: Duration,
        call: impl AsyncFn() -> Result<T>,
        mut refused: impl FnMut(Duration) -> Duration,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            let error = match call().await {
                Err(error) if PASSING.contains(&error.name) => error,
                ended => return ended,
            };
            match pacing::pause(self.patience, begun.elapsed(), mean, fastrand::f64()) {
                Some(pause) => tokio::time::sleep(refused(pause)).await,
                None => return Err(error),
            }
        }
    }

    /// Makes a read after others. Once one is refused, each waits until those before it leave room.
    async fn read_page<T>(&self, pages: &mut Pages, call: impl AsyncFn() -> Result<T>) -> Result<T> {
        let wait = pages.wait();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let page = self
            .paced(pacing::READS, call, |pause| pages.refused(pause))
            .await?;
        pages.answered();
        Ok(page)
    }

    /// The existing parameters among these names, in calls of ten. Values of secure strings stay encrypted.
    pub async fn get(&self, names: &[String]) -> Result<BTreeMap<String, Parameter>> {
        let mut found = BTreeMap::new();
        let mut pages = Pages::begin();
        for names in names.chunks(NAMES_A_CALL) {
            let read = async || {
                let request = self.unretried.get_parameters();
                let answer = request.set_names(Some(names.to_vec())).send().await;
                answer.map_err(|e| failure(&format!("SSM GetParameters {}", names.join(", ")), &e))
            };
            let answer = self.read_page(&mut pages, read).await?;
            for parameter in answer.parameters.unwrap_or_default() {
                let version = Version {
                    number: parameter.version,
                    modified: parameter.last_modified_date.and_then(|time| {
                        let milliseconds = time.to_millis().ok()?;
                        Timestamp::from_millisecond(milliseconds).ok()
                    }),
                };
                if let (Some(name), Some(value)) = (parameter.name, parameter.value) {
                    found.insert(name, (value, version));
                }
            }
        }
        Ok(found)
    }

    /// The values of all parameters below a path, in calls of ten (GetParametersByPath, `MaxResults`).
    pub async fn below(&self, path: &str) -> Result<Vec<(String, String)>> {
        let found = self.below_dated(path).await?.into_iter();
        Ok(found.map(|found| (found.name, found.text)).collect())
    }

    /// The same, with the modification time of each.
    pub async fn below_dated(&self, path: &str) -> Result<Vec<Found>> {
        let (mut found, mut token) = (Vec::new(), None);
        let mut pages = Pages::begin();
        loop {
            let read = async || {
                let request = self.unretried.get_parameters_by_path().path(path);
                let request = request.recursive(true).max_results(10);
                let answer = request.set_next_token(token.clone()).send().await;
                answer.map_err(|e| failure(&format!("SSM GetParametersByPath {path}"), &e))
            };
            let page = self.read_page(&mut pages, read).await?;
            let parameters = page.parameters.unwrap_or_default().into_iter();
            found.extend(parameters.filter_map(|parameter| {
                let modified = parameter.last_modified_date;
                Some(Found {
                    name: parameter.name?,
                    text: parameter.value?,
                    modified: modified.and_then(|time| Timestamp::from_second(time.secs()).ok()),
                })
            }));
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The variables of a deployment: the parameters directly below a path, by the rest of their names.
    ///
    /// # Errors
    /// `InvalidInput` if there are none, or for a SecureString: plans and reports show the values.
    pub async fn variables(&self, path: &str) -> Result<BTreeMap<String, String>> {
        let mut pages = self
            .client
            .get_parameters_by_path()
            .path(path)
            .max_results(10)
            .into_paginator()
            .send();
        let mut variables = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| variables_failure(path, &e))?;
            for parameter in page.parameters.unwrap_or_default() {
                variables.extend(variable(path, parameter)?);
            }
        }
        if variables.is_empty() {
            let found = format!("nothing directly below {path}");
            let expected = "a path with a parameter for each variable, such as PATH/ACCOUNT_ID";
            return Err(Error::field("env_path", found, expected));
        }
        Ok(variables)
    }

    /// The value that a parameter had at a time, if its last hundred versions go back that far (GetParameterHistory).
    pub async fn text_at(&self, name: &str, time: Timestamp) -> Result<Option<String>> {
        let mut pages = self
            .client
            .get_parameter_history()
            .name(name)
            .into_paginator()
            .send();
        let mut found: Option<(i64, String)> = None;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failure(&format!("SSM GetParameterHistory {name}"), &e))?;
            for version in page.parameters.unwrap_or_default() {
                let written = version.last_modified_date.map(|written| written.secs());
                let newer = found.as_ref().is_none_or(|(number, _)| *number < version.version);
                if written.is_some_and(|written| written <= time.as_second()) && newer {
                    found = version.value.map(|text| (version.version, text));
                }
            }
        }
        Ok(found.map(|(_, text)| text))
    }

    /// The raw values of a module's parameters.
    pub async fn stored(&self, module: &ModuleId, kinds: &[ParameterKind]) -> Result<ModuleParameters> {
        let names: Vec<String> = kinds.iter().map(|kind| module.parameter(*kind)).collect();
        let found = self.get(&names).await?;
        let text = |name: &str| found.get(name).map(|(text, _)| text.clone());
        Ok(ModuleParameters::read(module, kinds, text))
    }

    /// Writes a parameter. The tier is always Intelligent-Tiering: standard up to 4 KB, advanced above. A plain standard
    /// write would be refused once a parameter has been advanced (PutParameter, `Tier`; decision 8).
    pub async fn put(&self, name: &str, text: &Text) -> Result<()> {
        let put = async || self.put_once(name, text).await;
        self.paced(pacing::WRITES, put, |pause| pause).await
    }

    async fn put_once(&self, name: &str, text: &Text) -> Result<()> {
        let request = self
            .unretried
            .put_parameter()
            .name(name)
            .value(text.as_str())
            .r#type(ParameterType::String);
        let sent = request
            .tier(ParameterTier::IntelligentTiering)
            .overwrite(true)
            .send()
            .await;
        sent.map(drop).map_err(|e| put_failure(name, &e))
    }

    /// Deletes parameters of a module. Missing ones are not an error.
    pub async fn delete(&self, module: &ModuleId, kinds: &[ParameterKind]) -> Result<()> {
        self.delete_named(kinds.iter().map(|kind| module.parameter(*kind)).collect())
            .await
    }

    /// Deletes up to ten parameters by their names. Missing ones are not an error.
    pub async fn delete_named(&self, names: Vec<String>) -> Result<()> {
        let call = format!("SSM DeleteParameters {}", names.join(", "));
        let sent = self
            .client
            .delete_parameters()
            .set_names(Some(names))
            .send()
            .await;
        sent.map(drop).map_err(|e| failure(&call, &e))
    }
}

/// A parameter below a path as a variable; `None` for one without a value.
fn variable(path: &str, parameter: aws_sdk_ssm::types::Parameter) -> Result<Option<(String, String)>> {
    let (Some(name), Some(value)) = (parameter.name, parameter.value) else {
        return Ok(None);
    };
    if parameter.r#type == Some(ParameterType::SecureString) {
        let expected = "parameters of the type String below it, because plans and reports show the values of variables; use a reference to Secrets Manager for a secret";
        return Err(Error::field(
            "env_path",
            format!("the SecureString {name}"),
            expected,
        ));
    }
    let variable = name
        .strip_prefix(path)
        .map(|rest| rest.trim_start_matches('/').to_owned());
    Ok(variable.map(|variable| (variable, value)))
}

fn variables_failure(path: &str, error: &impl SdkFailure) -> Error {
    let failed = failure(&format!("SSM GetParametersByPath {path}"), error);
    match failed.name {
        ErrorName::AccessDenied => Error {
            message: format!(
                "{}; the path in env_path has to be named in the template's ReferencedParameters",
                failed.message
            ),
            ..failed
        },
        _ => failed,
    }
}

/// The error of PutParameter. A parameter that was deleted less than 30 seconds ago may not be created again yet (API
/// reference, DeleteParameters, `Names`). AWS doesn't document the error of that case. This code is the only one among
/// PutParameter's errors for a parameter that both exists and doesn't, and with `Overwrite` it can mean nothing else. The
/// condition passes by itself, so the state machine retries the call for longer than that.
fn put_failure(name: &str, error: &impl SdkFailure) -> Error {
    let failed = failure(&format!("SSM PutParameter {name}"), error);
    match error.error_code() {
        Some("ParameterAlreadyExists") => Error::new(ErrorName::ServiceUnavailable, failed.message),
        _ => failed,
    }
}

/// Adds to the error what to do if the function may not read a parameter that a module refers to.
#[must_use]
pub fn about_references(error: Error) -> Error {
    match error.name {
        ErrorName::AccessDenied => Error {
            message: format!(
                "{}; parameters that modules refer to have to be named in the template's ReferencedParameters",
                error.message
            ),
            ..error
        },
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Answer(&'static str);

    impl SdkFailure for Answer {
        fn error_code(&self) -> Option<&str> {
            Some(self.0)
        }
        fn error_message(&self) -> Option<&str> {
            None
        }
        fn http_status(&self) -> Option<u16> {
            Some(400)
        }
        fn cause(&self) -> String {
            String::new()
        }
    }

    #[test]
    fn a_parameter_that_can_not_be_created_again_yet_is_tried_again() {
        let name = |code| put_failure("/sf/p/d/g-m/status", &Answer(code)).name;
        assert_eq!(name("ParameterAlreadyExists"), ErrorName::ServiceUnavailable);
        assert_eq!(name("ValidationException"), ErrorName::Refused);
    }
}
