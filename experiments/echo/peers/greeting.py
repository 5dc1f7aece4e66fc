#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Greet whoever connects, and close; who has said something reads the greeting all the same."""
import threading

import common


def main():
    server = common.listener(__doc__)
    common.say("Waiting for connection...")
    while True:
        connection, address = server.accept()
        common.say(f"Got Connection from {address}")
        connection.sendall(b"Server Saying Hi")
        threading.Thread(target=common.end, args=(connection,), daemon=True).start()


common.run(main)
