"""`python -m benchmarks.siege.attack PORT SILENT DRIPPING`: hold connections open until the standard input ends.

One that the backend closes is opened again at once. At the end the number of connections that were opened is printed.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import suppress

DRIP_SECONDS = 1.0
AGAIN_SECONDS = 0.02
"""Pause before a connection is opened again. Without it the attacker would take the cores from the backend."""

HEAD = b"POST /webhook HTTP/1.1\r\nHost: siege\r\nX-Padding: "


async def hold(port: int, opened: Counter[str], *, kind: str) -> None:
    """Keep one connection open, and open it again when it is closed."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            opened[kind] += 1
            try:
                if kind == "dripping":
                    await drip(reader, writer)
                await reader.read()
            finally:
                writer.close()
        await asyncio.sleep(AGAIN_SECONDS)


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a byte a second until the backend answers."""
    writer.write(HEAD)
    while not reader.at_eof():
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(DRIP_SECONDS)


async def main(port: int, silent: int, dripping: int) -> None:
    opened: Counter[str] = Counter()
    kinds = ["silent"] * silent + ["dripping"] * dripping
    tasks = [asyncio.create_task(hold(port, opened, kind=kind)) for kind in kinds]
    while sum(opened.values()) < len(kinds):
        await asyncio.sleep(0.05)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    print(sum(opened.values()), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*(int(each) for each in sys.argv[1:4])))
