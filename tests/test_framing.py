# SPDX-License-Identifier: MIT
"""What is special to tcp/framing: framed messages survive every cut, others only none."""
import pytest
from program import BUILD, kind, parse, run

FRAMING = BUILD / "tcp" / "framing"
FRAMED, CUTS = {"length", "newline"}, {"uncut", "random", "bytes", "inside"}


@pytest.mark.parametrize("longest, most", [
    (1000, 1024), (1000, 1), (1000, 100), (1000, 65536), (1, 1024), (7, 1024), (5000, 1024),
    (20000, 65536)])
def test_cuts(longest, most):
    messages, trials = (20, 2) if longest <= 5000 else (10, 1)  # each byte of them is sent by itself
    ended = run(FRAMING, "--quick", "--messages", str(messages), "--longest", str(longest),
                "--recv", str(most), "--trials", str(trials), "-o", "-")
    assert ended.returncode == 0, ended.stderr
    rows = parse(ended.stdout)
    samples = kind(rows, "sample")
    for sample in samples:
        assert sample["whole"] + sample["broken"] == sample["messages"] == messages
        if sample["variant"] in FRAMED:
            assert (sample["delivered"], sample["broken"]) == (messages, 0)
        elif sample["cut"] == "uncut" and longest <= min(most, 5000):  # more may not fit at once
            assert sample["broken"] == 0
        elif sample["cut"] == "bytes" and longest > 100:
            assert sample["broken"] > 0
        if sample["cut"] == "bytes":
            assert sample["pieces"] == sample["recvs"] == sample["stream_bytes"]
    assert {(s["variant"], s["cut"]) for s in samples} == {
        (variant, cut) for variant in FRAMED | {"naive"} for cut in CUTS}
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] == "holds"


def test_nothing_cut_is_nothing_seen():
    ended = run(FRAMING, "--quick", "--longest", "1", "--recv", "1", "-o", "-")
    verdict, = kind(parse(ended.stdout), "verdict")
    assert (ended.returncode, verdict["verdict"]) == (0, "not-seen")
