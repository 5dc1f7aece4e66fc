# SPDX-License-Identifier: MIT
"""What is special to echo/waits: who waited is a matter of the server, not of the machine's load."""
from functools import partial

from program import BUILD, busy_loops, kind, quick_rows, verdicts

WAITS = BUILD / "echo" / "waits"
rows_of = partial(quick_rows, WAITS)


def check_books(rows):
    hold_ns = rows[0]["params"]["hold_ms"] * 1000000
    for sample in kind(rows, "sample"):
        assert sample["waited"] == (sample["variant"] == "iterative")
        assert 0 < sample["held_ns"] <= sample["latency_ns"]
        if sample["waited"]:
            assert sample["held_ns"] >= hold_ns and not sample["at_once"]


def test_books():
    rows = rows_of("--trials", "1", "--hold", "20ms", "--attempts", "3")
    samples = kind(rows, "sample")
    for variant in {sample["variant"] for sample in samples}:
        assert [s["attempt"] for s in samples if s["variant"] == variant] == [0, 1, 2]
    check_books(rows)


def test_a_busy_machine_makes_no_server_iterative():
    """A server that was kept from running is waited for, however short the hold."""
    with busy_loops(4):
        rows = rows_of("--trials", "2", "--variants", "epoll,thread,fork,iterative")
    check_books(rows)
    assert set(verdicts(rows).values()) <= {"holds", "unclear"}


def test_each_kind_of_server_is_needed():
    rows = rows_of("--variants", "epoll", "--trials", "1")
    assert verdicts(rows)["srv-iterative-waits"] == "skipped"
