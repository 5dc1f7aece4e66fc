#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Serve one connection, then end."""
import common

server = common.listener(__doc__)
try:
    connection, address = server.accept()
    common.say(f"Connected by {address}")
    while True:
        data = connection.recv(1024)
        if not data:
            break
        common.say(f"Received: {common.text(data)}")
        connection.sendall(data)
    connection.close()
except KeyboardInterrupt:
    common.interrupted()
