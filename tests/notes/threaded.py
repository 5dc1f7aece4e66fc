"""A thread for every connection; runs on until Ctrl-C."""
from __future__ import print_function

import socket
import sys
import threading


def handle(conn, addr):
    while True:
        data = conn.recv(1024)
        if not data:
            break
        print("Received from {}: {}".format(addr, data.decode("utf-8")))
        sys.stdout.flush()
        conn.sendall(data)
    conn.close()
    print("Connection with {} closed".format(addr))
    sys.stdout.flush()


server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.bind(("127.0.0.1", int(sys.argv[1])))
server.listen(5)
try:
    while True:
        conn, addr = server.accept()
        threading.Thread(target=handle, args=(conn, addr)).start()
except KeyboardInterrupt:
    print("\nServer is shutting down...")
