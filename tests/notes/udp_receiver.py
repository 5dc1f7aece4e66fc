"""Prints datagrams."""
from __future__ import print_function

import socket
import sys

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", int(sys.argv[1])))
print("Waiting for client...")
sys.stdout.flush()
while True:
    data, addr = s.recvfrom(1024)
    print("Received Messages:", data.decode("utf-8"), "from", addr)
    sys.stdout.flush()
