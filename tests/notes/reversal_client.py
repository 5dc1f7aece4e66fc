"""Sends each line of standard input without its newline, prints what one recv brings."""
from __future__ import print_function

import argparse
import socket
import sys

parser = argparse.ArgumentParser()
parser.add_argument("-i", default="127.0.0.1")
parser.add_argument("-p", type=int, default=8888)
args = parser.parse_args()

s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.connect((args.i, args.p))
while True:
    print(">>>", end=" ")
    sys.stdout.flush()
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        break
    s.send(line if isinstance(line, bytes) else line.encode())
    answer = s.recv(1024)
    print(answer if isinstance(answer, str) else answer.decode("utf-8"))
s.close()
