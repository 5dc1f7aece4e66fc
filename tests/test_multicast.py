# SPDX-License-Identifier: MIT
"""What is special to tcp/multicast: who gets what was sent to all."""
import pytest
from program import BUILD, kind, parse, run

MULTICAST = BUILD / "tcp" / "multicast"
LOOPBACK, LINK = {"broadcast", "multicast"}, {"broadcast-link", "multicast-link"}


@pytest.mark.parametrize("receivers, messages", [(2, 1), (5, 20), (64, 100)])
def test_who_gets_it(receivers, messages):
    ended = run(MULTICAST, "--quick", "-o", "-", "--receivers", str(receivers),
                "--messages", str(messages))
    assert ended.returncode == 0, ended.stderr
    rows = parse(ended.stdout)
    samples = kind(rows, "sample")
    assert {sample["variant"] for sample in samples} in (LOOPBACK, LOOPBACK | LINK)
    for sample in samples:
        assert sample["variant"].startswith(sample["part"])
        assert (sample["sends"], sample["receivers"]) == (messages, receivers)
        assert sample["received_datagrams"] <= messages * receivers
        assert (sample["wrong_datagrams"], sample["outsider_datagrams"]) == (0, 0)
        if sample["variant"] in LINK:  # their own hosts' counters: nobody else is counted
            assert sample["out_datagrams"] == messages
            assert sample["in_datagrams"] == sample["received_datagrams"]
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] in ("holds", "not-seen")
