"""Runs ministack with AWS's answers about rights where its own differ.

The stack starts this in place of `python -m ministack`, with AUTH=true. So the template is deployed as it is,
and a role may do here what it may do on AWS. Each correction replaces a function of the pinned version
(tools/local-stack.in) and has its reason; if a function isn't there any more, the emulator doesn't start.
"""

import contextvars
import json
import time

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import codebuild, eventbridge, lambda_svc, s3, ssm, stepfunctions


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
    # A version or a label after the name is no part of the resource.
    return f"arn:aws:ssm:{region}:{account}:parameter/{name.split(':')[0].lstrip('/')}"


def project(name, region, account):
    return f"arn:aws:codebuild:{region}:{account}:project/{name}"


def project_of_build(build, region, account):
    return project(build.split(":build/")[-1].split(":")[0], region, account)


def log_stream(request, region, account):
    """What AWS's own refusals name, and what a group's ARN with its ":*" covers; a missing stream is empty."""
    stream = request.get("logStreamName", "")
    return f"arn:aws:logs:{region}:{account}:log-group:{request.get('logGroupName')}:log-stream:{stream}"


def named_resources(operation, request, region, account):
    """The ARNs that a request is about; none where the emulator finds them by itself."""

    def each(names, arn):
        return [arn(name, region, account) for name in request.get(names) or [] if isinstance(name, str)]

    match operation:
        case "AmazonSSM.GetParameters" | "AmazonSSM.DeleteParameters":
            return each("Names", parameter)
        case "AmazonSSM.GetParametersByPath":
            # The path itself and not what lies below: whoever may read a path reads all of it.
            return [parameter(str(request.get("Path")), region, account)]
        case "CodeBuild_20161006.BatchGetProjects":
            return each("names", project)
        case "CodeBuild_20161006.BatchGetBuilds":
            return each("ids", project_of_build)
        case "CodeBuild_20161006.StopBuild":
            return [project_of_build(str(request.get("id")), region, account)]
        case "AWSEvents.DescribeRule":
            return [f"arn:aws:events:{region}:{account}:rule/{request.get('Name')}"]
        case (
            "Logs_20140328.CreateLogGroup"
            | "Logs_20140328.CreateLogStream"
            | "Logs_20140328.PutLogEvents"
            | "Logs_20140328.GetLogEvents"
            | "Logs_20140328.FilterLogEvents"
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
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
CONDITION_KEYS = {
    ("iam", "PolicyArn"): "iam:PolicyARN",
    ("iam", "PermissionsBoundary"): "iam:PermissionsBoundary",
    ("cloudformation", "RoleARN"): "cloudformation:RoleArn",
}
condition_values = contextvars.ContextVar("condition_values", default={})


def condition_values_of(service, query_params):
    values = {}
    for (of_service, field), key in CONDITION_KEYS.items():
        value = (query_params or {}).get(field)
        value = value[0] if isinstance(value, list) and value else value
        if service == of_service and value:
            values[key] = value
    return values


def condition_values_of_events(operation, request):
    """Source and type of what is put on a bus: keys of several values, which an operator for a single value doesn't match
    (IAM user guide, "Single-valued vs. multivalued context keys"). A field that no entry has is no key."""
    if operation != "AWSEvents.PutEvents":
        return {}
    values = {}
    for key, field in (("events:source", "Source"), ("events:detail-type", "DetailType")):
        found = sorted({str(entry[field]) for entry in request.get("Entries") or [] if field in entry})
        if found:
            values[key] = found
    return values


@replace(iam_actions, "extract_resource_arn")
def extract_resource_arn(original, service, method, path, headers, body, query_params, region, account_id):
    refused_resource.set(None)
    further_resources.set(())
    condition_values.set(condition_values_of(service, query_params))
    try:
        request = json.loads(body) if body[:1] == b"{" else {}
    except ValueError:
        request = {}
    operation = headers.get("x-amz-target", "")
    condition_values.set({**condition_values.get(), **condition_values_of_events(operation, request)})
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
        # It belongs to no state machine: who may answer for any of them is told that it doesn't exist.
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
        denied = original(access_key_id, "s3:ListBucket", service, region, bucket, {})
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
    bucket = s3._buckets.get(name)
    if bucket is None:
        return False
    # A version can still be there when the object is not.
    versions = s3._object_versions.get((name, key)) if iam_action == "s3:GetObjectVersion" else None
    return key not in bucket["objects"] and not versions


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
    return original(resource, input_data, token, state_def)


# --- Executions that were stopped ---------------------------------------------------------------------------
# On AWS an execution ends with its stop: its history is closed, and nothing is called in its name any more. The
# emulator's thread goes on until its state ends, retries included, and may make FAILED of ABORTED then:
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html


@replace(stepfunctions, "_add_event")
def add_event(original, execution, event_type, details=None):
    if execution["status"] == "ABORTED" and event_type != "ExecutionAborted":
        # Ends the execution's thread, in which all other events are written.
        raise SystemExit
    return original(execution, event_type, details)


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


# --- Services that assume roles -----------------------------------------------------------------------------
# The emulator lets root stand for every service, but has no aws:SourceAccount, which AWS sets for services:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html. For CloudFormation's service roles AWS documents no
# such key, only for StackSets and extensions:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cross-service-confused-deputy-prevention.html


@replace(iam_evaluator, "evaluate_trust_policy")
def evaluate_trust_policy(original, trust_doc, caller_arn, ctx=None):
    is_cloudformation = '"cloudformation.amazonaws.com"' in json.dumps(trust_doc).replace("\\", "")
    if ctx is not None and ctx.principal_type == "Root" and not is_cloudformation:
        ctx.service_context["aws:sourceaccount"] = ctx.principal_account
    return original(trust_doc, caller_arn, ctx)


# --- Builds -------------------------------------------------------------------------------------------------
# They run in the stack's stand-in. The proxy asks here first whether the caller may, and then asks the stand-in.

OF_THE_STAND_IN = {"StartBuild", "BatchGetBuilds", "StopBuild", "ListBuilds", "ListBuildsForProject"}


@replace(codebuild, "_handle_request_sync")
def handle_codebuild(original, method, path, headers, body, query_params):
    if headers.get("x-amz-target", "").rsplit(".", 1)[-1] in OF_THE_STAND_IN:
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, b"{}"
    return original(method, path, headers, body, query_params)


# --- Events for functions -----------------------------------------------------------------------------------
# EventBridge invokes asynchronously, so Lambda tries a failed event again and hands it to the destination of
# failures in the end: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html. The
# emulator does so for other asynchronous invocations, within seconds; an event from EventBridge it tries once.


@replace(eventbridge, "_dispatch_to_lambda")
def dispatch_to_lambda(original, arn, payload):
    function, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        return original(arn, payload)
    return lambda_svc.invoke_async_with_retry(function, json.loads(payload))


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


if __name__ == "__main__":
    app.main()
