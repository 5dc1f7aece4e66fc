# SPDX-License-Identifier: MIT
"""An echo server for one client, with CPU-bound threads beside it: convoy.py HOGS INTERVAL_US.

Prints its port, and ends when the client has gone.
"""
import os
import socket
import sys
import threading


def hog():
    x = 0
    while True:
        x += 1


def serve(server):
    client, _ = server.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        data = client.recv(64)
        if not data:
            return
        client.sendall(data)


hogs, interval_us = map(int, sys.argv[1:])
sys.setswitchinterval(interval_us / 1e6)
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(1)
print(listener.getsockname()[1])
for _ in range(hogs):
    threading.Thread(target=hog, daemon=True).start()
serve(listener)
os._exit(0)  # without waiting for the hogs
