//! A run of the command: reads both sides and the repository, and goes through the modules in the order of the manifest,
//! so that the values that a module consumes are known when its turn comes.

use std::collections::BTreeMap;
use std::fs::File;

use anyhow::{Context, Result};
use jiff::Timestamp;
use seedflow_core::bundle::repository::{Content, Repository};
use seedflow_core::deployment::plan;
use seedflow_core::deployment::repository::{self, Found};
use seedflow_core::deployment::request::{Forced, Scope};
use seedflow_core::deployment::state::State;
use seedflow_core::error::Result as Decided;
use seedflow_core::fingerprint::Versions;
use seedflow_core::ids::{ModuleId, Name};
use seedflow_core::manifest::{self, Given, Repository as _};
use seedflow_core::module_stack::{ModuleStack, Names};
use seedflow_core::request::Options;
use seedflow_core::sibling::{Sibling, Siblings};
use serde_json::{Map, Value};

use crate::account::Account;
use crate::checkout;
use crate::cli::Cli;
use crate::seedfarmer::{self, checksum};
use crate::show::{Ended, Show};
use crate::takeover::{self, Here, Parts, TakeOver};

/// What modules publish.
type Published = BTreeMap<Sibling, Map<String, Value>>;

/// All that a run knows before its first module.
struct Run<'a> {
    cli: &'a Cli,
    account: Account,
    show: Show,
    theirs: seedfarmer::Deployment,
    ours: State,
    versions: Versions,
    archive: Repository<File>,
    contents: BTreeMap<ModuleId, (Content, String)>,
    /// What Seedflow has, or has after this run.
    published: Published,
}

/// Runs the command. `false` where something could not be taken over.
pub async fn run(cli: &Cli) -> Result<bool> {
    let show = Show::new();
    let account = Account::of_stack(&cli.stack_name).await?;
    let folder = cli.folder.canonicalize();
    let folder = folder.with_context(|| format!("there is no folder {}", cli.folder.display()))?;
    let env = cli.env.iter().cloned().collect();
    let project: Option<Name> = cli.project.clone();
    let given = Given {
        manifest: &cli.manifest,
        env: &env,
        project: project.as_ref(),
        place: Some(&account.place),
    };
    let read = match repository::read(checkout::repository(&folder)?, Default::default(), &given)? {
        Found::Read(read) => *read,
        Found::Refused { error, .. } => return Err(error).context("Seedflow can't deploy this repository"),
    };
    let deployment = read.deployment.clone();
    show.heading(&deployment, &account.place, cli.apply);
    let scope = Scope {
        project: deployment.project.clone(),
        manifest: cli.manifest.clone(),
    };
    if let Some(holder) = account.holder(&scope).await? {
        anyhow::bail!(
            "{} is being deployed by {}; run this again when that has ended",
            cli.manifest,
            holder.as_str()
        );
    }
    let groups = read.groups(&Forced::Some(Vec::new()), &account.limits)?;
    let manifests: Vec<manifest::Module> = read
        .manifest()
        .iter()
        .flat_map(|group| group.modules.clone())
        .collect();
    let theirs = account.below(&seedfarmer::Deployment::path(&deployment)).await?;
    let (archive, contents) = read.into_archive();
    let mut run = Run {
        cli,
        theirs: seedfarmer::Deployment::of(&deployment, &theirs),
        ours: account.state(&deployment).await?,
        versions: account.versions(references(&groups)).await?,
        account,
        show,
        archive,
        contents,
        published: Published::new(),
    };
    let modules = groups.iter().flat_map(|group| &group.modules);
    for (module, manifest) in modules.zip(&manifests) {
        let ended = match run.module(module, manifest, &folder).await {
            Ok(ended) => ended,
            Err(error) => Ended::Refused(format!("{error:#}")),
        };
        run.show.ended(&module.id, &ended);
    }
    for name in run.left_behind(&manifests) {
        run.show.left_behind(&name);
    }
    run.show.sum(cli.apply);
    Ok(!run.show.has_refused())
}

fn references(groups: &[plan::Group]) -> Vec<String> {
    let modules = groups.iter().flat_map(|group| &group.modules);
    let names = modules.flat_map(|module| module.options.parameters.parameter_store_names());
    names.map(str::to_owned).collect()
}

impl Run<'_> {
    /// Takes one module over, or shows what that would write.
    async fn module(
        &mut self,
        module: &plan::Module,
        manifest: &manifest::Module,
        folder: &std::path::Path,
    ) -> Result<Ended> {
        let id = &module.id;
        let stored = self.ours.stored(id);
        let status = stored.status_of(id)?;
        if let Some(status) = status.filter(takeover::is_seedflows_own) {
            self.publish(id, stored.metadata_object());
            return Ok(Ended::Own(status.state));
        }
        let Some(theirs) = self
            .theirs
            .module(id)
            .filter(|theirs| theirs.is_deployed())
            .cloned()
        else {
            return Ok(Ended::NotThere);
        };
        if let Some(holder) = self.account.holder(id).await? {
            return Ok(Ended::Refused(format!(
                "it is being deployed by {}; run this again when that has ended",
                holder.as_str()
            )));
        }
        let Some(metadata) = theirs.metadata_object() else {
            let name = seedfarmer::Deployment::metadata_parameter(id);
            return Ok(Ended::Refused(format!(
                "{name}: found no JSON object; deploy the module once more"
            )));
        };
        let here = Here {
            module,
            manifest,
            bundle: checksum::of_module(folder, &manifest.path)?,
            versions: &self.versions,
        };
        let mut changes = takeover::changes(&theirs, &here);
        changes.extend(self.values_changed(module, &theirs).await?);
        let options = module.options.clone().resolve(id, &self.siblings());
        let stack = match &options {
            Ok(options) if changes.is_empty() => self.module_stack(module, manifest, options)?,
            _ => None,
        };
        let recorded = self.account.record(id).await?;
        let outputs = self.account.outputs(&module.options.stack_name).await?;
        let parts = Parts {
            module,
            changes,
            options,
            stack,
            metadata: &metadata,
            outputs: &outputs,
            deployed_at: theirs.deployed_at,
            versions: &self.versions,
            stored: &stored,
            recorded: recorded.as_ref(),
        };
        let taken = takeover::take_over(parts, Timestamp::now())?;
        let unnoticed = !manifest.data_files.is_empty();
        self.show.take_over(&self.account, &taken, unnoticed);
        let ended = Ended::of(&taken);
        if self.cli.apply {
            self.apply(taken).await?;
        }
        self.publish(id, Some(metadata));
        Ok(ended)
    }

    fn publish(&mut self, id: &ModuleId, metadata: Option<Map<String, Value>>) {
        if let Some(metadata) = metadata {
            self.published.insert(Sibling::from(id), metadata);
        }
    }

    fn siblings(&self) -> Siblings {
        self.published.clone().into_iter().collect()
    }

    /// The modules whose values were others when this one was deployed. seed-farmer takes no notice of that.
    async fn values_changed(
        &self,
        module: &plan::Module,
        theirs: &seedfarmer::Stored,
    ) -> Result<Vec<String>> {
        let Some(read_at) = theirs.read_at else {
            return Ok(Vec::new());
        };
        let mut changed = Vec::new();
        for sibling in module.options.parameters.siblings() {
            let id = sibling.id(&module.id);
            let published = self.theirs.module(&id).and_then(|stored| stored.published_at);
            if published.is_none_or(|published| published <= read_at) {
                continue;
            }
            let name = seedfarmer::Deployment::metadata_parameter(&id);
            let then = self.account.text_at(&name, read_at).await?;
            let then = then.and_then(|text| serde_json::from_str(&text).ok());
            if then.is_none_or(|then| !self.are_the_same(module, &sibling, then)) {
                changed.push(format!(
                    "{sibling} has been deployed since, and published other values"
                ));
            }
        }
        Ok(changed)
    }

    /// Whether a module gets the same values whether a sibling publishes what it does, or what it did.
    fn are_the_same(&self, module: &plan::Module, sibling: &Sibling, then: Map<String, Value>) -> bool {
        let resolve = |known: Published| -> Decided<Options> {
            module
                .options
                .clone()
                .resolve(&module.id, &known.into_iter().collect())
        };
        let mut before = self.published.clone();
        before.insert(sibling.clone(), then);
        match (resolve(before), resolve(self.published.clone())) {
            (Ok(before), Ok(now)) => before.parameters == now.parameters,
            _ => false,
        }
    }

    /// The stack of the module's own role, where its folder brings one.
    fn module_stack(
        &mut self,
        module: &plan::Module,
        manifest: &manifest::Module,
        options: &Options,
    ) -> Result<Option<ModuleStack>> {
        let path = match manifest.path.as_str() {
            "" => "modulestack.yaml".to_owned(),
            folder => format!("{folder}/modulestack.yaml"),
        };
        let Some(template) = self.archive.text(&path)? else {
            return Ok(None);
        };
        let names = Names::new(&self.account.module_prefix, &module.id)?;
        let stack = ModuleStack::parse(template.as_bytes(), names, &module.id, options)?;
        Ok(Some(stack))
    }

    /// Writes what was decided: the record before all that relies on it, the status last.
    async fn apply(&mut self, taken: TakeOver) -> Result<()> {
        if taken.forget {
            self.account.forget(&taken.id).await?;
        }
        if let Some(mut record) = taken.record {
            let version = self.keep(&taken.id).await?;
            record.bundle = Some(takeover::kept(&taken.id, self.account.bundles.name(), version));
            self.account.write_record(&record).await?;
        }
        for write in taken.writes {
            self.account.write(&taken.id, write).await?;
        }
        Ok(())
    }

    async fn keep(&mut self, id: &ModuleId) -> Result<Option<String>> {
        let (content, _) = self.contents.get(id).context("the module has no files")?;
        let mut bundle = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
        self.archive.pack(content, bundle.as_file_mut())?;
        self.account.keep(id, bundle.path()).await
    }

    /// What seed-farmer has deployed and the manifest doesn't have.
    fn left_behind(&self, manifests: &[manifest::Module]) -> Vec<String> {
        let known = |name: &str| {
            manifests
                .iter()
                .any(|module| format!("{}/{}", module.id.group, module.id.module) == name)
        };
        let left = self.theirs.deployed().filter(|name| !known(name));
        left.map(str::to_owned).collect()
    }
}
