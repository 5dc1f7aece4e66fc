#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A thread for every connection."""
import threading

import common


def main():
    server = common.listener(__doc__, run="call run() instead of start(), by mistake: no thread is started",
                             plain="threads as they are by default: Ctrl-C waits for all clients to leave")
    while True:
        thread = threading.Thread(target=common.echo, args=server.accept(),
                                  daemon=not common.options.plain)
        if common.options.run:
            thread.run()
        else:
            thread.start()


common.run(main)
