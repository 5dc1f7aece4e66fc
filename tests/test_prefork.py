# SPDX-License-Identifier: MIT
"""What is special to echo/prefork: each model is counted as what it is, on a busy machine too."""
import pytest
from program import BUILD, busy_loops, kind, quick_rows, verdict_of

PROGRAM = BUILD / "echo" / "prefork"
# answered at a time, by at least so many processes; of them after one was killed, and a newcomer
EXPECTED = {"prefork": (4, 4, 3, 1), "fork": (4, 4, 3, 1), "thread": (4, 1, 0, 0),
            "epoll": (4, 1, 0, 0), "iterative": (1, 1, 0, 0)}


@pytest.mark.parametrize("loops", [0, 4])
def test_who_is_served(loops):
    with busy_loops(loops):
        rows = quick_rows(PROGRAM, "--hold", "5ms")
    for sample in kind(rows, "sample"):
        by = min(sample["serving_processes"], sample["answered_clients"])  # a parent works, too
        found = (sample["answered_clients"], by, sample["go_on_clients"], sample["served_anew"])
        assert found == EXPECTED[sample["variant"]], sample
    assert verdict_of(rows) == "holds"


def test_few_trials_decide_nothing():
    assert verdict_of(quick_rows(PROGRAM, "--trials", "2")) == "unclear"
