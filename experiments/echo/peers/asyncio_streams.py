#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One thread, asyncio's event loop, a coroutine for every connection."""
import asyncio

import common


async def serve(reader, writer):
    try:
        while True:
            data = await reader.read(65536)
            if not data:
                break
            writer.write(data)
            await writer.drain()  # a peer that does not read is waited for
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main(listening):
    server = await asyncio.start_server(serve, sock=listening)
    async with server:
        await server.serve_forever()


try:
    asyncio.run(main(common.listener(__doc__)))
except KeyboardInterrupt:
    pass
