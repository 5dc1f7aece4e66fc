#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A thread for every connection, by the standard library's socketserver."""
import socketserver

import common


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        common.echo(self.request, self.client_address)


def main():
    listening = common.listener(__doc__, plain="threads as they are by default: Ctrl-C waits for all clients to leave")
    socketserver.ThreadingTCPServer.daemon_threads = not common.options.plain
    with socketserver.ThreadingTCPServer(listening.getsockname(), Echo, bind_and_activate=False) as server:
        server.socket.close()
        server.socket = listening
        server.serve_forever()


common.run(main)
