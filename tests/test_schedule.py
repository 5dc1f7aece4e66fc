# SPDX-License-Identifier: MIT
"""What is special to race/schedule: its schedules do what they say, and none switches less."""
from functools import partial

import pytest
from program import BUILD, kind, quick_rows, run, verdict_of

PROGRAM = BUILD / "race" / "schedule"
STEPS = {"+/-": (1, -1, 1), "++": (1, 1, 1)}
rows_of = partial(quick_rows, PROGRAM)


def test_two_takes_five_switches():
    rows = rows_of("--most", "50")
    for n in (3, 4, 5, 12, 50):
        assert [row["switches"] for row in kind(rows, "x")
                if (row["variant"], row["iterations"], row["x"]) == ("++", n, 2)] == [5]
    assert verdict_of(rows) == "holds"


@pytest.mark.parametrize("arguments", [(), ("--threads", "3")], ids=" ".join)
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


def test_reach():
    shown = run(PROGRAM, "--quick", "--iterations", "5", "--reach=-3", "--replay").stdout
    assert "100 of 100 replays more ended at -3 too." in shown
    assert "++, N = 5: no schedule ends at -3." in shown


def test_an_atomic_update_leaves_no_way_to_two():
    assert verdict_of(rows_of("--sham", "race-ends-at-two")) == "not-seen"


def test_two_is_right_of_one_update_each():
    assert verdict_of(rows_of("--iterations", "1")) == "skipped"
    assert verdict_of(rows_of("--variants", "+/-")) == "skipped"


def test_three_threads_are_bounded():
    ended = run(PROGRAM, "--threads", "3", "--iterations", "13")
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
