"""Reads a repository by the models of seed-farmer, and says as JSON what it understood: the modules in order, which modules refer to
which, the files beside modules, and fields that it doesn't know."""

import json
import os
import sys

import yaml
from dotenv import load_dotenv
from pydantic import BaseModel

root = sys.argv[1]
os.chdir(root)
load_dotenv(".env", override=True)

from seedfarmer.models._deploy_spec import DeploySpec  # noqa: E402
from seedfarmer.models._project_spec import ProjectSpec  # noqa: E402
from seedfarmer.models.manifests import DeploymentManifest, ModuleManifest  # noqa: E402


def read(path):
    with open(path, encoding="utf-8") as file:
        return list(yaml.safe_load_all(file))


def unknown(model, path):
    """The fields of a model, and of those within, that seed-farmer has no meaning for."""
    if isinstance(model, list):
        return [name for index, item in enumerate(model) for name in unknown(item, f"{path}[{index}]")]
    if not isinstance(model, BaseModel):
        return []
    found = [f"{path}.{name}" for name in model.model_extra or {}]
    for name in type(model).model_fields:
        found += unknown(getattr(model, name), f"{path}.{name}")
    return found


project = ProjectSpec(**read("seedfarmer.yaml")[0])
deployment = DeploymentManifest(**read("deployment.yaml")[0])
said = {"project": project.project, "deployment": deployment.name, "modules": [], "references": [], "files": []}
extra = unknown(project, "seedfarmer.yaml") + unknown(deployment, "deployment.yaml")
for group in deployment.groups:
    for document in read(group.path):
        module = ModuleManifest(**document)
        name = f"{group.name}/{module.name}"
        spec = DeploySpec(**read(f"{module.path}/deployspec.yaml")[0])
        extra += unknown(module, name) + unknown(spec, f"{name}/deployspec.yaml")
        phases = [kind for kind in ("deploy", "destroy") if getattr(spec, kind)]
        said["modules"].append([name, module.path, phases])
        for parameter in module.parameters:
            source = parameter.value_from
            if source and source.module_metadata:
                other = source.module_metadata
                said["references"].append([name, f"{other.group}/{other.name}", other.key])
            if source and source.parameter_value:
                value = deployment.get_parameter_value(source.parameter_value, account_alias="primary", region="us-east-1")
                assert value is not None, f"{name}: no value for {source.parameter_value}"
        said["files"] += [[name, file.file_path] for file in module.data_files or []]
said["unknown"] = extra
print(json.dumps(said))
