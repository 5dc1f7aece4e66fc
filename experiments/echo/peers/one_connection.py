#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Serve one connection, then end."""
import common


def main():
    server = common.listener(__doc__)
    connection, address = server.accept()
    common.say(f"Connected by {address}")
    while True:
        data = connection.recv(1024)
        if not data:
            break
        common.say(f"Received: {common.text(data)}")
        connection.sendall(data)
    connection.close()


common.run(main)
