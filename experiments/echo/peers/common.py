# SPDX-License-Identifier: MIT
"""The command line that all servers here share."""
import argparse
import signal
import socket


def listener(doc, backlog=128, kind=socket.SOCK_STREAM):
    """A socket that listens where the options say; its address is printed first."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("-b", "--bind", default="127.0.0.1", help="default %(default)s")
    parser.add_argument("-p", "--port", type=int, default=65432,
                        help="default %(default)s; 0 is a free one")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it like Ctrl-C
    family = socket.AF_INET6 if ":" in options.bind else socket.AF_INET
    server = socket.socket(family, kind)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((options.bind, options.port))
    if kind == socket.SOCK_STREAM:
        server.listen(backlog)
    host, port = server.getsockname()[:2]
    print("listens on {}:{}".format("[" + host + "]" if ":" in host else host, port), flush=True)
    return server


def echo(connection, address, log=True):
    """Sends back what comes, until the client closes."""
    if log:
        print("Connected by", address, flush=True)
    with connection:
        while True:
            data = connection.recv(1024)
            if not data:
                break
            if log:
                print("Received", repr(data), flush=True)
            connection.sendall(data)
    if log:
        print(address, "closed", flush=True)
