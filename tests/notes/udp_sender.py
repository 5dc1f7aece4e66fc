"""Sends a datagram, and waits for no answer."""
import socket
import sys

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(" ".join(sys.argv[2:]).encode("utf-8"), ("127.0.0.1", int(sys.argv[1])))
s.close()
