# SPDX-License-Identifier: MIT
"""What is special to echo/crowd: sizes, numbers of connections, what descriptors allow."""
import os
import re
import resource
import signal

import pytest
from program import (BUILD, finish, kind, left_behind, open_files, parse, quick_rows, run, session, start, until,
                     verdict_of)

PROGRAM = BUILD / "echo" / "crowd"


def samples_of(rows, variant):
    return [sample for sample in kind(rows, "sample") if sample["variant"] == variant]


def test_every_size_and_number():
    rows = quick_rows(PROGRAM, "--first", "20", "--connections", "4", "--levels", "3", "--large", "1000",
                      "--crowd", "0")
    for variant in rows[0]["variants"]:
        counts = (1,) if variant == "iterative" else (1, 2, 4)
        sizes = (64,) if variant.startswith("py-") else (64, 1000)
        found = [(s["connections"], s["size_bytes"]) for s in samples_of(rows, variant)
                 if "connections" in s]
        if found:
            assert found == [(n, size) for n in counts for size in sizes], variant
    for sample in kind(rows, "sample"):
        assert ("large_rate_per_s" in sample) <= (sample["size_bytes"] == 1000)
    assert [s["size_bytes"] for s in samples_of(rows, "limits")] == [64, 1000]
    assert verdict_of(rows) == "skipped"


def test_workers_are_as_many_as_connections():
    """A pool of threads that each block in one connection would hang with fewer."""
    rows = quick_rows(PROGRAM, "--connections", "40", "--variants", "pool,prefork")
    assert all(s["served_connections"] == s["connections"] for s in kind(rows, "sample"))


def test_descriptors_decide():
    one, = samples_of(quick_rows(PROGRAM, "--variants", "one-process", "--crowd", "2000", "--files",
                                 "100"), "one-process")
    assert one["asked_connections"] == 100 - 32 + 1000 and one["crowd_connections"] == 2000
    assert 0 < one["served_connections"] <= one["files_limit"] == 100
    assert one["beyond_errors"] > 0 and "errors" not in one


def test_a_crowd_that_one_process_can_have():
    rows = quick_rows(PROGRAM, "--variants", "one-process,processes", "--crowd", "1000", "--files",
                      "2000")
    for sample in kind(rows, "sample"):
        assert sample["served_connections"] == 1000
    assert verdict_of(rows) == "holds"


def test_a_load_of_several_processes():
    """One of the load's may not have as many descriptors as the crowd needs."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))

    rows = quick_rows(PROGRAM, "--variants", "processes", "--crowd", "600", preexec_fn=few)
    sample, = kind(rows, "sample")
    assert (sample["served_connections"], sample["errors"]) == (600, 0)


def test_a_crowd_in_many_processes():
    """A million in small: few descriptors for each process, those of the load, too."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (1500, 1500))

    sample, = samples_of(quick_rows(PROGRAM, "--variants", "processes", "--crowd", "5000", "--files", "128",
                                    preexec_fn=few), "processes")
    assert (sample["server_processes"], sample["files_limit"]) == (79, 128)
    assert sample["processes"] == sample["server_processes"] + 1
    assert sample["served_connections"] == sample["open_connections"] == 5000
    assert (sample["errors"], sample["wrong_bytes"]) == (0, 0)
    # by the kernel of this machine: folders of descriptors have a size since Linux 6.2
    assert sample.get("server_open_connections", 5000) == 5000
    assert ("server_open_connections" in sample) == (os.stat("/proc/self/fd").st_size > 0)
    assert sample["open_ns"] > 0 and sample["server_rss_bytes"] > 0 and sample["load_rss_bytes"] > 0
    for field in ("kernel_grown_bytes", "kernel_grown_sockets", "taken_bytes", "tracked_connections"):
        assert type(sample[field]) is int  # others change them, too


@pytest.mark.parametrize("crowd, files, lacks", [
    ("400000", "64", "18,750 processes of the server, of which 200 are left"),
    ("4194304", "60000", "4,194,304 connections need"),
])
def test_a_crowd_too_large_for_this_machine(crowd, files, lacks):
    if crowd == "4194304" and os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > 40 << 30:
        pytest.skip("it has the memory")
    ended = run(PROGRAM, "--quick", "--variants", "processes", "--crowd", crowd, "--files", files, "-o", "-")
    assert ended.returncode == 77
    assert lacks in " ".join(ended.stderr.split())
    assert not kind(parse(ended.stdout), "sample")


def test_too_few_descriptors():
    ended = run(PROGRAM, "--quick", "--variants", "processes", "--files", "32", "-q")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1 and "32 descriptors" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])
def test_nothing_is_left_of_a_crowd(number, tmp_path):
    """Whatever ends it, while all connections are open."""
    def sockets():
        return sum(name.startswith("socket:") for pid in session(process.pid) for name in open_files(pid))

    process = start(PROGRAM, "--variants", "processes", "--crowd", "2000", "--files", "256", "--duration", "60s",
                    "-o", tmp_path / "rows")
    until(lambda: sockets() >= 4000, "crowd")
    process.send_signal(number)
    assert finish(process).returncode == -number
    until(lambda: not left_behind(process), "end of its processes")


def test_the_text():
    ended = run(PROGRAM, "--quick", "--variants", "epoll,iterative,limits", "-o", "-")
    shown = ended.stderr
    assert ended.returncode == 0 and parse(ended.stdout)
    assert re.search(r"^  variant +1 +128$", shown, re.M)
    assert re.search(r"^  iterative +[\d,]+ +-$", shown, re.M)
    assert "ping-pong" in shown and "iterative 1 (it serves one at a time)" in " ".join(shown.split())


def test_models_that_are_named_are_measured():
    """Those that --first, less than all in a quick run, would leave out."""
    rows = quick_rows(PROGRAM, "--first", "1", "--connections", "4", "--variants", "epoll,select")
    assert {sample["variant"] for sample in kind(rows, "sample")} == {"epoll", "select"}
