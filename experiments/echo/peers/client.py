#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Say something to an echo server and print what comes back."""
import argparse
import socket
import sys

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("-i", "--host", default="127.0.0.1", help="default %(default)s")
parser.add_argument("-p", "--port", type=int, default=65432, help="default %(default)s")
parser.add_argument("-s", "--say", nargs="+", default=["Hello,", "Server!"], metavar="WORD")
parser.add_argument("-t", "--interactive", action="store_true", help="ask for lines")
parser.add_argument("-u", "--udp", action="store_true")
options = parser.parse_args()
message = " ".join(options.say).encode()

try:
    if options.udp:
        family, kind, _, _, address = socket.getaddrinfo(options.host, options.port,
                                                         type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as sender:
            sender.settimeout(5)
            sender.sendto(message, address)
            print(sender.recvfrom(65507)[0].decode())
        sys.exit(0)
    with socket.create_connection((options.host, options.port), timeout=5) as connection:
        if options.interactive:
            with connection.makefile("rw", encoding="utf-8", newline="\n") as lines:
                print(">>> ", end="", flush=True)
                for line in sys.stdin:
                    lines.write(line.rstrip("\n") + "\n")
                    lines.flush()
                    print(lines.readline(), end="")
                    print(">>> ", end="", flush=True)
                print()
        else:
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while True:
                data = connection.recv(1024)
                if not data:
                    break
                answer += data
            print(answer.decode())
except OSError as error:
    sys.exit(f"{options.host}:{options.port}: {error}")
