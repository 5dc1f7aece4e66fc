# SPDX-License-Identifier: MIT
"""What is special to buffers/wake: thresholds lie between two looks at a full buffer."""
from functools import partial

import pytest
from program import BUILD, busy_loops, kind, quick_rows, verdict_of

WAKE = BUILD / "buffers" / "wake"
rows_of = partial(quick_rows, WAKE)


def check_thresholds(samples):
    for sample in samples:
        assert sample["unwoken"] == 0, sample
        assert sample["poll_yes_wmem_bytes"] <= sample["poll_no_wmem_bytes"]
        assert sample["poll_no_wmem_bytes"] <= sample["full_wmem_bytes"]
        if sample["asked_bytes"]:  # of a fixed size, and full
            assert sample["full_wmem_bytes"] > sample["granted_bytes"] / 2
        if sample["passed"]:
            assert sample["passed_wmem_bytes"] < sample["send_granted_bytes"]


def test_every_kind():
    rows = rows_of()
    samples = kind(rows, "sample")
    check_thresholds(samples)
    kinds = {sample["kind"] for sample in samples}
    assert {"TCP", "AF_UNIX stream"} <= kinds <= {"TCP", "AF_UNIX stream", "UDP"}
    verdict, = kind(rows, "verdict")
    passed = sum(sample["passed"] for sample in samples)
    assert verdict["numbers"]["passed"]["k"] == passed
    assert verdict["numbers"]["passed"]["n"] == len(samples)
    assert (verdict["verdict"] == "refuted") == (passed > 0)


@pytest.mark.parametrize("steps", ["8", "512"])
def test_steps(steps):
    rows = rows_of("--steps", steps, "--variants", "tcp-64K,unix-64K")
    check_thresholds(kind(rows, "sample"))


def test_congestion_is_recorded():
    rows = rows_of("--congestion", "reno", "--variants", "tcp-64K")
    assert rows[0]["params"]["congestion"] == "reno"
    check_thresholds(kind(rows, "sample"))


def test_beside_busy_loops():
    """It waits as long as the threads need: no deadline decides anything."""
    with busy_loops(4):
        rows = rows_of()
    check_thresholds(kind(rows, "sample"))
    assert rows[-1]["controls_held"] is True
    assert verdict_of(rows) in ("refuted", "not-seen")


def test_one_buffer():
    """A counter-example is one, whatever was left out."""
    rows = rows_of("--variants", "unix-64K")
    assert verdict_of(rows) == ("refuted" if kind(rows, "sample")[0]["passed"] else "not-seen")
    assert "POLLOUT" not in kind(rows, "verdict")[0]["sentence"]
