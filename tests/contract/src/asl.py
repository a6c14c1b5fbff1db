"""Walks a state machine along every path that given results and errors of its tasks open, and evaluates each JSONata
expression on the way as the emulator does, which fails where AWS does: an undefined result, or one of the wrong type.

Reads from stdin: the definition, the inputs of executions, how many seconds ago they were started, and of each task what
it may answer.
Prints: what failed, what failed and was caught by the task that it failed in, and how executions ended.
"""

import collections
import datetime
import functools
import json
import sys

from ministack.services import stepfunctions

# The maximum of states that are walked in a row: more than there are without a loop, and each loop once more.
LONGEST = 24

Jsonata = stepfunctions.jsonata.Jsonata
parse = functools.cache(Jsonata)


def parse_once(expression, timeout):
    """The emulator parses an expression each time that it evaluates it. A walk evaluates the same ones thousands of times.
    Its limit of a second is left out: it counts from the parsing."""
    parsed = Jsonata.CURRENT.jsonata = parse(expression)
    return parsed


Jsonata.jsonata = parse_once


class Walk:
    def __init__(self, asked):
        self.tasks = asked["tasks"]
        started = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=asked["age"])
        self.started_at = started.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        self.faults, self.caught, self.ends, self.seen = [], [], [], set()

    def machine(self, machine, value, execution, variables):
        todo = collections.deque([(machine["StartAt"], value, variables, 0)])
        while todo:
            name, value, variables, steps = todo.popleft()
            known = json.dumps([name, value, execution, variables], sort_keys=True)
            if known in self.seen or steps > LONGEST:
                continue
            self.seen.add(known)
            state = machine["States"][name]
            here = State(name, state, value, self.context(execution, variables, name))
            try:
                for after, following in here.arrows(self):
                    todo.append((following, *after, steps + 1))
            except stepfunctions._ExecutionError as error:
                self.faults.append(f"{name}: {error.error}: {error.cause} (input {json.dumps(value)[:200]})")

    def context(self, execution, variables, name):
        return {
            "QueryLanguage": "JSONata",
            "Execution": {"Id": "arn:execution", "Input": execution, "Name": "n", "StartTime": self.started_at},
            "State": {"Name": name, "EnteredTime": self.started_at, "RetryCount": 0},
            "StateMachine": {"Id": "arn:machine", "Name": "m"},
            "Task": {"Token": "token"},
            "variables": dict(variables),
        }


class State:
    def __init__(self, name, state, value, context):
        self.name, self.state, self.value, self.context = name, state, value, context

    def field(self, of, name, kind):
        return stepfunctions._jsonata_state_field(of, name, kind, self.value, self.context)

    def evaluated(self, template, **results):
        return stepfunctions._apply_jsonata_template(template, self.value, self.context, **results)

    def after(self, rule, default, **results):
        """Output and variables after a state, or after a rule of it."""
        output = self.evaluated(rule["Output"], **results) if "Output" in rule else default
        assigned = self.evaluated(rule.get("Assign", {}), **results)
        return output, {**self.context["variables"], **assigned}

    def arrows(self, walk):
        state, kind = self.state, self.state["Type"]
        if kind == "Succeed":
            walk.ends.append({"state": self.name, "output": self.value})
        elif kind == "Fail":
            error, cause = (self.field(state, field, "string") for field in ("Error", "Cause"))
            walk.ends.append({"state": self.name, "error": error, "cause": cause})
        elif kind == "Choice":
            rule = next((rule for rule in state["Choices"] if self.field(rule, "Condition", "boolean")), None)
            yield (self.after(rule, self.value), rule["Next"]) if rule else (self.after(state, self.value), state["Default"])
        elif kind in ("Wait", "Pass"):
            if kind == "Wait":
                self.field(state, "Seconds", "number")
            yield from self.onwards(walk, self.after(state, self.value))
        elif kind == "Map":
            self.field(state, "MaxConcurrency", "number")
            for item in self.field(state, "Items", "array"):
                walk.machine(state["ItemProcessor"], item, self.context["Execution"]["Input"], self.context["variables"])
            yield from self.results(walk)
        else:
            yield from self.task(walk)
            for error in walk.tasks[self.name].get("errors", []):
                yield from self.caught(error)

    def task(self, walk):
        try:
            self.evaluated(self.state["Arguments"])
            return list(self.results(walk))
        except stepfunctions._ExecutionError as error:
            arrows = list(self.caught({"Error": error.error, "Cause": error.cause}))
            if not arrows:
                raise
            walk.caught.append(f"{self.name}: {error.error}: {error.cause}")
            return arrows

    def results(self, walk):
        for result in walk.tasks[self.name]["results"]:
            yield from self.onwards(walk, self.after(self.state, result, result=result))

    def onwards(self, walk, after):
        if "Next" in self.state:
            yield after, self.state["Next"]
        else:
            walk.ends.append({"state": self.name, "output": after[0]})

    def caught(self, error):
        """Where an error leads that outlasts its retries."""
        rule = stepfunctions._find_matching_catcher(self.state.get("Catch", []), error["Error"])
        if rule:
            yield self.after(rule, error, error_output=error), rule["Next"]


asked = json.load(sys.stdin)
walk = Walk(asked)
for execution in asked["inputs"]:
    walk.machine(asked["machine"], execution, execution, {})
found = {"faults": sorted(set(walk.faults)), "caught": sorted(set(walk.caught)), "ends": walk.ends}
json.dump(found, sys.stdout)
