# SPDX-License-Identifier: MIT
"""What is special to race/ordering: its books, and what C11 and the hardware forbid."""
import os
from functools import partial

import pytest
from program import BUILD, kind, quick_rows, verdict_of, verdicts

ORDERING = BUILD / "race" / "ordering"
OUTCOMES = ("both_0_rounds", "first_0_rounds", "second_0_rounds", "both_1_rounds")
CPUS = sorted(os.sched_getaffinity(0))
rows_of = partial(quick_rows, ORDERING)


def check_books(rows):
    samples = kind(rows, "sample")
    for sample in samples:
        passing = sample["variant"].startswith("mp")
        assert sum(sample[outcome] for outcome in OUTCOMES) == sample["rounds"] > 0
        assert sample["reordered_rounds"] == sample["second_0_rounds" if passing else "both_0_rounds"]
        if sample["cpus"] == 1 or "seq-cst" in sample["variant"] or sample["variant"] == "mp-acq-rel":
            assert sample["reordered_rounds"] == 0
        if passing and os.uname().machine == "x86_64":  # which shows stores in order
            assert sample["reordered_rounds"] == 0
    return samples


@pytest.mark.skipif(len(CPUS) == 1, reason="there is one CPU")
def test_on_two_cpus():
    rows = rows_of()
    samples = check_books(rows)
    assert {(s["variant"], s["cpus"]) for s in samples} == {
        (variant, cpus) for variant in rows[0]["variants"] for cpus in (1, 2)}
    numbers = kind(rows, "verdict")[0]["numbers"]
    seen = [s["reordered_rounds"] for s in samples if s["variant"].endswith("relaxed") and s["cpus"] == 2]
    assert numbers["sb"]["k"] + numbers["mp"]["k"] == sum(seen)
    assert verdict_of(rows) in (["refuted"] if sum(seen) else ["not-seen", "unclear"])


def test_on_one_cpu():
    rows = rows_of("--cpus", str(CPUS[0]))
    assert {sample["cpus"] for sample in check_books(rows)} == {1}
    assert verdicts(rows) == {"race-ordering": "skipped"}


def test_too_few_rounds():
    """One that shows the other order refutes; none in so few says nothing."""
    rows = rows_of("--trials", "1", "--duration", "1", "--sham", "race-ordering")
    assert verdict_of(rows) in ("unclear", "not-seen", "skipped")
