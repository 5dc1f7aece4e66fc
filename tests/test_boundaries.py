# SPDX-License-Identifier: MIT
"""What is special to tcp/boundaries: no byte is unaccounted for, framing survives every cut."""
import pytest
from program import BUILD, kind, parse, run

BOUNDARIES = BUILD / "tcp" / "boundaries"
STREAMS, DATAGRAMS = {"tcp", "unix-stream"}, {"udp", "unix-dgram", "seqpacket"}
FRAMED, CUTS = {"length", "newline"}, {"uncut", "random", "bytes", "inside"}


def rows_of(*arguments):
    ended = run(BOUNDARIES, "--quick", "-o", "-", *arguments)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


def check_sizes(rows, most):
    samples = [s for s in kind(rows, "sample") if s["variant"] in STREAMS | DATAGRAMS]
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


def check_framing(rows, longest, most):
    samples = [s for s in kind(rows, "sample") if "cut" in s]
    for sample in samples:
        if sample["variant"] in FRAMED:
            assert sample["whole"] == sample["delivered"] == sample["messages"]
            assert sample["broken"] == 0
        elif sample["cut"] == "uncut" and longest <= most:
            assert sample["whole"] == sample["messages"]
        elif sample["cut"] == "bytes" and longest > 100:
            assert sample["broken"] > 0
    assert {(s["variant"], s["cut"]) for s in samples} == {
        (variant, cut) for variant in FRAMED | {"naive"} for cut in CUTS}


@pytest.mark.parametrize("most", [1, 100, 1024, 65536])
def test_books(most):
    rows = rows_of("--recv", str(most), "--trials", "2", "--messages", "20")
    check_sizes(rows, most)
    check_framing(rows, 1000, most)
    assert kind(rows, "verdict")[0]["claim"] == "tcp-recv-cut"


@pytest.mark.parametrize("longest", [1, 7, 5000])
def test_messages_of_any_length(longest):
    check_framing(rows_of("--longest", str(longest), "--messages", "20"), longest, 1024)
