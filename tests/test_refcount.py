# SPDX-License-Identifier: MIT
"""What is special to gil/refcount: every protected count is exact, and a plain one of one thread, too."""
import os
from functools import partial

import pytest
from program import BUILD, kind, quick_rows, verdict_of

REFCOUNT = BUILD / "gil" / "refcount"
CELLS = {"1 thread": 1, "2, own": 2, "2, shared": 2, "4, shared": 4}
rows_of = partial(quick_rows, REFCOUNT)


def check_books(rows):
    for sample in kind(rows, "sample"):
        shared = sample["object"].endswith("shared")
        assert sample["threads"] == CELLS[sample["object"]] and sample["pairs"] >= 0
        assert 0 <= sample["wrong_counts"] <= (1 if shared else sample["threads"])
        assert abs(sample["count_error"]) <= sample["pairs"] >= sample["freed_early"]
        harmed = sample["wrong_counts"] > 0 or sample["freed_early"] > 0
        assert sample["harmed"] == harmed and (shared and sample["variant"] == "plain" or not harmed)
        assert ("protected_harm" in sample) == (sample["variant"] != "plain")


@pytest.mark.parametrize("cpus", [None, str(min(os.sched_getaffinity(0)))])
def test_books(cpus):
    rows = rows_of(*(["--cpus", cpus] if cpus else []))
    check_books(rows)
    harmed = any(sample["harmed"] for sample in kind(rows, "sample"))
    assert verdict_of(rows) == ("holds" if harmed else "not-seen")


def test_protected_alone():
    rows = rows_of("--variants", "lock,atomic,biased", "--trials", "1")
    check_books(rows)
    assert verdict_of(rows) == "skipped"


def test_one_trial_that_loses_nothing_proves_nothing():
    rows = rows_of("--variants", "plain", "--trials", "1", "--duration", "1")
    harmed = any(sample["harmed"] for sample in kind(rows, "sample"))
    assert verdict_of(rows) == ("holds" if harmed else "skipped")
