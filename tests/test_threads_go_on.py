# SPDX-License-Identifier: MIT
"""What is special to polling/threads_go_on: no CPU time for who is blocked."""
from program import BUILD, kind, parse, run

THREADS = BUILD / "polling" / "threads_go_on"
BLOCKED = {"recv", "accept", "sleep", "futex"}


def test_rows():
    ended = run(THREADS, "--quick", "--trials", "1", "-o", "-")
    assert ended.returncode == 0, ended.stderr
    rows = parse(ended.stdout)
    for sample in kind(rows, "sample"):
        assert sample["same_cpu_counts"] <= sample["counts"]
        assert sample["alone_same_cpu_counts"] <= sample["alone_counts"]
        assert 0 <= sample["asleep_looks"] <= sample["looks"]
        if sample["variant"] in BLOCKED:
            assert sample["blocked_cpu_ns"] == sample["error"] == sample["returned_early"] == 0
            assert sample["asleep_looks"] == sample["looks"]
    assert [row["claim"] for row in kind(rows, "verdict")] == ["poll-blocking-thread"]
