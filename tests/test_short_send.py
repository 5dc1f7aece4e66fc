# SPDX-License-Identifier: MIT
"""What is special to tcp/short_send: the loop loses nothing, however send is cut."""
from program import BUILD, kind, parse, run

SHORT_SEND = BUILD / "tcp" / "short_send"
VARIANTS = {"nonblock", "block", "sndtimeo", "signal", "signal-restart"}


def test_books():
    ended = run(SHORT_SEND, "--quick", "-o", "-", "--trials", "3")
    assert ended.returncode == 0, ended.stderr
    rows = parse(ended.stdout)
    samples = kind(rows, "sample")
    assert {s["variant"] for s in samples} == VARIANTS
    for sample in samples:
        assert (sample["missing_bytes"], sample["misplaced_bytes"]) == (0, 0)
        assert sample["result"] <= sample["given_bytes"] == 1 << 20
        assert sample["calls"] >= sample["short_calls"] + sample["interrupted_calls"]
        if sample["variant"] == "nonblock":
            assert 0 < sample["result"] < sample["given_bytes"]
    verdict, = kind(rows, "verdict")
    assert (verdict["claim"], verdict["verdict"]) == ("tcp-send-short", "holds")
