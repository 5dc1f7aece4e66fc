#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One thread, asyncio's event loop, a coroutine for every connection."""
import asyncio
import signal

import common

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # blocked until the event loop is there: half made it cannot end well


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
    except (ConnectionError, asyncio.CancelledError):  # it was reset, or the server ends
        pass
    finally:
        writer.close()
        common.say(f"Connection with {address} closed")


async def serve_all(listening):
    """Until Ctrl-C, without serve_forever(): since Python 3.12 that waits for all clients to leave."""
    ended = asyncio.Event()
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    server = await asyncio.start_server(serve, sock=listening)
    await ended.wait()
    server.close()
    common.interrupted()


async def serve_plainly(listening):
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    server = await asyncio.start_server(serve, sock=listening)
    async with server:
        await server.serve_forever()


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    listening = common.listener(__doc__, plain="by serve_forever(), without a handler of Ctrl-C")
    asyncio.run((serve_plainly if common.options.plain else serve_all)(listening))  # which cancels what still serves


common.run(main)
