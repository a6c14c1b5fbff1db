#!/usr/bin/env python3
"""`seedfarmer metadata` for modules that Seedflow builds, and `seedflow-collect`, which hands their metadata back.

A module sees what seed-farmer 8.0.9 does, without installing it: one file for Python 3.8, carried in the buildspec.
Metadata is a JSON object in $SEEDFLOW_MODULE_ROOT/{prefix}_MODULE_METADATA. The variable of that name starts as the
previous deployment's metadata with a space at its end. While the space is there the module has exported nothing, and
nothing of it is merged, so keys that a module stops publishing disappear.
"""
import json
import os
import subprocess
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

PREFIX = os.environ.get("SEEDFLOW_PREFIX") or "SEEDFARMER"
METADATA = PREFIX + "_MODULE_METADATA"
USAGE = """Usage: seedfarmer metadata COMMAND
  add -k KEY -v VALUE | -j JSON     add a text, or all keys of a JSON object
  convert [-f FILE] [-jq PATH]      add what a CDK output file (default: cdk-exports.json) holds
  depmod                            print PROJECT-DEPLOYMENT-MODULE
  paramvalue -s SUFFIX              print a variable, such as PARAMETER_VPC_ID
Other commands of seed-farmer make no sense inside a build.
"""


class Failure(Exception):
    code = 1


class Misuse(Failure):
    code = 2


def note(text: str) -> None:
    print("seedfarmer: " + text, file=sys.stderr)


def in_module(path: str) -> str:
    root = os.environ.get("SEEDFLOW_MODULE_ROOT")
    if not root:
        raise Failure("SEEDFLOW_MODULE_ROOT is not set: this command works inside a build of Seedflow")
    return os.path.join(root, path)


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path: str, metadata: Dict[str, Any], **style: Any) -> None:
    text = json.dumps(metadata, allow_nan=False, **style).encode()  # fails before the file is touched
    with open(path, "wb") as file:
        file.write(text)


def repaired(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # as seed-farmer does, for a printed Python dict
        return json.loads(text.replace("'", '"'))


def as_object(value: Any, what: str) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise Failure(f"{what} must be a JSON object, not {json.dumps(value)[:80]}")
    return value


def exported() -> str:
    text = os.environ.get(METADATA, "")
    return "" if text.endswith(" ") else text


def from_variable() -> Dict[str, Any]:
    try:
        return as_object(repaired(exported()) or {}, "$" + METADATA)
    except ValueError:
        return {}


def from_file() -> Dict[str, Any]:
    path = in_module(METADATA)
    try:
        return as_object(json.loads(read(path)) or {}, path)
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def add(key: str = "", value: str = "", text: str = "") -> None:
    if text and key and value:
        raise Failure("give either -j or -k with -v")
    if text:
        new = as_object(json.loads(text), "-j")
    elif key and value:
        new = {key: value}
    elif key or value:
        raise Failure("-k and -v belong together, and neither may be empty")
    else:
        return
    write(in_module(METADATA), {**from_variable(), **from_file(), **new})


def convert(file: str = "cdk-exports.json", place: str = "") -> None:
    path = in_module(file)
    exports = dict(json.loads(read(path))) if os.path.isfile(path) else {}
    if not exports:
        return note(f"nothing to convert, {path} is missing or empty")
    text = by_jq(path, place) if place else by_key(exports, depmod())
    if not text:
        return note(f"nothing to convert at that place of {path}")
    try:
        new = json.loads(text)
    except ValueError:
        return note(f"ignored, because it is not JSON: {text[:80]}")
    except TypeError:
        raise Failure(f"metadata in {path} must be a string that holds a JSON object") from None
    write(in_module(METADATA), {**from_file(), **as_object(new, f"metadata in {path}")})


def by_key(exports: Dict[str, Any], key: str) -> Any:
    try:
        return exports[key]["metadata"]
    except (KeyError, TypeError):
        raise Failure(f"no {key}.metadata among {', '.join(exports)}; -jq PATH takes it from elsewhere") from None


def by_jq(path: str, place: str) -> Any:
    # jq wants names with a dash in quotes
    place = ".".join(f'"{name}"' if "-" in name else name for name in place.split("."))
    place = place if place.startswith(".") else "." + place
    with open(path, "rb") as file:
        return json.loads(subprocess.run(["jq", place], stdin=file, stdout=subprocess.PIPE).stdout)


def depmod() -> str:
    return "-".join(str(os.environ.get(f"{PREFIX}_{name}_NAME")) for name in ("PROJECT", "DEPLOYMENT", "MODULE"))


def paramvalue(suffix: str) -> str:
    return os.environ.get(f"{PREFIX}_{suffix}", "")


def collect() -> str:
    path = in_module(METADATA)
    text, origin = (read(path), path) if os.path.isfile(path) else (exported(), "$" + METADATA)
    try:
        metadata = as_object(repaired(text.strip() or "{}") or {}, origin)
    except ValueError as error:
        hint = "; it seems to be a printed Python dict, print json.dumps of it" if "{'" in text else ""
        raise Failure(f"{origin} is not JSON: {error}{hint}") from None
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "out")  # beside bin/
    os.makedirs(folder, exist_ok=True)
    write(os.path.join(folder, "metadata.json"), metadata, separators=(",", ":"), ensure_ascii=False)
    return f"Metadata keys: {len(metadata)}\n"


COMMANDS: Dict[str, Tuple[Callable[..., Optional[str]], Dict[str, str]]] = {
    "add": (add, {"-k": "key", "--key": "key", "-v": "value", "--value": "value", "-j": "text", "--jsonstring": "text"}),
    "convert": (convert, {"-f": "file", "--json-file": "file", "-jq": "place", "--jq-path": "place"}),
    "depmod": (depmod, {}),
    "paramvalue": (paramvalue, {"-s": "suffix", "--suffix": "suffix"}),
}


def options(args: List[str], names: Dict[str, str]) -> Dict[str, str]:
    """Not by argparse: what follows an option is its value here, even if it starts with a dash."""
    found: Dict[str, str] = {}
    while args:
        arg, *args = args
        name, equals, value = arg.partition("=")
        if name not in names or (len(name) == 2 and equals):  # -kKEY
            name, equals, value = arg[:2], arg[2:], arg[2:]
        if name not in names:
            raise Misuse(f"what is {arg}?")
        if not equals:
            if not args:
                raise Misuse(f"{name} needs a value")
            value, *args = args
        found[names[name]] = value
    return found


def seedfarmer(args: List[str]) -> Optional[str]:
    if "--help" in args[:3] or args in ([], ["metadata"]):
        return USAGE
    if args[0] != "metadata" or args[1] not in COMMANDS:
        raise Misuse(f"expected a command that modules use, found {' '.join(args[:2])}")
    command, names = COMMANDS[args[1]]
    given = options(args[2:], names)
    if command is paramvalue and not given:
        raise Misuse("-s is missing")
    return command(**given)


def main() -> int:
    name = os.path.basename(sys.argv[0])
    try:
        sys.stdout.write((collect() if name == "seedflow-collect" else seedfarmer(sys.argv[1:])) or "")
        return 0
    except Failure as error:
        print(f"{name}: {error}", *([USAGE] if error.code == 2 else []), sep="\n", file=sys.stderr)
        return error.code
    except (OSError, TypeError, ValueError) as error:
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
