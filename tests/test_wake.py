# SPDX-License-Identifier: MIT
"""What is special to buffers/wake: thresholds lie between two looks at a full buffer."""
from functools import partial

import pytest
from program import BUILD, kind, quick_rows

WAKE = BUILD / "buffers" / "wake"
rows_of = partial(quick_rows, WAKE)


def check_thresholds(samples):
    for sample in samples:
        assert (sample["pollout"], sample["went_on"]) == (1, 1), sample
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
    assert verdict["numbers"]["passed_trials"] == passed
    assert (verdict["verdict"] == "refuted") == (passed > 0)


@pytest.mark.parametrize("steps", ["8", "512"])
def test_steps(steps):
    rows = rows_of("--steps", steps, "--variants", "tcp-64K,unix-64K")
    check_thresholds(kind(rows, "sample"))


def test_congestion_is_recorded():
    rows = rows_of("--congestion", "reno", "--variants", "tcp-64K")
    assert rows[0]["params"]["congestion"] == "reno"
    check_thresholds(kind(rows, "sample"))
