# SPDX-License-Identifier: MIT
"""Two halves of an experiment on two hosts: here both are this one; tests/test_two_hosts.py has a link between them."""
import contextlib
import json
import re
import signal
import socket
import struct
import subprocess
import threading

import pytest
from program import BUILD, TIMEOUT, left_behind, programs, finish, kind, parse, run, start, until

HALVES = [program for program in programs() if "--peer=" in subprocess.run(
    [program, "--help"], capture_output=True, encoding="utf-8", check=True).stdout]
STALL = BUILD / "buffers" / "stall"


@contextlib.contextmanager
def served(program, where="127.0.0.1:0"):
    """The other half, and its address."""
    process = start(program, f"--serve={where}")
    line = process.stdout.readline()
    address = re.fullmatch(rf"{program.name}: serving on (\S+)\n", line)
    assert address, (line, process.stderr.read() if process.poll() is not None else "")
    process.address = address[1]
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        ended = finish(process)
        assert ended.returncode == -signal.SIGTERM and not left_behind(process), ended


def say(connection, message):
    text = json.dumps(message).encode()
    connection.sendall(struct.pack("=Q", len(text)) + text)


def hear(connection):
    length, = struct.unpack("=Q", connection.recv(8, socket.MSG_WAITALL))
    return json.loads(connection.recv(length, socket.MSG_WAITALL))


@contextlib.contextmanager
def greeted(half, other):
    """A connection to a served half that has greeted as a run does."""
    host, port = other.address.split(":")
    row = parse(run(half, "--quick", "--trials", "1", "-o", "-", "--peer", other.address).stdout)[0]
    with socket.create_connection((host, int(port))) as connection:
        say(connection, {**row, "options": row["params"]})
        assert "refused" not in hear(connection)
        yield connection


@pytest.mark.parametrize("half", HALVES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_run_with_a_peer(half):
    """Every program of two halves: the rows are whole, and tell of the peer."""
    with served(half) as other:
        for _ in range(2):  # it serves one run after the other
            ended = run(half, "--quick", "--budget", "0", "-o", "-", "--peer", other.address)
            assert ended.returncode == 0, ended.stderr
            rows = parse(ended.stdout)
            assert rows[0]["peer"]["experiment"] == half.name and rows[0]["peer"]["kernel"]
            assert "to the peer" in ended.stderr
            assert kind(rows, "sample") and rows[-1]["controls_held"] is True
            assert {row["claim"] for row in kind(rows, "verdict")} == set(rows[0]["claims"])


def test_a_peer_gets_the_options():
    with served(STALL) as other:
        rows = parse(run(STALL, "--quick", "--trials", "1", "--sleep", "60", "--rcvbuf", "16K", "--variants", "sleep",
                         "-o", "-", "--peer", other.address).stdout)
        sample, = kind(rows, "sample")
        assert sample["granted_rcvbuf_bytes"] == 32 << 10 and sample["blocked_ns"] > 30e6
        assert all("inq_bytes" not in row for row in kind(rows, "queue"))


@pytest.mark.parametrize("change, words", [
    ({"experiment": "nagle"}, "it serves stall"), ({"version": "0.0.1"}, "its version is not the same: it is "),
    ({"commit": "f" * 12}, "its commit is not the same: it is "), ({"arch": "pdp11"}, "its arch is not the same"),
    ({"options": {}}, "--sleep: out of range"), ({"options": None}, "--sleep: out of range")])
def test_a_mismatch_is_refused(change, words):
    with served(STALL) as other:
        host, port = other.address.split(":")
        rows = parse(run(STALL, "--quick", "--trials", "1", "-o", "-", "--peer", other.address).stdout)
        hello = {**rows[0], "options": rows[0]["params"], **change}
        with socket.create_connection((host, int(port))) as connection:
            say(connection, hello)
            assert words in hear(connection)["refused"]


@pytest.mark.parametrize("bytes_said", [b"", b"GET / HTTP/1.0\r\n\r\n", struct.pack("=Q", 1 << 60),
                                        struct.pack("=Q", 2) + b"{}", struct.pack("=Q", 4) + b"\xff\xff[["])
def test_a_stranger_hinders_nobody(bytes_said):
    """Whatever somebody says to a served half, the next run is served."""
    with served(STALL) as other:
        host, port = other.address.split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(bytes_said)
        until(lambda: run(STALL, "--quick", "--trials", "1", "-q", "--peer", other.address).returncode == 0,
              "run after the stranger")


@pytest.mark.parametrize("name, numbers, words", [
    ("buffers/stall", [99], "the other half says 99 where 0 to 0 are due"),
    ("tcp/setup", [0, -1], "the other half says -1 where 0 to 6 are due"),
    ("tcp/backlog", [0, 1 << 62], "where 0 to 6 are due"), ("buffers/deadlock", [0, 1 << 40], "where 1 to 480 are due"),
    ("buffers/atlas_tcp", [0, (-5, 0)], "where 1 to 288 are due")])
def test_what_no_half_would_say(name, numbers, words):
    """A stranger greets as a run does, and then says what no array has room for: one line; the next run is served."""
    half = BUILD / name
    with served(half) as other:
        with greeted(half, other) as connection:
            for number in numbers:
                words_said = struct.pack("=2q", *number) if isinstance(number, tuple) else struct.pack("=q", number)
                connection.sendall(struct.pack("=Q", len(words_said)) + words_said)
            line = other.stderr.readline()
        assert line.startswith(f"{half.name}: ") and words in line
        until(lambda: run(half, "--quick", "--trials", "1", "-q", "--peer", other.address).returncode == 0, "next run")


def test_a_connection_of_another_host_is_not_taken():
    """Where a half listens for the other one's connections, too."""
    half = BUILD / "tcp" / "setup"
    with served(half) as other, greeted(half, other) as connection:
        for number in (0, 0):  # the half, and a way over TCP
            connection.sendall(struct.pack("=Qq", 8, number))
        length, = struct.unpack("=Q", connection.recv(8, socket.MSG_WAITALL))
        where, = struct.unpack_from("!2xH", connection.recv(length, socket.MSG_WAITALL))
        with socket.create_connection(("127.0.0.1", where), source_address=("127.0.0.2", 0)) as stranger:
            stranger.settimeout(TIMEOUT)
            assert stranger.recv(1) == b""
        with socket.create_connection(("127.0.0.1", where)) as own:
            own.settimeout(TIMEOUT)
            own.sendall(bytes(64))
            assert own.recv(64, socket.MSG_WAITALL) == bytes(64)


def test_one_run_at_a_time():
    with served(STALL) as other:
        first = start(STALL, "--sleep", "60s", "--trials", "1", "--variants", "sleep", "--peer", other.address)
        assert "to the peer" in first.stdout.readline() + first.stdout.readline()
        second = run(STALL, "--quick", "--peer", other.address)
        assert (second.returncode, second.stderr) == (
            2, f"stall: --peer: {other.address}: it serves another run just now\n")
        first.kill()
        finish(first)
        until(lambda: run(STALL, "--quick", "--trials", "1", "-q", "--peer", other.address).returncode == 0,
              "run after the killed one")


def test_a_peer_that_goes_away(tmp_path):
    """Whether the near half is in send or waits for an answer: one line, status 2."""
    rows = tmp_path / "rows.jsonl"
    with served(STALL) as other:
        near = start(STALL, "--sleep", "60s", "--trials", "1", "--variants", "sleep", "-o", rows, "--peer",
                     other.address)
        assert "to the peer" in near.stdout.readline() + near.stdout.readline()
    ended = finish(near)
    assert ended.returncode == 2
    assert re.fullmatch(f"stall: the peer {other.address} went away(: [A-Z][a-z ]+)?\n", ended.stderr), ended.stderr
    assert not rows.exists() and not left_behind(near)


@pytest.mark.parametrize("answer, words", [
    (b"", "it does not answer as 'stall --serve' does"), (b"HTTP/1.0 400 no\r\n\r\n", "it does not answer as"),
    (struct.pack("=Q", 1) + b"x", "it does not answer as"),
    (struct.pack("=Q", 27) + b'{"refused": "a\\u001b[31mb"}', "it does not answer as"),
    (struct.pack("=Q", 19) + b'{"refused": "never"}', "it does not answer as")])
def test_a_peer_of_another_kind(answer, words):
    """What listens there says something else, and ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        def reply():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
        thread = threading.Thread(target=reply, daemon=True)
        thread.start()
        ended = run(STALL, "--quick", "--peer", f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1 and words in ended.stderr


@pytest.mark.parametrize("arguments, words", [
    (["--peer", "127.0.0.1:1"], "--peer: 127.0.0.1:1: Connection refused"),
    (["--peer", "127.0.0.1:99999"], "--peer: '127.0.0.1:99999' is not HOST:PORT"),
    (["--peer", "::1"], "[ADDRESS]:PORT"), (["--peer", "[::1]:1"], "is no address of IPv4"),
    (["--serve=127.0.0.1:x"], "--serve: '127.0.0.1:x' is not HOST:PORT"),
    (["--serve=192.0.2.1:0"], "Cannot assign requested address"),
    (["--peer", "127.0.0.1:1", "--sham", "missing_bytes"], "--sham is of one host, without --peer")])
def test_usage(arguments, words):
    ended = run(STALL, "--quick", *arguments)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert words in ended.stderr


def test_a_port_in_use():
    with served(STALL) as other:
        ended = run(STALL, f"--serve={other.address}")
        assert (ended.returncode, ended.stderr) == (2, "stall: bind: Address already in use\n")


def test_it_is_served_on_loopback_unless_told_otherwise():
    process = start(STALL, "--serve")
    line = process.stdout.readline()
    process.terminate()
    ended = finish(process)
    assert line == "stall: serving on 127.0.0.1:65431\n" or ended.stderr == "stall: bind: Address already in use\n"
