"""Lambda: the AWS SDK of the runtimes for Node."""

import fcntl
import io
import os
import pathlib
import re
import subprocess
import threading
import zipfile

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from .replacing import replace

# --- The AWS SDK in functions in Node -------------------------------------------------------------------------
# Lambda's runtimes contain it, version 2 up to Node 16 and version 3 from Node 18, and functions don't bring it:
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html. The CDK's own functions count on that, for example
# those of auto_delete_objects. The emulator runs the machine's Node, which has none, so npm installs what a function
# asks for before it runs for the first time, once for all stacks.

# The emulator itself gives version 2 the endpoint and the keys of the function's role, but not their token.
KEY = 'secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY || "test",'
worker = lambda_runtime._NODEJS_WORKER_SCRIPT
assert worker.count(KEY) == 1, "the emulator configures version 2 of the AWS SDK otherwise"
lambda_runtime._NODEJS_WORKER_SCRIPT = worker.replace(KEY, f"{KEY} sessionToken: process.env.AWS_SESSION_TOKEN,")

SDK = pathlib.Path(os.environ["NODE_PATH"])
ASKED_FOR = re.compile(rb"""["'](aws-sdk|@aws-sdk/[a-z0-9-]+)["'/]""")
installing = threading.Lock()
looked_at = set()


@replace(lambda_svc, "_execute_function")
def execute_function(original, function, event):
    config = function.get("config") or function
    if str(config.get("Runtime")).startswith("nodejs"):
        bring_sdk(function.get("code_zip"), config.get("CodeSha256"))
    return original(function, event)


def bring_sdk(code, digest):
    with installing:
        if not code or digest in looked_at:
            return
        with open(SDK.parent / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # other stacks share the folder
            missing = [name for name in sorted(packages(code)) if not (SDK / name).exists()]
            if missing:
                install(missing)
        looked_at.add(digest)


def packages(code):
    with zipfile.ZipFile(io.BytesIO(code)) as files:
        scripts = [name for name in files.namelist() if name.endswith((".js", ".cjs", ".mjs"))]
        brought = {name.split("node_modules/")[-1] for name in files.namelist() if "node_modules/" in name}
        asked_for = {found.decode() for name in scripts for found in ASKED_FOR.findall(files.read(name))}
    return {name for name in asked_for if not any(path.startswith(name + "/") for path in brought)}


def install(missing):
    # The emulator's own proxy leads nowhere, so that nothing of it can reach AWS.
    proxies = ("https_proxy", "no_proxy")
    environment = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    npm = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run([*npm, *missing], cwd=SDK.parent, env=environment, capture_output=True, text=True)
    if done.returncode:
        # The function fails with what it misses; this is why.
        print(f"npm could not install {', '.join(missing)}: {done.stderr}", flush=True)
