# SPDX-License-Identifier: MIT
"""What is special to race/states: a thread in recv is neither running nor ready, and its books."""
import os
from functools import partial

from program import BUILD, kind, quick_rows, verdict_of

STATES = BUILD / "race" / "states"
rows_of = partial(quick_rows, STATES)


def check_books(rows):
    for sample in kind(rows, "sample"):
        assert sample["active_ns"] == sample["running_ns"] + sample["ready_ns"]
        assert sample["waiting_ns"] == max(sample["elapsed_ns"] - sample["active_ns"], 0)
        assert sample["unsound"] == 0 < sample["running_ns"]
        assert ("still" in sample) == (sample["variant"] == "waits")
        assert sample.get("still", 1) == 1
        assert sample.get("over_ready", 1) == (sample.get("delay_ns", 1) > 0)
    return rows


def test_books():
    assert verdict_of(check_books(rows_of())) in ("holds", "unclear")


def test_on_one_cpu():
    check_books(rows_of("--cpus", str(min(os.sched_getaffinity(0))), "--trials", "3"))
