"""Holds JSON values against a JSON Schema; prints a line for each thing that is wrong."""

import json
import sys

from jsonschema import Draft202012Validator

asked = json.load(sys.stdin)
Draft202012Validator.check_schema(asked["schema"])
validator = Draft202012Validator(asked["schema"])
for index, value in enumerate(asked["values"]):
    for error in validator.iter_errors(value):
        print(f"{index}: {error.json_path}: {error.message}")
