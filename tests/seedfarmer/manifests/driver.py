"""Reads repositories as the real seed-farmer does, for the test: importing it takes half a second, so that is done once.

Each line on standard input is a repository, {"folder", "manifest", "env"}; each line on standard output what seed-farmer would deploy of
it, {"name", "groups"}, or {"error"}. The steps are those of `seedfarmer apply` up to the first call of AWS.
"""
import json
import os
import sys
from typing import Any, Dict, List

import yaml
from seedfarmer.commands._parameter_commands import load_parameter_values
from seedfarmer.models.manifests import DeploymentManifest, ModuleManifest, ModulesManifest
from seedfarmer.types.parameter_types import EnvVar

REFERENCES = {"PARAMETER_STORE": "parameter_store", "SECRETS_MANAGER": "secrets_manager"}


def text(value: Any) -> Any:
    """A parameter as its variable has it, or the reference that CodeBuild resolves."""
    if isinstance(value, EnvVar):
        return {REFERENCES[value.type.value]: value.value}
    return value if isinstance(value, str) else json.dumps(value)


def path(text: str) -> Any:
    """A path in the repository; sources of other hosts are compared by the tests of the core."""
    return None if text.startswith(("git::", "archive::")) else os.path.normpath(text)


def parameters(manifest: DeploymentManifest, module: ModuleManifest) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    values = []
    for parameter in module.parameters:
        reference = parameter.value_from and parameter.value_from.module_metadata
        if reference:
            key = {"key": reference.key} if reference.key is not None else {}
            found[parameter.name] = {"module_metadata": {"group": reference.group, "module": reference.name, **key}}
        else:
            values.append(parameter)
    place = (module.get_target_account_id(), module.target_region)
    for parameter in load_parameter_values(str(manifest.name), values, manifest, *place):
        found[parameter.name] = text(parameter.value)
    return found


def module(manifest: DeploymentManifest, module: ModuleManifest) -> Dict[str, Any]:
    place = {"account_id": module.get_target_account_id(), "region": module.target_region}
    image = manifest.get_region_codebuild_image(**place)
    return {
        "name": module.name,
        "path": path(module.path),
        "data_files": [path(file.file_path) for file in module.data_files or []],
        "parameters": parameters(manifest, module),
        "image": module.codebuild_image if module.codebuild_image is not None else image,
        "runtimes": {**(manifest.get_region_runtime_overrides(**place) or {}), **(module.runtime_overrides or {})},
        "target": [place["account_id"], place["region"]],
    }


def modules(group: ModulesManifest) -> List[ModuleManifest]:
    if not group.path:
        return group.modules
    with open(group.path, encoding="utf-8") as file:
        return [ModuleManifest(**document) for document in yaml.safe_load_all(file)]


def read(repository: Dict[str, Any]) -> Dict[str, Any]:
    os.environ.clear()
    os.environ.update(repository["env"])
    os.chdir(repository["folder"])
    with open(repository["manifest"], encoding="utf-8") as file:
        manifest = DeploymentManifest(**yaml.safe_load(file))
    for group in manifest.groups:
        group.modules = modules(group)
    manifest.validate_and_set_module_defaults()
    groups = [
        {
            "name": group.name,
            "concurrency": group.concurrency or None,
            "modules": [module(manifest, one) for one in group.modules],
        }
        for group in manifest.groups
    ]
    return {"name": manifest.name, "force": bool(manifest.force_dependency_redeploy), "groups": groups}


def answer(line: str) -> Dict[str, Any]:
    try:
        return read(json.loads(line))
    except Exception as error:  # whatever it is, seed-farmer ends with it
        return {"error": f"{type(error).__name__}: {error}"[:300]}


for line in sys.stdin:
    print(json.dumps(answer(line)), flush=True)
