"""Lets a build's tools into registries: docker by a login, pip, uv and npm by their configurations of the user.

The argument is a JSON object with the URLs of mirrors and the names of secrets. Credentials go from Secrets Manager into
files that only the user may read, or to docker's standard input: never into an argument, a variable or the log.
"""
import base64
import configparser
import io
import json
import os
import subprocess
import sys
from typing import Any, Dict, Optional, Tuple
from urllib.parse import quote


class Failure(Exception):
    pass


def say(text: str) -> None:
    print("seedflow: " + text, flush=True)


def secret(name: str) -> Dict[str, Any]:
    query = ["--query", "SecretString", "--output", "text"]
    command = ["aws", "secretsmanager", "get-secret-value", "--secret-id", name, *query]
    try:
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise Failure(f"secret {name}: the AWS CLI, which the image has to bring, does not start: {error}") from None
    if ended.returncode:
        raise Failure(f"secret {name}: {ended.stderr.decode(errors='replace').strip()}")
    try:
        content = json.loads(ended.stdout)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Failure(f"secret {name}: expected a JSON object")  # without what was found: it is the secret
    return content


def pair(entry: Any) -> Optional[Tuple[str, str]]:
    if not isinstance(entry, dict):
        return None
    user, password = entry.get("username"), entry.get("password")
    return (user, password) if isinstance(user, str) and isinstance(password, str) and user and password else None


def of_mirror(url: str, named: Optional[str], kind: str) -> Dict[str, Any]:
    if not named:
        return {}
    if not url.startswith("https://"):
        say(f"{url} is not https, so it gets no credentials")
        return {}
    name, _, key = named.partition("::")
    entry = secret(name).get(key or kind)
    if isinstance(entry, dict):
        return entry
    say(f"secret {name} has no object {key or kind}, so {url} gets no credentials")
    return {}


def store(path: str, text: str) -> None:
    path = os.path.expanduser(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)


def existing(path: str) -> str:
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def pypi(url: str, named: Optional[str]) -> None:
    login = pair(of_mirror(url, named, "pypi"))
    full = url
    if login:
        user, password = (quote(part, safe="") for part in login)
        full = f"https://{user}:{password}@{url[len('https://'):]}"
    pip = os.environ.get("PIP_CONFIG_FILE") or "~/.config/pip/pip.conf"
    settings = configparser.RawConfigParser()
    settings.read_string(existing(pip))
    if not settings.has_section("global"):
        settings.add_section("global")
    settings.set("global", "index-url", full)
    text = io.StringIO()
    settings.write(text)
    store(pip, text.getvalue())
    store("~/.config/uv/uv.toml", f'[[index]]\nname = "mirror"\nurl = {json.dumps(full)}\ndefault = true\n')
    say(f"pip and uv use {url}, {'with' if login else 'without'} credentials")


def npm(url: str, named: Optional[str]) -> None:
    entry = of_mirror(url, named, "npm")
    token, login = entry.get("ssl_token"), pair(entry)
    if not token and not login and (entry.get("username") or entry.get("password")):
        raise Failure("npm mirror: expected username and password, found one of them in the secret")
    if not token and login:
        token = base64.b64encode(":".join(login).encode()).decode()
    lines = existing("~/.npmrc").splitlines() + [f"registry={url}"]
    if token:
        lines.append(f"//{url.split('/')[2]}/:_auth={token}")
    store("~/.npmrc", "\n".join(lines) + "\n")
    say(f"npm uses {url}, {'with' if token else 'without'} credentials")


def docker(name: str) -> None:
    """A failed login ends no build, as in seed-farmer: the image may be public."""
    try:
        registries = secret(name)
    except Failure as error:
        return say(f"WARNING: no docker login: {error}")
    for registry, entry in registries.items():
        login = pair(entry)
        if not login or registry.startswith("-"):
            say("WARNING: no docker login: the secret has an entry other than REGISTRY: {username, password}")
            continue
        command = ["docker", "login", "--username", login[0], "--password-stdin", registry]
        try:
            ended = subprocess.run(command, input=login[1].encode(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        except OSError as error:
            return say(f"WARNING: no docker login: {error}")
        if ended.returncode:
            said = ended.stderr.decode(errors="replace").strip().splitlines()[-1:]
            reason = "".join(said).replace(login[0], "***").replace(login[1], "***")
            say(f"WARNING: no docker login to {registry}: {reason}")


def main(given: Dict[str, str]) -> int:
    try:
        if "pypi_mirror" in given:
            pypi(given["pypi_mirror"], given.get("pypi_mirror_secret"))
        if "npm_mirror" in given:
            npm(given["npm_mirror"], given.get("npm_mirror_secret"))
        if "docker_credentials_secret" in given:
            docker(given["docker_credentials_secret"])
        return 0
    except (Failure, OSError, configparser.Error) as error:
        say(f"{error}" if isinstance(error, Failure) else type(error).__name__)
        return 1


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
