# SPDX-License-Identifier: MIT
"""What is special to buffers/udp_loss: every datagram is accounted for, and where it was lost."""
import pytest
from program import BUILD, kind, parse, run

UDP_LOSS = BUILD / "buffers" / "udp_loss"
LINK = {"slow-link", "queue", "queue-told"}


def rows_of(*arguments):
    ended = run(UDP_LOSS, "--quick", "-o", "-", *arguments)
    assert ended.returncode == 0, ended.stderr
    return parse(ended.stdout)


def verdict_of(rows):
    verdict, = kind(rows, "verdict")
    return verdict


@pytest.fixture(scope="module", name="quick_rows")
def quick_rows_fixture():
    return rows_of()


def part(rows, name):
    return [sample for sample in kind(rows, "sample") if sample["part"] == name]


def test_bursts(quick_rows):
    """The first ones survive, in order; the others are counted as dropped."""
    bursts = part(quick_rows, "burst")
    cells = {(burst["asked_bytes"], burst["datagram_bytes"]) for burst in bursts}
    assert len(cells) == len(bursts) == 7 * 8
    for burst in bursts:
        granted, charge = burst["granted_bytes"], burst["charge_bytes"]
        assert charge > burst["datagram_bytes"]  # book-keeping is charged too
        assert burst["predicted_datagrams"] == max(1, granted // charge)
        assert 1 <= burst["survivors_datagrams"] <= burst["sent_datagrams"]
        assert burst["survivors_datagrams"] + burst["receiver_drops"] + \
            burst["unaccounted_datagrams"] == burst["sent_datagrams"]
        assert (burst["changed_datagrams"], burst["unaccounted_datagrams"] >= 0) == (0, True)


def test_verdict_counts_the_exact_cells(quick_rows):
    numbers = verdict_of(quick_rows)["numbers"]
    exact = [burst["survivors_datagrams"] == burst["predicted_datagrams"]
             for burst in part(quick_rows, "burst")]
    assert (numbers["exact_cells"], numbers["cells"]) == (sum(exact), len(exact))


def test_loads(quick_rows):
    for load in part(quick_rows, "load"):
        assert 0 <= load["receiver_drops"] and load["unaccounted_datagrams"] >= 0
        assert load["sent_datagrams"] > 0 and load["elapsed_ns"] > 0
        assert load["rate_per_s"] == quick_rows[0]["params"]["rate"]


def test_places(quick_rows):
    places = {place["variant"]: place for place in part(quick_rows, "place")}
    assert LINK <= set(places) or not LINK & set(places)
    receiver, closed = places["receiver"], places["no-listener"]
    assert receiver["receiver_drops"] > 0 and receiver["enobufs_calls"] == 0
    assert receiver["lost_datagrams"] == receiver["receiver_drops"]
    assert closed["econnrefused_calls"] > 0 and closed["arrived_datagrams"] == 0
    assert verdict_of(quick_rows)["verdict"] == ("depends" if LINK <= set(places) else "holds")
    if LINK <= set(places):
        slow, queue, told = (places[name] for name in ("slow-link", "queue", "queue-told"))
        assert (slow["lost_datagrams"], slow["queue_drops"]) == (0, 0)
        assert slow["blocked_calls"] > 0 and slow["eagain_calls"] > 0
        assert queue["lost_datagrams"] > 0 and queue["enobufs_calls"] == 0
        assert queue["sent_datagrams"] == quick_rows[0]["params"]["burst"]  # no call failed
        assert told["enobufs_calls"] == told["lost_datagrams"] > 0


@pytest.mark.parametrize("variant, verdict", [
    ("burst-default", "holds"), ("load-2", "holds"), ("receiver", "holds"),
    ("no-listener", "skipped"),
])
def test_one_part(variant, verdict):
    assert verdict_of(rows_of("--variants", variant))["verdict"] == verdict
