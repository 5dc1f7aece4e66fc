# SPDX-License-Identifier: MIT
"""What is special to tcp/setup: every request is answered, and every system call is counted.

No test demands that one way is faster than another.
"""
import os
from functools import partial

import pytest
from program import BUILD, kind, quick_rows

SETUP = BUILD / "tcp" / "setup"
WARM = 5  # requests before those that count
# System calls of the client and the server for each request, and once at the server's end.
CALLS = {"tcp-new": (5, 5, 3), "unix-new": (5, 5, 3), "tcp-kept": (2, 2, 3),
         "unix-kept": (2, 2, 3), "udp": (2, 2, 2), "udp-connected": (2, 2, 2),
         "unix-dgram": (2, 2, 2)}
rows_of = partial(quick_rows, SETUP, "--trials", "2")


@pytest.mark.parametrize("size", [1, 64, 1024])
def test_books(size):
    rows = rows_of("--requests", "30", "--size", str(size))
    samples = kind(rows, "sample")
    requests = kind(rows, "request")
    assert {sample["variant"].removesuffix("-1cpu") for sample in samples} == set(CALLS)
    assert len(requests) == 30 * 2 * len(CALLS) and {row["trial"] for row in requests} == {0}
    for sample in samples:
        client, server, end = CALLS[sample["variant"].removesuffix("-1cpu")]
        assert sample["requests"] == WARM + 30
        assert sample["client_calls"] == client * (WARM + 30)
        assert sample["server_calls"] == server * (WARM + 30) + end
        assert (sample["lost_requests"], sample["wrong_answers"]) == (0, 0)
        assert 0 < sample["p50_ns"] <= sample["p99_ns"] <= sample["max_ns"]
        assert sample["setup_ns"] <= sample["p50_ns"]


def test_one_cpu_is_enough_for_a_verdict():
    rows = rows_of("--requests", "30", "--cpus", str(min(os.sched_getaffinity(0))))
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] != "skipped"


def test_no_verdict_without_udp():
    rows = rows_of("--variants", "tcp-new,tcp-kept")
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["skipped"]
