"""Reads `.env` files by the real python-dotenv, for the test.

Each line on standard input is a file's text as JSON; each line on standard output is what python-dotenv reads:
{"variables", "skipped"}. The variables of the process stand for those that are given.
"""
import json
import os
import sys
import tempfile
from typing import Any, Dict

from dotenv.main import DotEnv
from dotenv.parser import Binding, parse_stream

os.environ.clear()
os.environ.update(json.loads(sys.argv[1]))
sys.stdin.reconfigure(encoding="utf-8")
path = tempfile.mktemp()


def line(binding: Binding) -> int:
    """The line of a statement; python-dotenv counts from the empty lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def read(text: str) -> Dict[str, Any]:
    with open(path, "wb") as file:
        file.write(text.encode())
    variables = DotEnv(path, encoding="utf-8", override=False).dict()
    with open(path, encoding="utf-8") as file:
        skipped = [line(binding) for binding in parse_stream(file) if binding.error]
    return {"variables": {name: value for name, value in variables.items() if value is not None}, "skipped": skipped}


for request in sys.stdin:
    print(json.dumps(read(json.loads(request))))
os.remove(path)
