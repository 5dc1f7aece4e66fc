# SPDX-License-Identifier: MIT
"""What is special to buffers/pipe_wait: one byte more than the pipe holds, and all comes in the end."""
from functools import partial

from program import BUILD, busy_loops, kind, quick_rows, verdicts

PIPE_WAIT = BUILD / "buffers" / "pipe_wait"
rows_of = partial(quick_rows, PIPE_WAIT)


def assert_contract(rows):
    for sample in kind(rows, "sample"):
        assert sample["read_bytes"] == sample["printed_bytes"]
        assert sample["missing_bytes"] == sample["misplaced_bytes"] == 0
        assert sample["fits"] == (sample["printed_bytes"] <= sample["pipe_bytes"])
        if sample["variant"] == "wait-first":
            assert sample["stuck"] == (not sample["fits"])
            assert sample["unread_bytes"] == min(sample["printed_bytes"], sample["pipe_bytes"])
        else:
            assert not sample["stuck"]


def test_stuck_is_what_does_not_fit():
    rows = rows_of()
    assert_contract(rows)
    assert any(s["printed_bytes"] == s["pipe_bytes"] + 1 for s in kind(rows, "sample"))
    assert verdicts(rows) == {"buf-pipe-deadlock": "depends"}


def test_also_on_a_busy_machine():
    with busy_loops(4):
        assert_contract(rows_of("--cpus", "0"))


def test_reading_first_alone_says_nothing():
    assert verdicts(rows_of("--variants", "read-first")) == {"buf-pipe-deadlock": "skipped"}
