//! The settings of a target, which its stack keeps in the target's own Parameter Store.

use seedflow_core::error::Result;
use seedflow_core::module::target_settings::{Home, TargetSettings};
use seedflow_core::target::{Target, settings_parameter};

use crate::services::ssm::ParameterStore;

/// Reads the settings of a target by the target's parameters.
///
/// # Errors
/// `Refused` if there are none, or if they can't be read as settings.
pub async fn read(parameters: &ParameterStore, target: &Target, home: Home<'_>) -> Result<TargetSettings> {
    let name = settings_parameter(home.stack);
    let found = parameters.get(std::slice::from_ref(&name)).await?;
    let text = found.get(&name).map(|(text, _)| text.as_str());
    TargetSettings::parse(target, home, text)
}
