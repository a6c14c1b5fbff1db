"""Greets everyone that the manifest names."""
import json
import os

greeting = os.environ["SEEDFARMER_PARAMETER_GREETING"]
for recipient in json.loads(os.environ["SEEDFARMER_PARAMETER_RECIPIENTS"]):
    print(f"{greeting}, {recipient}")
