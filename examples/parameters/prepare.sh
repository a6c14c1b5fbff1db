#!/usr/bin/env bash
# Makes what input.json refers to; once more does no harm. An existing secret keeps its value.
set -euo pipefail
secret=seedflow-examples/api-key

aws ssm put-parameter --name /seedflow-examples/log-level --type String --value INFO --overwrite >/dev/null
if ! aws secretsmanager describe-secret --secret-id "$secret" >/dev/null 2>&1; then
  aws secretsmanager create-secret --name "$secret" --secret-string "$(head -c 24 /dev/urandom | base64)" >/dev/null
fi
