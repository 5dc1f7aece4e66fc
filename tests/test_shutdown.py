# SPDX-License-Identifier: MIT
"""What is special to polling/shutdown: every loop is told once, stops after that, and leaves no
client without an answer.

No test demands how long that takes.
"""
from functools import partial

from program import BUILD, kind, quick_rows

SHUTDOWN = BUILD / "polling" / "shutdown"
rows_of = partial(quick_rows, SHUTDOWN)


def test_books():
    rows = rows_of("--loops", "10", "--slow", "120", "--trials", "1")
    for variant in rows[0]["variants"]:
        samples = [sample for sample in kind(rows, "sample") if sample["variant"] == variant]
        assert len(samples) == 10
        after = [sample["after_ns"] for sample in samples]
        assert after == sorted(after) and after[0] >= 0
        for sample in samples:
            assert sample["stop_ns"] >= 0
            assert sample["stopped_early"] == sample["unserved"] == 0
            if not sample["interval_ns"]:
                assert sample["late"] == 0
            assert sample["served"] == sample["answered"] == (0 if variant == "cond" else 1)
            if variant.startswith("interval"):
                assert sample["interval_ns"] == int(variant.split("-")[1]) * 1000000
                assert sample["idle_wakeups"] >= 1  # it stops only when a wait is over
                assert sample["alive_ns"] >= sample["interval_ns"]
                assert sample["after_ns"] < sample["interval_ns"]


def test_one_verdict():
    """Each loop counts, in calm trials; six are too few for an "always"."""
    rows = rows_of("--loops", "2", "--slow", "50", "--trials", "1")
    verdict, = kind(rows, "verdict")
    numbers = verdict["numbers"]
    for name, of in (("idle_late", "interval"), ("slow_late", "slow")):
        late = [sample["late"] for sample in kind(rows, "sample")
                if sample["variant"].startswith(of) and "disturbed" not in sample]
        assert (numbers[name]["k"], numbers[name]["n"]) == (sum(late), len(late))
    assert verdict["verdict"] in ("unclear", "refuted")


def test_a_request_within_the_interval_decides_nothing():
    verdict, = kind(rows_of("--slow", "80", "--budget", "0"), "verdict")
    assert verdict["verdict"] == "unclear"


def test_no_verdict_without_a_slow_request():
    verdict, = kind(rows_of("--loops", "2", "--variants", "interval-10,eventfd"), "verdict")
    assert verdict["verdict"] == "skipped"
