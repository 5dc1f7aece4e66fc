# SPDX-License-Identifier: MIT
"""echo-client against servers that misbehave, and with standard files that do."""
import contextlib
import os
import socket
import subprocess
import threading

import pytest

from program import BUILD, TIMEOUT, environment, finish, run, start

CLIENT = BUILD / "echo" / "echo-client"


class Server:
    """Answers one connection by a function of it; keeps all that it has received."""

    def __init__(self, answer):
        self.answer, self.received = answer, b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # if nobody has come
        self.thread.join()
        self.listener.close()

    def _serve(self):
        with contextlib.suppress(OSError):  # the client's tests tell
            self.connection, _ = self.listener.accept()
            with self.connection:
                self.connection.settimeout(TIMEOUT)
                self.answer(self)

    def receive(self):
        got = self.connection.recv(1 << 16)
        self.received += got
        return got

    def send(self, what):
        self.connection.sendall(what)


def echo(server):
    while got := server.receive():
        server.send(got)


def ask(server, *arguments, lines="", files=""):
    """The client, started by a shell that closes or redirects its standard files."""
    return subprocess.run(["sh", "-c", f'exec "$0" "$@" {files}', CLIENT, "--port",
                           str(server.port), *arguments], input=lines, capture_output=True,
                          encoding="utf-8", timeout=TIMEOUT, env=environment(), check=False)


@pytest.mark.parametrize("closed", ["<&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_standard_files_are_not_the_connection(closed):
    with Server(echo) as server:
        ended = ask(server, "-t", lines="" if "<" in closed else "a\n", files=closed)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert server.received == (b"" if "<" in closed else b"a\n")


@pytest.mark.parametrize("mode", [[], ["-t"]], ids=("once", "lines"))
def test_nobody_to_tell(mode):
    with Server(echo) as server:
        ended = ask(server, *mode, lines="a\nb\n", files=">/dev/full")
    assert (ended.returncode, ended.stderr) == (1, "echo-client: stdout: No space left on device\n")
    assert server.received == (b"" if mode else b"Hello, Server!")


@pytest.mark.parametrize("mode", [[], ["-t"]], ids=("once", "lines"))
def test_nobody_listens(mode):
    reading, writing = os.pipe()
    os.close(reading)
    with Server(echo) as server, open(writing, "w", encoding="utf-8") as out:
        ended = run(CLIENT, "--port", str(server.port), *mode, stdout=out)
    assert (ended.returncode, ended.stderr) == (1, "echo-client: stdout: Broken pipe\n")


def test_zeros_in_a_line():
    with Server(echo) as server:
        ended = ask(server, "-t", lines="a\0b\nc\n")
    assert (ended.returncode, ended.stdout) == (0, ">>> a\0b\n>>> c\n>>> \n")


def test_empty_datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(TIMEOUT)
        process = start(CLIENT, "--port", str(receiver.getsockname()[1]), "-u", "-s", "")
        got, sender = receiver.recvfrom(1)
        receiver.sendto(got, sender)
        ended = finish(process)
    assert (got, ended.returncode, ended.stdout, ended.stderr) == (b"", 0, "\n", "")
