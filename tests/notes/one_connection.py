"""Serves one connection."""
from __future__ import print_function

import socket
import sys

HOST = "127.0.0.1"
PORT = int(sys.argv[1])
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.bind((HOST, PORT))
server.listen(5)
print("Server listening on {}:{}".format(HOST, PORT))
sys.stdout.flush()
conn, addr = server.accept()
print("Connected by", addr)
while True:
    data = conn.recv(1024)
    if not data:
        break
    print("Received:", data.decode("utf-8"))
    conn.sendall(data)
conn.close()
server.close()
