# SPDX-License-Identifier: MIT
"""What is special to polling/nonblocking: what each call says, and that all calls are counted."""
from program import BUILD, kind, parse, run

NONBLOCKING = BUILD / "polling" / "nonblocking"
RESULTS = {"recv-nothing": "EAGAIN", "recv-data": "ok", "recv-closed": "ok", "recv-reset": "ECONNRESET",
           "send-room": "ok", "send-full": "EAGAIN", "accept-nobody": "EAGAIN",
           "connect-full": "EINPROGRESS", "spin": "ok", "blocking": "ok"}


def rows_of(*arguments):
    ended = run(NONBLOCKING, "--quick", "-o", "-", *arguments)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


def verdict_of(rows):
    verdict, = kind(rows, "verdict")
    return verdict["verdict"]


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
