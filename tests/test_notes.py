# SPDX-License-Identifier: MIT
"""Programs as lecture notes have them (tests/notes) and ours talk to each other, and ours print their lines."""
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile

import echo
import pytest
from command import pythons
from program import BUILD, ROOT, TIMEOUT, end_by, environment, start, until

NOTES, PEERS = ROOT / "tests" / "notes", ROOT / "experiments" / "echo" / "peers"
FOUND = pythons()
PYTHON2 = next((path for version, path in FOUND.items() if version.startswith("2.7")), None)
PYTHONS = {"3": sys.executable, "2.7": PYTHON2}
ASYNCIO = {version: path for version, path in FOUND.items() if not version.startswith(("2.", "3.6."))}
HELLO, KOREAN = "Hello, Server!", "안녕하세요 " * 100  # 1,600 bytes: a read of 1,024 ends within a character
C_MODELS = [name for name, missing in echo.models().items() if not missing]

theirs = pytest.mark.parametrize("python", [
    pytest.param(path, id=name, marks=[] if path else pytest.mark.skip(reason=f"there is no Python {name}"))
    for name, path in PYTHONS.items()])


class Running:
    """A program whose output goes to a file; a context at whose end it is killed, if it still runs."""

    def __init__(self, *command):
        self.files = [tempfile.TemporaryFile("w+", encoding="utf-8") for _ in range(2)]
        self.process = start(*map(str, command), stdout=self.files[0], stderr=self.files[1],
                             env={**echo.forking(), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT)

    def text(self, which=0):
        return os.pread(self.files[which].fileno(), 1 << 20, 0).decode()

    def lines(self):
        return self.text().splitlines()

    def port(self):
        until(lambda: "\n" in self.text() or self.process.poll() is not None, "first line")
        return int(self.lines()[0].rpartition(":")[2])

    def ends(self, *lines):
        """By itself, with status 0, and with these lines after the first."""
        self.process.wait(TIMEOUT)
        assert (self.process.returncode, self.text(1)) == (0, "")
        assert self.lines()[1:] == list(lines)

    def interrupt(self):
        """By Ctrl-C."""
        end_by(self.process, signal.SIGINT)
        assert (self.process.returncode, self.text(1)) == (0, "")
        assert "\n\nServer is shutting down...\n" in self.text()


def ours(*options, model="epoll"):
    return Running(BUILD / "echo" / "echo-server", "-p", 0, "-v", "--model", model, *options)


def peer(name, *options, python=sys.executable):
    return Running(python, PEERS / f"{name}.py", "-p", 0, *options)


def listening(port, kind):
    path, state = ("/proc/net/tcp", "0A") if kind == socket.SOCK_STREAM else ("/proc/net/udp", "07")
    with open(path, encoding="ascii") as file:
        return any(re.match(rf" *\d+: [0-9A-F]{{8}}:{port:04X} \S+ {state} ", line) for line in file)


@contextlib.contextmanager
def notes(python, name, *arguments, kind=socket.SOCK_STREAM):
    """A server of theirs, which does not choose a free port by itself: one below those that the kernel gives away."""
    with socket.socket(socket.AF_INET, kind) as free:
        while True:
            port = random.randrange(20000, 32000)
            with contextlib.suppress(OSError):
                free.bind(("127.0.0.1", port))
                break
    with Running(python, NOTES / f"{name}.py", *arguments, port) as server:
        until(lambda: listening(port, kind) or server.process.poll() is not None, "listening socket")
        server.at = port
        yield server


def ask(command, *words, lines=None):
    ended = subprocess.run([*map(str, command), *map(str, words)], input=lines, capture_output=True,
                           encoding="utf-8", timeout=TIMEOUT, check=False,
                            env=environment(PYTHONIOENCODING="utf-8"))
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


OUR_CLIENTS = {"c": [BUILD / "echo" / "echo-client"], "python": [sys.executable, PEERS / "client.py"]}
our_clients = pytest.mark.parametrize("client", OUR_CLIENTS.values(), ids=OUR_CLIENTS)

# --- their servers, our clients -------------------------------------------------------------------

@theirs
@our_clients
@pytest.mark.parametrize("name, options, lines", [
    ("one_connection", (), ["Server listening on 127.0.0.1:{}", "Connected by ", "Received: {}"]),
    ("one_shot", ("-p",), ["client addr: 127.0.0.1", "msg: {}"])])
def test_servers_that_end(python, client, name, options, lines):
    with notes(python, name, *options) as server:
        assert ask(client, "-p", server.at, "-s", "so", "many", "words") == "so many words\n"
        server.process.wait(TIMEOUT)
        assert (server.process.returncode, server.text(1)) == (0, "")
        assert all(line.format(server.at if ":{}" in line else "so many words") in server.text()
                   for line in lines)


@theirs
@our_clients
def test_servers_that_run_on(python, client):
    with notes(python, "threaded") as server:
        for words in ("one", HELLO):
            assert ask(client, "-p", server.at, "-s", words) == f"{words}\n"
        until(lambda: len(server.lines()) == 4, "its lines")
        assert [line.partition("(")[0] for line in server.lines()] == ["Received from ", "Connection with "] * 2
    with notes(python, "reversal_server", "-p") as server:
        assert ask(client, "-p", server.at, "-s", "안녕") == "녕안\n"
        until(lambda: server.lines()[1:] == ["127.0.0.1: Closed"], "its lines")


@theirs
def test_their_greeting(python):
    """Whoever has said something may be reset by it: their server closes at once."""
    with notes(python, "greeting") as server:
        assert ask(OUR_CLIENTS["c"], "-p", server.at, "-s", "") == "Server Saying Hi\n"


@theirs
def test_their_receiver(python):
    with notes(python, "udp_receiver", kind=socket.SOCK_DGRAM) as server:
        assert ask(OUR_CLIENTS["c"], "-p", server.at, "--udp", "--no-answer", "-s", HELLO) == ""
        until(lambda: len(server.lines()) == 2, "its lines")
        assert server.lines()[1].startswith(f"Received Messages: {HELLO} from ")


# --- our servers, their clients -------------------------------------------------------------------

SERVERS = {**{model: lambda model=model: ours(model=model) for model in C_MODELS},
           **{name: lambda name=name: peer(name) for name in
              ("iterative", "threaded", "socketserver_threads", "selectors_loop", "asyncio_streams")}}
ENDING = {"once": lambda: ours("--once"), "one_connection": lambda: peer("one_connection"),
          "one_message": lambda: peer("one_message")}
GREETING = {"greet": lambda: ours("--greet", "Server Saying Hi"), "greeting": lambda: peer("greeting")}
REVERSING = {"reverse": lambda: ours("--reverse", "--pieces"), "python": lambda: peer("reverse", "--pieces")}
DATAGRAMS = {"udp": lambda: ours("--udp"), "python": lambda: peer("udp")}


def servers(*tables):
    every = {name: server for table in tables for name, server in table.items()}
    return pytest.mark.parametrize("server", every.values(), ids=every)


def said(text, answer, python):
    shown = f"send to msg: {text}" if python == PYTHON2 else f"send to msg: b'{text}'"
    return f"Connection with 127.0.0.1 succeeded \n{shown}\nReceived from server: {answer}\n"


@theirs
@servers(SERVERS)
def test_their_client(python, server):
    with server() as running:
        command = [python, NOTES / "client.py", "-p", running.port()]
        assert ask(command) == said(HELLO, HELLO, python)
        assert ask(command, "-s", "so", "many", "words") == said("so many words", "so many words", python)
        until(lambda: sum("Connection with " in line for line in running.lines()) == 2, "closes")
        assert [line for line in running.lines() if re.match(r"Received from \('127.0.0.1', \d+\): so many words$", line)]
        running.interrupt()


@theirs
@servers(ENDING)
def test_their_client_ends_ours(python, server):
    with server() as running:
        assert ask([python, NOTES / "client.py", "-p", running.port()]) == said(HELLO, HELLO, python)
        running.process.wait(TIMEOUT)
        assert (running.process.returncode, running.text(1)) == (0, "")
        assert running.lines()[2] in (f"Received: {HELLO}", f"msg: {HELLO}")


@theirs
@servers(GREETING)
def test_their_client_is_greeted(python, server):
    with server() as running:
        assert ask([python, NOTES / "client.py", "-p", running.port()]) == said(HELLO, "Server Saying Hi", python)
        until(lambda: any(line.startswith("Got Connection from ('127.0.0.1', ") for line in running.lines()), "line")
        running.interrupt()


@theirs
@servers(REVERSING)
def test_their_reversal_client(python, server):
    with server() as running:
        shown = ask([python, NOTES / "reversal_client.py", "-p", running.port()], lines="Hello\n안녕 하세요\n\n")
        assert shown == ">>> olleH\n>>> 요세하 녕안\n>>> "
        until(lambda: "127.0.0.1: Closed" in running.lines(), "its close")
        assert re.fullmatch(r"Connected to : 127\.0\.0\.1 : \d+", running.lines()[1])
        running.interrupt()


@theirs
@servers(DATAGRAMS)
def test_their_sender(python, server):
    with server() as running:
        assert ask([python, NOTES / "udp_sender.py"], running.port(), "one", "datagram") == ""
        until(lambda: any(re.fullmatch(r"Received Messages: one datagram from \('127\.0\.0\.1', \d+\)", line)
                          for line in running.lines()), "its line")
        running.interrupt()


# --- what theirs do not stand ---------------------------------------------------------------------

@servers(SERVERS, ENDING, GREETING, REVERSING)
def test_interrupted_with_nobody_there(server):
    with server() as running:
        running.port()
        running.interrupt()


@servers(SERVERS, REVERSING)
def test_interrupted_with_a_client_there(server):
    with server() as running, socket.create_connection(("127.0.0.1", running.port()), TIMEOUT) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        running.interrupt()
        assert client.recv(1) == b""


@pytest.mark.parametrize("python", ASYNCIO.values(), ids=ASYNCIO)
def test_asyncio_is_interrupted_on_every_python(python):
    with peer("asyncio_streams", python=python) as running, \
            socket.create_connection(("127.0.0.1", running.port()), TIMEOUT) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        running.interrupt()


def whole(client):
    client.shutdown(socket.SHUT_WR)
    return echo.receive_all(client)


@servers(ENDING)
def test_more_than_a_message(server):
    """3,000 bytes into a server that reads 1,024: it answers what it read, and resets nobody."""
    with server() as running, socket.create_connection(("127.0.0.1", running.port()), TIMEOUT) as client:
        client.sendall(bytes(3000))
        assert len(whole(client)) in (1024, 3000)
        running.process.wait(TIMEOUT)
        assert (running.process.returncode, running.text(1)) == (0, "")


@servers(SERVERS, ENDING)
def test_text_that_is_cut_within_a_character(server):
    with server() as running, socket.create_connection(("127.0.0.1", running.port()), TIMEOUT) as client:
        client.sendall(KOREAN.encode())
        answer = whole(client)
        assert KOREAN.encode().startswith(answer) and len(answer) >= 1024
    assert running.text(1) == ""


@servers(GREETING)
def test_who_has_spoken_is_greeted(server):
    with server() as running, socket.create_connection(("127.0.0.1", running.port()), TIMEOUT) as client:
        client.sendall(bytes(100_000))
        assert whole(client) == b"Server Saying Hi"
