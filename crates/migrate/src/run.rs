//! A run of the command: reads both sides and the repository, and goes through the modules in the order of the manifest,
//! so that the values that a module consumes are known before it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use seedflow_core::deployment::archives::Archives;
use seedflow_core::deployment::manifest;
use seedflow_core::deployment::manifest::{LoadContext, Repository as _};
use seedflow_core::deployment::manifest_options::ManifestOptions;
use seedflow_core::deployment::planner;
use seedflow_core::deployment::remote_source::{FetchedSource, RemoteSource};
use seedflow_core::deployment::repository;
use seedflow_core::deployment::repository::{Loaded, Opened, Packing};
use seedflow_core::deployment::selection::Forced;
use seedflow_core::deployment::state::DeploymentState;
use seedflow_core::error::Error;
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::{AwsEnvironment, ModuleId};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::deployed_record::Kept;
use seedflow_core::module::fingerprint::{Versions, VersionsByTarget};
use seedflow_core::module::input::Options;
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::role::ModuleStack;
use seedflow_core::module::stored_parameters::ModuleParameters;
use seedflow_core::target::Target;
use seedflow_fetch::{Credentials, Fetcher, Limits};
use serde_json::{Map, Value};

use crate::account::Account;
use crate::checkout;
use crate::cli::Cli;
use crate::seedfarmer::files::Files;
use crate::seedfarmer::{self, checksum};
use crate::show::{Show, TakeoverResult};
use crate::takeover::{self, Here, Parts, TakeOver};

/// What modules publish.
type MetadataByModule = BTreeMap<ModuleRef, Map<String, Value>>;

/// A module as it is planned, and by its manifest.
type Modules = Vec<(planner::PlannableModule, manifest::Module)>;

/// What a run has read before its first module.
struct Migration<'a> {
    cli: &'a Cli,
    folder: PathBuf,
    account: Account,
    show: Show,
    /// What seed-farmer has in each account and region; home is `None`.
    theirs: BTreeMap<Option<Target>, seedfarmer::Deployment>,
    /// Where each module of the manifest goes.
    targets: BTreeMap<ModuleRef, Option<Target>>,
    ours: DeploymentState,
    versions: VersionsByTarget,
    archives: Archives<File>,
    packings: BTreeMap<ModuleId, Packing>,
    fetched: Vec<FetchedSource>,
    /// What Seedflow has, or has after this run.
    published: MetadataByModule,
}

/// Runs the command. `false` where something could not be taken over.
pub async fn run(cli: &Cli) -> Result<bool> {
    let folder = cli.folder.canonicalize();
    let folder = folder.with_context(|| format!("no such folder: {}", cli.folder.display()))?;
    let mut account = Account::of_stack(&cli.stack_name).await?;
    let read = read(cli, &folder, &account.environment)?;
    refuse_busy(&account, &read.deployment).await?;
    let groups = read.groups(&Forced::Some(Vec::new()));
    for target in planner::targets(&groups).into_iter().flatten() {
        account.enter(target, &read.deployment.project, cli).await?;
    }
    let (mut migration, modules) = Migration::begin(cli, folder, account, read, groups).await?;
    for (module, manifest) in &modules {
        let ended = migration.module(module, manifest).await;
        let ended = ended.unwrap_or_else(|error| TakeoverResult::Refused(format!("{error:#}")));
        migration.show.ended(&module.id, &ended);
    }
    for name in migration.left_behind() {
        migration.show.left_behind(&name);
    }
    migration.show.sum(cli.apply);
    Ok(!migration.show.has_refused())
}

fn read(
    cli: &Cli,
    folder: &Path,
    environment: &AwsEnvironment,
) -> Result<repository::LoadedRepository<File>> {
    let options = ManifestOptions {
        manifest: cli.manifest.clone(),
        env: cli.env.iter().cloned().collect(),
        env_files: cli.env_files.clone(),
        env_path: None,
    };
    let given = LoadContext {
        project: cli.project.as_ref(),
        environment: Some(environment),
        ..LoadContext::offline(&options)
    };
    let opened = open(cli, folder, &given)?;
    let found = repository::read(opened, &given)?;
    match found.result.context("Seedflow can't deploy this repository")? {
        Loaded::Whole(read) => Ok(*read),
        Loaded::Needs(_) => bail!("the manifest changed while it was read; run this again"),
    }
}

/// The folder and the remote sources that its manifest names.
fn open(cli: &Cli, folder: &Path, given: &LoadContext<'_>) -> Result<Opened<File>> {
    let mut archives = Archives::new(checkout::repository(folder)?);
    let credentials = Credentials::of_file(cli.credentials.as_deref())?;
    let fetcher = Fetcher::new(credentials, Limits::default());
    let mut fetched = Vec::new();
    for source in manifest::sources(&mut archives, given) {
        let (zip, commit) = fetcher.repository(&source)?;
        archives.add(source.clone(), zip)?;
        let key = String::new();
        fetched.push(FetchedSource { source, commit, key });
    }
    Ok(Opened {
        archives,
        commit_info: CommitInfo::default(),
        fetched,
    })
}

async fn refuse_busy(account: &Account, deployment: &DeploymentId) -> Result<()> {
    match account.holder(deployment).await? {
        None => Ok(()),
        Some(holder) => bail!(
            "{deployment} is being deployed by {}; run this again when that has ended",
            holder.as_str()
        ),
    }
}

/// What seed-farmer has in an account and region that the manifest maps and no module goes to.
async fn left_in(
    account: &mut Account,
    target: &Target,
    deployment: &DeploymentId,
    cli: &Cli,
) -> Result<seedfarmer::Deployment> {
    account.enter(target, &deployment.project, cli).await?;
    let path = seedfarmer::Deployment::path(deployment);
    let found = account.below(Some(target), &path).await?;
    Ok(seedfarmer::Deployment::of(deployment, &found))
}

impl<'a> Migration<'a> {
    /// Reads what both sides store.
    async fn begin(
        cli: &'a Cli,
        folder: PathBuf,
        mut account: Account,
        read: repository::LoadedRepository<File>,
        groups: Vec<planner::PlannableGroup>,
    ) -> Result<(Self, Modules)> {
        let deployment = read.deployment.clone();
        let show = Show::new();
        show.heading(&deployment, &account.environment, cli.apply);
        let manifests: Vec<manifest::Module> = read
            .manifest()
            .iter()
            .flat_map(|group| group.modules.clone())
            .collect();
        let (mut theirs, mut versions) = (BTreeMap::new(), VersionsByTarget::new());
        // What seed-farmer has at home is looked at even if no module goes there, for those that are left behind.
        for target in planner::targets(&groups).into_iter().chain([None]) {
            let path = seedfarmer::Deployment::path(&deployment);
            let found = account.below(target, &path).await?;
            theirs.insert(target.cloned(), seedfarmer::Deployment::of(&deployment, &found));
            let names = planner::references(&groups, target);
            versions.insert(target.cloned(), account.versions(target, names).await?);
        }
        for target in &read.mapped {
            if theirs.contains_key(&Some(target.clone())) {
                continue;
            }
            // No module goes there any more, so nothing is missing if it can't be read but what was left.
            match left_in(&mut account, target, &deployment, cli).await {
                Ok(left) => {
                    theirs.insert(Some(target.clone()), left);
                }
                Err(error) => show.not_looked_at(target, &error),
            }
        }
        let modules = groups.iter().flat_map(|group| &group.modules);
        let targets = modules.map(|module| (ModuleRef::from(&module.id), module.options.target.clone()));
        let targets = targets.collect();
        let fetched = read.fetched.clone();
        let (archives, packings) = read.into_archives();
        let migration = Self {
            cli,
            folder,
            theirs,
            targets,
            ours: account.state(&deployment).await?,
            versions,
            account,
            show,
            archives,
            packings,
            fetched,
            published: MetadataByModule::new(),
        };
        let modules = groups.into_iter().flat_map(|group| group.modules);
        Ok((migration, modules.zip(manifests).collect()))
    }

    /// Takes one module over, or shows what that would write.
    async fn module(
        &mut self,
        module: &planner::PlannableModule,
        manifest: &manifest::Module,
    ) -> Result<TakeoverResult> {
        let id = &module.id;
        let stored = self.ours.stored(id);
        let status = stored.status_of(id)?;
        if let Some(status) = status.filter(takeover::is_seedflows_own) {
            self.publish(id, stored.metadata_object());
            return Ok(TakeoverResult::Own(status.state));
        }
        let theirs = self.stored(&ModuleRef::from(id), id);
        let Some(theirs) = theirs.filter(|theirs| theirs.is_deployed()).cloned() else {
            return Ok(TakeoverResult::NotThere);
        };
        if let Some(holder) = self.account.holder(id).await? {
            bail!(
                "it is being deployed by {}; run this again when that has ended",
                holder.as_str()
            );
        }
        let name = seedfarmer::Deployment::metadata_parameter(id);
        let metadata = theirs.metadata_object();
        let metadata = metadata.with_context(|| {
            format!(
                "{name}: expected a JSON object, found another text; deploy the module once more, by seed-farmer or by Seedflow"
            )
        })?;
        let taken = self
            .decided(module, manifest, &theirs, &metadata, &stored)
            .await?;
        let own_data_files = manifest.data_files.iter().any(|file| file.source.is_none());
        self.show.take_over(&self.account, &taken, own_data_files);
        let ended = TakeoverResult::of(&taken);
        if self.cli.apply {
            self.apply(taken).await?;
        }
        self.publish(id, Some(metadata));
        Ok(ended)
    }

    /// What is written of a module that seed-farmer has deployed.
    async fn decided(
        &mut self,
        module: &planner::PlannableModule,
        manifest: &manifest::Module,
        theirs: &seedfarmer::StoredModule,
        metadata: &Map<String, Value>,
        stored: &ModuleParameters,
    ) -> Result<TakeOver> {
        let here = Here {
            module,
            manifest,
            files: self.files_of(manifest)?,
            fetched: &self.fetched,
            versions: self.versions_of(module),
        };
        let mut changes = takeover::changes(theirs, &here);
        changes.extend(self.values_changed(module, theirs).await?);
        let upstreams = self.published.clone().into_iter().collect();
        let options = module.options.clone().resolve(&module.id, &upstreams);
        let stack = match &options {
            Ok(options) if changes.is_empty() => self.module_stack(module, manifest, options)?,
            _ => None,
        };
        let recorded = self.account.record(&module.id).await?;
        let target = module.options.target.as_ref();
        let outputs = self.account.outputs(target, &module.options.stack_name).await?;
        let parts = Parts {
            module,
            changes,
            options,
            stack,
            metadata,
            outputs: &outputs,
            deployed_at: theirs.deployed_at,
            versions: self.versions_of(module),
            stored,
            recorded: recorded.as_ref(),
        };
        Ok(takeover::take_over(parts, Timestamp::now())?)
    }

    /// What seed-farmer has stored of a module of the manifest, where it goes.
    fn stored(&self, of: &ModuleRef, id: &ModuleId) -> Option<&seedfarmer::StoredModule> {
        self.theirs.get(self.targets.get(of)?)?.module(id)
    }

    /// The versions of the parameters in the account and region of a module.
    fn versions_of(&self, module: &planner::PlannableModule) -> &Versions {
        static NONE: Versions = Versions::new();
        self.versions.get(&module.options.target).unwrap_or(&NONE)
    }

    fn files_of(&self, manifest: &manifest::Module) -> Result<Files> {
        let folder = &manifest.folder;
        Ok(match &folder.source {
            None => Files::Md5(checksum::of_module(&self.folder, &folder.path)?),
            Some(RemoteSource::Archive { .. }) => Files::Archive,
            Some(git @ RemoteSource::Git { .. }) => {
                let fetched = self.fetched.iter().find(|fetched| fetched.source == *git);
                Files::Commit {
                    commit: fetched.and_then(|git| git.commit.clone()).unwrap_or_default(),
                    folder: folder.path.clone(),
                }
            }
        })
    }

    fn publish(&mut self, id: &ModuleId, metadata: Option<Map<String, Value>>) {
        if let Some(metadata) = metadata {
            self.published.insert(ModuleRef::from(id), metadata);
        }
    }

    /// The modules whose values were others when this one was deployed. seed-farmer takes no notice of that.
    async fn values_changed(
        &self,
        module: &planner::PlannableModule,
        theirs: &seedfarmer::StoredModule,
    ) -> Result<Vec<String>> {
        let Some(read_at) = theirs.read_at else {
            return Ok(Vec::new());
        };
        let mut changed = Vec::new();
        for upstream in module.options.parameters.upstreams() {
            let id = upstream.id(&module.id);
            let published = self.stored(&upstream, &id).and_then(|stored| stored.published_at);
            if published.is_none_or(|published| published <= read_at) {
                continue;
            }
            let name = seedfarmer::Deployment::metadata_parameter(&id);
            let target = self.targets.get(&upstream).and_then(Option::as_ref);
            let then = self.account.text_at(target, &name, read_at).await?;
            let then = then.and_then(|text| serde_json::from_str(&text).ok());
            if then.is_none_or(|then| !self.are_the_same(module, &upstream, then)) {
                changed.push(format!(
                    "{upstream} has been deployed since, and published other values"
                ));
            }
        }
        Ok(changed)
    }

    /// Whether a module gets the same values whether a upstream publishes what it does, or what it did.
    fn are_the_same(
        &self,
        module: &planner::PlannableModule,
        upstream: &ModuleRef,
        then: Map<String, Value>,
    ) -> bool {
        let resolve = |known: MetadataByModule| -> Result<Options, Error> {
            module
                .options
                .clone()
                .resolve(&module.id, &known.into_iter().collect())
        };
        let mut before = self.published.clone();
        before.insert(upstream.clone(), then);
        match (resolve(before), resolve(self.published.clone())) {
            (Ok(before), Ok(now)) => before.parameters == now.parameters,
            _ => false,
        }
    }

    /// The stack of the module's own role, where its folder brings one.
    fn module_stack(
        &mut self,
        module: &planner::PlannableModule,
        manifest: &manifest::Module,
        options: &Options,
    ) -> Result<Option<ModuleStack>> {
        let file = manifest.folder.file("modulestack.yaml");
        let template = match &file.source {
            None => self.archives.text(&file.path)?,
            Some(source) => match self.archives.fetched(source) {
                Some(files) => files.text(&file.path)?,
                None => None,
            },
        };
        let Some(template) = template else {
            return Ok(None);
        };
        let prefix = &self.account.module_prefix;
        let stack = ModuleStack::parse(template.as_bytes(), prefix, &module.id, &options.parameters)?;
        Ok(Some(stack))
    }

    /// Writes what was decided: the record before everything that relies on it, the status last.
    async fn apply(&mut self, taken: TakeOver) -> Result<()> {
        if taken.removes_record {
            self.account.remove_record(&taken.id).await?;
        }
        if let Some(mut record) = taken.record {
            let kept = self.keep(&taken.id).await?;
            record.bundle = Some(kept.bundle);
            record.published = Some(kept.published);
            self.account.write_record(&record).await?;
        }
        for write in taken.writes {
            self.account.write(&taken.id, write).await?;
        }
        Ok(())
    }

    async fn keep(&mut self, id: &ModuleId) -> Result<Kept> {
        let packing = self.packings.get(id).context("the module has no files")?;
        let mut bundle = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
        self.archives.pack(&packing.content, bundle.as_file_mut())?;
        self.account.keep(id, bundle.path()).await
    }

    /// What seed-farmer has deployed where the manifest doesn't have it.
    fn left_behind(&self) -> Vec<String> {
        let has = |name: &str, place: &Option<Target>| {
            let mut targets = self.targets.iter();
            targets.any(|(module, target)| module.to_string() == name && target == place)
        };
        let left = |(place, deployment): (&Option<Target>, &seedfarmer::Deployment)| {
            let left = deployment.deployed().filter(|name| !has(name, place));
            let at = |target: &Target| format!(" in {target}");
            let at = place.as_ref().map(at).unwrap_or_default();
            left.map(|name| format!("{name}{at}")).collect::<Vec<_>>()
        };
        self.theirs.iter().flat_map(left).collect()
    }
}
