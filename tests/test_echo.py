# SPDX-License-Identifier: MIT
"""One behaviour, whatever way the server waits: every model of --list is held to it."""
import contextlib
import os
import random
import resource
import select
import shutil
import signal
import socket
import subprocess
import threading
import time

import echo
import pytest
from echo import SAN, SERVER, Server, echoes, receive, receive_all, reset, stuff
from program import ROOT, TIMEOUT, environment, finish, run, start, until

ONE_AT_A_TIME = {"iterative"}  # by nature: a bystander waits
SPINS = {"busy-poll"}
MODELS = [pytest.param(name, marks=pytest.mark.skip(reason=missing)) if missing else name
          for name, missing in echo.models().items()]
BULK = (5 if SAN else 50) * 1000 * 1000
CONNECTIONS = 1000
SLACK = (64 if SAN else 4) << 20  # bytes of memory that come and go

every_model = pytest.mark.parametrize("model", MODELS)
needs_ipv6 = pytest.mark.skipif(not echo.has_ipv6(), reason="loopback has no ::1")


@pytest.fixture(scope="module")
def noise():
    return random.Random(5).randbytes(BULK)


@pytest.fixture(scope="module", params=MODELS)
def server(request):
    """One server of each model for all tests that leave it as it was; then it must end well."""
    with Server("--model", request.param) as started:
        started.model = request.param
        echoes_and_leaves(started)
        until(lambda: at_rest(started), "rest")
        yield started


def at_rest(server):
    """All its threads and processes have started."""
    before = server.rss()
    time.sleep(0.05)
    return abs(server.rss() - before) < 1 << 16


def echoes_and_leaves(server):
    with server.connect() as client:
        echoes(client)


# --- one server for them all ----------------------------------------------------------------------

def test_slow_reader_loses_nothing_and_delays_none(server, noise):
    before = server.rss()
    with server.connect() as slow, server.connect() as bystander:
        sender = threading.Thread(target=slow.sendall, args=(noise,))
        sender.start()
        bystander.sendall(b"and me")
        served, _, _ = select.select([bystander], [], [],
                                     0.2 if server.model in ONE_AT_A_TIME else 10)
        assert bool(served) == (server.model not in ONE_AT_A_TIME)
        time.sleep(0.1)  # all buffers are full
        assert server.rss() - before < SLACK
        got = bytearray()
        while len(got) < len(noise):
            part = slow.recv(1 << 20)
            assert part, "the connection was closed"
            got += part
            time.sleep(0.0005)
        assert got == noise
        sender.join()
        slow.close()
        assert receive(bystander, 6) == b"and me"


@pytest.mark.parametrize("length", [1, 20000, 8 << 16])
def test_half_close(server, noise, length):
    for _ in range(5):
        with server.connect() as client:
            sender = threading.Thread(target=lambda to=client: (
                to.sendall(noise[:length]), to.shutdown(socket.SHUT_WR)))
            sender.start()
            assert receive_all(client) == noise[:length]
            sender.join()


def test_turn_that_ends_with_a_full_buffer(server, noise):
    """The last of as many bytes as a server reads in one turn wait for a peer that reads late."""
    with server.connect() as client:
        sender = threading.Thread(target=client.sendall, args=(noise[:4 << 20],))
        sender.start()
        time.sleep(0.05)
        assert receive(client, 4 << 20) == noise[:4 << 20]
        sender.join()
        echoes(client)


def test_resets(server):
    for i in range(50):
        client = server.connect()
        client.sendall(bytes(1 + 100 * i))
        reset(client)
    echoes_and_leaves(server)


def test_nothing_leaks(server):
    time.sleep(0.1)  # the end of the last connections
    before = server.descriptors()
    for i in range(CONNECTIONS):
        client = server.connect(source=f"127.0.0.{2 + i % 200}")
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        reset(client)
    until(lambda: server.descriptors() <= before, "end of all connections")
    until(lambda: not server.zombies(), "reaping of processes that have ended")


def serves(server):
    with contextlib.suppress(ConnectionError), server.connect() as client:
        client.sendall(b"!")
        return client.recv(1) == b"!"


# --- a server each --------------------------------------------------------------------------------

@pytest.mark.skipif(bool(SAN), reason="a sanitizer must be loaded first")
@every_model
def test_a_thread_that_adds_to_epoll_and_loses_its_cpu(model, tmp_path):
    """The socket is still held by it when another thread closes it: no connection ends twice."""
    built = subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "held.so", ROOT / "tests" / "held.c", "-ldl"],
                           check=False) if shutil.which("cc") else None
    if not built or built.returncode:
        pytest.skip("no C compiler here")
    with Server("--model", model, preload=tmp_path / "held.so") as server:
        for _ in range(10):
            echoes_and_leaves(server)


WARNED = r"echo-server: out of descriptors \(limit 32\): new connections are closed at once\n"


def few():
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))


def crowd(server):
    clients = [server.connect() for _ in range(60)]
    for client in clients:
        with contextlib.suppress(ConnectionError):
            client.sendall(b"?")
    return clients


@every_model
def test_out_of_descriptors(model):
    def answered(client):
        with contextlib.suppress(ConnectionError):
            return client.recv(1) == b"?"
        return False

    with Server("--model", model, preexec_fn=few) as server:
        clients = crowd(server)
        heard, served = set(), []

        def gather():
            for client in set(select.select(clients, [], [], 0)[0]) - heard:
                heard.add(client)
                served.extend([client] if answered(client) else [])
            return len(served) >= (1 if model in ONE_AT_A_TIME else 15)
        until(gather, "service up to the limit")
        time.sleep(0.2)
        gather()
        used, begin = server.cpu_s(), time.monotonic()
        while time.monotonic() - begin < 0.5:
            echoes(served[0])
            time.sleep(0.05)
        used, begin = server.cpu_s() - used, time.monotonic() - begin
        assert used / begin < 0.3 or model in SPINS or SAN
        for client in served:
            echoes(client)
        for client in clients:
            client.close()
        until(lambda: serves(server), "service after they have gone")
        clients = crowd(server)  # and it ends in the midst of them
        server.end(complaint=WARNED)
        for client in clients:
            client.close()


def test_threads_that_run_out_of_descriptors_together():
    """What one of them has closed for a moment may be taken by another, and is given back."""
    with Server("--model", "reuseport", "--workers", "8", preexec_fn=few) as server:
        until(lambda: at_rest(server), "rest")
        before = server.descriptors()
        for _ in range(20):
            for client in crowd(server):
                client.close()
            until(lambda: server.descriptors() == before, "as many descriptors as before")
        server.end(complaint=WARNED)


@pytest.mark.skipif(bool(SAN), reason="a sanitizer needs more address space than that")
@pytest.mark.parametrize("how", [(), ("--reverse",), ("--greet", "x")], ids=" ".join)
def test_out_of_memory(how):
    """A connection for which there is no memory is closed, the others are served."""
    def little():
        resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))

    def answered(client):
        with contextlib.suppress(ConnectionError):
            client.sendall(b"x\n")
            return client.recv(1) == b"x"
        return False

    with Server("--model", "thread", *how, preexec_fn=little) as server:
        clients = [server.connect() for _ in range(600)]
        assert 0 < sum([answered(client) for client in clients]) < 600
        for client in clients:
            client.close()
        with server.connect() as client:
            assert answered(client)


@every_model
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_end(model, number, noise):
    with Server("--model", model) as server, contextlib.ExitStack() as clients:
        busy = clients.enter_context(server.connect())
        echoes(busy)
        busy.sendall(noise[:20000])
        if model not in ONE_AT_A_TIME:
            for _ in range(3):
                echoes(clients.enter_context(server.connect()))
        server.process.send_signal(number)
        assert receive_all(busy) == noise[:20000]
        busy.close()
        server.await_end()


@every_model
def test_end_does_not_wait_for_a_peer_that_does_not_read(model):
    with Server("--model", model) as server, server.connect() as client:
        stuff(client)
        server.end()  # with status 0: if it waited it would give up with 2


@every_model
def test_log(model):
    with Server("--model", model, "--verbose") as server:
        assert server.first.split()[0] == model
        expected = []
        for leave in (socket.socket.close, reset):  # who has reset has no name any more
            client = server.connect()
            name = client.getsockname()
            echoes(client, b"two\nl\x7fn\xc2\x9bs")
            leave(client)
            expected += [f"Connected by {name}", f"Received from {name}: twol.n.s",
                         f"Connection with {name} closed"]
            until(lambda: expected[-1] in server.printed() or "?" in server.printed(), "its end")
        server.end(signal.SIGINT)
        assert server.printed().splitlines()[1:] == [*expected, "", "Server is shutting down..."]


@pytest.mark.parametrize("arguments, said, lines", [
    (("--once",), b"hello", ["Connected by {address}", "Received: hello", "Connection with {address} closed"]),
    (("--greet", "hi"), b"", ["Got Connection from {address}", "Connection with {address} closed"]),
    (("--reverse",), b"one\ntwo\n", ["Connected to : 127.0.0.1 : {address[1]}", "127.0.0.1: Closed"]),
], ids=lambda value: value[0] if isinstance(value, tuple) else "")
def test_log_of_other_programs(arguments, said, lines):
    with Server("--verbose", *arguments) as server:
        with server.connect() as client:
            client.sendall(said)
            client.shutdown(socket.SHUT_WR)
            receive_all(client)
            expected = [line.format(address=client.getsockname()) for line in lines]
        until(lambda: server.printed().splitlines()[1:] == expected, "its lines")


@needs_ipv6
@every_model
def test_both_families(model):
    """[::] is reached by IPv4 as well, in the name of an IPv6 address."""
    with Server("--model", model, "--bind", "::", "--verbose") as server:
        assert server.first.startswith(f"{model} listens on [::]:")
        for host, name in (("::1", "::1"), ("127.0.0.1", "::ffff:127.0.0.1")):
            with socket.create_connection((host, server.address[1]), TIMEOUT) as client:
                echoes(client)
                assert f"Connected by ('{name}', {client.getsockname()[1]}, 0, 0)\n" in server.printed()


@needs_ipv6
@pytest.mark.parametrize("bind, at, reached, refused", [
    ("::1", "[::1]", ["::1"], ["127.0.0.1"]),
    ("", "0.0.0.0", ["127.0.0.1", "127.0.0.2"], ["::1"]),
    ("localhost", "127.0.0.1", ["127.0.0.1"], ["127.0.0.2", "::1"]),
    ("127.0.0.2", "127.0.0.2", ["127.0.0.2"], ["127.0.0.1"])])
@pytest.mark.parametrize("more", [(), ("--processes", "2"), ("--model", "reuseport")],
                         ids=["one", "processes", "reuseport"])
def test_addresses(bind, at, reached, refused, more):
    with Server("--bind", bind, *more) as server:
        assert server.first.endswith(f" listens on {at}:{server.address[1]}")
        for host in reached:
            with socket.create_connection((host, server.address[1]), TIMEOUT) as client:
                echoes(client)
        for host in refused:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((host, server.address[1]), TIMEOUT)


@every_model
def test_once(model, noise):
    with Server("--model", model, "--once") as server:
        with server.connect() as client:
            echoes(client)
            time.sleep(0.05)
            assert server.process.poll() is None
            echoes(client, noise[:100000])
        server.await_end()


@every_model
def test_greeting(model):
    with Server("--model", model, "--greet", "good day\n") as server:
        for _ in range(3):
            with server.connect() as client:
                assert receive_all(client) == b"good day\n"


@every_model
def test_greeting_reaches_who_has_said_something(model):
    """Closed with that unread, the connection would be reset."""
    with Server("--model", model, "--greet", "good day\n") as server:
        until(lambda: at_rest(server), "rest")  # no process is just being forked
        os.killpg(server.process.pid, signal.SIGSTOP)
        with server.connect() as hasty, server.connect() as done:
            hasty.sendall(b"hello")
            done.sendall(bytes(50000))
            done.shutdown(socket.SHUT_WR)
            os.killpg(server.process.pid, signal.SIGCONT)
            assert receive_all(hasty) == b"good day\n"
            hasty.sendall(b"and more")
            hasty.close()
            assert receive_all(done) == b"good day\n"


@every_model
def test_long_greeting(model):
    greeting = "".join(f"{i:7}\n" for i in range(15000))
    with Server("--model", model, "--greet", greeting) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # a small send buffer there
        client.settimeout(TIMEOUT)
        client.connect(server.address)
        time.sleep(0.1)  # all buffers are full
        assert receive_all(client).decode() == greeting


def test_who_does_not_close_is_not_kept():
    """The server has ended the connection, and waits for its peer no longer than a moment."""
    with contextlib.ExitStack() as stack:
        for model in (name for name, missing in echo.models().items() if not missing):
            server = stack.enter_context(Server("--model", model, "--verbose", "--greet", "x"))
            client = stack.enter_context(server.connect())
            assert receive_all(client) == b"x"
            stack.callback(until, lambda server=server: " closed" in server.printed(), "end")


@every_model
def test_reverse_in_pieces(model):
    """For clients that send no newline; a character that is cut waits for its rest."""
    with Server("--model", model, "--reverse", "--pieces") as server, server.connect() as client:
        for said, answer in (("hello", "olleh"), ("안녕", "녕안"), ("a line\nand", "enil a\ndna"), ("\n", "\n")):
            client.sendall(said.encode())
            assert receive(client, len(answer.encode())).decode() == answer
        first, second = "뷁".encode()[:2], "뷁!".encode()[2:]
        client.sendall(b"ab" + first)
        assert receive(client, 2) == b"ba"
        client.sendall(second)
        assert receive(client, 4).decode() == "!뷁"
        client.sendall(first)
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == first


@every_model
def test_reverse(model):
    limit = 1 << 16
    with Server("--model", model, "--reverse") as server:
        with server.connect() as client:
            for part in ("ab\nlög\r\n\n", "cut h", "er", "e\nä", "€", "😀"):
                client.sendall(part.encode())
                time.sleep(0.005)
            client.shutdown(socket.SHUT_WR)
            assert receive_all(client).decode() == "ba\ngöl\r\n\nereh tuc\n😀€ä"
        with server.connect() as client:
            client.sendall(b"a" + bytes(limit - 1) + b"\n")
            assert receive(client, limit + 1) == bytes(limit - 1) + b"a\n"
            client.sendall(bytes(50 * limit))
            assert receive_all(client) == b"error: a line is longer than 65,536 bytes\n"


@every_model
def test_max_connections(model):
    """No more than so many are served; others are closed, or are pending where workers are few."""
    with Server("--model", model, "--max-connections", "2") as server:
        clients = [server.connect() for _ in range(2)]
        if model not in ONE_AT_A_TIME:
            for client in clients:
                echoes(client)
        with server.connect() as third, contextlib.suppress(ConnectionError):
            third.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                third.sendall(b"me too")
                assert third.recv(6) == b""
        for client in clients:
            client.close()
        until(lambda: serves(server), "service after they have gone")


class Idle:
    """A server with an idle timeout, and how late its client itself was."""

    def __init__(self, server, limit_s):
        self.server, self.limit_s = server, limit_s
        self.last, self.longest = time.monotonic(), 0

    def steps(self, share):
        """For five times the limit: a step of the client's each time."""
        self.last = time.monotonic()
        end = self.last + 5 * self.limit_s
        while self.last < end:
            yield
            time.sleep(share * self.limit_s)
            self.longest = max(self.longest, time.monotonic() - self.last)
            self.last = time.monotonic()

    def was_late(self):
        return max(self.longest, time.monotonic() - self.last) > self.limit_s / 2


def with_idle_timeout(talk, *arguments):
    """talk(idle) with a server; with longer and longer limits where it was itself too late for one."""
    limits = (1, 5) if SAN else (0.3, 1, 5)
    for limit_s in limits:
        idle = None
        try:
            with Server(*arguments, "--idle-timeout", f"{limit_s * 1000:.0f}ms") as server:
                idle = Idle(server, limit_s)
                talk(idle)
                return
        except (AssertionError, ConnectionError):
            if limit_s == limits[-1] or not idle or not idle.was_late():
                raise


@every_model
def test_idle_timeout(model):
    def talk(idle):
        with idle.server.connect() as silent:
            if model not in ONE_AT_A_TIME:
                with idle.server.connect() as talker:
                    for _ in idle.steps(1 / 6):
                        echoes(talker)
            assert receive_all(silent) == b""
        echoes_and_leaves(idle.server)
    with_idle_timeout(talk, "--model", model)


@every_model
def test_idle_timeout_spares_who_takes_data(model, noise):
    """Though the server has nothing to do for long: much waits in the kernel."""
    def talk(idle):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            client.settimeout(TIMEOUT)
            client.connect(idle.server.address)
            sender = threading.Thread(target=send_all, args=(client, noise[:BULK // 10]))
            sender.start()
            try:
                got = bytearray()
                for _ in idle.steps(1 / 15):
                    got += client.recv(20000)
                got += receive(client, BULK // 10 - len(got))
                assert got == noise[:BULK // 10]
            finally:
                sender.join()
    with_idle_timeout(talk, "--model", model)


def send_all(client, what):
    with contextlib.suppress(ConnectionError):  # what did not arrive is missed by who receives
        client.sendall(what)


def answer_while_it_computes(limit_s):
    """What a client is answered that asks meanwhile, and how long it was silent before."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        with Server("--model", "epoll", "--idle-timeout", f"{limit_s * 1000:.0f}ms",
                    "--work-port", str(other.getsockname()[1])) as server, server.connect() as waits:
            begin = time.monotonic()
            echoes(waits)
            other.connect(server.address)
            other.sendall(b"900000")  # us
            time.sleep(0.05)
            try:
                waits.sendall(b"me too")
                silent_s = time.monotonic() - begin
                return receive(waits, 6), silent_s
            except ConnectionError:
                return b"", time.monotonic() - begin


def test_idle_timeout_spares_whom_the_server_lets_wait():
    """Its only thread computes for another client: who has sent, and is not answered yet, is not idle."""
    for _ in range(10):
        answer, silent_s = answer_while_it_computes(0.3)
        if silent_s < 0.15:
            break
    else:
        pytest.skip("this machine is too busy to ask in time")
    assert answer == b"me too"


@every_model
def test_idle_timeout_ends_who_takes_nothing(model):
    with Server("--model", model, "--idle-timeout", "500ms", "--verbose") as server, \
            server.connect() as client:
        stuff(client)
        until(lambda: " closed" in server.printed(), "its end")


@every_model
def test_processes_share_a_port_and_are_replaced(model):
    with Server("--model", model, "--processes", "2", "--workers", "4") as server:
        until(lambda: len(server.children()) == 2, "processes")
        killed, ended = server.children()
        with contextlib.ExitStack() as stack:
            for _ in range(2 if model not in ONE_AT_A_TIME else 1):
                echoes(stack.enter_context(server.connect()))
        os.kill(killed, signal.SIGKILL)
        os.kill(ended, signal.SIGTERM)
        until(lambda: len(server.children() - {killed, ended}) == 2, "replacements")
        for _ in range(8):
            echoes_and_leaves(server)


@pytest.mark.skipif(bool(SAN), reason="a sanitizer knows nothing of stacks of our own")
def test_processes_give_up_together():
    def too_few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))

    ended = run(SERVER, "--port", "0", "--processes", "2", "--model", "coroutine-nm", preexec_fn=too_few,
                env=echo.forking())
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "Too many open files" in ended.stderr


@pytest.mark.skipif(bool(SAN), reason="a sanitizer knows nothing of stacks of our own")
@pytest.mark.parametrize("files", [8, 10], ids=["no-pipe", "no-epoll"])
def test_loops_give_up_together(files):
    """The second of two loops finds no descriptor: to be given connections by, or to wait with."""
    ended = run(SERVER, "--port", "0", "--workers", "2", "--model", "coroutine-nm",
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "Too many open files" in ended.stderr


# --- what is special to a model -------------------------------------------------------------------

def test_prefork_replaces_workers_that_die():
    with Server("--model", "prefork", "--workers", "3") as server:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(server.connect()) for _ in range(3)]
            for client in clients:
                echoes(client)
            before = server.workers()
            assert len(before) == 3
            killed, ended, _ = before
            os.kill(killed, signal.SIGKILL)
            os.kill(ended, signal.SIGTERM)
            until(lambda: len(server.workers() - {killed, ended}) == 3, "replacement")
            survivors = 0
            for client in clients:
                with contextlib.suppress(ConnectionError):
                    client.sendall(b"!")
                    survivors += client.recv(1) == b"!"
            assert survivors == 1
            for _ in range(2):
                echoes(stack.enter_context(server.connect()))


@pytest.mark.parametrize("model", ["fork", "prefork"])
def test_children_end_with_their_parent(model):
    with Server("--model", model) as server, server.connect() as client:
        echoes(client)
        assert server.workers()
        server.process.kill()
        server.process.wait()
        assert receive_all(client) == b""
        until(lambda: not server.workers(), "end of the workers")


FORKING = [("--model", "fork"), ("--model", "prefork", "--workers", "2"), ("--processes", "2")]


@pytest.mark.parametrize("how", FORKING, ids=" ".join)
def test_children_of_others_are_reaped_and_no_more(how):
    """A shell that becomes the server leaves it what it had started in the background."""
    def bear():
        if os.fork() == 0:
            os.execlp("sleep", "sleep", "0.3")

    with Server(*how, preexec_fn=bear) as server, server.connect() as client:
        echoes(client)
        before = server.children()
        assert len(before) == (2 if how[1] == "fork" else 3)
        until(lambda: len(server.children()) == len(before) - 1, "end of the stranger")
        until(lambda: not server.zombies(), "reaping")
        time.sleep(0.1)
        assert len(server.children() & before) == len(server.children()) == len(before) - 1
        echoes(client)


@pytest.mark.parametrize("how", FORKING, ids=" ".join)
def test_ends_of_children_ignored_by_whoever_started_it(how):
    with Server(*how, preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)) as server:
        with server.connect() as client:
            echoes(client)
            killed = min(server.children())
            os.kill(killed, signal.SIGKILL)
        until(lambda: killed not in server.children(), "end of it")
        if how[1] != "fork":
            until(lambda: len(server.children()) == 2, "replacement")
        echoes_and_leaves(server)


def test_reuseport_ends_before_it_has_begun():
    for _ in range(5):
        server = start(SERVER, "--model", "reuseport", "--port", "0", "--workers", "256")
        server.stdout.readline()  # its other sockets follow
        server.terminate()
        assert finish(server).returncode == 0


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2048, reason="hard limit")
def test_select_closes_what_it_cannot_watch():
    with Server("--model", "select") as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(1100)]
        until(lambda: "out of descriptors (limit 1024)" in server.said(), "reason")
        for client in clients[:900]:
            echoes(client)
        server.end(complaint=".*limit 1024.*\n")


def test_select_without_room_for_its_listener():
    crowd = 'ulimit -Sn 2048; for i in {3..1100}; do eval "exec $i</dev/null"; done; exec "$@"'
    ended = run("bash", "-c", crowd, "bash", SERVER, "--model", "select", "--port", "0",
                env=environment(ASAN_OPTIONS="detect_leaks=0"))  # which needs low descriptors
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "a set has room for 1024" in ended.stderr


# --- the program ----------------------------------------------------------------------------------

def test_list():
    ended = run(SERVER, "--list")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [line for line in ended.stdout.splitlines() if not line.startswith(" ")]
    names = [line.split(maxsplit=1)[0] for line in lines]
    assert names == sorted(set(names)) and len(names) >= 13  # and libuv, libevent, io_uring where they are
    assert all(len(line) <= 80 and len(line.split()) > 2 for line in lines)


def test_datagrams():
    with Server("--udp", "--verbose") as server, \
            socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect(server.address)
        for message in (b"hello\n", b"", bytes(60000)):
            client.send(message)
            assert client.recv(1 << 16) == message
        assert server.printed().splitlines()[1:] == [
            f"Received Messages: {text} from {client.getsockname()}" for text in ("hello", "", "." * 79)]


@needs_ipv6
def test_datagrams_of_both_families():
    with Server("--udp", "--bind", "::") as server:
        for family, host in ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1")):
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.settimeout(TIMEOUT)
                client.connect((host, server.address[1]))
                client.send(b"hello")
                assert client.recv(1 << 16) == b"hello"


def test_without_standard_descriptors():
    """No connection gets the number of one, and so what is said of it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    server = start(SERVER, "--model", "thread", "--port", str(address[1]),
                   preexec_fn=lambda: os.closerange(0, 3))

    def connect():
        with contextlib.suppress(ConnectionRefusedError):
            clients.append(socket.create_connection(address, TIMEOUT))
        return clients

    clients = []
    until(connect, "server")
    for _ in range(3):
        echoes(connect()[-1])
    server.terminate()
    for client in clients:
        assert receive_all(client) == b""
        client.close()
    assert finish(server).returncode == 0


def test_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run(SERVER, "--port", str(taken.getsockname()[1]))
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "Address already in use" in ended.stderr


@pytest.mark.parametrize("how", [(), ("--udp",), ("--model", "reuseport"), ("--processes", "2")],
                         ids=" ".join)
def test_port_of_another_server(how):
    """Nor is it shared by those that share one among themselves."""
    with Server(*how) as server:
        ended = run(SERVER, *how, "--port", str(server.address[1]))
        assert ended.returncode == 2
        assert ended.stderr.count("\n") == 1 and "Address already in use" in ended.stderr


@pytest.mark.parametrize("arguments", [
    ("--model", "nonesuch"), ("--port", "65536"), ("--port", "-1"), ("--bind", "256.1.1.1"),
    ("--bind", "192.0.2.1"), ("--workers", "5000"), ("--processes", "0"),
    ("--processes", "2", "--udp"), ("--once", "--udp"), ("--greet", "hi", "--udp"),
    ("--reverse", "--udp"), ("--pieces",), ("--max-connections", "2", "--udp"), ("--idle-timeout", "1s", "--udp"),
    ("--work-port", "80", "--udp"), ("--processes", "2", "--once"), ("--idle-timeout", "soon"), ("--nonesuch",),
    ("surplus",)], ids=" ".join)
def test_bad_options(arguments):
    ended = run(SERVER, *arguments, env=environment())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert 1 <= ended.stderr.count("\n") <= 2
