#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A thread for every connection."""
import threading

import common

with common.listener(__doc__) as server:
    try:
        while True:
            connection, address = server.accept()
            threading.Thread(target=common.echo, args=(connection, address, False),
                             daemon=True).start()
    except KeyboardInterrupt:
        pass
