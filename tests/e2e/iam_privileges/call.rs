//! Calls of AWS as values, so that every role can try each.

use seedflow_local::aws_api::{ApiError, AwsApi};
use serde_json::Value;

/// A call.
pub enum Call {
    Read {
        bucket: String,
        key: String,
    },
    Write {
        bucket: String,
        key: String,
    },
    Delete {
        bucket: String,
        key: String,
    },
    /// Aborts a multipart upload.
    Abort {
        bucket: String,
        key: String,
    },
    List {
        bucket: String,
    },
    /// Lists what is below a prefix.
    ListBelow {
        bucket: String,
        prefix: String,
    },
    /// Lists the versions of objects below a prefix.
    ListVersions {
        bucket: String,
        prefix: String,
    },
    /// An operation of a service that speaks the JSON protocol.
    Json {
        service: &'static str,
        target: String,
        input: Value,
    },
    /// An operation of a service that speaks the Query protocol.
    Form {
        service: &'static str,
        fields: Vec<(&'static str, String)>,
    },
    /// Invokes a function with an empty payload.
    Invoke {
        function: String,
    },
}

/// A bucket and a key.
type At = (String, String);

impl Call {
    /// Reads an object.
    pub fn read((bucket, key): At) -> Self {
        Self::Read { bucket, key }
    }

    /// Stores an object.
    pub fn write((bucket, key): At) -> Self {
        Self::Write { bucket, key }
    }

    /// Deletes an object.
    pub fn delete((bucket, key): At) -> Self {
        Self::Delete { bucket, key }
    }

    /// Aborts a multipart upload that was never started.
    pub fn abort((bucket, key): At) -> Self {
        Self::Abort { bucket, key }
    }

    /// Lists a bucket.
    pub fn list(bucket: &str) -> Self {
        Self::List {
            bucket: bucket.to_owned(),
        }
    }

    /// Lists the versions of what is below a folder.
    pub fn list_versions(bucket: &str, folder: &str) -> Self {
        Self::ListVersions {
            bucket: bucket.to_owned(),
            prefix: format!("{folder}/"),
        }
    }

    /// Makes the call.
    pub async fn attempt(&self, api: &AwsApi) -> Result<(), ApiError> {
        match self {
            Self::Read { bucket, key } => api.read_object(bucket, key).await.map(drop),
            Self::Write { bucket, key } => api.put_object(bucket, key, b"{}".to_vec()).await,
            Self::Delete { bucket, key } => api.delete_object(bucket, key).await,
            Self::Abort { bucket, key } => api.abort_upload(bucket, key, "never").await,
            Self::ListVersions { bucket, prefix } => api.list_versions(bucket, prefix).await,
            Self::ListBelow { bucket, prefix } => api.list_objects(bucket, prefix).await.map(drop),
            Self::List { bucket } => api.list_objects(bucket, "").await.map(drop),
            Self::Json {
                service,
                target,
                input,
            } => api.json(service, target, input).await.map(drop),
            Self::Form { service, fields } => {
                let fields: Vec<(&str, &str)> = fields
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                api.form(service, &fields).await.map(drop)
            }
            Self::Invoke { function } => api.invoke(function, &Value::Null).await.map(drop),
        }
    }
}

/// Whether IAM refused the call.
pub fn is_refusal(error: &ApiError) -> bool {
    let by_iam = error.message.contains("is not authorized to perform");
    // The last is EC2's (API reference, "Error codes").
    let codes = ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"];
    by_iam && codes.contains(&error.code.as_str())
}
