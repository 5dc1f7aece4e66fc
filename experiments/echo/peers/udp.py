#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Answer datagrams, and print them and who sent them."""
import socket

import common

with common.listener(__doc__, kind=socket.SOCK_DGRAM) as server:
    try:
        while True:
            data, sender = server.recvfrom(65507)
            print("Received", repr(data), "from", sender, flush=True)
            server.sendto(data, sender)
    except KeyboardInterrupt:
        pass
