# SPDX-License-Identifier: MIT
"""What is special to race/interleavings: its counts are exact."""
import re
from fractions import Fraction
from functools import partial
from math import comb, factorial

import pytest
from program import BUILD, busy_loops, kind, quick_rows, run

PROGRAM = BUILD / "race" / "interleavings"

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="not built: GMP is missing")
rows_of = partial(quick_rows, PROGRAM)


def counts_of(rows, program, n):
    return {row["x"]: int(row["schedules"]) for row in kind(rows, "x")
            if (row["variant"], row["iterations"]) == (program, n)}


def share(rows, program, n, x):
    counts = counts_of(rows, program, n)
    return Fraction(counts[x], sum(counts.values()))


@pytest.fixture(scope="module")
def rows():
    return rows_of("--most", "50")


def test_all_schedules_are_counted(rows):
    for sample in kind(rows, "sample"):
        n = sample["iterations"]
        assert int(sample["schedules"]) == comb(4 * n, 2 * n)
        assert sum(counts_of(rows, sample["program"], n).values()) == comb(4 * n, 2 * n)
        assert sample["executed"] == (comb(4 * n, 2 * n) if n <= 4 else 0)


def test_known_shares(rows):
    assert [share(rows, "+/-", n, 0) for n in (1, 2)] == [Fraction(1, 3), Fraction(1, 5)]
    assert [round(float(share(rows, "+/-", n, 0)), 3) for n in (3, 4, 5, 12)] == [
        0.195, 0.166, 0.148, 0.096]
    for n in (1, 2, 3, 4, 5, 12, 50):  # nothing lost: whole updates, interleaved
        assert counts_of(rows, "++", n)[2 * n] == comb(2 * n, n)


def test_extremes(rows):
    for sample in kind(rows, "sample"):
        n = sample["iterations"]
        low, high = (-n, n) if sample["program"] == "+/-" else (min(n, 2), 2 * n)
        assert (sample["lowest_x"], sample["highest_x"]) == (low, high)
        assert (sample["results"], sample["unreached"]) == (high - low + 1, 0)
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["holds"]


def test_beside_busy_loops():
    """Trials of microseconds, in which others take no share that could be measured."""
    with busy_loops(2):
        shown = run(PROGRAM, "--quick", "--iterations", "10").stdout
    shares = [float(share) for share in re.findall(r"([0-9.]+) % of\s+the CPU time", shown)]
    assert "HOLDS" in shown and all(share <= 100 for share in shares)


def test_two(rows):
    for n in (3, 4, 5, 12, 50):
        assert counts_of(rows, "++", n)[2] == 8


def test_three_threads():
    rows = rows_of("--threads", "3", "--iterations", "4")
    for sample in kind(rows, "sample"):
        assert int(sample["schedules"]) == factorial(24) // factorial(8)**3
        assert sample["exact_x"] == (4 if sample["program"] == "+/-" else 12)
        assert sum(counts_of(rows, sample["program"], 4).values()) == int(sample["schedules"])


def test_three_threads_are_bounded():
    ended = run(PROGRAM, "--threads", "3", "--iterations", "13")
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
