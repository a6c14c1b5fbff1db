//! A made-up repository with as many modules as are wanted, which Seedflow and seed-farmer read alike.
//!
//! Its groups have the same number of modules, and each module takes a value from the one in the same place of the group
//! before. A module is four small files.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use seedflow_local::checkout::bundle;
use seedflow_local::stack::Stack;
use seedflow_local::stack::environment::{ACCOUNT, REGION};
use serde_json::json;

const DEPLOYSPEC: &str = "publishGenericEnvVariables: true\n\
    deploy:\n  phases:\n    build:\n      commands:\n      - python3 app.py\n      - seedfarmer metadata add -k Value -v one\n\
    destroy:\n  phases:\n    build:\n      commands:\n      - echo destroyed\n";

/// The files of a repository by their paths.
pub struct Repository {
    files: BTreeMap<String, String>,
    folders: Vec<String>,
}

impl Repository {
    /// A repository with `modules` modules in groups of `group`, for a deployment of this name.
    pub fn new(project: &str, name: &str, modules: usize, group: usize) -> Self {
        let mut repository = Self {
            files: BTreeMap::from([("seedfarmer.yaml".to_owned(), format!("project: {project}\n"))]),
            folders: Vec::new(),
        };
        let groups = modules.div_ceil(group);
        repository.put("deployment.yaml", deployment(name, groups));
        for number in 0..groups {
            let members = number * group..modules.min((number + 1) * group);
            let manifests: Vec<String> = members.clone().map(|one| manifest(number, one, group)).collect();
            repository.put(
                &format!("manifests/{}.yaml", group_name(number)),
                manifests.join("---\n"),
            );
            members.for_each(|one| repository.module(one));
        }
        repository.change(0);
        repository
    }

    /// Gives every module another file.
    pub fn change(&mut self, version: u32) {
        for folder in self.folders.clone() {
            self.put(&format!("{folder}/app.py"), format!("print(\"{version}\")\n"));
        }
    }

    /// Its zip.
    pub fn zip(&self) -> Result<Vec<u8>> {
        let files = self.files.iter();
        bundle::files(files.map(|(path, content)| (path.as_str(), content.as_bytes())))
    }

    /// Writes it into a folder, over what is there of it.
    pub fn write(&self, folder: &Path) -> Result<()> {
        for (path, content) in &self.files {
            let path = folder.join(path);
            let parent = path.parent().context("a file lies in a folder")?;
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, content))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn put(&mut self, path: &str, content: String) {
        self.files.insert(path.to_owned(), content);
    }

    fn module(&mut self, number: usize) {
        let folder = folder(number);
        self.put(&format!("{folder}/deployspec.yaml"), DEPLOYSPEC.to_owned());
        self.put(&format!("{folder}/README.md"), format!("# Module {number}\n"));
        self.put(&format!("{folder}/stack.py"), stack(number));
        self.folders.push(folder);
    }
}

/// A group's name.
pub fn group_name(number: usize) -> String {
    format!("group-{number:02}")
}

/// A module's name.
pub fn module_name(number: usize) -> String {
    format!("module-{number:03}")
}

/// Starts the deployment of a repository as a client without git does it: packs what lies in the folder, uploads it and
/// starts the execution, whose ARN it returns.
pub async fn start(stack: &Stack, project: &str, folder: &Path) -> Result<String> {
    let api = stack.api();
    let bundle = bundle::folder(
        folder,
        &stack.folder().join(format!("repository-of-{project}.zip")),
    )?;
    let zip = tokio::fs::read(&bundle.path)
        .await
        .context("cannot read the packed repository")?;
    let connection = stack.connection();
    let key = format!("uploads/{project}/{}.zip", bundle.md5);
    api.put_object(&connection.work_bucket, &key, zip)
        .await
        .context("cannot upload the repository")?;
    let input = json!({"project": project, "source": {"key": key}});
    let call = json!({"stateMachineArn": connection.deploy_state_machine_arn, "input": input.to_string()});
    let started = api.json("states", "AWSStepFunctions.StartExecution", &call).await;
    let started = started.context("cannot start a deployment")?;
    let arn = started["executionArn"].as_str();
    Ok(arn.context("the started execution has no ARN")?.to_owned())
}

/// Where a module lies.
pub fn folder(number: usize) -> String {
    format!("modules/{}", module_name(number))
}

/// The one parameter of a module.
pub fn cidr(number: usize) -> String {
    format!("10.{}.0.0/16", number % 256)
}

fn deployment(name: &str, groups: usize) -> String {
    let groups: String = (0..groups)
        .map(group_name)
        .map(|name| format!("- name: {name}\n  path: manifests/{name}.yaml\n"))
        .collect();
    format!(
        "name: {name}\ntoolchainRegion: {REGION}\ngroups:\n{groups}targetAccountMappings:\n- alias: primary\n  \
         accountId: \"{ACCOUNT}\"\n  default: true\n  regionMappings:\n  - region: {REGION}\n    default: true\n"
    )
}

fn manifest(group: usize, module: usize, of_a_group: usize) -> String {
    let consumed = match group {
        0 => String::new(),
        _ => format!(
            "- name: upstream\n  valueFrom:\n    moduleMetadata:\n      group: {}\n      name: {}\n      key: Value\n",
            group_name(group - 1),
            module_name(module - of_a_group)
        ),
    };
    format!(
        "name: {}\npath: {}\nparameters:\n- name: vpc-cidr\n  value: {}\n{consumed}",
        module_name(module),
        folder(module),
        cidr(module)
    )
}

/// A file of some length, different in every module.
fn stack(number: usize) -> String {
    let line = |resource| {
        format!(
            "resource_{resource} = Resource(\"module-{number}\", size={})\n",
            resource * number
        )
    };
    (0..40).map(line).collect()
}
