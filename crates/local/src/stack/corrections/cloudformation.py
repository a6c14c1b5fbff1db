"""CloudFormation: a role that was made a moment ago, and the tags of buckets."""

import collections

from ministack.services import s3
from ministack.services.cloudformation import provisioners

from .replacing import replace

# --- A role that was made a moment ago ----------------------------------------------------------------------
# IAM is eventually consistent, so CloudFormation may not find a new role yet, and a policy of it fails:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency. Here everything is
# seen at once. So a role that asks for it by its name is found late. The reason is CloudFormation's, as in
# https://github.com/aws-samples/terraform-aws-windows-workloads-on-aws/issues/3.

FOUND_LATE = "-found-late-"
TIMES_NOT_FOUND = 2
times_looked_for = collections.Counter()


@replace(provisioners, "_iam_policy_require_entities")
def require_entities(original, props):
    original(props)
    for role in props.get("Roles") or []:
        if FOUND_LATE in role and times_looked_for[role] < TIMES_NOT_FOUND:
            times_looked_for[role] += 1
            missing = f"The role with name {role} cannot be found. (Service: Iam, Status Code: 404, Request ID: local)"
            raise ValueError(
                f'Resource handler returned message: "{missing}" (RequestToken: local, HandlerErrorCode: NotFound)'
            )


# --- Tags of buckets ----------------------------------------------------------------------------------------
# CloudFormation gives a bucket the tags of its template, which the emulator leaves out. The CDK's function that empties
# buckets asks for one: it empties no others
# (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html, Tags).


@replace(provisioners, "_s3_apply_configurations")
def s3_apply_configurations(original, name, props, *args):
    original(name, props, *args)
    tags = {tag["Key"]: tag["Value"] for tag in props.get("Tags", [])}
    if tags:
        s3._bucket_tags[name] = tags
    else:
        s3._bucket_tags.pop(name, None)
