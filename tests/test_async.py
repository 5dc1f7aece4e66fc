# SPDX-License-Identifier: MIT
"""What is special to echo/async: each model at each number of connections, memory once a trial."""
from program import BUILD, kind, quick_rows, verdict_of

PROGRAM = BUILD / "echo" / "async"


def test_books():
    rows = quick_rows(PROGRAM, "--connections", "27", "--levels", "4", "--held", "5", "--trials", "1")
    samples = kind(rows, "sample")
    left_out = rows[0]["params"].get("left_out", {})
    for variant in rows[0]["variants"].keys() - left_out:
        of = [sample for sample in samples if sample["variant"] == variant]
        assert [sample["connections"] for sample in of] == [1, 3, 9, 27]
        assert ["memory_bytes" in sample for sample in of] == [False, False, False, True]
        assert all(s["served_connections"] == s["connections"] for s in of)
    assert verdict_of(rows) == ("skipped" if left_out else "unclear")


def test_threads_are_needed():
    rows = quick_rows(PROGRAM, "--trials", "1", "--variants", "epoll,coroutine")
    assert verdict_of(rows) == "skipped"
