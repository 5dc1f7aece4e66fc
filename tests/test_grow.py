# SPDX-License-Identifier: MIT
"""What is special to buffers/grow: a size that was asked for stays, and its books balance."""
from functools import partial

from program import BUILD, kind, quick_rows

GROW = BUILD / "buffers" / "grow"
rows_of = partial(quick_rows, GROW)


def test_transfers():
    rows = rows_of()
    for sample in kind(rows, "sample"):
        assert sample["missing_bytes"] == sample["misplaced_bytes"] == 0
        assert sample["received_bytes"] > 0
        if sample["variant"] == "fixed":
            for buffer in ("sndbuf", "rcvbuf"):
                assert sample[f"begin_{buffer}_bytes"] == sample[f"end_{buffer}_bytes"]
        looks = [row for row in kind(rows, "size")
                 if (row["trial"], row["variant"]) == (sample["trial"], sample["variant"])]
        assert looks[0]["at_ns"] == 0
        assert looks[-1]["sndbuf_bytes"] == sample["end_sndbuf_bytes"]
        assert [row["at_ns"] for row in looks] == sorted(row["at_ns"] for row in looks)


def test_the_control_alone_says_nothing_of_default_sizes():
    verdict, = kind(rows_of("--variants", "fixed"), "verdict")
    assert verdict["verdict"] == "skipped"
