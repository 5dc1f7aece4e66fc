# SPDX-License-Identifier: MIT
"""What is special to tcp/handshake: a SYN comes first, and the filter tells what the SYN says."""
from program import BUILD, kind, parse, run

HANDSHAKE = BUILD / "tcp" / "handshake"


def test_connections():
    ended = run(HANDSHAKE, "--quick", "--trials", "2", "--connections", "50", "-o", "-")
    assert ended.returncode == 0, ended.stderr
    rows = parse(ended.stdout)
    samples = kind(rows, "sample")
    assert len(samples) == 2 * 50
    for sample in samples:
        assert (sample["syn"], sample["ack"]) == (1, 0)
        assert 20 <= sample["header_bytes"] <= 60
        assert 0 <= sample["client_isn"] < 1 << 32
        assert -1 <= sample["server_isn_upper_bits"] < 1 << 14
        assert sample["upper_bits_shown"] in (-1, sample["upper_bits_known"])
    verdict, = kind(rows, "verdict")
    assert verdict["claim"] == "tcp-handshake"
    assert verdict["verdict"] == "holds" or not verdict["numbers"]["own"]["n"]
    assert verdict["numbers"]["first"]["n"] == 100
