"""Runs calls of the real `seedfarmer` for the test: importing it takes half a second, so that is done once.

Each line on standard input is a call, {"args", "cwd", "env"}; each line on standard output its end, {"exit", "stdout"}.
A call is a fork that enters seed-farmer where its console script does, with an environment and a directory of its own.
"""
import json
import os
import sys
import traceback
from typing import Any, Dict

from seedfarmer.__main__ import main


def enter(call: Dict[str, Any]) -> int:
    os.environ.clear()
    os.environ.update(call["env"])
    os.chdir(call["cwd"])
    sys.argv = ["seedfarmer", *call["args"]]
    try:
        return main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()  # as the interpreter would, and then exit code 1
        return 1


def run(call: Dict[str, Any]) -> Dict[str, Any]:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write_end, 1)
        os.close(read_end)
        code = enter(call)
        sys.stdout.flush()
        os._exit(code)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        stdout = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return {"exit": os.waitstatus_to_exitcode(status), "stdout": stdout}


for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
