"""The HTTP server before the emulator.

hypercorn parses requests in Python, which takes a third of a call's processor time. uvicorn parses them in C (httptools).
Nothing else differs: the emulator is the same ASGI application.
"""

import uvicorn
from hypercorn import asyncio as hypercorn


async def serve(application, config):
    host, _, port = config.bind[0].rpartition(":")
    await uvicorn.Server(
        uvicorn.Config(
            application,
            host=host,
            port=int(port),
            http="httptools",
            ws="none",
            timeout_keep_alive=int(config.keep_alive_timeout),
            log_level="warning",
            access_log=False,
            # The emulator sets its own, and the addresses that a header claims are not to be believed.
            server_header=False,
            date_header=False,
            proxy_headers=False,
        )
    ).serve()


# The emulator's `main` takes it from there.
hypercorn.serve = serve
