# SPDX-License-Identifier: MIT
"""What is special to echo/prefork: each model is counted as what it is, on a busy machine too."""
import pytest
from program import BUILD, busy_loops, kind, quick_rows, verdicts

PROGRAM = BUILD / "echo" / "prefork"
# answered at a time, by at least so many processes; of them after one was killed, and a newcomer;
# whether the server's sockets have O_NONBLOCK, and how many of its threads sleep in recv at most
EXPECTED = {"prefork": (4, 4, 3, 1, False, 4), "fork": (4, 4, 3, 1, False, 4), "thread": (4, 1, 0, 0, False, 4),
            "pool": (4, 1, 0, 0, False, 4), "epoll": (4, 1, 0, 0, True, 0), "iterative": (1, 1, 0, 0, False, 1)}


@pytest.mark.parametrize("loops", [0, 4])
def test_who_is_served(loops):
    with busy_loops(loops):
        rows = quick_rows(PROGRAM, "--hold", "5ms")
    for sample in kind(rows, "sample"):
        by = min(sample["serving_processes"], sample["answered_clients"])  # a parent works, too
        found = (sample["answered_clients"], by, sample["go_on_clients"], sample["served_anew"],
                 sample["nonblocking_sockets"] > 0)
        *expected, receiving = EXPECTED[sample["variant"]]
        assert found == tuple(expected), sample
        assert sample["receiving_threads"] <= receiving  # one may be on its way back to recv
        assert sample["sockets"] > sample["answered_clients"]  # and a listener
        assert sample.get("served_blocking", 0) == (sample["variant"] not in ("epoll", "iterative"))
    assert verdicts(rows) == {"srv-prefork": "holds", "srv-several-need-nonblocking": "refuted"}


def test_few_trials_decide_nothing():
    rows = quick_rows(PROGRAM, "--trials", "2", "--variants", "prefork,iterative")
    assert verdicts(rows)["srv-prefork"] == "unclear"
