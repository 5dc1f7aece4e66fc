#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One thread waits for all connections by the best selector there is: epoll on Linux."""
import selectors

import common

selector = selectors.DefaultSelector()


def accept(server):
    connection, address = server.accept()
    connection.setblocking(False)
    selector.register(connection, selectors.EVENT_READ,
                      {"do": serve, "address": address, "unsent": bytearray()})


def serve(connection, data, events):
    """Reads only when everything has been sent: a slow reader holds up itself alone."""
    unsent = data["unsent"]
    try:
        if events & selectors.EVENT_READ:
            received = connection.recv(65536)
            if not received:
                raise ConnectionResetError
            common.say(f"Received from {data['address']}: {common.text(received)}")
            unsent += received
        sent = connection.send(unsent)
        del unsent[:sent]
    except BlockingIOError:
        pass
    except OSError:
        selector.unregister(connection)
        connection.close()
        common.say(f"Connection with {data['address']} closed")
        return
    selector.modify(connection,
                    selectors.EVENT_WRITE if unsent else selectors.EVENT_READ, data)


def main():
    server = common.listener(__doc__)
    server.setblocking(False)
    selector.register(server, selectors.EVENT_READ)
    while True:
        for key, events in selector.select():
            if key.data is None:
                try:
                    accept(server)
                except OSError:  # nobody is there any more, or no descriptor is left
                    pass
            else:
                key.data["do"](key.fileobj, key.data, events)


common.run(main)
