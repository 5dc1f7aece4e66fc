#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Greet whoever connects, and close."""
import common

with common.listener(__doc__) as server:
    try:
        while True:
            connection, address = server.accept()
            with connection:
                connection.sendall(b"Thank you for connecting\n")
    except KeyboardInterrupt:
        pass
