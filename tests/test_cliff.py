# SPDX-License-Identifier: MIT
"""What is special to buffers/cliff: every cell of the grid, with and without the cure."""
from functools import partial

from program import BUILD, busy_loops, kind, quick_rows, verdict_of

CLIFF = BUILD / "buffers" / "cliff"
rows_of = partial(quick_rows, CLIFF, "--trials", "1")


def test_every_cell_is_measured_once():
    rows = rows_of("--sizes", "3")
    for name in ("as-is", "quickack"):
        cells = [(s["asked_sndbuf_bytes"], s["asked_rcvbuf_bytes"])
                 for s in kind(rows, "sample") if s["variant"] == name]
        assert len(cells) == len(set(cells)) == 9


def test_transfers():
    rows = rows_of("--sizes", "2", "--limit", "50")
    for sample in kind(rows, "sample"):
        assert sample["missing_bytes"] == sample["misplaced_bytes"] == 0
        assert 0 <= sample["moved_bytes"] <= rows[0]["params"]["total_bytes"]
        assert sample["pauses"] * 10_000_000 <= sample["paused_ns"] <= sample["elapsed_ns"]
        assert sample["pause_acks"] <= sample["acks"]


def test_without_what_the_claim_needs():
    assert verdict_of(rows_of("--variants", "quickack")) == "skipped"


def test_one_round_decides_nothing():
    """A median of one has no interval."""
    assert verdict_of(rows_of("--sizes", "2")) == "unclear"


def test_beside_a_busy_loop():
    """What takes the cliff away must not look like one because the machine is busy."""
    with busy_loops(1):
        rows = quick_rows(CLIFF, "--sham", "buf-cliff")
    assert verdict_of(rows) in ("holds", "unclear")
