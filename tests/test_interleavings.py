# SPDX-License-Identifier: MIT
"""What is special to race/interleavings: its counts are exact, its schedules do what they say."""
from fractions import Fraction
from math import comb, factorial

import pytest
from program import BUILD, kind, parse, run

PROGRAM = BUILD / "race" / "interleavings"
STEPS = {"+/-": (1, -1, 1), "++": (1, 1, 1)}

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="not built: GMP is missing")


def rows_of(*arguments):
    ended = run(PROGRAM, "--quick", "-o", "-", *arguments)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


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


def test_two(rows):
    for n in (3, 4, 5, 12, 50):
        assert counts_of(rows, "++", n)[2] == 8
        assert [row["switches"] for row in kind(rows, "x")
                if (row["variant"], row["iterations"], row["x"]) == ("++", n, 2)] == [5]


@pytest.mark.parametrize("arguments", [(), ("--threads", "3"), ("--checkpoints", "from310")],
                         ids=" ".join)
def test_witnesses(arguments):
    """Each schedule, executed here, ends where it is said to, with as many switches."""
    witnesses = kind(rows_of(*arguments), "witness")
    assert witnesses
    for row in witnesses:
        threads = sorted(set(row["schedule"]))
        x, loaded = 0, {}
        for who in row["schedule"]:
            if who in loaded:
                x = loaded.pop(who) + STEPS[row["variant"]][ord(who) - ord("A")]
            else:
                loaded[who] = x
        assert x == row["x"] == row["replayed_x"]
        assert all(row["schedule"].count(who) == 2 * row["iterations"] for who in threads)
        assert row["switches"] == sum(a != b for a, b in zip(row["schedule"], row["schedule"][1:]))


def test_three_threads():
    rows = rows_of("--threads", "3", "--iterations", "4")
    for sample in kind(rows, "sample"):
        assert int(sample["schedules"]) == factorial(24) // factorial(8)**3
        assert sample["exact_x"] == (4 if sample["program"] == "+/-" else 12)
        assert sum(counts_of(rows, sample["program"], 4).values()) == int(sample["schedules"])


@pytest.mark.parametrize("checkpoints, free", [
    ("every", True), ("upto39", True), ("from310", False), ("call310", True), ("first310", False)])
def test_checkpoints(checkpoints, free):
    rows = rows_of("--checkpoints", checkpoints, "--iterations", "4")
    for sample in kind(rows, "sample"):
        assert int(sample["schedules"]) == (comb(16, 8) if free else comb(8, 4))
        assert (sample["lowest_x"] == sample["highest_x"] == sample["exact_x"]) != free
        assert sample["executed"] == int(sample["schedules"])
    assert kind(rows, "verdict")[0]["verdict"] == ("holds" if free else "refuted")
    table = {(row["checkpoints"], row["variant"]): row["results"]
             for row in kind(rows, "checkpoints")}
    assert table[(checkpoints, "+/-")] == (7 if free else 1)


def test_reach():
    shown = run(PROGRAM, "--quick", "--iterations", "5", "--reach=-3", "--replay").stdout
    assert "100 of 100 replays more ended at -3 too." in shown
    assert "++, N = 5: no schedule ends at -3." in shown


def test_three_threads_are_bounded():
    ended = run(PROGRAM, "--threads", "3", "--iterations", "13")
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
