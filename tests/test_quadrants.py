# SPDX-License-Identifier: MIT
"""What is special to polling/quadrants: who was told of what, and that looks add up."""
from functools import partial

from program import BUILD, kind, quick_rows

QUADRANTS = BUILD / "polling" / "quadrants"
TOLD = {"recv": False, "spin": False, "epoll": True, "sigio": True, "io_uring": True}
rows_of = partial(quick_rows, QUADRANTS)


def test_books():
    rows = rows_of("--messages", "3", "--gap", "20ms")
    variants = set()
    for sample in kind(rows, "sample"):
        variant = sample["variant"]
        variants.add(variant)
        assert 0 <= sample["asleep_looks"] <= sample["looks"]
        assert sample["slices"] > 0
        if variant == "work":
            assert (sample["calls"], sample["got_messages"]) == (0, 0)
            continue
        assert sample["got_messages"] == sample["sent_messages"] == 3
        assert sample["missing_messages"] == sample["misplaced_messages"] == 0
        assert sample["told_messages"] == (3 if TOLD[variant] else 0)
        assert 0 <= sample["wasted_calls"] < sample["calls"]
        assert 0 < sample["call_ns"] <= sample["longest_ns"]
        assert sample["elapsed_ns"] >= 30000000
        if variant in ("recv", "epoll"):
            assert sample["sleeps"] > 0
    assert set(TOLD) - {"io_uring"} < variants
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] in ("holds", "unclear")
    assert 0 <= verdict["numbers"]["combinations"] <= 4


def test_no_verdict_on_two_of_four():
    rows = rows_of("--variants", "recv,spin")
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["skipped"]
