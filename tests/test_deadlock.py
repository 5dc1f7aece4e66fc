# SPDX-License-Identifier: MIT
"""What is special to buffers/deadlock: its ways out always work, and who is stuck is proven so."""
from functools import partial

from program import BUILD, kind, quick_rows

DEADLOCK = BUILD / "buffers" / "deadlock"
rows_of = partial(quick_rows, DEADLOCK)


def test_books():
    rows = rows_of("--repeats", "2")
    samples = kind(rows, "sample")
    for sample in samples:
        assert sample["misplaced_bytes"] == 0
        assert sample["echoed_bytes"] <= sample["served_bytes"] <= sample["written_bytes"]
        assert sample["written_bytes"] <= sample["amount_bytes"]
        if sample["stuck"]:
            assert sample["variant"] == "plain"
            assert sample["echoed_bytes"] == 0 and sample["still_ns"] > 0
        else:
            assert sample["echoed_bytes"] == sample["amount_bytes"]
    for size in (0, 4096, 65536):
        plain = [s for s in samples if s["variant"] == "plain" and s["asked_bytes"] == size]
        amounts = sorted({s["amount_bytes"] for s in plain})
        assert len(amounts) == rows[0]["params"]["points"]
        assert len(plain) == 2 * len(amounts)
        cures = [s for s in samples if s["variant"] != "plain" and s["asked_bytes"] == size]
        assert {s["variant"] for s in cures} == {"poll", "thread", "window"}
        assert {s["amount_bytes"] for s in cures} == {amounts[-1]}


def test_only_the_ways_out():
    rows = rows_of("--variants", "poll,thread,window")
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["skipped"]
