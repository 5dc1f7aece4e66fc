# SPDX-License-Identifier: MIT
"""What is special to buffers/recv: no recv hangs, and none returns before there is a reason."""
import pytest
from program import BUILD, busy_loops, kind, parse, quick_rows, run, verdicts

RECV = BUILD / "buffers" / "recv"


@pytest.fixture(scope="module", name="rows")
def rows_of_a_run():
    ended = run(RECV, "--quick", "-o", "-")
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


def test_bytes(rows):
    for sample in kind(rows, "sample"):
        assert sample["misplaced_bytes"] == 0
        assert -1 <= sample["returned_bytes"] <= 1000
        assert (sample["returned_bytes"] < 0) == (sample["error"] != "none")
        assert sample["error"] in ("none", "EAGAIN", "EINTR")


def test_waits(rows):
    """What waits for the sender comes back after it, with what was asked for."""
    for sample in kind(rows, "sample"):
        if sample["variant"] == "empty":
            assert sample["after_ns"] >= 0 and sample["returned_bytes"] == 1000
            assert sample["again"] == sample["waited"] == 1
        if sample["variant"] == "timeout":
            assert sample["error"] == "EAGAIN"
            assert sample["elapsed_ns"] >= sample["asked_ns"] <= sample["granted_ns"]
        if sample["case"] == "peek":
            assert sample["left_bytes"] == sample["there_bytes"] == sample["returned_bytes"]


def test_waitall(rows):
    got = {s["case"]: s["returned_bytes"] for s in kind(rows, "sample")
           if s["variant"] == "waitall"}
    assert got["rest-comes"] == 1000
    assert got["timeout"] == got["signal"] == got["end"] == 400
    assert (got["end-empty"], got["signal-empty"]) == (0, -1)


def test_beside_busy_loops():
    """The sender waits until recv waits, however late the thread may call it."""
    with busy_loops(4):
        rows = quick_rows(RECV, "--variants", "empty,ready", "--late", "20")
    assert verdicts(rows) == {"buf-recv-blocks-empty": "holds", "tcp-recv-waits": "holds"}
