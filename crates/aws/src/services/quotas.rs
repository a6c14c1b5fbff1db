//! Service Quotas: the limits of the account.

use aws_sdk_servicequotas::Client;
use seedflow_core::error::Result;

use crate::runtime::failure::{SdkFailure, failure};

/// The quotas of a service that the account has, by their names; `None` if the endpoint has no Service Quotas.
pub async fn quotas(config: &aws_config::SdkConfig, service: &str) -> Result<Option<Vec<(String, f64)>>> {
    let request = Client::new(config).list_service_quotas().service_code(service);
    let mut pages = request.into_paginator().send();
    let mut quotas = Vec::new();
    while let Some(page) = pages.next().await {
        let page = match page {
            Ok(page) => page,
            // AWS gives every error a code. The local emulator answers without one where it doesn't know the service.
            Err(error) if error.http_status().is_some() && error.error_code().is_none() => return Ok(None),
            Err(error) => {
                return Err(failure(
                    &format!("Service Quotas ListServiceQuotas {service}"),
                    &error,
                ));
            }
        };
        let found = page.quotas.unwrap_or_default().into_iter();
        quotas.extend(found.filter_map(|quota| Some((quota.quota_name?, quota.value?))));
    }
    Ok(Some(quotas))
}
