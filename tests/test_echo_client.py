# SPDX-License-Identifier: MIT
"""echo-client against servers that misbehave, and with standard files that do."""
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from program import BUILD, TIMEOUT, environment, finish, start, until

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
        # If no client has connected; one that has, and has even closed, is accepted before this.
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.thread.join()
        self.listener.close()

    def _serve(self):
        with contextlib.suppress(OSError):  # the client reports it
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


def drain(server):
    """Sends nothing until the client closes."""
    while server.receive():
        pass


def client(server, *arguments, **options):
    return start(CLIENT, "--port", str(server.port), *arguments, **options)


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
def test_output_is_full(mode):
    with Server(echo) as server:
        ended = ask(server, *mode, lines="a\nb\n", files=">/dev/full")
    assert (ended.returncode, ended.stderr) == (1, "echo-client: stdout: No space left on device\n")
    assert server.received == (b"" if mode else b"Hello, Server!")


@pytest.mark.parametrize("mode", [[], ["-t"]], ids=("once", "lines"))
def test_output_is_closed(mode):
    reading, writing = os.pipe()
    os.close(reading)
    with Server(echo) as server, open(writing, "w", encoding="utf-8") as out:
        ended = finish(client(server, *mode, stdout=out))
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


@pytest.mark.parametrize("answer", [echo, drain], ids=("echo", "silence"))
def test_no_answer(answer):
    """It prints nothing, and the server receives all, unless its own answers let it be reset."""
    message = "a long message " * 6_000
    with Server(answer) as server:
        ended = ask(server, "--no-answer", "--say", message)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    if answer is drain:
        assert server.received == message.encode()
    else:
        assert message.encode().startswith(server.received)


def test_no_answer_of_a_datagram():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        ended = finish(start(CLIENT, "--port", str(nobody.getsockname()[1]), "-u", "-n"))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_repeat():
    with Server(echo) as server:
        ended = ask(server, "--repeat", "3", "a", "line")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "a line\n" * 3, "")
    assert server.received == b"a line\n" * 3


def test_repeat_waits_for_each_answer():
    def answer_once(server):
        server.send(server.receive())
        drain(server)

    with Server(answer_once) as server:
        ended = ask(server, "--repeat", "3", "--timeout", "3s", "line")
    assert (ended.returncode, ended.stdout, server.received) == (1, "line\n", b"line\n" * 2)


@pytest.mark.parametrize("arguments", [("-t", "-n"), ("--repeat", "2", "-n"), ("--repeat", "2", "-u"),
                                       ("--repeat", "2", "-t"), ("--repeat", "0")], ids=" ".join)
def test_what_does_not_go_together(arguments):
    ended = finish(start(CLIENT, *arguments))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


LONG = "long " * 2_500_000 + "\n"  # more than the buffers of a connection hold


def test_a_long_line():
    with Server(echo) as server:
        ended = ask(server, "-t", lines=LONG)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f">>> {LONG}>>> \n"


def test_a_part_of_a_line_is_no_answer():
    def pause(server):
        server.send(server.receive()[:2])
        drain(server)

    with Server(pause) as server:
        ended = ask(server, "-t", "--timeout", "3s", lines="hello\nagain\n")
    assert (ended.returncode, ended.stdout) == (1, ">>> he\n")
    assert ended.stderr == f"echo-client: 127.0.0.1:{server.port}: Connection timed out\n"


def test_the_end_ends_an_answer():
    with Server(lambda server: server.send(server.receive()[:2])) as server:
        ended = ask(server, "-t", lines="hello\n")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, ">>> he\n>>> \n", "")


def test_lines_that_come_together_are_answers_one_by_one():
    def two(server):
        server.receive()
        server.send(b"one\ntwo\n")
        drain(server)

    with Server(two) as server:
        ended = ask(server, "-t", lines="1\n2\n")
    assert (ended.returncode, ended.stdout) == (0, ">>> one\n>>> two\n>>> \n")


def test_slow_is_not_silent():
    def slowly(server):
        for byte in server.receive():
            time.sleep(0.5)
            server.send(bytes([byte]))

    with Server(slowly) as server:
        ended = ask(server, "--timeout", "3s", "-s", "eternity")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "eternity\n", "")


def stop_and_continue(process):
    """As ^Z and fg do, while it waits."""
    for number, states in ((signal.SIGSTOP, "T"), (signal.SIGCONT, "SR")):
        time.sleep(0.1)
        process.send_signal(number)
        stat = Path(f"/proc/{process.pid}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] in states, "change")
    time.sleep(0.1)


def test_stopped_while_it_waits_for_an_answer():
    heard, go = threading.Event(), threading.Event()

    def wait(server):
        got = server.receive()
        heard.set()
        go.wait(TIMEOUT)
        server.send(got)

    with Server(wait) as server:
        process = client(server)
        assert heard.wait(TIMEOUT)
        stop_and_continue(process)
        go.set()
        ended = finish(process)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Hello, Server!\n", "")


def test_stopped_while_it_sends():
    heard, go = threading.Event(), threading.Event()

    def wait(server):
        heard.set()
        go.wait(TIMEOUT)
        echo(server)

    with Server(wait) as server, tempfile.TemporaryFile("w+", encoding="utf-8") as line:
        line.write(LONG)
        line.seek(0)
        process = client(server, "-t", stdin=line)
        assert heard.wait(TIMEOUT)
        stop_and_continue(process)
        go.set()
        ended = finish(process)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout) == len(LONG) + len(">>> >>> \n")


def test_stopped_while_it_connects():
    """Its backlog is full: the connection waits, and asks again after 1 s, 3 s ..."""
    with socket.socket() as listener, contextlib.ExitStack() as others:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        listener.settimeout(TIMEOUT)
        others.enter_context(socket.create_connection(listener.getsockname()))
        process = start(CLIENT, "--port", str(listener.getsockname()[1]), "--timeout", "30s")
        stop_and_continue(process)
        others.enter_context(listener.accept()[0])
        connection = others.enter_context(listener.accept()[0])
        connection.sendall(connection.recv(100))
        connection.shutdown(socket.SHUT_WR)
        ended = finish(process)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Hello, Server!\n", "")
