# SPDX-License-Identifier: MIT
"""What is special to buffers/udp_loss: where datagrams were lost, and what the sender was told."""
from functools import partial

import pytest
from program import BUILD, busy_loops, kind, parse, quick_rows, run, verdict_of

UDP_LOSS = BUILD / "buffers" / "udp_loss"
LINK = {"slow-link", "queue", "queue-told"}
rows_of = partial(quick_rows, UDP_LOSS)


def test_places():
    rows = rows_of()
    places = {place["variant"]: place for place in kind(rows, "sample")}
    assert LINK <= set(places) or not LINK & set(places)
    receiver, closed = places["receiver"], places["no-listener"]
    assert receiver["receiver_drops"] > 0 and receiver["enobufs_calls"] == 0
    assert receiver["lost_datagrams"] == receiver["receiver_drops"]
    assert closed["econnrefused_calls"] > 0 and closed["arrived_datagrams"] == 0
    assert verdict_of(rows) == ("depends" if LINK <= set(places) else "skipped")
    assert receiver["loses"] == closed["loses"] == 1
    if LINK <= set(places):
        slow, queue, told = (places[name] for name in ("slow-link", "queue", "queue-told"))
        assert (slow["lost_datagrams"], slow["queue_drops"]) == (0, 0)
        assert slow["blocked_calls"] > 0 and slow["eagain_calls"] > 0 and slow["loses"] == 0
        assert queue["lost_datagrams"] > 0 and queue["enobufs_calls"] == 0
        assert queue["sent_datagrams"] == rows[0]["params"]["burst"]  # no call failed
        assert told["enobufs_calls"] == told["lost_datagrams"] > 0


@pytest.mark.parametrize("variant, verdict", [
    ("receiver", "skipped"), ("slow-link", "skipped"), ("no-listener", "skipped"),
])
def test_one_case(variant, verdict):
    """It takes both cases to say that it depends, and either to say anything."""
    ended = run(UDP_LOSS, "--quick", "-o", "-", "--variants", variant)
    assert ended.returncode in (0, 77), ended.stderr  # 77: there can be no link here
    assert verdict_of(parse(ended.stdout)) == verdict


def test_beside_a_busy_loop():
    """Counts, which another program does not change."""
    with busy_loops(2):
        rows = rows_of()
    assert verdict_of(rows) in ("depends", "skipped")
