#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Answer one message, then end."""
import common

with common.listener(__doc__, backlog=1) as server:
    connection, address = server.accept()
    with connection:
        connection.sendall(connection.recv(1024))
