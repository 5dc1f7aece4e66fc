#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Answer one message, then end; who sends more than is read is not reset."""
import common


def main():
    server = common.listener(__doc__, backlog=1)
    connection, address = server.accept()
    common.say(f"client addr: {address[0]}")
    message = connection.recv(1024)
    common.say(f"msg: {common.text(message)}")
    connection.sendall(message)
    common.end(connection)


common.run(main)
