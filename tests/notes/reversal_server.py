"""A thread for every connection, which answers what one recv brings, reversed."""
from __future__ import print_function

import argparse
import socket
import sys
import threading

parser = argparse.ArgumentParser()
parser.add_argument("-p", type=int, default=8888)
args = parser.parse_args()


def threaded(c, addr):
    while True:
        data = c.recv(1024)
        if not data:
            break
        c.send(data.decode("utf-8")[::-1].encode("utf-8"))
    c.close()
    print("{}: Closed".format(addr[0]))
    sys.stdout.flush()


s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.bind(("127.0.0.1", args.p))
s.listen(5)
while True:
    c, addr = s.accept()
    print("Connected to :", addr[0], ":", addr[1])
    sys.stdout.flush()
    threading.Thread(target=threaded, args=(c, addr)).start()
