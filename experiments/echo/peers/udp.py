#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Answer datagrams, and print them and who sent them."""
import socket

import common


def main():
    server = common.listener(__doc__, kind=socket.SOCK_DGRAM, port=12345)
    common.say("Waiting for client...")
    while True:
        data, sender = server.recvfrom(65507)
        common.say(f"Received Messages: {common.text(data)} from {sender}")
        server.sendto(data, sender)


common.run(main)
