"""EventBridge: buses of other accounts and regions, and what events of executions leave out."""

import contextvars
import json
import time
import uuid

from ministack.core import iam_evaluator
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response, request_scope
from ministack.services import eventbridge, iam
from ministack.services.cloudformation import provisioners

from .iam import statements_of
from .replacing import replace
from .stepfunctions import without_what_is_too_long


@replace(eventbridge, "_put_events")
def put_events(original, data, allow_aws_source=False):
    for entry in data.get("Entries", []):
        if allow_aws_source and entry.get("Source") == "aws.states":
            entry["Detail"] = json.dumps(without_what_is_too_long(json.loads(entry["Detail"])))
    return put_on_buses(original, data, allow_aws_source)


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
    """An account means its root, as in every policy (EventBridge API reference, PutPermission); the emulator matches the number
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
