# SPDX-License-Identifier: MIT
"""What is special to polling/nonblocking: what each call says, and that all calls are counted."""
from functools import partial

from program import BUILD, kind, quick_rows, verdict_of

NONBLOCKING = BUILD / "polling" / "nonblocking"
RESULTS = {"recv-nothing": "EAGAIN", "recv-data": "ok", "recv-closed": "ok", "recv-reset": "ECONNRESET",
           "send-room": "ok", "send-full": "EAGAIN", "accept-nobody": "EAGAIN",
           "connect-full": "EINPROGRESS", "spin": "ok", "blocking": "ok"}
rows_of = partial(quick_rows, NONBLOCKING)


def test_states():
    rows = rows_of("--repeats", "5")
    found = {row["variant"]: row for row in kind(rows, "sample")}
    assert set(RESULTS) | {"connect-refused"} == set(found)
    for name, row in found.items():
        assert row["result"] == RESULTS.get(name, row["result"])
        assert row["calls"] == 5 or name == "spin"
        assert 0 <= row["slept_calls"] <= row["calls"]
        assert 0 < row["call_ns"] <= row["longest_ns"]
    assert found["blocking"]["slept_calls"] > 0
    assert verdict_of(rows) in ("holds", "refuted")


def test_no_verdict_on_some_of_the_states():
    assert verdict_of(rows_of("--variants", "recv-nothing,send-full,spin")) == "skipped"
