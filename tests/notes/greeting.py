"""Greets whoever connects."""
from __future__ import print_function

import socket
import sys

s = socket.socket()
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen(5)
print("Waiting for connection...")
while True:
    c, addr = s.accept()
    print("Got Connection from", addr)
    sys.stdout.flush()
    c.send(b"Server Saying Hi")
    c.close()
