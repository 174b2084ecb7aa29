"""Passes TCP connections on to loopback servers, each way later by half of a network's latency.

Usage: python -m dev.bench.exposure.latency MILLISECONDS PORT:SERVER_PORT...

A request and its answer take that many milliseconds longer, however many segments they come in. Setting up a connection
takes no longer than without.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


async def main(argv: Sequence[str]) -> None:
    """Pass on until the process ends."""
    milliseconds, *routes = argv
    delay = float(milliseconds) / 2 / 1000

    async def listen(route: str) -> asyncio.Server:
        port, _, server_port = route.partition(":")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                their_reader, their_writer = await asyncio.open_connection("127.0.0.1", int(server_port))
                await asyncio.gather(_pass_on(reader, their_writer, delay), _pass_on(their_reader, writer, delay))

        return await asyncio.start_server(serve, "127.0.0.1", int(port))

    servers = [await listen(route) for route in routes]
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Write what is read, in its order, each piece ``delay`` seconds after it came."""
    now = asyncio.get_running_loop().time
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def write() -> None:
        data = b"first"
        while data:
            due, data = await pieces.get()
            await asyncio.sleep(max(0.0, due - now()))
            writer.write(data)
        writer.close()

    writing = asyncio.create_task(write())
    data = b"first"
    while data:
        try:
            data = await reader.read(65536)
        except OSError:
            data = b""
        pieces.put_nowait((now() + delay, data))
    await writing


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1:]))
