# SPDX-License-Identifier: MIT
"""What is special to buffers/deadlock: its ways out always work, and who is stuck is proven so."""
from functools import partial

from program import BUILD, busy_loops, kind, quick_rows

DEADLOCK = BUILD / "buffers" / "deadlock"
rows_of = partial(quick_rows, DEADLOCK)


def test_books():
    rows = rows_of("--repeats", "2", "--trials", "1")
    samples = kind(rows, "sample")
    for sample in samples:
        assert sample["misplaced_bytes"] == 0
        assert sample["echoed_bytes"] <= sample["served_bytes"] <= sample["written_bytes"]
        assert sample["written_bytes"] <= sample["amount_bytes"]
        assert sample["deadlocked"] <= sample["stuck"]
        if sample["stuck"]:
            assert sample["variant"] == "plain" and sample["asleep_in_send"] == 2
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


def test_each_buffer_needs_enough_clients():
    """One client of each size of buffers is no majority, though it be stuck."""
    verdict, = kind(rows_of("--repeats", "1", "--trials", "1"), "verdict")
    assert verdict["numbers"]["most"]["n"] == 3
    assert verdict["verdict"] in ("unclear", "not-seen")


def test_beside_busy_loops():
    """Who waits for a CPU is not stuck: the ways out never are, however long they take."""
    with busy_loops(4):
        rows = rows_of("--variants", "poll,thread,window", "--trials", "2")
    assert rows[-1]["controls_held"] is True
    assert not any(sample["stuck"] for sample in kind(rows, "sample"))
