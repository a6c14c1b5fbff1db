"""Reads every JSON, YAML and TOML file of the repository, so that a mistake is found here and not in a
deployment, and checks that every version in a `.in` file of this folder is in the `.txt` that is made of it.
Files that are broken on purpose are in a folder called `broken`. Names given as arguments are read instead of
the repository's files."""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

import yaml


class Loader(yaml.SafeLoader):
    """Accepts tags like !Sub without their meaning, which cfn-lint checks."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)

def pinned(text, path):
    """Compares a list that people write with the one that `tools/pin` makes of it and pip installs."""
    made = path.with_suffix(".txt").read_text(encoding="utf-8")
    for wanted in (line for line in text.splitlines() if line and not line.startswith("#")):
        # The list contains the packages that an extra installs, not the extra.
        pin = re.escape(re.sub(r"\[.*?\]", "", wanted))
        if not re.search(rf"^{pin}[ ;\\]", made, re.MULTILINE):
            raise ValueError(f"{wanted} is not in {path.with_suffix('.txt')}; run tools/pin")


READERS = {
    ".json": lambda text, path: json.loads(text),
    ".yaml": lambda text, path: list(yaml.load_all(text, Loader)),
    ".yml": lambda text, path: list(yaml.load_all(text, Loader)),
    ".toml": lambda text, path: tomllib.loads(text),
    ".in": pinned,
}


def tracked():
    """The files that git knows, and the new ones that it doesn't ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip("\0").split("\0")


def problem(path):
    """The error in the file, or None."""
    try:
        READERS[path.suffix](path.read_text(encoding="utf-8"), path)
    except (ValueError, yaml.YAMLError) as error:
        return f"{path}: {error}"
    return None


def main():
    paths = [pathlib.Path(name) for name in sys.argv[1:] or tracked()]
    paths = [p for p in paths if p.suffix in READERS and p.exists()]
    if not sys.argv[1:]:
        paths = [p for p in paths if "broken" not in p.parts]
    problems = [text for text in map(problem, paths) if text]
    print("\n".join(problems) if problems else f"{len(paths)} files read")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
