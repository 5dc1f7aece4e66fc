#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A thread for every connection, which answers each line reversed."""
import threading

import common


def serve(connection, address):
    print("Connected to :", address[0], ":", address[1], flush=True)
    with connection, connection.makefile("rw", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            lines.write(line.rstrip("\n")[::-1] + "\n")
            lines.flush()
    print(f"{address[0]}: Closed", flush=True)


with common.listener(__doc__) as server:
    try:
        while True:
            threading.Thread(target=serve, args=server.accept(), daemon=True).start()
    except KeyboardInterrupt:
        pass
