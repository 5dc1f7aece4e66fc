#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One thread, asyncio's event loop, a coroutine for every connection."""
import asyncio

import common


async def serve(reader, writer):
    address = writer.get_extra_info("peername")
    try:
        while True:
            data = await reader.read(65536)
            if not data:
                break
            common.say(f"Received from {address}: {common.text(data)}")
            writer.write(data)
            await writer.drain()  # a peer that does not read is waited for
    except ConnectionError:
        pass
    finally:
        writer.close()
        common.say(f"Connection with {address} closed")


async def main(listening):
    server = await asyncio.start_server(serve, sock=listening)
    try:  # not serve_forever(): since Python 3.12 it waits for all clients to leave
        await asyncio.get_running_loop().create_future()
    finally:
        server.close()


try:
    asyncio.run(main(common.listener(__doc__)))
except KeyboardInterrupt:
    common.interrupted()
