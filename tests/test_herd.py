# SPDX-License-Identifier: MIT
"""What is special to polling/herd: every connection is served once, and the workers add up."""
import pytest
from program import BUILD, kind, parse, run

HERD = BUILD / "polling" / "herd"


@pytest.mark.parametrize("workers", [2, 5])
def test_books(workers):
    ended = run(HERD, "--quick", "--workers", str(workers), "-o", "-")
    assert ended.returncode == 0, ended.stderr
    rows = parse(ended.stdout)
    for sample in kind(rows, "sample"):
        mine = [row for row in kind(rows, "worker")
                if (row["trial"], row["variant"]) == (sample["trial"], sample["variant"])]
        assert [row["worker"] for row in mine] == list(range(workers))
        for field in ("accepts", "wakeups", "returns"):
            assert sum(row[field] for row in mine) == sample[field]
        assert sample["accepts"] == sample["served_connections"] == sample["connections"]
        assert max(row["accepts"] for row in mine) == sample["busiest_accepts"]
        assert sum(row["accepts"] == 0 for row in mine) == sample["idle_workers"]
        # each return of epoll_wait was followed by one accept, which had something or not
        if sample["variant"] == "blocking":
            assert sample["returns"] == sample["misses"] == 0
        else:
            assert sample["returns"] == sample["accepts"] + sample["misses"]
    assert [row["claim"] for row in kind(rows, "verdict")] == ["poll-herd"]
