"""S3: reads of what is missing, events with versions, and buckets of other accounts."""

import contextlib
import contextvars
import dataclasses
import json
import urllib.parse

from ministack.core import iam_evaluator
from ministack.core.responses import AccountScopedDict, get_account_id
from ministack.services import eventbridge, s3

from .replacing import replace

# Whether an object exists is for those to know who may list its bucket: to all others S3 answers 403 for a missing one,
# and not 404 (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html and API_HeadObject.html, permissions; the
# same for the source of a copy).
READS_OF_OBJECTS = {"s3:GetObject", "s3:GetObjectVersion"}


def is_missing(iam_action, arn):
    name, _, key = arn.removeprefix("arn:aws:s3:::").partition("/")
    owner = s3._bucket_owner_account(name)
    if owner is None:
        return False
    bucket = s3._buckets.get_scoped(owner, None, name)
    # A version can still be there when the object is not.
    versions = s3._object_versions.get_scoped(owner, None, (name, key)) if iam_action == "s3:GetObjectVersion" else None
    return key not in bucket["objects"] and not versions


def other_account_refuses_list(bucket):
    """The refusal of a bucket of another account, whose policy has to allow lists as well."""
    name = bucket.removeprefix("arn:aws:s3:::")
    owner = s3._bucket_owner_account(name)
    if owner == get_account_id() or s3._foreign_bucket_allows(owner, name, "", "GET", {}, get_account_id()):
        return None
    return iam_evaluator.EvalResult("ImplicitDeny", principal_arn=iam_evaluator.caller_arn())


# --- Events of S3 -------------------------------------------------------------------------------------------
# On AWS the event of an object in a versioned bucket names the version, by which a late event could have an old object
# deployed; the emulator knows it and leaves it out:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html

version_of_event = contextvars.ContextVar("version_of_event", default=None)


@replace(s3, "_fire_s3_event")
def fire_s3_event(original, *args, **kwargs):
    version_of_event.set(kwargs.get("version_id"))
    return original(*args, **kwargs)


@replace(eventbridge, "_dispatch_event")
def dispatch_event(original, event, *args, **kwargs):
    version = version_of_event.get()
    if version and event.get("Source") == "aws.s3":
        detail = json.loads(event["Detail"])
        detail["object"]["version-id"] = version
        event = {**event, "Detail": json.dumps(detail)}
    return original(event, *args, **kwargs)


# --- Buckets of other accounts ------------------------------------------------------------------------------
# Their policies are about the role that asks; the emulator asks them about its account's root. And it looks for the source of
# a copy in the account of the bucket that it is copied into:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-walkthroughs-managing-access-example2.html,
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html

caller_of_bucket = contextvars.ContextVar("caller_of_bucket", default=None)
copied_bucket = contextvars.ContextVar("copied_bucket", default=None)


@replace(s3, "_foreign_bucket_allows")
def foreign_bucket_allows(original, owner_account, bucket_name, key, method, query_params, caller, headers=None):
    before = caller_of_bucket.set(iam_evaluator.caller_arn() if caller else None)
    try:
        return original(owner_account, bucket_name, key, method, query_params, caller, headers)
    finally:
        caller_of_bucket.reset(before)


@replace(iam_evaluator, "evaluate_resource_policy")
def evaluate_resource_policy(original, doc, ctx, *args, **kwargs):
    caller = caller_of_bucket.get()
    if caller:
        kind = iam_evaluator._principal_type(caller, "") or ctx.principal_type
        ctx = dataclasses.replace(ctx, principal_arn=caller, principal_type=kind)
    return original(doc, ctx, *args, **kwargs)


class OfTheCopiedBucket(AccountScopedDict):
    """What is about the copied bucket is in its own account."""

    __slots__ = ()

    def _scoped(self, key):
        name = key[0] if isinstance(key, tuple) else key
        if name == copied_bucket.get():
            return (s3._bucket_owner_account(name), key)
        return super()._scoped(key)


for store in (s3._buckets, s3._object_versions, s3._object_tags, s3._object_annotations, s3._object_retention, s3._object_legal_hold):
    store.__class__ = OfTheCopiedBucket


@contextlib.contextmanager
def copying(headers):
    source = urllib.parse.unquote(headers.get("x-amz-copy-source", "").partition("?")[0])
    before = copied_bucket.set(source.lstrip("/").partition("/")[0])
    try:
        yield
    finally:
        copied_bucket.reset(before)


@replace(s3, "_copy_object")
def copy_object(original, bucket_name, dest_key, headers):
    with copying(headers):
        return original(bucket_name, dest_key, headers)


@replace(s3, "_upload_part_copy")
def upload_part_copy(original, bucket_name, dest_key, query_params, headers):
    with copying(headers):
        return original(bucket_name, dest_key, query_params, headers)
