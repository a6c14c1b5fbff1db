"""Writes what `cdk deploy --outputs-file cdk-exports.json` writes for a stack with a CfnOutput called "metadata"."""
import json
import os

PREFIX = "SEEDFARMER_"
STACK = "-".join(os.environ[PREFIX + name] for name in ("PROJECT_NAME", "DEPLOYMENT_NAME", "MODULE_NAME"))

# An output is a text, so CDK modules put their metadata into one as JSON (stack.to_json_string).
metadata = json.dumps({"TableName": f"{STACK}-table", "StreamEnabled": True})

with open("cdk-exports.json", "w", encoding="utf-8") as file:
    json.dump({STACK: {"metadata": metadata}}, file, indent=2)
