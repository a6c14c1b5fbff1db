//! `targetAccountMappings`: the accounts and regions of a manifest, and the settings for the modules in them.
//!
//! Each module has the settings of its own account and region, as in seed-farmer. A mapping that no module uses is not
//! checked against an account. An administrator's limits (networks, the path of roles, a boundary) are known here for
//! Seedflow's own account and region only. For a target, planning checks the path and the boundary, and each build checks
//! its network.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value};

use super::build_choice::{BuildChoice, checked};
use super::diagnostic::{Diagnostics, Location};
use super::environment::Env;
use super::network::MappedNetwork;
use super::spanned::{Spanned, YamlFields, texts};
use crate::deployment::targets::NamedRolePath;
use crate::error::{excerpt, expected};
use crate::formats::yaml::Kind;
use crate::ids::AwsEnvironment;
use crate::module::maximum::Maxima;
use crate::target::Target;

/// Parameters that seed-farmer itself reads.
const BOUNDARY: &str = "permissionsBoundaryName";
const DOCKER_SECRET: &str = "dockerCredentialsSecret";
/// The same, with the names of the build settings that they become.
const SPECIAL: [(&str, &str); 2] = [
    (DOCKER_SECRET, "docker_credentials_secret"),
    (BOUNDARY, "permissions_boundary"),
];

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
    /// Where the manifest has the parameters that seed-farmer itself reads.
    special: Vec<(&'static str, Location)>,
    build: BuildChoice,
    /// The network of the builds in a region.
    network: Option<MappedNetwork>,
    /// The path of the roles of builds, and where the manifest has it.
    role_path: Option<(String, Location)>,
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

/// The account and region of a module, by their indexes; `None` without mappings.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Chosen(Option<(usize, usize)>);

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
    ) -> Option<Chosen> {
        if self.accounts.is_empty() {
            for part in [account, region].into_iter().flatten() {
                problems.error(
                    &part.at,
                    "the manifest has no targetAccountMappings; leave the field out, or add them",
                );
            }
            return Some(Chosen::default());
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
            self.used.push((a, r));
        }
        Some(Chosen(Some((a, r))))
    }

    /// Finds used mappings to an account or region that modules may not be deployed in.
    pub fn find_unlisted(&self, home: &AwsEnvironment, maxima: &Maxima, problems: &mut Diagnostics) {
        for &(a, r) in &self.used {
            let (account, region) = (&self.accounts[a], &self.accounts[a].regions[r]);
            let Some(id) = &account.id else {
                continue;
            };
            match Target::parse("target", id, &region.name) {
                Err(_) => problems.found(
                    &region.at,
                    format!("\"{}\"", excerpt(&region.name, 40)),
                    "the name of a region, such as eu-west-1",
                ),
                Ok(target) if home.is(&target) || maxima.may_target(id) => {}
                Ok(target) if *id == home.account => {
                    let allowed = format!(
                        "{}, Seedflow's own region, unless the template parameter TargetAccounts has the account {id}",
                        home.region
                    );
                    let message = expected(format!("\"{}\"", region.name), allowed);
                    problems.unlisted(target, &region.at, message);
                }
                Ok(target) => {
                    let allowed = format!(
                        "{}, Seedflow's own account, or an account of the template parameter TargetAccounts ({})",
                        home.account,
                        maxima.targets_shown()
                    );
                    let message = expected(format!("\"{id}\""), allowed);
                    problems.unlisted(target, &account.at, message);
                }
            }
        }
    }

    /// The account and region of a module as the manifest names them.
    pub fn place(&self, Chosen(chosen): Chosen) -> Option<(String, String)> {
        let account = &self.accounts[chosen?.0];
        Some((account.id.clone()?, account.regions[chosen?.1].name.clone()))
    }

    /// The target of a module; `None` at home. Without a known home there are no targets: nothing is deployed then.
    pub fn target_of(&self, chosen: Chosen, home: Option<&AwsEnvironment>) -> Option<Target> {
        let home = home?;
        let (account, region) = self.place(chosen)?;
        // What isn't valid is reported by `find_unlisted`.
        let target = Target::parse("target", &account, &region).ok()?;
        Some(target).filter(|target| !home.is(target))
    }

    /// All accounts and regions but home. Without a known home there are none.
    pub fn mapped(&self, home: Option<&AwsEnvironment>) -> BTreeSet<Target> {
        let regions = |a: usize| (0..self.accounts[a].regions.len()).map(move |r| Chosen(Some((a, r))));
        let all = (0..self.accounts.len()).flat_map(regions);
        all.filter_map(|chosen| self.target_of(chosen, home)).collect()
    }

    /// The used mappings to Seedflow's own account and region, to which its template's limits apply.
    fn used_at_home<'a>(
        &'a self,
        home: Option<&'a AwsEnvironment>,
    ) -> impl Iterator<Item = (usize, usize)> + 'a {
        let at_home = move |used: &(usize, usize)| self.target_of(Chosen(Some(*used)), home).is_none();
        self.used.iter().copied().filter(at_home)
    }

    /// Refuses networks of used mappings that builds may not use.
    pub fn refuse_networks(
        &self,
        home: Option<&AwsEnvironment>,
        maxima: &Maxima,
        problems: &mut Diagnostics,
    ) {
        let Some(allowed) = &maxima.networks else {
            return;
        };
        for (a, r) in self.used_at_home(home) {
            if let Some(network) = &self.accounts[a].regions[r].network {
                network.check(allowed, problems);
            }
        }
    }

    /// Refuses a path of roles that is not the template's. A path of its own could match what other policies of the
    /// account trust.
    pub fn refuse_another_role_path(
        &self,
        home: Option<&AwsEnvironment>,
        maxima: &Maxima,
        problems: &mut Diagnostics,
    ) {
        for &(a, r) in &self.used {
            let maxima = &self.maxima_of(Chosen(Some((a, r))), home, maxima);
            if let Some((path, at)) = self.role_path((a, r))
                && let Err(other) = maxima.role_path(path)
            {
                problems.error(at, other.to_string());
            }
        }
    }

    /// The path of roles of a mapping: that of the region, or else of the account.
    fn role_path(&self, (a, r): (usize, usize)) -> Option<&(String, Location)> {
        let account = &self.accounts[a];
        account.regions[r]
            .role_path
            .as_ref()
            .or(account.role_path.as_ref())
    }

    /// The paths of roles that used mappings name for targets. Planning compares them with the targets' own.
    pub fn role_paths_of_targets(&self, home: Option<&AwsEnvironment>) -> Vec<NamedRolePath> {
        let named = |used: &(usize, usize)| {
            let (path, at) = self.role_path(*used)?;
            Some(NamedRolePath {
                target: self.target_of(Chosen(Some(*used)), home)?,
                path: path.clone(),
                at: at.file_line_and_field(),
            })
        };
        self.used.iter().filter_map(named).collect()
    }

    /// The maxima for a module: those of the template apply at home.
    pub fn maxima_of(&self, chosen: Chosen, home: Option<&AwsEnvironment>, maxima: &Maxima) -> Maxima {
        match self.target_of(chosen, home) {
            Some(_) => maxima.of_a_target(),
            None => maxima.clone(),
        }
    }

    /// A value of `parametersRegional`, or else of `parametersGlobal`.
    pub fn parameter(&self, target: Chosen, name: &str) -> Option<&Value> {
        let (a, r) = target.0?;
        let account = &self.accounts[a];
        account.regions[r]
            .parameters
            .get(name)
            .or_else(|| account.parameters.get(name))
            .filter(|value| !value.is_null())
    }

    /// Refuses parameters of used mappings that become build settings, and that an input may not have.
    pub fn refuse_settings(
        &self,
        home: Option<&AwsEnvironment>,
        maxima: &Maxima,
        problems: &mut Diagnostics,
    ) {
        for &(a, r) in &self.used {
            let maxima = &self.maxima_of(Chosen(Some((a, r))), home, maxima);
            for (parameter, setting) in SPECIAL {
                if let Some((value, at)) = self.special((a, r), parameter)
                    && let Err(refused) = checked(setting, value, at, maxima)
                {
                    refused.report(problems);
                }
            }
        }
    }

    /// The value of a parameter that seed-farmer itself reads, and where it is.
    fn special(&self, (a, r): (usize, usize), name: &str) -> Option<(&Value, &Location)> {
        // What isn't a text was reported.
        let value = self
            .parameter(Chosen(Some((a, r))), name)
            .filter(|value| is_name(value))?;
        let account = &self.accounts[a];
        let places = account.regions[r].special.iter().chain(&account.special);
        let (_, at) = places.into_iter().find(|(found, _)| *found == name)?;
        Some((value, at))
    }

    /// The build settings of the region over those of the account, with those among the parameters. Settings that an
    /// input may not have are left out: [`Self::refuse_settings`] reports them.
    pub fn build(&self, target: Chosen, maxima: &Maxima) -> BuildChoice {
        target.0.map_or_else(BuildChoice::default, |(a, r)| {
            let account = &self.accounts[a];
            let region = &account.regions[r];
            let network = region.network.as_ref().map(MappedNetwork::written);
            let choice = region.build.clone().or(&account.build);
            let choice = SPECIAL.iter().fold(choice, |choice, (parameter, setting)| {
                let named = self.special((a, r), parameter);
                let allowed = named.filter(|(value, at)| checked(setting, value, at, maxima).is_ok());
                choice.with(setting, allowed.map(|(value, _)| value))
            });
            choice.with("network", network.as_ref())
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
        let items = list.items(problems);
        for item in &items {
            let Some(mapping) = one(item, problems) else {
                continue;
            };
            if !names.insert(mapping.name.clone()) {
                let message = format!("duplicate {name} \"{}\"", excerpt(&mapping.name, 80));
                problems.error(&item.at, message);
            }
            if mapping.default {
                only_default(item, default.get_or_insert(item), problems);
            }
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
        let (parameters, special) = fields
            .take("parametersGlobal", problems)
            .map(|part| (global_parameters(&part, problems), special_places(&part)))
            .unwrap_or_default();
        let build = BuildChoice::read(&mut fields, problems);
        let regions = fields.take("regionMappings", problems);
        let role_path = role_path(&mut fields, problems);
        fields.finish(problems);
        let region = |item: &Spanned<'_>, problems: &mut Diagnostics| Self::region(item, env, problems);
        let regions = regions
            .map(|list| Self::list(&list, "region", region, problems))
            .unwrap_or_default();
        Some(Self {
            name: name?,
            id,
            at,
            default,
            parameters,
            special,
            build,
            network: None,
            role_path,
            regions,
        })
    }

    fn region(part: &Spanned<'_>, env: &Env, problems: &mut Diagnostics) -> Option<Self> {
        let mut fields = part.fields(problems)?;
        let region = fields.required("region", problems);
        let at = region
            .as_ref()
            .map_or_else(|| part.at.clone(), |region| region.at.clone());
        let name = region.and_then(|region| region.text(problems));
        let default = flag(&mut fields, problems);
        let (parameters, special) = fields
            .take("parametersRegional", problems)
            .map(|part| (regional_parameters(&part, problems), special_places(&part)))
            .unwrap_or_default();
        let build = BuildChoice::read(&mut fields, problems);
        let network = fields.take("network", problems);
        let network = network.and_then(|part| MappedNetwork::read(&part, &parameters, env, problems));
        fields.without_effect(
            &["seedkitMetadata", "seedfarmerArtifactBucket"],
            "Seedflow's template replaces the seedkit",
            problems,
        );
        let role_path = role_path(&mut fields, problems);
        fields.finish(problems);
        Some(Self {
            name: name?,
            id: None,
            at,
            default,
            parameters,
            special,
            build,
            network,
            role_path,
            regions: Vec::new(),
        })
    }
}

fn flag(fields: &mut YamlFields<'_>, problems: &mut Diagnostics) -> bool {
    let part = fields.take("default", problems);
    part.and_then(|part| part.flag(problems)).unwrap_or(false)
}

/// seed-farmer silently takes the last of several defaults. Two that differ only in the alias are the same account.
fn only_default(item: &Spanned<'_>, first: &Spanned<'_>, problems: &mut Diagnostics) {
    if std::ptr::eq(item, first) {
        return;
    }
    let already = format!("{} is the default already", first.at.field);
    if without_alias(item) == without_alias(first) {
        let message = format!("{already}, and differs only in the alias; the first of both counts");
        problems.warning(&item.at, message);
    } else {
        problems.error(&item.at, format!("{already}; only one can be the default"));
    }
}

/// A mapping as the manifest has it, without the name that the manifest gives it.
fn without_alias(item: &Spanned<'_>) -> Value {
    let mut mapping = item.node.to_json();
    if let Some(fields) = mapping.as_object_mut() {
        fields.remove("alias");
    }
    mapping
}

/// Takes the two paths of IAM: that of the roles of builds, and that of the seedkit's policy.
fn role_path(fields: &mut YamlFields<'_>, problems: &mut Diagnostics) -> Option<(String, Location)> {
    fields.without_effect(
        &["policyPrefix"],
        "it belongs to the seedkit's policy, which Seedflow's template replaces",
        problems,
    );
    let part = fields.take("rolePrefix", problems)?;
    let path = part.text(problems)?;
    // Blank means none, as in seed-farmer.
    (!path.is_empty()).then(|| (path, part.at.clone()))
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
    source.refuse_unknown(problems);
    let name = name?;
    env.get(&name.text(problems)?, &name.at, problems)
}

/// Values are texts, as in seed-farmer.
fn global_parameters(part: &Spanned<'_>, problems: &mut Diagnostics) -> Map<String, Value> {
    texts(part, problems)
}

fn regional_parameters(part: &Spanned<'_>, problems: &mut Diagnostics) -> Map<String, Value> {
    special_names(part, problems);
    part.warn_of_traps(problems);
    part.entries(problems)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.node.to_json()))
        .collect()
}

/// Blank means none, as in seed-farmer; what isn't a text was reported.
fn is_name(value: &Value) -> bool {
    value.as_str().is_some_and(|name| !name.trim().is_empty())
}

/// Checks the parameters that have a meaning of their own in seed-farmer.
fn special_names(part: &Spanned<'_>, problems: &mut Diagnostics) {
    for (name, at) in special_places(part) {
        if let Some(node) = part.node.get(name)
            && !matches!(node.kind, Kind::Scalar(Value::String(_) | Value::Null))
        {
            problems.found(&at, node.describe(), "a text");
        }
    }
}

/// Where these parameters are.
fn special_places(part: &Spanned<'_>) -> Vec<(&'static str, Location)> {
    let place = |name: &'static str| {
        let at = Location {
            line: Some(part.node.get(name)?.line),
            field: format!("{}.{name}", part.at.field),
            ..part.at.clone()
        };
        Some((name, at))
    };
    SPECIAL.iter().filter_map(|(name, _)| place(name)).collect()
}
