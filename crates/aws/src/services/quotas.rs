//! Service Quotas: the limits of the account.

use aws_sdk_servicequotas::Client;
use seedflow_core::error::Result;

use crate::runtime::failure::failure;

/// The quotas of a service that the account has, by their names.
pub async fn quotas(config: &aws_config::SdkConfig, service: &str) -> Result<Vec<(String, f64)>> {
    let request = Client::new(config).list_service_quotas().service_code(service);
    let mut pages = request.into_paginator().send();
    let mut quotas = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|e| failure(&format!("Service Quotas ListServiceQuotas {service}"), &e))?;
        let found = page.quotas.unwrap_or_default().into_iter();
        quotas.extend(found.filter_map(|quota| Some((quota.quota_name?, quota.value?))));
    }
    Ok(quotas)
}
