"""IAM: who may do what, who calls, and who may assume a role."""

import contextvars
import dataclasses
import json
import re

from ministack.core import iam_actions, iam_evaluator
from ministack.services import iam, s3, stepfunctions

from . import requests
from .replacing import replace
from .s3 import READS_OF_OBJECTS, is_missing, other_account_refuses_list

further_resources = contextvars.ContextVar("further_resources", default=())
refused_resource = contextvars.ContextVar("refused_resource", default=None)
condition_values = contextvars.ContextVar("condition_values", default={})


@replace(iam_actions, "_lambda_action")
def lambda_action(original, method, path):
    """The emulator asks for no right to change or remove a mapping."""
    parts = [part for part in path.split("/") if part]
    if parts[1:2] == ["event-source-mappings"] and len(parts) > 2:
        verb = {"PUT": "Update", "DELETE": "Delete"}.get(method, "Get")
        return f"{verb}EventSourceMapping"
    return original(method, path)


@replace(iam_actions, "extract_resource_arn")
def extract_resource_arn(original, service, method, path, headers, body, query_params, region, account_id):
    refused_resource.set(None)
    further_resources.set(())
    try:
        request = json.loads(body) if body[:1] == b"{" else {}
    except ValueError:
        request = {}
    operation = headers.get("x-amz-target", "")
    condition_values.set(
        {
            **requests.condition_values_of(service, query_params, request),
            **requests.condition_values_of_events(operation, request),
            **requests.condition_values_of_mappings(service, path, request, region, account_id),
        }
    )
    named = requests.named_resources(operation, request, region, account_id)
    if not named:
        return original(service, method, path, headers, body, query_params, region, account_id)
    further_resources.set(tuple(named[1:]))
    return named[0]


@replace(iam_evaluator, "enforce")
def enforce(original, access_key_id, iam_action, service, region, resource_arn="*", service_context=None):
    service_context = {**(service_context or {}), **condition_values.get()}
    condition_values.set({})
    if resource_arn == requests.NO_TASK:
        # It belongs to no state machine: a caller that may answer for any of them gets "does not exist".
        machines = list(stepfunctions._state_machines) or ["*"]
        checks = [original(access_key_id, iam_action, service, region, arn, service_context) for arn in machines]
        return None if None in checks else checks[0]
    resources = (resource_arn, *further_resources.get())
    further_resources.set(())
    for resource in resources:
        denied = original(access_key_id, iam_action, service, region, resource, service_context)
        if denied:
            refused_resource.set(resource)
            return denied
    if iam_action in READS_OF_OBJECTS and is_missing(iam_action, resource_arn):
        bucket = resource_arn.partition("/")[0]
        denied = original(access_key_id, "s3:ListBucket", service, region, bucket, {}) or other_account_refuses_list(bucket)
        if denied:
            refused_resource.set(bucket)
        return denied
    return None


@replace(iam_actions, "access_denied_response")
def access_denied_response(original, service, action, principal_arn, request_id, **details):
    """Names the resource that was refused, as AWS does."""
    resource = refused_resource.get()
    if resource and not details.get("error_code"):
        details["resource_arn"] = resource
        if service == "codebuild":
            explicit = details.get("explicit_deny", False)
            details["message"] = iam_actions.identity_denial_message(action, principal_arn, resource, explicit)
    return original(service, action, principal_arn, request_id, **details)


# --- Who calls ---------------------------------------------------------------------------------------------
# Of a role's session AWS compares the role's ARN, the emulator the session's:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn


@replace(iam_evaluator, "_resolve_condition_key")
def resolve_condition_key(original, key, ctx):
    if key.lower() == "aws:principalarn" and ctx.principal_type == "AssumedRole":
        name = iam_evaluator._role_name_from_assumed_arn(ctx.principal_arn)
        role = iam._roles.get_scoped(ctx.principal_account, None, name) or {}
        return role.get("Arn", f"arn:aws:iam::{ctx.principal_account}:role/{name}")
    if key.lower() == "aws:resourceaccount":  # the roles of the CDK's bootstrap ask for it; the ARN of a bucket has no account
        bucket = ctx.resource_arn.removeprefix("arn:aws:s3:::").partition("/")[0]
        return s3._bucket_owner_account(bucket) or original(key, ctx)
    return original(key, ctx)


# --- Services that assume roles -----------------------------------------------------------------------------
# The emulator accepts root in place of every service, but has no aws:SourceAccount, which AWS sets for services:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html. For CloudFormation's service roles AWS documents no
# such key, only for StackSets and extensions:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cross-service-confused-deputy-prevention.html


def statements_of(policy):
    policy = json.loads(policy) if isinstance(policy, str) else policy or {}
    statements = policy.get("Statement", [])
    return [statements] if isinstance(statements, dict) else statements


def without_services(trust_doc):
    def without(principal):
        return {k: v for k, v in principal.items() if k != "Service"} if isinstance(principal, dict) else principal

    return {"Statement": [{**one, "Principal": without(one.get("Principal"))} for one in statements_of(trust_doc)]}


@replace(iam_evaluator, "evaluate_trust_policy")
def evaluate_trust_policy(original, trust_doc, caller_arn, ctx=None):
    if ctx is not None and ctx.resource_arn.startswith("arn:") and ctx.principal_account != ctx.resource_arn.split(":")[4]:
        # Another account's root is itself and no service.
        trust_doc = without_services(trust_doc)
    is_cloudformation = '"cloudformation.amazonaws.com"' in json.dumps(trust_doc).replace("\\", "")
    if ctx is not None and ctx.principal_type == "Root" and not is_cloudformation:
        ctx.service_context["aws:sourceaccount"] = ctx.principal_account
    return original(trust_doc, caller_arn, ctx)


# The emulator takes policy variables in resources for text. A statement whose variable has no value applies to nothing:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html. In conditions the template uses none.


@replace(iam_evaluator, "_first_match")
def first_match(original, ctx, statements, effect):
    about = [one for one in statements if one.effect == effect]
    return original(ctx, [known for known in (with_variables(ctx, one) for one in about) if known], effect)


def with_variables(ctx, statement):
    variable = [one for one in (*statement.resources, *statement.not_resources) if "${" in one]
    if not variable:
        return statement
    values = {}
    for resource in variable:
        for name in re.findall(r"\$\{([^}]+)\}", resource):
            values[name] = iam_evaluator._resolve_condition_key(name, ctx)
    if None in values.values():
        return None

    def known(resources):
        return [re.sub(r"\$\{([^}]+)\}", lambda found: values[found[1]], one) for one in resources]

    return dataclasses.replace(
        statement, resources=known(statement.resources), not_resources=known(statement.not_resources)
    )
