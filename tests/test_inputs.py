# SPDX-License-Identifier: MIT
"""Inputs of which one program's verdict once was wrong: each stands for a kind that all may meet.

On a busy machine a program that measures time may say unclear instead: never the wrong verdict.
"""
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from program import BUILD, kind, parse, quick_rows, run, verdicts

CGROUPS = Path("/sys/fs/cgroup/cpu")


def words(*command):
    """The verdicts of a run, and what it told people."""
    ended = run(*command, "-o", "-")
    assert ended.returncode in (0, 77), ended
    return verdicts(parse(ended.stdout)), ended.stderr


def program(name):
    path = BUILD / name
    if not path.exists():
        pytest.skip(f"{name} is not built")
    return path


def test_hardly_an_update():
    """Whether the loop is there is told from the code; exact ends are counted, nearly all of 40 (beside others one may lose)."""
    said, text = words(program("race/counter"), "-n", "10", "--trials", "20")
    assert said["race-zero-is-safe"] == "refuted" and said["race-mutex-fixes"] == "unclear"
    assert "kept the loop" not in text or os.environ.get("SAN")  # whose checks keep it


def test_one_update_of_each_interpreter():
    said, _ = words(program("gil/cpython"), "-n", "1", "--trials", "8", "--places", "1")
    assert set(said.values()) <= {"not-seen", "skipped"}


def test_a_share_of_next_to_no_time():
    """Other programs never used more than all CPUs."""
    rows = quick_rows(program("race/interleavings"), "-n", "10")
    for row in kind(rows, "disturbance"):
        assert row.get("foreign_ns", 0) <= row["wall_ns"] * os.cpu_count()


def test_a_buffer_smaller_than_a_segment():
    """What send copied is what the queues hold, also where the first call blocks."""
    said, _ = words(program("buffers/stall"), "--quick", "--variants", "sleep", "--sndbuf", "4608",
                    "--rcvbuf", "4608")
    assert said["buf-send-copies"] == "holds"


def test_looks_that_are_too_rare():
    said, _ = words(program("buffers/stall"), "--quick", "--variants", "sleep", "--sample-us",
                    "1000000")
    assert said["buf-send-blocks-full"] == "unclear"


def test_no_variants_figures_in_the_header():
    """Each variant has buffers of its own, in its rows; the header is the same for every order."""
    heads = {words(program("buffers/stall"), "--quick", "--trials", "1", "--variants",
                   "sleep,slow", "--seed", seed)[1].partition("\n\n")[0].partition("\n")[2]
             for seed in ("1", "2", "42")}
    assert len(heads) == 1


def test_a_datagram_beyond_a_buffer():
    """It is a row that says so, and the table has all the others."""
    rows = quick_rows(program("buffers/fill"), "--datagram", "8161")
    refused = [sample for sample in kind(rows, "sample") if sample["refused_errno"]]
    assert refused and len(kind(rows, "sample")) == len(rows[0]["variants"])
    assert all(sample["write_bytes"] == 8161 for sample in refused)
    assert verdicts(rows)["buf-fifo"] == "holds"


# --- settings of the kernel's ---------------------------------------------------------------------

def in_network(setup, *command):
    """The words of a program in a network namespace of its own, after a shell's commands there."""
    for tool in ("unshare", "ip"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool}")
    script = f"ip link set lo up && {setup} || exit 88; exec \"$@\""
    ended = run("unshare", "-n", "sh", "-c", script, "sh", *command, "-o", "-")
    if ended.returncode in (88, 1) and not ended.stdout:
        pytest.skip(f"no such network can be made here: {ended.stderr.strip()}")
    return ended


def test_a_route_without_delayed_acknowledgements():
    """The phenomenon is not there; and the control, which is of another thing, holds."""
    ended = in_network("ip route change local 127.0.0.1 dev lo table local quickack 1",
                       program("tcp/nagle"), "--quick")
    assert ended.returncode == 0, ended
    assert verdicts(parse(ended.stdout))["tcp-nagle"] in ("not-seen", "unclear")


@pytest.mark.parametrize("name", ["grow", "window"])
def test_buffers_that_cannot_grow(name):
    """The mechanism that is told is of the verdict that was found."""
    size = "4096 4096 4096"
    ended = in_network(f"echo {size} > /proc/sys/net/ipv4/tcp_rmem && "
                       f"echo {size} > /proc/sys/net/ipv4/tcp_wmem",
                       program(f"buffers/{name}"), "--quick")
    assert ended.returncode in (0, 77), ended
    rows = parse(ended.stdout)
    ordinary = quick_rows(program(f"buffers/{name}"))
    word, = verdicts(rows).values()
    assert word in ("holds", "unclear")  # so they stay
    why, usual = ([row["text"] for row in kind(told, "why")] for told in (rows, ordinary))
    assert verdicts(rows) == verdicts(ordinary) or why != usual


# --- a quota --------------------------------------------------------------------------------------

@pytest.fixture
def quota():
    """The files of a cgroup that may use a fifth of a CPU."""
    folder = CGROUPS / f"stallrace-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup with a quota can be made: {error.strerror}")
    try:
        (folder / "cpu.cfs_period_us").write_text("100000")
        (folder / "cpu.cfs_quota_us").write_text("20000")
        yield folder
    finally:
        folder.rmdir()


@pytest.mark.parametrize("name", ["race/speedup", "race/switch", "echo/threads_cost"])
def test_a_quota_is_named(name, quota):
    """It is no other program's fault, and what it stopped decides nothing."""
    ended = subprocess.run(["sh", "-c", f'echo $$ > {quota}/cgroup.procs; exec "$@"', "sh",
                            program(name), "--quick", "--trials", "7", "-o", "-"],
                           capture_output=True, text=True)
    assert ended.returncode == 0, ended
    rows = parse(ended.stdout)
    assert rows[0]["cpu_quota_cpus"] == 0.2
    causes = {row["cause"] for row in kind(rows, "disturbance")}
    assert "quota" in causes and "quota 0.2" in ended.stderr
    assert "CPU quota of 0.2 CPUs" in " ".join(ended.stderr.split())
    assert set(verdicts(rows).values()) <= {"unclear", "skipped"}
