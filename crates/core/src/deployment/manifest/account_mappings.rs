//! `targetAccountMappings`: the accounts and regions of a manifest, and the settings for the modules in them.
//!
//! One account and one region are supported: Seedflow's own. The mappings are read as seed-farmer reads them, because
//! they define modules' images, runtimes and `parameterValue`.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::diagnostic::{Diagnostics, Location};
use super::environment::Env;
use super::spanned::{Spanned, YamlFields, texts};
use crate::error::excerpt;
use crate::ids::AwsEnvironment;

/// Fields of both an account and a region that Seedflow doesn't support.
const MIRRORS: [&str; 4] = ["npmMirror", "npmMirrorSecret", "pypiMirror", "pypiMirrorSecret"];
const PREFIXES: [&str; 2] = ["rolePrefix", "policyPrefix"];

/// The build settings of an account, a region or a module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BuildChoice {
    /// The build image.
    pub image: Option<String>,
    /// Versions of runtimes by name.
    pub runtimes: Map<String, Value>,
}

impl BuildChoice {
    pub fn read(fields: &mut YamlFields<'_>, problems: &mut Diagnostics) -> Self {
        Self {
            image: fields.text("codebuildImage", problems),
            runtimes: fields
                .take("runtimeOverrides", problems)
                .map(|part| texts(&part, problems))
                .unwrap_or_default(),
        }
    }

    /// These settings as the `build` of an input.
    #[must_use]
    pub fn said(&self) -> Map<String, Value> {
        let mut said = Map::new();
        if let Some(image) = &self.image {
            said.insert("image".into(), image.clone().into());
        }
        if !self.runtimes.is_empty() {
            said.insert("runtimes".into(), self.runtimes.clone().into());
        }
        said
    }

    /// Merges these settings over others: this image, and these versions over the other's.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        let mut runtimes = other.runtimes.clone();
        runtimes.append(&mut self.runtimes);
        Self {
            image: self.image.or_else(|| other.image.clone()),
            runtimes,
        }
    }
}

/// An account with its regions, or a region.
#[derive(Debug)]
struct Mapping {
    /// The alias of an account, or the name of a region.
    name: String,
    /// The id of an account.
    id: Option<String>,
    /// Where the manifest has the id of an account, or the name of a region.
    at: Location,
    default: bool,
    parameters: Map<String, Value>,
    build: BuildChoice,
    regions: Vec<Mapping>,
}

/// The words for a mapping in messages: its field in a module, an account or a region, with an article, and its list.
struct Words<'a>(&'a str, &'a str, &'a str, String);

/// The mappings of a manifest.
#[derive(Debug, Default)]
pub(super) struct Mappings {
    accounts: Vec<Mapping>,
    /// The mappings that modules use, by their indexes.
    used: Vec<(usize, usize)>,
}

/// The target of a module.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Target(Option<(usize, usize)>);

impl Mappings {
    /// Reads the list. Without one, every module goes to Seedflow's own account and region.
    pub fn read(list: Option<&Spanned<'_>>, env: &Env, problems: &mut Diagnostics) -> Self {
        let Some(list) = list else {
            return Self::default();
        };
        let account = |item: &Spanned<'_>, problems: &mut Diagnostics| Mapping::account(item, env, problems);
        Self {
            accounts: Mapping::list(list, "alias", account, problems),
            used: Vec::new(),
        }
    }

    /// The target of a module: its own, or the default. `None` if it cannot be determined.
    pub fn target(
        &mut self,
        module: &Location,
        account: Option<&Spanned<'_>>,
        region: Option<&Spanned<'_>>,
        problems: &mut Diagnostics,
    ) -> Option<Target> {
        if self.accounts.is_empty() {
            for part in [account, region].into_iter().flatten() {
                problems.error(
                    &part.at,
                    "the manifest has no targetAccountMappings; leave the field out, or add them",
                );
            }
            return Some(Target::default());
        }
        let words = Words(
            "targetAccount",
            "account",
            "an alias",
            "targetAccountMappings".to_owned(),
        );
        let a = Mapping::choose(&self.accounts, &words, module, account, problems)?;
        let chosen = &self.accounts[a];
        let list = format!("regionMappings of \"{}\"", excerpt(&chosen.name, 80));
        let words = Words("targetRegion", "region", "a region", list);
        let r = Mapping::choose(&chosen.regions, &words, module, region, problems)?;
        if !self.used.contains(&(a, r)) {
            self.refuse_another(module, (a, r), problems);
            self.used.push((a, r));
        }
        Some(Target(Some((a, r))))
    }

    /// Refuses a second pair of account and region.
    fn refuse_another(&self, module: &Location, (a, r): (usize, usize), problems: &mut Diagnostics) {
        let Some(&(first_a, first_r)) = self.used.first() else {
            return;
        };
        let goes_to = |a: usize, r: usize| {
            let account = &self.accounts[a];
            (account.id.clone(), account.regions[r].name.clone())
        };
        let (here, first) = (goes_to(a, r), goes_to(first_a, first_r));
        if here != first {
            let shown = |(id, region): (Option<String>, String)| {
                format!(
                    "account {}, region {region}",
                    id.unwrap_or_else(|| "unknown".to_owned())
                )
            };
            problems.error(
                module,
                format!(
                    "the module goes to {}, others go to {}; several accounts or regions are not supported yet",
                    shown(here),
                    shown(first)
                ),
            );
        }
    }

    /// Refuses used mappings to another account or region than Seedflow's.
    pub fn refuse_elsewhere(&self, environment: &AwsEnvironment, problems: &mut Diagnostics) {
        let refuse = |at: &Location, found: &str, here: &str, what: &str, problems: &mut Diagnostics| {
            problems.found(
                at,
                format!("\"{}\"", excerpt(found, 40)),
                format!("{here}, the {what} that Seedflow runs in; another one is not supported yet"),
            );
        };
        for (i, &(a, r)) in self.used.iter().enumerate() {
            let account = &self.accounts[a];
            let reported = self.used[..i].iter().any(|(other, _)| *other == a);
            if let Some(id) = account
                .id
                .as_ref()
                .filter(|id| **id != environment.account && !reported)
            {
                refuse(&account.at, id, &environment.account, "account", problems);
            }
            let region = &account.regions[r];
            if region.name != environment.region {
                refuse(&region.at, &region.name, &environment.region, "region", problems);
            }
        }
    }

    /// The account and region of the modules, if the manifest names them.
    pub fn account_and_region(&self) -> Option<(String, String)> {
        let &(a, r) = self.used.first()?;
        let account = &self.accounts[a];
        Some((account.id.clone()?, account.regions[r].name.clone()))
    }

    /// A value of `parametersRegional`, or else of `parametersGlobal`.
    pub fn parameter(&self, target: Target, name: &str) -> Option<&Value> {
        let (a, r) = target.0?;
        let account = &self.accounts[a];
        account.regions[r]
            .parameters
            .get(name)
            .or_else(|| account.parameters.get(name))
            .filter(|value| !value.is_null())
    }

    /// The build settings of the region over those of the account.
    pub fn build(&self, target: Target) -> BuildChoice {
        target.0.map_or_else(BuildChoice::default, |(a, r)| {
            let account = &self.accounts[a];
            account.regions[r].build.clone().or(&account.build)
        })
    }
}

impl Mapping {
    /// Reads a list of accounts or regions; `name` is the field of their names.
    fn list(
        list: &Spanned<'_>,
        name: &str,
        one: impl Fn(&Spanned<'_>, &mut Diagnostics) -> Option<Self>,
        problems: &mut Diagnostics,
    ) -> Vec<Self> {
        let mut names = HashSet::new();
        let mut default = None;
        let mut mappings = Vec::new();
        for item in list.items(problems) {
            let Some(mapping) = one(&item, problems) else {
                continue;
            };
            if !names.insert(mapping.name.clone()) {
                let message = format!("duplicate {name} \"{}\"", excerpt(&mapping.name, 80));
                problems.error(&item.at, message);
            }
            only_default(mapping.default, &mut default, &item.at, problems);
            mappings.push(mapping);
        }
        mappings
    }

    /// The mapping that a module names, or the default.
    fn choose(
        mappings: &[Self],
        Words(field, what, name, list): &Words<'_>,
        module: &Location,
        named: Option<&Spanned<'_>>,
        problems: &mut Diagnostics,
    ) -> Option<usize> {
        let Some(part) = named else {
            let default = mappings.iter().position(|mapping| mapping.default);
            if default.is_none() {
                let message = format!("{field} is missing, and no {what} in {list} is the default");
                problems.error(module, message);
            }
            return default;
        };
        let text = part.text(problems)?;
        let found = mappings.iter().position(|mapping| mapping.name == text);
        if found.is_none() {
            let known = mappings.iter().map(|mapping| mapping.name.as_str()).take(20);
            let known = known.collect::<Vec<_>>().join(", ");
            problems.found(
                &part.at,
                format!("\"{}\"", excerpt(&text, 80)),
                format!("{name} in {list}: {known}"),
            );
        }
        found
    }

    fn account(part: &Spanned<'_>, env: &Env, problems: &mut Diagnostics) -> Option<Self> {
        let mut fields = part.fields(problems)?;
        let name = fields.required_text("alias", problems);
        let id = fields.required("accountId", problems);
        let at = id.as_ref().map_or_else(|| part.at.clone(), |id| id.at.clone());
        let id = id.and_then(|id| account_id(&id, env, problems));
        let default = flag(&mut fields, problems);
        let parameters = fields
            .take("parametersGlobal", problems)
            .map(|part| global_parameters(&part, problems))
            .unwrap_or_default();
        let build = BuildChoice::read(&mut fields, problems);
        let regions = fields.take("regionMappings", problems);
        unsupported(&mut fields, problems);
        fields.finish(problems);
        let regions = regions
            .map(|list| Self::list(&list, "region", Self::region, problems))
            .unwrap_or_default();
        Some(Self {
            name: name?,
            id,
            at,
            default,
            parameters,
            build,
            regions,
        })
    }

    fn region(part: &Spanned<'_>, problems: &mut Diagnostics) -> Option<Self> {
        let mut fields = part.fields(problems)?;
        let region = fields.required("region", problems);
        let at = region
            .as_ref()
            .map_or_else(|| part.at.clone(), |region| region.at.clone());
        let name = region.and_then(|region| region.text(problems));
        let default = flag(&mut fields, problems);
        let parameters = fields
            .take("parametersRegional", problems)
            .map(|part| regional_parameters(&part, problems))
            .unwrap_or_default();
        let build = BuildChoice::read(&mut fields, problems);
        fields.unsupported(&["network"], "builds run outside of a VPC", problems);
        fields.without_effect(
            &["seedkitMetadata", "seedfarmerArtifactBucket"],
            "Seedflow's template makes what a seedkit would",
            problems,
        );
        unsupported(&mut fields, problems);
        fields.finish(problems);
        Some(Self {
            name: name?,
            id: None,
            at,
            default,
            parameters,
            build,
            regions: Vec::new(),
        })
    }
}

fn flag(fields: &mut YamlFields<'_>, problems: &mut Diagnostics) -> bool {
    let part = fields.take("default", problems);
    part.and_then(|part| part.flag(problems)).unwrap_or(false)
}

/// seed-farmer silently takes the last of several defaults.
fn only_default(is: bool, first: &mut Option<Location>, at: &Location, problems: &mut Diagnostics) {
    if !is {
        return;
    }
    match first {
        Some(first) => problems.error(
            at,
            format!("{} is the default already; only one can be", first.field),
        ),
        None => *first = Some(at.clone()),
    }
}

/// Refuses mirrors of package registries in an account, a region or a module.
pub(super) fn refuse_mirrors(fields: &mut YamlFields<'_>, problems: &mut Diagnostics) {
    fields.unsupported(
        &MIRRORS,
        "configure pip or npm in the deployspec's install phase, or in the build image",
        problems,
    );
}

fn unsupported(fields: &mut YamlFields<'_>, problems: &mut Diagnostics) {
    refuse_mirrors(fields, problems);
    fields.without_effect(&PREFIXES, "the template names the roles", problems);
}

/// An account id: literal, or from a variable.
fn account_id(part: &Spanned<'_>, env: &Env, problems: &mut Diagnostics) -> Option<String> {
    let id = match part.scalar() {
        // YAML 1.1 reads an id that begins with 0 as octal: silently another account.
        Some(Value::Number(_)) if part.node.written.is_some() => {
            part.refuse("the 12 digits of an account; put them into quotes", problems);
            return None;
        }
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => part.text(problems)?,
        None => variable(part, env, problems)?,
    };
    if id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit()) {
        return Some(id);
    }
    problems.found(
        &part.at,
        format!("\"{}\"", excerpt(&id, 40)),
        "the 12 digits of an account",
    );
    None
}

/// `valueFrom: {envVariable: NAME}`, the only reference that a deployment manifest may have itself.
pub(super) fn variable(part: &Spanned<'_>, env: &Env, problems: &mut Diagnostics) -> Option<String> {
    let mut fields = part.fields(problems)?;
    let source = fields.required("valueFrom", problems);
    fields.finish(problems);
    let mut source = source?.fields(problems)?;
    let name = source.required("envVariable", problems);
    source.finish(problems);
    let name = name?;
    env.get(&name.text(problems)?, &name.at, problems)
}

/// Values are texts, as in seed-farmer.
fn global_parameters(part: &Spanned<'_>, problems: &mut Diagnostics) -> Map<String, Value> {
    warn_of_special_names(part, problems);
    texts(part, problems)
}

fn regional_parameters(part: &Spanned<'_>, problems: &mut Diagnostics) -> Map<String, Value> {
    warn_of_special_names(part, problems);
    part.warn_of_traps(problems);
    part.entries(problems)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.node.to_json()))
        .collect()
}

/// Warns of two parameters that change the behaviour of seed-farmer itself.
fn warn_of_special_names(part: &Spanned<'_>, problems: &mut Diagnostics) {
    for (name, instead) in [
        (
            "permissionsBoundaryName",
            "give the permissions boundary as a parameter of Seedflow's template",
        ),
        (
            "dockerCredentialsSecret",
            "log in to the registry in the deployspec's install phase",
        ),
    ] {
        if let Some(node) = part.node.get(name) {
            let at = Location {
                line: Some(node.line),
                field: format!("{}.{name}", part.at.field),
                ..part.at.clone()
            };
            problems.warning(&at, format!("{name} has no effect on builds; {instead}"));
        }
    }
}
