# SPDX-License-Identifier: MIT
"""The load generator: what it counts, what it finds wrong, and what each loop sees of a pause."""
import itertools
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest
from echo import has_ipv6
from program import (BUILD, environment, finish, kind, left_behind, open_files, parse, run, run_on_a_terminal, session,
                     start, until)

LOAD, SERVER = BUILD / "echo" / "echo-load", BUILD / "echo" / "echo-server"
ERRORS = ("refused", "reset", "closed", "timed_out", "wrong", "no_port", "other")
SHORT = ("-d", "300ms", "--warmup", "50ms")


@contextmanager
def server(*arguments):
    """An echo server in C: its process and its port."""
    process = start(SERVER, "-p", "0", *arguments, stdout=subprocess.PIPE)
    try:
        process.port = process.stdout.readline().rpartition(":")[2].strip()
        assert process.port.isdigit(), process.stderr.read()
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        finish(process)


@contextmanager
def python_server(serve):
    """A server that calls serve(connection, address) in a thread of each connection."""
    def handle(connection, address):
        with connection:
            try:
                serve(connection, address)
            except (OSError, threading.BrokenBarrierError):  # the load generator has gone
                pass

    def accept():
        while True:
            try:
                found = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=found, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield str(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RD)
        thread.join()


def echo_late(which, seconds):
    """What a python_server does that lets one message, by its number, wait for its answer."""
    def echo(connection, _):
        while data := connection.recv(65536):
            if next(number) == which:
                time.sleep(seconds)
            connection.sendall(data)

    number = itertools.count()
    return echo


def load(port, *arguments, short=SHORT):
    """What a run ends with: the process, and its rows by kind."""
    ended = run(LOAD, "-p", port, *short, "-o", "-", *arguments)
    rows = parse(ended.stdout)
    if rows:
        assert [row["row"] for row in rows] == ["run", "window"] + ["second"] * (len(rows) - 5) + ["sample", "histogram",
                                                                                                  "end"]
    return ended, rows


def sample_of(ended, rows, status=0):
    assert ended.returncode == status, ended.stderr
    return kind(rows, "sample")[0]


def assert_right(sample):
    """Nothing was wrong, and the numbers agree with each other."""
    assert sample["requests"] > 0
    assert {error: sample[f"errors_{error}"] for error in ERRORS} == dict.fromkeys(ERRORS, 0)
    assert (sample["errors"], sample["wrong_bytes"]) == (0, 0)
    assert 0 < sample["p50_ns"] <= sample["p90_ns"] <= sample["p99_ns"] <= sample["p999_ns"]
    assert sample["p999_ns"] <= sample["max_ns"]
    assert sample["cpu_ns"] > 0 and sample["elapsed_ns"] > 0
    assert {type(value) for value in sample.values()} <= {int, str}


# --- the command line -----------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, word", [
    (["stray"], "'stray'"),
    (["--no-such-option"], "--no-such-option"),
    (["-c", "0"], "--connections"),
    (["-d", "10"], "--duration"),  # ms: 10s was meant
    (["-s", "x"], "--size"),
    (["-s", ""], "--size"),
    (["-s", "0"], "--size"),
    (["-s", "2-1"], "--size"),
    (["-s", "64:0"], "--size"),
    (["-s", "64:1,"], "--size"),
    (["-s", "17M"], "--size"),
    (["-s", ",".join(["1"] * 17)], "--size"),
    (["-c", "1", "--threads", "2"], "--connections"),
    (["--churn", "--pipeline", "2"], "--churn"),
    (["--at-once", "1", "--threads", "2"], "--at-once"),
    (["--at-once", "2", "--rate", "100"], "--at-once"),
    (["--arrivals", "uniform"], "poisson"),
    (["-c", "4000000"], "--processes"),
    (["--host", "host.invalid"], "--host"),
    (["--server-pid", str(1 << 22)], "--server-pid"),
    (["-o", "no/such/folder/rows"], "no/such/folder/rows"),
    (["--hgrm", "no/such/folder/hgrm"], "no/such/folder/hgrm"),
], ids=" ".join)
def test_wrong_usage(arguments, word, tmp_path):
    ended = run(LOAD, "-p", "1", *arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1 and word in ended.stderr
    assert not list(tmp_path.iterdir())


def test_help():
    ended = run(LOAD, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not [line for line in ended.stdout.splitlines() if len(line) > 80]


# --- what is counted ------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments", [
    (), ("-c", "1"), ("--threads", "2"), ("--processes", "3"), ("--pipeline", "7"), ("--churn",),
    ("--threads", "2", "--processes", "2", "--pipeline", "3", "--rate", "2000"),
    ("--rate", "500", "--churn"), ("-s", "1M", "-c", "2", "--pipeline", "2"),
    ("--idle", "40"), ("--ramp", "200ms"), ("--at-once", "3"), ("--at-once", "3", "--churn"),
    ("--at-once", "4", "--threads", "2", "--processes", "2", "--pipeline", "3"),
], ids=" ".join)
def test_every_answer_is_right(arguments):
    with server() as echo:
        ended, rows = load(echo.port, *arguments)
        sample = sample_of(ended, rows)
    assert_right(sample)
    size = rows[0]["params"]["size"].replace("1M", str(1 << 20))
    assert sample["bytes"] == sample["in_window"] * int(size)
    assert 0 < sample["in_window"] <= sample["requests"]
    assert sample["served_connections"] == (
        0 if "--churn" in arguments else rows[0]["params"]["connections"])
    assert sum(row["requests"] for row in kind(rows, "second")) == sample["requests"]
    assert rows[0]["group"] == "echo" and rows[0]["schema"] == 2
    assert rows[-1]["controls_held"] is True and rows[-1]["interrupted"] is None
    assert rows[-1]["wall_ns"] >= 1e6 * sum(rows[0]["params"][name] for name in
                                            ("ramp_ms", "warmup_ms", "duration_ms"))


@pytest.mark.parametrize("model", ["thread", "reuseport"])
def test_other_models(model):
    with server("--model", model) as echo:
        assert_right(sample_of(*load(echo.port)))


def test_the_histogram_holds_every_request():
    with server("--model", "iterative") as echo:
        ended, rows = load(echo.port, "-c", "3")
    sample, latency = sample_of(ended, rows), kind(rows, "histogram")[0]
    assert sum(latency["counts"]) == sample["requests"] + sample["unanswered"]
    assert latency["low_ns"] == sorted(set(latency["low_ns"])) and min(latency["counts"]) > 0
    assert latency["low_ns"][-1] <= latency["max_ns"] == sample["max_ns"] <= latency["low_ns"][-1] * 129 / 128


def test_fixed_arrivals_are_all_counted():
    """Every request that was due is there, whichever worker sent it, and whatever the warm-up was."""
    with server() as echo:
        sample = sample_of(*load(echo.port, "--rate", "2000", "--arrivals", "fixed",
                                 "--threads", "2", "--processes", "2"))
    assert sample["requests"] + sample["unanswered"] == 2000 * 0.3


@pytest.mark.parametrize("warmup", ["0", "1"])
@pytest.mark.parametrize("workers", [("--threads", "4"), ("--processes", "4")], ids=" ".join)
def test_no_worker_begins_before_all_have_warmed_up(workers, warmup):
    """However short that is: a worker that is late takes its own turn, not another one's."""
    with server() as echo:
        for _ in range(5):
            sample = sample_of(*load(echo.port, "--rate", "2000", "--arrivals", "fixed",
                                     "--warmup", warmup, *workers, short=("-d", "100ms")))
            assert sample["requests"] + sample["unanswered"] == 200
            assert 100e6 <= sample["elapsed_ns"] < 1e9


def test_poisson_arrivals():
    """Their number scatters by its square root, and the seed decides."""
    with server() as echo:
        counts = [sample_of(*load(echo.port, "--rate", "5000", "--seed", seed))
                  for seed in "112"]
    due = [count["requests"] + count["unanswered"] for count in counts]
    assert due[0] == due[1] != due[2]
    assert all(abs(count - 1500) < 5 * 1500 ** 0.5 for count in due)


def test_an_overloaded_server_does_not_look_fast():
    """What was due and not answered counts with the time it was waited for."""
    with server() as echo:
        sample = sample_of(*load(echo.port, "--rate", "10000000", "-c", "1"))
    assert sample["requests"] + sample["unanswered"] > 0.9 * 3e6
    assert sample["unanswered"] > sample["requests"]
    assert sample["p50_ns"] > 300e6  # the grace is over only a second after the end


def test_who_is_not_served_is_not_forgotten():
    """An iterative server leaves all but one of them waiting, from the warm-up on."""
    with server("--model", "iterative") as echo:
        sample = sample_of(*load(echo.port, "-c", "4"))
    assert sample["requests"] > 0 and sample["unanswered"] == 3
    assert sample["served_connections"] == 1
    assert sample["max_ns"] > 300e6


def test_a_late_answer_is_no_rate():
    """Of two connections one is answered after the end: the window is as long as it was."""
    with python_server(echo_late(0, 0.6)) as port:
        sample = sample_of(*load(port, "-c", "2", "--warmup", "0"))
    assert sample["requests"] > sample["in_window"] > 0
    assert 0.3e9 <= sample["elapsed_ns"] < 0.55e9 and sample["max_ns"] > 0.6e9


def test_seconds_are_their_own():
    """What was slow in the first second is not in the next one."""
    with python_server(echo_late(2, 0.5)) as port:
        ended, rows = load(port, "-c", "1", "--rate", "20", "--arrivals", "fixed",
                           short=("-d", "2s", "--warmup", "0"))
    first, second = [row["p99_ns"] for row in kind(rows, "second") if row["requests"] > 5]
    assert ended.returncode == 0 and first > 0.45e9 and second < 0.45e9


@pytest.mark.parametrize("sizes, low, high, mean", [
    ("10", 10, 10, 10),
    ("10-90", 10, 90, 50),
    ("10:3,1K:1", 10, 1024, (3 * 10 + 1024) / 4),
], ids=["one", "range", "weights"])
def test_sizes(sizes, low, high, mean):
    seen = []

    def echo(connection, _):
        while data := connection.recv(65536):
            seen.append(len(data))
            connection.sendall(data)

    with python_server(echo) as port:
        sample = sample_of(*load(port, "-c", "2", "-s", sizes))
    assert_right(sample)
    assert min(seen) >= low and max(seen) <= high
    assert abs(sample["bytes"] / sample["in_window"] - mean) < 0.25 * mean


def test_turns():
    """Never more under way than may be at once, and each connection has its turn, also in the shortest warm-up."""
    def echo(connection, _):
        while data := connection.recv(65536):
            with lock:
                under_way.append(under_way[-1] + 1)
            time.sleep(0.001)
            with lock:
                under_way.append(under_way[-1] - 1)
            connection.sendall(data)

    lock, under_way = threading.Lock(), [0]
    with python_server(echo) as port:
        sample = sample_of(*load(port, "-c", "100", "--at-once", "3", short=("-d", "20ms", "--warmup", "1ms")))
    assert 1 <= max(under_way) <= 3
    assert sample["served_connections"] == 100 == sample["open_connections"]
    assert_right(sample)


def test_a_turn_of_a_lost_connection_goes_on():
    """Of four connections the server closes one at its first request: the others go on."""
    def echo(connection, _):
        first = next(number) == 0
        while (data := connection.recv(65536)) and not first:
            connection.sendall(data)

    number = itertools.count()
    with python_server(echo) as port:
        sample = sample_of(*load(port, "-c", "4", "--at-once", "1"), status=1)
    assert (sample["errors"], sample["errors_closed"] + sample["errors_reset"]) == (1, 1)
    assert (sample["served_connections"], sample["open_connections"]) == (3, 3)


def test_a_warm_up_with_turns_is_interrupted():
    """It would go on for as long as a server takes that answers nobody."""
    with python_server(lambda connection, _: connection.recv(1) and time.sleep(3600)) as port:
        process = start(LOAD, "-p", port, "-c", "3", "--at-once", "1", "--warmup", "1ms", "-o", "-")
        until(lambda: len(open_files(process.pid)) > 8, "load")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert finish(process).returncode == -signal.SIGINT
    assert not left_behind(process)


def test_text_is_text():
    """A server that decodes each of its reads can read it all, and answers are told right from wrong."""
    seen = set()

    def echo(connection, _):
        while data := connection.recv(1024):
            seen.update(data.decode())
            connection.sendall(data.swapcase() if wrong else data)

    for wrong in (False, True):
        with python_server(echo) as port:
            sample = sample_of(*load(port, "-c", "2", "-s", "3-5000", "--text"), status=wrong)
        assert (sample["errors_wrong"] > 0) == wrong
        assert all(character.isascii() and character.isprintable() for character in seen)
        assert len(seen) > 26


def test_churn_comes_from_many_addresses():
    """So that ports in TIME_WAIT do not run out; and none closes before the answer."""
    peers = []

    def echo_once(connection, address):
        peers.append(address)
        connection.sendall(connection.recv(65536))
        assert connection.recv(1) == b""

    with python_server(echo_once) as port:
        sample = sample_of(*load(port, "--churn", "-c", "4"))
    assert_right(sample)
    assert len(peers) == len(set(peers)) >= sample["requests"]
    assert len({host for host, _ in peers}) > min(1000, len(peers) // 2)


def test_idle_connections_are_silent():
    def sockets():
        return sum(name.startswith("socket:") for name in open_files(echo.pid))

    with server() as echo:
        process = start(LOAD, "-p", echo.port, "-c", "2", "--idle", "30", "-d", "1s", "-o", "-")
        until(lambda: sockets() == 1 + 32, "32 connections")
        ended = finish(process)
        until(lambda: sockets() == 1, "end of the connections")
    assert_right(sample_of(ended, parse(ended.stdout)))


def test_server_pid():
    with server("--model", "thread") as echo:
        sample = sample_of(*load(echo.port, "-c", "5", "--server-pid", str(echo.pid)))
    assert sample["server_processes"] == 1 and sample["server_threads"] >= 6
    assert 0 < sample["server_busiest_thread_ns"] < sample["server_cpu_ns"]
    assert sample["server_rss_bytes"] > 0 and sample["server_elapsed_ns"] > 250e6
    assert sample["server_voluntary_switches"] + sample["server_involuntary_switches"] > 0


def test_server_between_the_looks():
    """What the server did is what the measured requests made it do, and nothing of the warm-up."""
    with server("--model", "thread") as echo:
        sample = sample_of(*load(echo.port, "-c", "5", "--idle", "500", "-d", "50ms",
                                 "--warmup", "400ms", "--server-pid", str(echo.pid)))
    assert sample["server_elapsed_ns"] >= sample["elapsed_ns"] > 0
    # a thread that has answered sleeps until the next request
    assert 0 < sample["server_voluntary_switches"] <= sample["requests"] + sample["server_threads"]


def test_text(tmp_path):
    with server() as echo:
        ended = run(LOAD, "-p", echo.port, *SHORT, "--server-pid", str(echo.pid), "-o", "rows",
                    "--hgrm", "hgrm", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    for word in ("closed loop", "answered", "latency", "p99.9", "errors       none", "generator",
                 "server", "rows: rows"):
        assert word in ended.stdout
    assert not [line for line in ended.stdout.splitlines() if len(line) > 80]
    sample = kind(parse((tmp_path / "rows").read_text()), "sample")[0]
    lines = (tmp_path / "hgrm").read_text().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    value, share, count = [line for line in lines[2:] if line[0] != "#"][-1].split()
    assert float(share) == 1 and int(count) == sample["requests"]
    assert round(float(value) * 1e6) == sample["max_ns"]


@pytest.mark.skipif(not has_ipv6(), reason="loopback has no ::1")
@pytest.mark.parametrize("arguments", [(), ("--churn",), ("--threads", "2")], ids=" ".join)
def test_ipv6(arguments):
    with server("--bind", "::1") as echo:
        ended, rows = load(echo.port, "--host", "::1", "-c", "4", *arguments)
        assert_right(sample_of(ended, rows))
        assert f"[::1]:{echo.port}: closed loop" in ended.stderr


def test_seconds_on_a_terminal():
    """Each is written over the one before, and the last one is gone before the text."""
    with server() as echo:
        status, shown = run_on_a_terminal(LOAD, "-p", str(echo.port), "--connections", "2", "--warmup", "0ms",
                                          "--duration", "1200ms", env=environment())
    assert status == 0
    seconds, _, text = shown.rpartition("\r\x1b[K")
    assert re.fullmatch(r"(?:\r\x1b\[K +\d+ s: [\d,]+ requests)+", seconds)
    assert "closed loop" in text and "\x1b[K" not in text


# --- what goes wrong ------------------------------------------------------------------------------

def test_wrong_bytes_are_found():
    """One byte of each answer is another one."""
    def echo(connection, _):
        while data := connection.recv(65536):
            connection.sendall(data[:-1] + bytes([data[-1] ^ 1]))

    with python_server(echo) as port:
        ended, rows = load(port, "-c", "2")
    sample = sample_of(ended, rows, status=1)
    assert sample["errors_wrong"] == sample["errors"] == sample["wrong_bytes"]
    assert sample["errors"] >= sample["requests"] > 0
    assert "wrong bytes" in ended.stderr and rows[-1]["controls_held"] is False


@pytest.mark.parametrize("change", [lambda data: data * 2, lambda data: data[:4] + data],
                         ids=["doubled", "moved"])
def test_bytes_too_many_are_found(change):
    def echo(connection, _):
        while data := connection.recv(65536):
            connection.sendall(change(data))

    with python_server(echo) as port:
        sample = sample_of(*load(port, "-c", "1"), status=1)
    assert sample["errors_wrong"] > 0 and sample["wrong_bytes"] > 0


def test_answers_of_others_are_found():
    """Two connections get each other's bytes."""
    both = {}
    met = threading.Barrier(2)

    def swap(connection, address):
        while data := connection.recv(65536):
            both[address] = data
            met.wait()
            connection.sendall(next(both[other] for other in both if other != address))
            met.wait()

    with python_server(swap) as port:
        sample = sample_of(*load(port, "-c", "2"), status=1)
        met.abort()
    assert sample["errors_wrong"] >= sample["requests"] > 0


def test_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
    ended, rows = load(port)
    assert ended.returncode == 1 and not rows
    assert ended.stderr.count("\n") == 1 and "refused" in ended.stderr


@pytest.mark.parametrize("answers, error", [(False, "closed"), (True, "reset")])
def test_lost_connections_are_named(answers, error):
    """Both connections end after some answers: there is none left."""
    def echo(connection, _):
        for _ in range(20):
            connection.sendall(connection.recv(65536))
        if answers:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            connection.recv(65536)

    with python_server(echo) as port:
        ended, rows = load(port, "-c", "2", "--warmup", "0")
    sample = sample_of(ended, rows, status=1)
    assert sample[f"errors_{error}"] == sample["errors"] == 2
    assert sample["requests"] == 40 and sample["unanswered"] <= 2
    assert "went away" in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_what_was_due_without_a_connection_is_not_forgotten(threads):
    """One of two connections ends at once, the other is served: half is due all the same."""
    def echo(connection, _):
        if next(number) == 0:
            connection.recv(65536)
            return
        while data := connection.recv(65536):
            connection.sendall(data)

    number = itertools.count()
    with python_server(echo) as port:
        sample = sample_of(*load(port, "-c", "2", "--threads", threads, "--rate", "400",
                                 "--arrivals", "fixed", "--warmup", "0"), status=1)
    assert sample["requests"] + sample["unanswered"] == 400 * 0.3 and sample["errors_closed"] == 1
    assert (sample["unanswered"] == 60) if threads == "2" else sample["unanswered"] >= 1


def test_a_hang_before_the_end_is_seen():
    """All that was due until the server went away was waited for."""
    def echo(connection, _):
        for _ in range(20):
            connection.sendall(connection.recv(65536))
        time.sleep(0.5)

    with python_server(echo) as port:
        sample = sample_of(*load(port, "-c", "1", "--rate", "400", "--arrivals", "fixed",
                                 short=("-d", "5s", "--warmup", "0")), status=1)
    assert sample["requests"] == 20 and 150 < sample["unanswered"] < 400
    assert sample["p50_ns"] > 100e6


def test_who_answers_nothing_has_no_latency():
    with python_server(lambda connection, _: None) as port:
        sample = sample_of(*load(port, "--churn", "--rate", "200", "--warmup", "0"), status=1)
    assert sample["requests"] == 0 < sample["unanswered"] and "p50_ns" not in sample


def test_what_was_measured_before_stays(tmp_path):
    """A load that never began writes no file, and takes none away."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
    (tmp_path / "old").write_text("precious\n")
    for name in ("old", "new"):
        assert run(LOAD, "-p", port, "--hgrm", name, cwd=tmp_path).returncode == 1
    assert (tmp_path / "old").read_text() == "precious\n"
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("arguments", [(), ("--churn",), ("--rate", "1000")], ids=" ".join)
def test_server_that_goes_away(arguments, tmp_path):
    """One line, status 1, and the rows so far."""
    with server() as echo:
        process = start(LOAD, "-p", echo.port, "-d", "60s", "-o", "rows", *arguments, cwd=tmp_path)
        part = tmp_path / "rows.part"
        until(lambda: part.exists() and b'"row":"second"' in part.read_bytes(), "second")
        echo.kill()
        ended = finish(process)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1 and "went away" in ended.stderr
    rows = parse((tmp_path / "rows").read_text())
    sample = kind(rows, "sample")[0]
    assert sample["requests"] > 0 and sample["errors"] > 0
    assert rows[-1]["row"] == "end" and rows[-1]["controls_held"] is False


def test_server_that_stops_answering():
    """The run ends all the same, and says what is missing."""
    with server() as echo:
        process = start(LOAD, "-p", echo.port, "-c", "3", "-d", "1s", "-o", "-")
        time.sleep(0.2)
        echo.send_signal(signal.SIGSTOP)
        ended = finish(process)
    sample = sample_of(ended, parse(ended.stdout))
    assert (sample["unanswered"], sample["errors"]) == (3, 0)


def test_late_sends_are_the_generators_own():
    """It is stopped once: what was due meanwhile is sent late, with all connections free."""
    with server() as echo:
        process = start(LOAD, "-p", echo.port, "--warmup", "0", "-d", "3s", "--rate", "200", "--arrivals", "fixed",
                        "-o", "-")
        while '"second"' not in process.stdout.readline():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGCONT)
        ended = finish(process)
        sample = sample_of(ended, parse(ended.stdout))
    assert sample["late_sends"] >= 90 and sample["late_ns"] >= 90 * 0.2e9


def test_without_a_port_it_ends(tmp_path):
    """In a network of its own with four ports, each taken for a minute by what was closed."""
    few = "{ ip link set lo up && echo 40000 40003 >/proc/sys/net/ipv4/ip_local_port_range; } || exit 0"
    serve = f"{SERVER} --bind ::1 --port 7000 & trap 'kill $!' EXIT"
    ask = f"until [ -e rows ]; do {LOAD} --host ::1 --port 7000 -c 1 --warmup 0 -d 1s --churn -o rows; done"
    ended = run("unshare", "--net", "--map-root-user", "sh", "-c", f"{few}; {serve}; {ask}", cwd=tmp_path)
    if not (tmp_path / "rows").exists():
        pytest.skip(f"no network of its own: {ended.stderr}")
    rows = parse((tmp_path / "rows").read_text())
    sample, = kind(rows, "sample")
    assert (sample["errors_no_port"], sample["open_connections"]) == (1, 0) and rows[-1]["controls_held"] is False
    assert "no port is left" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(number, tmp_path):
    with server() as echo:
        process = start(LOAD, "-p", echo.port, "-d", "60s", "-o", "rows", "--processes", "2",
                        cwd=tmp_path)
        part = tmp_path / "rows.part"
        until(lambda: part.exists() and b'"row":"second"' in part.read_bytes(), "second")
        os.killpg(process.pid, number)  # as a terminal does: all processes get it
        ended = finish(process)
        assert not left_behind(process)
    assert (ended.returncode, ended.stderr) == (-number, "")
    assert "answered" in ended.stdout
    rows = parse((tmp_path / "rows").read_text())
    assert kind(rows, "sample")[0]["requests"] > 0
    assert (rows[-1]["interrupted"], rows[-1]["controls_held"]) == (number.name, None)


@pytest.mark.parametrize("phase", ["--ramp", "--warmup"])
def test_interrupted_before_it_measures(phase, tmp_path):
    with server() as echo:
        process = start(LOAD, "-p", echo.port, phase, "60s", "-o", "rows", cwd=tmp_path)
        until((tmp_path / "rows.part").exists, "rows")
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        ended = finish(process)
        assert not left_behind(process)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")
    assert [path.name for path in tmp_path.iterdir()] == (["rows"] if phase == "--warmup" else [])


@pytest.mark.parametrize("phase", ["warm-up", "window"])
def test_a_process_of_the_load_that_is_killed(phase, tmp_path):
    """The others are not waited for, as they wait for it."""
    warmup, row = ("60s", b'"row":"run"') if phase == "warm-up" else ("100", b'"row":"second"')
    with server() as echo:
        process = start(LOAD, "-p", echo.port, "-d", "60s", "--warmup", warmup, "-o", "rows", "--processes", "2",
                        cwd=tmp_path)
        part = tmp_path / "rows.part"
        until(lambda: part.exists() and row in part.read_bytes(), phase)
        os.kill(max(set(session(process.pid)) - {process.pid}), signal.SIGKILL)
        ended = finish(process)
        assert not left_behind(process)
    assert (ended.returncode, ended.stderr) == (2, "echo-load: a process of the load was killed by signal 9\n")
    assert parse((tmp_path / "rows").read_text())[-1]["controls_held"] is False


@pytest.mark.parametrize("arguments", [(), ("-o", "-"), ("-o", "/dev/full"),
                                       ("--hgrm", "/dev/full")], ids=" ".join)
def test_full_disk(arguments):
    with server() as echo, open("/dev/full", "w", encoding="utf-8") as full:
        ended = run(LOAD, "-p", echo.port, *SHORT, *arguments, stdout=full)
    assert ended.returncode == 2
    assert "No space left" in ended.stderr.splitlines()[-1]


def test_latencies_are_whole_or_as_they_were(tmp_path):
    """Nothing stands under their name before all of it does."""
    (tmp_path / "hgrm").write_text("precious\n")
    with server() as echo:
        process = start(LOAD, "-p", echo.port, "-d", "60s", "--hgrm", "hgrm", cwd=tmp_path)
        until((tmp_path / "hgrm.part").exists, "part")
        assert (tmp_path / "hgrm").read_text() == "precious\n"
        process.send_signal(signal.SIGKILL)
        finish(process)
    assert (tmp_path / "hgrm").read_text() == "precious\n"


def test_killed_it_leaves_no_process():
    with server() as echo:
        process = start(LOAD, "-p", echo.port, "-d", "60s", "--processes", "2")
        time.sleep(0.2)
        process.kill()
        finish(process)
        assert not left_behind(process)


# --- what each loop sees of a pause ---------------------------------------------------------------

PAUSE_S, RUN_S = 0.2, 2.0


def with_a_pause(*arguments):
    """A run whose server is stopped once: the sample, and how long it was so at least, in ns."""
    with server() as echo:
        process = start(LOAD, "-p", echo.port, "--warmup", "200ms", "-d", f"{RUN_S:.0f}s", "-o", "-",
                        *arguments)
        time.sleep(1)
        echo.send_signal(signal.SIGSTOP)
        begin = time.monotonic_ns()
        time.sleep(PAUSE_S)
        paused = time.monotonic_ns() - begin  # at least
        echo.send_signal(signal.SIGCONT)
        ended = finish(process)
    sample = sample_of(ended, parse(ended.stdout))
    assert_right(sample)
    return sample, paused


def ideal_quantile(q, rate, paused_ns):
    """What an observer would see who asks at fixed times and is answered at once but in the pause."""
    arrivals = [k * 1e9 / rate for k in range(int(RUN_S * rate))]
    pause = (0.8e9, 0.8e9 + paused_ns)
    waits = sorted(pause[1] - due if pause[0] <= due < pause[1] else 0 for due in arrivals)
    return waits[int(q * len(waits))]


def test_the_open_loop_sees_a_pause():
    sample, paused = with_a_pause("--rate", "1000", "--arrivals", "fixed")
    assert sample["requests"] == 1000 * RUN_S
    ideal = ideal_quantile(0.99, 1000, paused)
    assert ideal > 0.5 * paused
    # a busy machine adds to a pause, but takes nothing from it
    assert 0.95 * ideal < sample["p99_ns"] < 1.05 * ideal + 50e6
    assert sample["max_ns"] > 0.98 * paused


def test_the_closed_loop_does_not():
    """Its maximum knows of the pause, its p99 does not: four requests were slow, of thousands."""
    sample, paused = with_a_pause("-c", "4")
    assert sample["max_ns"] > 0.98 * paused
    assert sample["p99_ns"] < 0.1 * paused
