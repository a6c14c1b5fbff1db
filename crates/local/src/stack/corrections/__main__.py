"""Runs ministack with all corrections.

The stack starts this in place of `python -m ministack`, with AUTH=true. So the template is deployed as it is, and a role
may do here what it may do on AWS.
"""

from ministack import app

# Each corrects its service when it is imported.
from . import cloudformation, codebuild, eventbridge, functions, iam, node_sdk, s3, server, ssm, stepfunctions

if __name__ == "__main__":
    app.main()
