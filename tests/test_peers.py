# SPDX-License-Identifier: MIT
"""The Python programs in experiments/echo/peers and ours in C talk to each other."""
import re
import select
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from command import pythons
from echo import has_ipv6
from program import BUILD, ROOT, TIMEOUT, end_by, environment

PEERS = ROOT / "experiments" / "echo" / "peers"
CLIENTS = {"c": [BUILD / "echo" / "echo-client"], "python": [sys.executable, PEERS / "client.py"]}
ECHO = ("iterative", "threaded", "socketserver_threads", "selectors_loop", "asyncio_streams")
PYTHONS = {version: path for version, path in pythons().items() if version.startswith("3.")}
ENDS = ("one_connection", "one_message")  # by themselves


class Server:
    """A server on a free port, ended with the block."""

    def __init__(self, *command):
        self.process = subprocess.Popen([str(word) for word in (*command, "-p", "0")],
                                        stdout=subprocess.PIPE, text=True, env=environment())
        self.port = int(re.search(r":(\d+)$", self.process.stdout.readline())[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            end_by(self.process, signal.SIGTERM)
        finally:
            self.process.kill()
            self.process.communicate()


def peer(name, *options):
    return Server(sys.executable, PEERS / f"{name}.py", *options)


def node(*options):
    return Server(shutil.which("node"), PEERS / "event_loop.js", *options)


def ours(*options):
    return Server(BUILD / "echo" / "echo-server", *options)


def ask(client, server, *words, lines=None):
    done = subprocess.run([str(word) for word in (*CLIENTS[client], "-p", server.port, *words)],
                          input=lines, capture_output=True, text=True, timeout=TIMEOUT,
                          env=environment(), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", ECHO)
def test_echo(name, client):
    with peer(name) as server:
        assert ask(client, server) == "Hello, Server!\n"
        assert ask(client, server, "-s", "so", "many", "words") == "so many words\n"
    assert server.process.returncode == 0


@pytest.mark.skipif(not shutil.which("node"), reason="there is no Node.js")
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("bind", ["127.0.0.1", pytest.param(
    "::1", marks=pytest.mark.skipif(not has_ipv6(), reason="loopback has no ::1"))])
def test_node(bind, client):
    with node("-b", bind) as server:
        assert ask(client, server, "-i", bind, "-s", "to", "a", "loop") == "to a loop\n"
    assert server.process.returncode == 0


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_run_starts_no_thread(python):
    """In every Python 3: a second client is answered when the first one has left."""
    with Server(python, PEERS / "threaded.py", "--run") as server:
        first, second = (socket.create_connection(("127.0.0.1", server.port), TIMEOUT) for _ in range(2))
        with second:
            with first:
                second.sendall(b"a")
                first.sendall(b"a")
                assert first.recv(1) == b"a"
                assert not select.select([second], [], [], 0.05)[0]
            assert second.recv(1) == b"a"
    assert server.process.returncode == 0


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", ENDS)
def test_ends_by_itself(name, client):
    with peer(name) as server:
        assert ask(client, server, "-s", "once") == "once\n"
        assert server.process.wait(timeout=TIMEOUT) == 0


@pytest.mark.parametrize("client", CLIENTS)
def test_greeting(client):
    with peer("greeting") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            assert connection.recv(1024) == b"Server Saying Hi"
    with ours("--greet", "Thank you") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            assert connection.makefile().read() == "Thank you"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("start", (lambda: peer("reverse"), lambda: ours("--reverse")),
                         ids=("python", "c"))
def test_reverse(start, client):
    with start() as server:
        said = ask(client, server, "--interactive", lines="Hello\nnaïve\n")
    assert said == ">>> olleH\n>>> evïan\n>>> \n"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("start", (lambda: peer("udp"), lambda: ours("--udp")),
                         ids=("python", "c"))
def test_udp(start, client):
    with start() as server:
        assert ask(client, server, "--udp", "-s", "a", "datagram") == "a datagram\n"


@pytest.mark.skipif(not has_ipv6(), reason="loopback has no ::1")
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("start", [ours, *(lambda *bind, name=name: peer(name, *bind) for name in ECHO)],
                         ids=("c", *ECHO))
def test_ipv6(start, client):
    with start("-b", "::1") as server:
        assert ask(client, server, "-i", "::1", "-s", "six") == "six\n"


@pytest.mark.skipif(not has_ipv6(), reason="loopback has no ::1")
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("start", (lambda: peer("udp", "-b", "::"), lambda: ours("--udp", "-b", "::")),
                         ids=("python", "c"))
def test_udp_of_both_families(start, client):
    with start() as server:
        for host in ("::1", "127.0.0.1"):
            assert ask(client, server, "-i", host, "--udp", "-s", "a", "datagram") == "a datagram\n"


def test_words_without_an_option_are_the_message():
    with peer("threaded") as server:
        assert ask("c", server, "so", "many", "words") == "so many words\n"


def test_python_client():
    with ours("--model", "thread") as server:
        assert ask("python", server) == "Hello, Server!\n"


@pytest.mark.parametrize("client", CLIENTS)
def test_nobody_there(client):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        done = subprocess.run([str(word) for word in
                               (*CLIENTS[client], "-p", bound.getsockname()[1])],
                              capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "refused" in done.stderr and done.stderr.count("\n") == 1
