# SPDX-License-Identifier: MIT
"""What is special to echo/threading: how many threads each mapping has."""
import os

import pytest
from echo import OWN_THREADS
from program import BUILD, kind, quick_rows, verdict_of

PROGRAM = BUILD / "echo" / "threading"


def test_threads():
    rows = quick_rows(PROGRAM, "--connections", "20", "--trials", "1")
    threads = {sample["variant"]: sample["threads"] for sample in kind(rows, "sample")}
    assert threads["thread"] == OWN_THREADS + 20
    if "coroutine" not in threads:
        pytest.skip("this build has no coroutines")
    assert threads["coroutine"] == OWN_THREADS
    assert threads["coroutine-nm"] >= 1 + len(os.sched_getaffinity(0))
    assert threads["two-level"] == threads["coroutine-nm"] + 16


def test_one_cpu_cannot_tell():
    cpu = str(min(os.sched_getaffinity(0)))
    assert verdict_of(quick_rows(PROGRAM, "--trials", "1", "--cpus", cpu)) == "skipped"
