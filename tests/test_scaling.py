# SPDX-License-Identifier: MIT
"""What is special to polling/scaling: what is watched, and that verdicts follow from the rows.

No test demands that one way is faster than another.
"""
import math
import resource
from functools import partial

import pytest
from program import BUILD, kind, quick_rows, verdicts

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
        kind_of = "" if sample["ready_fds"] == 1 else "tenth_"
        wait, trigger, event = (sample[f"{kind_of}{what}_ns"] for what in ("wait", "trigger", "event"))
        assert 0 < max(wait, trigger) <= event and sample["setup_ns"] > 0
        if sample["variant"] == "select":
            assert n < FD_SETSIZE


def exponent(samples):
    """From 256 descriptors to the most, of one trial."""
    wait = {sample["watched_fds"]: sample["wait_ns"] for sample in samples
            if sample["ready_fds"] == 1}
    return math.log(wait[max(wait)] / wait[256]) / math.log(max(wait) / 256)


def test_books():
    rows = rows_of("--watched", "1200")
    check_books(rows)
    samples = kind(rows, "sample")
    assert {"select", "poll", "epoll", "epoll-edge", "epoll-once"} <= {
        sample["variant"] for sample in samples}
    numbers = next(row for row in kind(rows, "verdict")
                   if row["claim"] == "poll-select-scans")["numbers"]
    for variant in ("select", "poll", "epoll"):
        calm = [sample for sample in samples
                if sample["variant"] == variant and "disturbed" not in sample]
        trials = {sample["trial"] for sample in calm}
        found = numbers[f"{variant}_exponent"]
        assert found["n"] == len(trials)
        if len(trials) == 1:
            assert abs(found["mid"] - exponent(calm)) < 1e-4


def test_few_descriptors():
    """A hard limit of 200 leaves no room for the fit, and the program says so."""
    rows = rows_of(preexec_fn=hard_limit(200))
    check_books(rows)
    found = verdicts(rows)
    assert found["poll-select-scans"] == "skipped"
    assert found["poll-default-selector"] == "unclear"  # two trials have no interval
    assert max(sample["watched_fds"] for sample in kind(rows, "sample")) < 200


def test_no_verdict_without_select():
    rows = rows_of("--variants", "poll,epoll", "--watched", "512")
    found = verdicts(rows)
    assert found["poll-select-scans"] == "skipped"
