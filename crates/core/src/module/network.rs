//! The network of a build: subnets and security groups of a VPC.
//!
//! StartBuild takes no network, only a CodeBuild project has one. So each network has a project of its own, named by
//! the network, which the first build makes (decision 47). A network says where a build runs, not what it deploys, so
//! it is not part of a fingerprint.
//!
//! A security group can open a database to a build, and everyone who may upload a bundle can write an input. So an
//! administrator names the subnets and security groups that builds may use.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::{JsonFields, describe};
use crate::module::parameters::ParameterValue;

/// The longest id.
const MAX_ID: usize = 64;

/// A field of a network. The numbers are CodeBuild's maxima (API reference, `VpcConfig`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The VPC.
    Vpc,
    /// Its subnets.
    Subnets,
    /// Its security groups.
    SecurityGroups,
}

impl Field {
    /// All fields.
    pub const ALL: [Self; 3] = [Self::Vpc, Self::Subnets, Self::SecurityGroups];

    /// The field's name in an input.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vpc => "vpc_id",
            Self::Subnets => "subnet_ids",
            Self::SecurityGroups => "security_group_ids",
        }
    }

    const fn maximum(self) -> usize {
        match self {
            Self::Vpc => 1,
            Self::Subnets => 16,
            Self::SecurityGroups => 5,
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Vpc => "vpc-",
            Self::Subnets => "subnet-",
            Self::SecurityGroups => "sg-",
        }
    }

    fn expected(self) -> String {
        match self {
            Self::Vpc => "the id of a VPC, such as vpc-0a1b2c3d".to_owned(),
            _ => format!(
                "1 to {} ids such as {}0a1b2c3d, as a list",
                self.maximum(),
                self.prefix()
            ),
        }
    }
}

/// What an input or a manifest says about one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// The ids.
    Ids(BTreeSet<String>),
    /// The name of the parameter in Parameter Store that holds them.
    Stored {
        /// The name.
        parameter_store: String,
    },
}

impl Setting {
    /// Reads a field: ids, or `{"parameter_store": "name"}`. `path` is the field's name in messages.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub fn parse(path: &str, field: Field, value: &Value) -> Result<Self> {
        if value.is_object()
            && let ParameterValue::ParameterStore(parameter_store) = ParameterValue::parse(path, value)?
        {
            return Ok(Self::Stored { parameter_store });
        }
        ids(field, value)
            .map(Self::Ids)
            .ok_or_else(|| Error::field(path, describe(value), field.expected()))
    }

    /// The ids. `text` is the value of the parameter that it names, if it exists.
    fn resolve(
        &self,
        path: &str,
        field: Field,
        text: impl Fn(&str) -> Option<String>,
    ) -> Result<BTreeSet<String>> {
        let name = match self {
            Self::Ids(ids) => return Ok(ids.clone()),
            Self::Stored { parameter_store } => parameter_store,
        };
        let shown = excerpt(name, 200);
        let text = text(name).ok_or_else(|| {
            let found = format!("{{\"parameter_store\": \"{shown}\"}}, and no such parameter");
            Error::field(path, found, "the name of a parameter that exists")
        })?;
        // The value may be anything, a secret even, so it is not shown.
        ids(field, &text.into()).ok_or_else(|| {
            let found = format!("another value in the parameter {shown}");
            Error::field(path, found, format!("{}, also as JSON", field.expected()))
        })
    }
}

/// The ids of a list or a text; a text is JSON, or has commas between the ids.
fn ids(field: Field, value: &Value) -> Option<BTreeSet<String>> {
    let valid = |id: &&str| {
        id.starts_with(field.prefix())
            && id.len() <= MAX_ID
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let found: BTreeSet<String> = match value {
        Value::Array(items) => {
            let items = items.iter().map(|item| item.as_str().filter(valid));
            items.map(|item| item.map(str::to_owned)).collect::<Option<_>>()?
        }
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(Value::String(id)) => Some(id.as_str())
                .filter(valid)
                .map(str::to_owned)
                .into_iter()
                .collect(),
            Ok(list @ Value::Array(_)) => return ids(field, &list),
            _ => {
                let ids = text.split(',').map(|id| Some(id.trim()).filter(valid));
                ids.map(|id| id.map(str::to_owned)).collect::<Option<_>>()?
            }
        },
        _ => return None,
    };
    (1..=field.maximum()).contains(&found.len()).then_some(found)
}

/// The network that an input asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSettings {
    vpc_id: Setting,
    subnet_ids: Setting,
    security_group_ids: Setting,
}

impl NetworkSettings {
    /// Reads an object with all three fields.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub(crate) fn parse(path: &str, value: &Value) -> Result<Self> {
        let mut fields = JsonFields::of(path, value)?;
        let mut setting = |field: Field| {
            let path = fields.path(field.name());
            let value = fields.any(field.name());
            let value = value.ok_or_else(|| {
                Error::field(
                    &path,
                    "nothing",
                    format!("{}; the field is required", field.expected()),
                )
            })?;
            Setting::parse(&path, field, &value)
        };
        let settings = Self {
            vpc_id: setting(Field::Vpc)?,
            subnet_ids: setting(Field::Subnets)?,
            security_group_ids: setting(Field::SecurityGroups)?,
        };
        fields.finish()?;
        Ok(settings)
    }

    const fn setting(&self, field: Field) -> &Setting {
        match field {
            Field::Vpc => &self.vpc_id,
            Field::Subnets => &self.subnet_ids,
            Field::SecurityGroups => &self.security_group_ids,
        }
    }

    /// The names of the parameters in Parameter Store that it refers to.
    #[must_use]
    pub fn parameter_store_names(&self) -> Vec<String> {
        let settings = Field::ALL.map(|field| self.setting(field));
        let names = settings.into_iter().filter_map(|setting| match setting {
            Setting::Ids(_) => None,
            Setting::Stored { parameter_store } => Some(parameter_store.clone()),
        });
        names.collect()
    }

    /// The network. `text` is the value of a parameter in Parameter Store, if it exists.
    ///
    /// # Errors
    /// `InvalidInput` if a parameter has no ids, or an administrator has not named the ids.
    pub fn resolve(
        &self,
        text: impl Fn(&str) -> Option<String>,
        allowed: Option<&AllowedNetworks>,
    ) -> Result<Network> {
        let ids = |field: Field| {
            let path = format!("build.network.{}", field.name());
            let ids = self.setting(field).resolve(&path, field, &text)?;
            if let Some(allowed) = allowed {
                allowed.check(&path, field, &ids)?;
            }
            Ok(ids)
        };
        Ok(Network {
            // Exactly one.
            vpc_id: ids(Field::Vpc)?.into_iter().collect(),
            subnet_ids: ids(Field::Subnets)?,
            security_group_ids: ids(Field::SecurityGroups)?,
        })
    }
}

/// The networks that builds may use: the subnets and security groups that the template's parameters name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedNetworks {
    subnets: BTreeSet<String>,
    security_groups: BTreeSet<String>,
}

impl AllowedNetworks {
    /// Reads the values of `BuildSubnetIds` and `BuildSecurityGroupIds`, with commas between the ids.
    #[must_use]
    pub fn new(subnets: &str, security_groups: &str) -> Self {
        let ids = |list: &str| {
            let ids = list.split(',').map(str::trim).filter(|id| !id.is_empty());
            ids.map(str::to_owned).collect()
        };
        Self {
            subnets: ids(subnets),
            security_groups: ids(security_groups),
        }
    }

    /// Checks the setting of a field, as far as it is known without Parameter Store.
    ///
    /// # Errors
    /// `InvalidInput` with the template's parameter that lacks an id.
    pub fn check_setting(&self, path: &str, field: Field, setting: &Setting) -> Result<()> {
        match setting {
            Setting::Ids(ids) => self.check(path, field, ids),
            // Without any id in the template's parameter no value can be right.
            Setting::Stored { parameter_store } => match self.named(field) {
                Some((named, parameter)) if named.is_empty() => {
                    let found = format!("those in the parameter {}", excerpt(parameter_store, 200));
                    Err(refused(path, &found, named, parameter))
                }
                _ => Ok(()),
            },
        }
    }

    fn check(&self, path: &str, field: Field, ids: &BTreeSet<String>) -> Result<()> {
        let Some((named, parameter)) = self.named(field) else {
            return Ok(());
        };
        match ids.difference(named).next() {
            None => Ok(()),
            Some(id) => Err(refused(path, &format!("\"{id}\""), named, parameter)),
        }
    }

    /// The ids of a field that the template names, and the parameter that does; `None` if the field is free. A VPC
    /// follows from its subnets.
    const fn named(&self, field: Field) -> Option<(&BTreeSet<String>, &'static str)> {
        match field {
            Field::Vpc => None,
            Field::Subnets => Some((&self.subnets, "BuildSubnetIds")),
            Field::SecurityGroups => Some((&self.security_groups, "BuildSecurityGroupIds")),
        }
    }
}

fn refused(path: &str, found: &str, named: &BTreeSet<String>, parameter: &str) -> Error {
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let named = if named.is_empty() {
        "none".to_owned()
    } else {
        excerpt(&named.join(", "), 400)
    };
    Error::field(
        path,
        found,
        format!(
            "ids that the template parameter {parameter} allows builds to use: {named}; an administrator can add more"
        ),
    )
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The VPC.
    pub vpc_id: String,
    /// Its subnets.
    pub subnet_ids: BTreeSet<String>,
    /// Its security groups.
    pub security_group_ids: BTreeSet<String>,
}

impl Network {
    /// The name of its CodeBuild project. `default` is the name of the project without a network; the permissions of the
    /// functions are about names that begin with it.
    #[must_use]
    pub fn project(&self, default: &str) -> String {
        let lists = [&self.subnet_ids, &self.security_group_ids];
        let lists = lists.map(|ids| ids.iter().map(String::as_str).collect::<Vec<_>>().join(","));
        let digest = Sha256::digest(format!("{} {}", self.vpc_id, lists.join(" ")));
        format!("{default}-network-{}", &hex::encode(digest)[..16])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;
    use serde_json::json;

    fn parse(network: &Value) -> Result<NetworkSettings> {
        NetworkSettings::parse("build.network", network)
    }

    fn resolve(network: &Value, stored: &str) -> Result<Network> {
        let allowed = AllowedNetworks::new("subnet-a,subnet-b", "sg-a, sg-b");
        let text = |name: &str| (name == "/net").then(|| stored.to_owned());
        parse(network)?.resolve(text, Some(&allowed))
    }

    fn network(subnets: &Value) -> Value {
        json!({"vpc_id": "vpc-a", "subnet_ids": subnets, "security_group_ids": ["sg-a"]})
    }

    #[test]
    fn ids_are_a_list_or_a_text_here_or_in_parameter_store() {
        let expected = resolve(&network(&json!(["subnet-b", "subnet-a", "subnet-a"])), "").unwrap();
        assert_eq!(expected.vpc_id, "vpc-a");
        assert_eq!(expected.subnet_ids.len(), 2);
        for (subnets, stored) in [
            (json!("subnet-a, subnet-b"), ""),
            (json!("[\"subnet-a\", \"subnet-b\"]"), ""),
            (json!({"parameter_store": "/net"}), "[\"subnet-b\", \"subnet-a\"]"),
            // A StringList.
            (json!({"parameter_store": "/net"}), "subnet-a,subnet-b"),
        ] {
            assert_eq!(
                resolve(&network(&subnets), stored).as_ref(),
                Ok(&expected),
                "{subnets}"
            );
        }
        let quoted = json!({"vpc_id": {"parameter_store": "/net"}, "subnet_ids": ["subnet-a", "subnet-b"], "security_group_ids": "sg-a"});
        assert_eq!(parse(&quoted).unwrap().parameter_store_names(), ["/net"]);
        // As seed-farmer reads it.
        assert_eq!(resolve(&quoted, "\"vpc-a\""), Ok(expected));
    }

    #[test]
    fn a_bad_network_is_refused_with_its_field() {
        let many: Vec<String> = (0..17).map(|i| format!("subnet-{i}")).collect();
        let without = json!({"vpc_id": "vpc-a", "subnet_ids": ["subnet-a"]});
        for (network, part) in [
            (json!("vpc-a"), "build.network: expected a JSON object"),
            (
                without,
                "build.network.security_group_ids: expected 1 to 5 ids…found nothing",
            ),
            (
                network(&json!(many)),
                "build.network.subnet_ids: expected 1 to 16 ids such as subnet-0a1b2c3d",
            ),
            (
                network(&json!([])),
                "build.network.subnet_ids: expected 1 to 16 ids",
            ),
            (network(&json!(["sg-a"])), "build.network.subnet_ids"),
            (
                network(&json!([1])),
                "build.network.subnet_ids: expected …found a list",
            ),
            (network(&json!("subnet-a,,subnet-b")), "build.network.subnet_ids"),
            (
                network(&json!({"secrets_manager": "s"})),
                "build.network.subnet_ids: expected …found an object",
            ),
            (
                json!({"vpc_id": "vpc-a,vpc-b", "subnet_ids": "subnet-a", "security_group_ids": "sg-a"}),
                "build.network.vpc_id: expected the id of a VPC",
            ),
        ] {
            let error = parse(&network).unwrap_err();
            assert!(says(&error.message, part), "{} / {part}", error.message);
        }
    }

    #[test]
    fn a_parameter_without_ids_is_refused_and_not_shown() {
        let stored = network(&json!({"parameter_store": "/net"}));
        let error = resolve(&stored, "hunter2").unwrap_err();
        assert!(
            says(
                &error.message,
                "build.network.subnet_ids: expected …found another value in the parameter /net"
            ),
            "{error}"
        );
        assert!(!error.message.contains("hunter2"), "{error}");
        let missing = network(&json!({"parameter_store": "/other"}));
        let error = resolve(&missing, "").unwrap_err();
        assert!(
            says(
                &error.message,
                "build.network.subnet_ids: expected …found …/other…and no such parameter"
            ),
            "{error}"
        );
    }

    #[test]
    fn an_administrator_names_subnets_and_security_groups() {
        let error = resolve(&network(&json!("subnet-a,subnet-c")), "").unwrap_err();
        assert!(
            says(
                &error.message,
                "build.network.subnet_ids: expected …BuildSubnetIds…subnet-a, subnet-b…found \"subnet-c\""
            ),
            "{error}"
        );
        let none = parse(&network(&json!("subnet-a"))).unwrap();
        let error = none
            .resolve(|_| None, Some(&AllowedNetworks::new("subnet-a", "")))
            .unwrap_err();
        assert!(
            says(
                &error.message,
                "build.network.security_group_ids: expected …BuildSecurityGroupIds…none…found \"sg-a\""
            ),
            "{error}"
        );
    }

    #[test]
    fn a_project_is_that_of_one_network() {
        let project = |subnets: &str, groups: &str| {
            let network = json!({"vpc_id": "vpc-a", "subnet_ids": subnets, "security_group_ids": groups});
            resolve(&network, "").unwrap().project("seedflow")
        };
        let one = project("subnet-a,subnet-b", "sg-a");
        assert!(
            one.starts_with("seedflow-network-") && one.len() == "seedflow-network-".len() + 16,
            "{one}"
        );
        assert_eq!(one, project("subnet-b,subnet-a", "sg-a"));
        assert_ne!(one, project("subnet-a", "sg-a"));
        assert_ne!(one, project("subnet-a,subnet-b", "sg-b"));
        // A name keeps its project for as long as Seedflow is used: otherwise each network would have another one.
        assert_eq!(project("subnet-a", "sg-a"), "seedflow-network-e65d45b98f03c3de");
    }
}
