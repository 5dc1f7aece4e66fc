# SPDX-License-Identifier: MIT
"""What is special to buffers/udp_load: every datagram is accounted for, and a share of too few
datagrams, or of a receiver that was late, decides nothing."""
import re
from functools import partial

import pytest
from program import BUILD, busy_loops, kind, quick_rows, verdict_of

UDP_LOAD = BUILD / "buffers" / "udp_load"
rows_of = partial(quick_rows, UDP_LOAD)


def test_loads():
    rows = rows_of("--rate", "5000", "--load", "200", "--trials", "2")
    offered = {load["variant"]: load["offered_per_s"] for load in kind(rows, "sample")}
    assert offered == {"load-0.5": 2500, "load-1.05": 5250, "load-1.2": 6000, "load-1.5": 7500,
                       "load-2": 10000, "load-10": 50000}
    for load in kind(rows, "sample"):
        assert load["dropped_datagrams"] >= 0 and load["unaccounted_datagrams"] >= 0
        assert load["doubled_datagrams"] == 0
        assert load["sent_datagrams"] > 0 and load["elapsed_ns"] > 0
        assert load["all_datagrams"] == load["sent_datagrams"] >= load["model_datagrams"]
        assert load["rate_per_s"] == 5000


def test_what_is_compared():
    """Loads in which the buffer's steps and the receiver's lateness are small against the margin."""
    rows = rows_of("--trials", "1")
    margin, step = (rows[0]["bounds"][name]["value"] for name in ("near_share", "step_share"))
    for load in kind(rows, "sample"):
        most = margin * load["sent_datagrams"]
        exact = (step * load["filled_datagrams"] <= most
                 and load["late_ns"] * load["rate_per_s"] / 1e9 <= most)
        assert ("off_ppm" in load) == exact


@pytest.mark.parametrize("arguments", [("--load", "20"), ("--rate", "1000", "--load", "20")],
                         ids=" ".join)
def test_too_few_datagrams(arguments):
    """Fewer than the buffer's steps: their share shows nothing."""
    rows = rows_of(*arguments, "--trials", "7")
    verdict, = kind(rows, "verdict")
    assert verdict["verdict"] in ("unclear", "not-seen")
    assert not re.search(r"\b(nan|inf)\b", verdict["sentence"])


@pytest.mark.parametrize("variants", ["load-0.5", "load-2"])
def test_one_load(variants):
    assert verdict_of(rows_of("--variants", variants)) == "skipped"


def test_beside_a_busy_loop():
    with busy_loops(1):
        rows = rows_of()
    assert verdict_of(rows) in ("holds", "unclear")
