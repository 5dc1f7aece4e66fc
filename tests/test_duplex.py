# SPDX-License-Identifier: MIT
"""What is special to tcp/duplex: every byte of both ways arrives, with and without a cable."""
from functools import partial

import pytest
from program import BUILD, kind, quick_rows

DUPLEX = BUILD / "tcp" / "duplex"
WAYS = {"there": 1, "back": 1, "both": 2, "turns": 2}
SMALL = ("--total", "64K", "--rate", "4M")
rows_of = partial(quick_rows, DUPLEX, *SMALL)


@pytest.mark.parametrize("arguments", [(), ("--loopback",), ("--loopback", "--turns", "4"),
                                       ("--buffers", "4096")], ids=" ".join)
def test_books(arguments):
    rows = rows_of(*arguments)
    samples = kind(rows, "sample")
    assert {s["variant"] for s in samples} == set(WAYS)
    for sample in samples:
        assert sample["received_bytes"] == WAYS[sample["variant"]] * 65536
        assert (sample["missing_bytes"], sample["misplaced_bytes"]) == (0, 0)
        assert sample["elapsed_ns"] == max(sample["there_ns"], sample["back_ns"]) > 0
        assert (sample["there_ns"] == 0) == (sample["variant"] == "back")
        assert (sample["back_ns"] == 0) == (sample["variant"] == "there")
        if "--loopback" in arguments:
            assert sample["cable"] == 0
    assert kind(rows, "verdict")[0]["verdict"] in ("holds", "depends", "refuted", "not-seen", "unclear")


def test_progress():
    """Each direction's time line rises to its total."""
    rows = rows_of("--loopback")
    for variant in WAYS:
        for way in ("there", "back"):
            looks = [(r["at_ns"], r["received_bytes"]) for r in kind(rows, "progress")
                     if (r["trial"], r["variant"], r["way"]) == (0, variant, way)]
            assert looks == sorted(looks)
            assert not looks or looks[-1][1] == 65536
            assert bool(looks) == (variant in (way, "both", "turns"))
