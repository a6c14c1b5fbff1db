"""Deploys the stack named by the first argument, whose only output, Tag, is the second.

With botocore and not with `aws cloudformation deploy`, which waits for seconds between its looks.
"""

import json
import sys
import time

import botocore.session
from botocore.exceptions import ClientError

name, tag = sys.argv[1:]
template = json.dumps(
    {
        "Resources": {"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
        "Outputs": {"Tag": {"Value": tag}},
    }
)
cloudformation = botocore.session.get_session().create_client("cloudformation")


def settled():
    """The stack's status once nothing is under way; a build that was stopped may have left an update."""
    while True:
        try:
            status = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        if not status.endswith("_IN_PROGRESS"):
            return status
        time.sleep(0.1)


deploy = cloudformation.update_stack if settled() else cloudformation.create_stack
try:
    deploy(StackName=name, TemplateBody=template)
except ClientError as error:
    if "No updates are to be performed" not in str(error):
        raise
if (status := settled()) not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
    sys.exit(f"{name}: {status}")
