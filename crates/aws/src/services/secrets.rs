//! Secrets Manager: the one secret that a function reads by itself.

use std::fmt;

use aws_sdk_secretsmanager::Client;
use seedflow_core::error::{Error, ErrorName, Result};

use crate::runtime::failure::failure;

/// A secret's text, which no log and no message shows.
pub struct SecretText(String);

impl SecretText {
    /// The text, for the one who parses it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// The current text of a secret, by its name or ARN.
pub async fn secret(config: &aws_config::SdkConfig, id: &str) -> Result<SecretText> {
    let call = format!("Secrets Manager GetSecretValue {id}");
    let answer = Client::new(config).get_secret_value().secret_id(id).send().await;
    let answer = answer.map_err(|e| failure(&call, &e))?;
    answer.secret_string.map(SecretText).ok_or_else(|| {
        Error::new(
            ErrorName::InvalidInput,
            format!("{call}: expected a secret with a text, found a binary one"),
        )
    })
}
