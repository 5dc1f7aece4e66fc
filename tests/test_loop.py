# SPDX-License-Identifier: MIT
"""What is special to polling/loop: no lost answer, and who asked meanwhile waited."""
from functools import partial

from program import BUILD, kind, quick_rows

LOOP = BUILD / "polling" / "loop"
BLOCK_NS = 60_000_000
rows_of = partial(quick_rows, LOOP, "--trials", "1", "--block", "60ms")


def test_rows():
    rows = rows_of()
    requests = kind(rows, "request")
    for sample in kind(rows, "sample"):
        mine = [row for row in requests if row["variant"] == sample["variant"]]
        assert len(mine) == sample["answers"] == sample["requests"] == 70
        for client in (0, 1):  # each is due when it is, whatever became of those before
            due = [row["due_ns"] for row in mine if row["client"] == client]
            assert due == [1_000_000 * (2 * k + client) for k in range(35)]
        latencies = [row["latency_ns"] for row in mine]
        assert max(latencies) == sample["worst_ns"]
        assert sample["late_answers"] == sum(ns > BLOCK_NS / 2 for ns in latencies)
        assert sample["slow_answers"] == 1
        assert sample["missing_answers"] == sample["wrong_answers"] == 0
        worst = [max(row["latency_ns"] for row in mine if row["client"] == k) for k in (0, 1)]
        assert sample["least_held_ns"] == min(worst)
        assert sample["slow_ns"] >= (0 if sample["variant"] == "prompt" else BLOCK_NS)
        if sample["variant"] == "blocks":  # who asked meanwhile waited for the rest of it
            assert sample["worst_ns"] > BLOCK_NS / 3
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] == "unclear"  # one trial has no interval


def test_no_verdict_without_the_trap():
    verdict, = kind(rows_of("--variants", "prompt,thread,event"), "verdict")
    assert verdict["verdict"] == "skipped"
