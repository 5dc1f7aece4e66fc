# SPDX-License-Identifier: MIT
"""What is special to tcp/listen: what is counted adds up, whatever the call's speed."""
from program import BUILD, kind, parse, run

LISTEN = BUILD / "tcp" / "listen"


def test_counts():
    ended = run(LISTEN, "--quick", "--calls", "50", "--wait", "30ms", "-o", "-")
    assert ended.returncode == 0, ended.stderr
    rows = parse(ended.stdout)
    for sample in kind(rows, "sample"):
        assert sample["listen_calls"] == 50
        assert 0 <= sample["listen_asleep_calls"] <= 50
        for call in ("listen", "accept"):
            assert 0 <= sample[f"{call}_asleep_looks"] <= sample[f"{call}_looks"]
        assert sample["accept_sleeps"] > 0
        assert sample["accept_ns"] >= 15_000_000  # the client is 30 ms late, as another thread sees
        assert sample["new_sockets"] == sample["accepted_sockets"] == 4
        assert (sample["still_listens"], sample["misplaced_bytes"]) == (1, 0)
        assert sample["listener_recv_errno"] and sample["listener_send_errno"]
        assert sample["served_clients"] == sample["offered_clients"] == 5
        assert sample["queued_clients"] < 5
    assert {row["claim"]: row["verdict"] for row in kind(rows, "verdict")} == {
        "tcp-listen-blocks": "refuted", "tcp-accept-new-socket": "holds",
        "tcp-listen-max-clients": "refuted"}
