# SPDX-License-Identifier: MIT
"""What is special to race/zero: its counts add up, and the safe program always ends at 0.

No test demands that a race shows: it can, and need not.
"""
from functools import partial

import pytest
from program import BUILD, kind, quick_rows, verdict_of

ZERO = BUILD / "race" / "zero"
RACY = {"started", "barrier", "started-1cpu", "barrier-1cpu"}
rows_of = partial(quick_rows, ZERO, "--trials", "2", "--largest", "10k")


def test_books():
    rows = rows_of()
    samples = kind(rows, "sample")
    assert {sample["variant"] for sample in samples} == RACY | {"atomic"}
    for sample in samples:
        assert 0 <= sample["zero_runs"] <= sample["runs"] > 0
        assert 0 <= sample["largest_error_updates"] <= sample["iterations"]
        assert (sample["largest_error_updates"] == 0) == (sample["zero_runs"] == sample["runs"])
        assert sample["variant"] in RACY or sample["zero_runs"] == sample["runs"]
    for variant in RACY | {"atomic"}:
        ns = [sample["iterations"] for sample in samples if sample["variant"] == variant]
        assert ns == [10, 100, 1000, 10000] * 2


def test_verdict_is_that_of_the_rows():
    rows = rows_of()
    racy = [sample for sample in kind(rows, "sample") if sample["variant"] in RACY]
    zero, runs = (sum(sample[field] for sample in racy) for field in ("zero_runs", "runs"))
    row, = kind(rows, "verdict")
    found = row["numbers"]["all"]
    assert (found["k"], found["n"], row["numbers"]["largest"]) == (zero, runs, 10000)
    assert row["verdict"] == ("refuted" if zero else "not-seen")


@pytest.mark.parametrize("largest, ns", [("10", [10]), ("99", [10]), ("100", [10, 100])])
def test_largest(largest, ns):
    rows = rows_of("--largest", largest, "--trials", "1", "--variants", "barrier")
    assert [sample["iterations"] for sample in kind(rows, "sample")] == ns
    verdict, = kind(rows, "verdict")
    assert verdict["numbers"]["largest"] == ns[-1]
    assert verdict["verdict"] in ("refuted", "not-seen")


def test_only_the_control():
    assert verdict_of(rows_of("--variants", "atomic")) == "skipped"
