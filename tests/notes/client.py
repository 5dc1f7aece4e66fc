"""Sends one message, prints what one recv brings."""
from __future__ import print_function

import argparse
import socket

parser = argparse.ArgumentParser()
parser.add_argument("-i", default="127.0.0.1")
parser.add_argument("-p", type=int, default=65432)
parser.add_argument("-s", nargs="+", default=["Hello, Server!"])
args = parser.parse_args()

s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.connect((args.i, args.p))
print("Connection with {} succeeded ".format(args.i))
msg = " ".join(args.s)
s.sendall(msg if isinstance(msg, bytes) else msg.encode())
print("send to msg:", msg if isinstance(msg, bytes) else msg.encode())
print("Received from server:", s.recv(1024).decode("utf-8"))
s.close()
