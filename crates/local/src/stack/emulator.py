"""Runs ministack with AWS's answers about rights where its own differ.

The stack starts this in place of `python -m ministack`, with AUTH=true. So the template is deployed as it is,
and a role may do here what it may do on AWS. Each correction replaces a function of the pinned version
(tools/local-stack.in) and has its reason; if a function isn't there any more, the emulator doesn't start.
"""

import collections
import contextlib
import contextvars
import dataclasses
import json
import random
import time
import urllib.parse
import uuid

from jsonata.functions import Functions
from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import (
    AccountScopedDict,
    error_response_json,
    get_account_id,
    get_region,
    json_response,
    request_scope,
)
from ministack.services import codebuild, eventbridge, iam, lambda_svc, s3, ssm, stepfunctions
from ministack.services.cloudformation import provisioners


def replace(module, name):
    """Replaces `module.name` by the decorated function, which gets what it replaces as its first argument."""
    original = getattr(module, name)

    def decorate(function):
        def replaced(*args, **kwargs):
            return function(original, *args, **kwargs)

        setattr(module, name, replaced)
        return replaced

    return decorate


# --- Requests that name several resources, or name one in a way that the emulator doesn't follow ------------
# It checks them against "*" (in CloudWatch Logs against a group without its streams), which a right on an ARN
# doesn't cover and a Deny on an ARN doesn't hit. AWS checks each resource:
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html,
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscodebuild.html,
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html

further_resources = contextvars.ContextVar("further_resources", default=())
refused_resource = contextvars.ContextVar("refused_resource", default=None)
machine_of_task = contextvars.ContextVar("machine_of_task", default=None)
execution_of_task = contextvars.ContextVar("execution_of_task", default=None)
machine_by_token = {}
# The resource of a token that never was.
NO_TASK = "no task"


def parameter(name, region, account):
    if name.startswith("arn:"):
        return name
    if name.startswith("/aws/service/"):
        # AWS's own, which have no account:
        # https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters.html
        return f"arn:aws:ssm:{region}::parameter{name.split(':')[0]}"
    # A version or a label after the name is not part of the resource.
    return f"arn:aws:ssm:{region}:{account}:parameter/{name.split(':')[0].lstrip('/')}"


def project(name, region, account):
    return f"arn:aws:codebuild:{region}:{account}:project/{name}"


def project_of_build(build, region, account):
    return project(build.split(":build/")[-1].split(":")[0], region, account)


def log_stream(request, region, account):
    """What AWS's own refusals name, and what a group's ARN with its ":*" covers; a missing stream is empty."""
    stream = request.get("logStreamName", "")
    return f"arn:aws:logs:{region}:{account}:log-group:{request.get('logGroupName')}:log-stream:{stream}"


def resources_of_events(operation, request, region, account):
    """Rules, whose ARN names no bus if that is the default one; what archives and replays are about; buses."""
    arn = f"arn:aws:events:{region}:{account}"
    match operation:
        case "PutRule" | "DescribeRule" | "DeleteRule" | "EnableRule" | "DisableRule":
            rule = request.get("Name")
        case "PutTargets" | "RemoveTargets" | "ListTargetsByRule":
            rule = request.get("Rule")
        case "CreateArchive":
            return [str(request.get("EventSourceArn")), f"{arn}:archive/{request.get('ArchiveName')}"]
        case "StartReplay":
            bus = (request.get("Destination") or {}).get("Arn")
            return [str(bus), str(request.get("EventSourceArn")), f"{arn}:replay/{request.get('ReplayName')}"]
        case "DescribeEventBus" | "UpdateEventBus" | "DeleteEventBus":
            return [f"{arn}:event-bus/{request.get('Name') or 'default'}"]
        case _:
            return []
    bus = str(request.get("EventBusName") or "default").split("event-bus/")[-1]
    return [f"{arn}:rule/{rule}" if bus == "default" else f"{arn}:rule/{bus}/{rule}"]


def named_resources(operation, request, region, account):
    """The ARNs that a request is about; none where the emulator finds them by itself."""

    def each(names, arn):
        return [arn(name, region, account) for name in request.get(names) or [] if isinstance(name, str)]

    match operation:
        case "AmazonSSM.GetParameters" | "AmazonSSM.DeleteParameters":
            return each("Names", parameter)
        case "AmazonSSM.GetParametersByPath":
            # The path itself and not what is below it: permission to read a path covers all of it.
            return [parameter(str(request.get("Path")), region, account)]
        case "CodeBuild_20161006.BatchGetProjects":
            return each("names", project)
        case "CodeBuild_20161006.BatchGetBuilds":
            return each("ids", project_of_build)
        case "CodeBuild_20161006.StopBuild":
            return [project_of_build(str(request.get("id")), region, account)]
        case operation if operation.startswith("AWSEvents."):
            return resources_of_events(operation.removeprefix("AWSEvents."), request, region, account)
        case (
            "Logs_20140328.CreateLogGroup"
            | "Logs_20140328.CreateLogStream"
            | "Logs_20140328.PutLogEvents"
            | "Logs_20140328.GetLogEvents"
            | "Logs_20140328.FilterLogEvents"
            | "Logs_20140328.StartQuery"
        ):
            return [log_stream(request, region, account)]
        case (
            "AWSStepFunctions.SendTaskSuccess"
            | "AWSStepFunctions.SendTaskFailure"
            | "AWSStepFunctions.SendTaskHeartbeat"
        ):
            return [machine_by_token.get(request.get("taskToken"), NO_TASK)]
    return []


# What a request says beside its resource, for the conditions of policies; the emulator has none of these:
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html,
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html,
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html,
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html,
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
CONDITION_KEYS = {
    ("iam", "PolicyArn"): "iam:PolicyARN",
    ("iam", "PermissionsBoundary"): "iam:PermissionsBoundary",
    ("cloudformation", "RoleARN"): "cloudformation:RoleArn",
    ("monitoring", "Namespace"): "cloudwatch:namespace",
}
condition_values = contextvars.ContextVar("condition_values", default={})


def condition_values_of(service, query_params, request):
    values = {}
    for (of_service, field), key in CONDITION_KEYS.items():
        # CloudWatch takes requests in JSON, too.
        value = (query_params or {}).get(field) or request.get(field)
        value = value[0] if isinstance(value, list) and value else value
        if service == of_service and value:
            values[key] = value
    return values


def condition_values_of_events(operation, request):
    """Source and type of what is put on a bus: keys of several values, which an operator for a single value doesn't match
    (IAM user guide, "Single-valued vs. multivalued context keys"). A field that no entry has is not a key."""
    if operation != "AWSEvents.PutEvents":
        return {}
    values = {}
    for key, field in (("events:source", "Source"), ("events:detail-type", "DetailType")):
        found = sorted({str(entry[field]) for entry in request.get("Entries") or [] if field in entry})
        if found:
            values[key] = found
    return values


def condition_values_of_mappings(service, path, request, region, account):
    """The function that an event source mapping is made for."""
    function = request.get("FunctionName")
    if service != "lambda" or "event-source-mappings" not in path or not function:
        return {}
    arn = function if function.startswith("arn:") else f"arn:aws:lambda:{region}:{account}:function:{function}"
    return {"lambda:FunctionArn": arn}


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
            **condition_values_of(service, query_params, request),
            **condition_values_of_events(operation, request),
            **condition_values_of_mappings(service, path, request, region, account_id),
        }
    )
    named = named_resources(operation, request, region, account_id)
    if not named:
        return original(service, method, path, headers, body, query_params, region, account_id)
    further_resources.set(tuple(named[1:]))
    return named[0]


@replace(iam_evaluator, "enforce")
def enforce(original, access_key_id, iam_action, service, region, resource_arn="*", service_context=None):
    service_context = {**(service_context or {}), **condition_values.get()}
    condition_values.set({})
    if resource_arn == NO_TASK:
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


# A task token belongs to a state machine, and AWS checks the right to answer on that.


@replace(stepfunctions, "_execute_task")
def execute_task(original, state_def, raw_input, execution, ctx):
    execution_of_task.set(execution)
    machine_of_task.set(execution.get("stateMachineArn"))
    return original(state_def, raw_input, execution, ctx)


@replace(stepfunctions, "_invoke_with_callback")
def invoke_with_callback(original, resource, input_data, token, state_def):
    machine_by_token[token] = machine_of_task.get()
    token_of_call.set(token)
    try:
        return original(resource, input_data, token, with_timeout(state_def))
    finally:
        token_of_call.set(None)


# A timeout may be an expression, whose value is a whole number of at least 1
# (https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html, TimeoutSeconds). The emulator takes numbers only.


def timeout_of(state_def, raw_input, ctx):
    value = stepfunctions._apply_jsonata_template(state_def["TimeoutSeconds"], raw_input, ctx)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 99999999:
        raise stepfunctions._ExecutionError("States.QueryEvaluationError", f"TimeoutSeconds: expected a positive integer, found {value!r}")
    return value


def with_timeout(state_def):
    if isinstance(state_def.get("TimeoutSeconds"), str):
        return {**state_def, "TimeoutSeconds": timeout_of_task.get()}
    return state_def


# --- Waits between tries ------------------------------------------------------------------------------------
# A retrier waits for MaxDelaySeconds at most, and with full jitter for a random time up to that
# (https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error). The
# emulator knows neither, so executions that are throttled together would try again together.


@replace(stepfunctions, "_find_matching_retrier")
def find_matching_retrier(original, retriers, error, retry_counts):
    retrier, index = original(retriers, error, retry_counts)
    if retrier is None:
        return retrier, index
    delay = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** min(retry_counts.get(index, 0), 60)
    delay = min(delay, retrier.get("MaxDelaySeconds", delay))
    if retrier.get("JitterStrategy") == "FULL":
        delay *= random.random()
    return {**retrier, "IntervalSeconds": delay, "BackoffRate": 1.0}, index


# --- An account at its quota of functions -------------------------------------------------------------------
# Step Functions reports it under a name of its own, also of a function that is called with a token, whose errors the emulator
# swallows (https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception). An event
# waits: Lambda tries it again after a second, then after longer and longer pauses of up to five minutes, for up to six hours,
# and doesn't count these tries (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html).

TOO_MANY = "Lambda.TooManyRequestsException"
LONGEST_PAUSE = 300
token_of_call = contextvars.ContextVar("token_of_call", default=None)
timeout_of_task = contextvars.ContextVar("timeout_of_task", default=None)


@replace(stepfunctions, "_call_lambda")
def call_lambda(original, func_ref, event):
    try:
        return original(func_ref, event)
    except stepfunctions._ExecutionError as error:
        if "TooManyRequestsException" not in error.cause or error.error != "Lambda.Unknown":
            raise
        waiting = stepfunctions._task_tokens.get(token_of_call.get())
        if waiting:
            waiting["error"] = {"Error": TOO_MANY, "Cause": error.cause}
            waiting["event"].set()
        raise stepfunctions._ExecutionError(TOO_MANY, error.cause) from None


# By their ids, so that each is kept as long as it is known here.
events = {}


@replace(lambda_svc, "_execute_function")
def execute_function(original, function, event):
    pause = 1
    while True:
        result = original(function, event)
        if id(event) not in events or not result.get("throttle"):
            break
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    if not result.get("error"):
        events.pop(id(event), None)
    return result


# --- The limits of payloads, and errors that nothing catches ------------------------------------------------
# Input, arguments, result and output of a state, and all that it assigns, have at most 262,144 bytes of UTF-8:
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html#service-limits-task-executions. What is longer ends
# the execution: States.ALL and States.TaskFailed match neither States.DataLimitExceeded nor States.Runtime
# (https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html). The emulator has no limit and
# matches them all. The causes are AWS's.

MAX_PAYLOAD = 262_144
TERMINAL = {"States.DataLimitExceeded", "States.Runtime"}


def check_size(text, cause):
    # ASCII with its escapes is longer than UTF-8, so what fits by it fits.
    if len(text) > MAX_PAYLOAD:
        compact = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
        if len(compact.encode()) > MAX_PAYLOAD:
            raise stepfunctions._ExecutionError("States.DataLimitExceeded", cause)


def exceeded(state, what):
    return f"The state/task '{state}' {what} with a size exceeding the maximum number of bytes service limit."


@replace(stepfunctions, "_start_execution")
def start_execution(original, data):
    if len(str(data.get("input", "")).encode()) > MAX_PAYLOAD:
        constraint = f"Member must have length less than or equal to {MAX_PAYLOAD}"
        message = f"1 validation error detected: Value at 'input' failed to satisfy constraint: {constraint}"
        return error_response_json("ValidationException", message, 400)
    return original(data)


@replace(stepfunctions, "_apply_jsonata_arguments")
def apply_jsonata_arguments(original, state_def, raw_input, ctx=None):
    arguments = original(state_def, raw_input, ctx)
    if isinstance(state_def.get("TimeoutSeconds"), str):
        timeout_of_task.set(timeout_of(state_def, raw_input, ctx))
    check_size(json.dumps(arguments), exceeded(ctx["State"]["Name"], "provided parameters"))
    return arguments


@replace(stepfunctions, "_apply_state_assign")
def apply_state_assign(original, state_def, raw_input, ctx, result=None, error_output=None):
    original(state_def, raw_input, ctx, result, error_output)
    assigned = {name: ctx["variables"][name] for name in state_def.get("Assign") or {}}
    check_size(json.dumps(assigned), exceeded(ctx["State"]["Name"], "assigned variables"))


@replace(Functions, "_string")
def string(original, arg, prettify):
    """`$string` as JSON.stringify has it, which leaves characters beyond ASCII as they are; the emulator's has six in the
    place of one: https://docs.jsonata.org/string-functions#string"""
    text = original(arg, prettify)
    if "\\u" not in text:
        return text
    style = {"indent": 2} if prettify else {"separators": (",", ":")}
    return json.dumps(json.loads(text), ensure_ascii=False, **style)


@replace(stepfunctions, "_error_matches")
def error_matches(original, error_equals, error):
    return error in error_equals if error in TERMINAL else original(error_equals, error)


@replace(stepfunctions, "_evaluate_jsonata_choice_rule")
def evaluate_jsonata_choice_rule(_original, rule, raw_input, ctx):
    """A condition that is not a boolean fails; the emulator asks whether it is truthy.
    https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html"""
    return stepfunctions._jsonata_state_field(rule, "Condition", "boolean", raw_input, ctx)


# --- Events of executions -----------------------------------------------------------------------------------
# They leave out an output that, escaped as it is there, has more than 248 KiB, and an input that has so together with the
# output: https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html. The emulator counts characters.

MAX_OF_EVENT = 248 * 1024


def without_what_is_too_long(detail):
    def escaped(name):
        return len(json.dumps(detail.get(name) or "", ensure_ascii=False).encode())

    if escaped("output") > MAX_OF_EVENT:
        detail |= {"output": None, "outputDetails": {"included": False}}
    if escaped("input") + escaped("output") > MAX_OF_EVENT:
        detail |= {"input": None, "inputDetails": {"included": False}}
    return detail


@replace(eventbridge, "_put_events")
def put_events(original, data, allow_aws_source=False):
    for entry in data.get("Entries", []):
        if allow_aws_source and entry.get("Source") == "aws.states":
            entry["Detail"] = json.dumps(without_what_is_too_long(json.loads(entry["Detail"])))
    return put_on_buses(original, data, allow_aws_source)


# --- Executions that were stopped ---------------------------------------------------------------------------
# On AWS an execution ends with its stop: its history is closed, and nothing is called in its name any more. The
# emulator's thread goes on until its state ends, retries included, and may make FAILED of ABORTED then:
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html


@replace(stepfunctions, "_add_event")
def add_event(original, execution, event_type, details=None):
    if execution["status"] == "ABORTED" and event_type != "ExecutionAborted":
        # Ends the execution's thread, in which all other events are written.
        raise SystemExit
    event = original(execution, event_type, details)
    # Results of tasks and outputs of states are known here first.
    for detail in (details or {}).values():
        if "output" in detail and event_type != "ExecutionSucceeded":
            name = detail.get("name") or detail.get("resource")
            check_size(detail["output"], exceeded(name, "returned a result"))
    return event


@replace(stepfunctions, "_fail_execution")
def fail_execution(original, execution, error, cause):
    if execution["status"] != "ABORTED":
        original(execution, error, cause)


# --- Executions that another one waits for ------------------------------------------------------------------
# The emulator runs them in the thread of the one that waits, without the events that every standard execution sends,
# and lets them run on when that one is stopped. On AWS they are executions like any other, are stopped with the one that
# waits, and a failure is States.TaskFailed with a description of the execution as its cause:
# https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-sync


@replace(stepfunctions, "_invoke_nested_start_execution_sync")
def start_execution_and_wait(original, resource, input_data):
    started = stepfunctions._invoke_nested_start_execution(resource, input_data)
    child = stepfunctions._executions.get(started["ExecutionArn"])
    waiting = execution_of_task.get() or {}
    while child["status"] == "RUNNING":
        if waiting.get("status") == "ABORTED":
            stepfunctions._stop_execution({"executionArn": child["executionArn"]})
            raise SystemExit
        time.sleep(0.05)

    def parsed(text):
        return json.loads(text) if text else None

    described = {
        "ExecutionArn": child["executionArn"],
        "Input": parsed(child["input"]),
        "Name": child["name"],
        "Output": parsed(child.get("output")),
        "StateMachineArn": child["stateMachineArn"],
        "Status": child["status"],
    }
    if child["status"] != "SUCCEEDED":
        described |= {"Error": child.get("error"), "Cause": child.get("cause")}
        raise stepfunctions._ExecutionError("States.TaskFailed", json.dumps(described))
    return described


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


# --- Builds -------------------------------------------------------------------------------------------------
# They run in the stack's CodeBuild emulator. The proxy asks here first whether the caller may, and in which account and region it
# is, and then asks the CodeBuild emulator.

OF_THE_STAND_IN = {"StartBuild", "BatchGetBuilds", "StopBuild", "ListBuilds", "ListBuildsForProject"}


@replace(codebuild, "_handle_request_sync")
def handle_codebuild(original, method, path, headers, body, query_params):
    if headers.get("x-amz-target", "").rsplit(".", 1)[-1] in OF_THE_STAND_IN:
        return json_response({"account": get_account_id(), "region": get_region()})
    return original(method, path, headers, body, query_params)


# The emulator drops the network of a project. AWS keeps it and answers with it; a network has all three fields:
# https://docs.aws.amazon.com/codebuild/latest/userguide/enabling-vpc-access-in-projects.html,
# https://docs.aws.amazon.com/codebuild/latest/APIReference/API_VpcConfig.html

NETWORK_MAXIMA = {"subnets": 16, "securityGroupIds": 5}


def refused_network(network):
    """What CodeBuild has against a network; nothing of one that it takes."""
    if not network:
        return None
    if not network.get("vpcId") or any(not network.get(field) for field in NETWORK_MAXIMA):
        return "VPC config: vpcId, subnets and securityGroupIds are required"
    for field, most in NETWORK_MAXIMA.items():
        if len(network[field]) > most:
            return (
                f"1 validation error detected: Value at 'vpcConfig.{field}' failed to satisfy constraint: "
                f"Member must have length less than or equal to {most}"
            )
    return None


@replace(codebuild, "_create_project")
def create_project(original, data):
    refused = refused_network(data.get("vpcConfig"))
    if refused:
        return error_response_json("InvalidInputException", refused, 400)
    answer = original(data)
    if answer[0] == 200 and data.get("vpcConfig"):
        codebuild._projects[data["name"]]["vpcConfig"] = data["vpcConfig"]
    return answer


@replace(codebuild, "_project_shape")
def project_shape(original, project):
    network = project.get("vpcConfig")
    return {**original(project), **({"vpcConfig": network} if network else {})}


# --- Events for functions -----------------------------------------------------------------------------------
# EventBridge invokes asynchronously, so Lambda tries a failed event again and hands it to the destination of
# failures in the end: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html. The
# emulator does so for other asynchronous invocations, within seconds; an event from EventBridge it tries once.


@replace(eventbridge, "_dispatch_to_lambda")
def dispatch_to_lambda(original, arn, payload):
    function, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        return original(arn, payload)
    event = json.loads(payload)
    events[id(event)] = event
    return lambda_svc.invoke_async_with_retry(function, event)


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


# --- Buses of other accounts and regions --------------------------------------------------------------------
# The emulator delivers to buses of the own account and region only, and doesn't have AWS::Events::EventBusPolicy. On AWS
# - a rule sends to a bus of another account or region by the role of its target, which needs events:PutEvents on that bus;
# - a bus takes events of another account only if its policy allows that, and drops all others without a word;
# - an event keeps its account and its region, and is never sent on to a third bus;
# - PutEvents takes the ARN of another account's bus of the same region, if that bus's policy allows it.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html, eb-cross-region.html, eb-event-bus-perms.html
# and eb-use-conditions.html (events:eventBusInvocation; aws:SourceArn is the rule, as in the examples of eb-event-bus-perms).

role_of_target = contextvars.ContextVar("role_of_target", default=None)


def bus_of(arn):
    """Account, region and name of a bus."""
    _, _, _, region, account, resource = arn.split(":", 5)
    return account, region, resource.removeprefix("event-bus/")


def may_put(ctx, identity, limits=()):
    """Whether both the caller and the policy of a bus allow an event; in the own account the caller's rights are enough."""
    account, region, bus = bus_of(ctx.resource_arn)
    policy = eventbridge._event_bus_policies.get_scoped(account, region, bus)
    combined = iam_evaluator.combine_resource_policy(identity, ctx, policy, account, limits=limits)
    return combined.decision == "Allow"


def context_of_event(principal, event, bus, **more):
    keys = {"events:source": [event["Source"]], "events:detail-type": [event["DetailType"]], **more}
    kind = iam_evaluator._principal_type(principal, "") or "Root"
    return iam_evaluator.EvalContext(principal, kind, get_account_id(), "events:PutEvents", bus, get_region(), service_context=keys)


def trusts_eventbridge(role, rule):
    keys = {"aws:sourceaccount": get_account_id(), "aws:sourcearn": rule["Arn"]}
    service = "events.amazonaws.com"
    ctx = iam_evaluator.EvalContext(service, "Service", "", "sts:AssumeRole", role["Arn"], get_region(), service_context=keys)
    statements = [{**statement, "Resource": "*"} for statement in statements_of(role.get("AssumeRolePolicyDocument"))]
    return iam_evaluator.evaluate_resource_policy({"Statement": statements}, ctx, service=service).decision == "Allow"


def may_forward(event, rule, role_arn, bus):
    """Whether the role of a rule's target may put an event on a bus."""
    account, name = get_account_id(), str(role_arn).rsplit("/", 1)[-1]
    role = iam._roles.get_scoped(account, None, name)
    if not role or role["Arn"] != role_arn or not trusts_eventbridge(role, rule):
        return False
    principal = f"arn:aws:sts::{account}:assumed-role/{name}/{uuid.uuid4().hex}"
    more = {"events:eventbusinvocation": "true", "aws:sourcearn": rule["Arn"]}
    ctx = context_of_event(principal, event, bus, **more)
    limits = iam_evaluator._permissions_boundary(iam._roles, name, account)
    identity = iam_evaluator.evaluate(ctx, iam_evaluator._gather_role_policies(name, account), *limits)
    return may_put(ctx, identity, limits)


def deliver(event, bus, sender):
    """Puts an event of here on a bus elsewhere, where rules see its own account and region."""
    account, region, name = bus_of(bus)
    with request_scope(account, region):
        eventbridge._ensure_default_bus()
        if name in eventbridge._event_buses:
            # The emulator's own mark of events that were sent on; with keys of rules it would confuse those of two accounts.
            event = {**event, "EventBusName": name, "_DispatchPath": [sender]}
            eventbridge._dispatch_event(event)
            eventbridge._archive_event(event)


@replace(eventbridge, "_invoke_target")
def invoke_target(original, target, event, rule, view=None):
    role_of_target.set(target.get("RoleArn"))
    return original(target, event, rule, view)


@replace(eventbridge, "_dispatch_to_event_bus")
def dispatch_to_event_bus(original, spec, event, rule, event_path, target_input_payload=None):
    if any(step.startswith("arn:") for step in event_path):
        return None
    if (spec.account_id, spec.region) == (get_account_id(), get_region()) or not spec.resource.startswith("event-bus/"):
        return original(spec, event, rule, event_path, target_input_payload)
    bus = f"arn:aws:events:{spec.region}:{spec.account_id}:{spec.resource}"
    if not event_path and may_forward(event, rule, role_of_target.get(), bus):
        event = event if target_input_payload is None else {**event, "Detail": target_input_payload}
        deliver(event, bus, rule["Arn"])
    return None


def is_for_another_account(entry):
    bus = str(entry.get("EventBusName"))
    return bus.startswith(f"arn:aws:events:{get_region()}:") and bus_of(bus)[0] != get_account_id()


def put_elsewhere(entry, caller):
    """Puts an entry of PutEvents on the bus of another account."""
    sent = {"EventId": str(uuid.uuid4()), "Time": int(time.time()), "Account": get_account_id(), "Region": get_region()}
    deliver({"Resources": [], "Detail": "{}", "Source": "", "DetailType": "", **entry, **sent}, entry["EventBusName"], caller)
    return {"EventId": sent["EventId"]}


def put_on_buses(original, data, allow_aws_source):
    """PutEvents; what is for buses of other accounts is delivered there, all else by the emulator."""
    entries = data.get("Entries", [])
    elsewhere = [entry for entry in entries if is_for_another_account(entry)]
    if not elsewhere or len(entries) > 10:
        return original(data, allow_aws_source=allow_aws_source)
    caller = iam_evaluator.caller_arn()
    for entry in elsewhere:
        bus = entry["EventBusName"]
        event = {"Source": entry.get("Source", ""), "DetailType": entry.get("DetailType", "")}
        # The caller's own rights were checked before.
        if not may_put(context_of_event(caller, event, bus), iam_evaluator.EvalResult("Allow")):
            why = "because no resource-based policy allows the events:PutEvents action"
            message = f"User: {caller} is not authorized to perform: events:PutEvents on resource: {bus} {why}"
            return error_response_json("AccessDeniedException", message, 400)
    results = []
    for entry in entries:
        if not is_for_another_account(entry):
            results += json.loads(original({"Entries": [entry]}, allow_aws_source=allow_aws_source)[2])["Entries"]
        elif str(entry.get("Source")).startswith("aws."):
            results.append({"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."})
        else:
            results.append(put_elsewhere(entry, caller))
    return json_response({"FailedEntryCount": sum("ErrorCode" in one for one in results), "Entries": results})


@replace(eventbridge, "_put_permission")
def put_permission(original, data):
    """An account stands for its root, as in every policy (EventBridge API reference, PutPermission); the emulator matches the number
    with nobody."""
    account = data.get("Principal")
    if account and account != "*":
        data = {**data, "Principal": {"AWS": account}}
    return original(data)


def bus_policy(name):
    eventbridge._ensure_default_bus()
    if name not in eventbridge._event_buses:
        raise ValueError(f"Event bus {name} does not exist.")
    return eventbridge._event_bus_policies.setdefault(name, {"Version": "2012-10-17", "Statement": []})


def create_bus_policy(_logical_id, props, _stack_name):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-events-eventbuspolicy.html"""
    bus = str(props.get("EventBusName") or "default").split("event-bus/")[-1]
    statement = {**props["Statement"], "Sid": props["StatementId"]}
    policy = bus_policy(bus)
    policy["Statement"] = [one for one in policy["Statement"] if one["Sid"] != statement["Sid"]] + [statement]
    return f"{bus}|{props['StatementId']}", {}


def delete_bus_policy(physical_id, _props):
    bus, _, statement = physical_id.partition("|")
    policy = bus_policy(bus)
    policy["Statement"] = [one for one in policy["Statement"] if one["Sid"] != statement]


def update_bus_policy(physical_id, _old_props, props, stack_name):
    delete_bus_policy(physical_id, props)
    return create_bus_policy("", props, stack_name)


provisioners._RESOURCE_HANDLERS["AWS::Events::EventBusPolicy"] = {
    "create": create_bus_policy,
    "update": update_bus_policy,
    "delete": delete_bus_policy,
}


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


# --- Parameter Store ----------------------------------------------------------------------------------------
# Intelligent-Tiering chooses a tier; the emulator stores it as if it were one. The proxy can't correct that:
# the request is signed.


@replace(ssm, "_put_parameter")
def put_parameter(original, data):
    if data.get("Tier") == "Intelligent-Tiering":
        _, existing = ssm._lookup_parameter(data.get("Name"))
        advanced = (existing or {}).get("Tier") == "Advanced" or len(str(data.get("Value", "")).encode()) > 4096
        data = {**data, "Tier": "Advanced" if advanced else "Standard"}
    return original(data)


# For each page of ten the emulator sorts all parameters that it stores, so 500 modules take longer to read than on AWS. Here the
# pages of a listing are of what was there at its first page.

listings = {}


@replace(ssm, "_get_parameters_by_path")
def get_parameters_by_path(_original, data):
    folder = data.get("Path", "/").rstrip("/") + "/"
    recursive = bool(data.get("Recursive"))
    listing = (ssm._parameters._prefix(), folder, recursive)
    start = ssm._decode_next_token(data["NextToken"]) if data.get("NextToken") else 0
    if start == 0 or listing not in listings:
        below = (name for name in ssm._parameters if name.startswith(folder))
        listings[listing] = sorted(name for name in below if recursive or "/" not in name[len(folder) :])
    names = listings[listing]
    end = start + data.get("MaxResults", ssm.DEFAULT_PAGE_SIZE)
    found = (ssm._parameters.get(name) for name in names[start:end])
    answer = {"Parameters": [ssm._param_out(one, data.get("WithDecryption", False)) for one in found if one]}
    if end < len(names):
        answer["NextToken"] = ssm._encode_next_token(end)
    return json_response(answer)


if __name__ == "__main__":
    app.main()
