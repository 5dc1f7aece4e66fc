# SPDX-License-Identifier: MIT
"""What is special to tcp/transfer: what was sent arrived or is lost, and TCP loses nothing."""
from functools import partial

from program import BUILD, kind, quick_rows, verdict_of

SIZES = {64, 1400, 16384}
rows_of = partial(quick_rows, BUILD / "tcp" / "transfer", "--trials", "2")


def test_books():
    samples = kind(rows_of(), "sample")
    assert {(s["variant"], s["size_bytes"]) for s in samples} == {
        (variant, size) for variant in ("tcp", "nodelay", "fresh", "udp") for size in SIZES}
    for sample in samples:
        assert sample["sent"] == sample["arrived"] + sample["lost"] and sample["arrived"] > 0
        assert sample["arrived_bytes"] == sample["arrived"] * sample["size_bytes"]
        assert sample["lost"] == sample.get("tcp_lost", sample["lost"])
        assert sample["misplaced"] == 0 and sample["elapsed_ns"] > 0
        if sample["variant"] == "udp":
            assert sample["recvs"] == sample["arrived"]  # each a datagram
        elif sample["variant"] == "fresh":
            assert sample["recvs"] >= sample["arrived"]


def test_two_rounds_tell_nothing():
    assert verdict_of(rows_of()) == "unclear"


def test_both_are_needed():
    for variant in ("tcp", "udp", "nodelay,fresh"):
        assert verdict_of(rows_of("--variants", variant)) == "skipped"
