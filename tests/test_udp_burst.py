# SPDX-License-Identifier: MIT
"""What is special to buffers/udp_burst: every datagram is accounted for."""
from functools import partial

import pytest
from program import BUILD, kind, quick_rows

UDP_BURST = BUILD / "buffers" / "udp_burst"
rows_of = partial(quick_rows, UDP_BURST)


@pytest.fixture(scope="module", name="rows")
def rows_fixture():
    return rows_of()


def test_bursts(rows):
    """The first ones survive, in order; the others are counted as dropped."""
    bursts = kind(rows, "sample")
    cells = {(burst["asked_bytes"], burst["datagram_bytes"]) for burst in bursts}
    assert len(cells) == len(bursts) == 7 * 8
    for burst in bursts:
        granted, charge = burst["granted_bytes"], burst["charge_bytes"]
        assert charge > burst["datagram_bytes"]  # book-keeping is charged too
        assert burst["predicted_datagrams"] == max(1, granted // charge + burst["beyond"])
        assert 1 <= burst["survivors_datagrams"] <= burst["sent_datagrams"]
        assert burst["survivors_datagrams"] + burst["receiver_drops"] + \
            burst["unaccounted_datagrams"] == burst["sent_datagrams"]
        assert (burst["changed_datagrams"], burst["unaccounted_datagrams"] >= 0) == (0, True)


def test_verdict_counts_the_exact_bursts(rows):
    verdict, = kind(rows, "verdict")
    exact = [burst["survivors_datagrams"] == burst["predicted_datagrams"]
             for burst in kind(rows, "sample")]
    share = verdict["numbers"]["exact"]
    assert (share["k"], share["n"]) == (sum(exact), len(exact))
    assert verdict["verdict"] == ("holds" if all(exact) else "depends" if any(exact) else "refuted")
