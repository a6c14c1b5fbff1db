//! What one build runs: the project's settings with the overrides of `StartBuild` laid over them.

use serde_json::{Value, json};

use crate::aws_api::ApiError;

/// How long the value of a variable in a request may be.
const MAX_VARIABLE: usize = 4096;

/// How a variable's value is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariableKind {
    /// The value itself.
    Plaintext,
    /// The name of a parameter.
    ParameterStore,
    /// `secret-id:json-key:version-stage:version-id`.
    SecretsManager,
}

impl VariableKind {
    fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::ParameterStore => "PARAMETER_STORE",
            Self::SecretsManager => "SECRETS_MANAGER",
        }
    }
}

/// One environment variable of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    /// The value, or where it is.
    pub value: String,
    /// Which of the two.
    pub kind: VariableKind,
}

impl Variable {
    /// The variable as the API and events show it: a secret's place, never its value.
    pub fn to_json(&self) -> Value {
        json!({"name": self.name, "type": self.kind.name(), "value": self.value})
    }

    fn from_json(json: &Value) -> Result<Self, ApiError> {
        let kind = match json["type"].as_str().unwrap_or("PLAINTEXT") {
            "PLAINTEXT" => VariableKind::Plaintext,
            "PARAMETER_STORE" => VariableKind::ParameterStore,
            "SECRETS_MANAGER" => VariableKind::SecretsManager,
            other => {
                return Err(invalid(format!("Invalid environment variable type: {other}")));
            }
        };
        let (Some(name), Some(value)) = (json["name"].as_str(), json["value"].as_str()) else {
            return Err(invalid("Environment variables need a name and a value"));
        };
        // Reserved: user guide, "Environment variables in build environments".
        if name.is_empty() || name.starts_with("CODEBUILD_") {
            return Err(invalid(format!("Invalid environment variable name: {name}")));
        }
        // What AWS answers (wolfeidau/buildkite-serverless-agent#35); the length is documented nowhere.
        if value.chars().count() > MAX_VARIABLE {
            return Err(invalid(format!(
                "EnvironmentVariable should be at most {MAX_VARIABLE} characters"
            )));
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
            kind,
        })
    }
}

/// Where the source is.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// `S3` or `NO_SOURCE`; others fail when they would be downloaded.
    pub kind: String,
    /// `bucket/key`.
    pub location: String,
    pub version: Option<String>,
    /// The buildspec's text, or its path in the source.
    pub buildspec: Option<String>,
}

/// Where the log goes.
#[derive(Debug, Clone)]
pub struct Logs {
    pub group: String,
    /// What goes before the build's uuid in the stream's name.
    pub prefix: Option<String>,
}

impl Logs {
    /// The stream of a build.
    pub fn stream(&self, uuid: &str) -> String {
        self.prefix
            .as_ref()
            .map_or_else(|| uuid.to_owned(), |prefix| format!("{prefix}/{uuid}"))
    }
}

/// Where the artifacts go.
#[derive(Debug, Clone, Default)]
pub struct Artifacts {
    /// `S3` or `NO_ARTIFACTS`.
    pub kind: String,
    pub bucket: String,
    pub path: String,
    /// `NONE` or `BUILD_ID`.
    pub namespace: String,
    /// The artifact's name; `/` is none.
    pub name: String,
    /// `NONE` or `ZIP`.
    pub packaging: String,
}

/// Everything that a build was asked to do.
#[derive(Debug, Clone)]
pub struct Plan {
    pub project: String,
    /// Where it runs, for building links.
    pub region: String,
    pub source: Source,
    pub artifacts: Artifacts,
    /// Variables of the project and of `StartBuild`, the latter winning.
    pub variables: Vec<Variable>,
    /// Image, type and compute type, which a local build only shows, and privileged mode.
    pub environment: Value,
    /// Where the log goes; none where logs are disabled.
    pub logs: Option<Logs>,
    /// The role that the build would have.
    pub service_role: Value,
    /// How long it may run.
    pub timeout_minutes: u32,
    /// How long it may be queued.
    pub queued_timeout_minutes: u32,
    /// The project's network, which a local build only shows; null outside of any VPC.
    pub vpc_config: Value,
    /// The key for artifacts.
    pub encryption_key: String,
    pub initiator: String,
}

impl Plan {
    /// Lays the input of `StartBuild` over a project.
    pub fn new(project: &Value, input: &Value, region: &str, account: &str) -> Result<Self, ApiError> {
        let name = project["name"].as_str().unwrap_or_default().to_owned();
        let default_key = format!("arn:aws:kms:{region}:{account}:alias/aws/s3");
        Ok(Self {
            source: source(project, input)?,
            artifacts: artifacts(overridden(&input["artifactsOverride"], &project["artifacts"])),
            variables: variables(project, input)?,
            environment: environment(project, input)?,
            logs: logs(
                &name,
                overridden(&input["logsConfigOverride"], &project["logsConfig"]),
            ),
            service_role: overridden(&input["serviceRoleOverride"], &project["serviceRole"]).clone(),
            timeout_minutes: minutes(project, input, "timeoutInMinutes", 60),
            queued_timeout_minutes: minutes(project, input, "queuedTimeoutInMinutes", 480),
            vpc_config: project["vpcConfig"].clone(),
            encryption_key: text(input, "encryptionKeyOverride")?.unwrap_or(default_key),
            initiator: "seedflow-local".to_owned(),
            region: region.to_owned(),
            project: name,
        })
    }

    /// Whether the build may run Docker.
    pub fn privileged(&self) -> bool {
        self.environment["privilegedMode"].as_bool().unwrap_or(false)
    }

    /// The source as the API shows it.
    pub fn source_json(&self) -> Value {
        let mut json =
            json!({"type": self.source.kind, "location": self.source.location, "insecureSsl": false});
        if let Some(buildspec) = &self.source.buildspec {
            json["buildspec"] = buildspec.as_str().into();
        }
        json
    }

    /// The environment as the API shows it.
    pub fn environment_json(&self) -> Value {
        let mut json = self.environment.clone();
        json["environmentVariables"] = self.variables.iter().map(Variable::to_json).collect();
        json
    }

    /// The logs as the API shows them. The stream is made in PROVISIONING (API reference, `LogsLocation`); before that there
    /// is a link that names none, and neither group nor stream.
    pub fn logs_json(&self, uuid: &str, log_is_there: bool) -> Value {
        let Some(logs) = &self.logs else {
            return json!({"cloudWatchLogs": {"status": "DISABLED"}, "s3Logs": {"status": "DISABLED"}});
        };
        let mut json = json!({
            "deepLink": self.deep_link(uuid, log_is_there),
            "cloudWatchLogs": {"status": "ENABLED", "groupName": logs.group},
            "s3Logs": {"status": "DISABLED", "encryptionDisabled": false},
        });
        if log_is_there {
            json["groupName"] = logs.group.as_str().into();
            json["streamName"] = logs.stream(uuid).into();
        }
        json
    }

    /// The console's page of the build.
    pub fn build_url(&self, id: &str) -> String {
        let region = &self.region;
        let (project, id) = (&self.project, id.replace(':', "%3A"));
        format!("https://{region}.console.aws.amazon.com/codesuite/codebuild/projects/{project}/build/{id}/")
    }

    /// The console's page of the build's log.
    pub fn deep_link(&self, uuid: &str, log_is_there: bool) -> String {
        let (group, stream) = match &self.logs {
            Some(logs) if log_is_there => (logs.group.clone(), logs.stream(uuid)),
            _ => ("null".to_owned(), "null".to_owned()),
        };
        format!(
            "https://console.aws.amazon.com/cloudwatch/home?region={}#logEvent:group={group};stream={stream}",
            self.region
        )
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidInputException", message)
}

/// A string of the input, if it is there.
pub fn text(input: &Value, field: &str) -> Result<Option<String>, ApiError> {
    match &input[field] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(ApiError::client(
            "SerializationException",
            format!("{field} is not a string"),
        )),
    }
}

fn overridden<'a>(value: &'a Value, otherwise: &'a Value) -> &'a Value {
    if value.is_null() { otherwise } else { value }
}

/// How long a buildspec in a request may be; a longer one has to lie in S3.
const MAX_BUILDSPEC: usize = 25_600;

fn source(project: &Value, input: &Value) -> Result<Source, ApiError> {
    let from_project = |field: &str| project["source"][field].as_str().map(str::to_owned);
    let kind = text(input, "sourceTypeOverride")?.or_else(|| from_project("type"));
    let location = text(input, "sourceLocationOverride")?.or_else(|| from_project("location"));
    let project_version = project["sourceVersion"].as_str().map(str::to_owned);
    let source = Source {
        kind: kind.unwrap_or_else(|| "NO_SOURCE".to_owned()),
        location: location.unwrap_or_default(),
        version: text(input, "sourceVersion")?.or(project_version),
        buildspec: text(input, "buildspecOverride")?.or_else(|| from_project("buildspec")),
    };
    // What AWS answers; the length is documented nowhere but in this answer.
    if source
        .buildspec
        .as_ref()
        .is_some_and(|text| text.chars().count() > MAX_BUILDSPEC)
    {
        return Err(invalid(format!("Max buildspec length is {MAX_BUILDSPEC}")));
    }
    if source.kind != "NO_SOURCE" && source.location.is_empty() {
        return Err(invalid("Invalid project source: location is required"));
    }
    if source.kind == "NO_SOURCE" && source.buildspec.as_deref().unwrap_or_default().is_empty() {
        return Err(invalid(
            "Invalid project source: buildspec is required for NO_SOURCE",
        ));
    }
    Ok(source)
}

fn artifacts(json: &Value) -> Artifacts {
    let field = |name: &str, otherwise: &str| json[name].as_str().unwrap_or(otherwise).to_owned();
    Artifacts {
        kind: field("type", "NO_ARTIFACTS"),
        bucket: field("location", ""),
        path: field("path", ""),
        namespace: field("namespaceType", "NONE"),
        name: field("name", ""),
        packaging: field("packaging", "NONE"),
    }
}

fn variables(project: &Value, input: &Value) -> Result<Vec<Variable>, ApiError> {
    let of = |list: &Value| -> Result<Vec<Variable>, ApiError> {
        list.as_array()
            .into_iter()
            .flatten()
            .map(Variable::from_json)
            .collect()
    };
    let mut variables = of(&project["environment"]["environmentVariables"])?;
    for variable in of(&input["environmentVariablesOverride"])? {
        variables.retain(|existing| existing.name != variable.name);
        variables.push(variable);
    }
    Ok(variables)
}

fn environment(project: &Value, input: &Value) -> Result<Value, ApiError> {
    let from_project = &project["environment"];
    let field = |name: &str, over: &str, otherwise: &str| -> Result<Value, ApiError> {
        let default = from_project[name].as_str().unwrap_or(otherwise);
        Ok(text(input, over)?.unwrap_or_else(|| default.to_owned()).into())
    };
    let privileged = overridden(&input["privilegedModeOverride"], &from_project["privilegedMode"]);
    Ok(json!({
        "type": field("type", "environmentTypeOverride", "LINUX_CONTAINER")?,
        "image": field("image", "imageOverride", "aws/codebuild/standard:7.0")?,
        "computeType": field("computeType", "computeTypeOverride", "BUILD_GENERAL1_SMALL")?,
        "privilegedMode": privileged.as_bool().unwrap_or(false),
        "imagePullCredentialsType":
            field("imagePullCredentialsType", "imagePullCredentialsTypeOverride", "CODEBUILD")?,
    }))
}

fn logs(project: &str, config: &Value) -> Option<Logs> {
    let config = &config["cloudWatchLogs"];
    (config["status"].as_str() != Some("DISABLED")).then(|| Logs {
        group: config["groupName"]
            .as_str()
            .map_or_else(|| format!("/aws/codebuild/{project}"), str::to_owned),
        prefix: config["streamName"].as_str().map(str::to_owned),
    })
}

/// A number of minutes, which was checked (`constraints`, and for a project the emulator's).
fn minutes(project: &Value, input: &Value, field: &str, otherwise: u32) -> u32 {
    let over = format!("{field}Override");
    let value = overridden(&input[over.as_str()], &project[field]).as_u64();
    value
        .and_then(|minutes| u32::try_from(minutes).ok())
        .unwrap_or(otherwise)
}
