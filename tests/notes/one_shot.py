"""Answers one message."""
from __future__ import print_function

import argparse
import socket

parser = argparse.ArgumentParser()
parser.add_argument("-p", type=int, required=True)
args = parser.parse_args()

server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("", args.p))
server.listen(1)
client, addr = server.accept()
print("client addr:", addr[0])
msg = client.recv(1024)
print("msg:", msg.decode("utf-8"))
client.sendall(msg)
client.close()
server.close()
