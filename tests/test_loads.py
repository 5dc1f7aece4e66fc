# SPDX-License-Identifier: MIT
"""Generators of several hosts: they begin together, their rows add up exactly, and each one's own limit is named."""
import collections
import contextlib
import json
import os
import random
import select
import signal
import socket
import time

import pytest
from echo import Server
from hosts import hosts, needs_hosts
from program import BUILD, ROOT, busy_loops, environment, finish, kind, left_behind, parse, run, start, until

LOAD = BUILD / "echo" / "echo-load"
SHORT = ("--duration", "300ms", "--warmup", "50ms")
RECIPE = (ROOT / "docs" / "loads.md").read_text(encoding="utf-8")


@contextlib.contextmanager
def barrier(generators, *arguments):
    """A barrier's process and where it is: HOST:PORT."""
    process = start(LOAD, "--serve", str(generators), "--barrier", "127.0.0.1:0", *arguments)
    try:
        process.at = process.stdout.readline().split()[-1]
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def generator(echo, at, path, *arguments, short=SHORT):
    return start(LOAD, "--port", str(echo.address[1]), "--barrier", at, "--output", path, *short, *arguments)


def together(folder, *each, short=SHORT):
    """The files of generators with these arguments, which began together."""
    paths = [folder / f"{i}.jsonl" for i in range(len(each))]
    with Server() as echo, barrier(len(each)) as served:
        all_ended = [finish(process) for process in [generator(echo, served.at, path, *arguments, short=short)
                                                     for path, arguments in zip(paths, each)]]
        assert [(ended.returncode, ended.stderr) for ended in all_ended] == [(0, "")] * len(each)
        assert finish(served).returncode == 0
    return paths


def rows_of(path):
    return parse(path.read_text(encoding="utf-8"))


def merge(*paths):
    """The merged rows, and the text."""
    ended = run(LOAD, "--merge", *paths, "--output", "-")
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout), ended.stderr


def assert_refused(ended, *words):
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended
    assert all(word in ended.stderr for word in words), ended.stderr


def latencies(rows):
    row, = kind(rows, "histogram")
    return collections.Counter(dict(zip(row["low_ns"], row["counts"])))


def limit_by_rule(row):
    """As results/README.md has it."""
    window, ready = row["elapsed_ns"], row["thread_ready_ns"]
    if row["errors_no_port"]:
        return "ports"
    if (row["thread_cpu_ns"] + ready >= 0.9 * window or ready >= 0.5 * window
            or row["window_cpu_ns"] >= 0.9 * window * row["cpus"]):
        return "cpu"
    return "late" if row["late_sends"] and row["late_sends"] >= 0.1 * (row["requests"] + row["unanswered"]) else "none"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two generators' files, of unlike loads."""
    return together(tmp_path_factory.mktemp("pair"), ("--connections", "3"), ("--connections", "5", "--threads", "2"))


# --- what is merged -------------------------------------------------------------------------------

def test_the_merged_rows_are_the_sum(pair):
    """To the last count, as if one generator had measured all."""
    parts = [rows_of(path) for path in pair]
    merged, text = merge(*pair)
    assert [row["row"] for row in merged] == ["run", "sample", "histogram", "generator", "generator", "end"]
    assert latencies(merged) == latencies(parts[0]) + latencies(parts[1])
    samples = [kind(rows, "sample")[0] for rows in parts]
    sample, = kind(merged, "sample")
    for name in ("requests", "unanswered", "in_window", "bytes", "served_connections", "cpu_ns", "window_cpu_ns",
                 "errors", "errors_wrong", "wrong_bytes", "late_sends", "late_ns"):
        assert sample[name] == sum(one[name] for one in samples), name
    for name in ("elapsed_ns", "max_ns"):
        assert sample[name] == max(one[name] for one in samples)
    rate = sample["in_window"] / sample["elapsed_ns"]
    assert rate == pytest.approx(sum(one["in_window"] for one in samples) / max(one["elapsed_ns"] for one in samples))
    assert merged[0]["params"]["connections"] == 8 and merged[0]["params"]["generators"] == 2
    assert merged[-1]["controls_held"] is True
    assert not [line for line in text.splitlines() if len(line) > 80 and str(pair[0].parent) not in line]


def test_the_quantiles_are_of_all(pair):
    merged, _ = merge(*pair)
    sample, = kind(merged, "sample")
    values = sorted(latencies(merged).elements())
    for name, q in (("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99)):
        low = values[-int(-q * len(values) // 1) - 1]
        assert low <= sample[name] <= low * 129 / 128


def test_each_generator_has_a_row(pair):
    merged, text = merge(*pair)
    for path, row in zip(pair, kind(merged, "generator")):
        rows = rows_of(path)
        assert row["name"] == str(path) and f"  {path}\n" in text
        assert {**kind(rows, "sample")[0], "row": "generator"}.items() <= row.items()
        assert row["run"] == rows[0] and row["limit"] == limit_by_rule(row)


def test_the_windows_overlap(pair):
    """By the barrier's clock alone, which all generators have recorded."""
    parts = [rows_of(path) for path in pair]
    met = [kind(rows, "barrier")[0] for rows in parts]
    assert {row["generator"] for row in met} == {0, 1} and {row["generators"] for row in met} == {2}
    assert met[0]["id"] == met[1]["id"] and met[0]["began_within_ns"] == met[1]["began_within_ns"] > 0
    begins = [kind(rows, "sample")[0]["begin_ns"] for rows in parts]  # of one clock, here
    assert abs(begins[0] - begins[1]) <= met[0]["began_within_ns"]
    sample, = kind(merge(*pair)[0], "sample")
    shortest = min(kind(rows, "sample")[0]["elapsed_ns"] for rows in parts)
    assert sample["overlap_ns"] == max(0, shortest - met[0]["began_within_ns"])


def test_fixed_arrivals_add_up(tmp_path):
    paths = together(tmp_path, *[("--rate", "1000", "--arrivals", "fixed")] * 3)
    merged, text = merge(*paths)
    sample, = kind(merged, "sample")
    assert sample["requests"] + sample["unanswered"] == 3 * 1000 * 0.3
    assert "open loop, 3,000 requests/s (fixed)" in text


def test_turns_add_up(tmp_path):
    """Of one generator many take turns, of the other one all go on; what is of one machine stays in its own row."""
    merged, text = merge(*together(tmp_path, ("--connections", "1000", "--at-once", "3"), ("--connections", "4")))
    sample, = kind(merged, "sample")
    assert sample["served_connections"] == sample["open_connections"] == 1004
    assert merged[0]["params"]["at_once"] == 7
    of_machine = {"begin_ns", "open_ns", "rss_bytes", "kernel_grown_bytes", "kernel_grown_sockets", "taken_bytes",
                  "tracked_connections"}
    assert not of_machine & set(sample) and "memory" not in text
    for row in kind(merged, "generator"):
        assert of_machine <= set(row) and row["open_ns"] > 0 and row["rss_bytes"] > 0


def test_generators_do_not_send_at_the_same_times(tmp_path):
    """With one seed for all, as their commands are the same."""
    samples = [kind(rows_of(path), "sample")[0] for path in together(tmp_path, *[("--rate", "2000")] * 2)]
    assert len({sample["requests"] + sample["unanswered"] for sample in samples}) == 2


# --- whose limit it was ---------------------------------------------------------------------------

def test_a_generator_without_cpu_time_is_named(tmp_path):
    """It shall send more than it can, on a CPU that others want; the other one asks once."""
    cpu = min(os.sched_getaffinity(0))
    paths = [tmp_path / "slow", tmp_path / "idle"]
    how = ("--pipeline", "1024", "--arrivals", "fixed")
    with busy_loops(3, cpu), Server() as echo, barrier(2) as served:
        slow = generator(echo, served.at, paths[0], "--rate", "10M", *how)
        os.sched_setaffinity(slow.pid, {cpu})
        idle = generator(echo, served.at, paths[1], "--rate", "1", "--connections", "1", *how)
        assert [finish(slow).returncode, finish(idle).returncode] == [0, 0]
    merged, text = merge(*paths)
    rows = kind(merged, "generator")
    assert [row["limit"] for row in rows] == [limit_by_rule(row) for row in rows]
    assert rows[0]["limit"] in ("cpu", "late")
    assert "reached a limit of their own" in text


def test_a_generator_that_was_stopped_is_named(tmp_path):
    """For a part of its window: what was due meanwhile was sent late."""
    paths = [tmp_path / "stopped", tmp_path / "other"]
    with Server() as echo, barrier(2) as served:
        both = [generator(echo, served.at, "-" if path == paths[0] else path, "--rate", "50", "--arrivals", "fixed",
                          short=("--duration", "3s", "--warmup", "0")) for path in paths]
        shown = []
        while '"second"' not in (shown or [""])[-1]:
            shown.append(both[0].stdout.readline())
            assert both[0].poll() is None
        os.killpg(both[0].pid, signal.SIGSTOP)
        time.sleep(1)
        os.killpg(both[0].pid, signal.SIGCONT)
        ended = [finish(process) for process in both]
    assert [one.returncode for one in ended] == [0, 0]
    paths[0].write_text("".join(shown) + ended[0].stdout)
    rows = kind(merge(*paths)[0], "generator")
    assert rows[0]["limit"] == limit_by_rule(rows[0]) != "none" and rows[0]["late_sends"] >= 40
    assert rows[1]["limit"] == limit_by_rule(rows[1])


def changed(path, target, **kinds):
    """A copy of a file, with other values in its rows of these kinds; None takes the key, () the row."""
    rows = [row for row in rows_of(path) if kinds.get(row["row"], 1) != ()]
    for row in rows:
        row.update(kinds.get(row["row"], {}))
        for key in [key for key, value in row.items() if value is None and key != "interrupted"]:
            del row[key]
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return target


CALM = {"thread_cpu_ns": 0, "thread_ready_ns": 0, "window_cpu_ns": 0, "late_sends": 0}


@pytest.mark.parametrize("change, limit, words", [
    ({}, "none", "no generator reached a limit of its own"),
    ({"thread_cpu_ns": 10**12}, "cpu", "1 of 2 generators reached a limit"),
    ({"thread_ready_ns": 10**12}, "cpu", "waited for a CPU"),
    ({"window_cpu_ns": 10**12}, "cpu", "its CPU was the limit"),
    ({"late_sends": 10**9}, "late", "sent more than 1.00 ms late"),
    ({"errors_no_port": 1, "errors": 1}, "ports", "none was left"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_limits(change, limit, words, pair, tmp_path):
    """One generator's, while the other had none."""
    calm = changed(pair[0], tmp_path / "calm", sample=CALM)
    other = changed(pair[1], tmp_path / "other", sample={**CALM, **change})
    ended = run(LOAD, "--merge", calm, other, "--output", "-")
    assert ended.returncode == (1 if "errors" in change else 0)
    assert [row["limit"] for row in kind(parse(ended.stdout), "generator")] == ["none", limit]
    assert words in " ".join(ended.stderr.split())


def test_little_overlap_is_said(pair, tmp_path):
    late = [changed(path, tmp_path / path.name, barrier={"began_within_ns": 10**12}) for path in pair]
    merged, text = merge(*late)
    assert kind(merged, "sample")[0]["overlap_ns"] == 0 and "the windows overlapped too little" in text


def test_a_control_that_failed_stays_one(pair, tmp_path):
    failed = changed(pair[1], tmp_path / "failed", end={"controls_held": False})
    ended = run(LOAD, "--merge", pair[0], failed, "--output", "-")
    assert ended.returncode == 1 and parse(ended.stdout)[-1]["controls_held"] is False


# --- what is refused ------------------------------------------------------------------------------

@pytest.mark.parametrize("change, word", [
    ({"run": {"version": "0.0.1"}}, "version"), ({"run": {"commit": "0"}}, "commit"),
    ({"run": {"schema": 1}}, "schema"),
    ({"run": {"experiment": "waits"}}, "echo-load"), ({"run": {"params": []}}, "params"), ({"run": ()}, "run"),
    ({"barrier": ()}, "--barrier"), ({"barrier": {"id": "another"}}, "same barrier"),
    ({"barrier": {"id": 1}}, "barrier"),
    ({"barrier": {"generator": 0}}, "same generator"), ({"barrier": {"generator": -1}}, "barrier"),
    ({"barrier": {"generators": 1}}, "barrier"), ({"barrier": {"began_within_ns": -1}}, "barrier"),
    ({"histogram": ()}, "histogram"), ({"histogram": {"max_ns": None}}, "histogram"),
    ({"histogram": {"counts": []}}, "histogram"),
    ({"histogram": {"low_ns": [1], "counts": [1], "max_ns": 1}}, "requests"),
    ({"sample": ()}, "sample"), ({"sample": {"requests": 1}}, "requests"),
    ({"sample": {"in_window": 1 << 52}}, "in_window"),
    ({"sample": {"bytes": -1}}, "bytes"), ({"sample": {"bytes": "1"}}, "bytes"), ({"sample": {"bytes": 1.5}}, "bytes"),
    ({"sample": {"bytes": 1 << 60}}, "bytes"), ({"sample": {"errors": 7}}, "errors"),
    ({"sample": {"elapsed_ns": 0}}, "elapsed_ns"), ({"sample": {"cpus": None}}, "cpus"),
    ({"end": ()}, "end"), ({"end": {"interrupted": "SIGINT"}}, "interrupted"), ({"run": {"row": 1}}, "line 1"),
], ids=lambda value: json.dumps(value) if isinstance(value, dict) else value)
def test_rows_that_are_not_right(change, word, pair, tmp_path):
    numbers = [kind(rows_of(path), "barrier")[0]["generator"] for path in pair]
    first, second = pair if numbers == [0, 1] else pair[::-1]
    wrong = changed(second, tmp_path / "wrong", **change)
    ended = run(LOAD, "--merge", first, wrong, "--output", tmp_path / "merged")
    assert_refused(ended, word)
    assert ended.stdout == "" and not (tmp_path / "merged").exists()


@pytest.mark.parametrize("name, value", [
    ("size", "65"), ("pipeline", 2), ("churn", True), ("rate", 5), ("host", "a\nb"), ("host", 1), ("connections", -1),
    ("threads", "1"), ("port", 1 << 40), ("duration_ms", 1)])
def test_loads_that_differ(name, value, pair, tmp_path):
    params = {**rows_of(pair[1])[0]["params"], name: value}
    wrong = changed(pair[1], tmp_path / "wrong", run={"params": params})
    assert_refused(run(LOAD, "--merge", pair[0], wrong), "open_loop" if name == "rate" else name)


@pytest.mark.parametrize("text", [
    "", "\n", "{}\n", "[]\n", "null\n", "\0\n", "\x1b[31m\n", '{"row":"run"', "[" * 100000,
    '{"row":"run","row":"run"}\n', '{"row":"\ud800"}\n',
], ids=["empty", "line", "object", "list", "null", "zero", "escape", "cut", "deep", "twice", "half"])
def test_files_that_are_none(text, pair, tmp_path):
    (tmp_path / "wrong").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert_refused(run(LOAD, "--merge", pair[0], tmp_path / "wrong"), str(tmp_path / "wrong"))


def test_truncated_files(pair, tmp_path):
    """Cut anywhere."""
    whole = pair[1].read_bytes().rstrip(b"\n")
    for k in range(12):
        (tmp_path / "cut").write_bytes(whole[:len(whole) * k // 12])
        assert_refused(run(LOAD, "--merge", pair[0], tmp_path / "cut"), "cut")


def test_any_damage(pair, tmp_path):
    """A byte is another one: it does not matter, or is refused."""
    whole = pair[1].read_bytes()
    for seed in range(30):
        rng = random.Random(seed)
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] = rng.randrange(256)
        (tmp_path / "wrong").write_bytes(damaged)
        ended = run(LOAD, "--merge", pair[0], tmp_path / "wrong")
        assert ended.returncode == 0 and ended.stderr == "" or ended.returncode == 2, ended
        if ended.returncode:
            assert_refused(ended, "wrong")


def test_other_files(pair, tmp_path):
    for paths, word in (((pair[0],), "one of 2 generators"), ((pair[0], pair[0]), "same generator"), ((), "0 files"),
                        ((pair[0], tmp_path), str(tmp_path)), ((pair[0], tmp_path / "none"), "none"),
                        ((pair[0], "a\nb"), "line break")):
        assert_refused(run(LOAD, "--merge", *paths), word)
    merged = tmp_path / "merged"
    assert run(LOAD, "--merge", *pair, "--output", merged).returncode == 0
    assert_refused(run(LOAD, "--merge", merged), "--barrier")


# --- the barrier ----------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, word", [
    (("--serve", "2"), "--barrier"), (("--barrier", "127.0.0.1"), "HOST:PORT"), (("--barrier", "::1:7"), "[ADDRESS]"),
    (("--merge", "--serve", "2"), "--serve"), (("--merge", "--barrier", "127.0.0.1:7"), "--barrier"),
    (("--serve", "1001", "--barrier", ":0"), "--serve"),
], ids=" ".join)
def test_wrong_usage(arguments, word):
    assert_refused(run(LOAD, *arguments), word)


def test_one_never_comes(tmp_path):
    """Within the time all know: status 2, a line each, no rows."""
    with Server() as echo, barrier(2, "--wait", "1s") as served:
        alone = generator(echo, served.at, tmp_path / "rows")
        assert_refused(finish(served), "1 of 2 generators came within 1.00 s")
        assert_refused(finish(alone), served.at)
        assert not left_behind(alone)
    assert not list(tmp_path.iterdir())


def test_a_generator_does_not_wait_for_longer(tmp_path):
    with Server() as echo, barrier(2) as served:
        assert_refused(finish(generator(echo, served.at, tmp_path / "rows", "--wait", "300ms")), "within 300 ms")
        assert served.poll() is None  # another one may come


def test_nobody_serves(tmp_path):
    with Server() as echo:
        with socket.create_server(("127.0.0.1", 0)) as free:
            at = f"127.0.0.1:{free.getsockname()[1]}"
        assert_refused(finish(generator(echo, at, tmp_path / "rows", "--wait", "200ms")), at, "refused")


def test_generators_that_differ(tmp_path):
    with Server() as echo, barrier(2) as served:
        both = [generator(echo, served.at, tmp_path / size, "--size", size) for size in ("64", "65")]
        assert_refused(finish(served), "size", '"64"', '"65"')
        for process in both:
            assert_refused(finish(process), served.at)
    assert not list(tmp_path.iterdir())


def test_a_generator_that_is_killed_may_come_again(tmp_path):
    """Before all have come; and who says something else is none."""
    with Server() as echo, barrier(2) as served:
        host, port = served.at.split(":")
        killed = generator(echo, served.at, tmp_path / "killed", "--wait", "50s")
        time.sleep(0.3)
        killed.kill()
        finish(killed)
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert stranger.recv(1) == b""
        both = [generator(echo, served.at, tmp_path / name) for name in "ab"]
        assert [finish(process).returncode for process in (*both, served)] == [0, 0, 0]


@pytest.mark.parametrize("answer", [
    b"\n", b"{}\n", b"[]\n", b'{"barrier":"1","generator":2,"generators":2,"since_ns":0}\n',
    b'{"barrier":"%s","generator":0,"generators":2,"since_ns":0}\n' % (b"1" * 50), b"x" * 100000,
], ids=["line", "object", "list", "number", "long", "endless"])
def test_what_is_no_barrier(answer, tmp_path):
    with Server() as echo, socket.create_server(("127.0.0.1", 0)) as listener:
        process = generator(echo, f"127.0.0.1:{listener.getsockname()[1]}", tmp_path / "rows")
        with listener.accept()[0] as peer:
            peer.recv(65536)
            with contextlib.suppress(OSError):
                peer.sendall(answer)
            assert_refused(finish(process), "is no barrier")


def test_one_leaves_in_between(tmp_path):
    """After all have come nobody takes its place: the barrier ends, and so do the others."""
    with Server() as echo, socket.create_server(("127.0.0.1", 0)) as listener:
        asked = generator(echo, f"127.0.0.1:{listener.getsockname()[1]}", tmp_path / "asked")
        with listener.accept()[0] as peer:
            said = json.loads(peer.recv(65536))
        assert_refused(finish(asked), "ended")
    with Server() as echo, barrier(2) as served:
        host, port = served.at.split(":")
        other = generator(echo, served.at, tmp_path / "other")
        with socket.create_connection((host, int(port))) as peer:
            peer.sendall(json.dumps({**said, "port": echo.address[1]}).encode() + b"\n")
            peer.recv(65536)
        assert_refused(finish(served), "a generator left before all warmed up")
        assert_refused(finish(other), served.at)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_it_waits(number, tmp_path):
    with Server() as echo, barrier(2) as served:
        process = generator(echo, served.at, tmp_path / "rows")
        time.sleep(0.3)
        os.killpg(process.pid, number)
        assert finish(process).returncode == -number and not left_behind(process)
        served.send_signal(number)
        assert finish(served).returncode == -number
    assert not list(tmp_path.iterdir())


def test_interrupted_in_a_long_warm_up(tmp_path):
    """Of connections that take turns, at a server that does not answer: it goes, and does not wait for the others."""
    with socket.create_server(("127.0.0.1", 0)) as silent, barrier(2) as served:
        both = [start(LOAD, "--port", str(silent.getsockname()[1]), "--barrier", served.at, "--output", tmp_path / name,
                      "--connections", "2", "--at-once", "1", "--warmup", "1ms") for name in "ab"]
        with contextlib.ExitStack() as stack:
            asked = [stack.enter_context(silent.accept()[0]) for _ in range(4)]
            until(lambda: len(select.select(asked, [], [], 0)[0]) == 2, "warm-up of both")
            os.killpg(both[0].pid, signal.SIGINT)
            assert finish(both[0]).returncode == -signal.SIGINT and not left_behind(both[0])
            assert_refused(finish(served), "a generator left before all warmed up")
            both[1].kill()
            finish(both[1])


# --- two hosts ------------------------------------------------------------------------------------

@needs_hosts
def test_two_hosts(tmp_path):
    """By the commands of the document."""
    commands = [line.strip() for line in RECIPE.splitlines() if line.startswith("    ")]
    served, asked, merged = (next(line for line in commands if word in line)
                             for word in ("--serve", "parallel", "--merge"))
    with Server() as echo, hosts(tmp_path), socket.create_server(("127.0.0.1", 0)) as free:
        at = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()

        def here(command):
            for old, new in (("192.0.2.1:7001", at), ("192.0.2.1", "127.0.0.1"), ("7000", str(echo.address[1])),
                             ("build/", f"{BUILD}/"), ("cd stallrace", "cd /"), ("10s", "1s"),
                             ("ssh {1}", f"ssh -F {tmp_path}/ssh {{1}}")):
                command = command.replace(old, new)
            return start("sh", "-c", f"exec {command}", cwd=tmp_path, env=environment(HOME=str(tmp_path)))

        both = [here(served), here(asked)]
        assert [finish(process).returncode for process in both] == [0, 0]
        ended = finish(here(merged))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "loads/one.jsonl" in ended.stdout and "loads/two.jsonl" in ended.stdout
