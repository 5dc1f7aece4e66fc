# SPDX-License-Identifier: MIT
"""What is special to polling/threads_go_on: no CPU time for who is blocked, no lost answer."""
from program import BUILD, kind, parse, run

THREADS = BUILD / "polling" / "threads_go_on"
BLOCKED = {"recv", "accept", "sleep", "futex"}


def test_rows():
    ended = run(THREADS, "--quick", "--trials", "1", "--block", "60ms", "-o", "-")
    assert ended.returncode == 0, ended.stderr
    rows = parse(ended.stdout)
    requests = kind(rows, "request")
    for sample in kind(rows, "sample"):
        if sample["variant"] in BLOCKED | {"nobody", "spins"}:
            assert sample["same_cpu_counts"] <= sample["counts"]
            assert sample["alone_same_cpu_counts"] <= sample["alone_counts"]
            assert 0 <= sample["asleep_looks"] <= sample["looks"]
        if sample["variant"] in BLOCKED:
            assert sample["blocked_cpu_ns"] == sample["error"] == sample["returned_early"] == 0
            assert sample["asleep_looks"] == sample["looks"]
        if sample["variant"].startswith("loop-"):
            mine = [row for row in requests if row["variant"] == sample["variant"]]
            assert len(mine) == sample["answers"] == sample["requests"]
            assert max(row["latency_ns"] for row in mine) == sample["worst_ns"]
            assert (sample["slow_answers"], sample["wrong_answers"]) == (1, 0)
            assert sample["slow_ns"] >= (0 if sample["variant"] == "loop-prompt" else 60_000_000)
            if sample["variant"] == "loop-blocks":  # who asked meanwhile waited for the rest of it
                assert sample["worst_ns"] > 20_000_000
    assert [row["claim"] for row in kind(rows, "verdict")] == ["poll-blocking-thread"]
