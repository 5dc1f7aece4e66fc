# SPDX-License-Identifier: MIT
"""What is special to tcp/nagle: each exchange is counted, and a stall is measured, not assumed.

No test demands a stall: that is for the run to say.
"""
from functools import partial

from program import BUILD, kind, quick_rows

NAGLE = BUILD / "tcp" / "nagle"
rows_of = partial(quick_rows, NAGLE)


def test_books():
    rows = rows_of("--exchanges", "20", "--part", "7", "--time", "100")
    samples = kind(rows, "sample")
    acks = [sample for sample in samples if sample["variant"] == "ack"]
    assert acks and all(sample["ack_ns"] > 0 for sample in acks)
    for variant in set(rows[0]["variants"]) - {"ack"}:
        of = [sample for sample in samples
              if (sample["trial"], sample["variant"]) == (0, variant)]
        assert 1 <= len(of) <= 20
        assert [sample["exchange"] for sample in of] == list(range(len(of)))
        for sample in of:  # the server has both parts before it answers
            assert 0 <= sample["gap_ns"] < sample["latency_ns"]
            assert sample["acks"] >= 0 and sample["misplaced_bytes"] == 0


def test_no_verdict_without_the_measure():
    rows = rows_of("--variants", "plain", "--time", "100")
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["skipped"]
