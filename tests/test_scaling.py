# SPDX-License-Identifier: MIT
"""What is special to polling/scaling: what is watched, and that verdicts follow from the rows.

No test demands that one way is faster than another.
"""
import math
import resource
from functools import partial
from statistics import median

import pytest
from program import BUILD, kind, quick_rows, run, verdicts

SCALING = BUILD / "polling" / "scaling"
FD_SETSIZE = 1024
rows_of = partial(quick_rows, SCALING, "--trials", "2")


def hard_limit(limit):
    """Whether a program can be run with this hard limit, and how."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < limit:
        pytest.skip("the hard limit is lower already")
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def check_books(rows):
    for sample in kind(rows, "sample"):
        n = sample["watched_fds"]
        assert sample["ready_fds"] in (1, n // 10)
        assert sample["waits"] >= 5 and sample["wrong_waits"] == 0
        assert sample["wait_ns"] > 0 and sample["trigger_ns"] > 0 and sample["setup_ns"] > 0
        if sample["variant"] == "select":
            assert n < FD_SETSIZE


def slope(samples):
    xs = [math.log(sample["watched_fds"]) for sample in samples]
    ys = [math.log(sample["wait_ns"]) for sample in samples]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return (sum((a - x) * (b - y) for a, b in zip(xs, ys)) /
            sum((a - x) ** 2 for a in xs))


def test_books():
    rows = rows_of("--watched", "1200")
    check_books(rows)
    samples = kind(rows, "sample")
    assert {"select", "poll", "epoll", "epoll-edge", "epoll-once"} <= {
        sample["variant"] for sample in samples}
    verdict = next(row for row in kind(rows, "verdict") if row["claim"] == "poll-select-scans")
    for variant in ("select", "poll", "epoll"):
        fit = [[sample for sample in samples
                if sample["variant"] == variant and sample["trial"] == trial and
                sample["ready_fds"] == 1 and sample["watched_fds"] >= 256] for trial in range(2)]
        found = verdict["numbers"][f"{variant}_exponent"]
        assert abs(found - median(map(slope, fit))) < 1e-4
        assert verdict["numbers"][f"{variant}_low"] <= found <= verdict["numbers"][
            f"{variant}_high"]


def test_few_descriptors():
    """A hard limit of 200 leaves no room for the fit, and the program says so."""
    rows = rows_of(preexec_fn=hard_limit(200))
    check_books(rows)
    found = verdicts(rows)
    assert found["poll-select-scans"] == "skipped"
    assert found["poll-default-selector"] != "skipped"
    assert max(sample["watched_fds"] for sample in kind(rows, "sample")) < 200


def test_no_verdict_without_select():
    rows = rows_of("--variants", "poll,epoll", "--watched", "512")
    found = verdicts(rows)
    assert found["poll-select-scans"] == "skipped"
