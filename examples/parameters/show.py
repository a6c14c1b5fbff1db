"""Reads the module's parameters and says what arrived."""
import json
import os


def parameter(name: str) -> str:
    return os.environ["SEEDFARMER_PARAMETER_" + name]


subnets = json.loads(parameter("SUBNET_IDS"))
tags = json.loads(parameter("TAGS"))
secret = parameter("API_KEY")
if not secret or secret.startswith("seedflow-examples/"):
    raise SystemExit("The secret did not arrive")

print(f"environment {parameter('ENVIRONMENT')}, {int(parameter('REPLICA_COUNT'))} replicas")
print(f"{len(subnets)} subnets: {', '.join(subnets)}")
print(f"{len(tags)} tags: {', '.join(f'{key}={value}' for key, value in tags.items())}")
print(f"log level {parameter('LOG_LEVEL')}")
print(f"the secret arrived, {len(secret)} characters")
