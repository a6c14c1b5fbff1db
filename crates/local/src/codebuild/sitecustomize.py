"""Sends the calls of old versions of boto3 to the stack: before 1.28 (botocore 1.31) it ignores AWS_ENDPOINT_URL.

Python imports this file when it starts, in virtual environments too. So it also spares the AWS CLI of builds its collection of
garbage.
"""

import gc
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def redirect(session):
    """Gives the clients of a botocore that doesn't know the variable its endpoint."""
    import functools
    import inspect

    import botocore

    if tuple(int(part) for part in botocore.__version__.split(".")[:2]) >= (1, 31):
        return
    original = session.Session.create_client
    signature = inspect.signature(original)

    @functools.wraps(original)
    def create_client(*args, **kwargs):
        given = signature.bind(*args, **kwargs)
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        if endpoint and given.arguments.get("endpoint_url") is None:
            given.arguments["endpoint_url"] = endpoint
        return original(*given.args, **given.kwargs)

    session.Session.create_client = create_client


class Finder:
    """Changes one module after its import, whenever and from wherever that is."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "botocore.session":
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                redirect(module)

            spec.loader.exec_module = exec_module
        return spec


def import_the_next():
    """Imports the file of this name that Python would import without this one."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    others = [folder for folder in sys.path if os.path.abspath(folder or ".") != HERE]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


# Collecting garbage is a fifth of the processor time of a command that ends at once. Before 3.10 the command line isn't known
# here.
if "aws" in [os.path.basename(word) for word in getattr(sys, "orig_argv", [])[1:2]]:
    gc.disable()
sys.meta_path.insert(0, Finder)
import_the_next()
