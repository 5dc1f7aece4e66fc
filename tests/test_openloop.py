# SPDX-License-Identifier: MIT
"""What is special to echo/openloop: the pause is made, and is in the longest latency of both."""
from program import BUILD, kind, quick_rows, verdict_of

PROGRAM = BUILD / "echo" / "openloop"


def test_books():
    rows = quick_rows(PROGRAM, "--duration", "180ms", "--pause", "20ms", "--rate", "2000", "--trials", "2")
    for sample in kind(rows, "sample"):
        assert sample["pause_ns"] >= 20000000
        assert sample["max_ns"] > sample["pause_ns"] / 2
    assert verdict_of(rows) == "unclear"


def test_both_are_needed():
    assert verdict_of(quick_rows(PROGRAM, "--trials", "1", "--variants", "open")) == "skipped"
