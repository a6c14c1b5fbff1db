"""Runs seed-farmer's command line, on request without its one fixed wait.

Each `apply` sleeps 12 seconds for IAM, also where nothing changed: it compares what two sorts of lists answer, which is
always None. With `--hurried` as the first argument exactly that sleep returns at once.
"""

import sys
import time
from types import SimpleNamespace

from seedfarmer.__main__ import main
from seedfarmer.commands import _stack_commands

FIXED_WAIT = 12


def without_the_fixed_wait(seconds):
    if seconds != FIXED_WAIT:
        time.sleep(seconds)


if sys.argv[1] == "--hurried":
    del sys.argv[1]
    # Fails if the module doesn't sleep by this name any more.
    assert _stack_commands.time is time
    _stack_commands.time = SimpleNamespace(sleep=without_the_fixed_wait)
sys.argv[0] = "seedfarmer"
sys.exit(main())
