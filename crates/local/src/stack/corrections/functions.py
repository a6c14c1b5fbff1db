"""Lambda: events for functions."""

import json
import time

from ministack.services import eventbridge, lambda_svc

from .replacing import replace

# --- Events for functions -----------------------------------------------------------------------------------
# EventBridge invokes asynchronously, so Lambda tries a failed event again and hands it to the destination of
# failures in the end: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html. The
# emulator tries other asynchronous invocations again within seconds, and an event from EventBridge only once.
# An event waits while the account is at its quota of functions: Lambda tries it again after a second, then after longer and
# longer pauses of up to five minutes, for up to six hours, and doesn't count these tries (the same page).

LONGEST_PAUSE = 300

# By their ids, so that each is kept as long as it is known here.
events = {}


@replace(eventbridge, "_dispatch_to_lambda")
def dispatch_to_lambda(original, arn, payload):
    function, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        return original(arn, payload)
    event = json.loads(payload)
    events[id(event)] = event
    return lambda_svc.invoke_async_with_retry(function, event)


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
