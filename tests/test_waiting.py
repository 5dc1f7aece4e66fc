# SPDX-License-Identifier: MIT
"""What is special to polling/waiting: every message arrives, and every call is counted.

No test demands that one way is faster, or cheaper, than another.
"""
from functools import partial

import pytest
from program import BUILD, kind, quick_rows, verdicts

WAITING = BUILD / "polling" / "waiting"
CALLS = {"recv": 1, "poll": 2, "select": 2, "epoll": 2, "io_uring": 1}  # for one message, at most


rows_of = partial(quick_rows, WAITING)


def test_books():
    rows = rows_of("--trials", "2", "--time", "20ms")
    sent = {}
    for sample in kind(rows, "sample"):
        variant = sample["variant"]
        assert sample["got_messages"] == sample["sent_messages"] > 0
        assert sample["missing_messages"] == sample["misplaced_messages"] == 0
        assert 0 <= sample["p50_ns"] <= sample["p99_ns"]
        assert 0 <= sample["wasted_calls"] < sample["calls"]
        assert sample["cpu_ns"] <= sample["elapsed_ns"] * 1.1 + 1000000
        if variant in CALLS:
            assert sample["calls"] <= CALLS[variant] * sample["got_messages"]
        if sample["interval_ns"] < 10000000:  # all wait for the same messages
            sent.setdefault(sample["trial"], set()).add(sample["sent_messages"])
    assert all(len(counts) == 1 for counts in sent.values())
    assert set(verdicts(rows).values()) == {"unclear"}  # two trials have no interval
    assert "sleep-1s" in rows[0]["params"]["left_out"]
    assert "sleep-1s" not in {sample["variant"] for sample in kind(rows, "sample")}


@pytest.mark.parametrize("interval", ["sleep-10ms", "sleep-100ms"])
def test_whole_intervals(interval):
    """Messages come during a whole number of intervals, so that all phases are alike."""
    rows = rows_of("--variants", interval, "--time", "40ms", "--longest", "100ms", "--trials", "1")
    sample, = kind(rows, "sample")
    assert sample["elapsed_ns"] >= sample["interval_ns"]
    assert set(verdicts(rows).values()) == {"skipped"}


def test_rare_messages():
    """At least one message is sent, however rare they are."""
    rows = rows_of("--mean-us", "100k", "--time", "20ms", "--variants", "recv,spin,epoll")
    assert {sample["variant"]: sample["got_messages"] > 0 for sample in kind(rows, "sample")} == {
        "recv": True, "spin": True, "epoll": True}
