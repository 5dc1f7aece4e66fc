# SPDX-License-Identifier: MIT
"""What is special to tcp/packets: each side says SYN first, and each kind of segment is counted once."""
import pytest
from program import BUILD, kind, parse, run, verdicts

PACKETS = BUILD / "tcp" / "packets"
KINDS = ("syn_segments", "both_segments", "data_segments", "fin_segments", "ack_segments")


def test_connections():
    ended = run(PACKETS, "--quick", "--trials", "2", "--connections", "3", "--requests", "4", "-o", "-")
    assert ended.returncode in (0, 77), ended.stderr
    if ended.returncode == 77:
        pytest.skip("there are no namespaces here")
    rows = parse(ended.stdout)
    samples = kind(rows, "sample")
    assert len(samples) == 2 * 3 * 2
    for sample in samples:
        assert sum(sample[field] for field in KINDS) == sample["segments"]
        assert sample["later_segments"] == sample["segments"] - 1
        assert sample["later_ack_segments"] == sample["later_segments"]
        assert sample["data_segments"] >= 4 and sample["fin_segments"] >= 1
        first, never = KINDS[:2] if sample["from"] == "client" else KINDS[1::-1]
        assert sample[first] >= 1 and sample[never] == 0
    segments = kind(rows, "segment")
    assert [segment["flags"] for segment in segments[:3]] == ["SYN", "SYN+ACK", "ACK"]
    assert {segment["data_bytes"] for segment in segments} == {0, 100}
    assert {segment["trial"] for segment in segments} == {0}
    assert verdicts(rows) == {"tcp-syn-every-packet": "refuted"}
