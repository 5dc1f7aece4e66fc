# SPDX-License-Identifier: MIT
"""What Python's sendall returns, and whether bind takes a port as text.

python_calls.py sendall|send text|number     for Python 2.7 and all since, and for Jython

Prints what the first call returned for 8 bytes, what send returned for 8 bytes, how many bytes came of
both, and "bound" or the exception's name for a bind to port 0, given as text or as a number.
"""
import socket
import sys

DATA = b"question"

call, port = sys.argv[1:]
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(1)
near = socket.create_connection(listener.getsockname()[:2])
far, _ = listener.accept()
returned = getattr(near, call)(DATA)
sent = near.send(DATA)
near.close()
received = 0
while True:
    data = far.recv(1024)
    if not data:
        break
    received += len(data)
try:
    socket.socket().bind(("127.0.0.1", "0" if port == "text" else 0))
    came = "bound"
except Exception as error:  # pylint: disable=broad-except
    came = type(error).__name__
sys.stdout.write("%s %s %d %s\n" % (returned, sent, received, came))
