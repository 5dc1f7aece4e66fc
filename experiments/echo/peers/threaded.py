#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A thread for every connection."""
import threading

import common


def main():
    server = common.listener(__doc__)
    while True:
        threading.Thread(target=common.echo, args=server.accept(),
                         daemon=True).start()  # else Ctrl-C would wait for all clients to leave


common.run(main)
