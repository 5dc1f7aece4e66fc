# SPDX-License-Identifier: MIT
"""What is special to tcp/boundaries: no byte is unaccounted for."""
import pytest
from program import BUILD, kind, parse, run, verdicts

BOUNDARIES = BUILD / "tcp" / "boundaries"
STREAMS, DATAGRAMS = {"tcp", "unix-stream"}, {"udp", "unix-dgram", "seqpacket"}


@pytest.mark.parametrize("most", [1, 100, 1024, 65536])
def test_books(most):
    ended = run(BOUNDARIES, "--quick", "--recv", str(most), "--trials", "2", "-o", "-")
    assert ended.returncode == 0, ended.stderr
    rows = parse(ended.stdout)
    samples = kind(rows, "sample")
    assert {s["variant"] for s in samples} == STREAMS | DATAGRAMS
    assert {s["program"] for s in samples} == {"2000", "4000", "queued", "racing"}
    assert len(kind(rows, "recv")) == sum(s["recvs"] for s in samples)
    for sample in samples:
        assert 0 < sample["largest_bytes"] <= most
        assert (sample["misplaced_bytes"], sample["left"]) == (0, 0)
        assert sample["received_bytes"] + sample["lost_bytes"] == sample["sent_bytes"]
        each = sample["sent_bytes"] // sample["sends"]
        if sample["variant"] in STREAMS:
            assert sample["lost_bytes"] == sample["truncated_recvs"] == 0
        else:
            assert sample["recvs"] == sample["sends"]
            assert sample["truncated_recvs"] == (sample["sends"] if each > most else 0)
            assert sample["received_bytes"] == sample["sends"] * min(each, most)
    found = verdicts(rows)
    assert found["tcp-recv-cut"] == ("skipped" if most >= 2000 else "holds")
    assert (found["tcp-stream-no-boundary"] == "skipped") == (most < 300)
