# SPDX-License-Identifier: MIT
"""What is special to tcp/many_peers: every question is answered, and who gets the answer."""
from functools import partial

import pytest
from program import BUILD, kind, quick_rows

MANY_PEERS = BUILD / "tcp" / "many_peers"
rows_of = partial(quick_rows, MANY_PEERS)


@pytest.mark.parametrize("peers, rounds", [(2, 1), (16, 20), (200, 2)])
def test_every_peer_gets_its_answer(peers, rounds):
    samples = kind(rows_of("--peers", str(peers), "--rounds", str(rounds)), "sample")
    assert {sample["variant"] for sample in samples} == {"udp", "tcp"}
    for sample in samples:
        assert (sample["answers"], sample["wrong_answers"]) == (peers * rounds, 0)
        assert sample["server_sockets"] == (1 if sample["variant"] == "udp" else 1 + peers)
        assert sample["server_calls"] >= 2 * peers * rounds


def test_tcp_alone_tells_nothing():
    rows = rows_of("--variants", "tcp")
    assert [row["verdict"] for row in kind(rows, "verdict")] == ["skipped"]
