# SPDX-License-Identifier: MIT
"""What is special to tcp/retransmit: what is lost is counted exactly, and what arrives is right.

No test demands how much is lost, or how long it takes.
"""
from functools import partial

import pytest
from program import BUILD, kind, quick_rows, run, verdicts

RETRANSMIT = BUILD / "tcp" / "retransmit"
rows_of = partial(quick_rows, RETRANSMIT)


def of_variant(rows, name):
    return [row for row in kind(rows, "sample") if row["variant"].startswith(name)]


@pytest.fixture(scope="module", name="rows")
def fixture_rows():
    return rows_of("--trials", "2")


def test_streams(rows):
    params = rows[0]["params"]
    segments = -(-params["total_bytes"] // params["segment_bytes"])
    for sample in of_variant(rows, "tcp-"):
        assert sample["misplaced_bytes"] == 0
        assert sample["late"] or sample["missing_bytes"] == 0
        assert sample["received_bytes"] + sample["missing_bytes"] == params["total_bytes"]
        if not sample["late"]:  # all that was lost was sent again, the end of the stream too
            assert sample["sent_segments"] - sample["dropped_segments"] >= segments
            assert sample["retransmits"] >= sample["dropped_segments"]
        assert 0 <= sample["dropped_segments"] <= sample["drops"]
        assert sample["asked_ppm"] or sample["dropped_segments"] == 0
    assert verdicts(rows)["tcp-retransmit"] in ("holds", "not-seen", "skipped")
    assert rows[0]["params"]["congestion"] == "reno"


def test_datagrams(rows):
    for sample in of_variant(rows, "udp-"):
        assert sample["sent_datagrams"] == rows[0]["params"]["datagrams"]
        assert sample["lost_datagrams"] == sample["drops"]
        assert (sample["again_datagrams"], sample["misplaced_datagrams"]) == (0, 0)
        assert sample["asked_ppm"] or sample["drops"] == 0


@pytest.fixture(name="filtered")
def fixture_filtered(rows):
    if verdicts(rows)["tcp-retransmit"] == "skipped":
        pytest.skip("TCP cannot be filtered here")


@pytest.mark.usefixtures("filtered")
def test_deadline():
    """A trial that is given up says so; what had arrived by then was right."""
    rows = rows_of("--variants", "tcp-10", "--total", "1G", "--deadline", "100")
    sample, = kind(rows, "sample")
    assert sample["late"] == 1 and sample["missing_bytes"] > 0 and sample["misplaced_bytes"] == 0
    assert verdicts(rows) == {"tcp-retransmit": "skipped"}


@pytest.mark.usefixtures("filtered")
def test_no_such_congestion_control():
    ended = run(RETRANSMIT, "--quick", "--congestion", "no-such")
    assert ended.returncode == 2
    assert "no-such" in ended.stderr and ended.stderr.count("\n") == 1
