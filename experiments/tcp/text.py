# SPDX-License-Identifier: MIT
"""A Korean text over TCP, decoded piece by piece: what becomes of a character that is cut?

text.py RECV SIZE     a text of SIZE bytes at most is received by recv(RECV); prints what bytes.decode()
                      of each piece gave, then what an incremental decoder did: "decoded", or an
                      exception's name; for Python 2.7 and all since
"""
import codecs
import os
import signal
import socket
import sys


def outcome(decode):
    """What came of decoding all pieces."""
    try:
        return "decoded" if "".join(decode(piece) for piece in pieces) == text else "other"
    except UnicodeDecodeError as error:
        return type(error).__name__


signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # no words when nobody reads any more
most, size = int(sys.argv[1]), int(sys.argv[2])
word = b"\xec\x95\x88\xeb\x85\x95\xed\x95\x98\xec\x84\xb8\xec\x9a\x94".decode("utf-8")
text = (word * (size // 3))[:size // 3]  # each of its characters takes three bytes
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(1)
sender = socket.create_connection(listener.getsockname())
receiver, _ = listener.accept()
sender.sendall(text.encode("utf-8"))
sender.close()
pieces = list(iter(lambda: receiver.recv(most, socket.MSG_WAITALL), b""))
decoder = codecs.getincrementaldecoder("utf-8")()
sys.stdout.write("%s %s\n" % (outcome(lambda piece: piece.decode("utf-8")), outcome(decoder.decode)))
sys.stdout.flush()
os._exit(0)
