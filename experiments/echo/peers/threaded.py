#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A thread for every connection."""
import threading

import common


def main():
    server = common.listener(__doc__, run="call run() instead of start(), by mistake: no thread is started")
    while True:
        thread = threading.Thread(target=common.echo, args=server.accept(),
                                  daemon=True)  # else Ctrl-C would wait for all clients to leave
        if common.options.run:
            thread.run()
        else:
            thread.start()


common.run(main)
