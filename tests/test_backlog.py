# SPDX-License-Identifier: MIT
"""What is special to tcp/backlog: nobody is lost between the three views, and SYNs come again."""
import pytest
from program import BUILD, kind, parse, run

BACKLOG = BUILD / "tcp" / "backlog"


@pytest.fixture(scope="module")
def rows():
    ended = run(BACKLOG, "--quick", "-o", "-")
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


def test_every_listener_is_filled_and_more(rows):
    samples = kind(rows, "sample")
    assert [sample["asked_backlog"] for sample in samples if sample["family"] == 4] == [0, 1, 5, 128]
    assert [sample["asked_backlog"] for sample in samples if sample["family"] == 6] in ([], [5])
    for sample in samples:
        assert sample["connects"] == sum(
            sample[f"{what}_connects"] for what in ("completed", "refused", "waiting"))
        assert sample["accepted_connects"] <= sample["completed_connects"]
        assert sample["admitted_connects"] <= sample["waiting_connects"] + sample["half_connects"]
        assert sample["unknown_connects"] == 0
        # clearly more than fit, and what the listener says of itself
        assert sample["connects"] > sample["completed_connects"]
        assert sample["accepted_connects"] == sample["queued_connects"]


def test_the_time_line_fits_the_samples(rows):
    """Every SYN sent again is a row, in order; nobody is let in before the server accepts."""
    for sample in kind(rows, "sample"):
        mine = [row for row in kind(rows, "retry")
                if all(row[key] == sample[key] for key in ("asked_backlog", "family"))]
        assert sum(row["number"] == 1 for row in mine) <= 5
        for waiter in range(5):
            at = [row["since_connect_ns"] for row in mine if row["waiter"] == waiter]
            assert at == sorted(at) and all(ns > 0 for ns in at)
    for row in kind(rows, "admit"):
        assert row["since_accept_ns"] >= 0


def test_the_limit_is_left_out_when_told_so(rows):
    ended = run(BACKLOG, "--quick", "--most", "0", "--accept-after", "50", "--patience", "50",
                "--spread", "0")
    assert ended.returncode == 0, ended.stderr
    assert "listen(5,000) was left out" in ended.stdout
