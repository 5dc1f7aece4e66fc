# SPDX-License-Identifier: MIT
"""What is special to race/fork_threads: which lock a child can take is the same on every machine."""
import os
from functools import partial

import pytest
from program import BUILD, kind, quick_rows, verdict_of

FORK_THREADS = BUILD / "race" / "fork_threads"
rows_of = partial(quick_rows, FORK_THREADS)


@pytest.mark.parametrize("where", ["everywhere", "one CPU"])
def test_only_a_lock_that_was_held_is_stuck(where):
    cpus = ("--cpus", str(min(os.sched_getaffinity(0)))) if where == "one CPU" else ()
    rows = rows_of("--trials", "5", *cpus)
    samples = kind(rows, "sample")
    assert sorted({s["variant"] for s in samples}) == ["free", "handlers", "held"]
    for sample in samples:
        held = sample["variant"] == "held"
        assert (sample["locked"], sample["stuck"]) == (held, held)
        assert sample["child_threads"] == 1 < sample["parent_threads"]
    assert verdict_of(rows) == "refuted"


def test_without_a_lock_that_is_held():
    assert verdict_of(rows_of("--variants", "handlers,free", "--trials", "1")) == "skipped"
