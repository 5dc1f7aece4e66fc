# SPDX-License-Identifier: MIT
"""The command line that all servers here share, and what they print: the lines of the lecture notes' programs."""
import argparse
import signal
import socket

options = argparse.Namespace(quiet=False)


def say(*words):
    if not options.quiet:
        print(*words, flush=True)


def listener(doc, backlog=128, kind=socket.SOCK_STREAM, port=65432, **flags):
    """A socket that listens where the options say; its address is printed first.  flags: more, with their help."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("-b", "--bind", default="127.0.0.1", help="default %(default)s")
    parser.add_argument("-p", "--port", type=int, default=port,
                        help="default %(default)s; 0 is a free one")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only where it listens")
    for name, text in flags.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    wanted = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it like Ctrl-C
    family = socket.AF_INET6 if ":" in wanted.bind else socket.AF_INET
    server = socket.socket(family, kind)
    if kind == socket.SOCK_STREAM:  # of datagrams it would let another server take the port over
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((wanted.bind, wanted.port))
        if kind == socket.SOCK_STREAM:
            server.listen(backlog)
    except (OSError, OverflowError) as error:
        parser.error(f"{wanted.bind}:{wanted.port}: {error}")
    host, port = server.getsockname()[:2]
    say(f"Server listening on {f'[{host}]' if ':' in host else host}:{port}")
    vars(options).update(vars(wanted))
    return server


def interrupted():
    """By Ctrl-C, whose ^C a terminal shows at the beginning of a line."""
    say()
    say("Server is shutting down...")


def run(main):
    """To its end, or until Ctrl-C."""
    try:
        main()
    except KeyboardInterrupt:
        interrupted()


def text(data):
    """For people: a read may end within a character."""
    return data.decode("utf-8", "replace")


def echo(connection, address):
    """Sends back what comes, until the client closes."""
    try:
        while True:
            data = connection.recv(1024)
            if not data:
                break
            say(f"Received from {address}: {text(data)}")
            connection.sendall(data)
    except OSError:  # it was reset
        pass
    finally:
        connection.close()
        say(f"Connection with {address} closed")


def end(connection):
    """Closes, but not before the peer has: closing with unread bytes would reset it, and lose the answer."""
    try:
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(2)
        while connection.recv(65536):
            pass
    except OSError:
        pass
    connection.close()
