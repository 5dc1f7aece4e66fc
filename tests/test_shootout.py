# SPDX-License-Identifier: MIT
"""scripts/shootout with the real servers, for moments only: rows, controls, nothing left behind.

No test looks at a speed.
"""
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import time
from statistics import median

import pytest
from program import (BUILD, ROOT, environment, finish, kind, left_behind, options, parse, run,
                     start, until, verdicts)

NAMES = ("echo-server", "echo-load", "echo-limits")
pytestmark = pytest.mark.skipif(not all((BUILD / "echo" / name).exists() for name in NAMES),
                                reason="the echo programs are not built")
# The least of everything: two models, 1 and 2 connections, one round.
LEAST = ("--quick", "--models", "iterative,epoll", "--connections", "1,2", "--rounds", "1",
         "--duration", "50")


def copy(folder):
    """The script with a lock and results of its own, and a folder of programs to change."""
    for name in ("scripts/shootout", "scripts/shootout_report.py", "scripts/command.py",
                 "experiments/echo/peers"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copied = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copied(ROOT / name, folder / name)
    (folder / "build" / "echo").mkdir(parents=True)
    for name in NAMES:
        (folder / "build" / "echo" / name).symlink_to(BUILD / "echo" / name)
    return folder


@pytest.fixture
def tree(tmp_path):
    return copy(tmp_path)


def shootout(tree, *arguments):
    return run(tree / "scripts" / "shootout", tree / "build", *arguments, cwd=tree)


def begun(tree):
    """One that is under way: its first sample is there."""
    process = start(tree / "scripts" / "shootout", tree / "build", *LEAST[:-4], "--rounds", "50",
                    "-o", "rows.jsonl", cwd=tree)
    part = tree / "rows.jsonl.part"
    until(lambda: part.exists() and '"sample"' in part.read_text(), "sample")
    return process


def replaced(tree, name, text):
    """A program of the tree that is a script now; REAL is the one it was."""
    path = tree / "build" / "echo" / name
    path.unlink()
    path.write_text("#!/bin/sh\n" + text.replace("REAL", shlex.quote(str(BUILD / "echo" / name))))
    path.chmod(0o755)


@pytest.fixture(scope="module")
def least(tmp_path_factory):
    """What the least of runs prints and leaves."""
    folder = copy(tmp_path_factory.mktemp("shootout"))
    ended = shootout(folder, *LEAST, "-o", "rows.jsonl")
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    assert [path.name for path in folder.glob("rows*")] == ["rows.jsonl"]
    return ended.stdout, parse((folder / "rows.jsonl").read_text(encoding="utf-8"))


def test_the_rows_are_those_of_a_run(least):
    _, rows = least
    first, end = rows[0], rows[-1]
    assert (first["row"], first["schema"], first["experiment"], first["group"]) == (
        "run", 2, "shootout", "echo")
    assert {"utc", "kernel", "cpu_model", "compiler", "version"} <= set(first)
    assert first["params"]["connections"] == "1,2" and first["params"]["duration_ms"] == 50
    assert (end["row"], end["controls_held"], end["interrupted"]) == ("end", True, None)
    assert end["samples"] == len(kind(rows, "sample"))
    assert {"wall_ns", "own_cpu_ns", "machine_cpu_ns", "steal_ns"} <= set(end)


def test_every_run_is_a_sample(least):
    samples = kind(least[1], "sample")
    loaded = [(row["variant"], row["connections"], row["size_bytes"]) for row in samples
              if row["scenario"] == "loaded"]
    assert sorted(loaded) == [("epoll", 1, 64), ("epoll", 2, 64), ("iterative", 1, 64)]
    for row in samples:
        assert row.get("wrong_bytes", 0) == 0
        if row["scenario"] == "loaded":
            assert row["requests"] > 0 and row["elapsed_ns"] > 0
            assert {"p50_ns", "p999_ns", "server_cpu_ns", "load_cpu_ns", "voluntary_switches",
                    "involuntary_switches", "rss_bytes", "threads"} <= set(row)
    limits, = [row for row in samples if row["scenario"] == "limits"]
    assert limits["pingpong_requests"] > 0 and limits["bulk_requests"] > 0


def test_every_claim_has_one_verdict(least):
    out, rows = least
    found = verdicts(rows)
    assert list(found) == list(rows[0]["claims"]) and len(kind(rows, "verdict")) == len(found)
    assert set(found.values()) <= {"holds", "refuted", "depends", "not-seen", "skipped"}
    assert found["srv-iterative-waits"] == "holds"  # a contract: it serves one at a time
    assert found["srv-nm-efficient"] == found["srv-prefork"] == "skipped"
    for claim in found:
        assert claim in out


def test_ranks_follow_from_the_samples():
    """Of the reference run: a model ranks below those that are better in every round, by a tenth.

    It does not rank below those whose median is not better.
    """
    rows = parse((ROOT / "results/reference/shootout.jsonl").read_text(encoding="utf-8"))
    ranks = {row["variant"]: row for row in kind(rows, "rank")}
    loaded = [row for row in kind(rows, "sample") if row["scenario"] == "loaded"
              and (row["connections"], row["size_bytes"]) == (128, 64)]
    cpu = {model: [row["server_cpu_ns"] / row["requests"] / 1000 for row in loaded
                   if row["variant"] == model] for model in ranks}
    assert len(ranks) > 10 and {len(values) for values in cpu.values()} == {rows[0]["params"]["rounds"]}
    for model, row in ranks.items():
        surely = sum(max(theirs) < min(0.9 * min(cpu[model]), min(cpu[model]) - 0.1)
                     for theirs in cpu.values())
        perhaps = sum(median(theirs) < 0.9 * median(cpu[model]) for theirs in cpu.values())
        assert 1 + surely <= row["cpu_ns_rank"] <= 1 + perhaps, model
        assert row["rank_sum"] == (row["sleeps_rank"] + row["overlap_rank"] + row["threads_rank"]
                                   + (row["cpu_ns_rank"] + row["memory_bytes_rank"]) / 2)


def test_people_read_eighty_columns(least):
    out, _ = least
    assert max(map(len, out.splitlines())) <= 80
    assert out.splitlines()[0].startswith("shootout ")
    assert "left out: iterative" in out
    assert out.splitlines()[-1].endswith("rows.jsonl")


def test_people_without_utf_8_read_ascii(tree):
    ended = run(tree / "scripts" / "shootout", tree / "build", *LEAST, "-o", "/dev/null", cwd=tree,
                env=environment(LC_ALL="C"))
    assert ended.returncode == 0 and ended.stdout.isascii()


def test_the_order_is_of_the_seed(tree):
    orders = []
    for seed in ("1", "1", "2"):
        assert shootout(tree, *LEAST, "--seed", seed, "-o", "rows.jsonl").returncode == 0
        rows = parse((tree / "rows.jsonl").read_text())
        orders.append([(row["scenario"], row["variant"], row.get("connections"))
                       for row in kind(rows, "sample")])
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == sorted(orders[2])


def test_rows_go_to_the_results(tree):
    assert shootout(tree, *LEAST[:-6], "--connections", "1", *LEAST[-4:]).returncode == 0
    path, = (tree / "results" / "echo").iterdir()
    assert re.fullmatch(r"shootout-\d{8}T\d{6}Z\.jsonl", path.name)


def test_workers_are_as_many_as_connections(tree):
    """A pool of threads that each block in one connection would hang with fewer."""
    listed = run(BUILD / "echo" / "echo-server", "--list").stdout
    models = [name for name in ("pool", "prefork") if re.search(rf"^{name} ", listed, re.M)]
    if os.environ.get("SAN") == "thread":
        models = [name for name in models if name == "pool"]  # it has no forks with threads
    if not models:
        pytest.skip("neither pool nor prefork is built")
    ended = shootout(tree, *LEAST, "--models", ",".join(models), "--connections", "8",
                     "-o", "rows.jsonl")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_python_peers_are_measured(tree):
    ended = shootout(tree, *LEAST, "--models", "py-asyncio,epoll", "-o", "rows.jsonl")
    assert (ended.returncode, ended.stderr) == (0, "")
    variants = {row["variant"] for row in kind(parse((tree / "rows.jsonl").read_text()), "sample")}
    assert {"py-asyncio", "epoll"} <= variants


@pytest.mark.skipif(os.environ.get("SAN") == "thread", reason="it has no forks with threads")
def test_a_crowd_has_as_many_processes_as_it_needs(tree):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))

    ended = run(tree / "scripts" / "shootout", tree / "build", *LEAST, "--models", "epoll",
                "--crowd", "200", "-o", "rows.jsonl", cwd=tree, preexec_fn=few)
    assert (ended.returncode, ended.stderr) == (0, "")
    crowd, = [row for row in kind(parse((tree / "rows.jsonl").read_text()), "sample")
              if row["scenario"] == "crowd"]
    assert (crowd["connections"], crowd["processes"], crowd["errors"]) == (200, 1 + 3, 0)
    assert crowd["requests"] > 0 and crowd["unanswered"] == 0
    assert "200 connections at a time of epoll in 3 processes" in " ".join(ended.stdout.split())


# --- what goes wrong ------------------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_keeps_the_rows_and_ends_what_was_started(number, tree):
    process = begun(tree)
    process.send_signal(number)
    ended = finish(process)
    assert ended.returncode == -number
    rows = parse((tree / "rows.jsonl").read_text())
    assert rows[-1]["interrupted"] == number.name and rows[-1]["controls_held"] is None
    assert rows[-1]["samples"] == len(kind(rows, "sample")) > 0
    assert not list(tree.glob("*.part"))
    assert servers_of(tree) == []


def servers_of(tree):
    """Processes of programs below the tree that still run; each is in a session of its own."""
    def found():
        ours = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline") as file, open(f"/proc/{pid}/stat") as stat:
                    state = stat.read().rpartition(")")[2].split()[0]
                    if str(tree) in file.read() and state != "Z":
                        ours.append(pid)
            except OSError:
                continue
        return ours
    deadline = time.monotonic() + 5
    while found() and time.monotonic() < deadline:
        time.sleep(0.02)
    return found()


def test_rows_that_find_no_room(tree):
    ended = shootout(tree, *LEAST, "-o", "/dev/full")
    assert (ended.returncode, ended.stderr) == (2, "shootout: /dev/full: No space left on device\n")
    assert servers_of(tree) == []


def test_a_killed_script_leaves_no_server(tree):
    process = begun(tree)
    process.kill()
    finish(process)
    assert not (tree / "rows.jsonl").exists()  # only the .part
    assert left_behind(process) == [] and servers_of(tree) == []


@pytest.mark.parametrize("name, text, told", [
    ("echo-server", 'case "$*" in *epoll*) echo "it broke" >&2; exit 3;; esac\nexec REAL "$@"',
     "it broke"),
    ("echo-load", 'REAL "$@"\ncase "$*" in *" 2 "*) echo "it failed" >&2; exit 1; esac',
     "it failed"),
    ("echo-limits", 'REAL "$@" | sed "s/\\"wrong_bytes\\":0/\\"wrong_bytes\\":7/"',
     "7 wrong bytes"),
    ("echo-load", 'case "$*" in *" 2 "*) exit 0;; esac\nexec REAL "$@"',
     "echo-load ended with status 0"),
    ("echo-limits", "", "echo-limits ended with status 0"),
])
def test_a_run_that_fails_fails_the_shoot_out(name, text, told, tree):
    replaced(tree, name, text)
    ended = shootout(tree, *LEAST, "-o", "rows.jsonl")
    assert ended.returncode == 1
    assert "CONTROL FAILED" in ended.stdout and told in " ".join(ended.stdout.split())
    rows = parse((tree / "rows.jsonl").read_text())
    assert rows[-1]["controls_held"] is False
    assert any(told in row["text"] for row in kind(rows, "failure"))
    assert servers_of(tree) == []


@pytest.mark.parametrize("arguments", [
    ["--rounds", "0"], ["--duration", "1"], ["--crowd", "many"], ["--models", "nonsense"], ["--connections", "1,x"],
    ["--sizes", "0"], ["--cpus", "4000"], ["--nonsense"], ["more"],
    ["-o", "no/such/folder/rows.jsonl"]])
def test_bad_arguments(arguments, tree):
    ended = shootout(tree, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1 and ended.stderr.startswith("shootout: ")
    assert not list(tree.glob("rows*")) and not (tree / "results" / "echo").exists()


def test_nothing_is_built(tree):
    (tree / "build" / "echo" / "echo-server").unlink()
    ended = shootout(tree, *LEAST, "-o", "rows.jsonl")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "make builds it" in ended.stderr


# --- echo-limits ----------------------------------------------------------------------------------

def limits(*arguments):
    return run(BUILD / "echo" / "echo-limits", *arguments)


@pytest.mark.parametrize("size", [1, 64, 4096, 32768])
def test_the_limits_are_measured(size, tmp_path):
    ended = limits("--size", str(size), "--duration", "20", "-o", str(tmp_path / "rows.jsonl"))
    assert (ended.returncode, ended.stderr, len(ended.stdout.splitlines())) == (0, "", 1)
    row, = parse((tmp_path / "rows.jsonl").read_text())
    assert (row["size_bytes"], row["wrong_bytes"]) == (size, 0)
    for loop in ("pingpong", "bulk"):
        assert row[f"{loop}_requests"] > 0
        assert row[f"{loop}_elapsed_ns"] >= 20000000
    assert row["bulk_window"] >= 2


def test_the_limits_go_to_standard_output():
    ended = limits("--duration", "20", "-o", "-")
    assert json.loads(ended.stdout)["row"] == "limits"
    assert len(ended.stderr.splitlines()) == 1


def test_the_options_of_the_limits_are_checked():
    ended = limits("--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for option in options(ended.stdout):
        if option.is_number:
            for bad in (option.low - 1, option.high + 1, "x"):
                refused = limits(f"--{option.name}", str(bad))
                assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)


def test_an_interrupted_limit_leaves_nothing():
    process = start(BUILD / "echo" / "echo-limits", "--duration", "20000")
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert finish(process).returncode == -signal.SIGTERM
    assert left_behind(process) == []


# --- the charts -----------------------------------------------------------------------------------

def test_every_picture_is_drawn(least, tmp_path):
    plot = ROOT / "scripts" / "plot.py"
    if subprocess.run([ROOT / "scripts" / "python", "matplotlib,numpy"],
                      stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no python3 here has matplotlib")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in least[1]))
    ended = run(plot, "--out", tmp_path / "out", rows, env=environment())
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "shootout-costs.png", "shootout-latency.png", "shootout.png"]  # one model has no ranks
