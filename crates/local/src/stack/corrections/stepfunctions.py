"""Step Functions: tokens, waits between tries, errors and limits, and the ends of executions."""

import contextvars
import json
import random
import time

from jsonata.functions import Functions
from ministack.core.responses import error_response_json
from ministack.services import stepfunctions

from .replacing import replace

machine_of_task = contextvars.ContextVar("machine_of_task", default=None)
execution_of_task = contextvars.ContextVar("execution_of_task", default=None)
token_of_call = contextvars.ContextVar("token_of_call", default=None)
timeout_of_task = contextvars.ContextVar("timeout_of_task", default=None)
machine_by_token = {}


# --- Answers to tasks ---------------------------------------------------------------------------------------
# A task token belongs to a state machine, and AWS checks the right to answer on that.


@replace(stepfunctions, "_execute_task")
def execute_task(original, state_def, raw_input, execution, ctx):
    execution_of_task.set(execution)
    machine_of_task.set(execution.get("stateMachineArn"))
    # The history of AWS has the states in a Map, too; the emulator writes that of their tasks only:
    # https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
    if "Map" in ctx:
        entered = {"name": ctx["State"]["Name"], "input": json.dumps(raw_input)}
        stepfunctions._add_event(execution, "TaskStateEntered", {"stateEnteredEventDetails": entered})
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
# swallows (https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception).

TOO_MANY = "Lambda.TooManyRequestsException"


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
